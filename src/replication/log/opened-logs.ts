import { ReplicationError } from '../errors.ts'
import type { Damage } from './damage.ts'
import type { LogName } from './log.ts'
import { replay } from './replay.ts'
import type { LogRules } from './rules.ts'
import type { LogRecord, LogStore, Stored, Write } from './store.ts'
import { type EntryId, idOf, prevOf } from './text.ts'

/** A log as it stands: its record, and what it comes down to for its rules. */
export type Opened = { readonly record: LogRecord | null; readonly state: unknown }

const none = new Uint8Array()

/**
 * The logs in memory: each is read from the disk when it is asked for first, and rebuilt from its
 * entries where its record, or what that rests on, is not what was written.
 */
export class OpenedLogs {
  readonly #store: LogStore
  readonly #rulesOf: (log: LogName) => LogRules<unknown>
  readonly #damage: () => Damage
  readonly #maxOpen: number
  readonly #open = new Map<LogName, Opened>()

  constructor(parts: {
    readonly store: LogStore
    readonly rulesOf: (log: LogName) => LogRules<unknown>
    readonly damage: () => Damage
    /** those used last stay in memory; left out: all */
    readonly maxOpen?: number
  }) {
    this.#store = parts.store
    this.#rulesOf = parts.rulesOf
    this.#damage = parts.damage
    this.#maxOpen = parts.maxOpen ?? Number.POSITIVE_INFINITY
  }

  /** The record, if it is in memory: without waiting. null says nothing. */
  recordInMemory(log: LogName): LogRecord | null {
    return this.#open.get(log)?.record ?? null
  }

  async load(log: LogName): Promise<Opened> {
    const open = this.#open.get(log)
    if (open !== undefined) return open
    const read = await this.#readLog(log).catch(() => null)
    const { record, state } = read ?? (await this.#rebuild(log))
    const loaded = this.#open.get(log) ?? { record, state }
    this.keep(log, loaded)
    return loaded
  }

  /** What the log has become. Entries are durable before; what was checked since need not be. */
  keep(log: LogName, open: Opened): void {
    this.#open.delete(log)
    this.#open.set(log, open)
    for (const oldest of this.#open.keys()) {
      if (this.#open.size <= this.#maxOpen) break
      this.#open.delete(oldest)
    }
  }

  /** It is read anew from the disk when it is asked for next. */
  drop(log: LogName): void {
    this.#open.delete(log)
  }

  /** Throws when the record, or what it rests on, is not what was written. */
  async #readLog(log: LogName): Promise<Opened> {
    const record = await this.#store.record(log)
    if (record === null) {
      const rows = await this.#store.rows(log, 0, 1)
      if (rows.length > 0) throw new Error(`the record of ${log} is gone`)
      return { record, state: null }
    }
    try {
      return { record, state: await this.#restore(log, record) }
    } catch (error) {
      if (log.startsWith('@')) throw error
      // The record is whole, keys below it are not: until they are healed the log takes nothing.
      this.#damage().suspect(log, 0)
      for (const seq of record.keys) this.#damage().suspect(log, seq)
      return { record, state: null }
    }
  }

  /**
   * The log as far as its entries hang together from the first on. What lies behind is kept aside,
   * and comes back from others, or from there. It follows no primary until it hears of one again.
   */
  async #rebuild(log: LogName): Promise<Opened> {
    const rules = this.#rulesOf(log)
    const read = async (seq: number) => {
      const [row] = await this.#store.rows(log, seq, 1)
      return row?.seq === seq ? row.stored : null
    }
    let last = Number.POSITIVE_INFINITY
    let { record, state } = await replay(log, rules, read, { last, follows: 0 })
    // A signature covers all before it: the newest that holds is the end.
    while (record !== null) {
      const { seq } = record.head
      const stored = (await read(seq)) as Stored
      const item = rules.decode(stored.text)
      const keys = record.keys.filter((each) => each < seq)
      const text = async (at: number) => (await read(at))?.text ?? null
      if (item.ok && (await rules.checkAlone(item.value, stored, keys, text)).ok) break
      last = seq - 1
      ;({ record, state } = await replay(log, rules, read, { last, follows: 0 }))
    }
    if (record === null && log.startsWith('@'))
      throw new ReplicationError('STORE_DAMAGED', `${log} is damaged from its first entry on`)
    const writes: Write[] = []
    for (let from = (record?.head.seq ?? -1) + 1; ; ) {
      const rows = await this.#store.rows(log, from, 1_000)
      for (const { seq, stored } of rows) {
        from = seq + 1
        writes.push(this.#store.deleteEntry(log, seq))
        const item = stored === null ? null : rules.decode(stored.text)
        if (stored === null || !item?.ok) continue
        writes.push(...this.#store.putTail(log, [{ item: item.value, ...stored }]))
      }
      if (rows.length === 0) break
    }
    const saved: LogRecord | null =
      record === null ? null : { ...record, saved: rules.save(state), isRebuilt: true }
    if (saved !== null) writes.push(this.#store.putRecord(log, saved))
    await this.#store.write(writes)
    this.#damage().rebuilt(log, saved?.head ?? null)
    return { record: saved, state }
  }

  /** Throws when one of the entries on which the state rests is not the one that was written. */
  async #restore(log: LogName, record: LogRecord): Promise<unknown> {
    const { head } = record
    const isWhole = log.startsWith('@')
    let before: EntryId | null = null
    const read = async (seq: number) => {
      if (seq > head.seq) return null
      const [here, next] = await this.#store.rows(log, seq, isWhole ? 1 : 2)
      const text = here?.seq === seq ? (here.stored?.text ?? null) : null
      // The council's logs are read in order; of a blog only the entries with keys are.
      const named = isWhole
        ? before
        : seq === head.seq
          ? head.id
          : prevOf(next?.stored?.text ?? none)
      const is = text === null ? null : isWhole ? prevOf(text) : idOf(text)
      if (text === null || is !== named) throw new Error(`entry ${seq} of ${log} is damaged`)
      before = idOf(text)
      return text
    }
    const state = await this.#rulesOf(log).load(record.saved, read)
    if (isWhole && before !== head.id) throw new Error(`the head of ${log} is damaged`)
    return state
  }
}
