import { beforeEach, describe, expect, it } from 'vitest'
import { accept, refuse } from '../../../src/auth/verdict.ts'
import {
  type AnswerIndex,
  Answers,
  maxAtOnce,
  maxAtOncePerPeer,
} from '../../../src/replication/aggregation/answers.ts'
import { signFrontPage } from '../../../src/replication/aggregation/front-page.ts'
import { FrontPosts } from '../../../src/replication/aggregation/front-posts.ts'
import { Manifest } from '../../../src/replication/aggregation/manifest.ts'
import {
  blogsAnswer,
  frontAnswer,
  hitsAnswer,
  manifestAnswer,
  maxHits,
  maxQueryCharacters,
  postsAnswer,
} from '../../../src/replication/aggregation/search-messages.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import type { Handler } from '../../../src/replication/network.ts'
import { maxPageBytes, SEARCH } from '../../../src/replication/protocol.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { fakeId, peer, startMs, storeOf } from '../test-council.ts'
import { TestCollection } from './test-collection.ts'

const council = `blogs.example.org/${fakeId('5f')}`
const maria = await TestAuthor.make('maria')
const log = await (await TestLog.begin(council, maria)).posts(3)
const long = await TestLog.begin(council, maria, { blog: 'long' })
for (let n = 0; n < 30; n++)
  await long.add({ kind: 'post' }, { body: `${'x'.repeat(15_000)}\n`.repeat(4).trimEnd() })
const aged = await (await TestLog.begin(council, maria, { blog: 'aged' })).posts(1)
await aged.add({ kind: 'post', slug: 'post-1', title: 'Better' }, { date: '2031-02-03T00:00:00Z' })
const blog = 'maria' as BlogName

const manifest = new Manifest()
manifest.set(blog, log.head)
const snapshot = manifest.snapshot()
const page = {
  ...{ council, peer: peer(1).peer, run: storeOf(7), round: 3, atMs: startMs, of: 5, covered: 4 },
  ...{ without: [peer(2).peer], roster: { seq: 4, id: fakeId('cd') }, blogs: 1 },
  ...{ manifest: snapshot.root, posts: [] },
}
const made = { page, signed: signFrontPage(peer(1), page) }

let handler: Handler
let index: AnswerIndex | null
let newest: typeof made | null
const ask = (body: unknown, n = 2) => handler(peer(n).peer, body)
const search = (change: object = {}) =>
  ask({ t: 'search', query: 'plaza', order: 'newest', cursor: null, limit: 20, ...change })
const year = new Date(startMs).getUTCFullYear()
const hits = (of: TestLog, count: number) =>
  Array.from({ length: count }, (_, at) => ({ blog: of.blog as BlogName, seq: at + 1, year }))

beforeEach(() => {
  newest = made
  index = {
    search: async (_query, { cursor, limit }) => {
      const all = hits(long, 30)
      const from = Number(cursor ?? 0)
      const next = from + limit < all.length ? String(from + limit) : null
      return accept({ hits: all.slice(from, from + limit), next })
    },
    blogs: async (after, limit) =>
      accept(
        ['ana', 'eva', 'maria']
          .filter((each) => each > (after ?? ''))
          .slice(0, limit)
          .map((each) => ({ blog: each, title: each, lang: null, posts: 1 })),
      ),
  }
  const collection = new TestCollection(log, long, aged)
  new Answers({
    network: {
      handle: (protocol, given) => {
        expect(protocol).toBe(SEARCH)
        handler = given
      },
    },
    collection,
    posts: new FrontPosts({ collection, report: () => undefined }),
    publisher: {
      newest: () => newest,
      manifestOf: (root) => (root === snapshot.root ? snapshot : null),
    },
    index: () => index,
  }).start()
})

describe('Answers', () => {
  it('says the year in which a post came first, with its newest revision', async () => {
    const { posts } = postsAnswer.parse(await ask({ t: 'posts', posts: [['aged', 2]] }))
    expect(posts.map(({ seq, year: first }) => [seq, first])).toEqual([[2, year]])
    index = {
      ...(index as AnswerIndex),
      search: async () =>
        accept({ hits: [{ blog: 'aged' as BlogName, seq: 2, year }], next: null }),
    }
    expect(hitsAnswer.parse(await search()).posts.map((each) => each.year)).toEqual([year])
  })

  it.each([
    ['no question', {}],
    ['an unknown question', { t: 'everything' }],
    [
      'a search of 10 KB',
      { t: 'search', query: 'x'.repeat(10_000), order: 'newest', cursor: null, limit: 20 },
    ],
    [
      'a lone surrogate',
      { t: 'search', query: '\ud800', order: 'newest', cursor: null, limit: 20 },
    ],
    ['another order', { t: 'search', query: 'x', order: 'rank desc; --', cursor: null, limit: 20 }],
    ['51 hits', { t: 'search', query: 'x', order: 'best', cursor: null, limit: maxHits + 1 }],
    ['no hits', { t: 'search', query: 'x', order: 'best', cursor: null, limit: 0 }],
    [
      'a long cursor',
      { t: 'search', query: 'x', order: 'best', cursor: 'x'.repeat(201), limit: 1 },
    ],
    ['21 posts', { t: 'posts', posts: Array.from({ length: 21 }, () => ['maria', 1]) }],
    ['no posts', { t: 'posts', posts: [] }],
    ['half a post', { t: 'posts', posts: [['maria', 0.5]] }],
    ['a root that is none', { t: 'manifest', root: 'x', buckets: [] }],
    ['bucket 256', { t: 'manifest', root: snapshot.root, buckets: [256] }],
    ['bucket -1', { t: 'manifest', root: snapshot.root, buckets: [-1] }],
    [
      '257 buckets',
      { t: 'manifest', root: snapshot.root, buckets: Array.from({ length: 257 }, () => 0) },
    ],
    ['201 blogs', { t: 'blogs', after: null, limit: 201 }],
  ])('refuses %s', async (_what, body) => {
    expect(await ask(body)).toMatchObject({ error: { code: 'REQUEST_MALFORMED' } })
  })

  it('hands out its newest page, or none', async () => {
    expect(frontAnswer.parse(await ask({ t: 'front' })).front?.[0]).toEqual(made.signed.text)
    newest = null
    expect(frontAnswer.parse(await ask({ t: 'front' })).front).toBeNull()
  })

  it('hands out the manifest that it has signed, and no other', async () => {
    const body = { t: 'manifest', root: snapshot.root, buckets: [1, 2] }
    const { hashes, buckets } = manifestAnswer.parse(await ask(body))
    expect(hashes).toEqual(snapshot.hashes)
    expect(buckets).toHaveLength(2)
    expect(await ask({ ...body, root: fakeId('00') })).toMatchObject({
      error: { code: 'MANIFEST_UNKNOWN' },
    })
  })

  it('leaves out posts that are not there and says nothing of them', async () => {
    const body = {
      t: 'posts',
      posts: [
        ['maria', 2],
        ['nobody', 1],
        ['maria', 99],
        ['maria', 0],
        ['maria', 1],
      ],
    }
    const { posts, more } = postsAnswer.parse(await ask(body))
    expect([posts.map(({ seq }) => seq), more]).toEqual([[2, 1], false])
  })

  const sizeOf = (posts: readonly { entry: readonly Uint8Array[] }[]) =>
    posts.flatMap(({ entry }) => entry).reduce((sum, { length }) => sum + length, 0)

  it('hands out at most 1 MiB of posts, and says that there are more', async () => {
    const body = { t: 'posts', posts: hits(long, 20).map(({ blog: name, seq }) => [name, seq]) }
    const { posts, more } = postsAnswer.parse(await ask(body))
    expect([posts.length, more]).toEqual([16, true])
    expect(sizeOf(posts)).toBeLessThan(maxPageBytes)
  })

  it('proves each hit of a search, at most 1 MiB at once, so that nothing is missed in between', async () => {
    const seqs: number[] = []
    let cursor: string | null = null
    let pages = 0
    do {
      const answered = hitsAnswer.parse(await search({ cursor }))
      expect(sizeOf(answered.posts)).toBeLessThan(maxPageBytes)
      seqs.push(...answered.posts.map(({ seq }) => seq))
      cursor = answered.next
      pages++
    } while (cursor !== null && pages < 9)
    expect(seqs).toEqual(hits(long, 30).map(({ seq }) => seq))
  })

  it('says what the search covers', async () => {
    expect(hitsAnswer.parse(await search()).coverage).toEqual({
      spokes: 4,
      of: 5,
      blogs: 1,
      at: startMs,
    })
    newest = null
    expect(hitsAnswer.parse(await search()).coverage).toBeNull()
  })

  it('leaves out a hit that it cannot prove any more', async () => {
    const found = [{ blog: 'gone' as BlogName, seq: 4, year }, ...hits(log, 2)]
    index = { ...(index as AnswerIndex), search: async () => accept({ hits: found, next: null }) }
    expect(hitsAnswer.parse(await search()).posts.map(({ seq }) => seq)).toEqual([1, 2])
  })

  it("passes the index's refusal on, and says when there is none", async () => {
    const search_ = async () => refuse('QUERY_EMPTY', 'Type a word.')
    const blogs = async () => refuse('SEARCH_BUSY', 'Come back.', { retryMs: 100 })
    index = { ...(index as AnswerIndex), search: search_, blogs }
    expect(await ask({ t: 'blogs', after: null, limit: 2 })).toMatchObject({
      error: { code: 'SEARCH_BUSY', retryMs: 100 },
    })
    expect(await search()).toEqual({ error: { code: 'QUERY_EMPTY', reason: 'Type a word.' } })
    index = null
    expect(await search()).toMatchObject({ error: { code: 'NO_INDEX' } })
    expect(await ask({ t: 'blogs', after: null, limit: 2 })).toMatchObject({
      error: { code: 'NO_INDEX' },
    })
  })

  it('takes a query of a thousand characters', async () => {
    hitsAnswer.parse(await search({ query: 'é'.repeat(maxQueryCharacters) }))
  })

  it('lists blogs page by page', async () => {
    const first = blogsAnswer.parse(await ask({ t: 'blogs', after: null, limit: 2 }))
    expect([first.blogs.map(({ blog: name }) => name), first.next]).toEqual([['ana', 'eva'], 'eva'])
    const rest = blogsAnswer.parse(await ask({ t: 'blogs', after: first.next, limit: 2 }))
    expect([rest.blogs.map(({ blog: name }) => name), rest.next]).toEqual([['maria'], null])
  })

  it('works on a few questions of one peer at once, and of all; the next ones may be asked again', async () => {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const none = async () => {
      await held
      return accept({ hits: [], next: null })
    }
    index = { ...(index as AnswerIndex), search: none }
    const isBusy = async (work: Promise<unknown>) => 'error' in ((await work) as object)
    const same = Array.from({ length: 1_000 }, () => search())
    expect(await isBusy(ask({ t: 'front' }, 1)), 'one peer keeps no other away').toBe(false)
    const others = [3, 4, 5, 6, 7, 8, 9].flatMap((n) =>
      Array.from({ length: maxAtOncePerPeer }, () =>
        ask({ t: 'search', query: 'x', order: 'best', cursor: null, limit: 1 }, n),
      ),
    )
    const over = await ask({ t: 'front' }, 1)
    expect(over).toMatchObject({ error: { code: 'RATE_LIMITED', retryMs: 200 } })
    release()
    const refused = (await Promise.all([...same, ...others].map(isBusy))).filter(Boolean).length
    expect(1_000 + others.length - refused).toBe(maxAtOnce)
    expect(await isBusy(search())).toBe(false)
  })
})
