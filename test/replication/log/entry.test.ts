import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Draft,
  decodeEntry,
  encodeEntry,
  parseBlogName,
  sortTags,
} from '../../../src/replication/log/entry.ts'
import { idOf } from '../../../src/replication/log/text.ts'
import { forge, must } from '../test-council.ts'

const council = `blogs.example.org/${'5f'.repeat(32)}`
const common = {
  ...{ council, blog: 'maria', seq: 3, prev: '9c'.repeat(32) },
  ...{ date: '2026-11-23T03:40:00Z', key: '5D2C'.repeat(10), body: 'Body' },
}
const post = {
  ...common,
  ...{ kind: 'post', slug: 'what-is-a-council', lang: 'es', tags: ['plaza', 'asamblea'] },
  title: '¿Qué es un consejo?',
} as const satisfies Draft
const genesis = { ...common, kind: 'genesis', seq: 0, prev: null } as const satisfies Draft
const rekey = { ...common, kind: 'rekey', next: '1B2C'.repeat(10) } as const satisfies Draft
const text = (draft: Draft) => must(encodeEntry(draft)).text
const good = text(post)

describe('decodeEntry', () => {
  const attach = (value: string) => ['title ', `attach ${value}\ntitle `] as const
  const file = `${'ab'.repeat(32)} image/png 1234 pic.png`

  it.each<[string, Uint8Array, string, RegExp]>([
    [
      'another first line',
      forge(good, 'council-entry 1', 'council-entry 2'),
      'ENTRY_FIRST_LINE',
      /council-entry 1/,
    ],
    [
      'an act',
      forge(good, 'council-entry 1', 'council-act 1'),
      'ENTRY_FIRST_LINE',
      /no entry of a blog/,
    ],
    ['no kind', forge(good, 'kind post\n', ''), 'HEADER_MISSING', /"kind" is missing/],
    ['an unknown kind', forge(good, 'kind post', 'kind poem'), 'ENTRY_KIND', /genesis, post/],
    [
      'a kind named like an object property',
      forge(good, 'kind post', 'kind constructor'),
      'ENTRY_KIND',
      /not known/,
    ],
    ['kind twice', forge(good, 'kind post', 'kind post\nkind post'), 'HEADER_REPEATED', /"kind"/],
    ['no council', forge(good, /council b.*\n/, ''), 'HEADER_MISSING', /"council"/],
    ['a council without its id', forge(good, /\/5f\w+/, ''), 'HEADER_VALUE', /"council"/],
    ['no blog', forge(good, 'blog maria\n', ''), 'HEADER_MISSING', /"blog"/],
    ['a blog in upper case', forge(good, 'blog maria', 'blog Maria'), 'HEADER_VALUE', /a–z/],
    ['a log of the council', forge(good, 'blog maria', 'blog @names'), 'HEADER_VALUE', /"blog"/],
    ['no seq', forge(good, 'seq 3\n', ''), 'HEADER_MISSING', /"seq"/],
    ['seq with a leading zero', forge(good, 'seq 3', 'seq 03'), 'HEADER_VALUE', /leading zeros/],
    ['a negative seq', forge(good, 'seq 3', 'seq -3'), 'HEADER_VALUE', /whole number/],
    ['seq 2^53', forge(good, 'seq 3', 'seq 9007199254740992'), 'HEADER_VALUE', /whole number/],
    ['no prev', forge(good, /prev .*\n/, ''), 'ENTRY_PREV', /"prev" is missing/],
    [
      'prev in upper case',
      forge(good, /prev .*\n/, `prev ${'9C'.repeat(32)}\n`),
      'HEADER_VALUE',
      /lower-case/,
    ],
    [
      'prev at seq 0',
      forge(text(genesis), 'seq 0', `seq 0\nprev ${'9c'.repeat(32)}`),
      'ENTRY_PREV',
      /nothing stands before/,
    ],
    [
      'a genesis at seq 1',
      forge(text(genesis), 'seq 0', `seq 1\nprev ${'9c'.repeat(32)}`),
      'ENTRY_SEQ_KIND',
      /Entry 0/,
    ],
    ['a post at seq 0', forge(good, /seq 3\nprev .*\n/, 'seq 0\n'), 'ENTRY_SEQ_KIND', /Entry 0/],
    ['no date', forge(good, /date .*\n/, ''), 'HEADER_MISSING', /"date"/],
    [
      '30 February',
      forge(good, /date .*\n/, 'date 2026-02-30T00:00:00Z\n'),
      'HEADER_VALUE',
      /real instant/,
    ],
    [
      '24:00',
      forge(good, /date .*\n/, 'date 2026-11-23T24:00:00Z\n'),
      'HEADER_VALUE',
      /real instant/,
    ],
    [
      'a date without Z',
      forge(good, /date .*\n/, 'date 2026-11-23T03:40:00\n'),
      'HEADER_VALUE',
      /real instant/,
    ],
    [
      'a leap second',
      forge(good, /date .*\n/, 'date 2026-12-31T23:59:60Z\n'),
      'HEADER_VALUE',
      /real instant/,
    ],
    ['no key', forge(good, /key .*\n/, ''), 'HEADER_MISSING', /"key"/],
    ['a lower-case fingerprint', forge(good, /5D2C/g, '5d2c'), 'HEADER_VALUE', /upper-case/],
    [
      'headers in another order',
      forge(good, /(lang .*\n)(tags .*\n)/, '$2$1'),
      'HEADER_ORDER',
      /too late/,
    ],
    ['an unknown header', forge(good, 'slug ', 'mood good\nslug '), 'HEADER_UNKNOWN', /"mood"/],
    [
      'a header of another kind',
      forge(good, 'slug ', `next ${'A'.repeat(40)}\nslug `),
      'HEADER_UNKNOWN',
      /"next"/,
    ],
    ['no slug', forge(good, /slug .*\n/, ''), 'HEADER_MISSING', /"slug"/],
    ['a slug in upper case', forge(good, 'slug what', 'slug What'), 'HEADER_VALUE', /a–z/],
    [
      'a slug with two hyphens',
      forge(good, 'what-is', 'what--is'),
      'HEADER_VALUE',
      /single hyphens/,
    ],
    [
      'a slug of 81 characters',
      forge(good, /slug .*\n/, `slug ${'x'.repeat(81)}\n`),
      'HEADER_VALUE',
      /80/,
    ],
    ['no language tag', forge(good, 'lang es', 'lang Spanish'), 'HEADER_VALUE', /zh-Hans/],
    [
      'tags out of order',
      forge(good, 'asamblea, plaza', 'plaza, asamblea'),
      'HEADER_VALUE',
      /sorted/,
    ],
    ['a tag twice', forge(good, 'asamblea, plaza', 'plaza, plaza'), 'HEADER_VALUE', /each once/],
    [
      'tags without a blank',
      forge(good, 'asamblea, plaza', 'asamblea,plaza'),
      'HEADER_VALUE',
      /one blank/,
    ],
    [
      'tags with two blanks',
      forge(good, 'asamblea, plaza', 'asamblea,  plaza'),
      'HEADER_VALUE',
      /one blank/,
    ],
    [
      'an empty tag',
      forge(good, 'asamblea, plaza', 'asamblea, , plaza'),
      'HEADER_VALUE',
      /one blank/,
    ],
    ['a tag of 41 characters', forge(good, 'plaza', 'x'.repeat(41)), 'HEADER_VALUE', /40/],
    [
      '21 tags',
      forge(
        good,
        /tags .*\n/,
        `tags ${sortTags(Array.from({ length: 21 }, (_, i) => `t${i}`)).join(', ')}\n`,
      ),
      'HEADER_VALUE',
      /20 tags/,
    ],
    ['no title', forge(good, /title .*\n/, ''), 'HEADER_MISSING', /"title"/],
    ['an empty title', forge(good, /title .*\n/, 'title\n'), 'TEXT_HEADER_SYNTAX', /"title"/],
    [
      'a title of 201 characters',
      forge(good, /title .*\n/, `title ${'語'.repeat(201)}\n`),
      'HEADER_VALUE',
      /200/,
    ],
    [
      'an alias without a slash',
      forge(good, 'title ', 'alias old\ntitle '),
      'HEADER_VALUE',
      /begins with \//,
    ],
    [
      'an alias with a blank',
      forge(good, 'title ', 'alias /o ld\ntitle '),
      'HEADER_VALUE',
      /no blanks/,
    ],
    [
      '21 aliases',
      forge(good, 'title ', `${'alias /a\n'.repeat(21)}title `),
      'ENTRY_ALIASES',
      /20/,
    ],
    [
      'an attachment without a name',
      forge(good, ...attach(file.replace(' pic.png', ''))),
      'HEADER_VALUE',
      /file name/,
    ],
    [
      'an attachment with a path',
      forge(good, ...attach(file.replace('pic', '../pic'))),
      'HEADER_VALUE',
      /file name/,
    ],
    [
      'an attachment of 0 bytes',
      forge(good, ...attach(file.replace('1234', '0'))),
      'HEADER_VALUE',
      /bytes/,
    ],
    [
      'an attachment above 5 MiB',
      forge(good, ...attach(file.replace('1234', '5242881'))),
      'HEADER_VALUE',
      /5242880/,
    ],
    [
      '17 attachments',
      forge(good, 'title ', `${`attach ${file}\n`.repeat(17)}title `),
      'ENTRY_ATTACHMENTS',
      /16/,
    ],
    [
      'a genesis without a key',
      text({ ...genesis, body: 'x' }).subarray(0, -3),
      'ENTRY_BODY_MISSING',
      /public key/,
    ],
    [
      'a rekey without a key',
      text({ ...rekey, body: 'x' }).subarray(0, -3),
      'ENTRY_BODY_MISSING',
      /public key/,
    ],
    ['a rekey without next', forge(text(rekey), /next .*\n/, ''), 'HEADER_MISSING', /"next"/],
    [
      'a genesis whose recovery is no fingerprint',
      forge(text({ ...genesis, recovery: 'A'.repeat(40) }), /A{40}/, 'me'),
      'HEADER_VALUE',
      /fingerprint/,
    ],
    [
      'what decodeText refuses',
      Buffer.concat([good, Buffer.from('\n')]),
      'TEXT_ENDS_IN_LINE_FEED',
      /newline/,
    ],
  ])('refuses %s', (_, bytes, code, sentence) => {
    const entry = decodeEntry(bytes)
    expect(entry).toMatchObject({ ok: false, code })
    expect(entry.ok ? '' : entry.reason).toMatch(sentence)
  })

  it('reads every line of a post', () => {
    const lines = `alias /old\nalias /older?x=1\nattach ${file} Una plaza\nattach ${file}\ntitle `
    const entry = must(decodeEntry(forge(good, 'title ', lines)))
    expect(entry).toMatchObject({
      ...{ kind: 'post', log: 'maria', seq: 3, dateMs: Date.UTC(2026, 10, 23, 3, 40) },
      ...{ lang: 'es', tags: ['asamblea', 'plaza'], aliases: ['/old', '/older?x=1'] },
      attachments: [
        { type: 'image/png', bytes: 1234, name: 'pic.png', alt: 'Una plaza' },
        { alt: '' },
      ],
    })
  })

  it('names an entry by the SHA-256 of its bytes', () => {
    expect(must(decodeEntry(good)).id).toBe(idOf(good))
  })
})

describe('encodeEntry', () => {
  const inline = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
    .map((each) =>
      each
        .replace(/[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]/gu, '')
        .replace(/^ +| +$/g, ''),
    )
    .filter((each) => each !== '' && [...each].length <= 200)
  const slug = fc.stringMatching(/^[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,3}$/)
  const tag = inline
    .map((each) =>
      [...each.replaceAll(',', '')]
        .slice(0, 40)
        .join('')
        .replace(/^ +| +$/g, ''),
    )
    .filter((each) => each !== '')
  const lang = fc.constantFrom('es', 'pt-BR', 'zh-Hans', 'es-419', 'yue')
  const drafts: fc.Arbitrary<Draft> = fc
    .record({
      shared: fc.record({
        seq: fc.integer({ min: 1, max: 999_999_999_999_999 }),
        date: fc
          .integer({ min: 0, max: 4e9 })
          .map((each) => `${new Date(each * 1000).toISOString().slice(0, 19)}Z`),
        body: fc.array(inline, { maxLength: 5 }).map((each) => each.join('\n\n')),
      }),
      own: fc.oneof(
        fc.record({
          kind: fc.constant('post' as const),
          slug,
          title: inline,
          lang,
          tags: fc.uniqueArray(tag, { maxLength: 20 }),
        }),
        fc.record({ kind: fc.constant('retract' as const), slug }),
        fc.record({ kind: fc.constant('profile' as const), title: inline }),
      ),
    })
    .map(({ shared, own }) => ({ ...common, ...shared, ...own }))

  it('writes every good draft so that it reads back', () => {
    fc.assert(
      fc.property(drafts, (draft) => {
        const entry = must(encodeEntry(draft))
        const { tags, prev, blog, ...rest } = draft as Draft & { tags?: readonly string[] }
        expect(decodeEntry(entry.text)).toEqual({ ok: true, value: entry })
        expect(entry).toMatchObject({ ...rest, log: blog, prev })
        if (tags !== undefined) expect(entry).toMatchObject({ tags: sortTags(tags) })
      }),
      { numRuns: 300 },
    )
  })

  it('refuses what every spoke would refuse', () => {
    expect(encodeEntry({ ...post, title: 'a\u202eb' })).toMatchObject({
      code: 'TEXT_BIDI_IN_HEADER',
    })
    expect(encodeEntry({ ...post, body: 'x\n' })).toMatchObject({ code: 'TEXT_ENDS_IN_LINE_FEED' })
    expect(encodeEntry({ ...post, title: 'a\ntags x' })).toMatchObject({ code: 'HEADER_REPEATED' })
  })
})

describe('parseBlogName', () => {
  it.each([
    'ab',
    'x'.repeat(31),
    '-maria',
    'maria-',
    'ma--ria',
    '123',
    '1-2-3',
    'Maria',
    'maría',
    'ma.ria',
    'ma_ria',
    '',
    'xn--abc',
    '@names',
    'maria\n',
  ])('refuses %j', (name) => expect(parseBlogName(name)).toBeNull())

  it('accepts one DNS label with a letter, and nothing else', () => {
    const names = fc.oneof(fc.string({ maxLength: 34 }), fc.stringMatching(/^[a-z0-9-]{1,34}$/))
    fc.assert(
      fc.property(names, (name) => {
        const isGood =
          [...name].every((each) => 'abcdefghijklmnopqrstuvwxyz0123456789-'.includes(each)) &&
          name.length >= 3 &&
          name.length <= 30 &&
          !name.startsWith('-') &&
          !name.endsWith('-') &&
          !name.includes('--') &&
          /[a-z]/.test(name)
        expect(parseBlogName(name)).toBe(isGood ? name : null)
      }),
      { numRuns: 500 },
    )
  })
})
