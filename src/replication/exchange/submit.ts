import { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import { keyStateAt } from '../../auth/public-key.ts'
import { readSignature } from '../../auth/signature.ts'
import { accept, type Refusal, refuse, type Verdict } from '../../auth/verdict.ts'
import { type Clock, wait } from '../clock.ts'
import type { Author } from '../log/author.ts'
import { type BlogName, decodeEntry, type Entry } from '../log/entry.ts'
import type { Ingest } from '../log/ingest.ts'
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
import {
  maxBareBytes,
  maxClockSkewMs,
  maxSealsAtOnce,
  moveRetryMs,
  publishWaitMs,
  SUBMIT,
} from '../protocol.ts'
import { type Assignment, publishedFrom } from '../registry/assignment.ts'
import { fromSignedRow, type ProofRow, proofRow, signedRow } from '../registry/proof.ts'
import type { Registry } from '../registry/registry.ts'
import type { RevokedKey } from '../registry/revoked-keys.ts'
import { type DecideOrder, type OrderedMove, orderShape, sendOrder } from './orders.ts'
import {
  Buckets,
  claimsPerSpokeBurst,
  claimsPerSpokeSecond,
  Door,
  type DoorLimits,
  entriesPerSpokeBurst,
  entriesPerSpokeSecond,
  refuseRate,
} from './rates.ts'
import { ReceiptBook } from './receipts.ts'
import type { Kept, Replicas } from './replica.ts'
import { type DecideReport, reportShape, toHanded } from './reports.ts'
import { checkRevoked } from './revocations.ts'

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
  z.object({ t: z.literal('claim'), entry: signedShape }),
  z.object({ t: z.literal('genesis'), entry: signedShape, proof: proofShape }),
  z.object({
    t: z.literal('revoke'),
    certificate: z.string().max(maxBareBytes),
    blog: z.string().max(40).nullable(),
  }),
  z.object({ t: z.literal('sealed'), blogs: z.array(z.string().max(40)).max(maxSealsAtOnce) }),
  z.object({ t: z.literal('short'), blogs: z.array(z.string().max(40)).max(maxSealsAtOnce) }),
  reportShape,
  orderShape,
  z.object({
    t: z.literal('drain'),
    undo: z.boolean(),
    reason: z.string().max(300),
    dryRun: z.boolean(),
  }),
])
const actAnswer = z.object({ proof: proofShape })

const drainAnswer = z.object({
  spoke: z.string().max(60),
  isDraining: z.boolean(),
  copies: z.number().int().min(0),
  leads: z.number().int().min(0),
})

/** What a spoke asks of the authority about its own copies, and how far that has come. */
export type AskedDrain = {
  readonly undo: boolean
  readonly reason: string
  readonly dryRun: boolean
}
export type Drained = z.infer<typeof drainAnswer>
/** The authority's answer to a spoke that wants to be emptied, or to keep copies again. */
export type DecideDrain = (
  asked: AskedDrain & { readonly spoke: PeerName },
) => Promise<Verdict<Drained>>

/**
 * What a replica tells the authority of blogs: `sealed`, its act is ended there and no next one is
 * known; `short`, as their primary it lacks receipts of w replicas for what they end with.
 */
export type Trouble = 'sealed' | 'short'
export type HearTrouble = (from: PeerName, what: Trouble, blogs: readonly string[]) => void

/** The authority's answer to a claim: the assignment that gives the name. */
export type DecideClaim = (genesis: Entry, offer: Signed, via: string) => Promise<Verdict<ProofRow>>

/** A primary's answer to the genesis of a blog that it leads, claimed at a spoke without room. */
export type TakeGenesis = (genesis: Entry, offer: Signed, proof: ProofRow) => Promise<Verdict<Kept>>

/** A revocation on its way to the authority. */
export type Revoke = {
  /** as it is kept, or gpg's bare certificate when its key is not known here */
  readonly certificate: string
  /** a blog that is or was written with the key, where that is known */
  readonly blog: string | null
}
/** The authority's answer: the act `revoke`, new or written before. */
export type DecideRevoke = (asked: Revoke) => Promise<Verdict<ProofRow>>

/** Passes signed entries from whoever has them to the primary that takes them (DESIGN 4). */
export class Submit {
  readonly #network: Network
  readonly #ingest: Ingest
  readonly #replicas: Replicas
  readonly #registry: Registry
  readonly #clock: Clock
  readonly #decideClaim: DecideClaim | null
  readonly #decideRevoke: DecideRevoke | null
  readonly #decideReport: DecideReport | null
  readonly #decideDrain: DecideDrain | null
  readonly #decideOrder: DecideOrder | null
  readonly #hearTrouble: HearTrouble | null
  readonly #authority: () => PeerName | null
  readonly #takeGenesis: TakeGenesis
  readonly #revoked: (key: string) => RevokedKey | null
  readonly #door: Door
  readonly #handedIn: Buckets
  readonly #claimed: Buckets

  constructor(parts: {
    readonly network: Network
    readonly ingest: Ingest
    readonly replicas: Replicas
    readonly registry: Registry
    readonly clock: Clock
    /** null at peers without the section `authority` */
    readonly decideClaim: DecideClaim | null
    readonly decideRevoke: DecideRevoke | null
    readonly decideReport?: DecideReport | null
    readonly decideDrain: DecideDrain | null
    readonly decideOrder?: DecideOrder | null
    readonly hearTrouble: HearTrouble | null
    /** who decides; null while this peer has no `@roster` */
    readonly authority: () => PeerName | null
    readonly takeGenesis: TakeGenesis
    /** what the council knows of a key */
    readonly revoked: (key: string) => RevokedKey | null
    readonly limits: DoorLimits
  }) {
    this.#network = parts.network
    this.#ingest = parts.ingest
    this.#replicas = parts.replicas
    this.#registry = parts.registry
    this.#clock = parts.clock
    this.#decideClaim = parts.decideClaim
    this.#decideRevoke = parts.decideRevoke
    this.#decideReport = parts.decideReport ?? null
    this.#decideDrain = parts.decideDrain
    this.#decideOrder = parts.decideOrder ?? null
    this.#hearTrouble = parts.hearTrouble
    this.#authority = parts.authority
    this.#takeGenesis = parts.takeGenesis
    this.#revoked = parts.revoked
    const { now } = parts.clock
    this.#door = new Door(parts.limits, now)
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
        if (body.t === 'revoke') return this.#decided(body)
        if (body.t === 'sealed' || body.t === 'short') {
          if (this.#hearTrouble === null)
            return refusalAnswer(refuse('NOT_THE_AUTHORITY', 'This peer moves no blogs.'))
          this.#hearTrouble(from, body.t, body.blogs)
          return { ok: true }
        }
        if (body.t === 'report') {
          const taken =
            this.#decideReport === null
              ? refuse('NOT_THE_AUTHORITY', 'This peer does not judge reports.')
              : await this.#decideReport(from, toHanded(body))
          return taken.ok ? { ok: true } : refusalAnswer(taken)
        }
        if (body.t === 'drain') {
          const { undo, reason, dryRun } = body
          const drained = await this.#decideDrain?.({ undo, reason, dryRun, spoke: from })
          if (drained === undefined)
            return refusalAnswer(refuse('NOT_THE_AUTHORITY', 'This peer does not move blogs.'))
          return drained.ok ? drained.value : refusalAnswer(drained)
        }
        if (body.t === 'order') {
          const moved =
            this.#decideOrder === null
              ? refuse('NOT_THE_AUTHORITY', 'This peer does not move blogs.')
              : await this.#decideOrder(fromSignedRow(body.order))
          return moved.ok ? moved.value : refusalAnswer(moved)
        }
        const offer = fromSignedRow(body.entry)
        const entry = decodeEntry(offer.text)
        if (!entry.ok) return refusalAnswer(entry)
        if (body.t === 'claim') {
          if (this.#decideClaim === null) {
            return refusalAnswer(refuse('NOT_THE_AUTHORITY', 'This peer does not give out names.'))
          }
          const given = await this.#decideClaim(entry.value, offer, from)
          return given.ok ? { proof: given.value } : refusalAnswer(given)
        }
        if (body.t === 'genesis') {
          const taken = await this.#takeGenesis(entry.value, offer, body.proof)
          return taken.ok ? stateAnswer(await this.#state(taken.value, 0)) : refusalAnswer(taken)
        }
        const kept = this.#replicas.get(entry.value.log)
        if (kept?.role !== 'primary') {
          return refusalAnswer(
            refuse('NOT_PRIMARY', `This spoke is not the primary of ${entry.value.log}.`),
          )
        }
        return stateAnswer(await this.#here(kept, entry.value, offer))
      }),
    )
  }

  async #decided(asked: Revoke): Promise<unknown> {
    const given =
      this.#decideRevoke === null
        ? refuse('NOT_THE_AUTHORITY', 'This peer does not write @names.')
        : await this.#decideRevoke(asked)
    return given.ok ? { proof: given.value } : refusalAnswer(given)
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
    if (kept?.role === 'primary') return this.#here(kept, entry, offer)
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

  /** Hands a genesis to the authority. Codes: AUTHORITY_UNREACHABLE, and the authority's. */
  claim(authority: PeerName, offer: Signed): Promise<Verdict<ProofRow>> {
    return this.#decision(
      authority,
      { t: 'claim', entry: signedRow(offer) },
      'The claim goes on by itself when it does.',
    )
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

  /** Hands a revocation to the authority. Codes: AUTHORITY_UNREACHABLE, and the authority's. */
  revoke(authority: PeerName, asked: Revoke): Promise<Verdict<ProofRow>> {
    return this.#decision(authority, { t: 'revoke', ...asked }, 'Try again in a minute.')
  }

  /**
   * Asks the authority to move everything away from this spoke. Codes: NOT_READY,
   * AUTHORITY_UNREACHABLE, and the authority's.
   */
  async drain(asked: AskedDrain): Promise<Verdict<Drained>> {
    const authority = this.#authority()
    if (authority === null) return refuse('NOT_READY', 'This peer has not joined its council yet.')
    try {
      const body = { t: 'drain', ...asked }
      return accept(await ask(this.#network, authority, SUBMIT, body, drainAnswer, 20_000))
    } catch (error) {
      const silent = 'The authority of the zone does not answer. Try again in a minute.'
      return asRefusal(error) ?? refuse('AUTHORITY_UNREACHABLE', silent)
    }
  }

  /** Hands a blogger's signed order to the authority. Codes: NOT_READY, and those of `sendOrder`. */
  async order(order: Signed): Promise<Verdict<OrderedMove>> {
    const authority = this.#authority()
    return authority === null
      ? refuse('NOT_READY', 'This server has not joined its council yet. Try again in a minute.')
      : sendOrder(this.#network, authority, order)
  }

  /** Tells the authority of blogs that do not go on here by themselves. Throws as `ask` does. */
  async tellTrouble(what: Trouble, blogs: readonly BlogName[]): Promise<void> {
    const authority = this.#authority()
    if (authority === null || blogs.length === 0) return
    const body = { t: what, blogs: blogs.slice(0, maxSealsAtOnce) }
    await ask(this.#network, authority, SUBMIT, body, z.object({ ok: z.literal(true) }))
  }

  async #decision(authority: PeerName, body: object, later: string): Promise<Verdict<ProofRow>> {
    try {
      return accept((await ask(this.#network, authority, SUBMIT, body, actAnswer, 20_000)).proof)
    } catch (error) {
      return (
        asRefusal(error) ??
        refuse('AUTHORITY_UNREACHABLE', `The authority of the zone does not answer. ${later}`)
      )
    }
  }

  /** The primary's door: what only the moment of taking can show is judged here, once (DESIGN 3.1). */
  async #here(kept: Kept, entry: Entry, offer: Signed): Promise<Verdict<Submitted>> {
    // Damaged here, and brought by its author, or by whoever has it: it is in its place again.
    if (this.#replicas.isDamaged(entry.log)) await this.#ingest.damage.restore(entry.log, [offer])
    if ((await this.#ingest.idAt(entry.log, entry.seq)) === entry.id) {
      // Its signature may have come damaged in a catch-up: then this one puts it right.
      if ((await this.#ingest.read(entry.log, entry.seq)) === null)
        await this.#ingest.heal(entry.log, offer)
      return this.#state(kept, entry.seq)
    }
    const door = await this.#checkDoor(entry, offer)
    if (!door.ok) return door
    const written = await this.#replicas.write(kept, offer)
    if (!written.ok) return written
    const outcome = written.value
    // A fork is kept as proof: it costs room like any other.
    if (outcome.kind === 'fork' || (outcome.kind === 'held' && outcome.added.length > 0))
      this.#door.count({ blog: entry.log, key: entry.key, kind: entry.kind })
    if (outcome.kind === 'refused') return outcome.refusal
    if (outcome.kind === 'held') return this.#state(kept, entry.seq)
    const record = await this.#ingest.record(entry.log)
    return accept({ kind: 'taken', head: record?.head ?? kept.assignment.head })
  }

  async #checkDoor(entry: Entry, offer: Signed): Promise<Verdict<void>> {
    const text = Buffer.from(entry.text).toString()
    if (text.normalize('NFC') !== text) {
      return refuse(
        'TEXT_NOT_NFC',
        'The text is not in Unicode normal form C. Normalise it and sign it again.',
      )
    }
    const room = this.#door.check({
      ...{ blog: entry.log, key: entry.key, kind: entry.kind },
      bytes: offer.text.length + offer.signature.length,
      heldBytes: (await this.#ingest.record(entry.log))?.bytes ?? 0,
    })
    if (!room.ok) return room
    const latest = this.#clock.now() + maxClockSkewMs
    const signature = await readSignature(Buffer.from(offer.signature).toString())
    if (!signature.ok) return signature
    if (entry.dateMs > latest) {
      return refuse(
        'DATE_IN_FUTURE',
        'The date lies in the future. Set the clock of your computer and sign again.',
      )
    }
    if (signature.value.createdMs > latest) {
      return refuse(
        'SIGNATURE_IN_FUTURE',
        'The signature is dated in the future. Set the clock of your computer and sign again.',
      )
    }
    const standing = checkRevoked(entry, this.#revoked)
    if (!standing.ok) return standing
    const author = (await this.#ingest.state(entry.log)) as Author | null
    // A rekey is how an expired key is extended: its own rules decide.
    if (author === null || entry.kind === 'rekey') return accept(undefined)
    return keyStateAt(author.current, new Date(this.#clock.now()))
  }

  async #state(kept: Kept, seq: number): Promise<Verdict<Submitted>> {
    const { blog, replicas } = kept.assignment
    if (replicas.length > 1) {
      const isOver = (now: Kept) => now.role !== 'primary' || now.receipts.published() >= seq
      await this.#replicas.until(blog, isOver, publishWaitMs)
    }
    const now = this.#replicas.get(blog) ?? kept
    // The blog was moved meanwhile: who leads it now counts the copies.
    if (now.role !== 'primary') return moved
    const covering = now.receipts.all().filter((receipt) => receipt.head.seq >= seq)
    return accept({
      kind: 'held',
      published: now.receipts.published() >= seq,
      copies: now.receipts.copies(seq),
      wanted: now.assignment.replicas.length,
      receipts: covering.map((receipt) => receipt.signed),
    })
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

const moved = refuse('NOT_PRIMARY', 'The blog has been moved to another server meanwhile.')
