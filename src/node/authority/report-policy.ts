import type { PeerName } from '../../auth/peer-signature.ts'
import type { Report } from '../../replication/registry/report.ts'
import type { Roster } from '../../replication/registry/roster.ts'
import type { KeptReport, Worth } from './report-worth.ts'

/** Reports kept about one peer by another one. */
const maxPerPair = 5
/** … in all. */
const maxReports = 500
/** Reports count together within this time, ms. */
const memoryMs = 24 * 3_600_000

/**
 * What a report accuses a peer of: `keeps`, it does not keep what it signed that it keeps; `shows`,
 * it shows readers what the author did not sign; `lists`, its list of a blog names another entry, or
 * ends too early; `gathers`, its front page leaves out or misstates what was published.
 */
export type Misdeed = 'keeps' | 'shows' | 'lists' | 'gathers'

const inWords: Readonly<Record<Misdeed, string>> = {
  keeps: 'it does not keep what it has signed that it keeps',
  shows: 'it shows readers what the author has not signed',
  lists: 'its list of a blog names another entry, or ends before what it has signed that it keeps',
  gathers: 'its front page leaves out or misstates what was published',
}

/** Which misdeed it is, by the kind and by what was asked: these decide how it was judged. Pure. */
export function misdeedOf({ kind, asked }: Pick<Report, 'kind' | 'asked'>): Misdeed {
  if (kind === 'audit') return 'keeps'
  if (kind === 'front') return 'gathers'
  return asked.startsWith('/log.json') ? 'lists' : 'shows'
}

/**
 * Decides whether a peer is to be cut off by policy: spokes of enough different operators, none of
 * them the reported one's, report the same of the last 24 hours, each with what can be checked. Pure.
 * A peer's word alone counts for nothing, and however many spokes one operator runs, they count once.
 *
 * The same is the same misdeed of the same peer, whichever blog and entry each report names. One that
 * names the same entry, or blog, would be no better evidence: who collude sign about the entry that
 * they agree on. But it would let go whoever alters another entry for each reader, honest spokes look
 * at random entries, and at blogs only that they keep, so that more of them than a blog has copies
 * could never agree. What does not add up are unlike findings, each of which may have a cause of its
 * own: a disk that is healing, a list that a cache before the pages was late with.
 *
 * @param needed - null: never by itself
 * @returns the misdeed that most operators report, and the reports that count, one of each operator,
 *   the one that shows most; null: no
 */
export function planCutOff<Each extends Pick<KeptReport, 'report' | 'worth'>>(
  kept: readonly Each[],
  roster: Roster,
  { peer, nowMs, needed }: { peer: PeerName; nowMs: number; needed: number | null },
): { readonly misdeed: Misdeed; readonly reports: readonly Each[] } | null {
  const accused = roster.members.get(peer)
  if (needed === null || accused === undefined || accused.cutOff) return null
  const counted = new Map<Misdeed, Map<string, Each>>()
  for (const each of weakestFirst(kept, nowMs)) {
    const { report, worth } = each
    const member = roster.members.get(report.by)
    if (report.peer !== peer || worth === 'word' || isOld(report, nowMs)) continue
    if (member === undefined || member.cutOff || !member.roles.includes('spoke')) continue
    if (operatorOf(member) === operatorOf(accused)) continue
    const misdeed = misdeedOf(report)
    const byOperator = counted.get(misdeed) ?? new Map<string, Each>()
    // Anew at the end: evidence that does not fit whole leaves out what stands first.
    byOperator.delete(operatorOf(member))
    counted.set(misdeed, byOperator.set(operatorOf(member), each))
  }
  const [most] = [...counted].toSorted(([, a], [, b]) => b.size - a.size)
  return most !== undefined && most[1].size >= needed
    ? { misdeed: most[0], reports: [...most[1].values()] }
    : null
}

/** One who runs several spokes must not count twice by writing the name in another way. */
const operatorOf = ({ operator }: { readonly operator: string }) =>
  operator.normalize('NFKC').toLowerCase().replaceAll(/\s+/g, ' ').trim()

const byPolicy = /^\d+ spokes of different operators report /

/** Why a peer was cut off by policy, as its act says it. */
export const policyReason = (operators: number, misdeed: Misdeed): string =>
  `${operators} spokes of different operators report the same: ${inWords[misdeed]}`

/** Whether an act `cutoff` says that it was written by policy. */
export const isByPolicy = (reason: string): boolean => byPolicy.test(reason)

/**
 * Which reports make room for one more. Pure. Of one peer about another one only some are kept; and
 * when all places are taken, whoever has reported most makes room, so that nobody who floods the
 * authority drives out what others have handed in. The first to go are those that count no more, then
 * those that show least, then the oldest.
 */
export function planRoom<Each extends Pick<KeptReport, 'report' | 'worth'>>(
  kept: readonly Each[],
  next: Pick<KeptReport, 'report'>,
): readonly Each[] {
  const { peer, by, atMs } = next.report
  const ordered = weakestFirst(kept, atMs)
  const ofPair = ordered.filter(({ report }) => report.peer === peer && report.by === by)
  const over = ofPair.slice(0, Math.max(0, ofPair.length - maxPerPair + 1))
  const left = ordered.filter((each) => !over.includes(each))
  while (left.length >= maxReports) {
    const counts = Map.groupBy(left, ({ report }) => report.by)
    const [most] = [...counts.values()].toSorted((a, b) => b.length - a.length)
    const [first] = most as [Each]
    over.push(first)
    left.splice(left.indexOf(first), 1)
  }
  return over
}

const isOld = ({ atMs }: Pick<Report, 'atMs'>, nowMs: number) => nowMs - atMs > memoryMs

const ranks: Readonly<Record<Worth, number>> = { word: 0, checked: 1, proof: 2 }

/** Those first that count no more, then those that show less, each the oldest first. */
export function weakestFirst<Each extends Pick<KeptReport, 'report' | 'worth'>>(
  kept: readonly Each[],
  nowMs: number,
): Each[] {
  const rank = ({ report, worth }: Each) => (isOld(report, nowMs) ? -1 : ranks[worth])
  return kept.toSorted((a, b) => rank(a) - rank(b) || a.report.atMs - b.report.atMs)
}
