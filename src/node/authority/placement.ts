import type { PeerName } from '../../auth/peer-signature.ts'
import type { DiskMark } from '../../replication/registry/heartbeat.ts'
import type { Member } from '../../replication/registry/roster.ts'
import type { Copies } from './copies.ts'
import { costOf, kindOf, leastCost, Taken, unmetOf } from './wishes.ts'

export type Filled = {
  /** who joins those that stay */
  readonly added: readonly Member[]
  /** the wishes that the whole set does not meet, for the act; null when it meets all */
  readonly unmet: string | null
}

export type Placement = {
  /** the primary first */
  readonly replicas: readonly Member[]
  /** as in `Filled` */
  readonly unmet: string | null
}

/** A known set is taken again while it keeps at most so much more than the emptiest could, of the mean. */
const leewayShare = 0.1
/** … and at least so many copies more. */
const leewayCopies = 2
/** Choices looked at for a set that meets more wishes than the first one found. */
const maxLooks = 2_000

/**
 * Chooses who joins the replicas of a blog that stay, so that there are `n` (DESIGN 5).
 *
 * First come the wishes: each another operator, network (free text, /16 or /48 of the web
 * addresses) and country, in this order of weight. Among the sets that meet as many of them as the
 * roster allows, one that keeps blogs already is taken again, so that a spoke shares its blogs with
 * few others: then few of all possible triples hold all copies of some blog, and three that fail
 * together rarely lose one. (Copysets: Cidon, Rumble, Stutsman, Katti, Ousterhout, Rosenblum,
 * USENIX ATC 2013; made as needed and from the least loaded, as in Cidon, Escriva, Katti,
 * Rosenblum, Sirer, Tiered Replication, USENIX ATC 2015.) A set is made anew when the known ones
 * keep more than `leewayShare` of the mean more than the emptiest spokes.
 *
 * Pure; ties fall by peer id: the same roster and copies give the same answer.
 *
 * @param stay - replicas that the blog has and keeps, its primary among them; at least one
 * @param candidates - who may get a copy, in any order; those that stay may be among them
 * @param n - replicas wanted, those that stay counted; fewer when there are fewer candidates
 */
export function fillSet({
  stay,
  candidates,
  n,
  copies,
}: {
  readonly stay: readonly Member[]
  readonly candidates: readonly Member[]
  readonly n: number
  readonly copies: Copies
}): Filled {
  const others = candidates.filter(({ peer }) => !stay.some((each) => each.peer === peer))
  const missing = Math.min(n - stay.length, others.length)
  if (missing <= 0) return { added: [], unmet: unmetOf(stay) }
  const emptiest = bestOf(stay, others, missing, copies)
  const known = knownSet(stay, others, missing, copies)
  const mean = others.reduce((sum, { peer }) => sum + copies.of(peer), 0) / others.length
  const leeway = Math.max(leewayCopies, mean * leewayShare)
  const added =
    known !== null &&
    costOf([...stay, ...known]) <= costOf([...stay, ...emptiest]) &&
    fullest(known, copies) <= fullest(emptiest, copies) + leeway
      ? known
      : emptiest
  return { added, unmet: unmetOf([...stay, ...added]) }
}

/**
 * The replicas of a name that is claimed: where it was handed in is its primary, unless the disk
 * there is over a mark; then the emptiest spoke that is over none. The others are over none either,
 * or, while these are too few, only take no blogs of their own. Pure.
 *
 * @param via - the spoke at which it was handed in
 * @param live - who may keep copies but for its disk; see `candidatesOf`
 * @returns null when no spoke has room for another blog
 */
export function placeClaim({
  via,
  live,
  mark,
  n,
  copies,
}: {
  readonly via: Member
  readonly live: readonly Member[]
  readonly mark: (peer: PeerName) => DiskMark | null
  readonly n: number
  readonly copies: Copies
}): Placement | null {
  const free = live.filter(({ peer }) => mark(peer) === null)
  const primary = mark(via.peer) === null ? via : emptiestOf(free, copies)
  if (primary === null) return null
  const placed = placeBlog(primary, free, n, copies)
  if (placed.replicas.length === n) return placed
  const stay = placed.replicas
  const candidates = live.filter(({ peer }) => takesCopies(mark(peer)))
  const { added, unmet } = fillSet({ stay, candidates, n, copies })
  return { replicas: [...stay, ...added], unmet }
}

/** Whether a spoke at this mark of its disk may get a copy of a blog that exists. */
export const takesCopies = (mark: DiskMark | null): boolean =>
  mark === null || mark === 'no-new-blogs'

function emptiestOf(members: readonly Member[], copies: Copies): Member | null {
  return members.toSorted((a, b) => (isEmptier(a, b, copies) ? -1 : 1))[0] ?? null
}

/** A new blog's replicas: `primary`, and who joins it; see `fillSet`. */
export function placeBlog(
  primary: Member,
  candidates: readonly Member[],
  n: number,
  copies: Copies,
): Placement {
  const { added, unmet } = fillSet({ stay: [primary], candidates, n, copies })
  return { replicas: [primary, ...added], unmet }
}

/**
 * Who leaves when a blog has more replicas than `n`, its primary never: first those that are no
 * candidates any more, then whose leaving meets most wishes, then who keeps most copies. Pure.
 */
export function leaveSet({
  replicas,
  primary,
  candidates,
  n,
  copies,
}: {
  readonly replicas: readonly Member[]
  readonly primary: PeerName
  readonly candidates: readonly Member[]
  readonly n: number
  readonly copies: Copies
}): readonly Member[] {
  const isCandidate = new Set(candidates.map(({ peer }) => peer))
  const left: Member[] = []
  let stay = [...replicas]
  while (stay.length > Math.max(n, 1)) {
    const rank = (member: Member) => [
      isCandidate.has(member.peer) ? 1 : 0,
      costOf(stay.filter((each) => each !== member)),
      -copies.of(member.peer),
    ]
    const [first] = stay
      .filter(({ peer }) => peer !== primary)
      .map((member) => ({ member, rank: rank(member) }))
      .sort((a, b) => compareLists(a.rank, b.rank) || byPeer(a.member, b.member))
    if (first === undefined) break
    left.push(first.member)
    stay = stay.filter((each) => each !== first.member)
  }
  return left
}

/** Spokes that may keep copies: admitted, listed or not, but alive, not away, and with room. */
export function candidatesOf(
  members: Iterable<Member>,
  mayTake: (member: Member) => boolean,
): Member[] {
  return [...members].filter(
    (member) => member.roles.includes('spoke') && !member.cutOff && !member.away && mayTake(member),
  )
}

/** Of the sets that keep blogs already, hold all that stay and else only candidates: the best. */
function knownSet(
  stay: readonly Member[],
  others: readonly Member[],
  missing: number,
  copies: Copies,
): Member[] | null {
  const size = stay.length + missing
  const first = stay[0] as Member
  let best: { readonly added: Member[]; readonly rank: number[] } | null = null
  let byName: Map<PeerName, Member> | null = null
  for (const { peers } of copies.setsOf(first.peer).values()) {
    if (peers.length !== size || !stay.every(({ peer }) => peers.includes(peer))) continue
    byName ??= new Map(others.map((each) => [each.peer, each]))
    const added = peers.flatMap((peer) => byName?.get(peer) ?? []).sort(byPeer)
    if (added.length !== missing) continue
    const sum = added.reduce((total, { peer }) => total + copies.of(peer), 0)
    const rank = [costOf([...stay, ...added]), fullest(added, copies), sum]
    const order = best === null ? -1 : compareLists(rank, best.rank)
    if (best === null || order < 0 || (order === 0 && namesOf(added) < namesOf(best.added)))
      best = { added, rank }
  }
  return best?.added ?? null
}

const fullest = (members: readonly Member[], copies: Copies) =>
  Math.max(...members.map(({ peer }) => copies.of(peer)))
const namesOf = (members: readonly Member[]) => members.map(({ peer }) => peer).join(' ')
const byPeer = (a: Member, b: Member) => (a.peer < b.peer ? -1 : a.peer > b.peer ? 1 : 0)

function compareLists(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) {
    const other = b[index] as number
    if (value !== other) return value - other
  }
  return 0
}

/** Those with fewest copies that meet most wishes: one after the other, and if that leaves a wish, by search. */
function bestOf(
  stay: readonly Member[],
  others: readonly Member[],
  missing: number,
  copies: Copies,
): Member[] {
  const chosen = [...stay]
  const taken = new Taken(stay)
  for (let more = missing; more > 0; more--) {
    let best: Member | null = null
    let bestCost = 0
    for (const member of others) {
      // The most candidates are not worth the look at their traits.
      if (best !== null && bestCost === 0 && !isEmptier(member, best, copies)) continue
      if (chosen.includes(member)) continue
      const cost = taken.cost(member)
      if (best !== null && cost > bestCost) continue
      if (best !== null && cost === bestCost && !isEmptier(member, best, copies)) continue
      best = member
      bestCost = cost
    }
    chosen.push(best as Member)
    taken.add(best as Member)
  }
  const added = chosen.slice(stay.length)
  const cost = costOf(chosen)
  const least = leastCost([...stay, ...others], chosen.length)
  return cost <= least ? added : (search(stay, others, { missing, cost, least, copies }) ?? added)
}

/** Fewest copies; then fewest sets, so that one that has partners is no more drawn into new sets; then by id. */
function isEmptier(a: Member, b: Member, copies: Copies): boolean {
  const [ofA, ofB] = [copies.of(a.peer), copies.of(b.peer)]
  if (ofA !== ofB) return ofA < ofB
  const [setsA, setsB] = [copies.setsOf(a.peer).size, copies.setsOf(b.peer).size]
  return setsA === setsB ? a.peer < b.peer : setsA < setsB
}

/** A set that costs less than `cost`, those with fewest copies tried first; null when none is found in time. */
function search(
  stay: readonly Member[],
  others: readonly Member[],
  known: {
    readonly missing: number
    readonly cost: number
    readonly least: number
    readonly copies: Copies
  },
): Member[] | null {
  const { missing, least, copies } = known
  const sorted = others.toSorted((a, b) => (isEmptier(a, b, copies) ? -1 : 1))
  // Of those that are alike for the wishes, more than are missing need not be looked at.
  const alike = new Map<string, number>()
  const worth = sorted.filter((member) => {
    const key = kindOf(member)
    const seen = alike.get(key) ?? 0
    alike.set(key, seen + 1)
    return seen < missing
  })
  let best: Member[] | null = null
  let bestCost = known.cost
  let looks = 0
  const chosen: Member[] = []
  const visit = (from: number, cost: number) => {
    if (chosen.length === missing) {
      best = [...chosen]
      bestCost = cost
      return
    }
    const taken = new Taken([...stay, ...chosen])
    for (let at = from; at < worth.length && bestCost > least && looks < maxLooks; at++) {
      looks++
      const member = worth[at] as Member
      const next = cost + taken.cost(member)
      if (next >= bestCost) continue
      chosen.push(member)
      visit(at + 1, next)
      chosen.pop()
    }
  }
  visit(0, costOf(stay))
  return best
}
