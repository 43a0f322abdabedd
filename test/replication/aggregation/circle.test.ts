import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import {
  type Circle,
  type CircleMember,
  type Circles,
  circleMembersOf,
  planCircles,
  sourcesOf,
} from '../../../src/replication/aggregation/circle.ts'
import { member, peer, TestCouncil } from '../test-council.ts'

const council = '5f'.repeat(32)
const named = (n: number) =>
  createHash('sha256').update(`circle ${n}`).digest('hex').slice(0, 52) as PeerName
const spokes = Array.from({ length: 10_001 }, (_, n) => named(n))
/** the first `count` spokes; every `everyNth` volunteers */
const first = (count: number, everyNth = 1): CircleMember[] =>
  spokes.slice(0, count).map((name, n) => ({ peer: name, isAggregator: n % everyNth === 0 }))
const plan = (members: readonly CircleMember[]) => planCircles(council, members)

/** Every size up to 150, then sizes that grow by a tenth up to 10,000. */
const sizes = Array.from({ length: 150 }, (_, n) => n + 1)
for (let size = 150; size < 10_000; ) {
  size = Math.min(10_000, Math.ceil(size * 1.1))
  sizes.push(size)
}
const plans = new Map(sizes.map((size) => [size, plan(first(size))]))
const each = (check: (circles: Circles, size: number) => void) => {
  for (const [size, circles] of plans) check(circles, size)
}

/** Circles of one plan that are in no such form in the other. */
function differing(a: Circles, b: Circles, ring = 0): number {
  const formOf = ({ members }: { members: readonly PeerName[] }) => members.join(' ')
  const theirs = new Set((b.rings[ring] ?? []).map(formOf))
  return (a.rings[ring] ?? []).filter((circle) => !theirs.has(formOf(circle))).length
}

/** Spokes that have another aggregator or standby than before. */
function movedSpokes(a: Circles, b: Circles): number {
  const collectors = ({ rings }: Circles) =>
    new Map(
      (rings[0] ?? []).flatMap(({ members, aggregator, standby }) =>
        members.map((name) => [name, `${aggregator} ${standby}`] as const),
      ),
    )
  const after = collectors(b)
  return [...collectors(a)].filter(([name, by]) => after.get(name) !== by).length
}

describe('planCircles', () => {
  it('puts every spoke of 1 to 10,000 into exactly one circle', () => {
    each((circles, size) => {
      const members = circles.rings[0]?.flatMap((circle) => circle.members) ?? []
      expect(members.length).toBe(size)
      expect(new Set(members)).toEqual(new Set(spokes.slice(0, size)))
    })
  })

  it('makes circles of 5 to 10 on every ring, and one smaller one only of fewer than 5 spokes', () => {
    each(({ rings }, size) => {
      for (const { members } of rings.flat()) {
        expect(members.length).toBeLessThanOrEqual(10)
        expect(members.length).toBeGreaterThanOrEqual(Math.min(5, size))
      }
    })
  })

  it('makes one circle of up to ten spokes, whose aggregator and standby are the inner circle', () => {
    for (let size = 1; size <= 10; size++) {
      const { rings, inner } = plans.get(size) as Circles
      expect(rings.length).toBe(1)
      const [{ aggregator, standby }] = rings[0] as readonly [Circle]
      expect(inner).toEqual(size === 1 ? [aggregator] : [aggregator, standby])
    }
  })

  it('gives every circle an aggregator, and another one as standby', () => {
    each(({ rings }, size) => {
      for (const { members, aggregator, standby } of rings.flat()) {
        expect(members).toContain(aggregator)
        if (size === 1) expect(standby).toBeNull()
        else expect(members.filter((name) => name !== aggregator)).toContain(standby)
      }
    })
  })

  it('groups the aggregators of each ring again, until at most ten are left', () => {
    each(({ rings, inner }, size) => {
      for (const [level, ring] of rings.entries()) {
        if (level === 0) continue
        const below = new Set(rings[level - 1]?.map(({ aggregator }) => aggregator))
        const members = ring.flatMap((circle) => circle.members)
        expect(members.length).toBe(below.size)
        expect(new Set(members)).toEqual(below)
      }
      expect(inner.length).toBeLessThanOrEqual(10)
      if (size > 1) expect(inner.length).toBeGreaterThanOrEqual(2)
      // Five times fewer on each ring, at least.
      expect(rings.length).toBeLessThanOrEqual(1 + Math.ceil(Math.log(size) / Math.log(5)))
    })
  })

  it('brings what any spoke has to every member of the inner circle', () => {
    for (const size of [1, 7, 11, 60, 700, 10_000]) {
      const circles = plans.get(size) ?? plan(first(size))
      const sources = new Map(spokes.map((name) => [name, sourcesOf(circles, name)]))
      for (const collector of circles.inner) {
        const reached = new Set<PeerName>([collector])
        for (const name of reached)
          for (const source of sources.get(name) ?? []) reached.add(source)
        expect(reached.size).toBe(size)
      }
    }
  })

  it('comes to the same whatever the order of the members', () => {
    for (const size of [2, 11, 57, 1_000]) {
      const members = first(size, 3)
      const shuffled = members.toSorted((a, b) => (a.peer.slice(9) < b.peer.slice(9) ? -1 : 1))
      expect(plan(shuffled)).toEqual(plan(members))
    }
  })

  it('comes to others in another council', () => {
    expect(planCircles('ab'.repeat(32), first(100))).not.toEqual(plan(first(100)))
  })

  it('changes at most three circles when a spoke comes or goes, and few spokes’ aggregator', () => {
    let most = 0
    let sum = 0
    let before = plan(first(1))
    // Who comes and who goes are the same step, seen from its two ends.
    for (let size = 2; size <= 700; size++) {
      const after = plan(first(size))
      expect(differing(before, after)).toBeLessThanOrEqual(3)
      const moved = movedSpokes(before, after)
      most = Math.max(most, moved)
      sum += moved
      before = after
    }
    expect(most).toBeLessThanOrEqual(20)
    expect(sum / 700).toBeLessThan(5)
  })

  it('chooses volunteers only, and lets the next one on the ring serve a circle that has none', () => {
    for (const [size, everyNth] of [
      [8, 3],
      [40, 7],
      [500, 20],
      [3_000, 150],
    ] as const) {
      const members = first(size, everyNth)
      const willing = new Set(members.filter((each) => each.isAggregator).map((each) => each.peer))
      const { rings, inner } = plan(members)
      for (const circle of rings.flat()) {
        expect(willing).toContain(circle.aggregator)
        expect(willing).toContain(circle.standby)
        expect(circle.standby).not.toBe(circle.aggregator)
        const own = circle.members.filter((name) => willing.has(name))
        if (own.length > 0) expect(own).toContain(circle.aggregator)
        if (own.length > 1) expect(own).toContain(circle.standby)
      }
      for (const name of inner) expect(willing).toContain(name)
    }
  })

  it('goes on with one volunteer, and has no inner circle without any', () => {
    const one = plan(first(30, 30))
    expect(one.inner).toEqual([spokes[0]])
    expect(one.rings[0]?.map(({ standby }) => standby)).toEqual(one.rings[0]?.map(() => null))
    const none = plan(first(30).map((each) => ({ ...each, isAggregator: false })))
    expect(none.inner).toEqual([])
    expect(none.rings.length).toBe(1)
    expect(none.rings[0]?.every(({ aggregator }) => aggregator === null)).toBe(true)
  })

  it('is empty for nobody', () => {
    expect(plan([])).toEqual({ rings: [[]], inner: [] })
  })

  it('replaces an aggregator by its standby, which has collected all along, when it goes', () => {
    for (const size of [3, 6, 10]) {
      const members = first(size)
      const before = plan(members).rings[0]?.[0]
      const without = members.filter((each) => each.peer !== before?.aggregator)
      expect(plan(without).rings[0]?.[0]?.aggregator).toBe(before?.standby)
    }
  })
})

describe('circleMembersOf', () => {
  it('counts live spokes and volunteers, and nobody who is away, cut off, or only answers DNS', () => {
    const roster = new TestCouncil().admit(1, 2, 3)
    const admit = (n: number, change: Parameters<typeof member>[1]) =>
      roster.write({ kind: 'admit', policy: 'open', member: member(n, change) })
    admit(4, { roles: ['spoke', 'aggregator'] })
    admit(5, { roles: ['dns'] })
    admit(6, { roles: ['aggregator'] })
    roster.write({ kind: 'away', peer: peer(2).peer, reason: 'because', evidence: null })
    roster.write({ kind: 'cutoff', peer: peer(3).peer, reason: 'because', evidence: null })
    expect(circleMembersOf(roster.roster)).toEqual([
      { peer: peer(1).peer, isAggregator: false },
      { peer: peer(4).peer, isAggregator: true },
      { peer: peer(6).peer, isAggregator: true },
    ])
  })
})
