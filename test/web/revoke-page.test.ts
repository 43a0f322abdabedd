import { HtmlValidate } from 'html-validate'
import { describe, expect, it } from 'vitest'
import type { Fingerprint } from '../../src/auth/public-key.ts'
import { refuse, type Verdict } from '../../src/auth/verdict.ts'
import type { HandedIn } from '../../src/replication/exchange/revoking.ts'
import type { RevokedKey } from '../../src/replication/registry/revoked-keys.ts'
import { createApp } from '../../src/web/app.ts'
import type { WebSpoke } from '../../src/web/spoke.ts'
import { fingerprint, firstSeenMs, logOf, memorySpoke, openLog, zone } from './memory-spoke.ts'

const revoked: RevokedKey = {
  key: fingerprint as Fingerprint,
  ...{ reason: 3, isHard: false, text: '', seq: 12 },
  ...{ dateMs: Date.UTC(2026, 4, 3), knownMs: Date.UTC(2026, 4, 4) },
}
const revocation = { ...revoked, certificate: 'the certificate' }
const cruel = `<img src=x> "quoted" & 'x'`
const block = '-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n'

const maria = openLog(
  logOf(
    'maria',
    { kind: 'post', slug: 'one', title: 'One', body: 'Text' },
    { kind: 'post', slug: 'one', title: 'One, again', body: 'Text again' },
  ),
)

/** A spoke that answers every revocation alike and keeps what came. */
function spokeOf(answer: Verdict<HandedIn>, more: Partial<WebSpoke> = {}) {
  const came: [armored: string, blog: string | null | undefined][] = []
  const handInRevocation: WebSpoke['handInRevocation'] = async (...sent) => {
    came.push([sent[0], sent[1]])
    return answer
  }
  return { came, spoke: memorySpoke({ maria }, { handInRevocation, ...more }) }
}
const acted = { ok: true, value: { kind: 'acted', revoked } } as const
const app = (spoke: WebSpoke) =>
  createApp(spoke, (error) => {
    throw error
  })
const send = (spoke: WebSpoke, host: string, init: RequestInit) =>
  app(spoke).request(
    new Request(`http://${host}/revoke`, { method: 'POST', ...init } as RequestInit),
  )
const get = (spoke: WebSpoke, host: string, path = '/revoke') =>
  app(spoke).request(new Request(`http://${host}${path}`))
const form = (fields: Record<string, string>) => ({ body: new URLSearchParams(fields) })
const plain = { 'Content-Type': 'text/plain' }
const validator = new HtmlValidate({ extends: ['html-validate:recommended'], root: true })

async function valid(answer: Response, status = 200): Promise<string> {
  const text = await answer.text()
  expect(answer.status, text).toBe(status)
  expect(answer.headers.get('content-type')).toMatch(/^text\/html/)
  const { results } = await validator.validateString(text)
  expect(results.flatMap(({ messages }) => messages.map((m) => m.message))).toEqual([])
  expect(text).not.toContain('<script')
  return text
}

const spokeHost = `b.spoke.${zone}`
const editHost = `edit.maria.${zone}`
const blogHost = `maria.${zone}`

describe('/revoke', () => {
  it('is a form without login or script on spoke and edit hosts, and blog hosts lead there', async () => {
    const { spoke } = spokeOf(acted)
    for (const host of [zone, spokeHost, editHost]) {
      const text = await valid(await get(spoke, host))
      expect(text).toContain('<form method="post" action="/revoke">')
      expect(text.includes('name="blog"')).toBe(host !== editHost)
    }
    const moved = await get(spoke, blogHost)
    expect(moved.status).toBe(302)
    expect(moved.headers.get('location')).toBe(`http://${editHost}:8380/revoke`)
    for (const [host, path] of [
      [zone, '/'],
      [blogHost, '/'],
    ] as const)
      expect(await (await get(spoke, host, path)).text()).toMatch(/\/revoke"/)
  })

  it('takes the form, and the blog that its host or its field names', async () => {
    const { spoke, came } = spokeOf(acted)
    const text = await valid(await send(spoke, editHost, form({ certificate: block })))
    expect(text).toContain('AB12 CD34')
    expect(text).toContain('by act 12 of @names')
    await send(spoke, zone, form({ certificate: block, blog: ' Maria ' }))
    await send(spoke, zone, form({ certificate: block, blog: '' }))
    const data = new FormData()
    data.set('certificate', block)
    await send(spoke, zone, { body: data })
    expect(came).toEqual([
      [block, 'maria'],
      [block, 'maria'],
      [block, null],
      [block, null],
    ])
  })

  it.each([
    ['text/plain', { headers: plain }],
    [
      'what curl says of any body',
      { headers: { 'Content-Type': 'application/x-www-form-urlencoded' } },
    ],
  ])('takes the bare certificate as %s, on every host, and answers JSON', async (_, how) => {
    const { spoke, came } = spokeOf(acted)
    for (const host of [zone, spokeHost, editHost, `edit--maria.${zone}`, blogHost]) {
      const answer = await send(spoke, host, { ...how, body: block })
      expect([answer.status, await answer.json()]).toEqual([
        200,
        {
          ...{ state: 'acted', key: fingerprint, reason: 'retired', act: 12 },
          says: expect.stringContaining('is revoked (retired) since 4 May 2026'),
          url: `http://${spokeHost}:8380/acts/names/12.txt`,
        },
      ])
    }
    expect(came.map(([text]) => text)).toEqual(Array(5).fill(block))
    expect(came.map(([, blog]) => blog)).toEqual([null, null, 'maria', 'maria', 'maria'])
  })

  it('says what was known before, and what is kept until the authority answers', async () => {
    const known = spokeOf({ ok: true, value: { kind: 'known', revoked } })
    expect(await valid(await send(known.spoke, zone, form({ certificate: block })))).toContain(
      'Revoked already',
    )
    const kept = spokeOf({ ok: true, value: { kind: 'kept', revocation } })
    const page = await valid(await send(kept.spoke, zone, form({ certificate: block })), 202)
    expect(page).toContain('the authority of the council cannot act on it now')
    const answer = await send(kept.spoke, zone, { headers: plain, body: block })
    expect(answer.status).toBe(202)
    expect(await answer.json()).toMatchObject({ state: 'kept', key: fingerprint })
  })

  it('gives the pasted text back beside why it was refused, escaped', async () => {
    const { spoke } = spokeOf(refuse('REVOCATION_BAD', `It does not fit ${cruel}.`))
    const sent = form({ certificate: `</textarea>${cruel}`, blog: 'maria' })
    const text = await valid(await send(spoke, zone, sent), 400)
    expect(text).toContain('It does not fit &lt;img src=x&gt;')
    expect(text).toContain('&lt;/textarea&gt;&lt;img')
    expect(text).toContain('value="maria"')
    const json = await send(spoke, zone, { headers: plain, body: 'x' })
    expect(json.status).toBe(400)
    expect(await json.json()).toMatchObject({ error: { code: 'REVOCATION_BAD' } })
  })

  it('never shows a secret key that was pasted by mistake', async () => {
    const { spoke } = spokeOf(refuse('KEY_SECRET', 'This is a secret key.'))
    const text = await valid(await send(spoke, zone, form({ certificate: 'SECRET' })), 400)
    expect(text).not.toContain('SECRET')
  })

  it.each([
    ['REVOCATION_KEY_UNKNOWN', 404],
    ['REVOCATION_TOO_LONG', 413],
    ['AUTHORITY_UNREACHABLE', 503],
    ['REVOCATION_MISSING', 400],
  ])('answers %s with %i', async (code, status) => {
    const { spoke } = spokeOf(refuse(code, 'No.'))
    expect((await send(spoke, zone, { headers: plain, body: 'x' })).status).toBe(status)
    await valid(await send(spoke, zone, form({ certificate: 'x' })), status)
  })

  it('refuses more than 256 KiB and a name that is none, and asks nobody', async () => {
    const { spoke, came } = spokeOf(acted)
    const body = 'x'.repeat(256 * 1024 + 1)
    expect((await send(spoke, zone, { headers: plain, body })).status).toBe(413)
    await valid(await send(spoke, zone, form({ certificate: body })), 413)
    const wrong = form({ certificate: block, blog: '<b>' })
    expect(await valid(await send(spoke, zone, wrong), 400)).toContain('That is no name of a blog')
    expect(came).toEqual([])
  })
})

describe('a blog whose key is revoked', () => {
  const pages = ['/', '/2026/one', '/history/one']
  const shown = (more: Partial<RevokedKey>) =>
    spokeOf(acted, {
      revocation: async (key) => (key === fingerprint ? { ...revoked, ...more } : null),
    }).spoke

  it.each(pages)('says so on %s, and leaves entries as they are after a soft one', async (path) => {
    const text = await valid(await get(shown({}), blogHost, path))
    expect(text).toMatch(/The key <a href="[^"]+\/acts\/names\/12\.txt">…66A8<\/a> was revoked on/)
    expect(text).toContain('3 May 2026</time>: no longer used (retired).')
    expect(text).toContain('Nothing new can be published with it.')
    expect(text).not.toContain('key later revoked')
  })

  it.each([
    ['before', firstSeenMs + 1],
    ['after', firstSeenMs - 1],
  ])(
    'marks what a compromised key signed, first seen %s that was known',
    async (order, knownMs) => {
      const spoke = shown({ reason: 2, isHard: true, knownMs })
      const post = await valid(await get(spoke, blogHost, '/2026/one'))
      expect(post).toContain(
        `(key later revoked: compromised; first seen here ${order} the revocation became known)`,
      )
      const history = await valid(await get(spoke, blogHost, '/history/one'))
      expect(history.match(/\(key later revoked: compromised\)/g)).toHaveLength(2)
    },
  )

  it('shows its owner’s words as words', async () => {
    const text = await valid(await get(shown({ text: cruel }), blogHost, '/'))
    expect(text).toContain('In the words of its owner: <q>&lt;img src=x&gt;')
  })

  it('says nothing where nothing is revoked, and leaves feeds as they are', async () => {
    const { spoke } = spokeOf(acted)
    for (const path of pages)
      expect(await valid(await get(spoke, blogHost, path))).not.toContain('Revoked keys')
    const feed = async (from: WebSpoke) => (await get(from, blogHost, '/feed.atom')).text()
    expect(await feed(shown({ reason: 2, isHard: true }))).toBe(await feed(spoke))
  })
})
