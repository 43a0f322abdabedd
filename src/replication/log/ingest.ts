import { type Refusal, refuse, type Verdict } from '../../auth/verdict.ts'
import { Damage, damagedHere } from './damage.ts'
import { type Head, type Item, type LogName, placeItem } from './log.ts'
import { OpenedLogs } from './opened-logs.ts'
import { replay } from './replay.ts'
import type { LogRules, Offer } from './rules.ts'
import { Signatures } from './signatures.ts'
import type { Aside, LogRecord, LogStore, Stored, Write } from './store.ts'
import { type EntryId, prevOf } from './text.ts'

/** By which way an entry came; counted, so that tests and operators see which ways work. */
export type Way = 'submit' | 'gossip' | 'push' | 'pull'

/** Whose log an offer is part of (REPLICATION 8 and 10). */
export type Following = {
  /** epoch whose primary the offer comes from, or whose receipt covers it; 0 for the council's own logs */
  readonly epoch: number
  /** where the primary's log ended; on following a new epoch what lies beyond moves aside */
  readonly head: Head
  /**
   * the genesis and the head that the act names: no log without them is the blog's, and none is of the
   * epoch before it has them
   */
  readonly holds?: readonly Head[]
}

export type Outcome =
  /** all are in the log now, or were before; `added` are the new ones */
  | { readonly kind: 'held'; readonly head: Head; readonly added: readonly Item[] }
  /** entries between `have` (-1: none) and the offer are missing; what came before them is stored */
  | { readonly kind: 'gap'; readonly have: number }
  /** the log holds another entry for `seq`; the offered one is kept aside as proof */
  | { readonly kind: 'fork'; readonly seq: number; readonly head: Head }
  /** the offer is of an epoch before the one that this log follows */
  | { readonly kind: 'stale'; readonly follows: number }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

/** What listeners hear after the write is durable. */
export type Added = {
  readonly log: LogName
  readonly items: readonly Item[]
  readonly head: Head
  readonly way: Way
}

/** An offer contradicted the log at a seq: that entry, or one that names another before it, came. */
export type Forked = { readonly log: LogName; readonly seq: number; readonly way: Way }

type Plan = {
  writes: Write[]
  /** forks, kept as proof */
  aside: Aside[]
  record: LogRecord | null
  state: unknown
  added: Item[]
  /** whether the newest entry's own signature was checked: it covers all before it */
  covered: boolean
}

/**
 * The only door into the logs (DESIGN 4): verify, place, write durably, tell listeners. One offer
 * per log at a time; nothing overtakes it.
 */
export class Ingest {
  readonly #store: LogStore
  readonly #rulesOf: (log: LogName) => LogRules<unknown>
  readonly #now: () => number
  readonly #logs: OpenedLogs
  readonly #queues = new Map<LogName, Promise<unknown>>()
  readonly #listeners: ((added: Added) => void)[] = []
  readonly #forkListeners: ((fork: Forked) => void)[] = []
  /** what is known to be damaged here, and how it is found and put right */
  readonly damage: Damage
  /** each entry's own signature */
  readonly signatures: Signatures
  /** entries of blogs taken since the start, by way */
  readonly counts: Record<Way, number> = { submit: 0, gossip: 0, push: 0, pull: 0 }

  constructor(parts: {
    readonly store: LogStore
    readonly rulesOf: (log: LogName) => LogRules<unknown>
    readonly now: () => number
    /** logs of which what they come down to is kept in memory, those used last; left out: all */
    readonly maxOpen?: number
  }) {
    const { store, rulesOf, now, maxOpen } = parts
    this.#store = store
    this.#rulesOf = rulesOf
    this.#now = now
    const damage = () => this.damage
    const alone = <T>(log: LogName, job: () => Promise<T>) => this.alone(log, job)
    const decode = (log: LogName, offer: Offer) => this.#decode(log, offer)
    this.#logs = new OpenedLogs({
      store,
      rulesOf,
      damage,
      ...(maxOpen === undefined ? {} : { maxOpen }),
    })
    const logs = this.#logs
    this.signatures = new Signatures({ store, logs, rulesOf, decode, alone, damage })
    this.damage = new Damage({
      ...{ store, alone, decode, now },
      record: (log) => this.record(log),
      checkSignature: (log, stored) => this.signatures.of(log, stored),
      reopen: (log) => logs.drop(log),
    })
  }

  /** Called after each durable write, in order of the log. A listener must not throw. */
  onAdded(listener: (added: Added) => void): void {
    this.#listeners.push(listener)
  }

  /** Called after an offer that contradicts the log, when what was offered is kept aside. */
  onFork(listener: (fork: Forked) => void): void {
    this.#forkListeners.push(listener)
  }

  /** The log as it stands on disk now, or null when none is held. */
  async record(log: LogName): Promise<LogRecord | null> {
    return (await this.#logs.load(log)).record
  }

  /** The same, if it is in memory: without waiting. null says nothing. */
  recordInMemory(log: LogName): LogRecord | null {
    return this.#logs.recordInMemory(log)
  }

  /** What the log comes down to for its rules: a blog's author, the roster, the names. */
  async state(log: LogName): Promise<unknown> {
    return (await this.#logs.load(log)).state
  }

  /** The entry at `seq`, as it may be shown: see `Signatures.read`. */
  read(log: LogName, seq: number): Promise<Stored | null> {
    return this.signatures.read(log, seq)
  }

  /** Runs `job` alone on the log, after all offers before it. */
  alone<T>(log: LogName, job: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(log) ?? Promise.resolve()
    const run = before.then(job, job)
    const settled = run.catch(() => undefined)
    this.#queues.set(log, settled)
    void settled.then(() => {
      if (this.#queues.get(log) === settled) this.#queues.delete(log)
    })
    return run
  }

  /**
   * Takes items of one log in order. What fits is in the log and synced when this returns; an
   * item that does not fit ends the offer, and those before it stay.
   *
   * @param checkAll - false in catch-up: every item's place and links are checked, the newest
   *   signature too; the others wait for `Signatures.checkSome` (DESIGN 4, Pull)
   * Throws STORE_WRITE_FAILED, then nothing of the offer is in the log.
   */
  offer(
    log: LogName,
    offers: readonly Offer[],
    { way, following, checkAll = true }: { way: Way; following: Following; checkAll?: boolean },
  ): Promise<Outcome> {
    // A function of the bytes alone: it need not wait for the offers before.
    const items: Item[] = []
    for (const offer of offers) {
      const item = this.#decode(log, offer)
      if (!item.ok) return Promise.resolve({ kind: 'refused', refusal: item })
      items.push(item.value)
    }
    return this.alone(log, async () => {
      const open = await this.#logs.load(log)
      const plan: Plan = {
        writes: [],
        aside: [],
        record: open.record,
        state: open.state,
        added: [],
        covered: true,
      }
      if (open.record !== null && open.state === null)
        return { kind: 'refused', refusal: damagedHere(log) }
      const follows = open.record?.follows ?? 0
      if (following.epoch < follows) return { kind: 'stale', follows }
      if (following.epoch > follows && open.record !== null) {
        const missing = await this.#follow(log, items, following, plan)
        if (missing !== null) return missing
      }
      const isCut = plan.writes.length > 0
      const stop = await this.#append(log, offers, items, { checkAll, following }, plan)
      if (!plan.covered || (isCut && plan.added.length === 0 && stop !== null)) {
        // Links alone must not let anything in, and what is refused must not move anything aside.
        // The rules' state may have moved on: read it again.
        this.#logs.drop(log)
        return (
          stop ?? {
            kind: 'refused',
            refusal: refuse('PAGE_DISORDER', 'The entries of the page are not in order.'),
          }
        )
      }
      await this.#commit(log, plan, way)
      if (stop?.kind === 'fork')
        for (const listener of this.#forkListeners) listener({ log, seq: stop.seq, way })
      if (stop !== null) return stop
      return plan.record === null
        ? { kind: 'gap', have: -1 }
        : { kind: 'held', head: plan.record.head, added: plan.added }
    })
  }

  /**
   * Keeps a validly signed item that has no place in the log: a fork, a stale primary's tail.
   * Refused when no key of this log signed it.
   */
  keepAside(log: LogName, offer: Offer): Promise<Verdict<Item>> {
    return this.alone(log, async () => {
      const item = this.#decode(log, offer)
      if (!item.ok) return item
      if ((await this.idAt(log, item.value.seq)) === item.value.id) return item
      const signature = await this.signatures.checkAlone(log, item.value, offer)
      if (!signature.ok) return signature
      const aside = { item: item.value, signature: signature.value, firstMs: this.#now() }
      await this.#store.write(await this.#store.putAside(log, [aside]))
      return item
    })
  }

  /** Somebody has seen the item before this peer did: from now on that is when it was first seen. */
  seenEarlier(log: LogName, { seq, id }: Head, firstMs: number): Promise<void> {
    return this.alone(log, async () => {
      const held = await this.#store.entry(log, seq)
      const item = held === null ? null : this.#rulesOf(log).decode(held.text)
      if (held === null || !item?.ok || item.value.id !== id || held.firstMs <= firstMs) return
      await this.#store.write([this.#store.putEntry(item.value, { ...held, firstMs })])
    })
  }

  /** Drops a log of which this is only a copy, which can be fetched again. */
  forget(log: LogName): Promise<void> {
    return this.alone(log, async () => {
      await this.#store.write(await this.#store.dropLog(log))
      this.#logs.drop(log)
      this.damage.rebuilt(log, null)
    })
  }

  /** id of the entry at `seq`, null when none is held. */
  async idAt(log: LogName, seq: number): Promise<EntryId | null> {
    const head = (await this.record(log))?.head
    if (head === undefined || seq > head.seq) return null
    if (head.seq === seq) return head.id
    const stored = await this.#store.entry(log, seq).catch(() => null)
    const item = stored === null ? null : this.#rulesOf(log).decode(stored.text)
    return item?.ok ? item.value.id : null
  }

  #decode(log: LogName, offer: Offer): Verdict<Item> {
    const item = this.#rulesOf(log).decode(offer.text)
    if (item.ok && item.value.log !== log) {
      return refuse('ITEM_OTHER_LOG', `The text belongs to ${item.value.log}, not to ${log}.`)
    }
    return item
  }

  /**
   * Makes the log a prefix of a new epoch's primary: finds where they part, and moves what lies
   * beyond aside (REPLICATION 8 and 10).
   * @returns a gap when the offer does not reach back to where they agree, or ends before they part
   */
  async #follow(
    log: LogName,
    items: readonly Item[],
    following: Following,
    plan: Plan,
  ): Promise<Outcome | null> {
    const record = plan.record as LogRecord
    const first = items[0]
    const lacks = following.holds?.find(({ seq }) => seq > following.head.seq)
    if (lacks !== undefined) return otherHead(log, lacks.seq)
    // Where the primary's log is known: before the offer by its first prev, in it by the items' ids.
    const known = new Map<number, EntryId>([[following.head.seq, following.head.id]])
    if (first !== undefined && first.prev !== null) known.set(first.seq - 1, first.prev)
    for (const item of items) known.set(item.seq, item.id)
    let agreed = -1
    for (const seq of [...known.keys()]
      .filter((each) => each <= record.head.seq)
      .sort((a, b) => b - a)) {
      if ((await this.idAt(log, seq)) === known.get(seq)) {
        agreed = seq
        break
      }
    }
    const start = first?.seq ?? following.head.seq + 1
    if (agreed < start - 1) {
      // Behind the offer: it may go on from this log's head. Else back half the way, until they agree.
      const isBehind = record.head.seq < start - 1
      return { kind: 'gap', have: isBehind ? record.head.seq : Math.floor((start - 1) / 2) - 1 }
    }
    if (agreed < 0) {
      return {
        kind: 'refused',
        refusal: refuse('OTHER_GENESIS', 'This log begins with another genesis.'),
      }
    }
    // What the primary has behind the offer may be what is held here: only a tail that disagrees moves.
    const isSilent = agreed === (items.at(-1)?.seq ?? start - 1) && agreed < following.head.seq
    if (isSilent && agreed < record.head.seq) return { kind: 'gap', have: agreed }
    for (const { seq, id } of following.holds ?? []) {
      if (seq > record.head.seq) continue
      // Held and cut off, or not held and kept.
      if (((await this.idAt(log, seq)) === id) !== seq <= agreed) return otherHead(log, seq)
    }
    for (let seq = agreed + 1; seq <= record.head.seq; seq++) {
      const stored = await this.#store.entry(log, seq)
      const item = stored === null ? null : this.#rulesOf(log).decode(stored.text)
      plan.writes.push(this.#store.deleteEntry(log, seq))
      if (stored === null || !item?.ok) continue
      const { signature, firstMs } = stored
      plan.writes.push(...this.#store.putTail(log, [{ item: item.value, signature, firstMs }]))
    }
    if (agreed < record.head.seq) await this.#cut(log, agreed, plan)
    if (plan.record !== null) {
      const { head, follows } = plan.record
      plan.record = ofEpoch(plan.record, epochAt(head.seq, follows, following))
    }
    return null
  }

  /** Sets record and state back to the log's first `last + 1` entries. */
  async #cut(log: LogName, last: number, plan: Plan): Promise<void> {
    const { follows } = plan.record as LogRecord
    const rules = this.#rulesOf(log)
    const read = (seq: number) => this.#store.entry(log, seq)
    const { record, state, stop } = await replay(log, rules, read, { last, follows })
    if (stop !== null) throw new Error(`${log} is damaged: ${stop}`)
    plan.record = record
    plan.state = state
  }

  async #append(
    log: LogName,
    offers: readonly Offer[],
    items: readonly Item[],
    { checkAll, following }: { checkAll: boolean; following: Following },
    plan: Plan,
  ): Promise<Outcome | null> {
    const rules = this.#rulesOf(log)
    const nowMs = this.#now()
    for (const [index, item] of items.entries()) {
      const offer = offers[index] as Offer
      const firstMs = offer.firstMs ?? nowMs
      const head = plan.record?.head ?? null
      const isNew = head === null || item.seq > head.seq
      const place = placeItem(head, item, isNew ? null : await this.#plannedId(log, item.seq, plan))
      if (place.place === 'known') continue
      if (place.place === 'gap') return { kind: 'gap', have: place.have }
      if (place.place === 'fork' && (await this.#chainedId(log, item.seq, head)) === item.id) {
        // What the chain has here, while the disk has something else: whoever brings it heals it.
        const healed = await this.signatures.checkAlone(log, item, offer, plan)
        if (!healed.ok) return { kind: 'refused', refusal: healed }
        const { receipts = [] } = offer
        const row = { text: item.text, signature: healed.value, checked: true, firstMs, receipts }
        plan.writes.push(this.#store.putEntry(item, row))
        this.damage.healed(log, [item.seq])
        continue
      }
      if (place.place === 'fork') {
        const proof = await this.signatures.checkAlone(log, item, offer, plan)
        if (!proof.ok) return { kind: 'refused', refusal: proof }
        plan.aside.push({ item, signature: proof.value, firstMs })
        return { kind: 'fork', seq: place.seq, head: head as Head }
      }
      if (plan.record !== null && item.dateMs < plan.record.dateMs) {
        return {
          kind: 'refused',
          refusal: refuse(
            'DATE_FALLS',
            'The date lies before that of the entry before it. Dates never fall within a log.',
          ),
        }
      }
      if (following.holds?.some(({ seq, id }) => seq === item.seq && id !== item.id))
        return otherHead(log, item.seq)
      const checkSignature = checkAll || index === items.length - 1
      const step = await rules.next(plan.state, item, offer, checkSignature)
      if (!step.ok) {
        return { kind: 'refused', refusal: step }
      }
      const { state, signature, checked } = step.value
      plan.state = state
      plan.writes.push(
        this.#store.putEntry(item, {
          text: item.text,
          signature,
          checked,
          firstMs,
          receipts: offer.receipts ?? [],
        }),
      )
      plan.added.push(item)
      plan.covered = checked
      const follows = epochAt(item.seq, plan.record?.follows ?? 0, following)
      const added: LogRecord = {
        ...(plan.record?.isRebuilt === true ? { isRebuilt: true } : {}),
        head: { seq: item.seq, id: item.id },
        dateMs: item.dateMs,
        follows,
        keys: rules.holdsKeys(item)
          ? [...(plan.record?.keys ?? []), item.seq]
          : (plan.record?.keys ?? []),
        bytes: (plan.record?.bytes ?? 0) + item.text.length + signature.length,
        uncheckedFrom: plan.record?.uncheckedFrom ?? (checked ? null : item.seq),
        saved: null,
      }
      plan.record = ofEpoch(added, follows)
    }
    return null
  }

  /** The id that the chain has for `seq`: what the entry behind it names, or the head. */
  async #chainedId(log: LogName, seq: number, head: Head | null): Promise<EntryId | null> {
    if (head === null || seq > head.seq) return null
    if (seq === head.seq) return head.id
    const next = await this.#store.entry(log, seq + 1).catch(() => null)
    return next === null ? null : prevOf(next.text)
  }

  async #plannedId(log: LogName, seq: number, plan: Plan): Promise<EntryId | null> {
    return plan.added.find((each) => each.seq === seq)?.id ?? (await this.idAt(log, seq))
  }

  async #commit(log: LogName, plan: Plan, way: Way): Promise<void> {
    const open = await this.#logs.load(log)
    const aside = await this.#store.putAside(log, plan.aside)
    const writes = [...aside, ...plan.writes]
    if (plan.record === null || (writes.length === 0 && plan.record === open.record)) return
    const record = { ...plan.record, saved: this.#rulesOf(log).save(plan.state) }
    try {
      await this.#store.write([...writes, this.#store.putRecord(log, record)])
    } catch (error) {
      this.#logs.drop(log)
      throw error
    }
    this.#logs.keep(log, { record, state: plan.state })
    if (plan.added.length === 0) return
    if (!log.startsWith('@')) this.counts[way] += plan.added.length
    for (const listener of this.#listeners) {
      listener({ log, items: plan.added, head: record.head, way })
    }
  }
}

/**
 * The epoch of a log that ends at `seq`: a new one only once it has the head that the act names. Before,
 * it is shorter than logs of the epoch before may be, and would outdo them when the act is ended
 * (REPLICATION 8).
 */
const epochAt = (seq: number, follows: number, { epoch, holds = [] }: Following): number =>
  holds.every((each) => each.seq <= seq) ? epoch : follows

/** The record of a log that follows an epoch: then a rebuilt one knows again which. */
function ofEpoch({ isRebuilt, ...record }: LogRecord, follows: number): LogRecord {
  return { ...record, follows, ...(isRebuilt === true && follows === 0 ? { isRebuilt } : {}) }
}

const otherHead = (log: LogName, seq: number): Outcome => ({
  kind: 'refused',
  refusal: refuse('OTHER_HEAD', `The act in force names another entry ${seq} of ${log}.`),
})
