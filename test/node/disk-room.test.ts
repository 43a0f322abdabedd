import { existsSync, readdirSync, statSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DiskRoom } from '../../src/node/disk-room.ts'
import { createLogger } from '../../src/node/logger.ts'
import { TestClock } from '../replication/test-council.ts'

const mib = 1024 * 1024
const reserveBytes = 8 * mib
const marks = { newBlogsPercent: 85, copiesPercent: 92, replacePercent: 97 }

describe('DiskRoom', () => {
  let folder: string
  let freeBytes: number
  const reserve = () => join(folder, 'reserve')
  const started = async (bytes = reserveBytes) => {
    const room = new DiskRoom({
      ...{ folder, marks, reserveBytes: bytes, clock: new TestClock() },
      log: createLogger('silent').forComponent('council:disk'),
      statfs: async () => ({
        ...{ blocks: 1_000 * mib, bfree: freeBytes, bavail: freeBytes, bsize: 1 },
      }),
    })
    await room.start()
    await room.look()
    return room
  }
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'council-room-'))
    freeBytes = 500 * mib
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  it('makes a reserve of the whole size, and keeps one that is there', async () => {
    await started()
    const made = statSync(reserve())
    expect(made.size).toBe(reserveBytes)
    expect(made.blocks * 512, 'it takes that room').toBeGreaterThanOrEqual(reserveBytes)
    await started()
    expect(statSync(reserve()).ino).toBe(made.ino)
    expect(statSync(reserve()).mtimeMs).toBe(made.mtimeMs)
  })

  it('makes one anew that is of another size, and none of size 0', async () => {
    await writeFile(reserve(), 'x')
    await started()
    expect(statSync(reserve()).size).toBe(reserveBytes)
    await rm(reserve())
    await started(0)
    expect(existsSync(reserve())).toBe(false)
  })

  it('tells the mark, and of a full disk the last one', async () => {
    const room = await started()
    expect(room.mark).toBeNull()
    freeBytes = 100 * mib
    await room.look()
    expect(room.mark).toBe('no-new-blogs')
    await room.giveUpReserve()
    expect(room.mark).toBe('replace')
    expect(room.freeBytes).toBe(100 * mib)
  })

  it('counts a disk as full before it takes nothing any more, and keeps the reserve until then', async () => {
    const room = await started()
    freeBytes = 2 * mib
    await room.look()
    expect(room.isFull).toBe(false)
    freeBytes = 2 * mib - 1
    await room.look()
    expect(room.isFull).toBe(true)
    expect(existsSync(reserve())).toBe(true)
    freeBytes = 4 * mib - 1
    await room.look()
    expect(room.isFull, 'not full and not full by turns').toBe(true)
    freeBytes = 4 * mib
    await room.look()
    expect(room.isFull).toBe(false)
  })

  it('counts a disk as full until there is room for the reserve and more', async () => {
    const room = await started()
    await room.giveUpReserve()
    expect(existsSync(reserve())).toBe(false)
    freeBytes = reserveBytes + 4 * mib - 1
    await room.look()
    expect(room.isFull).toBe(true)
    expect(existsSync(reserve())).toBe(false)
    freeBytes = reserveBytes + 4 * mib
    await room.look()
    expect(room.isFull).toBe(false)
    expect(statSync(reserve()).size).toBe(reserveBytes)
    expect(readdirSync(folder)).toEqual(['reserve'])
  })

  it('gives the reserve up at a start on a full disk', async () => {
    await started()
    freeBytes = 0
    const room = await started()
    expect(room.isFull).toBe(true)
    expect(existsSync(reserve())).toBe(false)
  })
})
