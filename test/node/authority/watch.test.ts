import { describe, expect, it } from 'vitest'
import { isSelfSuspect } from '../../../src/node/authority/watch.ts'

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
