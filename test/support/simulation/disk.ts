import type { Disk, Write } from '../../../src/replication/log/store.ts'
import type { Random } from './random.ts'
import { Rows } from './rows.ts'
import type { Life, VirtualClock } from './virtual-clock.ts'

/** How a run of a process ends: stopped or killed (the machine goes on), or with the machine's power. */
export type End = 'stop' | 'kill' | 'power loss'

type Waiting = {
  readonly operations: readonly Write[]
  readonly sync: boolean
  readonly life: Life
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

const maxReadMs = 2
const maxWriteMs = 3
const maxSyncMs = 12

/**
 * A disk with LevelDB's promises and no more: batches are written one after the other, whole or not
 * at all; a write with `sync` makes itself and all earlier ones durable. A power loss leaves what was
 * synced and some first part of what was not. A killed process leaves all that was written.
 */
export class VirtualDisk {
  readonly #clock: VirtualClock
  readonly #random: Random
  readonly #watch: (operations: readonly Write[], isWritten: boolean) => void
  /** what a running process reads */
  #rows = new Rows()
  /** what a power loss leaves for sure */
  #durable = new Rows()
  /** batches written behind the last sync */
  #unsynced: (readonly Write[])[] = []
  #waiting: Waiting[] = []
  #isWriting = false
  #trap: { left: number; readonly spring: () => boolean } | null = null
  /** probability that a batch is refused, as by a full disk */
  failing = 0
  /** false for a disk that says that it has synced and has not */
  syncs = true
  /** what each sync takes at least, ms: a disk that others keep busy */
  busyMs = 0

  /** @param watch - sees each batch after it was written, or refused */
  constructor(
    clock: VirtualClock,
    random: Random,
    watch: (operations: readonly Write[], isWritten: boolean) => void = () => undefined,
  ) {
    this.#clock = clock
    this.#random = random
    this.#watch = watch
  }

  /** Opening makes durable what is read from the last run's log: LevelDB writes it into a synced table. */
  open(life: Life): Disk {
    if (this.syncs) this.#sync()
    return {
      get: (key) => this.#read(life, () => this.#rows.get(key)),
      batch: (operations, { sync }) =>
        new Promise((resolve, reject) => {
          if (life.isOver) return
          this.#waiting.push({ operations: operations.map(copy), sync, life, resolve, reject })
          this.#writeNext()
        }),
      iterator: ({ gte, lt, limit = Number.POSITIVE_INFINITY, reverse = false }) => {
        const rows = this.#rows.between(gte, lt)
        if (reverse) rows.reverse()
        return { all: () => this.#read(life, () => rows.slice(0, limit)) }
      },
    }
  }

  #read<T>(life: Life, value: () => T): Promise<T> {
    return new Promise((resolve) => {
      this.#clock.after(this.#random.between(0, maxReadMs), () =>
        life.reach(() => resolve(value())),
      )
    })
  }

  #writeNext(): void {
    const [next] = this.#waiting
    if (this.#isWriting || next === undefined) return
    this.#isWriting = true
    const longestMs = next.sync ? maxSyncMs + this.busyMs : maxWriteMs
    const ms = this.#random.between(next.sync ? this.busyMs : 0, longestMs)
    this.#clock.after(ms, () => {
      if (next.life.isOver) return
      this.#waiting.shift()
      this.#isWriting = false
      if (this.#random.chance(this.failing)) {
        this.#watch(next.operations, false)
        next.life.reach(() => next.reject(new Error('ENOSPC: no space left on device')))
      } else {
        this.#write(next)
        if (this.#isSprung()) return
        next.life.reach(next.resolve)
      }
      this.#writeNext()
    })
  }

  /**
   * Calls `spring` right behind the next `batches`th batch, before anybody hears that it is written.
   * It says whether it ended the process.
   */
  trap(batches: number, spring: () => boolean): void {
    this.#trap = { left: batches, spring }
  }

  #isSprung(): boolean {
    const trap = this.#trap
    if (trap === null || --trap.left > 0) return false
    this.#trap = null
    return trap.spring()
  }

  #write({ operations, sync }: Pick<Waiting, 'operations' | 'sync'>): void {
    apply(this.#rows, operations)
    this.#unsynced.push(operations)
    if (sync && this.syncs) this.#sync()
    this.#watch(operations, true)
  }

  #sync(): void {
    for (const batch of this.#unsynced) apply(this.#durable, batch)
    this.#unsynced = []
  }

  /** The process that has the disk open is over; what it was writing may or may not be there. */
  end(how: End): void {
    this.#trap = null
    const begun = this.#waiting.slice(0, this.#random.between(0, this.#waiting.length))
    for (const { operations } of begun) this.#write({ operations, sync: false })
    this.#waiting = []
    this.#isWriting = false
    if (how !== 'power loss') return
    const kept = this.#random.between(0, this.#unsynced.length)
    for (const batch of this.#unsynced.slice(0, kept)) apply(this.#durable, batch)
    this.#rows = new Rows(this.#durable)
    this.#unsynced = []
  }

  /** Whether a row is on its way to the disk. */
  isWriting(key: string): boolean {
    return this.#waiting.some(({ operations }) => operations.some((each) => each.key === key))
  }

  /** Everything is gone; no process has the disk open. */
  lose(): void {
    this.restore(new Rows())
  }

  /** A copy of what the disk holds for sure now, as a backup has it. */
  backUp(): Rows {
    return new Rows(this.#durable)
  }

  /** how many folders have been its data folder: a backup that is put back is another one */
  folders = 1

  /** Puts a backup in the place of what the disk holds; no process has it open. */
  restore(backup: Rows): void {
    this.#rows = new Rows(backup)
    this.#durable = new Rows(backup)
    this.#unsynced = []
    this.folders += 1
  }

  /** What would be read after the power failed now. */
  durable(key: string): Uint8Array | undefined {
    return this.#durable.get(key)
  }

  read(key: string): Uint8Array | undefined {
    return this.#rows.get(key)
  }

  /** Rows as a process reads them, whose key begins with `prefix`, in order. */
  rows(prefix: string): [key: string, value: Uint8Array][] {
    return this.#rows.between(prefix, `${prefix}\uffff`)
  }
}

function apply(rows: Rows, operations: readonly Write[]): void {
  for (const operation of operations) {
    if (operation.type === 'put') rows.set(operation.key, operation.value)
    else rows.delete(operation.key)
  }
}

const copy = (write: Write): Write =>
  write.type === 'put' ? { ...write, value: new Uint8Array(write.value) } : write
