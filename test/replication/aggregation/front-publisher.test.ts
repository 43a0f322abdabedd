import { beforeEach, describe, expect, it } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import { decodeFrontPage, type FrontPage } from '../../../src/replication/aggregation/front-page.ts'
import { FrontPosts } from '../../../src/replication/aggregation/front-posts.ts'
import {
  coverageOf,
  type FrontCoverage,
  FrontPublisher,
} from '../../../src/replication/aggregation/front-publisher.ts'
import type { SourceState } from '../../../src/replication/aggregation/gather.ts'
import { headIn } from '../../../src/replication/aggregation/manifest.ts'
import { decodeFrame } from '../../../src/replication/frame.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { fromSignedRow } from '../../../src/replication/registry/proof.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { must, peer, startMs, TestClock, TestCouncil } from '../test-council.ts'
import { TestCollection } from './test-collection.ts'

const council = new TestCouncil().admit(1, 2, 3)
const maria = await TestAuthor.make('maria')
const written = await (await TestLog.begin(council.council, maria)).posts(30)
const [eva, ana] = [peer(3).peer, peer(2).peer].toSorted((a, b) => (a < b ? -1 : 1))

let clock: TestClock
let collection: TestCollection
let publisher: FrontPublisher
let coverage: FrontCoverage | null
let isInner: boolean
let pages: FrontPage[]
let length: number

const grow = () => collection.grow(written, clock.now(), ++length)
const times = () => pages.map(({ atMs }) => atMs - startMs)

beforeEach(async () => {
  clock = new TestClock()
  collection = new TestCollection()
  coverage = { of: 3, without: [] }
  isInner = true
  pages = []
  length = 1
  grow()
  let runs = 0
  const posts = new FrontPosts({ collection, report: () => undefined })
  await posts.start()
  publisher = new FrontPublisher({
    ...{ collection, posts, clock, signer: peer(1), roster: () => council.roster },
    ...{ isInner: () => isInner, coverage: () => coverage, report: () => undefined },
    newRun: () => String(++runs).repeat(32),
    onPage: () => undefined,
    pubsub: {
      publish: async (_topic, data) => {
        const { front } = decodeFrame(data) as { front: [Uint8Array, Uint8Array] }
        pages.push(must(decodeFrontPage(fromSignedRow(front))))
      },
    },
  })
})

describe('FrontPublisher', () => {
  it('makes a page every two seconds when nothing happens', async () => {
    publisher.start()
    await clock.pass(6_100)
    expect(times()).toEqual([0, 2_000, 4_000, 6_000])
    expect(pages.map(({ round }) => round)).toEqual([1, 2, 3, 4])
    publisher.stop()
    await clock.pass(6_000)
    expect(pages).toHaveLength(4)
  })

  it('makes one at once when something has changed, but none within 250 ms of the last', async () => {
    publisher.start()
    await clock.pass(1_000)
    for (let step = 0; step < 20; step++) {
      grow()
      await clock.pass(50)
    }
    expect(times()).toEqual([0, 1_000, 1_250, 1_500, 1_750, 2_000])
    expect(pages.at(-1)?.posts).toHaveLength(3)
    expect(publisher.newest()?.page).toEqual(pages.at(-1))
  })

  it('signs the root of a manifest that can be asked for while the page is new', async () => {
    publisher.start()
    const first = pages[0] as FrontPage
    expect(headIn(publisher.manifestOf(first.manifest) as never, 'maria' as BlogName)?.seq).toBe(1)
    grow()
    await clock.pass(300)
    const second = pages[1] as FrontPage
    expect(second.manifest).not.toBe(first.manifest)
    expect(headIn(publisher.manifestOf(second.manifest) as never, 'maria' as BlogName)?.seq).toBe(2)
    expect(publisher.manifestOf(first.manifest)).not.toBeNull()
    await clock.pass(8_000)
    grow()
    await clock.pass(300)
    expect(publisher.manifestOf(first.manifest)).toBeNull()
    expect(publisher.manifestOf(second.manifest)).not.toBeNull()
  })

  it('makes none before it has caught up, nor outside the inner circle', async () => {
    coverage = null
    publisher.start()
    await clock.pass(3_000)
    expect(pages).toEqual([])
    coverage = { of: 3, without: [] }
    isInner = false
    await clock.pass(3_000)
    expect([pages, publisher.newest(), publisher.manifest()]).toEqual([[], null, null])
    isInner = true
    await clock.pass(3_000)
    expect(pages.length).toBeGreaterThan(0)
  })

  it('says whom it does not cover', async () => {
    coverage = { of: 3, without: [ana, eva] as never }
    publisher.start()
    expect(pages[0]).toMatchObject({ of: 3, covered: 1, without: [eva, ana] })
  })

  it('goes on by its own time when the clock is set back a little, in a new run when by much', async () => {
    publisher.start()
    await clock.pass(2_000)
    clock.ms -= 3_000
    grow()
    await clock.pass(4_000)
    clock.ms -= 60_000
    grow()
    await clock.pass(70_000)
    const [first] = pages
    const sameRun = pages.filter(({ run }) => run === first?.run)
    expect(
      sameRun.every(({ atMs }, at) => at === 0 || atMs >= (sameRun[at - 1]?.atMs ?? 0) + 250),
    ).toBe(true)
    expect(new Set(pages.map(({ run }) => run)).size).toBe(2)
    expect(pages.find(({ run }) => run !== first?.run)?.round).toBe(1)
  })

  it('lets no post be seen behind its own time', () => {
    collection.grow(written, startMs + 60_000, ++length)
    publisher.start()
    expect(pages[0]?.posts.every(({ seenMs }) => seenMs <= startMs)).toBe(true)
  })
})

describe('coverageOf', () => {
  const [a, b] = [1, 2].map((n) => peer(n).peer) as [PeerName, PeerName]
  const nowMs = startMs + 60_000
  const state = (change: Partial<SourceState> = {}): SourceState => ({
    ...{ peer: b, isCurrent: true, heardMs: nowMs, owed: 0, mistrusted: null },
    ...change,
  })
  const lacks = (change: Partial<SourceState>, startedMs = startMs) =>
    coverageOf([state({ peer: a }), state(change)], [a, b], { nowMs, startedMs })?.without ?? null

  it.each<[string, Partial<SourceState>, boolean]>([
    ['was heard just now', {}, true],
    ['was heard six seconds ago', { heardMs: nowMs - 6_000 }, true],
    ['was heard longer ago', { heardMs: nowMs - 6_001 }, false],
    ['was never heard', { heardMs: null }, false],
    ['has more than is here', { isCurrent: false }, false],
    ['has a blog of which more is to come', { owed: 1 }, false],
    ['is not believed', { mistrusted: 'lied' }, false],
    ['is another peer', { peer: peer(3).peer }, false],
  ])('covers a spoke that %s, or says that it does not', (_what, change, isCovered) => {
    expect(lacks(change)).toEqual(isCovered ? [] : [b])
  })

  it('says nothing for six seconds while some have not been heard', () => {
    expect(lacks({ heardMs: null }, nowMs - 6_000)).toBeNull()
    expect(lacks({ heardMs: null }, nowMs - 6_001)).toEqual([b])
    expect(lacks({}, nowMs)).toEqual([])
  })
})
