import { cutText } from '../../auth/cut-text.ts'
import type { PeerName } from '../../auth/peer-signature.ts'
import { type Replica, sameReplica } from '../../replication/log/peer-text.ts'
import { majority } from '../../replication/log/receipt.ts'
import type { AssignFields } from '../../replication/registry/act.ts'
import { answersNeeded, type NextSet } from './next-act.ts'

/**
 * How a replica stands: `live`; `full`, live and asks to be replaced; `leaving`, live and being
 * drained; `silent`, not heard and not given up yet; `away`, taken out of DNS lately; `gone`: away
 * for long, cut off, or with another store.
 */
export type Standing = 'live' | 'full' | 'leaving' | 'silent' | 'away' | 'gone'

/** What the council looks like to the one decision about one blog. */
export type View = {
  readonly standingOf: (replica: Replica) => Standing
  /** the name in `@roster` */
  readonly nameOf: (peer: PeerName) => string
  /** replicas wanted for the blog */
  readonly wanted: number
  /** who may join those that stay, so that there are `n`; fewer when there are fewer spokes */
  readonly fill: (
    stay: readonly Replica[],
    n: number,
  ) => { readonly added: readonly Replica[]; readonly unmet: string | null }
  /** who leaves when there are more than `n`; `primary` never does */
  readonly leave: (
    replicas: readonly Replica[],
    primary: PeerName,
    n: number,
  ) => readonly PeerName[]
  /** an operator's or the blogger's order: who shall lead */
  readonly order: Order | null
}

export type Order = {
  readonly primary: Replica
  readonly reason: string
  readonly evidence: string | null
}

/** What a blog needs. */
export type Need = {
  readonly next: NextSet
  /** who must have copied the blog before */
  readonly learners: readonly Replica[]
  /** whether it goes on from an act that is known to be active only; else nothing waits for that */
  readonly isPlanned: boolean
}

/**
 * Decides whether the replicas of a blog must change, and how: one step of fail-over, replacement,
 * growth, a move (REPLICATION 11, and 4 for one replica). Null: all is well, or nothing can be done
 * now. Pure.
 */
export function needOf(blog: AssignFields, view: View): Need | null {
  const { primary, replicas } = blog
  const standing = new Map(replicas.map((each) => [each.peer, view.standingOf(each)]))
  const is = (peer: PeerName, ...some: Standing[]) => some.includes(standing.get(peer) ?? 'gone')
  const live = replicas.filter(({ peer }) => is(peer, 'live', 'full', 'leaving'))
  if (is(primary, 'away', 'gone')) return failOver(blog, live, view)
  // The one that takes the writes may be heard again in a moment; without it nobody can learn.
  if (is(primary, 'silent')) return null
  const full = replicas.filter(({ peer }) => is(peer, 'full')).map(({ peer }) => peer)
  // All of them where others have room, else one: until then they go on giving receipts.
  for (const some of full.length > 1 ? [full, ...full.map((peer) => [peer])] : [full]) {
    const need = some.length === 0 ? null : reshape(blog, live, is, view, some)
    if (need !== null && need.next.replicas.length >= replicas.length) return need
  }
  return reshape(blog, live, is, view, [])
}

/** The primary is lost: the same replicas, led by another; those that live, where fewer than w do. */
function failOver(
  { primary, replicas, unmet }: AssignFields,
  live: readonly Replica[],
  { nameOf }: View,
): Need | null {
  const n = replicas.length
  // With one copy there is nobody to go on: it waits for its server.
  if (n === 1) return null
  const isEnough = live.length >= majority(n) || live.length < answersNeeded(n)
  const next = {
    replicas: isEnough ? replicas : live,
    primary: null,
    ...{ reason: `${nameOf(primary)}, which took the writes, is out`, unmet, evidence: null },
  }
  return { next, learners: [], isPlanned: false }
}

function reshape(
  blog: AssignFields,
  live: readonly Replica[],
  is: (peer: PeerName, ...some: Standing[]) => boolean,
  { nameOf, wanted, fill, leave, order }: View,
  full: readonly PeerName[],
): Need | null {
  const { primary, replicas } = blog
  const w = majority(replicas.length)
  // One that is away may be back soon; but without it nothing can be published, it is replaced now.
  const isShort = live.length < w
  // Too few to end the act: what it names stays, and whoever comes back is welcome.
  if (live.length < answersNeeded(replicas.length)) return null
  const lost = replicas.filter(({ peer }) =>
    is(peer, 'gone', ...(isShort ? ['away' as const] : [])),
  )
  const leaving = replicas.filter(({ peer }) => is(peer, 'leaving') || full.includes(peer))
  let stay: readonly Replica[] = replicas.filter(
    (each) => !lost.includes(each) && !leaving.includes(each),
  )
  const reasons: string[] = []
  const wish = order?.primary ?? null
  const isNew = wish !== null && !stay.some(({ peer }) => peer === wish.peer)
  if (isNew) {
    const others = stay.filter(({ peer }) => stay.length < wanted || peer !== primary)
    stay = [...others, wish]
  }
  if (order !== null && order.primary.peer !== primary) reasons.push(order.reason)
  const isOver = stay.length > Math.max(wanted, 1)
  if (isOver) {
    const out = leave(stay, wish?.peer ?? primary, wanted)
    stay = stay.filter(({ peer }) => !out.includes(peer))
    reasons.push(`${wanted} copies are enough again`)
  }
  const { added, unmet } = fill(stay, wanted)
  const set = [...stay, ...added]
  const learners = isNew ? [...added, wish] : added
  const names = (some: readonly Replica[]) => some.map(({ peer }) => nameOf(peer)).join(', ')
  if (lost.length > 0) {
    const verb = added.length > 0 ? `is replaced by ${names(added)}` : 'is left out'
    reasons.push(`${names(lost)}, which is gone, ${verb}`)
  } else if (leaving.length > 0) {
    const why = full.length > 0 ? 'has no room any more' : 'is drained'
    reasons.push(`${names(leaving)} ${why}`)
  } else if (added.length > 0) {
    reasons.push(`${names(added)} keeps a copy from now on`)
  }
  const liveNext = set.filter(
    (each) => is(each.peer, 'live', 'full') || learners.includes(each),
  ).length
  const isWorse = lost.length > 0 && added.length === 0 && !isShort && order === null
  // A spoke that leaves stays until so many live copies are left without it.
  const isTooFew = (leaving.length > 0 || order !== null) && liveNext < w
  if (isWorse || isTooFew || set.length === 0) return null
  const lead = wish?.peer ?? (set.some(({ peer }) => peer === primary) ? primary : null)
  if (lead === primary && sameSet(set, replicas)) return null
  const evidence = order?.evidence ?? null
  const reason = reasonOf(reasons)
  const next = { replicas: set, primary: lead, reason, unmet, evidence }
  return { next, learners, isPlanned: lost.length === 0 }
}

/**
 * The next set of a blog that was sealed and must be finished, also when what was wanted then cannot
 * be any more: at least the replicas that live take over. Pure.
 *
 * @param wanted - the set that was wanted when it was sealed
 */
export function finishOf(blog: AssignFields, wanted: NextSet, view: View): NextSet {
  const lives = (each: Replica) => ['live', 'full', 'leaving'].includes(view.standingOf(each))
  const isOld = (each: Replica) => blog.replicas.some((other) => sameReplica(each, other))
  // Somebody of it must be there to lead: one that lost its store since answers no seal any more.
  const isLed = wanted.replicas.some(
    (each) => (wanted.primary === null || each.peer === wanted.primary) && lives(each),
  )
  if (isLed && wanted.replicas.every((each) => isOld(each) || lives(each))) return wanted
  const live = blog.replicas.filter(lives)
  const n = blog.replicas.length
  const isEnough = live.length >= majority(n) || live.length < answersNeeded(n)
  const replicas = isEnough ? blog.replicas : live
  return { ...wanted, replicas, primary: null, unmet: blog.unmet }
}

const sameSet = (a: readonly Replica[], b: readonly Replica[]) =>
  a.length === b.length && a.every((each) => b.some((other) => sameReplica(each, other)))

/** One line, as an act has it. */
const reasonOf = (reasons: readonly string[]) =>
  cutText(reasons.join('; '), maxReasonLength).trim() || 'its copies are put in order'

/** Characters of a reason in an act. */
const maxReasonLength = 300
