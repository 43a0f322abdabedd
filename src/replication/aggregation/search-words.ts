/** Characters of one word that are indexed and looked for; what stands behind them is cut off. */
export const maxWordCharacters = 64

/**
 * Scripts that write words without blanks between them. Only these go through `Intl.Segmenter`,
 * which takes as long for a word as the index does: everywhere else words are runs of letters,
 * marks and digits, as the segmenter has them too, but for `l'homme` and `example.org`, which it
 * takes for one word and nobody looks for as one.
 */
const blankless = String.raw`[[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Thai}\p{scx=Lao}\p{scx=Khmr}\p{scx=Mymr}]&&[\p{L}\p{M}\p{N}]]`
const blanklessRun = new RegExp(`${blankless}+`, 'gv')
const hasBlankless = new RegExp(blankless, 'v')
const run = new RegExp(`${blankless}+|[[\\p{L}\\p{M}\\p{N}]--${blankless}]+`, 'gv')
const word = /[\p{L}\p{M}\p{N}]+/gu
const isWordCharacter = /[\p{L}\p{M}\p{N}]/u
const notWord = /[^\p{L}\p{M}\p{N}\0-\x7f]+/gu
const longWord = /[\p{L}\p{M}\p{N}]{65,}/gu
const segmenter = new Intl.Segmenter('und', { granularity: 'word' })

/**
 * What is left out, and letters that are the same to who looks for a word: accents, the vowel
 * points of Arabic and Hebrew, Arabic's tatweel, variation selectors; alef maksura and teh marbuta
 * as Arabic search has them, Persian yeh and kaf. Vowel signs of Indic scripts and the sound marks
 * of kana are letters.
 */
const replacements: Readonly<Record<string, string>> = {
  ...{ ß: 'ss', ø: 'o', ł: 'l', đ: 'd', ħ: 'h', ŧ: 't', ı: 'i', æ: 'ae', œ: 'oe', ς: 'σ' },
  // What is left of ½ and of the Catalan ŀ.
  ...{ ى: 'ي', ی: 'ي', ک: 'ك', ة: 'ه', ہ: 'ه', '⁄': ' ', '·': ' ' },
}

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
const inBlankless = 3
const byRule = 4

/**
 * Code unit → the letter it is folded to, or one of the words above. Regular expressions and
 * normalizing take ten times as long as the walk over this table, which is as long as the index
 * itself takes. `byRule`: what may change with its neighbours, or becomes more than two letters.
 */
const table = makeTable()

function makeTable(): Uint16Array {
  const table = new Uint16Array(0x10000).fill(separator)
  for (let unit = 0x30; unit < 0x10000; unit += 1) {
    const character = String.fromCharCode(unit)
    if (!isWordCharacter.test(character)) continue
    const to = fold(character)
    if (isConjoining(unit)) table[unit] = byRule
    else if (hasBlankless.test(character)) table[unit] = to === character ? inBlankless : byRule
    else if (to === '') table[unit] = leave
    else if (to.length === 1 && to !== ' ') table[unit] = to.charCodeAt(0)
    else table[unit] = to.length === 2 && !to.includes(' ') ? twoLetters : byRule
  }
  return table
}

/** Parts of Korean syllables, and letters of half width, which join with what follows. */
function isConjoining(unit: number): boolean {
  return (
    (unit >= 0x1100 && unit <= 0x11ff) ||
    (unit >= 0xa960 && unit <= 0xa97f) ||
    (unit >= 0xd7b0 && unit <= 0xd7ff) ||
    (unit >= 0xff65 && unit <= 0xffdf)
  )
}

/** Room for the folded text; grows to the longest one seen, which `maxTextBytes` bounds. */
let room = new Uint16Array(0x4000)

/**
 * A text as FTS5's tokenizer `ascii` is to see it: that one splits at all of ASCII but its letters
 * and digits, and at nothing else. Words are folded, one blank or more between them; what is no
 * word is left out. These are the words of `wordsOf`.
 */
export function searchText(text: string): string {
  const plain = text.normalize('NFC')
  return walk(plain) ?? byRules(plain)
}

/** By the table; null when the text has something that the table leaves to the rules. */
function walk(text: string): string | null {
  if (room.length < text.length * 2 + 2) room = new Uint16Array(text.length * 4)
  const to = room
  let length = 0
  let inWord = 0
  let ends: readonly number[] | null | undefined
  let nextEnd = 0
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at)
    let letter = table[unit] as number
    if (letter > byRule && letter !== separator) {
      if (inWord < maxWordCharacters) to[length++] = letter
      inWord += 1
      continue
    }
    if (unit >= 0xd800 && unit < 0xdc00) {
      if (isWordCharacter.test(text.slice(at, at + 2))) return null
      at += 1
      letter = separator
    }
    switch (letter) {
      case separator:
        if (inWord > 0) to[length++] = separator
        inWord = 0
        break
      case leave:
        break
      case twoLetters:
        for (const each of fold(text.charAt(at))) {
          if (inWord < maxWordCharacters) to[length++] = each.charCodeAt(0)
          inWord += 1
        }
        break
      case inBlankless: {
        ends ??= wordEnds(text, at)
        if (ends === null) return null
        if (inWord > 0) to[length++] = separator
        inWord = 0
        const end = ends[nextEnd++] as number
        for (; at < end; at += 1) to[length++] = text.charCodeAt(at)
        to[length++] = separator
        at -= 1
        break
      }
      default:
        return null
    }
  }
  return Buffer.from(to.buffer, 0, length * 2).toString('utf16le')
}

/**
 * Where the words of scripts without blanks end, from the first on; null: leave it to the rules.
 * The segmenter is asked once for all of a text, since each call takes as long as ten words.
 */
function wordEnds(text: string, from: number): readonly number[] | null {
  let runs = ''
  /** for each run of such letters: where it begins in the text, less where in `runs` */
  const shifts: number[] = []
  for (let at = from; at < text.length; at += 1) {
    if (table[text.charCodeAt(at)] !== inBlankless) continue
    let end = at + 1
    while (end < text.length && table[text.charCodeAt(end)] === inBlankless) end += 1
    shifts.push(at - runs.length)
    runs += `${text.slice(at, end)}\n`
    if (end < text.length && table[text.charCodeAt(end)] === byRule) return null
    at = end
  }
  const ends: number[] = []
  let inRun = 0
  for (const { segment, index } of segmenter.segment(runs)) {
    if (segment === '\n') inRun += 1
    else if (segment.length > maxWordCharacters) return null
    else ends.push(index + segment.length + (shifts[inRun] as number))
  }
  return ends
}

const cut = (long: string) => [...long].slice(0, maxWordCharacters).join('')

/** What `walk` comes down to, without a table. */
function byRules(text: string): string {
  const plain = text.replace(notWord, ' ').replace(blanklessRun, (found) => {
    const words = Array.from(segmenter.segment(found), ({ segment }) => segment)
    return ` ${words.join(' ')} `
  })
  return fold(plain).replace(longWord, cut)
}

/** A word in its one form, and where it stands in the text. */
export type PlacedWord = { readonly word: string; readonly start: number; readonly end: number }

/** The words of a text in order, as they are indexed, with their places in it. */
export function* placedWords(text: string): Generator<PlacedWord> {
  for (const { 0: found, index } of text.matchAll(run)) {
    if (!hasBlankless.test(found)) {
      yield* wordsIn(found, index)
      continue
    }
    for (const { segment, index: within } of segmenter.segment(found)) {
      yield* wordsIn(segment, index + within)
    }
  }
}

function* wordsIn(text: string, start: number): Generator<PlacedWord> {
  for (const [found] of fold(text).matchAll(word)) {
    yield { word: cut(found), start, end: start + text.length }
  }
}

/** The words of a text in order, as they are indexed. */
export function wordsOf(text: string): string[] {
  return Array.from(placedWords(text.normalize('NFC')), ({ word }) => word)
}
