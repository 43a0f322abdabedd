import { hash } from 'node:crypto'
import { cutText } from '../../auth/cut-text.ts'
import { accept, type Refusal, refuse, type Verdict } from '../../auth/verdict.ts'
import { maxLineBytes, maxTextBytes } from '../protocol.ts'

/**
 * The canonical text of everything that is signed (DESIGN 3.1): a first line, header lines in a
 * fixed order, and perhaps an empty line and a body. Exactly one byte sequence stands for one
 * text, so that detached, text-mode and clear-signed signatures all cover the same bytes.
 */
export type Text = {
  readonly first: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: string | null
}

/** SHA-256 of a text's bytes, 64 lower-case hex digits. Names an entry or act for ever. */
export type EntryId = string & { readonly brand: 'EntryId' }

export function idOf(text: Uint8Array): EntryId {
  return hash('sha256', text, 'hex') as EntryId
}

export function parseEntryId(value: string): EntryId | null {
  return /^[0-9a-f]{64}$/.test(value) ? (value as EntryId) : null
}

/** What a text names as the one before it, read without decoding the rest; null: nothing. */
export function prevOf(text: Uint8Array): EntryId | null {
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength)
  const at = bytes.indexOf('\nprev ')
  const body = bytes.indexOf('\n\n')
  if (at < 0 || (body >= 0 && body < at)) return null
  return parseEntryId(bytes.toString('latin1', at + 6, at + 70))
}

/** Encodes without checking: `decodeText` of the result tells whether it is canonical. */
export function encodeText(text: Text): Uint8Array {
  const head = [text.first, ...text.headers.map(([name, value]) => `${name} ${value}`)].join('\n')
  return Buffer.from(text.body === null ? head : `${head}\n\n${text.body}`, 'utf8')
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** Category Cc but for LF and tab: not one of those that are not control characters. */
const control = /[^\P{Cc}\n\t]/u
const separator = /[\u2028\u2029]/
const nonCharacter = /\p{Noncharacter_Code_Point}/u
const bidi = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/
const trailingBlank = /[ \t]\n/
const headerName = /^[a-z]+$/

/**
 * Decodes the bytes of a signed text, or says which rule of DESIGN 3.1 they break. Every accepted
 * text encodes back to the same bytes.
 */
export function decodeText(bytes: Uint8Array): Verdict<Text> {
  if (bytes.length > maxTextBytes) {
    return refuse(
      'TEXT_TOO_LONG',
      `The text has ${bytes.length} bytes; at most ${maxTextBytes} fit in one entry. Shorten it or split it into two posts.`,
    )
  }
  let whole: string
  try {
    whole = utf8.decode(bytes)
  } catch {
    return refuse(
      'TEXT_NOT_UTF8',
      'The text is not valid UTF-8. Save it as UTF-8 and sign it again.',
    )
  }
  return checkCharacters(whole) ?? split(whole)
}

function checkCharacters(whole: string): Verdict<never> | null {
  if (whole.startsWith('\ufeff')) {
    return refuse(
      'TEXT_BOM',
      'The text begins with a byte order mark. Save it as UTF-8 without BOM.',
    )
  }
  if (whole.includes('\r')) {
    return refuse(
      'TEXT_CARRIAGE_RETURN',
      'The text has a carriage return (CR). Lines must end with LF alone: save it with Unix line ends.',
    )
  }
  if (control.test(whole)) {
    return refuse('TEXT_CONTROL_CHARACTER', 'The text has a control character. Remove it.')
  }
  if (separator.test(whole)) {
    return refuse(
      'TEXT_LINE_SEPARATOR',
      'The text has a line or paragraph separator (U+2028, U+2029). Use a plain line end.',
    )
  }
  if (whole.includes('\ufeff')) {
    return refuse(
      'TEXT_ZERO_WIDTH_NO_BREAK',
      'The text has U+FEFF (zero width no-break space). Remove it.',
    )
  }
  if (nonCharacter.test(whole)) {
    return refuse(
      'TEXT_NONCHARACTER',
      'The text has a code point that Unicode reserves as a noncharacter. Remove it.',
    )
  }
  if (whole.endsWith('\n')) {
    return refuse(
      'TEXT_ENDS_IN_LINE_FEED',
      'The text ends with an empty line. The last line must have no line end behind it: remove the final newline.',
    )
  }
  if (trailingBlank.test(whole) || whole.endsWith(' ') || whole.endsWith('\t')) {
    return refuse(
      'TEXT_TRAILING_BLANK',
      'A line ends with a blank or tab, which text signatures do not cover. Remove it; write a hard line break as \\.',
    )
  }
  return null
}

function split(whole: string): Verdict<Text> {
  const gap = whole.indexOf('\n\n')
  const head = gap < 0 ? whole : whole.slice(0, gap)
  const body = gap < 0 ? null : whole.slice(gap + 2)
  if (head.includes('\t')) {
    return refuse('TEXT_TAB_IN_HEADER', 'A header line has a tab. Use one blank.')
  }
  if (bidi.test(head)) {
    return refuse(
      'TEXT_BIDI_IN_HEADER',
      'A header line has a character that changes the writing direction. Remove it; the direction follows from lang.',
    )
  }
  if (
    whole.length > maxLineBytes / 4 &&
    whole.split('\n').some((line) => Buffer.byteLength(line) > maxLineBytes)
  ) {
    return refuse(
      'TEXT_LINE_TOO_LONG',
      `A line has more than ${maxLineBytes} bytes. Break it into shorter lines.`,
    )
  }
  if (body !== null && (body.startsWith('\n') || body === '')) {
    return refuse(
      'TEXT_BODY_STARTS_EMPTY',
      'The body begins with an empty line. Exactly one empty line stands before it.',
    )
  }
  const [first = '', ...lines] = head.split('\n')
  const headers: [string, string][] = []
  for (const line of lines) {
    const blank = line.indexOf(' ')
    const name = line.slice(0, blank)
    const value = line.slice(blank + 1)
    if (blank < 0 || !headerName.test(name) || value === '' || value.startsWith(' ')) {
      return refuse(
        'TEXT_HEADER_SYNTAX',
        `The header line "${shorten(line)}" is not a lower-case name, one blank and a value.`,
      )
    }
    headers.push([name, value])
  }
  return accept({ first, headers, body })
}

/** One line of a kind's header table: its name and whether it may be missing or repeated. */
export type Field = {
  readonly name: string
  readonly times: 'once' | 'optional' | 'any'
  /** null when the value is good, else what a good one looks like */
  readonly wrong: (value: string) => string | null
}

/** Values of the headers that a table names, in the order of the text. */
export type Values = {
  readonly one: (name: string) => string
  readonly maybe: (name: string) => string | null
  readonly all: (name: string) => readonly string[]
}

/**
 * Reads headers by a kind's table: all that are required, none that is unknown, in the table's
 * order, each value checked. Codes: HEADER_MISSING, HEADER_UNKNOWN, HEADER_ORDER, HEADER_REPEATED,
 * HEADER_VALUE.
 */
export function readHeaders(text: Text, fields: readonly Field[]): Verdict<Values> {
  const { headers } = text
  // The first field that may come now: in a good text the next header's, or one a little behind it.
  let next = 0
  for (const [name, value] of headers) {
    const index = fields.findIndex((field, place) => place >= next && field.name === name)
    const field = fields[index]
    if (field === undefined) return misplaced(name, headers, fields)
    const wrong = field.wrong(value)
    if (wrong !== null) {
      return refuse('HEADER_VALUE', `The header "${name}" is "${shorten(value)}"; ${wrong}.`)
    }
    next = field.times === 'any' ? index : index + 1
  }
  const find = (name: string) => headers.find((header) => header[0] === name)?.[1]
  for (const field of fields) {
    if (field.times === 'once' && find(field.name) === undefined) {
      return refuse('HEADER_MISSING', `The header "${field.name}" is missing.`)
    }
  }
  return accept({
    one: (name) => find(name) as string,
    maybe: (name) => find(name) ?? null,
    all: (name) => headers.filter(([each]) => each === name).map(([, value]) => value),
  })
}

/** Why a header cannot stand where it does. */
function misplaced(name: string, headers: Text['headers'], fields: readonly Field[]): Refusal {
  const field = fields.find((each) => each.name === name)
  if (field === undefined) {
    return refuse(
      'HEADER_UNKNOWN',
      `The header "${name}" is not known in this kind of text (format 1). Remove it.`,
    )
  }
  if (field.times !== 'any' && headers.filter(([each]) => each === name).length > 1) {
    return refuse('HEADER_REPEATED', `The header "${name}" stands twice. Keep one.`)
  }
  const order = fields.map((each) => each.name).join(', ')
  return refuse('HEADER_ORDER', `The header "${name}" stands too late. The order is: ${order}.`)
}

function shorten(value: string): string {
  return value.length > 60 ? `${cutText(value, 57)}…` : value
}

// What a header's value must look like. Each answers null or the second half of a sentence.

export const isId = (value: string) =>
  /^[0-9a-f]{64}$/.test(value) ? null : 'want 64 lower-case hex digits'

export const isFingerprint = (value: string) =>
  /^[0-9A-F]{40}$/.test(value) ? null : 'want a fingerprint of 40 upper-case hex digits'

export const isCount = (value: string) =>
  /^(0|[1-9][0-9]{0,14})$/.test(value) ? null : 'want a whole number without leading zeros'

export const isZone = (value: string) =>
  value.length <= 200 &&
  /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(value)
    ? null
    : 'want a lower-case DNS name'

/** `zone/council id`, how every text but the first of @roster names its council. */
export const isCouncil = (value: string) => {
  const slash = value.indexOf('/')
  return slash > 0 &&
    isZone(value.slice(0, slash)) === null &&
    isId(value.slice(slash + 1)) === null
    ? null
    : 'want the zone, a slash and the council id of 64 hex digits'
}

export const isDate = (value: string) =>
  dateMs(value) === null ? 'want a real instant like 2026-11-23T03:40:00Z' : null

export const isPlain = (max: number) => (value: string) =>
  [...value].length <= max ? null : `want at most ${max} characters`

const instant = /^[0-9]{4}-[0-9]{2}-([0-9]{2})T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$/

/** Milliseconds since the Unix epoch of a header's date, null when it is not a real instant. */
export function dateMs(value: string): number | null {
  const match = instant.exec(value)
  if (match === null) return null
  const ms = Date.parse(value)
  if (Number.isNaN(ms)) return null
  const day = Number(match[1])
  // Date reads 30 February as 2 March; then the day differs.
  return day <= 28 || new Date(ms).getUTCDate() === day ? ms : null
}

/** The form of every date in a text: seconds, with Z. */
export function formatDate(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}

/** A text with its signature: armored OpenPGP bytes for an entry, 64 bytes of Ed25519 for a peer's text. */
export type Signed = { readonly text: Uint8Array; readonly signature: Uint8Array }
