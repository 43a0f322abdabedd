import { describe, expect, it } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import { differencesOf, FrontCompare } from '../../../src/replication/aggregation/front-compare.ts'
import type { FrontPage, FrontPost } from '../../../src/replication/aggregation/front-page.ts'
import type { ShownFront } from '../../../src/replication/aggregation/fronts.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { fakeId, peer, startMs, storeOf, TestClock } from '../test-council.ts'

const [a, b] = [1, 2].map((n) => peer(n).peer) as [PeerName, PeerName]
const post = (blog: string, ageMs = 0): FrontPost => ({
  ...{ blog: blog as BlogName, seq: 1, id: fakeId(blog === 'ana' ? 'aa' : 'bb') },
  seenMs: startMs - ageMs,
})
const front = (
  by: PeerName,
  posts: readonly FrontPost[],
  { covered = 3, receivedMs = startMs, atMs = startMs } = {},
): ShownFront => {
  const page: FrontPage = {
    ...{ council: '', peer: by, run: storeOf(7), round: 3, atMs, of: 3, covered },
    ...{ roster: { seq: 3, id: fakeId('cc') }, without: [], blogs: 2, manifest: fakeId('ef') },
    posts,
  }
  return { peer: by, page, receivedMs, posts: posts as never, version: '' }
}
const both = [post('ana'), post('bea')]
const said = (pages: readonly ShownFront[]) =>
  differencesOf(pages, startMs).map(({ lacks, has, post: { blog } }) => [lacks, has, blog])

describe('differencesOf', () => {
  it('says which page lacks what another one has', () => {
    expect(said([front(a, [post('ana')]), front(b, both)])).toEqual([[a, b, 'bea']])
    expect(said([front(a, both), front(b, both)])).toEqual([])
  })

  it.each([
    ['that covers less', front(a, [], { covered: 2 })],
    ['that is old', front(a, [], { receivedMs: startMs - 5_000 })],
  ])('says nothing of a page %s', (_, other) => {
    expect(said([other, front(b, both)])).toEqual([])
  })

  it('leaves a full page the posts that it may have seen a little earlier', () => {
    const full = Array.from({ length: 20 }, (_, n) => ({ ...post(`x${n}`), seenMs: startMs - n }))
    expect(said([front(a, full), front(b, [post('ana', -59_000)])])).toEqual(
      full.map(({ blog }) => [b, a, blog]),
    )
    expect(said([front(a, full), front(b, [post('ana', -61_000)])])).toContainEqual([a, b, 'ana'])
  })

  it('goes by the clock of the page that may lack a post', () => {
    const full = Array.from({ length: 20 }, (_, n) => ({ ...post(`x${n}`), seenMs: startMs - n }))
    const other = (aheadMs: number) =>
      front(b, [post('ana', -aheadMs)], { atMs: startMs + aheadMs })
    // A minute later by both clocks, or by that of its maker alone.
    for (const aheadMs of [-500_000, 0, 500_000])
      expect(said([front(a, full), other(aheadMs)])).not.toContainEqual([a, b, 'ana'])
    const late = front(b, [post('ana', -561_000)], { atMs: startMs + 500_000 })
    expect(said([front(a, full), late])).toContainEqual([a, b, 'ana'])
  })
})

describe('FrontCompare', () => {
  async function run(isShown: boolean | 'unreachable', lookedMs: readonly number[]) {
    const clock = new TestClock()
    const doubted: PeerName[] = []
    const compare = new FrontCompare({
      clock,
      fronts: {
        complete: () => [
          front(a, [post('ana')], { receivedMs: clock.now() }),
          front(b, both, { receivedMs: clock.now() }),
        ],
        doubt: (peer) => doubted.push(peer),
        isDoubted: (peer) => doubted.includes(peer),
      },
      isShown: async () => isShown,
      report: () => undefined,
    })
    for (const ms of lookedMs) {
      clock.ms = startMs + ms
      await compare.look()
    }
    return doubted
  }

  it.each([
    ['the one that lacks a post, when its blog shows it', true, [0, 5_000, 10_000], [a]],
    ['the one that has it, when its blog does not', false, [0, 5_000, 10_000], [b]],
    ['nobody within a cycle', true, [0, 5_000, 9_999], []],
    ['nobody while the blog cannot be asked', 'unreachable', [0, 10_000, 20_000], []],
  ] as const)('doubts %s', async (_, isShown, looks, wanted) => {
    expect(await run(isShown, looks)).toEqual(wanted)
  })
})
