import { describe, expect, it } from 'vitest'
import type { ChangesFrame } from '../../../src/replication/aggregation/changes.ts'
import {
  type Collection,
  type HeadListener,
  HeadListeners,
} from '../../../src/replication/aggregation/collection.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import {
  CHANGES,
  maxChangesPerFrame,
  maxFollows,
  maxFollowsPerPeer,
  maxPageBytes,
} from '../../../src/replication/protocol.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { fakeId, peer, settle, TestCouncil } from '../test-council.ts'
import { feedOf, nameOf, TestRing, type TestSource } from './test-ring.ts'

const author = await TestAuthor.make('maria')
const council = new TestCouncil().admit(1, 2, 3)
const begin = (blog: string) => TestLog.begin(council.council, author, { blog })

/** A follower that takes a frame when the test says so. */
function followerOf(
  source: Pick<TestSource, 'ring' | 'feed'>,
  after: { run: string; n: number } | null = null,
) {
  const gone = new AbortController()
  const frames = source.feed.follow(after, gone.signal)[Symbol.asyncIterator]()
  const next = async (): Promise<ChangesFrame> => {
    const taken = frames.next()
    let frame: IteratorResult<ChangesFrame> | null = null
    void taken.then((result) => {
      frame = result
    })
    await source.ring.until(() => {
      if (frame === null) throw new Error('no frame yet')
    })
    return (frame as unknown as IteratorYieldResult<ChangesFrame>).value
  }
  const end = async () => {
    gone.abort()
    await frames.return?.(undefined)
  }
  return { next, end, gone }
}

/** So many blogs that grow by an entry at a time, without anybody's signature: a feed checks none. */
class Numbered implements Collection {
  readonly #seqs: number[]
  readonly #listeners = new HeadListeners()

  constructor(count: number) {
    this.#seqs = Array.from({ length: count }, () => 0)
  }

  #name = (index: number) => `blog-${index}x` as BlogName
  #index = (blog: BlogName) => Number(/\d+/.exec(blog)?.[0])

  grow(index: number): void {
    this.#seqs[index] = (this.#seqs[index] ?? 0) + 1
    const blog = this.#name(index)
    this.#listeners.tell(blog, this.#seqs[index] ?? 0, this.head(blog))
  }

  blogs = () => this.#seqs.map((_, index) => this.#name(index))
  head = (blog: BlogName) => ({ seq: this.#seqs[this.#index(blog)] ?? 0, id: fakeId('ab') })
  entry = async () => null
  entries = async (_blog: BlogName, from: number, to: number) =>
    Array.from({ length: to - from + 1 }, () => ({ ...none, seenMs: 0 }))
  keySeqs = async () => [0]
  onChange = (listener: HeadListener) => this.#listeners.add(listener)
}
const none = { text: new Uint8Array(500), signature: new Uint8Array(300) }

const briefly = ({ changes }: ChangesFrame) =>
  changes.map(([blog, seq, , entries]) => [blog, seq, entries.length])

describe('ChangesFeed', () => {
  it('tells a newcomer all heads at once, then each change with its entries', async () => {
    const [maria, juan] = [await begin('maria'), await begin('juan')]
    await maria.posts(2)
    const source = await new TestRing(council).source(1, [maria, juan])
    const { next, end } = followerOf(source)
    const first = await next()
    expect(briefly(first)).toEqual([
      ['maria', 2, 0],
      ['juan', 0, 0],
    ])
    expect(first.n).toBe(first.newest)
    await maria.posts(2)
    await source.publish(maria)
    const second = await next()
    expect(briefly(second)).toEqual([['maria', 4, 2]])
    const [[, , id, entries] = []] = second.changes
    expect(id).toBe(maria.head.id)
    expect(entries?.map(([text]) => text)).toEqual(
      maria.offers.slice(3).map(({ text }) => new Uint8Array(text)),
    )
    await end()
  })

  it('tells one that comes back what has moved since, and one of another run all heads', async () => {
    const [maria, juan] = [await begin('maria'), await begin('juan')]
    const source = await new TestRing(council).source(1, [maria, juan])
    const first = followerOf(source)
    const { run, n } = await first.next()
    await first.end()
    await juan.posts(1)
    await source.publish(juan)
    const again = followerOf(source, { run, n })
    expect(briefly(await again.next())).toEqual([['juan', 1, 0]])
    const other = followerOf(source, { run: 'ff', n })
    expect(briefly(await other.next())).toEqual([
      ['maria', 0, 0],
      ['juan', 1, 0],
    ])
    await again.end()
    await other.end()
  })

  it('keeps for a follower that does not read no more than the number of blogs, whatever changes', async () => {
    const collection = new Numbered(20)
    const ring = new TestRing(council)
    const feed = feedOf(ring, collection)
    feed.start()
    const stuck = followerOf({ ring, feed })
    const keen = followerOf({ ring, feed })
    await stuck.next()
    await keen.next()
    for (let change = 0; change < 10_000; change++) collection.grow(change % 20)
    expect(feed.queued).toBeLessThanOrEqual(2 * 20)
    const heads = new Map<unknown, unknown>()
    for (let isMore = true; isMore; ) {
      const frame = await stuck.next()
      for (const [blog, seq] of frame.changes) heads.set(blog, seq)
      isMore = frame.n < frame.newest
    }
    expect([...heads.values()]).toEqual(Array.from({ length: 20 }, () => 500))
    await stuck.end()
    await keen.end()
    expect(feed.queued).toBe(0)
  })

  it('puts together what changes together, and sends a frame every five seconds when nothing does', async () => {
    const maria = await begin('maria')
    const ring = new TestRing(council)
    const source = await ring.source(1, [maria])
    const { next, end } = followerOf(source)
    await next()
    await maria.posts(3)
    for (const to of [1, 2, 3]) await source.publish(maria, to)
    expect(briefly(await next())).toEqual([['maria', 3, 3]])
    const beforeMs = ring.clock.now()
    expect(briefly(await next())).toEqual([])
    expect(ring.clock.now() - beforeMs).toBeGreaterThanOrEqual(4_900)
    await end()
  })

  it('ends a frame where it is full, and tells a blog that never fits by its head', async () => {
    const [big, small] = [await begin('big-one'), await begin('small-one')]
    const ring = new TestRing(council)
    const source = await ring.source(1, [big, small])
    const { next, end } = followerOf(source)
    await next()
    await small.posts(2)
    await source.publish(small)
    await big.posts(30, `${'wide words,'.repeat(1_400)}\n`.repeat(3).trim())
    await source.publish(big)
    await settle()
    const [first, second] = [await next(), await next()]
    expect(briefly(first)).toEqual([['small-one', 2, 2]])
    expect(first.n).toBeLessThan(first.newest)
    expect(briefly(second)).toEqual([['big-one', 30, 0]])
    expect(second.n).toBe(second.newest)
    const { entries: page } = await source.feed.entries(nameOf(big), 1, 30)
    expect(page.length).toBeGreaterThan(1)
    expect(page.length).toBeLessThan(30)
    const size = page.reduce((sum, [text, signature]) => sum + text.length + signature.length, 0)
    expect(size).toBeLessThanOrEqual(maxPageBytes)
    await end()
  })

  it('splits heads over frames, the last of which says that it is the last', async () => {
    const ring = new TestRing(council)
    const feed = feedOf(ring, new Numbered(maxChangesPerFrame + 5))
    feed.start()
    const { next, end } = followerOf({ ring, feed })
    const [first, second] = [await next(), await next()]
    expect(first.changes.length).toBe(maxChangesPerFrame)
    expect(first.n).toBeLessThan(first.newest)
    expect(second.changes.length).toBe(5)
    expect(second.n).toBe(second.newest)
    await end()
    // Who was cut off between the two goes on there.
    const again = followerOf({ ring, feed }, first)
    expect((await again.next()).changes).toEqual(second.changes)
    await again.end()
  })
})

describe('ChangesServer', () => {
  const setUp = async () => {
    const maria = await begin('maria')
    const ring = new TestRing(council)
    await maria.posts(3)
    const source = await ring.source(1, [maria])
    const frames = (n: number, body: unknown) => {
      const gone = new AbortController()
      const iterator = ring
        .network(n)
        .follow(peer(1).peer, CHANGES, body, { signal: gone.signal })
        [Symbol.asyncIterator]()
      return { first: async () => (await iterator.next()).value, gone, iterator }
    }
    const ask = (body: unknown) =>
      ring.network(2).request(peer(1).peer, CHANGES, body, { timeoutMs: 1_000 })
    return { maria, ring, source, frames, ask }
  }
  const codeIn = (answer: unknown) => (answer as { error?: { code: string } }).error?.code

  it.each<[string, object]>([
    ['no cursor at all', { t: 'follow' }],
    ['a cursor without number', { t: 'follow', after: { run: 'ab' } }],
    ['a negative number', { t: 'follow', after: { run: 'ab', n: -1 } }],
    ['half a number', { t: 'follow', after: { run: 'ab', n: 0.5 } }],
    ['a run that is no hex', { t: 'follow', after: { run: 'xyz', n: 1 } }],
    ['a run without end', { t: 'follow', after: { run: 'a'.repeat(65), n: 1 } }],
  ])('refuses to be followed with %s', async (_, body) => {
    const { frames } = await setUp()
    const { first, gone } = frames(2, body)
    expect(codeIn(await first())).toBe('REQUEST_MALFORMED')
    gone.abort()
  })

  it.each<[string, unknown]>([
    ['nothing', null],
    ['another request', { t: 'heads' }],
    ['a blog without name', { t: 'entries', blog: '', from: 0, to: 1 }],
    ['a name without end', { t: 'entries', blog: 'x'.repeat(41), from: 0, to: 1 }],
    ['a negative seq', { t: 'entries', blog: 'maria', from: -1, to: 1 }],
    ['an infinite one', { t: 'entries', blog: 'maria', from: 0, to: Number.POSITIVE_INFINITY }],
  ])('refuses %s', async (_, body) => {
    const { ask } = await setUp()
    expect(codeIn(await ask(body))).toBe('REQUEST_MALFORMED')
  })

  it('answers the entries of a blog that are asked for, and none of one that it has not', async () => {
    const { ask, maria } = await setUp()
    const asked = { t: 'entries', blog: 'maria', from: 1, to: 2 }
    const { entries } = (await ask(asked)) as { entries: [Uint8Array][] }
    expect(entries.map(([text]) => Buffer.from(text).toString())).toEqual(
      [1, 2].map((seq) => Buffer.from(maria.at(seq).offer.text).toString()),
    )
    for (const other of [
      { ...asked, blog: 'nobody' },
      { ...asked, blog: '../log' },
      { ...asked, from: 4, to: 9 },
      { ...asked, from: 2, to: 1 },
    ])
      expect(await ask(other)).toMatchObject({ entries: [] })
  })

  it('lets a peer follow it twice and no more: the newest counts, the oldest ends', async () => {
    const { frames, source, maria } = await setUp()
    const body = { t: 'follow', after: null }
    // Left open, as by a peer that was cut off without a word, again and again.
    const open = Array.from({ length: maxFollowsPerPeer + 3 }, () => frames(2, body))
    for (const [at, each] of open.entries()) {
      expect(codeIn(await each.first())).toBeUndefined()
      expect(source.server.following).toBe(Math.min(at + 1, maxFollowsPerPeer))
    }
    expect(codeIn(await frames(3, body).first())).toBeUndefined()
    expect(source.server.following).toBe(maxFollowsPerPeer + 1)
    await maria.posts(1)
    await source.publish(maria)
    // Nothing is kept for those that were ended, though nobody has read to their end.
    expect(source.feed.queued).toBe(maxFollowsPerPeer + 1)
    const said = await Promise.all(open.map(({ iterator }) => iterator.next()))
    expect(said.map(({ done }) => done)).toEqual(
      [true, true, true, undefined, undefined].map(Boolean),
    )
    open.at(-1)?.gone.abort()
    await open.at(-1)?.iterator.next()
    await settle()
    expect(source.server.following).toBe(maxFollowsPerPeer)
  })

  it('has a limit for followers all together', async () => {
    const { source, ring } = await setUp()
    const serve = ring.served(1)
    const gone = new AbortController()
    const taken: string[] = []
    for (let n = 0; n <= maxFollows; n++) {
      const from = `follower ${n}` as never
      const frames = serve(from, { t: 'follow', after: null }, gone.signal)[Symbol.asyncIterator]()
      taken.push(codeIn((await frames.next()).value) ?? 'followed')
    }
    expect(taken.filter((each) => each === 'followed').length).toBe(maxFollows)
    expect(taken.at(-1)).toBe('TOO_MANY_FOLLOWERS')
    expect(source.server.following).toBe(maxFollows)
    gone.abort()
  })
})
