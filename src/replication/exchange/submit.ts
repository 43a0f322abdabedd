import { z } from 'zod'
import { accept, type Refusal, refuse, type Verdict } from '../../auth/verdict.ts'
import { type Clock, wait } from '../clock.ts'
import { decodeEntry, type Entry } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import { decodeReceipt } from '../log/receipt.ts'
import type { EntryId, Signed } from '../log/text.ts'
import {
  answer,
  ask,
  asRefusal,
  type Network,
  proofShape,
  refusalAnswer,
  signedShape,
} from '../network.ts'
import { moveRetryMs, publishWaitMs, SUBMIT } from '../protocol.ts'
import { type Assignment, publishedFrom } from '../registry/assignment.ts'
import { fromSignedRow, type ProofRow, proofRow, signedRow } from '../registry/proof.ts'
import type { Registry } from '../registry/registry.ts'
import { askedShapes, type Decisions, decide } from './decisions.ts'
import type { PrimaryDoor } from './primary-door.ts'
import {
  Buckets,
  claimsPerSpokeBurst,
  claimsPerSpokeSecond,
  entriesPerSpokeBurst,
  entriesPerSpokeSecond,
  refuseRate,
} from './rates.ts'
import { ReceiptBook } from './receipts.ts'
import type { Kept, Replicas } from './replica.ts'

/** What became of a submitted entry. */
export type Submitted =
  | {
      readonly kind: 'held'
      readonly published: boolean
      readonly copies: number
      readonly wanted: number
      /** receipts that cover the entry */
      readonly receipts: readonly Signed[]
    }
  /** the seq is taken by another entry, or the entry does not follow the head */
  | { readonly kind: 'taken'; readonly head: Head }

const head = z.object({ seq: z.number().int().min(0), id: z.string().length(64) })
const entryAnswer = z.union([
  z.object({
    published: z.boolean(),
    copies: z.number().int().min(0),
    wanted: z.number().int().min(1),
    receipts: z.array(signedShape).max(31),
  }),
  z.object({ taken: head }),
])
const request = z.discriminatedUnion('t', [
  z.object({ t: z.literal('entry'), entry: signedShape }),
  z.object({ t: z.literal('genesis'), entry: signedShape, proof: proofShape }),
  ...askedShapes,
])
/** A primary's answer to the genesis of a blog that it leads, claimed at a spoke without room. */
export type TakeGenesis = (genesis: Entry, offer: Signed, proof: ProofRow) => Promise<Verdict<Kept>>

/** Passes signed entries from whoever has them to the primary that takes them (DESIGN 4). */
export class Submit {
  readonly #network: Network
  readonly #replicas: Replicas
  readonly #registry: Registry
  readonly #clock: Clock
  readonly #door: PrimaryDoor
  readonly #decisions: Decisions | null
  readonly #takeGenesis: TakeGenesis
  readonly #handedIn: Buckets
  readonly #claimed: Buckets

  constructor(parts: {
    readonly network: Network
    readonly replicas: Replicas
    readonly registry: Registry
    readonly clock: Clock
    readonly door: PrimaryDoor
    /** null at peers without the section `authority` */
    readonly decisions: Decisions | null
    readonly takeGenesis: TakeGenesis
  }) {
    this.#network = parts.network
    this.#replicas = parts.replicas
    this.#registry = parts.registry
    this.#clock = parts.clock
    this.#door = parts.door
    this.#decisions = parts.decisions
    this.#takeGenesis = parts.takeGenesis
    const { now } = parts.clock
    this.#handedIn = new Buckets(
      { burst: entriesPerSpokeBurst, perSecond: entriesPerSpokeSecond },
      now,
    )
    this.#claimed = new Buckets(
      { burst: claimsPerSpokeBurst, perSecond: claimsPerSpokeSecond },
      now,
    )
  }

  start(): void {
    this.#network.handle(
      SUBMIT,
      answer(request, async (from, body) => {
        const buckets = body.t === 'entry' ? this.#handedIn : this.#claimed
        if (!buckets.tryTake(from)) {
          const words = 'This spoke hands in more than the one that decides can look at.'
          return refusalAnswer(refuseRate(words, buckets.waitMs(from)))
        }
        if (body.t !== 'entry' && body.t !== 'genesis') return decide(this.#decisions, from, body)
        const offer = fromSignedRow(body.entry)
        const entry = decodeEntry(offer.text)
        if (!entry.ok) return refusalAnswer(entry)
        if (body.t === 'genesis') {
          const taken = await this.#takeGenesis(entry.value, offer, body.proof)
          return taken.ok
            ? stateAnswer(await this.#door.published(taken.value, 0))
            : refusalAnswer(taken)
        }
        const kept = this.#replicas.get(entry.value.log)
        if (kept?.role !== 'primary') {
          return refusalAnswer(
            refuse('NOT_PRIMARY', `This spoke is not the primary of ${entry.value.log}.`),
          )
        }
        return stateAnswer(await this.#door.take(kept, entry.value, offer))
      }),
    )
  }

  /**
   * Submits an entry of a blog that exists, from anyone, at any spoke.
   *
   * Codes: BLOG_UNKNOWN, REGISTRY_UNREACHABLE (nobody here can say where the blog is),
   * PRIMARY_UNREACHABLE, those of the primary's door (RATE_LIMITED, BLOG_FULL among them), and those of the log's rules.
   */
  async submit(entry: Entry, offer: Signed): Promise<Verdict<Submitted>> {
    let done = await this.#tryOnce(entry, offer)
    // A blog that is just being moved has no primary for a moment; nothing was stored meanwhile.
    for (const ms of moveRetryMs) {
      if (done.ok || !['NOT_ACTIVE', 'NOT_PRIMARY'].includes(done.code)) break
      await wait(this.#clock, ms)
      done = await this.#tryOnce(entry, offer)
    }
    return done
  }

  async #tryOnce(entry: Entry, offer: Signed): Promise<Verdict<Submitted>> {
    let last: Refusal | null = null
    for (const maxAgeMs of [60_000, 0]) {
      const found = await this.#registry.lookUp(entry.log, { maxAgeMs })
      if (found === 'free') {
        return refuse(
          'BLOG_UNKNOWN',
          `There is no blog ${entry.log} in this council. Claim the name first.`,
        )
      }
      if (found === 'unreachable') {
        return refuse(
          'REGISTRY_UNREACHABLE',
          'This spoke cannot find out now which spoke takes writes for this blog. Nothing was stored; keep the text and try again in a minute.',
        )
      }
      const done = await this.#at(found, entry, offer, maxAgeMs === 0)
      if (done.ok || done.code !== 'NOT_PRIMARY') return done
      last = done
    }
    return last as Refusal
  }

  async #at(
    found: Assignment,
    entry: Entry,
    offer: Signed,
    isFresh: boolean,
  ): Promise<Verdict<Submitted>> {
    const kept = this.#replicas.get(entry.log)
    if (kept?.role === 'primary') return this.#door.take(kept, entry, offer)
    try {
      const reply = await ask(
        this.#network,
        found.primary,
        SUBMIT,
        { t: 'entry', entry: signedRow(offer) },
        entryAnswer,
        publishWaitMs + 10_000,
      )
      if ('taken' in reply) {
        return accept({
          kind: 'taken',
          head: { seq: reply.taken.seq, id: reply.taken.id as EntryId },
        })
      }
      const proven = countProven(found, entry, reply.receipts.map(fromSignedRow))
      return proven.epoch > found.epoch && !isFresh
        ? refuse('NOT_PRIMARY', 'A later act is in force than this spoke knows.')
        : accept(proven.held)
    } catch (error) {
      return (
        asRefusal(error) ??
        refuse(
          'PRIMARY_UNREACHABLE',
          `The spoke that takes writes for ${entry.log} does not answer. Nothing was stored; keep the signed text and send it again in a minute, to any spoke.`,
        )
      )
    }
  }

  /**
   * Hands a genesis, with the act that gives its name, to the spoke that leads the blog. What the
   * answer counts are receipts that hold. Codes: PRIMARY_UNREACHABLE, and those of `Claims.handedOver`.
   */
  async handOver(found: Assignment, genesis: Entry, offer: Signed): Promise<Verdict<Submitted>> {
    const body = { t: 'genesis', entry: signedRow(offer), proof: proofRow(found.proof) }
    const waitMs = publishWaitMs + 10_000
    try {
      const reply = await ask(this.#network, found.primary, SUBMIT, body, entryAnswer, waitMs)
      const receipts = 'taken' in reply ? [] : reply.receipts.map(fromSignedRow)
      return accept(countProven(found, genesis, receipts).held)
    } catch (error) {
      return (
        asRefusal(error) ??
        refuse('PRIMARY_UNREACHABLE', `The spoke that leads ${found.blog} does not answer yet.`)
      )
    }
  }
}

function stateAnswer(done: Verdict<Submitted>): unknown {
  if (!done.ok) return refusalAnswer(done)
  return done.value.kind === 'taken'
    ? { taken: done.value.head }
    : { ...done.value, receipts: done.value.receipts.map(signedRow) }
}

/** What a primary's answer proves: its word may be a lie, the receipts of other replicas are not. */
function countProven(
  found: Assignment,
  entry: Entry,
  answered: readonly Signed[],
): { epoch: number; held: Submitted } {
  const book = new ReceiptBook(found)
  let { epoch } = found
  for (const signed of answered) {
    const receipt = decodeReceipt(signed)
    if (!receipt.ok || receipt.value.log !== entry.log) continue
    epoch = Math.max(epoch, receipt.value.epoch)
    const { head } = receipt.value
    if (head.seq > entry.seq || (head.seq === entry.seq && head.id === entry.id))
      book.add(receipt.value)
  }
  const copies = book.copies(entry.seq)
  const needed = publishedFrom(found)
  const receipts = book.all().map((receipt) => receipt.signed)
  const published = needed !== null && copies >= needed
  return {
    epoch,
    held: { kind: 'held', published, copies, wanted: found.replicas.length, receipts },
  }
}
