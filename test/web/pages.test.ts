import { HtmlValidate } from 'html-validate'
import { describe, expect, it } from 'vitest'
import { createApp } from '../../src/web/app.ts'
import type { ClaimRecord, WebSpoke } from '../../src/web/spoke.ts'
import {
  fingerprint,
  firstSeenMs,
  logOf,
  memorySpoke,
  nameOf,
  openLog,
  type Said,
  udhr,
  zone,
} from './memory-spoke.ts'

const article = (lang: keyof typeof udhr): Said => ({
  ...{ kind: 'post', slug: 'article-1', lang, tags: ['udhr'] },
  ...udhr[lang],
})
const blogs = {
  maria: openLog(
    logOf(
      'maria',
      { kind: 'profile', title: 'El blog de María', lang: 'es', body: 'Sobre *derechos*.' },
      article('es'),
    ),
  ),
  noor: openLog(logOf('noor', article('ar')), { held: false }),
  lihua: openLog(logOf('lihua', article('zh-Hans'))),
}
const claimId = 'c'.repeat(64)
const claimOf = (more: Partial<ClaimRecord>): ClaimRecord => ({
  ...{ id: claimId, blog: nameOf('maria'), state: 'pending', code: null, reason: null },
  steps: [
    { step: 'checked', state: 'done', atMs: firstSeenMs, detail: '' },
    { step: 'asked-dns', state: 'failed', atMs: firstSeenMs, detail: 'no answer <in time>' },
    { step: 'asked-authority', state: 'waiting', atMs: null, detail: '' },
  ],
  ...more,
})

const bug = (error: unknown) => {
  throw error
}
const get = (spoke: WebSpoke, url: string, headers: Record<string, string> = {}) =>
  createApp(spoke, bug).request(new Request(url, { headers }))
const host = (name: string) => `http://${name === '' ? '' : `${name}.`}${zone}:8380`
const validator = new HtmlValidate({ extends: ['html-validate:recommended'], root: true })

async function validPage(spoke: WebSpoke, url: string, status = 200): Promise<string> {
  const answer = await get(spoke, url)
  const text = await answer.text()
  expect(answer.status, text).toBe(status)
  expect(answer.headers.get('content-type')).toMatch(/^text\/html; charset=utf-8$/i)
  const { results } = await validator.validateString(text)
  expect(
    results.flatMap(({ messages }) => messages.map((m) => `${m.ruleId}: ${m.message}`)),
  ).toEqual([])
  expect(text).not.toContain('<script')
  return text
}

const long = 'https://example.org/'.padEnd(400, 'x')
const everything = [
  '# One\n\n### Three\n\n| a | b |\n|---|:-:|\n| 1 | 2 |',
  '```js\nconst a = "<b>"\n```',
  `> quote\n>\n> - a\n> - b\\\n>   c\n\n---\n\n${long}\n\n![words](x.png) [y](z)`,
].join('\n\n')
const cruel = `"><script>x</script>`
const longCruel = `${'w'.repeat(170)} ${cruel}`

describe('every page type', () => {
  it.each([
    ['front page', memorySpoke(blogs), host(''), 200],
    [
      'front page of an empty spoke',
      memorySpoke({}, { council: () => null }),
      host('b.spoke'),
      200,
    ],
    ['list', memorySpoke(blogs), `${host('maria')}/`, 200],
    ['list without posts', memorySpoke({ nadia: openLog(logOf('nadia')) }), host('nadia'), 200],
    ['Spanish post', memorySpoke(blogs), `${host('maria')}/2026/article-1`, 200],
    ['Arabic post', memorySpoke(blogs), `${host('noor')}/2026/article-1`, 200],
    ['Chinese post', memorySpoke(blogs), `${host('lihua')}/2026/article-1`, 200],
    ['missing page', memorySpoke(blogs), `${host('')}/nothing`, 404],
    ['missing post', memorySpoke(blogs), `${host('maria')}/2026/nothing`, 404],
    ['missing blog', memorySpoke(blogs), host('nobody'), 404],
    ['blog without an answering holder', memorySpoke({ maria: 'unreachable' }), host('maria'), 503],
    ['foreign host', memorySpoke(blogs), 'http://evil.example/', 421],
    ['wrong method', memorySpoke(blogs), `${host('')}/log`, 405],
  ] as const)('is valid HTML5 without script: %s', async (_, spoke, url, status) => {
    await validPage(spoke, url, status)
  })

  it.each([
    ['pending', claimOf({})],
    ['ready', claimOf({ state: 'ready' })],
    [
      'refused',
      claimOf({ state: 'refused', code: 'NAME_TAKEN', reason: '<b>noor</b> was first.' }),
    ],
  ])('is valid HTML5 without script: claim, %s', async (_, claim) => {
    const spoke = memorySpoke({}, { claim: async () => claim })
    const text = await validPage(spoke, `${host('b.spoke')}/claim/${claimId}`)
    expect(text).not.toContain('<b>')
  })

  it('is valid with every kind of Markdown in it', async () => {
    const open = openLog(logOf('maria', { kind: 'post', slug: 'x', title: 'X', body: everything }))
    const text = await validPage(memorySpoke({ maria: open }), `${host('maria')}/2026/x`)
    expect(text).toContain('<h3>Three</h3>')
  })

  it('escapes titles and tags from strangers, and cuts none of a long title but in the tab', async () => {
    const open = openLog(
      logOf(
        'maria',
        { kind: 'profile', title: cruel, lang: 'es', body: '<b>x</b>' },
        { kind: 'post', slug: 'x', title: longCruel, tags: ['<i>'], body: cruel },
      ),
    )
    const spoke = memorySpoke({ maria: open })
    const lists = ['', '/search?q=script', '/tag/%3Ci%3E'].map((path) => host('') + path)
    for (const url of [...lists, host('maria'), `${host('maria')}/2026/x`]) {
      const text = await validPage(spoke, url)
      expect(text).not.toMatch(/<script|<i>|<b>/)
      expect(text).toContain(`${'w'.repeat(170)} &quot;&gt;&lt;script`)
    }
  })

  it('carries the security headers, and HSTS behind https only', async () => {
    for (const url of [
      host(''),
      host('maria'),
      'http://evil.example/',
      `${host('maria')}/key.asc`,
    ]) {
      const { headers } = await get(memorySpoke(blogs), url)
      expect(headers.get('content-security-policy')).toMatch(
        /^default-src 'none'; style-src 'sha256-[^']{44}'; img-src 'none'; form-action 'self' http:\/\/blogs\.localhost:8380 http:\/\/\*\.blogs\.localhost:8380; frame-ancestors 'none'; base-uri 'none'$/,
      )
      expect(headers.get('referrer-policy')).toBe('strict-origin')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('strict-transport-security')).toBeNull()
    }
    const https = memorySpoke(blogs, { origin: (name) => `https://${name}` })
    const { headers } = await get(https, host(''))
    expect(headers.get('strict-transport-security')).toBe('max-age=31536000')
  })

  it('has exactly the style whose hash the policy allows', async () => {
    const answer = await get(memorySpoke(blogs), host(''))
    const style = /<style>([^<]*)<\/style>/.exec(await answer.text())?.[1] ?? ''
    const hash = await crypto.subtle.digest('SHA-256', Buffer.from(style))
    const policy = answer.headers.get('content-security-policy')
    expect(policy).toContain(`'sha256-${Buffer.from(hash).toString('base64')}'`)
  })
})

describe('front page', () => {
  it('links every post by its own absolute address, in its language, with its first words', async () => {
    const text = await (await get(memorySpoke(blogs), host(''))).text()
    expect(text).toContain(
      `<li lang="ar" dir="rtl"><a href="${host('noor')}/2026/article-1">${udhr.ar.title}</a>`,
    )
    expect(text).toContain(
      `<li lang="zh-Hans" dir="ltr"><a href="${host('lihua')}/2026/article-1">`,
    )
    expect(text).toContain('<p>يولد جميع الناس أحرارا متساوين في الكرامة والحقوق.</p>')
    expect(text).toContain('first seen <time datetime="2026-05-03T14:05:09.000Z">3 May 2026</time>')
  })

  it('is the same at the zone, at the name of the spoke and at its address', async () => {
    const [zoned, ...others] = await Promise.all(
      [host(''), host('b.spoke'), 'http://127.0.0.12:8382', 'http://[::1]:8382'].map(async (url) =>
        (await get(memorySpoke(blogs), url)).text(),
      ),
    )
    for (const other of others) expect(other).toBe(zoned)
  })

  it('is not served for another spoke', async () => {
    expect((await get(memorySpoke(blogs), host('c.spoke'))).status).toBe(421)
  })

  it('takes no link from the Host header', async () => {
    const answer = await get(memorySpoke(blogs), 'http://x/', { host: `BLOGS.localhost.:6666` })
    expect(answer.status).toBe(200)
    expect(await answer.text()).not.toMatch(/6666|BLOGS/)
  })
})

describe('list page', () => {
  it('shows newest posts first, the words about the blog and the whole fingerprint', async () => {
    const open = openLog(
      logOf(
        'maria',
        { kind: 'profile', title: 'El blog de María', lang: 'es', body: 'Sobre *derechos*.' },
        { kind: 'post', slug: 'one', title: 'Uno', lang: 'es' },
        { kind: 'post', slug: 'two', title: 'Two', lang: 'en' },
      ),
    )
    const text = await (await get(memorySpoke({ maria: open }), host('maria'))).text()
    expect(text.indexOf('Two')).toBeLessThan(text.indexOf('Uno'))
    expect(text).toContain('<html lang="es" dir="ltr">')
    expect(text).toContain('Sobre <em>derechos</em>.')
    expect(text).toContain(fingerprint.match(/.{4}/g)?.join(' '))
    expect(text).toContain('<a lang="en" dir="ltr" href="/2026/two">Two</a>')
    for (const file of ['/key.asc', '/log.json', '/export.tar'])
      expect(text).toContain(`href="${file}"`)
  })

  it('gives fifty posts at a time', async () => {
    const said = Array.from(
      { length: 51 },
      (_, index): Said => ({ kind: 'post', slug: `p${index}`, title: `Post ${index}.` }),
    )
    const spoke = memorySpoke({ maria: openLog(logOf('maria', ...said)) })
    const first = await validPage(spoke, host('maria'))
    expect(first).toContain('Post 1.')
    expect(first).not.toContain('Post 0.')
    const older = /href="(\/\?before=\d+)"/.exec(first)?.[1]
    const second = await validPage(spoke, `${host('maria')}${older}`)
    expect(second).toContain('Post 0.')
    expect(second).not.toContain('Older posts')
  })
})

describe('post page', () => {
  it('says who signed, with which key and since when, and never "verified"', async () => {
    const text = await (await get(memorySpoke(blogs), `${host('noor')}/2026/article-1`)).text()
    expect(text.replace(/<[^>]*>/g, '')).toContain(
      'Signed by noor, key …66A8, first seen 3 May 2026.',
    )
    expect(text).not.toMatch(/verified/i)
    expect(text).toContain('<article lang="ar" dir="rtl">')
    expect(text).toContain('<strong>أحرارا متساوين</strong>')
    expect(text).toContain(`<link rel="canonical" href="${host('noor')}/2026/article-1">`)
    for (const path of ['/log/1.txt', '/log/1.txt.asc', '/key.asc']) {
      expect(text).toContain(`href="${path}"`)
    }
  })

  it('tells other sites its title, language and address by Open Graph', async () => {
    const text = await (await get(memorySpoke(blogs), `${host('noor')}/2026/article-1`)).text()
    const found = [...text.matchAll(/<meta property="og:([a-z_]+)" content="([^"]*)">/g)]
    expect(Object.fromEntries(found.map(([, name, content]) => [name, content]))).toMatchObject({
      ...{ type: 'article', title: udhr.ar.title, locale: 'ar_EG' },
      url: `${host('noor')}/2026/article-1`,
    })
  })

  it('shows the newest revision and leads to the others', async () => {
    const open = openLog(
      logOf(
        'maria',
        { kind: 'post', slug: 'x', title: 'Old', body: 'old words' },
        { kind: 'post', slug: 'x', title: 'New', body: 'new words', date: '2027-01-01T00:00:00Z' },
      ),
    )
    const text = await validPage(memorySpoke({ maria: open }), `${host('maria')}/2026/x`)
    expect(text).toContain('new words')
    expect(text).not.toContain('old words')
    expect(text).toContain('<a href="/history/x">')
  })

  it('does not show a removed post, says when it went and keeps its texts reachable', async () => {
    const open = openLog(
      logOf(
        'maria',
        { kind: 'post', slug: 'x', title: 'Regret', body: 'words' },
        { kind: 'retract', slug: 'x' },
      ),
    )
    const spoke = memorySpoke({ maria: open })
    const text = await validPage(spoke, `${host('maria')}/2026/x`, 410)
    expect(text.replace(/<[^>]*>/g, '')).toContain('removed by its author on 3 May 2026')
    expect(text).not.toMatch(/Regret|words/)
    expect(text).toContain('href="/log/1.txt"')
    expect((await get(spoke, `${host('maria')}/log/1.txt`)).status).toBe(200)
  })

  it('sends a wrong year to the right one', async () => {
    const answer = await get(memorySpoke(blogs), `${host('maria')}/2025/article-1`)
    expect(answer.status).toBe(308)
    expect(answer.headers.get('location')).toBe('/2026/article-1')
  })

  it('says so when no holder hands out the text', async () => {
    const open = openLog(logOf('maria', article('es')), { entry: async () => null })
    await validPage(memorySpoke({ maria: open }), `${host('maria')}/2026/article-1`, 503)
  })
})

describe('claim page', () => {
  const spoke = memorySpoke({}, { claim: async (id) => (id === claimId ? claimOf({}) : null) })

  it('shows each step with its time and looks again while pending', async () => {
    const answer = await get(spoke, `${host('b.spoke')}/claim/${claimId}`)
    expect(answer.headers.get('refresh')).toBe('2')
    const text = await answer.text()
    expect(text).toContain('3 May 2026 at 14:05:09 UTC')
    expect(text).toContain('no answer &lt;in time&gt;')
    expect(text).toContain(
      `Come back in a few minutes to <code>${host('')}/claim/${claimId}</code>`,
    )
  })

  it('gives programs the same as JSON', async () => {
    const answer = await get(spoke, `${host('')}/claim/${claimId}`, { accept: 'application/json' })
    expect(await answer.json()).toEqual({
      ...{ id: claimId, blog: 'maria', state: 'pending', url: `${host('maria')}/` },
      steps: [
        { step: 'checked', state: 'done', at: '2026-05-03T14:05:09.000Z', detail: '' },
        {
          step: 'asked-dns',
          state: 'failed',
          at: '2026-05-03T14:05:09.000Z',
          detail: 'no answer <in time>',
        },
        { step: 'asked-authority', state: 'waiting', at: null, detail: '' },
      ],
    })
  })

  it.each(['d'.repeat(64), 'x', '%00', '..%2f'])('is not there for the id %j', async (id) => {
    expect((await get(spoke, `${host('')}/claim/${id}`)).status).toBe(404)
  })
})

describe('edit host', () => {
  it('sends the form that the council did not choose to the canonical one', async () => {
    const answer = await get(memorySpoke(blogs), `${host('edit--maria')}/x?y=1`)
    expect(answer.status).toBe(308)
    expect(answer.headers.get('location')).toBe(`${host('edit.maria')}/x?y=1`)
  })
})
