import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createAdaptorServer } from '@hono/node-server'
import { parseAtomFeed } from 'feedsmith'
import { HtmlValidate } from 'html-validate'
import { describe, expect, it } from 'vitest'
import { sentenceOf } from '../../src/web/act-sentence.ts'
import { createApp } from '../../src/web/app.ts'
import type { WebSpoke } from '../../src/web/spoke.ts'
import {
  actOf,
  assignFields,
  fakeId,
  member,
  peer,
  TestCouncil,
} from '../replication/test-council.ts'
import { actsOf, memorySpoke, sha256, zone } from './memory-spoke.ts'

const run = promisify(execFile)
const cruel = `<img src=x> & "quotes" ]]> 'x'`
const small = new TestCouncil().admit(0, 1, 2)
small.write({
  kind: 'admit',
  policy: 'open',
  member: member(3, { operator: cruel }),
})
small.write(assignFields())

/** 2 + 120 acts in @names, 11 in @roster, some between others. */
const large = new TestCouncil().admit(1, 2, 3)
for (let n = 0; n < 120; n++) {
  large.write(assignFields({ blog: `blog${n}` as never, genesis: fakeId('1a') }))
  if (n % 15 === 7) large.write({ kind: 'change', member: member(1 + (n % 3)) })
}

const bug = (error: unknown) => {
  throw error
}
const spokeOf = (council: TestCouncil, more: Partial<WebSpoke> = {}) =>
  memorySpoke({}, { ...actsOf(council), ...more })
const get = (spoke: WebSpoke, path: string, host = zone) =>
  createApp(spoke, bug).request(new Request(`http://${host}${path}`))
const withoutNames = (council: TestCouncil): Partial<WebSpoke> => {
  const { acts } = actsOf(council)
  return { acts: async (log, ...more) => (log === '@names' ? 'unreachable' : acts(log, ...more)) }
}
const validator = new HtmlValidate({ extends: ['html-validate:recommended'], root: true })

async function validPage(spoke: WebSpoke, path: string): Promise<string> {
  const answer = await get(spoke, path)
  const text = await answer.text()
  expect(answer.status, text).toBe(200)
  const { results } = await validator.validateString(text)
  expect(results.flatMap(({ messages }) => messages.map((m) => m.message))).toEqual([])
  expect(text).not.toContain('<script')
  expect(text.length).toBeLessThan(30_000)
  return text
}

/** Log and seq of each act on a page, as they stand there. */
const shownOn = (text: string) => [...text.matchAll(/(@[a-z]+ [0-9]+): <a/g)].map(([, at]) => at)
const olderOn = (text: string) => /href="http:\/\/[^/"]+([^"]+)">Older acts/.exec(text)?.[1]

describe('/acts', () => {
  it('says each act of both logs in a sentence, the newest first', async () => {
    const text = await validPage(spokeOf(small), '/acts')
    expect(shownOn(text)).toEqual([
      ...['@names 1', '@roster 4', '@roster 3', '@roster 2', '@roster 1', '@names 0', '@roster 0'],
    ])
    expect(text).toContain('Spoke s2, run by operator 2, was admitted.')
    expect(text).toContain('maria is kept by s1 (takes the writes), s2 and s3')
    expect(text).toContain('datetime="2026-11-23T03:40:01Z">23 November 2026 at 03:40:01 UTC')
    expect(olderOn(text)).toBeUndefined()
  })

  it('escapes the words of operators', async () => {
    const text = await validPage(spokeOf(small), '/acts')
    expect(text).toContain('run by &lt;img src=x&gt; &amp; &quot;quotes&quot;')
  })

  it('leads through all acts, each once, 50 at a time', async () => {
    const seen: (string | undefined)[] = []
    let path: string | undefined = '/acts'
    let pages = 0
    for (; path !== undefined; pages++) {
      const text: string = await validPage(spokeOf(large), path)
      seen.push(...shownOn(text))
      path = olderOn(text)
    }
    const all = [...large.namesProofs, ...large.rosterProofs]
      .map(actOf)
      .sort((a, b) => b.dateMs - a.dateMs)
      .map(({ log, seq }) => `${log} ${seq}`)
    expect(seen).toEqual(all)
    expect(pages).toBe(3)
  })

  it('stays on the spoke that answered, and names the zone for whoever keeps or copies it', async () => {
    const text = await validPage(spokeOf(small), '/acts')
    expect(text).toContain(`href="http://b.spoke.${zone}:8380/acts/names/1.txt"`)
    expect(text).toContain(`rel="canonical" href="http://${zone}:8380/acts"`)
    expect(text).toContain(`type="application/atom+xml" href="http://${zone}:8380/acts.atom"`)
    expect(text).toContain(`curl -O http://${zone}:8380/acts/names/1.txt`)
  })

  it('shows @roster, and says so, when nobody hands out @names', async () => {
    const text = await validPage(spokeOf(small, withoutNames(small)), '/acts')
    expect(text).toContain('none of the servers that keep this list answers now')
    expect(shownOn(text)).toEqual([4, 3, 2, 1, 0].map((seq) => `@roster ${seq}`))
    expect(olderOn(text)).toBeUndefined()
  })

  it('keeps the place in @names on the way through @roster', async () => {
    const many = new TestCouncil()
    for (let n = 0; n < 60; n++) {
      const name = `p${n}`
      many.rosterProofs.push(many.draft({ kind: 'change', member: member(1, { name }) }).proof)
    }
    const rows = many.rosterProofs.map((proof, seq) => ({ act: { ...actOf(proof), seq }, proof }))
    const acts: WebSpoke['acts'] = async (log, before, limit) =>
      log === '@names' ? 'unreachable' : rows.slice(0, before).slice(-limit).reverse()
    const spoke = memorySpoke({}, { roster: () => many.roster, acts })
    const older = olderOn(await validPage(spoke, '/acts'))
    expect(older).toBe('/acts?before=roster:11,names:999999999999999')
    expect(shownOn(await validPage(spoke, older as string))).toHaveLength(11)
  })

  it('is a page before this spoke has joined, and beyond the last act', async () => {
    expect(await validPage(memorySpoke({}), '/acts')).toContain('has not joined its council yet')
    const text = await validPage(spokeOf(small), '/acts?before=roster:0,names:0')
    expect(text).toContain('There are no older acts.')
  })

  it.each([
    '',
    '7',
    'roster:7',
    'roster:-1,names:2',
    'roster:1,names:x',
    `roster:${'9'.repeat(16)},names:1`,
  ])('refuses the cursor %j', async (before) => {
    const answer = await get(spokeOf(small), `/acts?before=${before}`)
    expect(answer.status).toBe(400)
    expect(await answer.text()).toContain('QUERY_MALFORMED')
  })

  it('is linked from the front page, and no page of a blog', async () => {
    const front = await (await get(spokeOf(small), '/')).text()
    expect(front).toContain(
      `<a href="http://b.spoke.${zone}:8380/acts">What this council decided: public acts</a>`,
    )
    expect((await get(spokeOf(small), '/acts', `b.spoke.${zone}`)).status).toBe(200)
    expect((await get(spokeOf(small), '/acts', `edit.maria.${zone}`)).status).toBe(404)
  })
})

describe('the files of an act', () => {
  it('are the exact bytes, the raw signature, and the proof', async () => {
    for (const proof of [...small.rosterProofs, ...small.namesProofs]) {
      const { log, seq, id } = actOf(proof)
      const file = async (ending: string) => {
        const answer = await get(spokeOf(small), `/acts/${log.slice(1)}/${seq}.${ending}`)
        expect(answer.status).toBe(200)
        return answer
      }
      const text = await file('txt')
      expect(text.headers.get('content-type')).toBe('text/plain; charset=utf-8')
      expect(sha256(new Uint8Array(await text.arrayBuffer()))).toBe(id)
      const signature = Buffer.from(await (await file('sig')).arrayBuffer())
      expect(signature.equals(proof.signature)).toBe(true)
      const json = (each: typeof proof | (typeof proof.receipts)[number]) => ({
        text: Buffer.from(each.text).toString(),
        signature: Buffer.from(each.signature).toString('base64'),
      })
      expect(await (await file('json')).json()).toEqual({
        ...{ log, seq, id, ...json(proof), receipts: proof.receipts.map(json) },
      })
    }
  })

  it.each([
    ...['/acts/roster/5.txt', '/acts/names/2.sig', '/acts/names/999999999999999.json'],
    ...['/acts/maria/0.txt', '/acts/@roster/0.txt', '/acts/roster/00.txt', '/acts/roster/0.asc'],
    ...['/acts/roster/-1.txt', '/acts/roster', `/acts/authority.pem?peer=${peer(9).peer}`],
  ])('do not exist at %s', async (path) => {
    const answer = await get(spokeOf(small), path)
    expect(answer.status).toBe(404)
    if (path.endsWith('.json'))
      expect(await answer.json()).toMatchObject({ error: { code: 'PAGE_NOT_FOUND' } })
  })

  it('are to be had later when nobody hands out @names', async () => {
    const spoke = spokeOf(small, withoutNames(small))
    expect((await get(spoke, '/acts/names/0.txt')).status).toBe(503)
    expect((await get(spoke, '/acts/roster/0.txt')).status).toBe(200)
  })
})

/** The app on a real port, and a shell in an empty folder. */
async function serve(council: TestCouncil) {
  let port = 0
  const spoke = spokeOf(council, { origin: (host) => `http://${host}:${port}` })
  const app = createApp(spoke, bug)
  const server = createAdaptorServer({ fetch: app.fetch })
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening)
  })
  port = (server.address() as AddressInfo).port
  const folder = await mkdtemp(join(tmpdir(), 'council-acts-'))
  return {
    folder,
    page: async (path = '/acts') => (await get(spoke, path)).text(),
    shell: (code: string) => run('sh', ['-ec', code], { cwd: folder }),
    [Symbol.asyncDispose]: async () => {
      await new Promise((stopped) => server.close(stopped))
      await rm(folder, { recursive: true })
    },
  }
}

const linesOn = (page: string) =>
  (/<pre><code>([^<]*)<\/code>/.exec(page)?.[1] ?? '').replaceAll('&#39;', "'")

const openssl = await run('openssl', ['version']).then(
  ({ stdout }) => stdout.startsWith('OpenSSL 3'),
  () => false,
)

describe.skipIf(!openssl)('the openssl lines', () => {
  it('work when pasted from the page into a shell in an empty folder', async () => {
    await using served = await serve(small)
    const lines = linesOn(await served.page())
    const { stdout } = await served.shell(lines)
    expect(stdout).toContain('Signature Verified Successfully')

    await writeFile(join(served.folder, '1.txt'), 'another text')
    const check = lines.split('\n').find((line) => line.startsWith('openssl')) ?? ''
    await expect(served.shell(check)).rejects.toThrow()
  })

  it('ask for the key of the authority that signed, after another took over too', async () => {
    const moved = new TestCouncil().admit(1)
    const authority = peer(1).peer
    moved.write({ kind: 'authority', authority, standby: null, votes: null })
    await using served = await serve(moved)
    const lines = linesOn(await served.page())
    expect(lines).toContain(`/acts/authority.pem?peer=${peer(0).peer}'`)
    expect((await served.shell(lines)).stdout).toContain('Signature Verified Successfully')

    moved.write({ kind: 'change', member: member(1) }, { signer: peer(1) })
    const newer = linesOn(await served.page())
    expect(newer).toContain("/acts/authority.pem'")
    expect((await served.shell(newer)).stdout).toContain('Signature Verified Successfully')
  })
})

describe('/acts.atom', () => {
  it('has the newest 50 acts, as they stand on the page', async () => {
    const answer = await get(spokeOf(large), '/acts.atom')
    expect(answer.headers.get('content-type')).toBe('application/atom+xml; charset=utf-8')
    const feed = parseAtomFeed(await answer.text())
    const newest = [...large.namesProofs, ...large.rosterProofs]
      .map(actOf)
      .sort((a, b) => b.dateMs - a.dateMs)
      .slice(0, 50)
    expect(
      feed.entries?.map(({ id, title, updated, links }) => ({ id, title, updated, links })),
    ).toEqual(
      newest.map((act) => {
        const url = `http://${zone}:8380/acts/${act.log.slice(1)}/${act.seq}.txt`
        return {
          id: `tag:${zone},2026:/acts/${act.log.slice(1)}/${act.seq}.txt`,
          title: expect.objectContaining({ value: sentenceOf(act, large.roster) }),
          updated: new Date(act.dateMs).toISOString(),
          links: [{ href: url }],
        }
      }),
    )
    expect(feed).toMatchObject({
      id: `http://${zone}:8380/acts`,
      updated: new Date(newest[0]?.dateMs ?? 0).toISOString(),
      links: [
        { rel: 'alternate', href: `http://${zone}:8380/acts` },
        { rel: 'self', href: `http://${zone}:8380/acts.atom` },
      ],
    })
  })

  it('makes no HTML of the words of operators', async () => {
    const text = await (await get(spokeOf(small), '/acts.atom')).text()
    expect(text).toContain('run by &lt;img src=x&gt; &amp; &quot;quotes&quot; ]]&gt;')
    expect(parseAtomFeed(text).entries).toHaveLength(7)
  })

  it('says when the acts of @names are missing, and waits for @roster', async () => {
    const partly = await get(spokeOf(small, withoutNames(small)), '/acts.atom')
    expect(await partly.text()).toContain('The acts of @names are missing')
    expect((await get(memorySpoke({}), '/acts.atom')).status).toBe(503)
    expect((await get(memorySpoke({}), '/acts/authority.pem')).status).toBe(503)
  })
})
