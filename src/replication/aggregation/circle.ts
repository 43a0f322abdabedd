import { hash } from 'node:crypto'
import type { PeerName } from '../../auth/peer-signature.ts'
import { maxCircle, minCircle } from '../protocol.ts'
import { liveMembers, type Roster } from '../registry/roster.ts'

/** A member of the council as the circles see it: whether it volunteers to collect for others. */
export type CircleMember = { readonly peer: PeerName; readonly isAggregator: boolean }

/**
 * Some 5 to 10 peers that share an aggregator, and a standby that collects the same. Both may come
 * from another circle when this one has no volunteers of its own; null when the council has none.
 */
export type Circle = {
  readonly members: readonly PeerName[]
  readonly aggregator: PeerName | null
  readonly standby: PeerName | null
}

/** `rings[0]`: the spokes' circles; each next ring: the aggregators of the one below; `inner`: who has everything. */
export type Circles = {
  readonly rings: readonly (readonly Circle[])[]
  readonly inner: readonly PeerName[]
}

/** Members that are not away, with something to collect or the will to. */
export function circleMembersOf(roster: Roster): CircleMember[] {
  return liveMembers(roster)
    .filter(({ away, roles }) => !away && (roles.includes('spoke') || roles.includes('aggregator')))
    .map(({ peer, roles }) => ({ peer, isAggregator: roles.includes('aggregator') }))
}

type Placed = CircleMember & {
  /** where the peer stands on the ring, 64 hex digits */
  readonly place: string
}

/**
 * The tree of circles, the same at every peer that knows the same members (DESIGN 7). Pure; the
 * order of `members` does not matter.
 *
 * Peers stand in the order of a hash. A stretch with a common prefix that has more than ten is split
 * at its next bit; where one half has fewer than five, these join the circle beside them. So who
 * comes or goes changes the circles around it and no others. Up to ten members are one circle,
 * whatever their number. The aggregators of a ring are grouped in the same way until at most ten are
 * left: the inner circle; with one circle its aggregator and standby, of which either does when the
 * other is gone.
 */
export function planCircles(councilId: string, members: readonly CircleMember[]): Circles {
  const all = members
    .map((member) => ({ ...member, place: hash('sha256', `${councilId} ${member.peer}`, 'hex') }))
    .sort(byPlace)
  const volunteers = all.filter((member) => member.isAggregator)
  const rings: Circle[][] = []
  let ring = all
  do {
    const level = rings.length
    const groups = ring.length === 0 ? [] : splitAt(ring, 0)
    const circles = groups.map((group) => {
      const [aggregator = null, standby = null] = chooseAggregators(group, volunteers, (peer) =>
        hash('sha256', `${councilId} ring ${level} ${peer}`, 'hex'),
      )
      return { members: group.map(({ peer }) => peer), aggregator, standby }
    })
    rings.push(circles)
    const collecting = new Set(circles.map(({ aggregator }) => aggregator))
    ring = volunteers.filter(({ peer }) => collecting.has(peer))
  } while (ring.length > maxCircle)
  const [only, second] = rings[0] ?? []
  const inner =
    second === undefined
      ? [only?.aggregator, only?.standby].flatMap((peer) => peer ?? [])
      : ring.map(({ peer }) => peer)
  return { rings, inner }
}

/**
 * From whom a peer collects: the members of the circles of which it is aggregator or standby; the
 * inner circle also from each other. Itself where it is among them; empty for who collects nothing.
 */
export function sourcesOf({ rings, inner }: Circles, self: PeerName): PeerName[] {
  const own = rings
    .flat()
    .filter(({ aggregator, standby }) => aggregator === self || standby === self)
    .flatMap(({ members }) => members)
  return [...new Set([...own, ...(inner.includes(self) ? inner : [])])]
}

const byPlace = (a: Placed, b: Placed) => (a.place < b.place ? -1 : a.place > b.place ? 1 : 0)

const bitAt = (place: string, bit: number) =>
  (Number.parseInt(place.charAt(bit >> 2), 16) >> (3 - (bit & 3))) & 1

/** Splits a stretch whose places agree in the bits before `bit` into circles, in order. */
function splitAt(stretch: readonly Placed[], bit: number): Placed[][] {
  if (stretch.length <= maxCircle) return [[...stretch]]
  const middle = stretch.findIndex(({ place }) => bitAt(place, bit) === 1)
  const left = middle < 0 ? stretch : stretch.slice(0, middle)
  const right = middle < 0 ? [] : stretch.slice(middle)
  if (left.length >= minCircle && right.length >= minCircle)
    return [...splitAt(left, bit + 1), ...splitAt(right, bit + 1)]
  if (left.length < minCircle) {
    const [beside = [], ...others] = splitAt(right, bit + 1)
    return [...halve([...left, ...beside]), ...others]
  }
  const circles = splitAt(left, bit + 1)
  const beside = circles.pop() ?? []
  return [...circles, ...halve([...beside, ...right])]
}

/** A circle that others have joined is one still, or two: ten and four are seven and seven. */
function halve(circle: Placed[]): Placed[][] {
  if (circle.length <= maxCircle) return [circle]
  const middle = circle.length >> 1
  return [circle.slice(0, middle), circle.slice(middle)]
}

/** The volunteers of a group by their hashes, lowest first; behind them the next ones on the ring. */
function chooseAggregators(
  group: readonly Placed[],
  volunteers: readonly Placed[],
  rank: (peer: PeerName) => string,
): PeerName[] {
  const own = group
    .filter((member) => member.isAggregator)
    .map(({ peer }) => ({ peer, rank: rank(peer) }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1))
    .map(({ peer }) => peer)
  if (own.length >= 2) return own
  const end = group.at(-1)?.place ?? ''
  const after = volunteers.findIndex(({ place }) => place > end)
  const next = after < 0 ? volunteers : [...volunteers.slice(after), ...volunteers.slice(0, after)]
  const others = next.slice(0, 2 + own.length).map(({ peer }) => peer)
  return [...new Set([...own, ...others])]
}
