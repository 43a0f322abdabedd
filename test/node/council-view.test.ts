import { describe, expect, it } from 'vitest'
import { byOwnClock } from '../../src/node/council-view.ts'

describe('byOwnClock', () => {
  const nowMs = 1_000_000
  const front = (atMs: number, receivedMs: number) => ({ page: { atMs }, receivedMs })

  it.each([
    ['goes like this one', 997_000, front(994_000, 994_000), 997_000],
    ['is five minutes ahead', 1_297_000, front(1_294_000, 994_000), 997_000],
    ['is five minutes behind', 697_000, front(694_000, 994_000), 997_000],
    ['is not known', 997_000, null, 997_000],
    ['is not known and ahead', 1_297_000, null, nowMs],
  ])('tells when something was at a spoke whose clock %s', (_, atMs, heard, own) => {
    expect(byOwnClock(atMs, heard, nowMs)).toBe(own)
  })
})
