import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatQuery,
  matchesQuery,
  maxQueryBytes,
  type ParsedQuery,
  parseQuery,
} from '../../../src/replication/aggregation/search-query.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { codeOf, must } from '../test-council.ts'

const wordsIn = (query: ParsedQuery) => query.terms.map(({ words }) => words.join(' '))

describe('parseQuery', () => {
  it.each([
    ['nothing', '', 'QUERY_EMPTY'],
    ['blanks', ' \t\n\u3000', 'QUERY_EMPTY'],
    ['marks only', '"" * ^ () : - + ! 😀', 'QUERY_EMPTY'],
    ['half a character only', '\ud800', 'QUERY_EMPTY'],
    ['10 KB', 'word '.repeat(2_048), 'QUERY_TOO_LONG'],
    ['few characters of many bytes', '字'.repeat(400), 'QUERY_TOO_LONG'],
    [
      'a hundred words',
      Array.from({ length: 100 }, (_, n) => `w${n}`).join(' '),
      'QUERY_TOO_MANY_WORDS',
    ],
    ['a phrase of a hundred words', `"${'w '.repeat(100)}"`, 'QUERY_TOO_MANY_WORDS'],
    [
      'many tags',
      Array.from({ length: 20 }, (_, n) => `tag:t${n}`).join(' '),
      'QUERY_TOO_MANY_WORDS',
    ],
    ['a blog that cannot be', 'blog:@roster', 'QUERY_FILTER'],
    ['two blogs', 'blog:maria blog:anna', 'QUERY_FILTER'],
    ['a language that cannot be', 'lang:"x; DROP TABLE words"', 'QUERY_FILTER'],
    ['a tag of no length', 'tag:""', 'QUERY_FILTER'],
    ['a tag that is too long', `tag:${'x'.repeat(41)}`, 'QUERY_FILTER'],
  ])('refuses %s', (_, text, code) => {
    expect(codeOf(parseQuery(text))).toBe(code)
  })

  it.each([
    ['AND OR NOT NEAR', 'and|or|not|near'],
    ['NEAR(maria anna, 5)', 'near maria|anna|5'],
    ['title:maria', 'title maria'],
    ['{title body}: x', 'title|body|x'],
    ['^maria mar* -anna +x', 'maria|mar|anna|x'],
    ['a"b"c', 'a|b|c'],
    ['"an open phrase', 'an open phrase'],
    ['""""x""""', 'x'],
    ["'); DROP TABLE words; --", 'drop|table|words'],
    ["x' OR '1'='1", 'x|or|1 1'],
    ['\0maria\0', 'maria'],
    ['\ud800maria\udc00', 'maria'],
    ['\ue000blog words', 'blog|words'],
    ['rowid:1 rank MATCH', 'rowid 1|rank|match'],
  ])('takes the operators in %j for words', (text, words) => {
    expect(wordsIn(must(parseQuery(text))).join('|')).toBe(words)
  })

  it('reads words, phrases and filters, in any order and language', () => {
    const query = must(
      parseQuery(
        '"los derechos" Lang:ES blog:Maria tag:"dos palabras" tag:Plaza 人人生而自由 l\'homme',
      ),
    )
    expect(wordsIn(query)).toEqual(['los derechos', '人人 人生 生而 而自 自由', 'l homme'])
    expect(query).toMatchObject({ blog: 'maria', lang: 'ES', tags: ['dos palabras', 'Plaza'] })
  })

  it('takes filters alone, and a word that is asked for twice once', () => {
    expect(must(parseQuery('tag:plaza')).tags).toEqual(['plaza'])
    expect(wordsIn(must(parseQuery('Plaza plaza "PLAZA"')))).toEqual(['plaza'])
  })

  it('refuses or reads whatever is typed', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), (text) => {
        const read = parseQuery(text)
        if (!read.ok) return
        expect(Buffer.byteLength(text)).toBeLessThanOrEqual(maxQueryBytes)
        for (const { words } of read.value.terms) {
          for (const word of words) expect(word).toMatch(/^[\p{L}\p{M}\p{N}]+$/u)
        }
      }),
    )
  })
})

describe('formatQuery', () => {
  it('writes a text that is read as the same query', () => {
    const some = fc.oneof(
      fc.constantFrom(
        'blog:maria',
        'lang:zh-Hans',
        'tag:plaza',
        'tag:"two words"',
        '"a b"',
        '"x:y"',
      ),
      fc.string({ unit: 'grapheme', maxLength: 12 }),
    )
    fc.assert(
      fc.property(fc.array(some, { maxLength: 6 }), (pieces) => {
        const read = parseQuery(pieces.join(' '))
        if (read.ok) expect(parseQuery(formatQuery(read.value))).toEqual(read)
      }),
    )
  })
})

describe('matchesQuery', () => {
  it('does not hold it against a peer that its dictionary splits words otherwise', () => {
    const thai = { blog: 'maria' as BlogName, title: 'x', body: 'สิทธิมนุษยชน', lang: null, tags: [] }
    for (const text of ['สิทธิ', 'มนุษย', 'ธิมนุ']) {
      expect(matchesQuery(must(parseQuery(text)), thai)).toBe(true)
    }
    expect(matchesQuery(must(parseQuery('ความ')), thai)).toBe(false)
  })

  const post = {
    blog: 'maria' as BlogName,
    title: '¿Qué es un consejo?',
    body: 'Una **asamblea** de muchas plazas.\n\n人人生而自由',
    lang: 'es-MX',
    tags: ['Plaza', 'dos palabras'],
  }
  it.each([
    ['otra', false],
    ['consejo otra', false],
    ['"asamblea muchas"', false],
    ['"consejo una"', false],
    ['asamble', false],
    ['asamblea blog:anna', false],
    ['asamblea lang:en', false],
    ['asamblea tag:plazas', false],
    ['生而', true],
    ['而', true],
    ['人由', false],
    ['友', false],
    ['ASAMBLEA que', true],
    ['"de muchas plazas" lang:es tag:plaza', true],
    ['tag:"Dos Palabras" blog:maria lang:es-MX', true],
  ])('holds %j against a post: %s', (text, matches) => {
    expect(matchesQuery(must(parseQuery(text)), post)).toBe(matches)
  })
})
