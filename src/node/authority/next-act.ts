import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { SealAnswer } from '../../replication/exchange/seals.ts'
import type { Head } from '../../replication/log/log.ts'
import { type Replica, sameReplica } from '../../replication/log/peer-text.ts'
import type { Receipt } from '../../replication/log/receipt.ts'
import type { EntryId } from '../../replication/log/text.ts'
import type { AssignFields, Decision } from '../../replication/registry/act.ts'
import { type Had, writeLoss } from '../../replication/registry/loss.ts'
import type { Promised } from '../../replication/registry/seal.ts'

/** What the next act of a blog shall say. */
export type NextSet = {
  readonly replicas: readonly Replica[]
  /** who shall lead; null: of those that answer, who holds the most */
  readonly primary: PeerName | null
  readonly reason: string
  /** which wishes of placement it does not meet */
  readonly unmet: string | null
  readonly evidence: string | null
  /** an operator's word: where too few answer one is enough, what only the others hold is given up */
  readonly acceptsLoss?: boolean
  /** who leads now, where another one shall */
  readonly instead?: PeerName
  /** who shall not lead, and whose answer counts only where it is needed: the others do not reach it */
  readonly avoid?: PeerName
}

/** An act of the blog, in force. */
export type ActInForce = AssignFields & { readonly id: EntryId }

/** The act that ends another one, and whether it gives up what the silent ones hold. */
export type NextAct = {
  readonly assign: Decision & { readonly kind: 'assign' }
  /** its evidence then says who had what */
  readonly isLoss: boolean
}

/** r: how many of n replicas must answer a seal, so that they meet every w that published something. */
export const answersNeeded = (n: number) => Math.ceil(n / 2)

/**
 * Decides the act that ends `line[0]`, with the set wanted next and the head to go on from: the one
 * with the highest (epoch of the log, seq) of all answers (REPLICATION 8, 9, 11). Pure.
 *
 * r replicas must have answered of the act that ends, and of each one before it back to the last
 * that is known to have been active; where a loss is accepted and fewer have, one is enough, and
 * only who has answered stays in the set. An answer below a receipt of its own replica is evidence, not
 * an answer.
 *
 * Codes: SEAL_TOO_FEW (who has not answered is named), SEAL_NO_HEAD, SEAL_NO_PRIMARY (nobody of the
 * next set who could lead has answered).
 *
 * @param line - the act in force first, then those before it, back to the last one known active
 * @param answers - of one round, by peer; who did not answer is left out
 * @param nameOf - what a peer is called in `@roster`: a refusal is read by people
 */
export function planNextAct(
  line: readonly [ActInForce, ...ActInForce[]],
  answers: ReadonlyMap<PeerName, SealAnswer>,
  next: NextSet,
  nameOf: (peer: PeerName) => string,
): Verdict<NextAct> {
  const [before] = line
  const counted = new Map<PeerName, Promised>()
  let isLoss = false
  for (const { blog, replicas } of line) {
    const all = replicas.flatMap((replica) => promiseOf(blog, replica, answers) ?? [])
    const needed = answersNeeded(replicas.length)
    const others = all.filter(({ replica }) => replica.peer !== next.avoid)
    const given = others.length >= needed ? others : all
    if (given.length < needed && next.acceptsLoss === true && given.length > 0) isLoss = true
    else if (given.length < needed) {
      const answered = new Set(given.map(({ replica }) => replica.peer))
      const silent = replicas.map(({ peer }) => peer).filter((peer) => !answered.has(peer))
      return refuse(
        'SEAL_TOO_FEW',
        `${given.length} of ${replicas.length} replicas of ${blog} have answered, ${needed} are needed; silent: ${silent.map(nameOf).join(', ')}.`,
      )
    }
    for (const promise of given) counted.set(promise.replica.peer, promise)
  }
  const receipts = [...answers.values()].flatMap((answer) => answer.receipts)
  const best = bestOf([...counted.values()], receipts)
  const first = line.at(-1) as ActInForce
  if (best === null && first.epoch > 1)
    return refuse('SEAL_NO_HEAD', `No replica that answered holds anything of ${before.blog}.`)
  const asked = new Set(line.flatMap((act) => act.replicas.map(({ peer }) => peer)))
  const replicas = isLoss
    ? next.replicas.filter(({ peer }) => counted.has(peer) || !asked.has(peer))
    : next.replicas
  const primary =
    best === null
      ? starterOf(replicas, first.primary, counted)
      : primaryOf(
          withoutOne({ ...next, replicas }, counted),
          next.primary,
          before,
          counted,
          receipts,
        )
  if (primary === null) {
    return refuse(
      'SEAL_NO_PRIMARY',
      `None of the servers that shall keep ${before.blog} next has answered.`,
    )
  }
  const { blog, genesis, key, epoch, id } = before
  const { reason, unmet } = next
  const evidence = isLoss ? lossOf(line, answers, best?.head ?? null) : next.evidence
  const assign: NextAct['assign'] = {
    ...{ kind: 'assign', blog, genesis, key, replicas, epoch: epoch + 1, ends: id, primary },
    ...{ head: best?.head ?? before.head, via: null, reason, unmet, evidence },
  }
  return accept({ assign, isLoss })
}

/** Who had what when an operator gave the rest up, a line each: the evidence of the acts. */
function lossOf(
  [{ replicas, blog }]: readonly [ActInForce, ...ActInForce[]],
  answers: ReadonlyMap<PeerName, SealAnswer>,
  head: Head | null,
): string {
  const receipts = [...answers.values()].flatMap((answer) => answer.receipts)
  const had = replicas.map((replica): Had => {
    const promise = promiseOf(blog, replica, answers)
    if (promise !== null) return { replica, answers: true, head: promise.head }
    const given = receipts.filter((each) => each.log === blog && sameReplica(each.replica, replica))
    const last = given.sort((a, b) => b.head.seq - a.head.seq)[0]
    return { replica, answers: false, head: last?.head ?? null }
  })
  return writeLoss(had, head)
}

/** The replicas that may lead: not the one that shall not, where another one has answered. */
function withoutOne(
  { replicas, avoid, instead }: NextSet,
  counted: ReadonlyMap<PeerName, Promised>,
): readonly Replica[] {
  const others = replicas.filter(({ peer }) => peer !== avoid && peer !== instead)
  return others.some(({ peer }) => counted.has(peer)) ? others : replicas
}

/** A replica's answer, if it is one. */
function promiseOf(
  blog: string,
  replica: Replica,
  answers: ReadonlyMap<PeerName, SealAnswer>,
): Promised | null {
  const promise = answers.get(replica.peer)?.promise
  if (promise === undefined || !sameReplica(promise.replica, replica)) return null
  for (const { receipts } of answers.values()) {
    const isBelow = receipts.some(
      (receipt) =>
        receipt.log === blog &&
        sameReplica(receipt.replica, replica) &&
        receipt.head.seq > (promise.head?.seq ?? -1),
    )
    if (isBelow) return null
  }
  return promise
}

/**
 * The head to go on from (REPLICATION 8). Where the author has signed two for one seq, and each is
 * held by some, it is the one with more receipts: what has w of them stays (REPLICATION 16).
 */
function bestOf(
  promises: readonly Promised[],
  receipts: readonly Receipt[],
): { readonly peer: PeerName; head: Head } | null {
  const givers = ({ id }: Head) =>
    new Set(receipts.flatMap(({ head, replica }) => (head.id === id ? [replica.peer] : []))).size
  let best: { readonly peer: PeerName; readonly head: Head; readonly follows: number } | null = null
  for (const { head, follows, replica } of promises) {
    if (head === null) continue
    const isBetter =
      best === null ||
      follows > best.follows ||
      (follows === best.follows &&
        (head.seq > best.head.seq ||
          (head.seq === best.head.seq && givers(head) > givers(best.head))))
    if (isBetter) best = { peer: replica.peer, head, follows }
  }
  return best
}

/**
 * Who leads a blog of which nobody holds anything: no entry of it can have been published. The spoke
 * at which it was claimed has the genesis, and hands it to whoever leads.
 */
function starterOf(
  replicas: readonly Replica[],
  first: PeerName,
  counted: ReadonlyMap<PeerName, Promised>,
): PeerName | null {
  const answered = replicas.map(({ peer }) => peer).filter((peer) => counted.has(peer))
  return answered.includes(first) ? first : (answered[0] ?? null)
}

/** Who leads: the one wanted, if it has answered or was not asked (a learner); else who holds the most. */
function primaryOf(
  replicas: readonly Replica[],
  wanted: PeerName | null,
  before: ActInForce,
  counted: ReadonlyMap<PeerName, Promised>,
  receipts: readonly Receipt[],
): PeerName | null {
  const isAsked = (peer: PeerName) => before.replicas.some((each) => each.peer === peer)
  if (
    wanted !== null &&
    replicas.some(({ peer }) => peer === wanted) &&
    (counted.has(wanted) || !isAsked(wanted))
  )
    return wanted
  const answered = replicas.flatMap(({ peer }) => counted.get(peer) ?? [])
  // One that holds nothing yet fetches the head from whoever has it.
  return bestOf(answered, receipts)?.peer ?? answered[0]?.replica.peer ?? null
}
