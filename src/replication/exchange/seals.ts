import { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { BlogName } from '../log/entry.ts'
import { decodeReceipt, type Receipt } from '../log/receipt.ts'
import type { Signed } from '../log/text.ts'
import { ask, type Network, proofShape, refusalAnswer, signedShape } from '../network.ts'
import { maxSealsAtOnce, REPLICA } from '../protocol.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import {
  fromSignedRow,
  type ProofOfAct,
  type ProofRow,
  proofRow,
  type SignedRow,
  signedRow,
} from '../registry/proof.ts'
import { authorityOf } from '../registry/roster.ts'
import { decodePromise, decodeSeal, type Promised } from '../registry/seal.ts'
import type { Replicas } from './replica.ts'

/** What the authority sends to end an act: its seal, and the act for a replica that does not know it. */
export type SealOrder = { readonly seal: Signed; readonly proof: ProofOfAct }

/** A replica's promise, and the receipts that it knows: an answer below one of them is no answer. */
export type SealAnswer = { readonly promise: Promised; readonly receipts: readonly Receipt[] }

export const sealShape = z.object({
  t: z.literal('seal'),
  seals: z.array(z.tuple([signedShape, proofShape])).max(maxSealsAtOnce),
})
const refused = z.object({ error: z.object({ code: z.string(), reason: z.string() }) })
const sealAnswer = z.object({
  answers: z
    .array(
      z.union([
        z.object({ promise: signedShape, receipts: z.array(signedShape).max(64) }),
        refused,
      ]),
    )
    .max(maxSealsAtOnce),
})

/** Both ends of a seal (REPLICATION 7): the authority asks, replicas promise. */
export class Seals {
  readonly #network: Network
  readonly #council: CouncilLogs
  readonly #replicas: Replicas

  constructor(parts: {
    readonly network: Network
    readonly council: CouncilLogs
    readonly replicas: Replicas
  }) {
    this.#network = parts.network
    this.#council = parts.council
    this.#replicas = parts.replicas
  }

  /** A replica's side: each seal by itself. Side by side, so that their promises share a sync. */
  async answer(
    from: PeerName,
    seals: readonly (readonly [SignedRow, ProofRow])[],
  ): Promise<unknown> {
    const answers = seals.map(async ([seal, proof]) => {
      const given = await this.#promise(from, fromSignedRow(seal), proof)
      return given.ok
        ? {
            promise: signedRow(given.value.promise.signed),
            receipts: given.value.receipts.map(({ signed }) => signedRow(signed)),
          }
        : refusalAnswer(given)
    })
    return { answers: await Promise.all(answers) }
  }

  async #promise(from: PeerName, signed: Signed, proof: ProofRow): Promise<Verdict<SealAnswer>> {
    const roster = this.#council.roster()
    if (roster === null || from !== authorityOf(roster))
      return refuse('SEAL_NOT_AUTHORITY', 'Only the authority ends an act.')
    const seal = decodeSeal(signed, authorityOf(roster))
    if (!seal.ok) return seal
    if (seal.value.council !== roster.council)
      return refuse('SEAL_NOT_AUTHORITY', `The seal is for the council ${seal.value.council}.`)
    const learnt = await this.#replicas.learn(proof)
    if (!learnt.ok) return learnt
    if (learnt.value.assignment.blog !== seal.value.log)
      return refuse('SEAL_NOT_NAMED', 'The act that came with the seal is of another blog.')
    const promise = await this.#replicas.seal(learnt.value, seal.value)
    return promise.ok
      ? accept({ promise: promise.value, receipts: learnt.value.receipts.all() })
      : promise
  }

  /**
   * Asks one peer to end acts; for the authority, which asks itself too. What does not hold, or is
   * of another round, is left out: then that replica has not answered. Throws as `ask` does.
   *
   * @returns answers by blog
   */
  async ask(
    peer: PeerName,
    orders: readonly SealOrder[],
    timeoutMs: number,
  ): Promise<Map<BlogName, SealAnswer>> {
    const seals = orders.map(({ seal, proof }) => [signedRow(seal), proofRow(proof)] as const)
    const reply =
      peer === this.#network.self
        ? sealAnswer.parse(await this.answer(peer, seals))
        : await ask(this.#network, peer, REPLICA, { t: 'seal', seals }, sealAnswer, timeoutMs)
    const found = new Map<BlogName, SealAnswer>()
    for (const row of reply.answers) {
      if ('error' in row) continue
      const promise = decodePromise(fromSignedRow(row.promise))
      if (!promise.ok || promise.value.replica.peer !== peer) continue
      const receipts = row.receipts.flatMap((each) => {
        const receipt = decodeReceipt(fromSignedRow(each))
        return receipt.ok ? [receipt.value] : []
      })
      found.set(promise.value.log as BlogName, { promise: promise.value, receipts })
    }
    return found
  }
}
