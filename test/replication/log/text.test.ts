import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  dateMs,
  decodeText,
  encodeText,
  type Field,
  formatDate,
  isCouncil,
  isCount,
  isFingerprint,
  isId,
  isPlain,
  isZone,
  readHeaders,
} from '../../../src/replication/log/text.ts'

const head = 'council-entry 1\nblog maria\nseq 3'
const withBody = (body: string) => `${head}\n\n${body}`
const withTitle = (title: string) => `${head}\ntitle ${title}\n\nBody`
const bytes = (...all: number[]) =>
  Buffer.concat([Buffer.from(`${head}\n\nBody `), Buffer.from(all)])
const verdict = (text: string | Uint8Array) => decodeText(Buffer.from(text))

describe('decodeText', () => {
  it.each<[string, string | Uint8Array, string, RegExp]>([
    ['a byte order mark', `\ufeff${head}`, 'TEXT_BOM', /without BOM/],
    ['CRLF', withBody('one\r\ntwo'), 'TEXT_CARRIAGE_RETURN', /Unix line ends/],
    ['a lone CR', withBody('one\rtwo'), 'TEXT_CARRIAGE_RETURN', /Unix line ends/],
    ['NUL', withBody('a\u0000b'), 'TEXT_CONTROL_CHARACTER', /control character/],
    ['a vertical tab', withBody('a\u000bb'), 'TEXT_CONTROL_CHARACTER', /control character/],
    ['a form feed', withBody('a\u000cb'), 'TEXT_CONTROL_CHARACTER', /control character/],
    ['ESC in a header', withTitle('a\u001b[31m'), 'TEXT_CONTROL_CHARACTER', /control character/],
    ['DEL', withBody('a\u007fb'), 'TEXT_CONTROL_CHARACTER', /control character/],
    ['NEL (U+0085)', withBody('a\u0085b'), 'TEXT_CONTROL_CHARACTER', /control character/],
    ['a tab in a header', withTitle('a\tb'), 'TEXT_TAB_IN_HEADER', /one blank/],
    ['U+2028', withBody('a\u2028b'), 'TEXT_LINE_SEPARATOR', /plain line end/],
    ['U+2029', withBody('a\u2029b'), 'TEXT_LINE_SEPARATOR', /plain line end/],
    ['U+FEFF inside', withBody('a\ufeffb'), 'TEXT_ZERO_WIDTH_NO_BREAK', /U\+FEFF/],
    ['U+FFFE', withBody('a\ufffeb'), 'TEXT_NONCHARACTER', /noncharacter/],
    ['U+FDD0', withBody('a\ufdd0b'), 'TEXT_NONCHARACTER', /noncharacter/],
    ['U+10FFFF', withBody('a\u{10ffff}b'), 'TEXT_NONCHARACTER', /noncharacter/],
    [
      'a blank at the end of a line',
      withBody('one \ntwo'),
      'TEXT_TRAILING_BLANK',
      /hard line break/,
    ],
    ['a tab at the end of a line', withBody('one\t\ntwo'), 'TEXT_TRAILING_BLANK', /Remove it/],
    ['a blank at the end of the text', withBody('one '), 'TEXT_TRAILING_BLANK', /Remove it/],
    ['a blank behind a header', `${head} \n\nBody`, 'TEXT_TRAILING_BLANK', /Remove it/],
    ['a line of one blank', withBody('one\n \ntwo'), 'TEXT_TRAILING_BLANK', /Remove it/],
    ['a final LF', withBody('one\n'), 'TEXT_ENDS_IN_LINE_FEED', /remove the final newline/],
    ['a body that ends empty', withBody('one\n\n'), 'TEXT_ENDS_IN_LINE_FEED', /final newline/],
    ['an empty body', `${head}\n\n`, 'TEXT_ENDS_IN_LINE_FEED', /final newline/],
    [
      'a body that starts empty',
      withBody('\none'),
      'TEXT_BODY_STARTS_EMPTY',
      /Exactly one empty line/,
    ],
    ['a line of 16,385 bytes', withBody('x'.repeat(16_385)), 'TEXT_LINE_TOO_LONG', /16384 bytes/],
    [
      'a line of 5,462 three-byte characters',
      withBody('語'.repeat(5_462)),
      'TEXT_LINE_TOO_LONG',
      /shorter/,
    ],
    [
      'a header of 16,385 bytes',
      `${head}\ntitle ${'x'.repeat(16_379)}`,
      'TEXT_LINE_TOO_LONG',
      /shorter/,
    ],
    ['65,537 bytes', withBody('x\n'.repeat(33_000)).slice(0, 65_537), 'TEXT_TOO_LONG', /split it/],
    ['10 MB', Buffer.alloc(10_000_000, 'x'), 'TEXT_TOO_LONG', /10000000 bytes/],
    ['a lone continuation byte', bytes(0x80), 'TEXT_NOT_UTF8', /Save it as UTF-8/],
    ['an overlong slash', bytes(0xc0, 0xaf), 'TEXT_NOT_UTF8', /UTF-8/],
    ['an overlong NUL', bytes(0xe0, 0x80, 0x80), 'TEXT_NOT_UTF8', /UTF-8/],
    ['an encoded surrogate', bytes(0xed, 0xa0, 0x80), 'TEXT_NOT_UTF8', /UTF-8/],
    [
      'a pair of encoded surrogates',
      bytes(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80),
      'TEXT_NOT_UTF8',
      /UTF-8/,
    ],
    ['a code point above U+10FFFF', bytes(0xf4, 0x90, 0x80, 0x80), 'TEXT_NOT_UTF8', /UTF-8/],
    ['a character cut short', bytes(0xe8, 0xaa), 'TEXT_NOT_UTF8', /UTF-8/],
    ['Latin-1', bytes(0xe9), 'TEXT_NOT_UTF8', /UTF-8/],
    ['a header without a value', `${head}\ntitle\n\nBody`, 'TEXT_HEADER_SYNTAX', /"title"/],
    ['a header with two blanks', withTitle(' two'), 'TEXT_HEADER_SYNTAX', /one blank/],
    ['a header that begins with a blank', `${head}\n title x`, 'TEXT_HEADER_SYNTAX', /one blank/],
    ['an upper-case header', `${head}\nTitle x`, 'TEXT_HEADER_SYNTAX', /lower-case/],
    ['a header with a colon', `${head}\ntitle: x`, 'TEXT_HEADER_SYNTAX', /lower-case/],
    ['an empty first line', '\ncouncil-entry 1', 'TEXT_HEADER_SYNTAX', /lower-case/],
  ])('refuses %s', (_, text, code, sentence) => {
    const read = verdict(text)
    expect(read).toMatchObject({ ok: false, code })
    expect(read.ok ? '' : read.reason).toMatch(sentence)
  })

  it.each(
    ['\u061c', '\u200e', '\u200f', '\u202a', '\u202e', '\u2066', '\u2069'].map((each) => [
      `U+${each.codePointAt(0)?.toString(16).padStart(4, '0')}`,
      each,
    ]),
  )('refuses %s in a header and keeps it in a body', (_, bidi) => {
    expect(verdict(withTitle(`a${bidi}b`))).toMatchObject({ code: 'TEXT_BIDI_IN_HEADER' })
    expect(verdict(withBody(`a${bidi}b`))).toMatchObject({ ok: true })
  })

  it.each<[string, string]>([
    ['a text without a body', head],
    ['a tab inside a body', withBody('\tcode\tmore')],
    ['empty lines inside a body', withBody('one\n\n\ntwo')],
    ['no-break and other wide blanks at a line end', withBody('one\u00a0\ntwo\u3000')],
    ['a zero-width joiner in a title', withTitle('क्\u200dष')],
    ['a line of exactly 16,384 bytes', withBody('x'.repeat(16_384))],
    [
      'a text of exactly 65,536 bytes',
      withBody('x\n'.repeat(40_000)).slice(0, 65_535).replace(/\n?$/, 'xx').slice(0, 65_536),
    ],
    ['a body like a header', withBody('council-entry 1\nblog maria')],
  ])('accepts %s', (_, text) => {
    const read = verdict(text)
    expect(read.ok && Buffer.from(encodeText(read.value)).toString()).toBe(text)
  })

  it('never throws, and what it accepts encodes to the same bytes', () => {
    const parts = [
      'council-entry 1',
      'blog maria',
      '\n',
      '\n\n',
      ' ',
      '\t',
      '\r',
      'é',
      '語',
      '\ufeff',
    ]
    const texts = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each)),
      fc
        .string({ unit: 'binary', maxLength: 200 })
        .map((each) => Buffer.from(`${head}\n\n${each}`)),
      fc
        .array(fc.constantFrom(...parts), { maxLength: 20 })
        .map((each) => Buffer.from(each.join(''))),
    )
    fc.assert(
      fc.property(texts, (text) => {
        const read = decodeText(text)
        if (read.ok) expect(Buffer.compare(encodeText(read.value), text)).toBe(0)
        else expect(read.reason).toMatch(/^[A-Z].*\.$/s)
      }),
      { numRuns: 1_000 },
    )
  })

  it('reads back every text it can write', () => {
    const line = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
      .map((each) => each.replace(/[\p{Cc}\u2028\u2029\ufeff]|\p{Noncharacter_Code_Point}/gu, ''))
      .map((each) => each.replace(/^ +|[ \t]+$/g, ''))
      .filter((each) => each !== '' && !/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(each))
    const name = fc.stringMatching(/^[a-z]{1,12}$/)
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, line), { maxLength: 6 }),
        fc.option(fc.array(line, { minLength: 1, maxLength: 6 })),
        (headers, lines) => {
          const text = { first: 'council-entry 1', headers, body: lines?.join('\n\n') ?? null }
          expect(decodeText(encodeText(text))).toEqual({ ok: true, value: text })
        },
      ),
    )
  })
})

describe('readHeaders', () => {
  const fields: readonly Field[] = [
    { name: 'seq', times: 'once', wrong: isCount },
    { name: 'lang', times: 'optional', wrong: () => null },
    { name: 'alias', times: 'any', wrong: () => null },
    { name: 'title', times: 'once', wrong: isPlain(5) },
  ]
  const read = (...headers: [string, string][]) =>
    readHeaders({ first: 'x', headers, body: null }, fields)

  it.each<[string, [string, string][], string, RegExp]>([
    ['a missing header', [['seq', '1']], 'HEADER_MISSING', /"title" is missing/],
    [
      'an unknown header',
      [
        ['seq', '1'],
        ['color', 'red'],
      ],
      'HEADER_UNKNOWN',
      /"color" is not known/,
    ],
    [
      'headers in another order',
      [
        ['title', 'x'],
        ['seq', '1'],
      ],
      'HEADER_ORDER',
      /seq, lang, alias, title/,
    ],
    [
      'a repeated header',
      [
        ['seq', '1'],
        ['seq', '1'],
      ],
      'HEADER_REPEATED',
      /stands twice/,
    ],
    [
      'a repeated optional header',
      [
        ['seq', '1'],
        ['lang', 'es'],
        ['lang', 'es'],
      ],
      'HEADER_REPEATED',
      /"lang"/,
    ],
    [
      'a wrong value',
      [
        ['seq', '01'],
        ['title', 'x'],
      ],
      'HEADER_VALUE',
      /"01"; want a whole number/,
    ],
    [
      'a long wrong value, cut in the sentence',
      [['seq', 'x'.repeat(99)]],
      'HEADER_VALUE',
      /x{57}…"/,
    ],
  ])('refuses %s', (_, headers, code, sentence) => {
    const verdict = read(...headers)
    expect(verdict).toMatchObject({ ok: false, code })
    expect(verdict.ok ? '' : verdict.reason).toMatch(sentence)
  })

  it('gives each value by its name', () => {
    const verdict = read(['seq', '1'], ['alias', '/a'], ['alias', '/b'], ['title', '五つの字語'])
    if (!verdict.ok) throw new Error(verdict.reason)
    expect(verdict.value.one('seq')).toBe('1')
    expect(verdict.value.maybe('lang')).toBeNull()
    expect(verdict.value.all('alias')).toEqual(['/a', '/b'])
  })
})

describe('the values of headers', () => {
  it.each<[string, (value: string) => string | null, string[], string[]]>([
    [
      'seq',
      isCount,
      ['0', '7', '999999999999999'],
      ['', '00', '01', '-1', '+1', '1.0', '1e3', '9007199254740992', '٣'],
    ],
    [
      'an id',
      isId,
      [`${'0af'.repeat(21)}b`],
      [`${'0AF'.repeat(21)}b`, 'a'.repeat(63), 'a'.repeat(65), 'g'.repeat(64)],
    ],
    [
      'a fingerprint',
      isFingerprint,
      ['0AF9'.repeat(10)],
      ['0af9'.repeat(10), 'A'.repeat(39), 'A'.repeat(64)],
    ],
    [
      'a zone',
      isZone,
      ['localhost', 'blogs.example.org', 'xn--bcher-kva.example'],
      [
        '',
        'Blogs.org',
        '.org',
        'a..b',
        'a.',
        '-a.org',
        'a-.org',
        'bücher.org',
        `${'a'.repeat(64)}.org`,
      ],
    ],
    [
      'a council',
      isCouncil,
      [`a.org/${'5f'.repeat(32)}`],
      [`/${'5f'.repeat(32)}`, 'a.org', `a.org/${'5F'.repeat(32)}`, `A.org/${'5f'.repeat(32)}`],
    ],
  ])('%s', (_, check, good, bad) => {
    for (const value of good) expect(check(value), value).toBeNull()
    for (const value of bad) expect(check(value), value).toMatch(/^want /)
  })
})

describe('dateMs', () => {
  it.each([
    '2026-02-30T00:00:00Z',
    '2025-02-29T00:00:00Z',
    '2026-11-31T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-11-23T24:00:00Z',
    '2026-11-23T03:60:00Z',
    '2026-12-31T23:59:60Z',
    '2026-11-23T03:40:00',
    '2026-11-23T03:40:00z',
    '2026-11-23T03:40:00+00:00',
    '2026-11-23T03:40:00.000Z',
    '2026-11-23T03:40Z',
    '2026-11-23 03:40:00Z',
    '+002026-11-23T03:40:00Z',
    '٢٠٢٦-11-23T03:40:00Z',
    '',
  ])('refuses %s', (date) => expect(dateMs(date)).toBeNull())

  it('reads a real instant, leap days included', () => {
    expect(dateMs('2028-02-29T23:59:59Z')).toBe(Date.UTC(2028, 1, 29, 23, 59, 59))
  })

  it('reads back every instant that a text can name', () => {
    const instants = fc.integer({ min: 0, max: Date.UTC(9999, 11, 31) / 1000 })
    fc.assert(
      fc.property(instants, (seconds) => {
        expect(dateMs(formatDate(seconds * 1000))).toBe(seconds * 1000)
      }),
    )
  })
})
