import { beforeEach, describe, expect, it } from 'vitest'
import type { Fingerprint } from '../../src/auth/public-key.ts'
import { KeyChecks, type WatchedKey } from '../../src/node/key-checks.ts'
import type { Asked } from '../../src/node/key-servers.ts'
import type { KeyServerWord } from '../../src/web/spoke.ts'
import { settle, startMs, TestClock } from '../replication/test-council.ts'

const hourMs = 3_600_000
const keyOf = (n: number) => n.toString(16).toUpperCase().padStart(40, '0') as Fingerprint

let clock: TestClock
let asked: { key: Fingerprint; atMs: number }[]
let handed: string[]
let watched: WatchedKey[]
let words: Map<Fingerprint, KeyServerWord>
let kind: 'not-revoked' | 'unreachable'
let revoked: Set<Fingerprint>

function start({ isOn = true } = {}): KeyChecks {
  const checks = new KeyChecks({
    keyServers: {
      isOn,
      last: async (key) => words.get(key) ?? null,
      ask: async (key): Promise<Asked> => {
        asked.push({ key, atMs: clock.ms })
        const word: KeyServerWord = { kind, atMs: clock.ms, detail: '' }
        const revocation = revoked.has(key) ? ({ certificate: `of ${key}` } as never) : null
        return { word, revocation, isNew: true }
      },
    },
    watched: async () => watched,
    handIn: async (certificate) => handed.push(certificate),
    clock,
  })
  checks.start()
  return checks
}

beforeEach(() => {
  clock = new TestClock()
  asked = []
  handed = []
  watched = [1, 2].map((n) => ({ key: keyOf(n), gpgId: null }))
  words = new Map()
  kind = 'not-revoked'
  revoked = new Set()
})
const hoursOf = (n: number) =>
  asked.filter(({ key }) => key === keyOf(n)).map(({ atMs }) => (atMs - startMs) / hourMs)

describe('KeyChecks', () => {
  it('asks about each key once a day', async () => {
    start()
    await clock.pass(72 * hourMs)
    for (const n of [1, 2]) {
      const hours = hoursOf(n)
      expect(hours.length).toBeGreaterThanOrEqual(3)
      expect(hours.length).toBeLessThanOrEqual(4)
      for (const [index, hour] of hours.slice(1).entries()) {
        expect(hour - (hours[index] as number)).toBeGreaterThan(21)
        expect(hour - (hours[index] as number)).toBeLessThan(24.5)
      }
    }
  })

  it('asks each hour while nobody answers', async () => {
    kind = 'unreachable'
    start()
    await clock.pass(10 * hourMs)
    expect(hoursOf(1).length).toBeGreaterThan(7)
    expect(hoursOf(1).length).toBeLessThan(12)
  })

  it('goes on from the last word after a restart', async () => {
    words.set(keyOf(1), { kind: 'not-revoked', atMs: startMs - 12 * hourMs, detail: '' })
    start()
    await clock.pass(hourMs)
    expect(hoursOf(1)).toEqual([])
    expect(hoursOf(2)).toHaveLength(1)
    await clock.pass(12 * hourMs)
    expect(hoursOf(1)).toHaveLength(1)
  })

  it('hands in what it finds revoked', async () => {
    revoked.add(keyOf(2))
    start()
    await clock.pass(hourMs)
    expect(handed).toEqual([`of ${keyOf(2)}`])
  })

  it('asks about 50 keys a round, and about the rest in the next ones', async () => {
    watched = Array.from({ length: 120 }, (_, n) => ({ key: keyOf(n), gpgId: null }))
    const checks = start()
    for (const count of [50, 100, 120, 120]) {
      await checks.round()
      await settle()
      expect(new Set(asked.map(({ key }) => key)).size).toBe(count)
    }
  })

  it('asks nobody without servers, and nothing after it was stopped', async () => {
    start({ isOn: false })
    await clock.pass(48 * hourMs)
    expect(asked).toEqual([])
    start().stop()
    await clock.pass(48 * hourMs)
    expect(asked).toEqual([])
  })
})
