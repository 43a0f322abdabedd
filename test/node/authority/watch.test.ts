import { describe, expect, it } from 'vitest'
import { isSelfSuspect, lookPauseMs } from '../../../src/node/authority/watch.ts'

describe('isSelfSuspect', () => {
  it.each([
    [0, 1, false],
    [1, 2, false],
    [2, 3, true],
    [2, 4, false],
    [3, 4, true],
  ])('%i silent of %i: %s', (silent, members, suspect) => {
    expect(isSelfSuspect(silent, members)).toBe(suspect)
  })
})

describe('lookPauseMs', () => {
  it('looks at the very moment at which somebody has been silent for long enough', () => {
    expect(lookPauseMs([400, 300], 1_000)).toBe(300)
  })

  it('looks as often as ever when that is later, or was before: then somebody has answered', () => {
    expect(lookPauseMs([], 1_000)).toBe(1_000)
    expect(lookPauseMs([4_000], 1_000)).toBe(1_000)
    expect(lookPauseMs([-1_000, 0], 1_000)).toBe(1_000)
  })
})
