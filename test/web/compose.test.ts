import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeEntry } from '../../src/replication/log/entry.ts'
import { composePost, readTags, slugFor } from '../../src/web/compose.ts'
import { workedMs } from '../support/worked.ts'

const id = '5f0a'.padEnd(64, '0')
const compose = (source: string | Uint8Array, title?: string) =>
  composePost(typeof source === 'string' ? Buffer.from(source) : source, title)

describe('composePost', () => {
  it.each([
    ['no title', 'Only text\n## Not a title\n', 'FILE_NO_TITLE'],
    ['an empty title line', '# \n\ntext', 'FILE_NO_TITLE'],
    ['a title line in a code block only', '```\n# a comment\n```\n', 'FILE_NO_TITLE'],
    ['bytes that are not UTF-8', Uint8Array.of(0x23, 0x20, 0xe9, 0x0a), 'FILE_NOT_UTF8'],
  ])('refuses %s', (_, source, code) => {
    expect(compose(source)).toMatchObject({ ok: false, code })
  })

  it.each([
    ['CRLF to LF', '# T\r\n\r\na\r\nb\r\n', 'a\nb'],
    ['two or more blanks at a line end to a backslash', '# T\na  \nb    \nc', 'a\\\nb\\\nc'],
    ['blanks behind a tab too', '# T\na\t  \nb', 'a\\\nb'],
    ['one trailing blank or tab away', '# T\na \nb\t\nc \t\nd', 'a\nb\nc\nd'],
    [
      'blanks at the end of a paragraph away, where a backslash would show',
      '# T\na  \n\nb  \n',
      'a\n\nb',
    ],
    ['blanks behind a heading away, for the same reason', '# T\n## H  \na', '## H\na'],
    [
      'blanks in a code block away, for the same reason',
      '# T\n```\na  \nb\n```\nc  \nd',
      '```\na\nb\n```\nc\\\nd',
    ],
    ['lines of blanks to empty lines', '# T\na\n   \nb', 'a\n\nb'],
    ['outer empty lines away', '# T\n\n \n\na\n\n\n', 'a'],
    ['letters to NFC', '# T\nAsamble\u0061\u0301', 'Asamble\u00e1'],
    ['a byte order mark away', '\ufeff# T\na', 'a'],
    ['nothing in the indentation of a first line', '# T\n\n    code\n', '    code'],
  ])('brings %s', (_, source, body) => {
    expect(compose(source)).toEqual({ ok: true, value: { title: 'T', body } })
  })

  it('takes the first "# " line as the title and leaves it out of the body', () => {
    const source = 'Before\n\n#hash\n# ¿Qué es  un consejo? ##\n\n# Later\n'
    expect(compose(source)).toEqual({
      ok: true,
      value: { title: '¿Qué es un consejo?', body: 'Before\n\n#hash\n\n# Later' },
    })
  })

  it('prefers --title and then keeps every line of the body', () => {
    expect(compose('# One\n\ntext\n', ' Two ')).toEqual({
      ok: true,
      value: { title: 'Two', body: '# One\n\ntext' },
    })
  })

  it('leaves a lone CR for the rules of the text to refuse', () => {
    expect(compose('# T\na\rb')).toMatchObject({ ok: true, value: { body: 'a\rb' } })
  })

  it('yields a text that the rules accept, whatever blanks, line ends and letters a file has', () => {
    const piece = fc.constantFrom(
      'a',
      ' ',
      '  ',
      '\t',
      '\n',
      '\r\n',
      '\\',
      '# ',
      '```\n',
      'é',
      'e\u0301',
      '人',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const post = compose(pieces.join(''), 'Title')
        expect(post.ok).toBe(true)
        if (!post.ok) return
        const entry = encodeEntry({
          kind: 'post',
          council: `blogs.example.org/${id}`,
          blog: 'maria',
          seq: 1,
          prev: id,
          date: '2026-11-23T03:40:00Z',
          key: 'A'.repeat(40),
          slug: 'title',
          ...post.value,
        })
        expect(entry).toMatchObject({ ok: true })
        expect(compose(post.value.body, 'Title')).toEqual(post)
      }),
      { numRuns: 300 },
    )
  })
})

describe('a file made to take long', () => {
  it.each([
    ['blanks within a line', `${' '.repeat(500_000)}x`],
    ['blanks in the title', `# a${' '.repeat(500_000)}x`],
    ['empty lines between two words', `a${'\n'.repeat(500_000)}x`],
  ])('is read in seconds, not minutes: %s', (_, file) => {
    const began = workedMs()
    composePost(Buffer.from(file), 'Title')
    composePost(Buffer.from(file), undefined)
    expect(workedMs() - began).toBeLessThan(5_000)
  })
})

describe('slugFor', () => {
  it.each([
    ['¿Qué es un consejo?', 'que-es-un-consejo'],
    ['Article 1', 'article-1'],
    ['ﬁne İstanbul ①', 'fine-istanbul-1'],
    ['人人生而自由', 'post-7'],
    ['?!', 'post-7'],
    ['a'.repeat(90), 'a'.repeat(80)],
    [`${'word '.repeat(15)}longest-word-of-all`, 'word-'.repeat(15).slice(0, -1)],
  ])('makes of "%s" the slug %s', (title, slug) => {
    expect(slugFor(title, 7)).toBe(slug)
  })
})

describe('readTags', () => {
  it('sorts tags, takes each once, and drops empty ones and outer blanks', () => {
    expect(readTags(' plaza, asamblea,,plaza , two  words')).toEqual([
      'asamblea',
      'plaza',
      'two words',
    ])
  })
})
