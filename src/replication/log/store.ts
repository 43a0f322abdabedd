import { hash } from 'node:crypto'
import { decode, encode } from 'cborg'
import type { PeerName } from '../../auth/peer-signature.ts'
import { ReplicationError } from '../errors.ts'
import { maxAsidePerLog } from '../protocol.ts'
import type { Head, Item, LogName } from './log.ts'
import type { StoreId } from './peer-text.ts'
import { type EntryId, idOf, prevOf, type Signed } from './text.ts'

/** What an author is told, also through other spokes. */
const diskFullSentence =
  'The disk of the server that keeps this is full. Nothing was stored; keep the signed text and send it again later: what is published stays, and writing goes on when there is room.'

/**
 * The slice of `level` that the store needs. `sync` is the only durable write (REPLICATION 2). A
 * batch that has no room rejects with an error whose code is DISK_FULL.
 */
export type Disk = {
  get(key: string): Promise<Uint8Array | undefined>
  batch(operations: Write[], options: { sync: boolean }): Promise<void>
  iterator(range: {
    gte: string
    lt: string
    limit?: number
    reverse?: boolean
    /** false: only the keys are read */
    values?: boolean
  }): {
    all(): Promise<[string, Uint8Array][]>
  }
}
export type Write =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string }

type Waiting = {
  readonly operations: Write[]
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** An entry or act as it lies in a log. */
export type Stored = Signed & {
  /** whether its own signature was checked, not only covered by a later one's chain */
  readonly checked: boolean
  /** when this peer first held it, ms */
  readonly firstMs: number
  /** of an act: the holders' receipts that put it in force */
  readonly receipts: readonly Signed[]
}

/** A place in a log as the disk has it; `stored` is null where the row does not decode. */
export type Row = { readonly seq: number; readonly stored: Stored | null }

/** An entry or act to be kept aside, its signature checked. */
export type Aside = {
  readonly item: Item
  readonly signature: Uint8Array
  readonly firstMs: number
}

/** What the store keeps with each log beside its entries. */
export type LogRecord = {
  readonly head: Head
  readonly dateMs: number
  /** epoch of the log: the last one whose primary it followed (REPLICATION 8) */
  readonly follows: number
  /** seqs of the entries that hold keys: genesis and rekeys */
  readonly keys: readonly number[]
  /** of all texts and signatures in the log */
  readonly bytes: number
  /** entries from this seq on may still wait for the check of their own signature; null: none */
  readonly uncheckedFrom: number | null
  /** it was rebuilt from its entries, and has not heard of a primary since: what it followed is not known */
  readonly isRebuilt?: true
  /** what the log's rules need to go on without reading the whole log again */
  readonly saved: unknown
}

// Key layout, also in PROTOCOL.md: seqs and epochs have 16 digits so that they sort.
const pad = (seq: number) => String(seq).padStart(16, '0')
const entryKey = (log: LogName, seq: number) => `entry/${log}/${pad(seq)}`
const recordKey = (log: LogName) => `log/${log}`
const asideKey = (log: LogName, seq: number, id: EntryId) => `aside/${log}/${pad(seq)}/${id}`
const tailKey = (log: LogName, seq: number, id: EntryId) => `tail/${log}/${pad(seq)}/${id}`
const receiptKey = (log: LogName, act: EntryId, peer: PeerName, store: StoreId) =>
  `receipt/${log}/${act}/${peer}/${store}`
/** Behind every key that begins with `prefix`. */
const after = (prefix: string) => `${prefix}\uffff`

/** All that one peer keeps on disk. Reads and writes bytes; the decisions are made elsewhere. */
export class LogStore {
  readonly #disk: Disk
  /** synced writes that wait for the one under way */
  #waiting: Waiting[] = []
  #isSyncing = false
  #damaged: (log: LogName, seq: number) => void = () => {}

  constructor(disk: Disk) {
    this.#disk = disk
  }

  /** `listener` hears where a log that is read turns out not to hang together. */
  onDamaged(listener: (log: LogName, seq: number) => void): void {
    this.#damaged = listener
  }

  /**
   * Writes all or nothing; returns after the sync. What comes while another write is being synced
   * goes with the next one, since a sync costs the same for one blog as for a hundred.
   * Throws STORE_WRITE_FAILED, DISK_FULL.
   */
  write(operations: Write[], { sync }: { sync: boolean } = { sync: true }): Promise<void> {
    if (!sync) return this.#batch(operations, sync)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waiting.push({ operations, resolve, reject })
    if (!this.#isSyncing) void this.#syncWaiting()
    return promise
  }

  async #syncWaiting(): Promise<void> {
    this.#isSyncing = true
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0)
      try {
        await this.#batch(
          group.flatMap(({ operations }) => operations),
          true,
        )
        for (const { resolve } of group) resolve()
      } catch (error) {
        // What one of them may not write, on a full disk, must not keep the others from it.
        for (const { operations, resolve, reject } of group) {
          if (group.length === 1) reject(error)
          else await this.#batch(operations, true).then(resolve, reject)
        }
      }
    }
    this.#isSyncing = false
  }

  async #batch(operations: Write[], sync: boolean): Promise<void> {
    try {
      await this.#disk.batch(operations, { sync })
    } catch (cause) {
      throw (cause as { code?: string }).code === 'DISK_FULL'
        ? new ReplicationError('DISK_FULL', diskFullSentence, { cause })
        : new ReplicationError('STORE_WRITE_FAILED', 'the disk did not take a write', { cause })
    }
  }

  /** Throws STORE_DAMAGED when it is not what was written. */
  async record(log: LogName): Promise<LogRecord | null> {
    const value = await this.#disk.get(recordKey(log))
    if (value === undefined) return null
    const { sum, ...record } = decodeStored(value) as LogRecord & { sum?: string }
    if (sum !== sumOf(record))
      throw new ReplicationError('STORE_DAMAGED', `the record of ${log} is not what was written`)
    return record
  }

  putRecord(log: LogName, record: LogRecord): Write {
    const value = encode({ ...record, sum: sumOf(record) })
    return { type: 'put', key: recordKey(log), value }
  }

  /** Names of all logs that have a record here. */
  async logs(): Promise<LogName[]> {
    const prefix = recordKey('')
    const rows = await this.#disk.iterator({ gte: prefix, lt: after(prefix), values: false }).all()
    return rows.map(([key]) => key.slice(prefix.length))
  }

  /** All that is here of a log, to be deleted. */
  async dropLog(log: LogName): Promise<Write[]> {
    const ranges = [`entry/${log}/`, `aside/${log}/`, `tail/${log}/`].map((prefix) =>
      this.#disk.iterator({ gte: prefix, lt: after(prefix), values: false }).all(),
    )
    const keys = (await Promise.all(ranges)).flat().map(([key]) => key)
    return [...keys, recordKey(log)].map((key) => ({ type: 'del', key }))
  }

  async entry(log: LogName, seq: number): Promise<Stored | null> {
    const value = await this.#disk.get(entryKey(log, seq))
    return value === undefined ? null : readStored(value)
  }

  putEntry(item: Item, stored: Stored): Write {
    return { type: 'put', key: entryKey(item.log, item.seq), value: writeStored(stored) }
  }

  /** What the disk has of a log from `from` on, at most `limit` rows: with gaps, and unchecked. */
  async rows(log: LogName, from: number, limit: number): Promise<Row[]> {
    const prefix = `entry/${log}/`
    const rows = await this.#disk
      .iterator({ gte: entryKey(log, from), lt: after(prefix), limit })
      .all()
    return rows.map(([key, value]) => {
      const seq = Number(key.slice(prefix.length))
      try {
        return { seq, stored: readStored(value) }
      } catch {
        return { seq, stored: null }
      }
    })
  }

  /**
   * Entries from `from` on, at most `limit`, in order, each held against the one behind it, the last
   * of all against the log's head. They end before the first that is missing or not what it was:
   * what was altered behind our back is given to nobody.
   */
  async entries(log: LogName, from: number, limit: number): Promise<Stored[]> {
    const head = (await this.record(log).catch(() => null))?.head
    const rows = await this.rows(log, from, limit + 1)
    const run: Stored[] = []
    for (const [index, { seq, stored }] of rows.entries()) {
      if (seq !== from + index || stored === null) break
      run.push(stored)
    }
    const sound = run.findIndex(
      ({ text }, index) =>
        index + 1 < run.length && prevOf((run[index + 1] as Stored).text) !== idOf(text),
    )
    const last = from + run.length - 1
    const isShort = run.length < rows.length || (run.length <= limit && last < (head?.seq ?? -1))
    const end = run.at(-1)
    const isOther = end !== undefined && last === head?.seq && idOf(end.text) !== head.id
    // Behind what is missing nothing is left that the one before it could be held against.
    const good = sound >= 0 ? sound : isOther || isShort ? run.length - 1 : run.length
    const isDamaged = sound >= 0 || isOther || (isShort && from <= (head?.seq ?? -1))
    if (isDamaged) this.#damaged(log, from + Math.max(0, good))
    return run.slice(0, Math.max(0, Math.min(good, limit)))
  }

  deleteEntry(log: LogName, seq: number): Write {
    return { type: 'del', key: entryKey(log, seq) }
  }

  /**
   * Validly signed, but never in the log: served by id, never answered as a head (REPLICATION 10).
   * An author can sign for one seq without end: beyond `maxAsidePerLog` the oldest seqs make room.
   */
  async putAside(log: LogName, entries: readonly Aside[]): Promise<Write[]> {
    if (entries.length === 0) return []
    const prefix = `aside/${log}/`
    const range = { gte: prefix, lt: after(prefix), values: false }
    const held = (await this.#disk.iterator(range).all()).map(([key]) => key)
    const puts = new Map(
      entries.map((each) => [asideKey(log, each.item.seq, each.item.id), writeAside(each)]),
    )
    const keys = [...new Set([...held, ...puts.keys()])].sort((a, b) => (a < b ? -1 : 1))
    const over = keys.slice(0, Math.max(0, keys.length - maxAsidePerLog))
    for (const key of over) puts.delete(key)
    return [
      ...over.map((key) => ({ type: 'del', key }) as const),
      ...[...puts].map(([key, value]) => ({ type: 'put', key, value }) as const),
    ]
  }

  /** What was in the log until a later epoch's primary had it otherwise: aside too, all of it, for ever. */
  putTail(log: LogName, tail: readonly Aside[]): Write[] {
    return tail.map((each) => ({
      type: 'put',
      key: tailKey(log, each.item.seq, each.item.id),
      value: writeAside(each),
    }))
  }

  /** What a later epoch moved aside, from a seq on, in order of seq. */
  async tail(log: LogName, from: number): Promise<Stored[]> {
    const prefix = `tail/${log}/`
    const rows = await this.#disk.iterator({ gte: prefix + pad(from), lt: after(prefix) }).all()
    return rows.map(([, value]) => readStored(value))
  }

  /** All that is aside of a log. */
  async aside(log: LogName): Promise<Stored[]> {
    const rows = await Promise.all(
      [`tail/${log}/`, `aside/${log}/`].map((prefix) =>
        this.#disk.iterator({ gte: prefix, lt: after(prefix) }).all(),
      ),
    )
    return rows.flat().map(([, value]) => readStored(value))
  }

  /** What is aside of a log at one seq: other versions of that place. */
  async asideAt(log: LogName, seq: number): Promise<Stored[]> {
    const rows = await Promise.all(
      [`tail/${log}/${pad(seq)}/`, `aside/${log}/${pad(seq)}/`].map((prefix) =>
        this.#disk.iterator({ gte: prefix, lt: after(prefix) }).all(),
      ),
    )
    return rows.flat().map(([, value]) => readStored(value))
  }

  /** What is aside under an id; null when nothing is. */
  async asideById(log: LogName, seq: number, id: EntryId): Promise<Stored | null> {
    const value =
      (await this.#disk.get(tailKey(log, seq, id))) ??
      (await this.#disk.get(asideKey(log, seq, id)))
    return value === undefined ? null : readStored(value)
  }

  putReceipt(log: LogName, act: EntryId, peer: PeerName, store: StoreId, signed: Signed): Write {
    return { type: 'put', key: receiptKey(log, act, peer, store), value: encodeSigned(signed) }
  }

  /** The newest receipt of each replica of a log, under one act. */
  async receipts(log: LogName, act: EntryId): Promise<Signed[]> {
    const prefix = `receipt/${log}/${act}/`
    const rows = await this.#disk.iterator({ gte: prefix, lt: after(prefix) }).all()
    return decodedReceipts(rows)
  }

  /** The newest receipt that a replica gave under each act of a log. */
  async receiptsBy(log: LogName, peer: PeerName, store: StoreId): Promise<Signed[]> {
    const prefix = `receipt/${log}/`
    const rows = await this.#disk.iterator({ gte: prefix, lt: after(prefix) }).all()
    return decodedReceipts(rows.filter(([key]) => key.endsWith(`/${peer}/${store}`)))
  }

  /** A small value under a key of its owner's own prefix. */
  async value(key: string): Promise<unknown> {
    const value = await this.#disk.get(key)
    return value === undefined ? undefined : decodeStored(value)
  }

  putValue(key: string, value: unknown): Write {
    return { type: 'put', key, value: encode(value) }
  }

  deleteValue(key: string): Write {
    return { type: 'del', key }
  }

  /** The last key that begins with `prefix`; null: none does. */
  async lastKey(prefix: string): Promise<string | null> {
    const range = { gte: prefix, lt: after(prefix), limit: 1, reverse: true, values: false }
    const [last] = await this.#disk.iterator(range).all()
    return last?.[0] ?? null
  }

  /** All values whose key begins with `prefix`; undefined for one that does not decode. */
  async values(prefix: string): Promise<[key: string, value: unknown][]> {
    return this.valuesFrom(prefix, prefix, Number.POSITIVE_INFINITY)
  }

  /** At most `limit` values from the key `from` on, as long as keys begin with `prefix`. */
  async valuesFrom(
    from: string,
    prefix: string,
    limit: number,
  ): Promise<[key: string, value: unknown][]> {
    const range = { gte: from, lt: after(prefix) }
    const rows = await this.#disk
      .iterator(limit === Number.POSITIVE_INFINITY ? range : { ...range, limit })
      .all()
    return rows.map(([key, value]) => {
      try {
        return [key, decodeStored(value)]
      } catch {
        return [key, undefined]
      }
    })
  }
}

/** Of a record as it was given to the disk: an altered one must not pass for it. */
const sumOf = (record: LogRecord) => hash('sha256', encode(record), 'hex')

type StoredRow = [Uint8Array, Uint8Array, number, number, [Uint8Array, Uint8Array][]]

/**
 * The row in CBOR, written by hand: a catch-up stores thousands a second, and the encoder would
 * take an eighth of its time. The form is fixed: lengths in 4 bytes, the time as a
 * double.
 */
function writeStored({ text, signature, checked, firstMs, receipts }: Stored): Uint8Array {
  const others =
    receipts.length === 0
      ? emptyArray
      : encode(receipts.map((receipt) => [receipt.text, receipt.signature]))
  const row = Buffer.allocUnsafe(
    1 + 2 * headBytes + text.length + signature.length + localBytes + others.length,
  )
  row[0] = arrayOfFive
  const local = putBytes(row, putBytes(row, 1, text), signature)
  row[local] = checked ? 1 : 0
  row[local + 1] = doubleHead
  row.writeDoubleBE(firstMs, local + 2)
  row.set(others, local + localBytes)
  return row
}

const arrayOfFive = 0x85
const emptyArray = Buffer.from([0x80])
const doubleHead = 0xfb
const bytesHead = 0x5a
/** A byte string's head: its kind and its length. */
const headBytes = 5
/** `checked`, and the time with its head. */
const localBytes = 10

/** Puts a byte string into a row. @returns where it ends */
function putBytes(row: Buffer, at: number, bytes: Uint8Array): number {
  row[at] = bytesHead
  row.writeUInt32BE(bytes.length, at + 1)
  row.set(bytes, at + headBytes)
  return at + headBytes + bytes.length
}

function writeAside({ item, signature, firstMs }: Aside): Uint8Array {
  return writeStored({ text: item.text, signature, checked: true, firstMs, receipts: [] })
}

/**
 * A row as `writeStored` made it, without receipts: where everything stands is known. null for any other,
 * which the decoder reads, or refuses.
 */
function readPlainRow(value: Uint8Array): Stored | null {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength)
  if (value[0] !== arrayOfFive) return null
  const textEnd = bytesEnd(view, 1)
  const local = textEnd === null ? null : bytesEnd(view, textEnd)
  if (textEnd === null || local === null || value.length !== local + localBytes + 1) return null
  const checked = value[local] as number
  if (checked > 1 || value[local + 1] !== doubleHead || value.at(-1) !== emptyArray[0]) return null
  return {
    // Copies, and no Buffers, as the decoder makes them.
    text: new Uint8Array(value.subarray(1 + headBytes, textEnd)),
    signature: new Uint8Array(value.subarray(textEnd + headBytes, local)),
    checked: checked === 1,
    firstMs: view.getFloat64(local + 2),
    receipts: [],
  }
}

/** Where a byte string with a length of 4 bytes ends; null: there is none at this place. */
function bytesEnd(view: DataView, at: number): number | null {
  if (at + headBytes > view.byteLength || view.getUint8(at) !== bytesHead) return null
  const end = at + headBytes + view.getUint32(at + 1)
  return end > view.byteLength ? null : end
}

function readStored(value: Uint8Array): Stored {
  const plain = readPlainRow(value)
  if (plain !== null) return plain
  const row = decodeStored(value)
  if (!isStoredRow(row)) throw damaged()
  const [text, signature, checked, firstMs, receipts] = row
  return {
    text,
    signature,
    checked: checked === 1,
    firstMs,
    receipts: receipts.map(([each, by]) => ({ text: each, signature: by })),
  }
}

const isBytes = (value: unknown) => value instanceof Uint8Array
const isSignedRow = (value: unknown): value is [Uint8Array, Uint8Array] =>
  Array.isArray(value) && isBytes(value[0]) && isBytes(value[1])
function isStoredRow(row: unknown): row is StoredRow {
  if (!Array.isArray(row)) return false
  const [text, signature, , firstMs, receipts] = row as unknown[]
  return (
    isBytes(text) &&
    isBytes(signature) &&
    typeof firstMs === 'number' &&
    Array.isArray(receipts) &&
    receipts.every(isSignedRow)
  )
}

/** One that does not decode counts as lost: it comes back with the next pull. */
const decodedReceipts = (rows: readonly (readonly [string, Uint8Array])[]): Signed[] =>
  rows.flatMap(([, value]) => {
    try {
      return [decodeSigned(value)]
    } catch {
      return []
    }
  })

function encodeSigned({ text, signature }: Signed): Uint8Array {
  return encode([text, signature])
}

function decodeSigned(value: Uint8Array): Signed {
  const row = decodeStored(value)
  if (!isSignedRow(row)) throw damaged()
  const [text, signature] = row
  return { text, signature }
}

const damaged = (cause?: unknown) =>
  new ReplicationError('STORE_DAMAGED', 'a value on disk does not decode', { cause })

function decodeStored(value: Uint8Array): unknown {
  try {
    return decode(value)
  } catch (cause) {
    throw damaged(cause)
  }
}
