import type { PeerSigner } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../clock.ts'
import { damagedHere } from '../log/damage.ts'
import type { BlogName, Entry } from '../log/entry.ts'
import type { Following, Ingest, Outcome, Way } from '../log/ingest.ts'
import type { Head } from '../log/log.ts'
import type { Replica, StoreId } from '../log/peer-text.ts'
import { decodeReceipt, type Receipt, signReceipt } from '../log/receipt.ts'
import type { Offer } from '../log/rules.ts'
import type { LogRecord, LogStore } from '../log/store.ts'
import type { Signed } from '../log/text.ts'
import { proofShape } from '../network.ts'
import { recordPeriodMs } from '../protocol.ts'
import { decodeAct } from '../registry/act.ts'
import {
  type Assignment,
  namedEntries,
  names,
  readAssignment,
  secondActKey,
} from '../registry/assignment.ts'
import { fromProofRow, type ProofRow, proofRow } from '../registry/proof.ts'
import type { Roster } from '../registry/roster.ts'
import { type Promised, type Seal, signPromise } from '../registry/seal.ts'
import { PublishedTimes } from './published-times.ts'
import { ReceiptBook } from './receipts.ts'

/** One blog as this peer keeps it. */
export type Kept = {
  readonly assignment: Assignment
  readonly receipts: ReceiptBook
  readonly role: 'primary' | 'secondary' | 'none'
}

/** What happened to a blog's replica set; the exchange acts on it. */
export type ReplicaEvents = {
  /** a newer assignment is known here */
  readonly assigned: (kept: Kept) => void
  /** this peer, the primary, holds new entries: announce them, push them */
  readonly grown: (kept: Kept, items: readonly Entry[], head: Head) => void
  /** this peer, a secondary, gave a receipt that its primary should have */
  readonly given: (kept: Kept, receipt: Receipt) => void
  /** a receipt of another replica came in */
  readonly received: (kept: Kept, receipt: Receipt) => void
  /** a replica's receipt under the act in force names another entry than the log here has */
  readonly contradicted?: (kept: Kept, receipt: Receipt) => void
}

const assignKey = (blog: string) => `assign/${blog}`
const promiseKey = (blog: string) => `promise/${blog}`
/**
 * The blogs of which this peer is, or was, a replica: their assignment in force, their receipts,
 * and the rules by which entries enter their logs and receipts leave (REPLICATION 1–5, 8–10).
 */
export class Replicas {
  readonly #signer: PeerSigner
  readonly #storeId: () => StoreId
  readonly #store: LogStore
  readonly #ingest: Ingest
  readonly #roster: () => Roster | null
  readonly #clock: Clock
  /** when each entry was seen published here first */
  readonly published: PublishedTimes
  readonly #kept = new Map<BlogName, Kept>()
  readonly #waiting = new Map<BlogName, (() => void)[]>()
  readonly #changes = new Map<BlogName, number>()
  /** up to which epoch this replica has promised to give no receipts any more */
  readonly #promised = new Map<BlogName, number>()
  /** assignments on disk that wait for more of `@roster` */
  #unread: ProofRow[] = []
  /** blogs whose promise on disk does not decode any more */
  readonly #forgotten = new Set<BlogName>()
  #allChanges = 0
  readonly #changeListeners = new Set<(blog: BlogName) => void>()
  #events: ReplicaEvents | null = null

  constructor(parts: {
    readonly signer: PeerSigner
    readonly storeId: () => StoreId
    readonly store: LogStore
    readonly ingest: Ingest
    readonly roster: () => Roster | null
    readonly clock: Clock
  }) {
    this.#signer = parts.signer
    this.#storeId = parts.storeId
    this.#store = parts.store
    this.#ingest = parts.ingest
    this.#roster = parts.roster
    this.#clock = parts.clock
    this.published = new PublishedTimes(parts.store)
  }

  /** Sets who acts on events, and reads the assignments from disk. */
  async start(events: ReplicaEvents): Promise<void> {
    this.#events = events
    await this.reload()
  }

  /** Reads the assignments from disk; again after the store id has changed. */
  async reload(): Promise<void> {
    for (const [key, value] of await this.#store.values(promiseKey(''))) {
      const blog = key.slice(promiseKey('').length) as BlogName
      if (typeof value === 'number') this.#promised.set(blog, value)
      else this.#forgotten.add(blog)
    }
    this.#unread = []
    for (const [, value] of await this.#store.values('assign/')) {
      // One that is damaged is learned again, with the next push or pull.
      const row = proofShape.safeParse(value)
      if (!row.success) continue
      const assignment = readAssignment(fromProofRow(row.data), this.#roster())
      if (assignment.ok) await this.#keep(assignment.value)
      else if (assignment.code === 'ROSTER_BEHIND') this.#unread.push(row.data)
    }
  }

  /**
   * Reads the assignments for which `@roster`, damaged and shorter than before, did not reach.
   * @returns whether there were any
   */
  async readLate(): Promise<boolean> {
    const rows = this.#unread
    if (rows.length === 0) return false
    this.#unread = []
    let isRead = false
    for (const row of rows) {
      const assignment = readAssignment(fromProofRow(row), this.#roster())
      if (!assignment.ok) {
        if (assignment.code === 'ROSTER_BEHIND') this.#unread.push(row)
        continue
      }
      const { blog, epoch } = assignment.value
      if ((this.#kept.get(blog)?.assignment.epoch ?? 0) >= epoch) continue
      this.#events?.assigned(await this.#keep(assignment.value))
      isRead = true
    }
    return isRead
  }

  /** The store has a new id: nothing rests on the promises any more that were lost with the old one. */
  async renewed(): Promise<void> {
    await this.#store.write(
      [...this.#forgotten].map((blog) => this.#store.deleteValue(promiseKey(blog))),
    )
    this.#forgotten.clear()
    await this.reload()
  }

  all(): readonly Kept[] {
    return [...this.#kept.values()]
  }

  get(blog: BlogName): Kept | null {
    return this.#kept.get(blog) ?? null
  }

  /**
   * A number that rises after each change of a blog's assignment here and of its receipts; without
   * a blog, of any. It tells whether what was said of them before holds still, since the start only.
   */
  changes(blog?: BlogName): number {
    return blog === undefined ? this.#allChanges : (this.#changes.get(blog) ?? 0)
  }

  /** Called after each change of a blog's assignment here and of its receipts; the answer stops it. */
  onChange(listener: (blog: BlogName) => void): () => void {
    this.#changeListeners.add(listener)
    return () => this.#changeListeners.delete(listener)
  }

  #changed(blog: BlogName): void {
    this.#changes.set(blog, this.changes(blog) + 1)
    this.#allChanges += 1
    for (const listener of this.#changeListeners) listener(blog)
  }

  /** Where this peer's log ends that follows the act's epoch; null while it does not follow it. */
  async followedHead(kept: Kept): Promise<Head | null> {
    const record = await this.#ingest.record(kept.assignment.blog)
    return record?.follows === kept.assignment.epoch ? record.head : null
  }

  self(): Replica {
    return { peer: this.#signer.peer, store: this.#storeId() }
  }

  /**
   * Learns an assignment in force. An older one, or the same, changes nothing.
   * Codes: those of `readAssignment` (ROSTER_BEHIND among them), ACT_SAME_EPOCH: two acts for one
   * epoch, which proves a lying authority.
   */
  async learn(row: ProofRow): Promise<Verdict<Kept>> {
    const proof = fromProofRow(row)
    // It comes by several ways, and again with each seal and push: what was checked once holds.
    const followed = this.#ofAct(proof.text)
    if (followed !== null) return accept(followed)
    const read = readAssignment(proof, this.#roster())
    if (!read.ok) return read
    const assignment = read.value
    // The same act comes by several ways at once; only the first makes a new `Kept` of it.
    return this.#ingest.alone(assignKey(assignment.blog), async () => {
      const known = this.#kept.get(assignment.blog)
      if (known !== undefined && known.assignment.epoch >= assignment.epoch) {
        if (known.assignment.epoch > assignment.epoch || known.assignment.id === assignment.id)
          return accept(known)
        await this.#store.write([this.#store.putValue(secondActKey(assignment), proofRow(proof))])
        return refuse(
          'ACT_SAME_EPOCH',
          `Two assignments of ${assignment.blog} have epoch ${assignment.epoch}; both are kept as proof.`,
        )
      }
      await this.#store.write([this.#store.putValue(assignKey(assignment.blog), proofRow(proof))])
      const kept = await this.#keep(assignment)
      this.#events?.assigned(kept)
      return accept(kept)
    })
  }

  /** The assignment that is followed here, if the text is its act. */
  #ofAct(text: Uint8Array): Kept | null {
    const act = decodeAct(text)
    if (!act.ok || act.value.decision.kind !== 'assign') return null
    const kept = this.#kept.get(act.value.decision.blog)
    return kept?.assignment.id === act.value.id ? kept : null
  }

  async #keep(assignment: Assignment): Promise<Kept> {
    const receipts = await ReceiptBook.load(assignment, this.#store)
    const self = this.self()
    const role = !names(assignment, self)
      ? 'none'
      : assignment.primary === self.peer
        ? 'primary'
        : 'secondary'
    const kept: Kept = { assignment, receipts, role }
    this.#kept.set(assignment.blog, kept)
    this.#changed(assignment.blog)
    for (const wake of this.#waiting.get(assignment.blog) ?? []) wake()
    return kept
  }

  /** Whether entries of the blog are known to be damaged on this disk. */
  isDamaged(blog: BlogName): boolean {
    return this.#ingest.damage.of(blog).length > 0
  }

  /** Whether the act is ended for this replica: it has promised to give no receipt under it. */
  isSealed({ blog, epoch }: Pick<Assignment, 'blog' | 'epoch'>): boolean {
    return (this.#promised.get(blog) ?? 0) >= epoch
  }

  /**
   * Ends an act for the authority: what is being written is drained, the promise is synced, and then
   * the head is told (REPLICATION 7). A replica of an earlier act answers too: until the later one
   * is known to be active, its word is needed (REPLICATION 9). The caller has checked who asks.
   * Codes: SEAL_LATER_ACT, SEAL_NOT_NAMED (the act names another store of this peer), LOG_DAMAGED.
   */
  async seal(kept: Kept, seal: Seal): Promise<Verdict<Promised>> {
    const { blog, epoch, id } = kept.assignment
    if (epoch > seal.epoch || (epoch === seal.epoch && id !== seal.act)) {
      return refuse('SEAL_LATER_ACT', `This replica of ${blog} knows an act of epoch ${epoch}.`)
    }
    const replica = this.self()
    const isNamed = kept.assignment.replicas.some(({ peer }) => peer === replica.peer)
    if (isNamed && !names(kept.assignment, replica))
      return refuse('SEAL_NOT_NAMED', `The act of ${blog} names another store of this peer.`)
    // What it does not hold must not count: a head speaks for everything before it.
    await this.#ingest.damage.examineEnd(blog, kept.assignment.head.seq)
    if (this.isDamaged(blog)) return damagedHere(blog)
    return this.#ingest.alone(blog, async () => {
      // Before the head is read: a receipt that leaves from now on could cover what the answer lacks.
      this.#promised.set(blog, Math.max(seal.epoch, this.#promised.get(blog) ?? 0))
      await this.#store.write([
        this.#store.putValue(promiseKey(blog), this.#promised.get(blog) as number),
      ])
      const record = await this.#ingest.record(blog)
      const head = record?.head ?? null
      const follows = record === null ? 0 : await this.#followed(kept, record)
      // It may hold what is published, and a shorter log that knows its epoch would outdo it.
      if (follows === null) return damagedHere(blog)
      return accept(signPromise(this.#signer, { ...seal, replica, head, follows }))
    })
  }

  /**
   * The epoch that a log follows (REPLICATION 8). One that was rebuilt, its record being damaged, does
   * not know it until it hears of its primary again; but a receipt that this store gave says that it was
   * a prefix of that epoch's primary. null: there is none under the act that names it, or the log lacks
   * what it was given for.
   */
  async #followed(kept: Kept, { follows, head, isRebuilt }: LogRecord): Promise<number | null> {
    if (follows > 0 || isRebuilt !== true) return follows
    const { blog, epoch } = kept.assignment
    const { peer, store } = this.self()
    const read = (await this.#store.receiptsBy(blog, peer, store)).map(decodeReceipt)
    const given = read.flatMap((receipt) => (receipt.ok ? [receipt.value] : []))
    const [newest] = given.sort((one, other) => other.epoch - one.epoch)
    if (newest === undefined || (kept.role !== 'none' && newest.epoch < epoch)) return null
    const isHeld = newest.head.seq <= head.seq
    const id = isHeld ? await this.#ingest.idAt(blog, newest.head.seq) : null
    return id === newest.head.id ? newest.epoch : null
  }

  /**
   * Makes this peer's log follow the act of which it is the primary, once it holds the act's head:
   * its own extension stays when it agrees (REPLICATION 9).
   * @returns the head, or null while the act's head is not held
   */
  async lead(kept: Kept): Promise<Head | null> {
    const { blog, epoch, head } = kept.assignment
    const record = await this.#ingest.record(blog)
    if (record === null || record.head.seq < head.seq) return null
    if (record.follows < epoch) {
      const held = await this.#ingest.idAt(blog, head.seq)
      const following = {
        epoch,
        head: held === head.id ? record.head : head,
        holds: namedEntries(kept.assignment),
      }
      const outcome = await this.#ingest.offer(blog, [], { way: 'pull', following })
      if (outcome.kind !== 'held') return null
    }
    await this.give(kept)
    return (await this.#ingest.record(blog))?.head ?? null
  }

  /**
   * Takes entries of a blog whose assignment is known, from its primary or under a receipt of its
   * epoch; what follows is theirs to say: REPLICATION 10. Gives a receipt when this peer may.
   */
  async take(
    kept: Kept,
    offers: readonly Offer[],
    { way, head, checkAll = true }: { way: Way; head: Head; checkAll?: boolean },
  ): Promise<Outcome> {
    const { blog, epoch } = kept.assignment
    // What comes under an act that is ended here has no place any more.
    if (this.isSealed(kept.assignment)) return { kind: 'stale', follows: epoch }
    const following: Following = { epoch, head, holds: namedEntries(kept.assignment) }
    const outcome = await this.#ingest.offer(blog, offers, { way, following, checkAll })
    if (outcome.kind === 'held' && kept.role !== 'none') await this.give(kept)
    return outcome
  }

  /** Keeps a validly signed entry that has no place in the log; anything else is dropped. */
  async keepAside({ assignment }: Kept, offer: Offer): Promise<void> {
    await this.#ingest.keepAside(assignment.blog, offer)
  }

  /**
   * Takes an author's entry as the primary: it enters the log and is announced.
   * Codes: NOT_PRIMARY, NOT_ACTIVE, NOT_A_MEMBER, LOG_DAMAGED.
   */
  async write(kept: Kept, offer: Offer): Promise<Verdict<Outcome>> {
    const now = this.#kept.get(kept.assignment.blog)
    if (now !== kept || kept.role !== 'primary') {
      return refuse(
        'NOT_PRIMARY',
        'This spoke does not take writes for this blog any more. Send it again: it will find the one that does.',
      )
    }
    if (this.isSealed(kept.assignment)) {
      return refuse(
        'NOT_ACTIVE',
        'The blog is being moved to another server; try again in a few seconds. Nothing was stored.',
      )
    }
    if (!kept.receipts.isActive()) {
      return refuse(
        'NOT_ACTIVE',
        'The blog is being set up on its servers; try again in a few seconds. Nothing was stored.',
      )
    }
    const { blog, epoch } = kept.assignment
    if (this.#roster()?.members.get(this.#signer.peer)?.cutOff === true) {
      return refuse('NOT_A_MEMBER', 'This spoke was cut off from its council. Use another one.')
    }
    if (this.isDamaged(blog)) return damagedHere(blog)
    const record = await this.#ingest.record(blog)
    const head = record?.head ?? kept.assignment.head
    const outcome = await this.#ingest.offer(blog, [offer], {
      way: 'submit',
      following: { epoch, head, holds: namedEntries(kept.assignment) },
    })
    if (outcome.kind === 'held') {
      // Both follow the sync; the announcement need not wait for this replica's own receipt.
      if (outcome.added.length > 0)
        this.#events?.grown(kept, outcome.added as readonly Entry[], outcome.head)
      await this.give(kept)
    }
    return accept(outcome)
  }

  /**
   * Gives this replica's receipt for its head, if it may: the act in force names this peer and
   * store, and the log follows the act's epoch, so that it is a prefix of the primary's
   * (REPLICATION 1). What it covers is synced already. Asked again, it answers the same one anew.
   */
  async give(kept: Kept): Promise<Receipt | null> {
    const { assignment, receipts } = kept
    const record = await this.#ingest.record(assignment.blog)
    if (kept.role === 'none' || this.#kept.get(assignment.blog) !== kept) return null
    if (record === null || record.follows !== assignment.epoch) return null
    // A receipt says "and everything before it".
    if (this.isDamaged(assignment.blog)) return null
    const own = receipts.of(this.#signer.peer)
    if (own !== null && own.head.seq === record.head.seq) return own
    // The last look before the signature: nothing is waited for between the two (REPLICATION 1).
    // The store may have become another one since its role was found.
    if (this.isSealed(assignment) || !names(assignment, this.self())) return null
    const now = this.#clock.now()
    const receipt = signReceipt(this.#signer, {
      council: assignment.council,
      log: assignment.blog,
      head: record.head,
      act: assignment.id,
      epoch: assignment.epoch,
      replica: this.self(),
      sinceMs: now,
      atMs: now,
    })
    await this.#note(kept, receipt)
    if (kept.role === 'secondary') this.#events?.given(kept, receipt)
    return receipt
  }

  /** The same, given anew when it grows old: DHT records need young receipts. */
  async giveYoung(kept: Kept): Promise<Receipt | null> {
    const own = await this.give(kept)
    if (own === null || this.#clock.now() - own.atMs < recordPeriodMs / 2) return own
    if (this.isSealed(kept.assignment) || !names(kept.assignment, this.self())) return own
    const { signed: _, ...fields } = own
    const renewed = signReceipt(this.#signer, { ...fields, atMs: this.#clock.now() })
    await this.#note(kept, renewed)
    return renewed
  }

  /**
   * Takes another replica's receipt. One for an entry that this log has otherwise is not counted.
   * Codes: those of `decodeReceipt`, RECEIPT_UNKNOWN_BLOG, RECEIPT_OTHER_ENTRY.
   */
  async receive(signed: Signed): Promise<Verdict<Receipt>> {
    const read = decodeReceipt(signed)
    if (!read.ok) return read
    const receipt = read.value
    const kept = this.#kept.get(receipt.log as BlogName)
    if (kept === undefined)
      return refuse('RECEIPT_UNKNOWN_BLOG', `This peer keeps no ${receipt.log}.`)
    const record = await this.#ingest.record(receipt.log)
    const held =
      record === null || receipt.head.seq > record.head.seq
        ? null
        : await this.#ingest.idAt(receipt.log, receipt.head.seq)
    if (held !== null && held !== receipt.head.id) {
      if (receipt.act === kept.assignment.id && names(kept.assignment, receipt.replica))
        this.#events?.contradicted?.(kept, receipt)
      return refuse(
        'RECEIPT_OTHER_ENTRY',
        `The receipt names another entry ${receipt.head.seq} of ${receipt.log}.`,
      )
    }
    if (held === null) return accept(receipt)
    if (await this.#note(kept, receipt)) this.#events?.received(kept, receipt)
    return accept(receipt)
  }

  async #note(kept: Kept, receipt: Receipt): Promise<boolean> {
    const before = kept.receipts.published()
    if (!kept.receipts.add(receipt)) return false
    const { log, act, replica, signed } = receipt
    const writes = [this.#store.putReceipt(log, act, replica.peer, replica.store, signed)]
    const published = kept.receipts.published()
    if (published > before)
      writes.push(this.published.put(kept.assignment.blog, published, this.#clock.now()))
    // A lost receipt comes back with the next pull: no sync needed.
    await this.#store.write(writes, { sync: false })
    this.#changed(kept.assignment.blog)
    for (const wake of this.#waiting.get(log as BlogName) ?? []) wake()
    return true
  }

  /** Resolves when `isTrue` holds of the blog's receipts, or after `ms`. */
  async until(blog: BlogName, isTrue: (kept: Kept) => boolean, ms: number): Promise<boolean> {
    const check = () => {
      const kept = this.#kept.get(blog)
      return kept !== undefined && isTrue(kept)
    }
    if (check()) return true
    return new Promise((resolve) => {
      const done = (answer: boolean) => {
        cancel()
        const rest = (this.#waiting.get(blog) ?? []).filter((each) => each !== wake)
        if (rest.length === 0) this.#waiting.delete(blog)
        else this.#waiting.set(blog, rest)
        resolve(answer)
      }
      const wake = () => {
        if (check()) done(true)
      }
      const cancel = this.#clock.after(ms, () => done(check()))
      this.#waiting.set(blog, [...(this.#waiting.get(blog) ?? []), wake])
    })
  }

  /**
   * Blogs of which a receipt given under this store covers more than the disk holds: the disk lost
   * what others count on, so this store is over (REPLICATION, Words).
   */
  async lost(): Promise<BlogName[]> {
    // So is one that does not know any more up to where it has promised to be silent.
    const lost: BlogName[] = [...this.#forgotten]
    for (const { assignment, receipts } of this.all()) {
      const own = receipts.of(this.#signer.peer)
      if (own === null || own.replica.store !== this.#storeId()) continue
      const record = await this.#ingest.record(assignment.blog)
      if ((record?.head.seq ?? -1) < own.head.seq) lost.push(assignment.blog)
    }
    return lost
  }
}
