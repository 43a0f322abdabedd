import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLogger } from '../../src/node/logger.ts'
import { StoreDisk } from '../../src/node/store-disk.ts'
import type { Write } from '../../src/replication/log/store.ts'
import { TestClock } from '../replication/test-council.ts'
import { mayMount, SmallDisk } from '../support/small-disk.ts'

const script = join(import.meta.dirname, '../support/full-disk-process.ts')
const reserveBytes = 8 * 1024 * 1024

/** A process that keeps a store on the small disk; see full-disk-process.ts. */
class Keeper {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(disk: SmallDisk, folder: string, kind: 'guarded' | 'bare') {
    const [command, ...args] = disk.through
    this.#child = spawn(command, [...args, process.execPath, script, folder, kind])
    const { stdin, stdout } = this.#child
    if (stdin === null || stdout === null) throw new Error('no pipes')
    stdin.on('error', () => undefined)
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]()
  }

  async hears(): Promise<unknown> {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error('the process has ended')
    return JSON.parse(value)
  }

  ask(command: string): Promise<unknown> {
    this.#child.stdin?.write(`${command}\n`)
    return this.hears()
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}

describe.skipIf(!mayMount())('a store on a disk that fills up', () => {
  let folder: string
  let disk: SmallDisk
  const keepers: Keeper[] = []
  const start = async (kind: 'guarded' | 'bare' = 'guarded') => {
    const keeper = new Keeper(disk, folder, kind)
    keepers.push(keeper)
    expect(await keeper.hears()).toBe('open')
    return keeper
  }
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'council-disk-'))
    disk = await SmallDisk.mount(folder, 32)
  })
  afterEach(async () => {
    for (const keeper of keepers.splice(0)) await keeper.kill()
    await disk[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })
  const soon = (check: () => Promise<void>) =>
    expect
      .poll(
        async () =>
          check().then(
            () => true,
            () => false,
          ),
        { timeout: 20_000 },
      )
      .toBe(true)
  const hasReserve = () =>
    existsSync(disk.path('reserve')) && statSync(disk.path('reserve')).size === reserveBytes

  it('holds a reserve while there is room', async () => {
    const keeper = await start()
    expect(hasReserve()).toBe(true)
    expect(await keeper.ask('state')).toMatchObject({ isFull: false, mark: null })
  })

  it('refuses entries, gives up its reserve, and reads and keeps what others count on', async () => {
    const keeper = await start()
    expect(await keeper.ask('entry')).toBeNull()
    disk.fill()
    expect(await keeper.ask('write')).toBe('DISK_FULL')
    expect(await keeper.ask('state')).toMatchObject({ isFull: true, mark: 'replace' })
    expect(hasReserve()).toBe(false)
    expect(await keeper.ask('entry')).toBe('DISK_FULL')
    for (const kind of ['promise', 'act', 'tail']) expect(await keeper.ask(kind)).toBeNull()
    expect(await keeper.ask('read')).toBe(2_000)
  })

  it('writes again by itself when there is room, with a new reserve', async () => {
    const keeper = await start()
    disk.fill()
    expect(await keeper.ask('write')).toBe('DISK_FULL')
    disk.empty()
    await soon(async () => expect(await keeper.ask('entry')).toBeNull())
    expect(hasReserve()).toBe(true)
    expect(await keeper.ask('state')).toMatchObject({ isFull: false })
  })

  it('loses nothing that it said to hold, written before, beside or after the failure', async () => {
    for (const round of [1, 2, 3]) {
      const keeper = await start()
      await soon(async () => expect(await keeper.ask('entry')).toBeNull())
      disk.fill()
      expect(await keeper.ask('write'), `round ${round}`).toBe('DISK_FULL')
      for (const kind of ['promise', 'act']) expect(await keeper.ask(kind)).toBeNull()
      disk.empty()
      await soon(async () => expect(await keeper.ask('entry')).toBeNull())
      for (let n = 0; n < 20; n++) expect(await keeper.ask('entry')).toBeNull()
      const held = JSON.stringify(await keeper.ask('held'))
      await keeper.kill()
      const next = await start()
      expect(await next.ask(`missing ${held}`)).toBe(0)
      await next.kill()
    }
  })

  it('starts on a full disk, with the room of its reserve', async () => {
    const first = await start()
    expect(await first.ask('entry')).toBeNull()
    const held = JSON.stringify(await first.ask('held'))
    await first.kill()
    disk.fill()
    const second = await start()
    expect(await second.ask('state')).toMatchObject({ isFull: true })
    expect(await second.ask(`missing ${held}`)).toBe(0)
    expect(await second.ask('promise')).toBeNull()
    expect(await second.ask('entry')).toBe('DISK_FULL')
    disk.empty()
    await soon(async () => expect(await second.ask('entry')).toBeNull())
  })

  it('is needed: LevelDB alone loses what it takes after a write that failed', async () => {
    const keeper = await start('bare')
    expect(await keeper.ask('entry')).toBeNull()
    disk.fill()
    expect(await keeper.ask('writeSingly')).toBe('LEVEL_IO_ERROR')
    disk.empty()
    for (let n = 0; n < 20; n++) expect(await keeper.ask('entry')).toBeNull()
    const held = JSON.stringify(await keeper.ask('held'))
    await keeper.kill()
    const next = await start('bare')
    expect(await next.ask(`missing ${held}`)).toBeGreaterThanOrEqual(20)
  })
})

/**
 * What was measured of LevelDB, as a model that a test can steer: a write that fails leaves a piece
 * of a record, what is written behind it is read as long as the database is open, and lost then.
 */
class TornDatabase {
  readonly #durable = new Map<string, Uint8Array>()
  readonly #behind = new Map<string, Uint8Array>()
  #isTorn = false
  isOpen = false
  /** how many more times it cannot be opened */
  closed = 0
  /** keys of which a write fails */
  readonly fails = new Set<string>()
  /** writes that wait for `go` */
  readonly waiting = new Map<string, () => void>()
  readonly holds = new Set<string>()

  async open() {
    if (this.closed-- > 0) throw new Error('IO error: CURRENT: Input/output error')
    this.isOpen = true
    this.#isTorn = false
    this.#behind.clear()
  }
  async close() {
    this.isOpen = false
  }
  async get(key: string) {
    if (!this.isOpen) throw new Error('it is closed')
    return this.#behind.get(key) ?? this.#durable.get(key)
  }
  async batch(operations: Write[]) {
    for (const each of operations) {
      if (this.holds.has(each.key))
        await new Promise<void>((resolve) => {
          this.waiting.set(each.key, resolve)
        })
      if (!this.isOpen) throw new Error('it is closed')
      if (this.fails.has(each.key)) {
        this.#isTorn = true
        throw new Error('IO error: 000003.log: No space left on device')
      }
      if (each.type === 'put')
        (this.#isTorn ? this.#behind : this.#durable).set(each.key, each.value)
    }
  }
  iterator() {
    return { all: async (): Promise<[string, Uint8Array][]> => [...this.#durable] }
  }
  /** lets a held write go on */
  async go(key: string) {
    await expect.poll(() => this.waiting.has(key)).toBe(true)
    this.holds.delete(key)
    this.waiting.get(key)?.()
  }
}

describe('StoreDisk', () => {
  let db: TornDatabase
  let clock: TestClock
  let lost: Error[]
  let isGivenUp: boolean
  const value = Uint8Array.of(1)
  const open = () =>
    StoreDisk.open('store', {
      room: {
        isFull: false,
        giveUpReserve: async () => {
          isGivenUp = true
        },
      },
      ...{ clock, log: createLogger('silent').forComponent('council:disk') },
      fatal: (error) => lost.push(error),
      database: () => db,
    })
  const put = (disk: StoreDisk, key: string) =>
    disk.batch([{ type: 'put', key, value }], { sync: true }).then(
      () => 'written',
      ({ code, message }: { code?: string; message: string }) => code ?? message,
    )
  beforeEach(() => {
    db = new TornDatabase()
    clock = new TestClock()
    lost = []
    isGivenUp = false
  })

  it('opens the database anew after a write that failed, before anything else is written', async () => {
    const disk = await open()
    db.fails.add('a')
    expect(await Promise.all([put(disk, 'a'), put(disk, 'b')])).toEqual(['DISK_FULL', 'written'])
    expect(isGivenUp).toBe(true)
    expect(await put(disk, 'c')).toBe('written')
    await db.open()
    for (const key of ['b', 'c']) expect(await disk.get(key), key).toEqual(value)
    expect(await disk.get('a')).toBeUndefined()
  })

  it('writes once more what ended well while the other failed, and only that', async () => {
    const disk = await open()
    for (const key of ['slow', 'beside']) db.holds.add(key)
    db.fails.add('bad')
    expect(await put(disk, 'before')).toBe('written')
    const [slow, bad, beside] = [put(disk, 'slow'), put(disk, 'bad'), put(disk, 'beside')]
    // The failure waits for those that are under way.
    await db.go('beside')
    expect(await beside).toBe('written')
    await db.go('slow')
    expect(await slow).toBe('written')
    expect(await bad).toBe('DISK_FULL')
    await db.open()
    for (const key of ['before', 'slow', 'beside']) expect(await disk.get(key), key).toEqual(value)
  })

  it('ends the process when that cannot be written once more', async () => {
    const disk = await open()
    db.holds.add('beside')
    db.fails.add('bad')
    const [bad, beside] = [put(disk, 'bad'), put(disk, 'beside')]
    await db.go('beside')
    expect(await beside).toBe('written')
    db.fails.add('beside')
    await bad
    expect(lost).toHaveLength(1)
    expect(await put(disk, 'more')).toContain('No space left')
  })

  it('lets readers wait meanwhile', async () => {
    const disk = await open()
    await put(disk, 'a')
    db.holds.add('slow')
    db.fails.add('bad')
    const [slow, bad] = [put(disk, 'slow'), put(disk, 'bad')]
    const read = disk.get('a')
    await db.go('slow')
    expect(await Promise.all([slow, bad, read])).toEqual(['written', 'DISK_FULL', value])
  })

  it('tries again when the database cannot be opened, and refuses everything until then', async () => {
    const disk = await open()
    await put(disk, 'a')
    db.fails.add('bad')
    db.closed = 2
    expect(await put(disk, 'bad')).toBe('DISK_FULL')
    expect(await put(disk, 'c')).toContain('Input/output error')
    await expect(disk.get('a')).rejects.toThrow('Input/output error')
    await clock.pass(1_000)
    await expect(disk.get('a')).rejects.toThrow('Input/output error')
    await clock.pass(1_000)
    await expect.poll(() => disk.get('a').catch(() => null)).toEqual(value)
    expect(await put(disk, 'c')).toBe('written')
    expect(lost).toEqual([])
  })
})
