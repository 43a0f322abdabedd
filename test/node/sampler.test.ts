import { describe, expect, it } from 'vitest'
import { type Check, judgeServed, Sampler } from '../../src/node/sampler.ts'
import type { Served, visitSpoke } from '../../src/node/visit-spoke.ts'
import type { Finding } from '../../src/replication/exchange/reports.ts'
import { Blog } from '../../src/replication/log/blog.ts'
import { decodeEntry, type Entry } from '../../src/replication/log/entry.ts'
import { decodeReceipt, signReceipt } from '../../src/replication/log/receipt.ts'
import { renderMarkdown } from '../../src/web/markdown.ts'
import { blogIngest, TestAuthor, TestLog } from '../replication/test-author.ts'
import {
  fakeId,
  forge,
  must,
  peer,
  replica,
  startMs,
  TestClock,
  TestCouncil,
  TestDisk,
} from '../replication/test-council.ts'

const council = `blogs.example.org/${'5f'.repeat(32)}`
const maria = await TestAuthor.make('maria')
const log = await (await TestLog.begin(council, maria)).posts(4)
const fork = await log.branch(3).posts(1, 'Another')
const ingest = blogIngest(new TestDisk().store, council)
await ingest.offer('maria', log.offers, { way: 'push', following: { epoch: 1, head: log.head } })

const seq = 3
const entry = log.at(seq).entry as Entry & { kind: 'post' }
const signature = Buffer.from((await ingest.read('maria', seq))?.signature ?? []).toString()
const path = '/2026/post'

const receipt = (upTo: number) =>
  must(
    decodeReceipt(
      signReceipt(peer(2), {
        ...{ council, log: 'maria', head: { seq: upTo, id: log.at(upTo).entry.id } },
        ...{ act: fakeId('cd'), epoch: 1, replica: replica(2), sinceMs: startMs, atMs: startMs },
      }).signed,
    ),
  )
const check = (change: Partial<Check> = {}): Check => ({
  ...{ entry, signature, target: { peer: peer(2).peer }, receipt: receipt(4) },
  isSigned: (text, by) => ingest.signatures.verify('maria', { text, signature: by }),
  idAt: (at) => ingest.idAt('maria', at),
  ...change,
})
const served = (body: Uint8Array | string, status = 200): Served => ({
  status,
  body: Buffer.from(body),
})
const page = (title = entry.title, body = entry.body) =>
  served(`<article><h1>${title}</h1>\n${renderMarkdown(body)}\n</article>`)
const list = (head: object) => served(JSON.stringify({ head }))
const right = {
  '/log/3.txt': served(entry.text),
  '/log/3.txt.asc': served(signature),
  '/log.json?limit=1': list(log.head),
  [path]: page(),
}
const judge = async (change: Record<string, Served> = {}, by: Partial<Check> = {}) =>
  (await judgeServed(check(by), new Map(Object.entries({ ...right, ...change })), path)).map(
    ({ asked, found }) => `${asked}: ${found}`,
  )

describe('judgeServed', () => {
  const altered = forge(entry.text, 'Text', 'Tent')
  const other = fork.at(3)
  const gone = served('', 404)

  it.each<[string, Record<string, Served>, string]>([
    ['an altered text', { '/log/3.txt': served(altered) }, '/log/3.txt: another text'],
    [
      'the text of another entry',
      { '/log/3.txt': served(log.at(2).offer.text) },
      '/log/3.txt: another text',
    ],
    [
      'a text cut short',
      { '/log/3.txt': served(entry.text.subarray(0, 100)) },
      '/log/3.txt: another text',
    ],
    ['no text', { '/log/3.txt': gone }, '/log/3.txt: status 404'],
    ['no right to it', { '/log/3.txt': served('', 403) }, '/log/3.txt: status 403'],
    [
      'another entry’s signature',
      { '/log/3.txt.asc': served(log.at(2).offer.signature) },
      '/log/3.txt.asc: a signature that does not hold',
    ],
    [
      'another version with a signature that is not hers',
      { '/log/3.txt': served(other.offer.text), '/log/3.txt.asc': served(signature) },
      '/log/3.txt: another text',
    ],
    [
      'a page with other words',
      { [path]: page(entry.title, 'Something else.') },
      `${path}: another words`,
    ],
    ['a page with another title', { [path]: page('Something else') }, `${path}: another title`],
    [
      'a list with another head',
      { '/log.json?limit=1': list({ seq: 4, id: fakeId('ab') }) },
      '/log.json?limit=1: another entry 4',
    ],
    [
      'an old list',
      { '/log.json?limit=1': list({ seq: 2, id: log.at(2).entry.id }) },
      '/log.json?limit=1: its list ends at entry 2',
    ],
  ])('finds %s', async (_, change, found) => {
    expect(await judge(change)).toEqual([found])
  })

  it.each([408, 429, 500, 503, 507])(
    'finds nothing in a spoke that cannot answer now, by status %i',
    async (status) => {
      expect(await judge({ '/log/3.txt': served('', status) })).toEqual([])
    },
  )

  it.each<[string, Record<string, Served>, Partial<Check>?]>([
    ['what is right', {}],
    [
      'the same signature in another armor',
      { '/log/3.txt.asc': served(signature.replaceAll('\n', '\r\n')) },
    ],
    [
      'a version that the author has signed too',
      { '/log/3.txt': served(other.offer.text), '/log/3.txt.asc': served(other.offer.signature) },
    ],
    [
      'the same words in other elements',
      { [path]: page(entry.title, entry.body.replaceAll('Text', '*Text*')) },
    ],
    ['a page that is not there', { [path]: gone }],
    [
      'a list of more than is known here',
      { '/log.json?limit=1': list({ seq: 9, id: fakeId('ab') }) },
    ],
    ['no list', { '/log.json?limit=1': served('<html>') }],
    ['no text at a spoke that owes none', { '/log/3.txt': gone }, { receipt: null }],
    ['no text behind what its receipt covers', { '/log/3.txt': gone }, { receipt: receipt(2) }],
    [
      'an old list at a spoke that owes none',
      { '/log.json?limit=1': list({ seq: 2, id: log.at(2).entry.id }) },
      { receipt: null },
    ],
  ])('has nothing against %s', async (_, change, by = {}) => {
    expect(await judge(change, by)).toEqual([])
  })

  it('hands in the bytes, and whose entry belongs there', async () => {
    const [found] = await judgeServed(
      check(),
      new Map(Object.entries({ ...right, '/log/3.txt': served(altered) })),
      path,
    )
    expect(found).toMatchObject({ peer: peer(2).peer, log: 'maria', seq: 3, id: entry.id })
    expect(Buffer.compare(found?.served ?? Buffer.alloc(0), altered)).toBe(0)
    expect(decodeEntry(entry.text).ok).toBe(true)
  })
})

describe('Sampler', () => {
  const looked = peer(2).peer
  const own = new TestCouncil().admit(1, 2)
  const blog = new Blog(log.at(0).entry as never)
  for (const { entry: each } of log.entries.slice(1)) blog.fold(each)
  type Answer = Awaited<ReturnType<typeof visitSpoke>>
  /** What a reader gets where all is well. */
  const allWell = (paths: readonly string[]): Answer => ({
    ok: true,
    value: new Map(
      paths.map((each) => {
        const at = Number(/^\/log\/(\d+)\.txt/.exec(each)?.[1] ?? -1)
        const { text, signature: by } = log.entries[at]?.offer ?? {}
        if (each.endsWith('.asc')) return [each, served(by ?? '')]
        if (each.endsWith('.txt')) return [each, served(text ?? '')]
        return [each, each.startsWith('/log.json') ? list(log.head) : served('', 404)]
      }),
    ),
  })
  const status = (code: number) => (paths: readonly string[]) => ({
    ...{ ok: true as const, value: new Map(paths.map((each) => [each, served('', code)])) },
  })
  const silent = (): Answer => ({ ok: false, code: 'VISIT_UNREACHABLE', reason: 'no answer' })

  function sampling(
    given: { isConnected?: boolean; owes?: boolean; roster?: () => typeof own.roster } = {},
  ) {
    const { isConnected = true, owes = true, roster = () => own.roster } = given
    const clock = new TestClock(startMs + 3_600_000)
    const filed: Finding[] = []
    const kept = {
      ...{ role: 'secondary', assignment: { blog: 'maria' } },
      receipts: { of: () => (owes ? receipt(4) : null) },
    }
    let answer: (paths: readonly string[], of: string) => Answer = allWell
    const sampler = new Sampler({
      exchange: {
        council: { roster },
        replicas: { all: () => [kept], isDamaged: () => false, get: () => kept },
        ingest,
        reports: { file: (finding: Finding) => filed.push(finding) },
        network: { connected: () => (isConnected ? [looked, peer(3).peer] : []) },
      } as never,
      spoke: {
        origin: (host: string) => `http://${host}`,
        openBlog: async () => ({
          ...{ held: true, blog },
          entry: async (at: number) => ({
            entry: log.at(at).entry,
            signature: Buffer.from(log.at(at).offer.signature).toString(),
          }),
        }),
      } as never,
      ...{ self: peer(1).peer, clock, newNonce: () => 'ab' },
      visit: async (_web, { peer: of }, _host, paths) => answer(paths, of),
    })
    /** Looks each minute. */
    const look = async (minutes: number, by: typeof answer) => {
      answer = by
      for (let minute = 0; minute < minutes; minute++) {
        await sampler.sample()
        await clock.pass(60_000)
      }
      return filed.splice(0)
    }
    return look
  }

  it('reports one that tells readers for over ten minutes that it cannot now', async () => {
    const look = sampling()
    expect(await look(5, allWell)).toEqual([])
    expect(await look(10, status(503))).toEqual([])
    expect(await look(1, status(503))).toMatchObject([
      {
        ...{ peer: looked, kind: 'page', log: 'maria', served: null, answer: null, receipt: null },
        found: 'no answer for 10 minutes: status 503',
      },
    ])
    expect(await look(10, status(429))).toEqual([])
    expect(await look(1, allWell)).toEqual([])
    expect(await look(10, status(503))).toEqual([])
  })

  it('takes one that says nothing for silent, not one behind a proxy that closes each connection', async () => {
    const { roster } = new TestCouncil().admit(1, 2, 3)
    const run = (code: string) =>
      sampling({ roster: () => roster })(40, (paths, of) =>
        of === looked ? { ok: false, code, reason: 'closed' } : allWell(paths),
      )
    expect((await run('VISIT_UNREACHABLE')).map(({ peer: of }) => of)).toContain(looked)
    expect(await run('VISIT_OTHER')).toEqual([])
  })

  it('begins anew with one that was away meanwhile', async () => {
    let isAway = false
    const roster = () => {
      const members = new Map(own.roster.members)
      for (const [key, each] of members) {
        if (each.peer === looked) members.set(key, { ...each, away: isAway })
      }
      return { ...own.roster, members }
    }
    const look = sampling({ roster })
    expect(await look(8, status(503))).toEqual([])
    isAway = true
    expect(await look(8, status(503))).toEqual([])
    isAway = false
    expect(await look(8, status(503))).toEqual([])
  })

  it.each<[string, Parameters<typeof sampling>[0], (paths: readonly string[]) => Answer]>([
    ['one that is not connected', { isConnected: false }, status(503)],
    ['one that has signed for nothing that was asked', { owes: false }, status(503)],
    ['one that answers nobody here, where nobody else is', {}, silent],
    ['one that answers', {}, allWell],
  ])('has nothing against %s', async (_, given, by) => {
    expect(await sampling(given)(40, by)).toEqual([])
  })
})
