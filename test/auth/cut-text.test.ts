import { describe, expect, it } from 'vitest'
import { cutText } from '../../src/auth/cut-text.ts'
import { refusalAnswer } from '../../src/replication/network.ts'

describe('cutText', () => {
  it.each([
    ['a text that is short enough', 'plaza', 9, 'plaza'],
    ['a text that just fits', 'plaza', 5, 'plaza'],
    ['a longer one', 'plaza', 3, 'pla'],
    ['nothing', '', 3, ''],
    ['to nothing', 'plaza', 0, ''],
    ['behind a character of two units', 'a😀b', 3, 'a😀'],
    ['in the middle of one', 'a😀b', 2, 'a'],
    ['in the middle of the first', '😀', 1, ''],
    ['in the middle of the second of two', '😀😀', 3, '😀'],
    ['one that just fits', 'a😀', 3, 'a😀'],
    ['a letter and its mark apart: each can be encoded', 'e\u0301', 1, 'e'],
  ])('cuts %s', (_, text, max, cut) => {
    expect(cutText(text, max)).toBe(cut)
    expect(cutText(text, max).isWellFormed()).toBe(true)
  })

  it('leaves what was no text before as it is', () => {
    expect(cutText('a\ud83d', 9)).toBe('a\ud83d')
    expect(cutText('a\ude00b', 2)).toBe('a\ude00')
  })
})

describe('refusalAnswer', () => {
  it('answers a long reason without half a character', () => {
    for (const before of ['', 'a']) {
      const reason = before + '😀'.repeat(1_001)
      const { error } = refusalAnswer({ code: 'X', reason })
      expect(error.reason.isWellFormed()).toBe(true)
      expect(error.reason).toHaveLength(before === '' ? 2_000 : 1_999)
    }
  })
})
