import { MemoryLevel } from 'memory-level'
import { describe, expect, it } from 'vitest'
import type { Fingerprint } from '../../src/auth/public-key.ts'
import { StoredAccounts } from '../../src/node/accounts.ts'
import { type Disk, LogStore } from '../../src/replication/log/store.ts'

const fingerprint = (number: number) => number.toString(16).padStart(40, '0') as Fingerprint

describe('StoredAccounts', () => {
  function accounts() {
    const clock = { nowMs: 0 }
    const disk = new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' }) as Disk
    const store = new LogStore(disk)
    const open = () => new StoredAccounts({ store, now: () => clock.nowMs++ })
    return { open, store }
  }

  it('find the key of who logged in, also after a restart', async () => {
    const { open } = accounts()
    await open().keep(fingerprint(1), 'one')
    expect(await open().find(fingerprint(1))).toBe('one')
    expect(await open().find(fingerprint(2))).toBeNull()
  })

  it('keep 32 MiB of keys, also of the largest ones: who came longest ago makes room', async () => {
    const { open, store } = accounts()
    const before = open()
    const large = 'k'.repeat(64_000)
    for (let number = 1; number <= 400; number++) await before.keep(fingerprint(number), large)
    await before.keep(fingerprint(1), large)
    const after = open()
    for (let number = 401; number <= 600; number++) await after.keep(fingerprint(number), large)
    const kept = await store.values('account/')
    expect(kept.length).toBe(Math.floor((32 * 1024 * 1024) / 64_000))
    expect(await after.find(fingerprint(1))).not.toBeNull()
    expect(await after.find(fingerprint(2))).toBeNull()
    expect(await after.find(fingerprint(600))).not.toBeNull()
  })
})
