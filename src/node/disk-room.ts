import { randomFillSync } from 'node:crypto'
import { open, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, repeat } from '../replication/clock.ts'
import type { DiskMark } from '../replication/registry/heartbeat.ts'
import { type DiskMarks, markOf, usedPercentOf } from './disk-mark.ts'
import type { ComponentLog } from './logger.ts'

/** How often the disk is looked at, ms. */
const lookMs = 1_000
/** With less room than this the disk counts as full, bytes: LevelDB writes tables of 2 and logs of 4 MiB. */
const leastFreeBytes = 16 * 1024 * 1024
const chunkBytes = 1024 * 1024

/** What `statfs` says of a file system, as far as it is needed. */
type FileSystem = {
  readonly blocks: number
  readonly bfree: number
  readonly bavail: number
  readonly bsize: number
}

/**
 * The room on the disk with a peer's data: its mark, whether it is full, and a reserve file that is
 * given up when it is, so that what others count on can still be written (REPLICATION, Silence).
 * When there is room again the reserve is made anew, and then the disk counts as full no more.
 */
export class DiskRoom {
  readonly #folder: string
  readonly #marks: DiskMarks
  readonly #reserveBytes: number
  readonly #clock: Clock
  readonly #log: ComponentLog
  readonly #statfs: (path: string) => Promise<FileSystem>
  #mark: DiskMark | null = null
  #freeBytes = 0
  #isFull = false
  #holdsReserve = false
  #looking: Promise<void> | null = null
  #stop = () => {}

  constructor(parts: {
    readonly folder: string
    readonly marks: DiskMarks
    /** 0: no reserve */
    readonly reserveBytes: number
    readonly clock: Clock
    readonly log: ComponentLog
    readonly statfs?: (path: string) => Promise<FileSystem>
  }) {
    this.#folder = parts.folder
    this.#marks = parts.marks
    this.#reserveBytes = parts.reserveBytes
    this.#clock = parts.clock
    this.#log = parts.log
    this.#statfs = parts.statfs ?? statfs
  }

  /** bytes that this user may write */
  get freeBytes(): number {
    return this.#freeBytes
  }

  /** Which mark the disk is over; a full one is over the last. */
  get mark(): DiskMark | null {
    return this.#isFull ? 'replace' : this.#mark
  }

  /** Whether nothing may be written but what others count on. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** Looks at the disk, and from then on again and again. On a full one the reserve is given up at once. */
  async start(): Promise<void> {
    const held = await stat(this.#path).catch(() => null)
    this.#holdsReserve = held?.size === this.#reserveBytes
    await this.#measure()
    if (this.#freeBytes < this.#least) await this.giveUpReserve()
    this.#stop = repeat(this.#clock, lookMs, () => this.look())
    // 64 MiB take their time; nobody needs to wait for them.
    this.look().catch(() => undefined)
  }

  stop(): void {
    this.#stop()
  }

  /** The disk took no write for want of room: the reserve is given up. */
  async giveUpReserve(): Promise<void> {
    if (!this.#isFull) this.#log.error('disk_full', { folder: this.#folder })
    // Set before and after the wait: a look under way may just have found room.
    this.#isFull = true
    // One that is being made would fill the disk again.
    await this.#looking
    this.#isFull = true
    await rm(this.#path, { force: true })
    this.#holdsReserve = false
  }

  /** One look; what it finds holds when it resolves. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null
    })
    return this.#looking
  }

  async #look(): Promise<void> {
    try {
      await this.#measure()
      if (this.#freeBytes < this.#least && !this.#isFull) {
        this.#log.error('disk_full', { folder: this.#folder, freeBytes: this.#freeBytes })
        this.#isFull = true
      }
      const missing = this.#holdsReserve ? 0 : this.#reserveBytes
      // Twice the least: a disk that stands at it is not full and not full by turns.
      if (this.#freeBytes < missing + 2 * this.#least) return
      if (missing > 0) await this.#makeReserve()
      if (!this.#isFull) return
      this.#isFull = false
      this.#log.info('disk_has_room', { folder: this.#folder, freeBytes: this.#freeBytes })
    } catch (error) {
      this.#log.warn('disk_look_failed', { error })
    }
  }

  async #measure(): Promise<void> {
    const disk = await this.#statfs(this.#folder)
    this.#freeBytes = disk.bavail * disk.bsize
    this.#mark = markOf(usedPercentOf(disk), this.#marks, this.#mark)
  }

  /** Random bytes: some file systems keep no room for zeros. */
  async #makeReserve(): Promise<void> {
    const file = await open(this.#path, 'w', 0o600)
    try {
      const chunk = Buffer.alloc(chunkBytes)
      for (let left = this.#reserveBytes; left > 0; left -= chunkBytes) {
        randomFillSync(chunk)
        await file.write(chunk, 0, Math.min(left, chunkBytes))
      }
      await file.sync()
      this.#holdsReserve = true
    } finally {
      await file.close()
      if (!this.#holdsReserve) await rm(this.#path, { force: true })
    }
  }

  get #path(): string {
    return join(this.#folder, 'reserve')
  }

  /** A small reserve, on a small disk, goes with less. */
  get #least(): number {
    return Math.min(leastFreeBytes, Math.max(1024 * 1024, this.#reserveBytes / 4))
  }
}
