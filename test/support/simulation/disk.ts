import type { Disk, Write } from '../../../src/replication/log/store.ts'
import type { Random } from './random.ts'
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
  /** what a running process reads */
  #rows = new Map<string, Uint8Array>()
  /** what a power loss leaves for sure */
  #durable = new Map<string, Uint8Array>()
  /** batches written behind the last sync */
  #unsynced: (readonly Write[])[] = []
  #waiting: Waiting[] = []
  #isWriting = false
  /** probability that a batch is refused, as by a full disk */
  failing = 0
  /** false for a disk that says that it has synced and has not */
  syncs = true

  constructor(clock: VirtualClock, random: Random) {
    this.#clock = clock
    this.#random = random
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
        const rows = [...this.#rows]
          .filter(([key]) => key >= gte && key < lt)
          .sort(([a], [b]) => (a < b ? -1 : 1))
        if (reverse) rows.reverse()
        return { all: () => this.#read(life, () => rows.slice(0, limit)) }
      },
    }
  }

  #read<T>(life: Life, value: () => T): Promise<T> {
    return new Promise((resolve) => {
      this.#clock.after(this.#random.between(0, maxReadMs), () => {
        if (!life.isOver) resolve(value())
      })
    })
  }

  #writeNext(): void {
    const [next] = this.#waiting
    if (this.#isWriting || next === undefined) return
    this.#isWriting = true
    this.#clock.after(this.#random.between(0, next.sync ? maxSyncMs : maxWriteMs), () => {
      if (next.life.isOver) return
      this.#waiting.shift()
      this.#isWriting = false
      if (this.#random.chance(this.failing)) {
        next.reject(new Error('ENOSPC: no space left on device'))
      } else {
        this.#write(next)
        next.resolve()
      }
      this.#writeNext()
    })
  }

  #write({ operations, sync }: Pick<Waiting, 'operations' | 'sync'>): void {
    apply(this.#rows, operations)
    this.#unsynced.push(operations)
    if (sync && this.syncs) this.#sync()
  }

  #sync(): void {
    for (const batch of this.#unsynced) apply(this.#durable, batch)
    this.#unsynced = []
  }

  /** The process that has the disk open is over; what it was writing may or may not be there. */
  end(how: End): void {
    const begun = this.#waiting.slice(0, this.#random.between(0, this.#waiting.length))
    for (const { operations } of begun) this.#write({ operations, sync: false })
    this.#waiting = []
    this.#isWriting = false
    if (how !== 'power loss') return
    const kept = this.#random.between(0, this.#unsynced.length)
    for (const batch of this.#unsynced.slice(0, kept)) apply(this.#durable, batch)
    this.#rows = new Map(this.#durable)
    this.#unsynced = []
  }

  /** What would be read after the power failed now. */
  durable(key: string): Uint8Array | undefined {
    return this.#durable.get(key)
  }

  /** Rows as a process reads them, whose key begins with `prefix`, in order. */
  rows(prefix: string): [key: string, value: Uint8Array][] {
    return [...this.#rows]
      .filter(([key]) => key.startsWith(prefix))
      .sort(([a], [b]) => (a < b ? -1 : 1))
  }
}

function apply(rows: Map<string, Uint8Array>, operations: readonly Write[]): void {
  for (const operation of operations) {
    if (operation.type === 'put') rows.set(operation.key, operation.value)
    else rows.delete(operation.key)
  }
}

const copy = (write: Write): Write =>
  write.type === 'put' ? { ...write, value: Uint8Array.from(write.value) } : write
