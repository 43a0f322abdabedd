import { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import type { KeyRing } from '../../auth/public-key.ts'
import { type Clock, within } from '../clock.ts'
import { ReplicationError } from '../errors.ts'
import type { BlogName } from '../log/entry.ts'
import { Ingest } from '../log/ingest.ts'
import { decodeReceipt, type Receipt } from '../log/receipt.ts'
import { blogRules } from '../log/rules.ts'
import { type Disk, LogStore } from '../log/store.ts'
import { ask, type Network, proofShape, signedShape } from '../network.ts'
import { READ, readWaitMs } from '../protocol.ts'
import { type Assignment, namedEntries, readAssignment } from '../registry/assignment.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import { fromProofRow, fromSignedRow, type ProofRow } from '../registry/proof.ts'
import type { Registry } from '../registry/registry.ts'
import { ReceiptBook } from './receipts.ts'
import type { Replicas } from './replica.ts'
import { type Page, pageShape, toOffer } from './sync.ts'

const logShape: z.ZodType<
  Page & { act: ProofRow; receipts: (readonly [Uint8Array, Uint8Array])[] }
> = z.intersection(pageShape, z.object({ act: proofShape, receipts: z.array(signedShape).max(64) }))

/** A blog as a reader at this spoke sees it: held here, or fetched and checked for the visit. */
export type Visit = {
  readonly ingest: Ingest
  readonly store: LogStore
  readonly assignment: Assignment
  readonly receipts: ReceiptBook
  /** whether this spoke is a replica of it */
  readonly held: boolean
}

type Visited = {
  readonly ingest: Ingest
  readonly store: LogStore
  assignment: Assignment
  receipts: ReceiptBook
  bytes: number
  freshMs: number
  refreshing: Promise<boolean> | null
}

/** Bytes of fetched blogs kept in memory; the one visited longest ago makes room. */
const maxVisitedBytes = 64 * 1024 * 1024
const maxVisitedBlogs = 500
/** How old a fetched blog may be before its holder is asked again, ms. */
const maxVisitedAgeMs = 1_000
/** How long the visitor waits for a holder when no older copy is at hand, ms. */
const firstFetchMs = 5_000

/**
 * Read anywhere (DESIGN 4): a spoke that is asked for a blog that it does not hold fetches its log
 * from one that does, and checks it by the same rules as a replica would.
 */
export class Visits {
  readonly #network: Network
  readonly #store: LogStore
  readonly #ingest: Ingest
  readonly #replicas: Replicas
  readonly #registry: Registry
  readonly #council: CouncilLogs
  readonly #keys: KeyRing
  readonly #clock: Clock
  readonly #memoryDisk: () => Disk
  readonly #pull: (peer: PeerName, blog: BlogName) => Promise<void>
  readonly #renewedMs = new Map<BlogName, number>()
  readonly #visited = new Map<BlogName, Visited>()

  constructor(parts: {
    readonly network: Network
    readonly store: LogStore
    readonly ingest: Ingest
    readonly replicas: Replicas
    readonly registry: Registry
    readonly council: CouncilLogs
    readonly keys: KeyRing
    readonly clock: Clock
    /** an empty store in memory, for one fetched blog */
    readonly memoryDisk: () => Disk
    readonly pull: (peer: PeerName, blog: BlogName) => Promise<void>
  }) {
    this.#network = parts.network
    this.#store = parts.store
    this.#ingest = parts.ingest
    this.#replicas = parts.replicas
    this.#registry = parts.registry
    this.#council = parts.council
    this.#keys = parts.keys
    this.#clock = parts.clock
    this.#memoryDisk = parts.memoryDisk
    this.#pull = parts.pull
  }

  /**
   * Opens a blog for a reader: held here, or fetched from a spoke that holds it.
   *
   * @param elsewhere - passes by what is held here, which does not hang together any more
   */
  async open(
    blog: BlogName,
    { elsewhere = false }: { elsewhere?: boolean } = {},
  ): Promise<Visit | 'unknown' | 'unreachable'> {
    const kept = elsewhere || this.#replicas.isDamaged(blog) ? null : this.#replicas.get(blog)
    if (kept !== null && kept.role !== 'none' && (await this.#ingest.record(blog)) !== null) {
      const { assignment, receipts } = kept
      return {
        ingest: this.#ingest,
        store: this.#store,
        assignment,
        receipts,
        held: true,
      }
    }
    const visited = this.#visited.get(blog)
    if (visited !== undefined) {
      if (this.#clock.steady() - visited.freshMs > maxVisitedAgeMs) {
        await within(this.#clock, readWaitMs, this.#refresh(blog, visited), false)
      }
      // It may have been fetched anew.
      const current = this.#visited.get(blog) ?? visited
      this.#visited.delete(blog)
      this.#visited.set(blog, current)
      return this.#view(current)
    }
    const found = await this.#registry.lookUp(blog)
    if (found === 'free') return 'unknown'
    if (found === 'unreachable') return 'unreachable'
    const fetched = this.#nothingOf(found)
    if (!(await within(this.#clock, firstFetchMs, this.#refresh(blog, fetched), false)))
      return 'unreachable'
    this.#visited.set(blog, fetched)
    this.#makeRoom()
    return this.#view(fetched)
  }

  /**
   * Asks a spoke that may hold more of a blog than is here, for 300 ms at most, and once a second
   * at most, whatever readers ask for.
   * @returns whether the log has grown
   */
  async renew(blog: BlogName): Promise<boolean> {
    const nowMs = this.#clock.steady()
    if (nowMs - (this.#renewedMs.get(blog) ?? -Infinity) < maxVisitedAgeMs) return false
    if (this.#renewedMs.size >= maxVisitedBlogs) this.#renewedMs.clear()
    this.#renewedMs.set(blog, nowMs)
    const kept = this.#replicas.get(blog)
    const visited = this.#visited.get(blog)
    const ingest = () => this.#visited.get(blog)?.ingest ?? this.#ingest
    const before = (await ingest().record(blog))?.head.seq ?? -1
    if (visited !== undefined)
      await within(this.#clock, readWaitMs, this.#refresh(blog, visited), false)
    else if (kept?.role === 'secondary') {
      await within(
        this.#clock,
        readWaitMs,
        this.#pull(kept.assignment.primary, blog),
        undefined,
      ).catch(() => undefined)
    }
    return ((await ingest().record(blog))?.head.seq ?? -1) > before
  }

  /** Room for a blog that is about to be fetched. */
  #nothingOf(assignment: Assignment): Visited {
    const store = new LogStore(this.#memoryDisk())
    const rules = blogRules(() => this.#council.roster()?.council ?? null, this.#keys)
    const ingest = new Ingest({ store, rulesOf: () => rules, now: this.#clock.now })
    const receipts = new ReceiptBook(assignment)
    return { ingest, store, assignment, receipts, bytes: 0, freshMs: -Infinity, refreshing: null }
  }

  #view(visited: Visited): Visit {
    const { ingest, store, assignment } = visited
    return { ingest, store, assignment, receipts: visited.receipts, held: false }
  }

  #makeRoom(): void {
    let sum = [...this.#visited.values()].reduce((total, each) => total + each.bytes, 0)
    for (const [blog, each] of this.#visited) {
      const isRoom = sum <= maxVisitedBytes && this.#visited.size <= maxVisitedBlogs
      if (isRoom || this.#visited.size === 1) return
      this.#visited.delete(blog)
      sum -= each.bytes
    }
  }

  /** Fetches what a visited blog lacks; one fetch at a time. @returns whether a holder answered */
  #refresh(blog: BlogName, visited: Visited): Promise<boolean> {
    visited.refreshing ??= this.#fetch(blog, visited).finally(() => {
      visited.refreshing = null
    })
    return visited.refreshing
  }

  async #fetch(blog: BlogName, visited: Visited): Promise<boolean> {
    const { assignment } = visited
    const secondaries = assignment.replicas
      .map(({ peer }) => peer)
      .filter((peer) => peer !== assignment.primary)
    // Another one first each time: no single holder decides for long what visitors see.
    const first = Math.floor(this.#clock.random() * secondaries.length)
    const holders = [
      ...secondaries.slice(first),
      ...secondaries.slice(0, first),
      assignment.primary,
    ].filter((peer) => peer !== this.#network.self)
    for (const holder of holders) {
      try {
        await this.#fetchFrom(holder, blog, visited)
        visited.freshMs = this.#clock.steady()
        return true
      } catch (error) {
        // The next holder may answer; if none does, the copy at hand is shown as it is. What this
        // one has does not fit to it: it may be the copy that is wrong.
        if (error instanceof ReplicationError || this.#visited.get(blog) !== visited) continue
        const anew = this.#nothingOf(visited.assignment)
        try {
          await this.#fetchFrom(holder, blog, anew)
        } catch {
          continue
        }
        anew.freshMs = this.#clock.steady()
        this.#visited.set(blog, anew)
        return true
      }
    }
    const newer = await this.#registry.lookUp(blog, { maxAgeMs: 0 })
    if (typeof newer !== 'string' && newer.epoch > assignment.epoch) visited.assignment = newer
    return false
  }

  async #fetchFrom(holder: PeerName, blog: BlogName, visited: Visited): Promise<void> {
    let given: readonly Receipt[] = []
    for (let more = true; more; ) {
      const record = await visited.ingest.record(blog)
      const from = (record?.head.seq ?? -1) + 1
      const page = await ask(this.#network, holder, READ, { t: 'log', log: blog, from }, logShape)
      const assignment = readAssignment(fromProofRow(page.act), this.#council.roster())
      if (assignment.ok && assignment.value.epoch > visited.assignment.epoch)
        visited.assignment = assignment.value
      if (visited.receipts.assignment !== visited.assignment)
        visited.receipts = new ReceiptBook(visited.assignment)
      given = page.receipts.flatMap((row) => {
        const receipt = decodeReceipt(fromSignedRow(row))
        return receipt.ok ? [receipt.value] : []
      })
      if (page.entries.length === 0) break
      more = page.more
      const offers = page.entries.map(toOffer)
      // Nobody counts on this copy: its epoch stays 0, and what does not chain is refused.
      const outcome = await visited.ingest.offer(blog, offers, {
        way: 'pull',
        following: {
          epoch: 0,
          head: visited.assignment.head,
          holds: namedEntries(visited.assignment),
        },
        checkAll: false,
      })
      // Nothing new: the holder would send the same for ever.
      if (outcome.kind !== 'held' || outcome.added.length === 0)
        throw new Error(`${holder} sent a page of ${blog} that does not hold`)
      visited.bytes += offers.reduce(
        (sum, offer) => sum + offer.text.length + offer.signature.length,
        0,
      )
      if (visited.bytes > maxVisitedBytes)
        throw new ReplicationError(
          'NOT_READY',
          `${blog} is too large for a visit; its own spokes show it`,
        )
    }
    // It withholds what it has signed for, or has lost it: whoever else has it is asked.
    const head = (await visited.ingest.record(blog))?.head.seq ?? -1
    const signed = given.find(({ replica, log }) => log === blog && replica.peer === holder)
    if (head < Math.max(0, signed?.head.seq ?? 0))
      throw new ReplicationError('NOT_READY', `${holder} does not send what it has of ${blog}`)
    // A receipt for another entry than the one shown says nothing of what is shown.
    let other: Receipt | null = null
    for (const receipt of given) {
      const held = await visited.ingest.idAt(blog, receipt.head.seq)
      if (held === receipt.head.id) visited.receipts.add(receipt)
      else if (held !== null && receipt.replica.peer === holder) other = receipt
    }
    if (other === null) return
    const { seq } = other.head
    const reason = `${holder} has signed for another entry ${seq} of ${blog}`
    // What is published stays (REPLICATION 16): then it is the holder that was deceived.
    if (visited.receipts.published() >= seq) throw new ReplicationError('NOT_READY', reason)
    throw new Error(reason)
  }
}
