import type { PeerName } from '../../auth/peer-signature.ts'
import type { Member } from '../../replication/registry/roster.ts'

/** A spoke that could keep a copy. */
export type Candidate = {
  readonly member: Member
  /** copies that it keeps already */
  readonly copies: number
}

export type Placement = {
  /** the primary first */
  readonly replicas: readonly Member[]
  /** the wishes that could not be met, for the act; null when all were */
  readonly unmet: string | null
}

/**
 * Chooses a blog's replicas: the primary, and secondaries with another operator, network (free
 * text, /16 or /48) and country where the roster allows it, those with fewest copies first. Pure;
 * ties fall by peer id, so that the same roster gives the same answer (DESIGN 5).
 *
 * @param n - replicas wanted, the primary counted; fewer when there are fewer candidates
 */
export function placeBlog(primary: Member, candidates: readonly Candidate[], n: number): Placement {
  const chosen: Member[] = [primary]
  const left = candidates.filter(({ member }) => member.peer !== primary.peer)
  while (chosen.length < n && left.length > 0) {
    left.sort(
      (a, b) =>
        shared(a.member, chosen).length - shared(b.member, chosen).length ||
        a.copies - b.copies ||
        (a.member.peer < b.member.peer ? -1 : 1),
    )
    chosen.push((left.shift() as Candidate).member)
  }
  const unmet = new Set(chosen.flatMap((member, index) => shared(member, chosen.slice(0, index))))
  return {
    replicas: chosen,
    unmet: unmet.size === 0 ? null : `not all different: ${[...unmet].join(', ')}`,
  }
}

/** Chooses who joins the replicas of a blog that stay, so that there are `n`; as `placeBlog`. Pure. */
export function fillSet(
  stay: readonly Member[],
  candidates: readonly Candidate[],
  n: number,
): { readonly added: readonly Member[]; readonly unmet: string | null } {
  const chosen = [...stay]
  const left = candidates.filter(({ member }) => !stay.some(({ peer }) => peer === member.peer))
  while (chosen.length < n && left.length > 0) {
    left.sort(
      (a, b) =>
        shared(a.member, chosen).length - shared(b.member, chosen).length ||
        a.copies - b.copies ||
        (a.member.peer < b.member.peer ? -1 : 1),
    )
    chosen.push((left.shift() as Candidate).member)
  }
  const unmet = new Set(chosen.flatMap((member, index) => shared(member, chosen.slice(0, index))))
  return {
    added: chosen.slice(stay.length),
    unmet: unmet.size === 0 ? null : `not all different: ${[...unmet].join(', ')}`,
  }
}

/** What a spoke has in common with those chosen before it. */
function shared(member: Member, chosen: readonly Member[]): string[] {
  const common: string[] = []
  if (chosen.some((each) => each.operator === member.operator)) common.push('operator')
  if (chosen.some((each) => netsOf(each).some((net) => netsOf(member).includes(net))))
    common.push('network')
  if (chosen.some((each) => each.country !== null && each.country === member.country))
    common.push('country')
  return common
}

/** The networks that a spoke stands in: its own word, and the /16 or /48 of its web addresses. */
function netsOf(member: Member): string[] {
  const nets = member.web.map((url) => {
    const host = new URL(url).hostname
    return host.startsWith('[')
      ? host.slice(1, -1).split(':').slice(0, 3).join(':')
      : host.split('.').slice(0, 2).join('.')
  })
  return member.network === null ? nets : [...nets, member.network]
}

/** Spokes that may keep copies: admitted, listed or not, but alive and not away. */
export function candidatesOf(
  members: Iterable<Member>,
  isLive: (peer: PeerName) => boolean,
  copiesOf: (peer: PeerName) => number,
): Candidate[] {
  return [...members]
    .filter(
      (member) =>
        member.roles.includes('spoke') && !member.cutOff && !member.away && isLive(member.peer),
    )
    .map((member) => ({ member, copies: copiesOf(member.peer) }))
}

/** How many copies each spoke keeps. */
export function copiesOf(
  blogs: Iterable<{ readonly replicas: readonly { readonly peer: PeerName }[] }>,
): Map<PeerName, number> {
  const copies = new Map<PeerName, number>()
  for (const { replicas } of blogs) {
    for (const { peer } of replicas) copies.set(peer, (copies.get(peer) ?? 0) + 1)
  }
  return copies
}
