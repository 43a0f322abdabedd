import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { bloggerCommands } from '../../../src/node/blogger/commands.ts'
import type { LogProof } from '../../../src/replication/log/archive.ts'
import type { Entry, Genesis } from '../../../src/replication/log/entry.ts'
import { createApp } from '../../../src/web/app.ts'
import { runCommand } from '../../support/command.ts'
import { has } from '../../support/debian.ts'
import { GpgHome } from '../../support/gpg.ts'
import { memorySpoke, openLog } from '../../web/memory-spoke.ts'
import { startMs, WrittenCouncil, WrittenLog } from './written-log.ts'

const host = 'maria.blogs.localhost'
type Answer = { status: number; body: Buffer }

describe.skipIf(!has('gpg'))('verify <URL>', () => {
  const gpg = new GpgHome()
  let council: WrittenCouncil
  let key: string
  let other: string
  let log: WrittenLog
  let proof: LogProof
  /** what the server says instead of what a spoke would */
  const lies = new Map<string, (answer: Answer) => Answer | Promise<Answer>>()
  /** the log that the server shows */
  let shown: WrittenLog

  const honest = async (of: WrittenLog, path: string): Promise<Answer> => {
    const entries = of.entries.map(({ entry }) => entry) as [Genesis, ...Entry[]]
    const open = openLog(entries, {
      entry: async (seq) => {
        const found = of.entries[seq]
        return found === undefined ? null : { ...found, firstSeenMs: startMs }
      },
      proof: async () => ({ published: entries.length - 1, ...of.proofs.value }),
    })
    const app = createApp(memorySpoke({ maria: open }), (error) => {
      throw error
    })
    const answer = await app.request(`http://${host}${path}`)
    return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) }
  }
  const server = createServer((request, response) => {
    void (async () => {
      const path = request.url ?? '/'
      const answer = await honest(shown, path)
      const { status, body } = (await lies.get(path.replace(/\?.*/, ''))?.(answer)) ?? answer
      response.writeHead(status).end(body)
    })()
  })
  const url = (path: string) => `http://${host}:${(server.address() as AddressInfo).port}${path}`

  beforeAll(async () => {
    council = await WrittenCouncil.start()
    key = gpg.makeKey('Maria <maria@example.org>')
    other = gpg.makeKey('Eva <eva@example.org>')
    log = await written(key)
    proof = log.proofs.value
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  afterAll(() => {
    gpg[Symbol.dispose]()
    server.closeAllConnections()
    server.close()
  })
  beforeEach(() => {
    lies.clear()
    shown = log
    log.proofs.value = proof
  })

  const post = '/2026/what-is-a-council'
  async function written(signer: string): Promise<WrittenLog> {
    const made = await WrittenLog.begin(gpg, signer, council.council)
    made
      .post({ slug: 'what-is-a-council', title: 'What?', body: 'Old words.' })
      .post({
        slug: 'what-is-a-council',
        title: 'What is <it>?',
        body: 'A *net* & [more](https://example.org/?a=1&b=2).\n\n- one\\\n  two\n\n| a | b |\n|---|---|\n| 1 | 2 |',
      })
      .post({ slug: 'gone' })
    made.add({ kind: 'retract', ...made.next(), slug: 'gone', body: '' })
    made.proofs.value = council.proof(made)
    return made
  }

  const run = (...args: string[]) =>
    runCommand(bloggerCommands, ['verify', ...args], { now: () => startMs })
  const replace = (old: string | RegExp, by: string) => (answer: Answer) => ({
    ...answer,
    body: Buffer.from(answer.body.toString('latin1').replace(old, by), 'latin1'),
  })

  it.each<[string, string, number, string, () => unknown]>([
    [
      'an altered word in the archive',
      post,
      1,
      'Entry 2 is bad',
      () => lies.set('/export.tar', replace('A *net*', 'A *cat*')),
    ],
    [
      'an entry left out',
      post,
      1,
      'older than what it or a replica has signed for',
      () => {
        shown = cut(log, 4)
        lies.set('/log.json', async () => honest(log, '/log.json?limit=1'))
      },
    ],
    [
      'another key from some entry on',
      '/',
      1,
      'Entry 5 is bad',
      async () => {
        shown = await written(key)
        shown.use(other).post()
      },
    ],
    [
      'a log of somebody else under the name, without an act',
      '/',
      1,
      'it may be anybody',
      async () => {
        shown = await written(other)
        shown.proofs.value = { ...proof, act: null, receipts: [] }
      },
    ],
    [
      'a log of somebody else under the act of the real one',
      '/',
      1,
      'does not assign this blog',
      async () => {
        shown = await written(other)
        shown.proofs.value = proof
      },
    ],
    [
      'another log in its list',
      '/',
      1,
      'lists another log',
      async () => {
        const eva = await written(other)
        lies.set('/log.json', () => honest(eva, '/log.json?limit=1'))
      },
    ],
    [
      'another head in its list',
      '/',
      1,
      'lists another entry 4',
      () => {
        lies.set('/log.json', replace(/("head":\{"seq":4,"id":")[0-9a-f]{8}/, '$100000000'))
      },
    ],
    [
      'a page with another title',
      post,
      1,
      'its title differs',
      () => lies.set(post, replace('<h1>What is', '<h1>Who is')),
    ],
    [
      'a page with another word',
      post,
      1,
      'its words differ',
      () => lies.set(post, replace('<em>net', '<em>cat')),
    ],
    [
      'a page with a word more',
      post,
      1,
      'its words differ',
      () => lies.set(post, replace('</article>', '<p>Vote!</p></article>')),
    ],
    [
      'a page whose link leads elsewhere',
      post,
      1,
      'its links differ',
      () => lies.set(post, replace('https://example.org', 'https://evil.example')),
    ],
    [
      'a page with a second article',
      post,
      1,
      'its title differs',
      () => lies.set(post, replace('</article>', '</article><article><h1>x</h1></article>')),
    ],
    [
      'a page with the older version',
      post,
      1,
      'its title differs',
      async () => {
        lies.set(post, () => honest(cut(log, 2), post))
      },
    ],
    [
      'no page',
      post,
      1,
      'does not show it (status 404)',
      () => lies.set(post, () => ({ status: 404, body: Buffer.from('') })),
    ],
    [
      'no page now',
      post,
      3,
      'does not show it (status 503)',
      () => lies.set(post, () => ({ status: 503, body: Buffer.from('') })),
    ],
    [
      'a removed post as if it were there',
      '/2026/gone',
      1,
      'took this post back with entry 4',
      () => lies.set('/2026/gone', () => honest(log, post)),
    ],
    [
      'a post that nobody signed',
      '/2026/invented',
      1,
      'has signed no post',
      () => lies.set('/2026/invented', () => honest(log, post)),
    ],
    [
      'a post under another year',
      '/2025/what-is-a-council',
      1,
      'has signed no post',
      () => undefined,
    ],
    [
      'a redirect',
      post,
      1,
      'redirect',
      () => lies.set('/log.json', () => ({ status: 302, body: Buffer.from('') })),
    ],
    [
      'something else than JSON',
      post,
      1,
      'not what a spoke says',
      () => lies.set('/log.json', () => ({ status: 200, body: Buffer.from('<h1>') })),
    ],
    [
      'an archive without end',
      post,
      1,
      'The archive has no end',
      () =>
        lies.set('/export.tar', (answer) => ({ ...answer, body: answer.body.subarray(0, -1024) })),
    ],
  ])('finds out a server that shows %s', async (_, path, exit, words, lie) => {
    await lie()
    const ran = await run(url(path))
    expect([ran.exit, ran.err]).toEqual([exit, expect.stringContaining(words)])
    expect(ran.out).toEqual([])
  })

  /** The first entries of a log. */
  function cut(of: WrittenLog, entries: number): WrittenLog {
    const part = Object.assign(Object.create(WrittenLog.prototype), of) as WrittenLog
    Object.assign(part, { entries: of.entries.slice(0, entries), proofs: { value: proof } })
    part.proofs.value = council.proof(part)
    return part
  }

  it('says which entry a page shows, who signed it, and which replicas hold it since when', async () => {
    const { exit, out, err } = await run(url(post))
    expect([exit, err]).toEqual([0, ''])
    const entry = log.entries[2]?.entry as Entry
    for (const line of [
      `key       ${key}`,
      'post      entry 2, version 2 of what-is-a-council: What is <it>?',
      `entry id  ${entry.id}`,
      `signed    by maria with the key ${key}, dated ${entry.date}`,
      'held      by 3 of 3 replicas: a since 2026-11-23T03:40:00Z, b since 2026-11-23T03:40:00Z, c since 2026-11-23T03:40:00Z at the latest; published',
      'page      shows the title, words and links of this entry',
    ]) {
      expect(out).toContain(line)
    }
    const [json] = (await run(url(post), '--json')).out
    expect(JSON.parse(json ?? '')).toMatchObject({
      ...{ blog: 'maria', council: council.council, head: { seq: 4 } },
      post: {
        state: 'shown',
        seq: 2,
        id: entry.id,
        key,
        slug: 'what-is-a-council',
        published: true,
      },
    })
  })

  it('says that a post was taken back, where the page says so too', async () => {
    const { exit, out } = await run(url('/2026/gone'))
    expect(exit).toBe(0)
    expect(out).toContain(
      'post      taken back by its author with entry 4; its versions are in the log',
    )
  })

  it('checks a blog as it checks an archive, at the spoke that --at names', async () => {
    const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const { exit, out } = await run(`https://${host}/`, '--at', at)
    expect(exit).toBe(0)
    expect(out).toContain(
      'blog      maria, 5 entries, 2 posts, 2026-11-23T03:40:00Z to 2026-11-23T03:44:00Z',
    )
    expect(out.join('\n')).toContain('published up to entry 4')
  })

  it('warns of a page in other HTML', async () => {
    lies.set(post, replace('<em>net</em>', '<em hidden>net</em>'))
    const { exit, err } = await run(url(post))
    expect([exit, err]).toEqual([0, expect.stringContaining('in other HTML')])
  })

  it.each([
    ['http://localhost/', 'usage'],
    ['http://b.spoke.blogs.localhost:1/', 'usage'],
    ['http://127.0.0.1/', 'usage'],
    ['http://edit.maria.blogs.localhost/', 'usage'],
    ['http://me@maria.blogs.localhost/', 'usage'],
    ['http://maria.blogs.localhost/archive', 'usage'],
    ['http://maria.blogs.localhost/2026/What', 'usage'],
    ['https:///', 'usage'],
    ['http://maria.blogs.localhost:1/', 'unreachable'],
  ])('refuses %s', async (address, exit) => {
    const ran = await run(address)
    expect(ran.exit).toBe(exit === 'usage' ? 2 : 5)
  })
})
