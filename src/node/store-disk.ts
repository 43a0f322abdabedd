import { Level } from 'level'
import type { Clock } from '../replication/clock.ts'
import type { Disk, Write } from '../replication/log/store.ts'
import type { DiskRoom } from './disk-room.ts'
import type { ComponentLog } from './logger.ts'

/** After so long a database that could not be opened again is tried anew, ms. */
const reopenMs = 1_000

type Options = { readonly sync: boolean }
type Batch = { readonly operations: Write[]; readonly options: Options }
type Flight = {
  /** batches that had been written when it began */
  readonly since: number
}

/**
 * The Level database of the logs, on a disk that may fill up or fail.
 *
 * LevelDB goes on behind a record that it wrote in part: what it takes afterwards, and says to have
 * synced, stands behind that piece of a record in its log and is lost with the next start (measured
 * with leveldb 1.20 on a full file system). So a write that fails closes the database and opens it
 * again before anything else is written; what was written beside it is written once more, since it
 * may stand behind the piece. Readers wait meanwhile.
 */
export class StoreDisk implements Disk {
  readonly #db: Database
  readonly #room: Pick<DiskRoom, 'isFull' | 'giveUpReserve'>
  readonly #clock: Clock
  readonly #log: ComponentLog
  readonly #fatal: (error: Error) => void
  /** calls of the database under way */
  #calls = 0
  #idle: (() => void) | null = null
  #opening: Promise<void> | null = null
  #failure: Error | null = null
  readonly #flights = new Set<Flight>()
  /** batches written so far, and those of them that some flight stood beside */
  #written = 0
  #beside: { readonly number: number; readonly batch: Batch }[] = []
  #closed = false

  private constructor(db: Database, parts: StoreParts) {
    this.#db = db
    this.#room = parts.room
    this.#clock = parts.clock
    this.#log = parts.log
    this.#fatal = parts.fatal
  }

  /** Opens the database; on a full disk with the room of the reserve. Throws ENOSPC, or Level's error. */
  static async open(path: string, parts: StoreParts): Promise<StoreDisk> {
    const db = (parts.database ?? levelAt)(path)
    await db.open().catch(async (error: Error) => {
      if (!isNoSpace(error)) throw error
      await parts.room.giveUpReserve()
      await db.open().catch((again: Error) => {
        throw isNoSpace(again) ? noSpace(path, again) : again
      })
    })
    return new StoreDisk(db, parts)
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#run(() => this.#db.get(key))
  }

  iterator(range: Parameters<Disk['iterator']>[0]) {
    return { all: () => this.#run(() => this.#db.iterator(range).all()) }
  }

  /**
   * Throws with code DISK_FULL what may not be written now: on a full disk everything that makes a
   * blog's log longer, and new claims and accounts. Acts, promises, receipts and what moves aside may.
   */
  async batch(operations: Write[], options: Options): Promise<void> {
    if (this.#room.isFull && operations.some(isRefusedWhenFull)) throw diskFull()
    const batch = { operations, options }
    await this.#ready()
    const flight = { since: this.#written }
    this.#flights.add(flight)
    try {
      await this.#call(async () => {
        await this.#db.batch(operations, options)
        this.#landed(batch, flight)
      })
    } catch (error) {
      await this.#reopen(error as Error).finally(() => this.#flights.delete(flight))
      throw isNoSpace(error as Error) ? diskFull(error) : error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await this.#opening?.catch(() => undefined)
    await this.#db.close()
  }

  /** Kept as long as a flight that stood beside it may still fail. */
  #landed(batch: Batch, flight: Flight): void {
    this.#flights.delete(flight)
    this.#beside.push({ number: this.#written++, batch })
    const oldest = Math.min(...[...this.#flights].map(({ since }) => since))
    this.#beside = this.#beside.filter(({ number }) => number >= oldest)
  }

  async #ready(): Promise<void> {
    while (this.#opening !== null) await this.#opening
    if (this.#failure !== null) throw this.#failure
  }

  async #run<T>(job: () => Promise<T>): Promise<T> {
    await this.#ready()
    return this.#call(job)
  }

  async #call<T>(job: () => Promise<T>): Promise<T> {
    this.#calls++
    try {
      return await job()
    } finally {
      this.#calls--
      if (this.#calls === 0) this.#idle?.()
    }
  }

  /** Resolves when the database is open again, or could not be opened for now. */
  #reopen(cause: Error): Promise<void> {
    this.#opening ??= this.#openAgain(cause).finally(() => {
      this.#opening = null
    })
    return this.#opening
  }

  async #openAgain(cause: Error): Promise<void> {
    this.#log.error('store_write_failed', { reason: reasonOf(cause) })
    if (this.#calls > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
      this.#idle = null
    }
    // What ended well while this one failed; nothing else has begun since.
    const again = this.#beside.map(({ batch }) => batch)
    if (isNoSpace(cause)) await this.#room.giveUpReserve()
    await this.#db.close()
    await this.#tryToOpen(again)
  }

  async #tryToOpen(again: readonly Batch[]): Promise<void> {
    if (this.#closed) return
    try {
      await this.#db.open()
      this.#failure = null
    } catch (error) {
      this.#failure = error as Error
      this.#log.error('store_not_open', { reason: reasonOf(error as Error) })
      this.#clock.after(reopenMs, () => {
        this.#opening ??= this.#tryToOpen(again).finally(() => {
          this.#opening = null
        })
      })
      return
    }
    try {
      for (const { operations } of again) await this.#db.batch(operations, { sync: true })
      this.#log.info('store_open_again', { writtenAgain: again.length })
    } catch (error) {
      // It was said to be stored, and receipts may have been given for it: this process must not go on.
      this.#failure = error as Error
      this.#fatal(error as Error)
    }
  }
}

/** The slice of Level that is used. */
type Database = Disk & {
  open(): Promise<void>
  close(): Promise<void>
}
const levelAt = (path: string): Database =>
  new Level<string, Uint8Array>(path, { valueEncoding: 'view' })

type StoreParts = {
  readonly room: Pick<DiskRoom, 'isFull' | 'giveUpReserve'>
  readonly clock: Clock
  readonly log: ComponentLog
  /** ends the process: what was said to be stored is not, which the next start finds out */
  readonly fatal: (error: Error) => void
  /** left out: Level */
  readonly database?: (path: string) => Database
}

const isRefusedWhenFull = ({ type, key }: Write) =>
  type === 'put' && /^(entry\/[^@]|claim\/|account\/)/.test(key)

const diskFull = (cause?: unknown) =>
  Object.assign(new Error('the disk is full', { cause }), { code: 'DISK_FULL' })

const noSpace = (path: string, cause: Error) =>
  Object.assign(new Error(`cannot open ${path}`, { cause }), { code: 'ENOSPC', syscall: 'open' })

/** Level tells in words only; a quota is as good as a full disk. */
function isNoSpace(error: Error): boolean {
  return /No space left on device|Disk quota exceeded/.test(reasonOf(error))
}

function reasonOf(error: Error): string {
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}
