import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { SealAnswer } from '../../replication/exchange/seals.ts'
import type { Head } from '../../replication/log/log.ts'
import { sameReplica } from '../../replication/log/peer-text.ts'
import type { Decision } from '../../replication/registry/act.ts'
import type { NamedBlog } from '../../replication/registry/names.ts'

/** r: how many of n replicas must answer a seal, so that they meet every w that published something. */
export const answersNeeded = (n: number) => Math.ceil(n / 2)

/**
 * Decides the act that ends `before` after its primary fell silent: the same replicas, and as
 * primary one that has answered and holds the head to go on from, so nothing needs to be copied
 * (REPLICATION 8, 9, 11). Pure.
 *
 * The head is the one with the highest (epoch of the log, seq) of the answers; one that lies below
 * a receipt of its own replica is evidence, not an answer. Every act of a blog names the same
 * replicas as yet, so r answers of this set are r of each earlier one.
 *
 * Codes: SEAL_TOO_FEW (who has not answered is named), SEAL_NO_HEAD.
 *
 * @param answers - of one round, by peer; who did not answer is left out
 */
export function planFailover(
  before: NamedBlog,
  answers: ReadonlyMap<PeerName, SealAnswer>,
  { reason, evidence }: { readonly reason: string; readonly evidence: string | null },
): Verdict<Decision & { readonly kind: 'assign' }> {
  const receipts = [...answers.values()].flatMap((answer) => answer.receipts)
  const counted = before.replicas.flatMap((replica) => {
    const answer = answers.get(replica.peer)
    if (answer === undefined || !sameReplica(answer.promise.replica, replica)) return []
    const { promise } = answer
    const isBelow = receipts.some(
      (receipt) =>
        receipt.log === before.blog &&
        sameReplica(receipt.replica, replica) &&
        receipt.head.seq > (promise.head?.seq ?? -1),
    )
    return isBelow ? [] : [promise]
  })
  const needed = answersNeeded(before.replicas.length)
  if (counted.length < needed) {
    const silent = before.replicas
      .map(({ peer }) => peer)
      .filter((peer) => !counted.some(({ replica }) => replica.peer === peer))
    return refuse(
      'SEAL_TOO_FEW',
      `${counted.length} of ${before.replicas.length} replicas of ${before.blog} have answered, ${needed} are needed; silent: ${silent.join(', ')}.`,
    )
  }
  let best: { readonly peer: PeerName; readonly head: Head; readonly follows: number } | null = null
  for (const { head, follows, replica } of counted) {
    if (head === null) continue
    const isBetter =
      best === null ||
      follows > best.follows ||
      (follows === best.follows && head.seq > best.head.seq)
    if (isBetter) best = { peer: replica.peer, head, follows }
  }
  // Nobody who answered has the genesis: only the spoke at which the blog was claimed has it, and
  // it was the first to lead it.
  if (best === null && counted.some(({ replica }) => replica.peer === before.primary))
    best = { peer: before.primary, head: before.head, follows: 0 }
  if (best === null) {
    return refuse('SEAL_NO_HEAD', `No replica that answered holds anything of ${before.blog}.`)
  }
  const { blog, genesis, key, replicas, epoch, id } = before
  return accept({
    ...{ kind: 'assign', blog, genesis, key, replicas, epoch: epoch + 1, ends: id },
    ...{ primary: best.peer, head: best.head, via: null, reason, unmet: before.unmet, evidence },
  })
}

/**
 * Whether the silence is more likely the authority's own: then nothing is moved (REPLICATION,
 * Silence). Pure.
 *
 * @param silent - members that are not heard now, those that were out before left aside
 */
export function isSelfSuspect(silent: number, members: number): boolean {
  return silent > members / 2
}
