import { type Refusal, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Head, Item, LogName } from './log.ts'
import type { Offer } from './rules.ts'
import type { LogRecord, LogStore, Stored } from './store.ts'
import { type EntryId, idOf, prevOf } from './text.ts'

/** Entries that are looked at before a promise about them is given; older ones wait for the scrub. */
const maxAtOnce = 500

/** What became of a log's place, for the operator's log and `status`. */
export type DamageEvent =
  | { readonly kind: 'found' | 'healed'; readonly log: LogName; readonly seqs: readonly number[] }
  | { readonly kind: 'rebuilt'; readonly log: LogName; readonly head: Head | null }

/**
 * Which entries on this disk are not the ones that were written, and what puts them right: bytes
 * altered, deleted or made undecodable behind our back. The chain names each entry's id, so whoever
 * still has it can bring it back.
 */
export class Damage {
  readonly #parts: Parts
  readonly #damaged = new Map<LogName, Set<number>>()
  /** places that a reader stumbled over, to be looked at next */
  readonly #suspects = new Map<LogName, number>()
  readonly #listeners = new Set<(event: DamageEvent) => void>()

  constructor(parts: Parts) {
    this.#parts = parts
    parts.store.onDamaged((log, seq) => this.suspect(log, seq))
  }

  /** Called with each event until the answer is called. */
  onEvent(listener: (event: DamageEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #tell(event: DamageEvent): void {
    for (const listener of this.#listeners) listener(event)
  }

  /** Seqs of a log that are known to be damaged, in order. */
  of(log: LogName): readonly number[] {
    return [...(this.#damaged.get(log) ?? [])].sort((a, b) => a - b)
  }

  all(): readonly { readonly log: LogName; readonly seqs: readonly number[] }[] {
    return [...this.#damaged.keys()].map((log) => ({ log, seqs: this.of(log) }))
  }

  /** Somebody read a place that does not hold: the next look begins there. */
  suspect(log: LogName, seq: number): void {
    this.#suspects.set(log, Math.min(seq, this.#suspects.get(log) ?? seq))
  }

  takeSuspect(): { readonly log: LogName; readonly seq: number } | null {
    const [first] = this.#suspects
    if (first === undefined) return null
    this.#suspects.delete(first[0])
    return { log: first[0], seq: first[1] }
  }

  rebuilt(log: LogName, head: Head | null): void {
    this.#damaged.delete(log)
    this.#tell({ kind: 'rebuilt', log, head })
  }

  healed(log: LogName, seqs: readonly number[]): void {
    const damaged = this.#damaged.get(log)
    const healed = seqs.filter((seq) => damaged?.delete(seq))
    if (damaged?.size === 0) this.#damaged.delete(log)
    if (healed.length > 0) this.#tell({ kind: 'healed', log, seqs: healed })
  }

  /**
   * Looks at entries from `from` on, at most `limit`: each against the id that the chain has for it,
   * and its own signature where `isDue`. What is wrong counts as damaged from now on, what is right
   * no longer.
   *
   * @returns where to go on, null at the end of the log; and what is damaged in this stretch
   */
  examine(
    log: LogName,
    from: number,
    limit: number,
    isDue: (seq: number, stored: Stored) => boolean,
  ): Promise<{ readonly next: number | null; readonly bad: readonly number[] }> {
    return this.#parts.alone(log, async () => {
      const record = await this.#parts.record(log)
      if (record === null || from > record.head.seq) return { next: null, bad: [] }
      const last = Math.min(record.head.seq, from + limit - 1)
      const bad = new Set(await this.#wrongKeys(log, record))
      const canCheck = bad.size === 0
      const rows = await this.#rows(log, from, last + 1)
      let expected = last === record.head.seq ? record.head.id : named(rows.get(last + 1) ?? null)
      for (let seq = last; seq >= from; seq--) {
        const stored = rows.get(seq) ?? null
        const is = stored !== null && this.#parts.decode(log, stored).ok ? idOf(stored.text) : null
        // Behind a damaged entry nothing names this one: its own signature must speak for it.
        const fits = expected === null ? is !== null : is === expected
        const mustCheck = stored !== null && (expected === null || isDue(seq, stored))
        const holds =
          fits &&
          stored !== null &&
          (!mustCheck || !canCheck || (await this.#parts.checkSignature(log, stored)) !== null)
        if (!holds) bad.add(seq)
        expected = holds ? named(stored) : null
      }
      this.#note(log, from, last, bad)
      return { next: last < record.head.seq ? last + 1 : null, bad: [...bad].sort((a, b) => a - b) }
    })
  }

  /** The entries behind `from`, the newest `maxAtOnce` of them at most, before a word on the head is given. */
  async examineEnd(log: LogName, from: number): Promise<void> {
    const head = (await this.#parts.record(log))?.head
    if (head === undefined) return
    const first = Math.max(0, from, head.seq - maxAtOnce + 1)
    await this.examine(log, first, maxAtOnce, () => false)
  }

  /** Damage beyond the stretch stays as it is known. */
  #note(log: LogName, from: number, last: number, bad: ReadonlySet<number>): void {
    const known = this.#damaged.get(log) ?? new Set()
    const right = [...known].filter((seq) => seq >= from && seq <= last && !bad.has(seq))
    const fresh = [...bad].filter((seq) => !known.has(seq))
    this.healed(log, right)
    if (fresh.length === 0) return
    this.#damaged.set(log, new Set([...(this.#damaged.get(log) ?? []), ...fresh]))
    this.#tell({ kind: 'found', log, seqs: fresh })
  }

  /** Entries with keys by which signatures are checked, and which are not what the chain has. */
  async #wrongKeys(log: LogName, { head, keys }: LogRecord): Promise<number[]> {
    const wrong: number[] = []
    for (const seq of keys) {
      const rows = await this.#rows(log, seq, seq + 1)
      const stored = rows.get(seq)
      const expected = seq === head.seq ? head.id : named(rows.get(seq + 1) ?? null)
      if (stored === undefined || stored === null) wrong.push(seq)
      else if (expected !== null && idOf(stored.text) !== expected) wrong.push(seq)
    }
    return wrong
  }

  async #rows(log: LogName, from: number, last: number): Promise<Map<number, Stored | null>> {
    const rows = await this.#parts.store.rows(log, from, last - from + 1)
    return new Map(rows.map(({ seq, stored }) => [seq, stored]))
  }

  /**
   * Takes entries that somebody brings for damaged places, in any order: those that the chain has
   * there and whose signatures hold are in the log again, synced, when this returns.
   *
   * @returns the seqs that are healed
   */
  restore(log: LogName, offers: readonly Offer[]): Promise<readonly number[]> {
    return this.#parts.alone(log, async () => {
      const record = await this.#parts.record(log)
      if (record === null) return []
      const brought = new Map<number, { item: Item; offer: Offer }>()
      for (const offer of offers) {
        const item = this.#parts.decode(log, offer)
        if (item.ok) brought.set(item.value.seq, { item: item.value, offer })
      }
      const seqs = this.of(log).filter((seq) => brought.has(seq))
      const fitting = new Map<number, { item: Item; offer: Offer }>()
      // From the newest down: an entry that fits names the one before it.
      for (const seq of seqs.toReversed()) {
        const each = brought.get(seq) as { item: Item; offer: Offer }
        const expected =
          seq === record.head.seq
            ? record.head.id
            : (fitting.get(seq + 1)?.item.prev ?? (await this.#namedBehind(log, seq)))
        if (each.item.id === expected) fitting.set(seq, each)
      }
      const healed: number[] = []
      // From the oldest up: keys come before what they sign.
      for (const [seq, { item, offer }] of [...fitting].sort(([a], [b]) => a - b)) {
        const { receipts = [] } = offer
        const stored = { ...offer, checked: true, firstMs: this.#parts.now(), receipts }
        // A key that somebody put in its place would be asked for its word on this one.
        if (record.keys.includes(seq))
          await this.#parts.store.write([this.#parts.store.deleteEntry(log, seq)])
        const signature = await this.#parts.checkSignature(log, stored)
        if (signature === null) continue
        await this.#parts.store.write([this.#parts.store.putEntry(item, { ...stored, signature })])
        healed.push(seq)
      }
      // What was read from damaged entries is read again.
      if (healed.length > 0) this.#parts.reopen(log)
      this.healed(log, healed)
      return healed
    })
  }

  async #namedBehind(log: LogName, seq: number): Promise<EntryId | null> {
    if (this.#damaged.get(log)?.has(seq + 1) === true) return null
    return named((await this.#rows(log, seq + 1, seq + 1)).get(seq + 1) ?? null)
  }
}

const named = (stored: Stored | null) => (stored === null ? null : prevOf(stored.text))

/** What a damaged replica says when it is asked for its word on a log. */
export const damagedHere = (log: LogName): Refusal =>
  refuse(
    'LOG_DAMAGED',
    `Entries of ${log} are damaged on this server's disk. It fetches them again from another one.`,
  )

type Parts = {
  readonly store: LogStore
  /** runs a job alone on the log */
  readonly alone: <T>(log: LogName, job: () => Promise<T>) => Promise<T>
  readonly record: (log: LogName) => Promise<LogRecord | null>
  /** an entry's own signature as it is to be stored, null when it is wrong */
  readonly checkSignature: (log: LogName, stored: Stored) => Promise<Uint8Array | null>
  readonly decode: (log: LogName, offer: Offer) => Verdict<Item>
  /** forgets what is in memory of a log, so that it is read from disk again */
  readonly reopen: (log: LogName) => void
  readonly now: () => number
}
