// biome-ignore lint/correctness/noUnresolvedImports: Node 24 has it
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readDemoBlogs } from '../../../src/node/demo/content.ts'
import {
  maxWordCharacters,
  placedWords,
  searchText,
  soughtWords,
  wordsOf,
} from '../../../src/replication/aggregation/search-words.ts'

/** What FTS5's tokenizer finds in a text that was made ready for it, in order. */
const database = new DatabaseSync(':memory:')
database.exec(`CREATE VIRTUAL TABLE words USING fts5(text, content = '', tokenize = 'ascii');
  CREATE VIRTUAL TABLE found USING fts5vocab(words, instance)`)
function wordsInIndex(text: string): string[] {
  database.exec("INSERT INTO words (words) VALUES ('delete-all')")
  database.prepare('INSERT INTO words (rowid, text) VALUES (1, ?)').run(searchText(text))
  const rows = database.prepare('SELECT term FROM found ORDER BY "offset"').all()
  return rows.map(({ term }) => String(term))
}

describe('searchText', () => {
  it.each([
    ['English', "The author's e-mail, 3.14!", 'the author s e mail 3 14'],
    ['a slash and an underscore', 'a/b_c', 'a b c'],
    ['Spanish', '¿Qué es UN Consejo? Ñandú', 'que es un consejo nandu'],
    ['French', "L'égalité, cœur", 'l egalite coeur'],
    ['German', 'Straße, STRASSE, ẞ', 'strasse strasse ss'],
    ['Polish and Danish', 'Łódź, Ærø', 'lodz aero'],
    ['Turkish', 'İstanbul ırmak', 'istanbul irmak'],
    ['Vietnamese', 'Tiếng Việt', 'tieng viet'],
    ['Greek, with its last sigma', 'Ὀδυσσεύς ΟΔΟΣ', 'οδυσσευσ οδοσ'],
    ['Russian', 'Всё — ёлка', 'все елка'],
    ['Arabic, with and without vowel points', 'الحُرِّيَّة الحرية إلى أحمد', 'الحريه الحريه الي احمد'],
    ['Hebrew with vowel points', 'שָׁלוֹם', 'שלום'],
    ['Hindi keeps its vowel signs', 'अधिकार की स्वीकृति।', 'अधिकार की स्वीकृति'],
    ['Chinese', '人人生而自由，在尊严', '人人 人生 生而 而自 自由 由 在尊 尊严 严'],
    ['Chinese beside Latin', '我的iPhone手机', '我的 的 iphone 手机 机'],
    ['Japanese', '人権の宣言', '人権 権の の宣 宣言 言'],
    ['Thai', 'สิทธิมนุษยชน', 'สิทธิ มนุษย ชน'],
    ['Korean', '모든 사람은', '모든 든 사람 람은 은'],
    ['Korean in parts', '모든'.normalize('NFD'), '모든 든'],
    ['forms of full and half width', 'Ｃｏｕｎｃｉｌ　２０２６ ｶﾅ', 'council 2026 カナ ナ'],
    ['ligatures and fractions', 'ﬁn ½ Ⅷ', 'fin 1 2 viii'],
    ['signs that are no words', '😀 ™ € «x» \u{10ffff} \0 \ud800 y', 'x y'],
    ['letters beyond the first plane', '𠀀 𝒳', '𠀀 x'],
  ])('finds the words of %s', (_, text, words) => {
    expect(wordsOf(text).join(' ')).toBe(words)
    expect(wordsInIndex(text).join(' ')).toBe(words)
  })

  it('cuts words that are no words', () => {
    const long = `${'x'.repeat(200)} ${'é'.repeat(200)} ${'字'.repeat(200)}`
    for (const word of wordsInIndex(long)) expect(word.length).toBeLessThanOrEqual(64)
    expect(wordsInIndex(long)).toEqual(wordsOf(long))
    expect(wordsOf(long)[0]).toHaveLength(maxWordCharacters)
  })

  const unit = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 8 }),
    fc.string({ unit: 'grapheme', maxLength: 8 }),
    fc.constantFrom(...'aÉßةの人权ｶﾞᄒำ\u0301\u3099\u200d \n'),
    fc.string({ maxLength: 80 }),
  )
  const text = fc.array(unit, { maxLength: 12 }).map((units) => units.join(''))

  it('gives FTS5 the words that a search compares, whatever the text', () => {
    fc.assert(
      fc.property(text, (some) => {
        expect(wordsInIndex(some)).toEqual(wordsOf(some))
      }),
    )
  })

  it('gives both the same words for each letter there is, between others', () => {
    const kept = (some: string) =>
      searchText(some)
        .split(/[\0-/:-@[-`{-\x7f]+/)
        .filter((word) => word !== '')
        .join(' ')
    const different: string[] = []
    for (let point = 0x80; point < 0x10000; point += 1) {
      const letter = String.fromCodePoint(point)
      if (!/[\p{L}\p{M}\p{N}]/u.test(letter)) continue
      // Of those that are all alike every fiftieth will do.
      if (/[\p{Unified_Ideograph}\uac00-\ud7a3]/u.test(letter) && point % 50 > 0) continue
      for (const some of [`a${letter}b`, `字${letter}字`]) {
        if (kept(some) !== wordsOf(some).join(' ')) different.push(point.toString(16))
      }
    }
    expect(different).toEqual([])
  })

  it('folds what is folded to itself, so that a search may be written in either form', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (some) => {
        for (const word of wordsOf(some)) expect(wordsOf(word)[0]).toBe(word)
      }),
    )
  })

  it('takes the words that the segmenter takes, in languages with blanks', async () => {
    const segmenter = new Intl.Segmenter('und', { granularity: 'word' })
    for (const { lang, articles } of await readDemoBlogs()) {
      if (lang.startsWith('zh')) continue
      // The segmenter joins what stands around an apostrophe or a full stop.
      const text = articles.map(({ body }) => body.replace(/['’.·:_]/g, ' ')).join('\n')
      const segments = [...segmenter.segment(text)].filter(({ isWordLike }) => isWordLike)
      const words = segments.flatMap(({ segment }) => wordsOf(segment))
      expect(wordsOf(text), lang).toEqual(words)
    }
  })
})

describe('soughtWords', () => {
  it('finds each part of a Chinese text in it, wherever its words begin', async () => {
    const blogs = await readDemoBlogs()
    const body = blogs.find(({ lang }) => lang === 'zh-Hans')?.articles[0]?.body as string
    const whole = ` ${wordsOf(body).join(' ')} `
    for (const [letters] of body.matchAll(/\p{L}+/gu)) {
      for (let start = 0; start < letters.length; start += 1) {
        for (let end = start + 1; end <= letters.length; end += 1) {
          const { words, isBegun } = soughtWords(letters.slice(start, end))
          expect(whole).toContain(` ${words.join(' ')}${isBegun ? '' : ' '}`)
        }
      }
    }
  })
})

describe('placedWords', () => {
  it('says where in the text each word stands', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
        let behind = 0
        for (const { word, start, end } of placedWords(text)) {
          expect(start).toBeGreaterThanOrEqual(Math.min(behind, start))
          expect(wordsOf(text.slice(start, end))).toContain(word)
          behind = end
        }
      }),
    )
  })
})
