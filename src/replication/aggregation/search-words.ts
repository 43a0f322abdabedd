/** Characters of one word that are indexed and looked for; what stands behind them is cut off. */
export const maxWordCharacters = 64

/**
 * Chinese, Japanese and Korean. Each letter is a word together with the one behind it, so that a
 * search finds what is written, wherever words begin. `Intl.Segmenter` would give fewer words, but
 * others for the same letters in another sentence: it makes 人 人生 而 自由 of 人人生而自由, where
 * nobody who looks for 人人 would find it. It also takes as long for a word as the index does.
 */
const paired = String.raw`[[[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Hang}]&&[\p{L}\p{N}]]\u3099\u309a]`
/** Other scripts without blanks between words, which the segmenter splits by its dictionaries. */
const segmented = String.raw`[[\p{scx=Thai}\p{scx=Lao}\p{scx=Khmr}\p{scx=Mymr}]&&[\p{L}\p{M}\p{N}]]`
const isPaired = new RegExp(paired, 'v')
const isSegmented = new RegExp(segmented, 'v')
const run = new RegExp(
  `${paired}[${paired}\\p{M}]*|${segmented}+|[[\\p{L}\\p{M}\\p{N}]--[${paired}${segmented}]]+`,
  'gv',
)
/** After folding: a run of paired letters, or a word. */
const foldedRun = new RegExp(`${paired}+|[[\\p{L}\\p{M}\\p{N}]--${paired}]+`, 'gv')
const isWordCharacter = /[\p{L}\p{M}\p{N}]/u
const segmenter = new Intl.Segmenter('und', { granularity: 'word' })

/** Letters that are the same to who looks for a word; ⁄ and · are left of ½ and of Catalan ŀ. */
const replacements: Readonly<Record<string, string>> = {
  ...{ ß: 'ss', ø: 'o', ł: 'l', đ: 'd', ħ: 'h', ŧ: 't', ı: 'i', æ: 'ae', œ: 'oe', ς: 'σ' },
  ...{ ى: 'ي', ی: 'ي', ک: 'ك', ة: 'ه', ہ: 'ه', '⁄': ' ', '·': ' ' },
}
/**
 * What is left out: accents, the vowel points of Arabic and Hebrew, Arabic's tatweel, variation
 * selectors. Vowel signs of Indic scripts and the sound marks of kana are letters.
 */
const leftOut = new RegExp(
  String.raw`[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u065f\u0670\ufe00-\ufe0f\u{e0100}-\u{e01ef}${Object.keys(replacements).join('')}]`,
  'gu',
)

/** One form for all spellings of a word: NFKC, lower case, without accents. */
function fold(text: string): string {
  return text
    .normalize('NFKD')
    .toLowerCase()
    .replace(leftOut, (character) => replacements[character] ?? '')
    .normalize('NFC')
}

/** What the table below says of a character that it gives no single letter for. */
const separator = 0x20
const leave = 1
const twoLetters = 2
const inPairs = 3
const byRule = 4

/**
 * Code unit → the letter it is folded to, or one of the words above; 0: not asked for yet. Regular
 * expressions and normalizing take ten times as long as the walk over this table, which is as long
 * as the index itself takes. `byRule`: what may change with its neighbours, or becomes more than two
 * letters.
 */
const table = new Uint16Array(0x10000)

function learn(unit: number): number {
  const character = String.fromCharCode(unit)
  const to = fold(character)
  let letter = byRule
  if (!isWordCharacter.test(character)) letter = separator
  else if (isConjoining(unit) || isSegmented.test(character)) letter = byRule
  else if (isPaired.test(character + to)) letter = to === character ? inPairs : byRule
  else if (to === '') letter = leave
  else if (to.length === 1 && to !== ' ') letter = to.charCodeAt(0)
  else if (to.length === 2 && !to.includes(' ')) letter = twoLetters
  table[unit] = letter
  return letter
}

/** Parts of Korean syllables, marks of kana, and letters of half width join with others. */
function isConjoining(unit: number): boolean {
  return (
    (unit >= 0x1100 && unit <= 0x11ff) ||
    (unit >= 0x3099 && unit <= 0x309a) ||
    (unit >= 0xa960 && unit <= 0xa97f) ||
    (unit >= 0xd7b0 && unit <= 0xd7ff) ||
    (unit >= 0xff65 && unit <= 0xffdf)
  )
}

/** Room for a folded text; grows to the longest one seen, which `maxTextBytes` bounds. */
let room = new Uint16Array(0x4000)

/**
 * A text as FTS5's tokenizer `ascii` is to see it: that one splits at all of ASCII but its letters
 * and digits, and at nothing else. Words are folded, one blank or more between them; what is no
 * word is left out. These are the words of `wordsOf`.
 */
export function searchText(text: string): string {
  const plain = text.normalize('NFC')
  return walk(plain) ?? wordsOf(plain).join(' ')
}

/** By the table; null when the text has something that the table leaves to the rules. */
function walk(text: string): string | null {
  if (room.length < text.length * 3 + 2) room = new Uint16Array(text.length * 4)
  const to = room
  let length = 0
  let inWord = 0
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at)
    let letter = table[unit] || learn(unit)
    if (letter > byRule && letter !== separator) {
      if (inWord < maxWordCharacters) to[length++] = letter
      inWord += 1
      continue
    }
    if (letter === leave) continue
    if (letter === twoLetters) {
      for (const each of fold(text.charAt(at))) {
        if (inWord < maxWordCharacters) to[length++] = each.charCodeAt(0)
        inWord += 1
      }
      continue
    }
    if (letter === byRule) return null
    if (unit >= 0xd800 && unit < 0xdc00) {
      if (isWordCharacter.test(text.slice(at, at + 2))) return null
      at += 1
      letter = separator
    }
    if (inWord > 0) to[length++] = separator
    inWord = 0
    if (letter !== inPairs) continue
    to[length++] = unit
    const next = at + 1 < text.length ? text.charCodeAt(at + 1) : separator
    const joins = table[next] || learn(next)
    // What joins with it decides about the letter itself, too.
    if (joins === leave || joins === byRule) return null
    if (joins === inPairs) to[length++] = next
    to[length++] = separator
  }
  return Buffer.from(to.buffer, 0, length * 2).toString('utf16le')
}

const cut = (long: string) => [...long].slice(0, maxWordCharacters).join('')

/** Each letter with the one behind it; the last one alone. */
function pairs(letters: string): string[] {
  const points = [...letters]
  return points.map((point, index) => point + (points[index + 1] ?? ''))
}

/** A word in its one form, and where it stands in the text. */
export type PlacedWord = { readonly word: string; readonly start: number; readonly end: number }

/** The words of a text in order, as they are indexed, with their places in it. */
export function* placedWords(text: string): Generator<PlacedWord> {
  for (const { 0: found, index } of text.matchAll(run)) {
    if (!isSegmented.test(found)) {
      yield* wordsIn(found, index)
      continue
    }
    for (const { segment, index: within } of segmenter.segment(found)) {
      yield* wordsIn(segment, index + within)
    }
  }
}

function* wordsIn(text: string, start: number): Generator<PlacedWord> {
  const all = { start, end: start + text.length }
  for (const [found] of fold(text).matchAll(foldedRun)) {
    if (!isPaired.test(found)) yield { word: cut(found), ...all }
    else if (found !== text) yield* pairs(found).map((word) => ({ word, ...all }))
    else {
      let at = start
      for (const word of pairs(found)) {
        yield { word, start: at, end: at + word.length }
        at += (word.codePointAt(0) as number) > 0xffff ? 2 : 1
      }
    }
  }
}

/** The words of a text in order, as they are indexed. */
export function wordsOf(text: string): string[] {
  return Array.from(placedWords(text.normalize('NFC')), ({ word }) => word)
}

/** Whether a dictionary says where the word ends, which may be another one at another peer. */
export const isFromDictionary = (word: string): boolean => isSegmented.test(word)

/**
 * What a search for a text looks for: its words side by side. The last letter of a text in Chinese,
 * Japanese or Korean stands for itself and for any word that begins with it, `isBegun`; where it is
 * in a pair already it says nothing more.
 */
export function soughtWords(text: string): {
  readonly words: readonly string[]
  readonly isBegun: boolean
} {
  const placed = [...placedWords(text.normalize('NFC'))]
  const words = placed.map(({ word }) => word)
  const [before, last] = [placed.at(-2), placed.at(-1)]
  const isLetter = last !== undefined && [...last.word].length === 1 && isPaired.test(last.word)
  if (!isLetter) return { words, isBegun: false }
  const isInPair = before !== undefined && before.end === last.end && before.start < last.start
  return isInPair ? { words: words.slice(0, -1), isBegun: false } : { words, isBegun: true }
}
