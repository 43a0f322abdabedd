import { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import type { Fingerprint, KeyRing } from '../../auth/public-key.ts'
import { refuse } from '../../auth/verdict.ts'
import { type Clock, within } from '../clock.ts'
import { ReplicationError } from '../errors.ts'
import { type BlogName, parseBlogName } from '../log/entry.ts'
import { Ingest } from '../log/ingest.ts'
import { decodeReceipt, type Receipt } from '../log/receipt.ts'
import { blogRules } from '../log/rules.ts'
import { type Disk, LogStore } from '../log/store.ts'
import type { EntryId, Signed } from '../log/text.ts'
import { answer, ask, type Network, proofShape, refusalAnswer, signedShape } from '../network.ts'
import { READ, readWaitMs } from '../protocol.ts'
import type { Assignment } from '../registry/assignment.ts'
import { namedEntries, readAssignment } from '../registry/assignment.ts'
import { type ClaimRecord, claimShape } from '../registry/claim-record.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import {
  fromProofRow,
  fromSignedRow,
  type ProofRow,
  proofRow,
  signedRow,
} from '../registry/proof.ts'
import type { Registry } from '../registry/registry.ts'
import { type Audits, auditShape } from './audits.ts'
import { forkShape, forksShape, type Proofs } from './proofs.ts'
import { ReceiptBook } from './receipts.ts'
import type { Replicas } from './replica.ts'
import { type Page, pageShape, readPage, toOffer } from './sync.ts'

const request = z.discriminatedUnion('t', [
  z.object({ t: z.literal('log'), log: z.string().max(40), from: z.number().int().min(0) }),
  z.object({
    t: z.literal('aside'),
    log: z.string().max(40),
    seq: z.number().int().min(0),
    id: z.string().length(64),
  }),
  z.object({ t: z.literal('left'), log: z.string().max(40) }),
  z.object({ t: z.literal('act'), blog: z.string().max(40) }),
  z.object({ t: z.literal('claim'), id: z.string().length(64) }),
  z.object({ t: z.literal('blogs'), key: z.string().length(40) }),
  auditShape,
  forksShape,
  forkShape,
])
const logShape: z.ZodType<
  Page & { act: ProofRow; receipts: (readonly [Uint8Array, Uint8Array])[] }
> = z.intersection(pageShape, z.object({ act: proofShape, receipts: z.array(signedShape).max(64) }))
const actShape = z.object({ proof: proofShape.nullable(), carriesNames: z.boolean() })
const claimAnswer = z.object({ claim: claimShape.nullable() })
/** Entries that were moved aside, in one answer, and peers that are asked for them. */
const maxLeft = 50
const maxLeftAsked = 20
const leftWaitMs = 700
const leftAnswer = z.object({ entries: z.array(signedShape).max(maxLeft) })
/** Blogs named in one answer; a key has two names, and may have taken over a few more. */
const maxBlogsOfKey = 20
const blogsAnswer = z.object({ blogs: z.array(z.string().max(40)).max(maxBlogsOfKey) })

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
export class Reader {
  readonly #network: Network
  readonly #store: LogStore
  readonly #ingest: Ingest
  readonly #replicas: Replicas
  readonly #registry: Registry
  readonly #council: CouncilLogs
  readonly #keys: KeyRing
  readonly #clock: Clock
  readonly #memoryDisk: () => Disk
  readonly #claimHere: (id: string) => Promise<ClaimRecord | null>
  readonly #pull: (peer: PeerName, blog: BlogName) => Promise<void>
  readonly #audits: Pick<Audits, 'answer'>
  readonly #proofs: Pick<Proofs, 'answer' | 'list'>
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
    readonly claimHere: (id: string) => Promise<ClaimRecord | null>
    readonly pull: (peer: PeerName, blog: BlogName) => Promise<void>
    readonly audits: Pick<Audits, 'answer'>
    readonly proofs: Pick<Proofs, 'answer' | 'list'>
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
    this.#claimHere = parts.claimHere
    this.#pull = parts.pull
    this.#audits = parts.audits
    this.#proofs = parts.proofs
  }

  start(): void {
    this.#network.handle(
      READ,
      answer(request, async (_from, body) => {
        if (body.t === 'claim') return { claim: await this.#claimHere(body.id) }
        if (body.t === 'audit') return this.#audits.answer(body)
        if (body.t === 'forks') return this.#proofs.list()
        if (body.t === 'fork') return this.#proofs.answer(body)
        if (body.t === 'blogs') {
          const blogs = this.#council.names()?.byKey.get(body.key) ?? []
          return { blogs: blogs.slice(0, maxBlogsOfKey) }
        }
        if (body.t === 'aside') {
          const kept = await this.#store.asideById(body.log, body.seq, body.id as EntryId)
          return { entry: kept === null ? null : signedRow(kept) }
        }
        if (body.t === 'left') {
          return { entries: (await this.#leftHere(body.log as BlogName)).map(signedRow) }
        }
        if (body.t === 'act') {
          const own = await this.#registry.own(body.blog as BlogName)
          return {
            proof: own === null ? null : proofRow(own.proof),
            carriesNames: this.#council.names() !== null,
          }
        }
        const kept = this.#replicas.get(body.log as BlogName)
        if (kept === null || (await this.#ingest.record(body.log)) === null) {
          return refusalAnswer(refuse('NOT_HELD', `This spoke does not hold ${body.log}.`))
        }
        const receipts = kept.receipts.all().map((receipt) => signedRow(receipt.signed))
        const page = await readPage(this.#store, body.log, body.from)
        return { ...page, act: proofRow(kept.assignment.proof), receipts }
      }),
    )
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

  /** Asks peers that carry `@names` where a blog is; for the registry. */
  async askNames(
    blog: BlogName,
    peers: readonly PeerName[],
  ): Promise<Assignment | 'free' | 'unreachable'> {
    const answers = await Promise.all(
      peers.map(async (peer) => {
        try {
          const reply = await ask(this.#network, peer, READ, { t: 'act', blog }, actShape, 3_000)
          if (reply.proof === null) return reply.carriesNames ? 'free' : null
          const read = readAssignment(fromProofRow(reply.proof), this.#council.roster())
          return read.ok ? read.value : null
        } catch {
          return null
        }
      }),
    )
    const found = answers
      .filter((each) => each !== null && each !== 'free')
      .sort((a, b) => b.epoch - a.epoch)
    return found[0] ?? (answers.includes('free') ? 'free' : 'unreachable')
  }

  /** A version of an entry that is aside here, by its id (REPLICATION 10). */
  async aside(blog: BlogName, seq: number, id: EntryId): Promise<Signed | null> {
    return this.#store.asideById(blog, seq, id)
  }

  /**
   * What the blog's author signed and a later epoch moved aside, here or at another spoke, and that is
   * in no log now: who of those that are connected answers soon is believed in what her key signed.
   */
  async leftOver(blog: BlogName, { ingest }: Pick<Visit, 'ingest'>): Promise<Signed[]> {
    const peers = this.#network.connected().slice(0, maxLeftAsked)
    const asked = { t: 'left', log: blog }
    const answers = await Promise.all(
      peers.map((peer) =>
        ask(this.#network, peer, READ, asked, leftAnswer, leftWaitMs).catch(() => null),
      ),
    )
    const own = await this.#leftHere(blog)
    const theirs = answers.flatMap((each) => each?.entries.map(fromSignedRow) ?? [])
    const left: Signed[] = []
    const seen = new Set<string>()
    for (const offer of [...own, ...theirs]) {
      const text = Buffer.from(offer.text).toString('latin1')
      if (seen.has(text)) continue
      seen.add(text)
      const item = await ingest.signatures.checkLeft(blog, offer)
      if (item.ok && (await ingest.idAt(blog, item.value.seq)) !== item.value.id) left.push(offer)
    }
    return left
  }

  /** What was moved aside here, and what a replica that is none any more has behind the act's head. */
  async #leftHere(blog: BlogName): Promise<Signed[]> {
    const kept = this.#replicas.get(blog)
    const from = (kept?.assignment.head.seq ?? 0) + 1
    const log = kept?.role === 'none' ? await this.#store.entries(blog, from, maxLeft) : []
    return [...(await this.#store.tail(blog, 0)), ...log].slice(-maxLeft)
  }

  /**
   * Blogs that were claimed with a key, from this peer's `@names` or else from peers that carry it. A
   * hint: who follows it looks at each blog's own key.
   */
  async blogsOf(key: Fingerprint, peers: readonly PeerName[]): Promise<BlogName[]> {
    const own = this.#council.names()
    if (own !== null) return [...(own.byKey.get(key) ?? [])]
    const answers = await Promise.all(
      peers.map(async (peer) => {
        try {
          return (await ask(this.#network, peer, READ, { t: 'blogs', key }, blogsAnswer, 1_000))
            .blogs
        } catch {
          return []
        }
      }),
    )
    return [...new Set(answers.flat())].flatMap((name) => parseBlogName(name) ?? [])
  }

  /** The record of a claim, from whichever connected peer has it. */
  async claim(id: string): Promise<ClaimRecord | null> {
    const here = await this.#claimHere(id)
    if (here !== null) return here
    const answers = await Promise.all(
      this.#network.connected().map(async (peer) => {
        try {
          return (await ask(this.#network, peer, READ, { t: 'claim', id }, claimAnswer, 1_000))
            .claim
        } catch {
          return null
        }
      }),
    )
    return answers.find((each) => each !== null) ?? null
  }
}
