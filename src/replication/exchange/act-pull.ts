import { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import type { Verdict } from '../../auth/verdict.ts'
import { ReplicationError } from '../errors.ts'
import { namesLog } from '../log/log.ts'
import type { LogStore } from '../log/store.ts'
import { ask, type Network, proofShape } from '../network.ts'
import { maxPageBytes, maxPulledActs, SYNC } from '../protocol.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import { fromProofRow, type ProofOfAct, type ProofRow, proofRow } from '../registry/proof.ts'

/** Acts of one kind from a seq of `@names` on, and the seq from which to ask the next time. */
export type ActsPage = { readonly proofs: readonly ProofRow[]; readonly next: number }
const pageShape: z.ZodType<ActsPage> = z.object({
  proofs: z.array(proofShape).max(maxPulledActs),
  next: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
})

/** Kinds of acts that peers without `@names` ask for by themselves. */
export type PulledKind = 'revocations' | 'losses'

/** What a peer that carries `@names` answers; null at one that does not. */
export async function readActs(
  council: Pick<CouncilLogs, 'names' | 'proof'>,
  kind: PulledKind,
  from: number,
): Promise<ActsPage | null> {
  const names = council.names()
  if (names === null) return null
  // Before the first wait: an act that comes in meanwhile is for the next question.
  const end = names.head.seq + 1
  const { seqs } = kind === 'losses' ? names.losses : names.revoked
  const proofs: ProofRow[] = []
  let bytes = 0
  for (const at of seqs.filter((each) => each >= from && each < end)) {
    const proof = await council.proof(namesLog, at)
    if (proof === null) continue
    bytes += proof.text.length + proof.receipts.length * 1_000
    if (proofs.length === maxPulledActs || (proofs.length > 0 && bytes > maxPageBytes))
      return { proofs, next: at }
    proofs.push(proofRow(proof))
  }
  return { proofs, next: Math.max(from, end) }
}

/**
 * Brings acts of one kind to a peer that does not carry `@names`, each with its proof, from those
 * that do. Each of them is asked from where it ended the last time: what one keeps to itself
 * another one tells.
 */
export class ActPull {
  readonly #network: Network
  readonly #store: LogStore
  readonly #kind: PulledKind
  readonly #cursorKey: (peer: PeerName) => string
  readonly #take: (peer: PeerName, proof: ProofOfAct) => Promise<Verdict<unknown>>
  readonly #pulling = new Map<PeerName, Promise<void>>()

  constructor(parts: {
    readonly network: Network
    readonly store: LogStore
    readonly kind: PulledKind
    /** where on disk stands how far a peer was asked */
    readonly cursorKey: (peer: PeerName) => string
    readonly take: (peer: PeerName, proof: ProofOfAct) => Promise<Verdict<unknown>>
  }) {
    this.#network = parts.network
    this.#store = parts.store
    this.#kind = parts.kind
    this.#cursorKey = parts.cursorKey
    this.#take = parts.take
  }

  /**
   * Asks a peer that carries `@names` for what it has not told yet; one question at a time. Throws
   * what `ask` throws, and PEER_ANSWER_MALFORMED for an act that does not hold.
   *
   * @param headSeq - where its `@names` ends, when that is known: nothing is asked when nothing is new
   */
  pull(peer: PeerName, headSeq = Number.POSITIVE_INFINITY): Promise<void> {
    const running = this.#pulling.get(peer)
    if (running !== undefined) return running
    const run = this.#pull(peer, headSeq).finally(() => this.#pulling.delete(peer))
    this.#pulling.set(peer, run)
    return run
  }

  async #pull(peer: PeerName, headSeq: number): Promise<void> {
    let from = Number((await this.#store.value(this.#cursorKey(peer))) ?? 0)
    while (from <= headSeq) {
      const page = await ask(this.#network, peer, SYNC, { t: this.#kind, from }, pageShape)
      for (const row of page.proofs) {
        const taken = await this.#take(peer, fromProofRow(row))
        if (taken.ok) continue
        throw new ReplicationError(
          'PEER_ANSWER_MALFORMED',
          `${peer} answered ${this.#kind} with an act that does not hold: ${taken.reason}`,
        )
      }
      if (page.next <= from) return
      from = page.next
      await this.#store.write([this.#store.putValue(this.#cursorKey(peer), from)])
      if (page.proofs.length === 0) return
    }
  }
}
