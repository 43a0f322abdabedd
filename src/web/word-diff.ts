import { diffArrays } from 'diff'

/** A stretch of words that both texts have, or only one of them. */
export type Change = { readonly kind: 'same' | 'added' | 'removed'; readonly text: string }

/** Words that may differ, and ms that the search may take, before it is given up. */
const maxDifferentWords = 5_000
const maxDiffMs = 400

/**
 * What changed between two texts, word by word in any script; null when they differ so much that
 * finding it would take too long. The parts "same" and "added" together are `to`; what stands
 * between words is not compared.
 */
export function diffWords(from: string, to: string): readonly Change[] | null {
  const changes = diffArrays(wordsOf(from), wordsOf(to), {
    comparator: (left, right) => left.word === right.word,
    maxEditLength: maxDifferentWords,
    timeout: maxDiffMs,
  })
  if (changes === undefined) return null
  return changes.map(({ added, removed, value }) => ({
    kind: added ? 'added' : removed ? 'removed' : 'same',
    text: value.map(({ text }) => text).join(''),
  }))
}

/** A word, and the same with the blanks behind it. */
type Word = { readonly word: string; text: string }

const segmenter = new Intl.Segmenter('und', { granularity: 'word' })
/** UTF-16 units looked at in one go. */
const windowLength = 200

/**
 * V8 gives every segment a copy of the whole text: 64 KiB of line ends would take gigabytes. So the
 * text is read through a window, and a word that its edge may have cut is read again.
 */
function wordsOf(text: string): Word[] {
  const words: Word[] = []
  for (let at = 0; at < text.length; ) {
    const seen = text.slice(at, at + windowLength)
    const segments = Array.from(segmenter.segment(seen), ({ segment }) => segment)
    if (segments.length > 1 && at + seen.length < text.length) segments.pop()
    for (const segment of segments) {
      // The edge may also cut a character of two units in a word longer than the window.
      const whole = segment.isWellFormed() ? segment : segment.slice(0, -1)
      at += whole.length
      const last = words.at(-1)
      if (last !== undefined && whole.trim() === '') last.text += whole
      else words.push({ word: whole, text: whole })
    }
  }
  return words
}
