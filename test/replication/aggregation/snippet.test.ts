import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readDemoBlogs } from '../../../src/node/demo/content.ts'
import { parseQuery } from '../../../src/replication/aggregation/search-query.ts'
import {
  maxPlainCharacters,
  maxSnippetCharacters,
  plainTextOf,
  snippetOf,
} from '../../../src/replication/aggregation/snippet.ts'
import { workedMs } from '../../support/worked.ts'
import { must } from '../test-council.ts'

const show = (body: string, query: string) =>
  snippetOf(body, must(parseQuery(query)))
    .map(({ text, isHit }) => (isHit ? `[${text}]` : text))
    .join('')

describe('plainTextOf', () => {
  it('leaves the words of Markdown', () => {
    const body =
      '# Head\n\nA *b* [c](http://d.e "f") `g`\nh ![i](j)\n\n- k\n- <b>l</b> &amp;\n\n```\nm\n```'
    expect(plainTextOf(body)).toBe('Head A b c g h i k <b>l</b> & m')
  })
})

describe('snippetOf', () => {
  it.each([
    ['a word', 'Every *human* being', 'HUMAN', 'Every [human] being'],
    ['an accent', 'la égalité', 'egalite', 'la [égalité]'],
    ['a phrase, not its words alone', 'b a, a b', '"a b"', 'b a, [a] [b]'],
    ['Chinese', '人人生而自由，在尊严', '自由', '人人生而[自由]，在尊严'],
    ['one Chinese letter', '人人生而自由', '生', '人人[生]而自由'],
    ['Arabic', 'يولد جميع الناس أحراراً', 'احرارا', 'يولد جميع الناس [أحراراً]'],
    ['nothing but the title', 'One two.', 'three', 'One two.'],
    ['a filter alone', 'One two.', 'lang:en', 'One two.'],
    ['HTML, as words', '<script>x</script>', 'x', '<script>[x]</script>'],
  ])('marks %s', (_, body, query, shown) => {
    expect(show(body, query)).toBe(shown)
  })

  it('shows the sentence around the first hit of a long text', () => {
    const body = `${'before '.repeat(3_000)}\n\nhere is the **needle** now\n\n${'after '.repeat(3_000)}`
    const shown = show(body, 'needle')
    expect(shown).toContain('here is the [needle] now')
    expect(shown.length).toBeLessThanOrEqual(maxSnippetCharacters + 2)
  })

  it('finds something to show in each language of the demo', async () => {
    const words = ['human', 'derechos', 'الإنسان', '自由', 'droits', 'अधिकार']
    for (const [index, { articles, lang }] of (await readDemoBlogs()).entries()) {
      const query = must(parseQuery(words[index] as string))
      const body = articles.map((article) => article.body).join('\n\n')
      expect(
        snippetOf(body, query).some(({ isHit }) => isHit),
        lang,
      ).toBe(true)
    }
  })

  it('is a short piece of the plain text, in whole characters', () => {
    const words = fc.constantFrom(
      'human',
      'nation',
      '人人',
      '自由',
      'الناس',
      '😀',
      '**b**',
      '\n\n',
      '`',
    )
    const body = fc.oneof(
      fc.array(words, { maxLength: 150 }).map((some) => some.join(' ')),
      fc.array(words, { maxLength: 300 }).map((some) => some.join('')),
      fc.string({ unit: 'grapheme', maxLength: 500 }),
    )
    fc.assert(
      fc.property(
        body,
        fc.constantFrom('human', '自由 人人', '"human nation"', 'x'),
        (text, asked) => {
          const joined = snippetOf(text, must(parseQuery(asked)))
            .map((part) => part.text)
            .join('')
          expect(text.length).toBeLessThanOrEqual(maxPlainCharacters)
          expect(plainTextOf(text)).toContain(joined)
          expect(joined.length).toBeLessThanOrEqual(maxSnippetCharacters)
          expect(joined.isWellFormed()).toBe(true)
        },
      ),
    )
  })

  it('takes no longer for a text that is made to be slow', () => {
    for (const body of [
      '*a '.repeat(21_000),
      '['.repeat(65_000),
      '`'.repeat(65_000),
      'x'.repeat(65_000),
    ]) {
      const start = workedMs()
      snippetOf(body, must(parseQuery('x')))
      expect(workedMs() - start).toBeLessThan(2_000)
    }
  })
})
