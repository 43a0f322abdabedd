import { describe, expect, it } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import type { FrontPage, FrontPost } from '../../../src/replication/aggregation/front-page.ts'
import {
  findOmissions,
  findUnlisted,
  judgeFront,
  pickFront,
} from '../../../src/replication/aggregation/front-rules.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { fakeId, member, peer, startMs, storeOf, TestCouncil } from '../test-council.ts'

const council = new TestCouncil().admit(1, 2, 3)
council.write({ kind: 'change', member: member(1, { roles: ['spoke', 'aggregator'] }) })
const { roster } = council
const earlier = council.rosters.at(-2) as typeof roster
const [a, b, c] = [1, 2, 3].map((n) => peer(n).peer) as [PeerName, PeerName, PeerName]

const post = (blog: string, seq: number, seenMs = startMs): FrontPost => ({
  ...{ blog: blog as BlogName, seq, id: fakeId('ab'), seenMs },
})
const held: FrontPage = {
  ...{ council: roster.council, peer: a, run: storeOf(7), round: 3, atMs: startMs },
  ...{ roster: roster.head, of: 3, covered: 3, without: [], blogs: 2, manifest: fakeId('ef') },
  posts: [post('ana', 2)],
}
const next: FrontPage = { ...held, round: 4, atMs: startMs + 250 }
const known = { from: a, roster, inner: [a], held, isPastRun: false, nowMs: startMs + 300 }

describe('judgeFront', () => {
  it.each<[string, Partial<FrontPage>, Partial<typeof known> | { roster: null }, string]>([
    ['published by another peer', {}, { from: b }, 'reject other_peer'],
    [
      'of another council',
      { council: `x.example.org/${fakeId('5f')}` },
      {},
      'reject other_council',
    ],
    ['from ten minutes ahead', { atMs: startMs + 600_301 }, {}, 'reject from_the_future'],
    ['by a member that volunteers for nothing', { peer: b }, { from: b }, 'reject no_volunteer'],
    [
      'by such a member as its own @roster has it',
      { peer: b, roster: earlier.head },
      { from: b },
      'ignore no_volunteer',
    ],
    [
      'by one that has volunteered in a @roster that is not here yet',
      { peer: b, roster: { seq: 99, id: fakeId('aa') } },
      { from: b },
      'ignore no_volunteer',
    ],
    ['by a volunteer outside the inner circle', {}, { inner: [b] }, 'ignore not_inner'],
    ['while @roster is not known', {}, { roster: null }, 'ignore not_inner'],
    ['of an older round', { round: 2, atMs: startMs - 250 }, {}, 'ignore old_round'],
    ['of an older round that says it is new', { round: 2 }, {}, 'ignore old_round'],
    ['of the same round again', { ...held }, {}, 'ignore old_round'],
    [
      'of the same round with other posts',
      { ...held, posts: [post('eva', 1)] },
      {},
      'ignore two_of_a_round',
    ],
    [
      'of the same round with another manifest',
      { ...held, manifest: fakeId('00') },
      {},
      'ignore two_of_a_round',
    ],
    ['of an older run', { run: storeOf(6), round: 99, atMs: startMs - 1 }, {}, 'ignore old_round'],
    [
      'of a run that another one has followed',
      { run: storeOf(6) },
      { isPastRun: true },
      'ignore old_round',
    ],
    ['from ten minutes ago', { atMs: startMs - 600_000 }, {}, 'ignore too_old'],
    ['100 ms behind the one before it', { atMs: startMs + 100 }, {}, 'reject too_often'],
    [
      'of the tenth round in one second',
      { round: 13, atMs: startMs + 1_000 },
      {},
      'reject too_often',
    ],
    ['that says to be older than the one before it', { atMs: startMs - 1 }, {}, 'reject too_often'],
  ])('turns down one %s', (_what, change, of, wanted) => {
    const { verdict, why } = judgeFront({ ...next, ...change }, { ...known, ...of })
    expect(`${verdict} ${why}`).toBe(wanted)
  })

  it.each<[string, Partial<FrontPage>, Partial<typeof known> | { held: null }]>([
    ['the next round', {}, {}],
    ['a round after some that did not come', { round: 9, atMs: startMs + 6 * 250 }, {}],
    ['the first one', {}, { held: null }],
    ['a new run', { run: storeOf(8), round: 1 }, {}],
    ['one whose maker knows @roster further', { roster: { seq: 99, id: fakeId('aa') } }, {}],
    ['one by a clock that is a minute ahead', { atMs: startMs + 60_000 }, {}],
  ])('takes %s', (_what, change, of) => {
    expect(judgeFront({ ...next, ...change }, { ...known, ...of }).verdict).toBe('accept')
  })
})

describe('pickFront', () => {
  const now = startMs
  const front = (peer: PeerName, ageMs: number, covered = 3) => ({
    ...{ peer, receivedMs: now - ageMs, page: { covered } },
  })
  const pick = (fronts: ReturnType<typeof front>[], doubted: PeerName[] = []) =>
    pickFront(fronts, {
      ...{ aggregator: a, standby: b, nowMs: now },
      isDoubted: (peer) => doubted.includes(peer),
    })?.peer ?? null

  it.each([
    ["the aggregator's while it is of now", [front(b, 0), front(a, 4_999)], [], a],
    ["the standby's when the aggregator is silent", [front(a, 5_000), front(b, 4_000)], [], b],
    ["the standby's when it covers more", [front(a, 0, 2), front(b, 4_000, 3)], [], b],
    [
      "the aggregator's when the standby covered more a while ago",
      [front(a, 0, 2), front(b, 5_000, 3)],
      [],
      a,
    ],
    ['the newest when both are silent', [front(a, 9_000), front(b, 8_000)], [], b],
    ['one of an earlier circle when there is no other', [front(c, 60_000)], [], c],
    ["the standby's when the aggregator lied", [front(a, 0), front(b, 1_000)], [a], b],
    [
      "an old one of the standby's when the aggregator lied",
      [front(a, 0), front(b, 90_000)],
      [a],
      b,
    ],
    ["the aggregator's, though it lied, when there is no other", [front(a, 0)], [a], a],
    ["the aggregator's when both lied", [front(a, 0), front(b, 0)], [a, b], a],
    ['none when there is none', [], [], null],
  ])('shows %s', (_what, fronts, doubted, wanted) => {
    expect(pick(fronts, doubted)).toBe(wanted)
  })
})

describe('findOmissions', () => {
  const head = (seq: number, id = fakeId('ab')) => ({ seq, id })
  it.each([
    ['a blog that is not there', null, true],
    ['a blog that ends too early', head(2), true],
    ['a blog that ends in another entry', head(3, fakeId('cd')), true],
    ['a blog that ends there', head(3), false],
    ['a blog that goes further', head(4, fakeId('cd')), false],
  ])('knows %s', (_what, shown, isOmitted) => {
    const wanted = new Map([['ana' as BlogName, head(3)]])
    expect(findOmissions(wanted, () => shown)).toHaveLength(isOmitted ? 1 : 0)
  })
})

describe('findUnlisted', () => {
  const full = Array.from({ length: 20 }, (_, at) => post(`blog-${at + 10}`, 1, startMs - at))
  const own = post('maria', 5, startMs)
  const find = (posts: FrontPost[], seenMs: number | null) =>
    findUnlisted({ posts }, [own], () => seenMs).length

  it.each([
    ['a page with room that does not have it', full.slice(1), startMs, 1],
    ['a page with room, whatever its maker says of when', full.slice(1), null, 1],
    ['a full page whose maker saw it before the last', full, startMs - 60, 0],
    ['a full page whose maker saw it when it saw the last', full, startMs - 19, 0],
    ['a full page whose maker does not say', full, null, 0],
    ['a full page whose maker saw it later than the last', full, startMs - 18, 1],
    ['a page that has it', [own, ...full.slice(1)], startMs, 0],
    ['a page with three of its blog', [1, 2, 3].map((seq) => post('maria', seq)), startMs, 0],
    [
      'a page with three older ones of its blog',
      [1, 2, 3].map((seq) => post('maria', seq, startMs - 1)),
      startMs,
      1,
    ],
  ])('judges %s', (_what, posts, seenMs, count) => {
    expect(find(posts, seenMs)).toBe(count)
  })
})
