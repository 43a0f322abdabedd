import { hash } from 'node:crypto'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Damage } from './damage.ts'
import type { Item, LogName } from './log.ts'
import type { OpenedLogs } from './opened-logs.ts'
import type { LogRules, Offer } from './rules.ts'
import type { LogRecord, LogStore, Stored } from './store.ts'
import { idOf, prevOf, type Signed } from './text.ts'

/** Entries whose signature need not be checked again before they are shown. */
const maxSeen = 20_000
const none = new Uint8Array()
const sumOf = ({ text, signature }: Stored) =>
  hash('sha256', Buffer.concat([text, signature]), 'base64')

type Parts = {
  readonly store: LogStore
  readonly logs: OpenedLogs
  readonly rulesOf: (log: LogName) => LogRules<unknown>
  readonly decode: (log: LogName, offer: Offer) => Verdict<Item>
  readonly alone: <T>(log: LogName, job: () => Promise<T>) => Promise<T>
  readonly damage: () => Damage
}

/** Where a log stands while an offer is being placed: entries that are not on the disk yet. */
type Pending = { readonly record: LogRecord | null; readonly added: readonly Item[] }

/**
 * Each entry's own signature: checked before it is shown, put right where it came damaged, and
 * checked later where it came in a catch-up, covered by the chain alone.
 */
export class Signatures {
  readonly #parts: Parts
  /** hashes of signatures that were checked since the start, by log and seq */
  readonly #seen = new Map<string, string>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * The entry at `seq`, as it may be shown: it is the one that the chain has there, and its own
   * signature holds, whatever became of the disk since it was written. null: not held, or damaged.
   */
  async read(log: LogName, seq: number): Promise<Stored | null> {
    const head = (await this.#parts.logs.load(log)).record?.head
    if (head === undefined || seq > head.seq) return null
    const [here, next] = await this.#parts.store.rows(log, seq, 2)
    const stored = here?.seq === seq ? here.stored : null
    const expected =
      seq === head.seq ? head.id : next?.seq === seq + 1 ? prevOf(next.stored?.text ?? none) : null
    if (stored === null || idOf(stored.text) !== expected) {
      this.#parts.damage().suspect(log, seq)
      return null
    }
    const place = `${log}/${seq}`
    if (this.#seen.get(place) === sumOf(stored)) return stored
    const signature = await this.of(log, stored)
    if (signature === null) {
      this.#parts.damage().suspect(log, seq)
      return null
    }
    const checked = { ...stored, signature, checked: true }
    this.#seen.delete(place)
    this.#seen.set(place, sumOf(checked))
    for (const oldest of this.#seen.keys()) {
      if (this.#seen.size <= maxSeen) break
      this.#seen.delete(oldest)
    }
    return checked
  }

  /**
   * Checks the own signatures of entries that came in catch-up, at most `limit` of them.
   * @returns seqs whose signature is wrong: they must be fetched again from another replica
   */
  async checkSome(log: LogName, limit: number): Promise<number[]> {
    const { record } = await this.#parts.logs.load(log)
    if (record === null || record.uncheckedFrom === null) return []
    const from = record.uncheckedFrom
    const bad: number[] = []
    const rows = await this.#parts.store.entries(log, from, limit)
    /** signatures that hold, but came in another armor than the one we store */
    const armored = new Map<number, Uint8Array>()
    for (const [index, stored] of rows.entries()) {
      if (stored.checked) continue
      const signature = await this.of(log, stored)
      if (signature === null) bad.push(from + index)
      else if (Buffer.compare(signature, stored.signature) !== 0)
        armored.set(from + index, signature)
    }
    await this.#parts.alone(log, async () => {
      for (const [seq, signature] of armored) {
        const held = await this.#parts.store.entry(log, seq)
        if (held !== null && Buffer.compare(held.text, (rows[seq - from] as Stored).text) === 0)
          await this.#rearm(log, held, signature)
      }
      const open = await this.#parts.logs.load(log)
      if (open.record === null || open.record.uncheckedFrom !== from) return
      const reached = from + rows.length
      const uncheckedFrom =
        bad.length > 0 ? (bad[0] as number) : reached > open.record.head.seq ? null : reached
      const record = { ...open.record, uncheckedFrom }
      this.#parts.logs.keep(log, { ...open, record })
      await this.#parts.store.write([this.#parts.store.putRecord(log, record)], { sync: false })
    })
    return bad
  }

  /** Whether a key of this log signed the text, in its place or not. */
  async verify(log: LogName, offer: Signed): Promise<boolean> {
    const item = this.#parts.decode(log, offer)
    return item.ok && (await this.checkAlone(log, item.value, offer)).ok
  }

  /** Puts the same entry's signature anew, after the one held turned out wrong. */
  heal(log: LogName, offer: Offer): Promise<Verdict<void>> {
    return this.#parts.alone(log, async () => {
      const item = this.#parts.decode(log, offer)
      if (!item.ok) return item
      const held = await this.#parts.store.entry(log, item.value.seq)
      if (held === null || Buffer.compare(held.text, offer.text) !== 0) {
        return refuse(
          'HEAL_OTHER_ENTRY',
          'The text is not the one that this log holds for that seq.',
        )
      }
      const signature = await this.of(log, { ...held, signature: offer.signature })
      if (signature === null) {
        return refuse('HEAL_SIGNATURE', 'This signature does not hold either.')
      }
      await this.#rearm(log, held, signature)
      return accept(undefined)
    })
  }

  /** Whether a key of this log signed an item that has no place in it; nothing is kept. */
  async checkLeft(log: LogName, offer: Offer): Promise<Verdict<Item>> {
    const item = this.#parts.decode(log, offer)
    if (!item.ok) return item
    const signature = await this.checkAlone(log, item.value, offer)
    return signature.ok ? item : signature
  }

  /** Checks an item's own signature by the keys of the log before it; answers it as it is stored. */
  async checkAlone(
    log: LogName,
    item: Item,
    offer: Offer,
    plan: Pending | null = null,
  ): Promise<Verdict<Uint8Array>> {
    const record = plan === null ? (await this.#parts.logs.load(log)).record : plan.record
    const keys = (record?.keys ?? []).filter((seq) => seq < item.seq)
    const read = async (seq: number) =>
      plan?.added.find((each) => each.seq === seq)?.text ??
      (await this.#parts.store.entry(log, seq))?.text ??
      null
    return this.#parts.rulesOf(log).checkAlone(item, offer, keys, read)
  }

  /** An entry's own signature as it is to be stored, null when it is wrong. */
  async of(log: LogName, stored: Stored): Promise<Uint8Array | null> {
    const item = this.#parts.rulesOf(log).decode(stored.text)
    const signature = item.ok ? await this.checkAlone(log, item.value, stored) : item
    return signature.ok ? signature.value : null
  }

  /** Stores an entry's signature anew, now checked. */
  async #rearm(log: LogName, held: Stored, signature: Uint8Array): Promise<void> {
    const item = this.#parts.rulesOf(log).decode(held.text)
    if (item.ok)
      await this.#parts.store.write([
        this.#parts.store.putEntry(item.value, { ...held, signature, checked: true }),
      ])
  }
}
