import { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import { refuse } from '../../auth/verdict.ts'
import { type Clock, wait } from '../clock.ts'
import { ReplicationError } from '../errors.ts'
import type { BlogName } from '../log/entry.ts'
import type { LogName } from '../log/log.ts'
import type { LogStore } from '../log/store.ts'
import type { EntryId, Signed } from '../log/text.ts'
import {
  answer,
  ask,
  type Network,
  proofShape,
  refusalAnswer,
  refusalOf,
  signedShape,
} from '../network.ts'
import { maxActsAtOnce, maxPageEntries, pushAfterMs, pushRetryMs, REPLICA } from '../protocol.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import {
  fromProofRow,
  fromSignedRow,
  proofRow,
  type SignedRow,
  signedRow,
} from '../registry/proof.ts'
import { carryShape, enterShape, type Holders, holdShape } from './holders.ts'
import { type Learners, learnShape } from './learners.ts'
import type { Kept, Replicas } from './replica.ts'
import type { Revocations } from './revocations.ts'
import { type Seals, sealShape } from './seals.ts'
import { readPage, type Sync } from './sync.ts'

const seq = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const request = z.discriminatedUnion('t', [
  z.object({
    t: z.literal('push'),
    log: z.string().max(40),
    act: z.string().length(64),
    /** the proof of that act, when the replica may not know it */
    proof: proofShape.nullable(),
    head: z.object({ seq, id: z.string().length(64) }),
    entries: z.array(signedShape).max(maxPageEntries),
  }),
  z.object({ t: z.literal('receipts'), receipts: z.array(signedShape).max(maxPageEntries) }),
  z.object({ t: z.literal('act'), proof: proofShape }),
  z.object({ t: z.literal('acts'), proofs: z.array(proofShape).max(maxActsAtOnce) }),
  sealShape,
  learnShape,
  holdShape,
  enterShape,
  carryShape,
])
const pushAnswer = z.union([z.object({ receipt: signedShape }), z.object({ need: seq })])
const done = z.object({ ok: z.literal(true) })

/** Pages that are on their way to one peer at once. */
const pagesAtOnce = 8
/** How long a peer that cannot be reached is left alone, ms: a thousand blogs may have news for it. */
const unreachableMs = 1_000
/** Receipts that are checked before others get their turn. */
const receiptsAtOnce = 50
/** Why a good receipt may not count here: the rest of its frame still may. */
const passedReceipts = new Set(['RECEIPT_UNKNOWN_BLOG', 'RECEIPT_OTHER_ENTRY'])

/** How often a replica may ask for earlier entries: it halves its way back to where logs agree. */
const maxBackwards = 60

/**
 * The stream between a primary and its secondaries: entries from the last receipt on, acts, and
 * receipts back (REPLICATION 5, 6, 15).
 */
export class Push {
  readonly #network: Network
  readonly #store: LogStore
  readonly #replicas: Replicas
  readonly #council: CouncilLogs
  readonly #sync: Sync
  readonly #revocations: Pick<Revocations, 'takeFrom'>
  readonly #seals: Pick<Seals, 'answer'>
  readonly #learners: Pick<Learners, 'answer'>
  readonly #holders: Pick<Holders, 'hold' | 'enter' | 'carry'>
  readonly #clock: Clock
  readonly #enabled: boolean
  /** pushes under way, by blog and peer */
  readonly #running = new Set<string>()
  /** pages on their way to a peer, and who waits for a turn */
  readonly #turns = new Map<PeerName, { taken: number; readonly waiting: (() => void)[] }>()
  /** peers that could not be reached, and until when they are left alone */
  readonly #unreachableUntilMs = new Map<PeerName, number>()
  /** acts that a peer is known to know */
  readonly #told = new Set<string>()
  /** receipts on their way to a peer, by log */
  readonly #outbox = new Map<PeerName, Map<string, Signed>>()
  #stopped = false

  constructor(parts: {
    readonly network: Network
    readonly store: LogStore
    readonly replicas: Replicas
    readonly council: CouncilLogs
    readonly sync: Sync
    readonly revocations: Pick<Revocations, 'takeFrom'>
    readonly seals: Pick<Seals, 'answer'>
    readonly learners: Pick<Learners, 'answer'>
    readonly holders: Pick<Holders, 'hold' | 'enter' | 'carry'>
    readonly clock: Clock
    /** false only in tests of the other ways */
    readonly enabled: boolean
  }) {
    this.#network = parts.network
    this.#store = parts.store
    this.#replicas = parts.replicas
    this.#council = parts.council
    this.#sync = parts.sync
    this.#revocations = parts.revocations
    this.#seals = parts.seals
    this.#learners = parts.learners
    this.#holders = parts.holders
    this.#clock = parts.clock
    this.#enabled = parts.enabled
  }

  start(): void {
    this.#network.handle(
      REPLICA,
      answer(request, async (from, body) => {
        switch (body.t) {
          case 'push':
            return this.#taken(from, body)
          case 'receipts':
            return this.#received(body.receipts)
          case 'act': {
            // Who carries `@names` takes it there, and learns what names it from the log.
            if (await this.#sync.takeNamed(from, [body.proof])) return { ok: true }
            if ((await this.#revocations.takeFrom(from, fromProofRow(body.proof))).ok)
              return { ok: true }
            const kept = await this.#sync.learn(from, body.proof)
            return kept === null
              ? refusalAnswer(refuse('ACT_REFUSED', 'The act is not in force here.'))
              : { ok: true }
          }
          case 'acts': {
            if (await this.#sync.takeNamed(from, body.proofs)) return { ok: true }
            await Promise.all(body.proofs.map((proof) => this.#sync.learn(from, proof)))
            return { ok: true }
          }
          case 'seal':
            return this.#seals.answer(from, body.seals)
          case 'learn':
            return this.#learners.answer(from, body.acts)
          case 'hold':
            return this.#holders.hold(from, body)
          case 'enter':
            return this.#holders.enter(from, body)
          case 'carry':
            return this.#holders.carry(from)
        }
      }),
    )
  }

  /**
   * Takes receipts, with a pause now and then: each is a signature to check, and everybody else
   * waits meanwhile. Nobody honest sends one that is none, so such a frame ends there.
   */
  async #received(rows: readonly SignedRow[]): Promise<unknown> {
    for (const [index, row] of rows.entries()) {
      if (index > 0 && index % receiptsAtOnce === 0) await wait(this.#clock, 0)
      const taken = await this.#replicas.receive(fromSignedRow(row))
      if (!taken.ok && !passedReceipts.has(taken.code)) return refusalAnswer(taken)
    }
    return { ok: true }
  }

  stop(): void {
    this.#stopped = true
  }

  /** The secondary's side of a push. */
  async #taken(
    from: PeerName,
    push: Extract<z.infer<typeof request>, { t: 'push' }>,
  ): Promise<unknown> {
    const known = push.proof === null ? null : await this.#sync.learn(from, push.proof)
    const kept = known ?? this.#replicas.get(push.log as BlogName)
    if (kept === null || kept.assignment.id !== push.act) {
      return refusalAnswer(
        kept !== null && push.proof !== null
          ? refuse('LATER_ACT', `A later act is known here: epoch ${kept.assignment.epoch}.`)
          : refuse('ACT_UNKNOWN', 'That act is not known here; send its proof.'),
      )
    }
    if (kept.assignment.primary !== from) {
      return refusalAnswer(
        refuse('NOT_THE_PRIMARY', `The primary of ${push.log} is ${kept.assignment.primary}.`),
      )
    }
    if (kept.role !== 'secondary') {
      return refusalAnswer(
        refuse('NOT_NAMED', 'The act does not name this peer with the store that it has now.'),
      )
    }
    const head = { seq: push.head.seq, id: push.head.id as EntryId }
    const outcome = await this.#replicas.take(kept, push.entries.map(fromSignedRow), {
      way: 'push',
      head,
      // A range is taken as in a pull: its newest signature covers it (DESIGN 4).
      checkAll: push.entries.length < 3,
    })
    if (outcome.kind === 'gap') return { need: outcome.have + 1 }
    if (outcome.kind === 'refused') return refusalAnswer(outcome.refusal)
    if (outcome.kind === 'stale')
      return refusalAnswer(refuse('LATER_ACT', 'This act is ended here, or a later one is known.'))
    if (outcome.kind !== 'held')
      return refusalAnswer(refuse('NOT_A_PREFIX', `The log here does not fit: ${outcome.kind}.`))
    const receipt = await this.#replicas.give(kept)
    if (receipt !== null) return { receipt: signedRow(receipt.signed) }
    // The head that the act names has not come yet.
    if (outcome.head.seq < kept.assignment.head.seq) return { need: outcome.head.seq + 1 }
    return refusalAnswer(refuse('NO_RECEIPT', 'A later act is known here.'))
  }

  /** After gossip: whoever has given no receipt in time gets everything by stream. */
  afterGossip(kept: Kept, gossiped: boolean): void {
    if (!gossiped) this.toAll(kept)
    else this.#clock.after(pushAfterMs, () => this.toAll(kept))
  }

  /** Pushes to every replica that is behind this primary's head. */
  toAll(kept: Kept): void {
    for (const { peer } of kept.assignment.replicas) this.to(peer, kept)
  }

  to(peer: PeerName, kept: Kept): void {
    const key = `${kept.assignment.blog} ${peer}`
    if (
      !this.#enabled ||
      peer === this.#network.self ||
      kept.role !== 'primary' ||
      this.#running.has(key)
    )
      return
    this.#running.add(key)
    void this.#run(peer, kept).finally(() => this.#running.delete(key))
  }

  async #run(peer: PeerName, kept: Kept): Promise<void> {
    for (let failures = 0; !this.#stopped; ) {
      // One that does not lead yet, as it lacks the act's head, has no log that anybody should follow.
      const head = await this.#replicas.followedHead(kept)
      if (head === null || this.#replicas.get(kept.assignment.blog) !== kept) return
      const given = kept.receipts.of(peer)
      if (given !== null && given.head.seq >= head.seq) return
      const from = (given?.head.seq ?? firstGuess(kept)) + 1
      const done = await this.#turn(peer)
      try {
        const isSent = !this.#isLeftAlone(peer) && (await this.#page(peer, kept, from))
        failures = isSent ? 0 : failures + 1
      } catch (error) {
        if (error instanceof ReplicationError && error.code === 'PEER_UNREACHABLE')
          this.#unreachableUntilMs.set(peer, this.#clock.now() + unreachableMs)
        if (refusalOf(error) === 'ACT_UNKNOWN') this.#told.delete(`${kept.assignment.id} ${peer}`)
        failures++
      } finally {
        done()
      }
      if (failures === 0) continue
      const waitMs = pushRetryMs[failures - 1]
      // From here on the pull brings it (REPLICATION 6).
      if (waitMs === undefined) return
      await new Promise<void>((resolve) => {
        this.#clock.after(waitMs, resolve)
      })
    }
  }

  #isLeftAlone(peer: PeerName): boolean {
    const isLate = this.#clock.now() < (this.#unreachableUntilMs.get(peer) ?? 0)
    return isLate && !this.#network.connected().includes(peer)
  }

  /**
   * Waits for a turn with a peer: a spoke that leads a thousand blogs at once would else spend the
   * time that each request has on waiting for the ones before it. @returns what ends the turn
   */
  async #turn(peer: PeerName): Promise<() => void> {
    const turns = this.#turns.get(peer) ?? { taken: 0, waiting: [] }
    this.#turns.set(peer, turns)
    if (turns.taken < pagesAtOnce) turns.taken++
    else await new Promise<void>((resolve) => turns.waiting.push(resolve))
    return () => {
      const next = turns.waiting.shift()
      if (next === undefined) turns.taken--
      else next()
    }
  }

  /** One page; @returns whether a receipt came back that covers more than before. */
  async #page(peer: PeerName, kept: Kept, first: number): Promise<boolean> {
    const { blog, id, proof } = kept.assignment
    let from = first
    for (let backwards = 0; backwards < maxBackwards; ) {
      const page = await readPage(this.#store, blog, from)
      const head = await this.#replicas.followedHead(kept)
      if (head === null) return false
      const told = `${id} ${peer}`
      const reply = await ask(
        this.#network,
        peer,
        REPLICA,
        {
          t: 'push',
          log: blog,
          act: id,
          proof: this.#told.has(told) ? null : proofRow(proof),
          head,
          entries: page.entries,
        },
        pushAnswer,
      )
      this.#told.add(told)
      if ('receipt' in reply) {
        await this.#replicas.receive(fromSignedRow(reply.receipt))
        // An old receipt, or another peer's, must not make this a loop without a pause.
        return (kept.receipts.of(peer)?.head.seq ?? -1) >= Math.min(first, head.seq)
      }
      const isForward = reply.need > from && reply.need <= from + page.entries.length
      if (!isForward && reply.need >= from) return false
      if (!isForward) backwards++
      from = reply.need
    }
    return false
  }

  /** Sends a receipt to a peer soon; of several for one log only the newest goes. */
  sendReceipts(
    peer: PeerName,
    receipts: readonly {
      readonly log: LogName
      readonly signed: Signed
      readonly replica: { readonly peer: PeerName }
    }[],
  ): void {
    if (peer === this.#network.self) return
    const waiting = this.#outbox.get(peer)
    const box = waiting ?? new Map<string, Signed>()
    for (const receipt of receipts)
      box.set(`${receipt.log} ${receipt.replica.peer}`, receipt.signed)
    if (waiting !== undefined) return
    this.#outbox.set(peer, box)
    void this.#flush(peer, box)
  }

  async #flush(peer: PeerName, box: Map<string, Signed>): Promise<void> {
    while (box.size > 0 && !this.#stopped) {
      const batch = [...box.values()].slice(0, maxPageEntries)
      box.clear()
      try {
        await ask(
          this.#network,
          peer,
          REPLICA,
          { t: 'receipts', receipts: batch.map(signedRow) },
          done,
        )
      } catch {
        // It comes back with the next pull (REPLICATION 5).
      }
    }
    this.#outbox.delete(peer)
  }

  /** Hands an act to a replica that it names, so that it need not wait for its next pull. */
  async sendAct(peer: PeerName, proof: Parameters<typeof proofRow>[0]): Promise<void> {
    await ask(this.#network, peer, REPLICA, { t: 'act', proof: proofRow(proof) }, done)
  }

  /** The same for assignments that follow each other in `@names`. */
  async sendActs(peer: PeerName, proofs: readonly Parameters<typeof proofRow>[0][]): Promise<void> {
    await ask(this.#network, peer, REPLICA, { t: 'acts', proofs: proofs.map(proofRow) }, done)
  }
}

/** What a replica that gave no receipt yet under this act may hold: after epoch 1 mostly the act's head. */
function firstGuess(kept: Kept): number {
  return kept.assignment.epoch === 1 ? -1 : kept.assignment.head.seq
}
