import { describe, expect, it } from 'vitest'
import { diffWords } from '../../src/web/word-diff.ts'
import { workedMs } from '../support/worked.ts'

/** `[-taken out-]` and `{+added+}` */
const shown = (from: string, to: string) =>
  diffWords(from, to)
    ?.map(({ kind, text }) =>
      kind === 'same' ? text : kind === 'added' ? `{+${text}+}` : `[-${text}-]`,
    )
    .join('') ?? null
const fill = (piece: string, bytes = 65_000) =>
  piece.repeat(Math.floor(bytes / Buffer.byteLength(piece)))

describe('diffWords', () => {
  it.each([
    ['a b c', 'a x c', 'a [-b -]{+x +}c'],
    ['', 'new', '{+new+}'],
    ['old', '', '[-old-]'],
    ['same words', 'same words', 'same words'],
    ['one\n\ntwo', 'one two', 'one two'],
    [
      '人人生而自由，在尊严上平等',
      '人人生而自由，在权利上平等',
      '人人生而自由，在[-尊严-]{+权利+}上平等',
    ],
    ['يولد جميع الناس أحرارا', 'يولد كل الناس أحرارا', 'يولد [-جميع -]{+كل +}الناس أحرارا'],
    ['don’t go', 'do go', '[-don’t -]{+do +}go'],
  ])('compares %j with %j by words', (from, to, want) => {
    expect(shown(from, to)).toBe(want)
  })

  it('finds one new sentence in a long text without blanks', () => {
    const clause = '人人生而自由在尊严和权利上一律平等'
    const from = Array.from({ length: 60 }, (_, index) => `${clause}${index}`).join('')
    const to = from.replace(`${clause}30`, `${clause}30我们都知道`)
    const changes = diffWords(from, to) ?? []
    expect(
      changes
        .filter(({ kind }) => kind !== 'same')
        .map(({ text }) => text)
        .join(''),
    ).toBe('我们都知道')
  })

  it.each([
    ['line ends', fill('\n'), fill('\n', 60_000)],
    ['one letter', fill('a'), fill('a', 60_000)],
    ['accents', fill('e\u0301'), fill('\u0301')],
    ['emoji that join', fill('👩‍'), fill('👩‍👩')],
    ['surrogates at the window’s edge', `a${fill('𝐀')}`, fill('𝐀')],
    ['words that repeat', fill('.,'), fill(',.;')],
    ['words of which none is in both', fill('. '), fill(', ')],
    ['Chinese', fill('人人生而自由'), fill('由自而生人人')],
  ])('reads any text in bounded time, and loses nothing of it: %s', (_, from, to) => {
    const startMs = workedMs()
    const changes = diffWords(from, to)
    // Generous; the limit inside is 400 ms for the search.
    expect(workedMs() - startMs).toBeLessThan(2_000)
    if (changes === null) return
    const joined = (not: string) =>
      changes
        .filter(({ kind }) => kind !== not)
        .map(({ text }) => text)
        .join('')
    expect(joined('removed')).toBe(to)
  })

  it('gives up when too much differs', () => {
    expect(diffWords(fill('. '), fill(', '))).toBeNull()
  })
})
