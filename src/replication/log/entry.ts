import { cutText } from '../../auth/cut-text.ts'
import { type Fingerprint, parseFingerprint } from '../../auth/public-key.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import {
  maxAliasCharacters,
  maxAliases,
  maxAttachmentBytes,
  maxAttachments,
  maxSlugCharacters,
  maxTagCharacters,
  maxTags,
  maxTitleCharacters,
} from '../protocol.ts'
import {
  dateMs,
  decodeText,
  type EntryId,
  encodeText,
  type Field,
  idOf,
  isCouncil,
  isCount,
  isDate,
  isFingerprint,
  isId,
  isPlain,
  readHeaders,
  type Text,
  type Values,
} from './text.ts'

/** One DNS label, 3–30 of a–z 0–9 -, no outer or double hyphen, not all digits (DESIGN 5). */
export type BlogName = string & { readonly brand: 'BlogName' }

export function parseBlogName(text: string): BlogName | null {
  return /^(?=.*[a-z])(?!.*--)[a-z0-9][a-z0-9-]{1,28}[a-z0-9]$/.test(text) &&
    !/^[0-9-]+$/.test(text)
    ? (text as BlogName)
    : null
}

/** What `parseBlogName` wants, as half a sentence. */
export const blogNameRule =
  'a name has 3 to 30 of a–z, 0–9 and -, no hyphen at either end or two in a row, and a letter'

export const entryFirstLine = 'council-entry 1'

export type Attachment = {
  readonly id: string
  readonly type: string
  readonly bytes: number
  readonly name: string
  /** empty for a decorative picture */
  readonly alt: string
}

type Common = {
  readonly id: EntryId
  readonly text: Uint8Array
  /** `zone/council id` */
  readonly council: string
  readonly log: BlogName
  readonly seq: number
  readonly prev: EntryId | null
  /** as written, seconds, Z */
  readonly date: string
  readonly dateMs: number
  /** fingerprint of the signing primary key */
  readonly key: Fingerprint
  /** empty when the text has no body */
  readonly body: string
}

/** One signed item of a blog's log (DESIGN 3.1). */
export type Entry = Genesis | Post | Retract | Profile | Rekey
export type Genesis = Common & { readonly kind: 'genesis'; readonly recovery: Fingerprint | null }
export type Post = Common & {
  readonly kind: 'post'
  readonly slug: string
  readonly lang: string | null
  readonly tags: readonly string[]
  readonly aliases: readonly string[]
  readonly attachments: readonly Attachment[]
  readonly title: string
}
export type Retract = Common & { readonly kind: 'retract'; readonly slug: string }
export type Profile = Common & {
  readonly kind: 'profile'
  readonly lang: string | null
  readonly title: string
}
export type Rekey = Common & { readonly kind: 'rekey'; readonly next: Fingerprint }

const isSlug = (value: string) =>
  value.length <= maxSlugCharacters && /^[a-z0-9]+(-[a-z0-9]+)*$/.test(value)
    ? null
    : `want at most ${maxSlugCharacters} of a–z and 0–9, in words joined by single hyphens`

/** A fixed subset of BCP 47, so that the verdict never hangs on a library's list of languages. */
export function isLanguageTag(value: string): boolean {
  return /^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$/.test(value)
}

const isLang = (value: string) =>
  isLanguageTag(value) ? null : 'want a language tag like es, pt-BR or zh-Hans'

/** Whether a post can have the tag. */
export function isTag(tag: string): boolean {
  return (
    tag !== '' &&
    !tag.startsWith(' ') &&
    !tag.endsWith(' ') &&
    !tag.includes(',') &&
    [...tag].length <= maxTagCharacters
  )
}

const isTags = (value: string) => {
  const tags = value.split(', ')
  if (tags.length > maxTags) return `want at most ${maxTags} tags`
  const bad = tags.find((tag) => !isTag(tag))
  if (bad !== undefined)
    return `want tags of 1 to ${maxTagCharacters} characters, separated by a comma and one blank`
  const sorted = sortTags(tags)
  return sorted.length === tags.length && sorted.every((tag, index) => tag === tags[index])
    ? null
    : 'want the tags sorted by their UTF-8 bytes, each once'
}

/** Tags in the one order that a text may have: by UTF-8 bytes, each once. */
export function sortTags(tags: readonly string[]): string[] {
  return [...new Set(tags)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

const isAlias = (value: string) =>
  value.length <= maxAliasCharacters && /^\/[!-~]*$/.test(value)
    ? null
    : `want a path that begins with / and has no blanks, at most ${maxAliasCharacters} characters`

const attachment =
  /^([0-9a-f]{64}) ([a-z]+\/[a-z0-9.+-]+) ([1-9][0-9]{0,8}) ([A-Za-z0-9._-]{1,100})(?: ([^ ].{0,499}))?$/
const isAttachment = (value: string) => {
  const match = attachment.exec(value)
  return match !== null && Number(match[3]) <= maxAttachmentBytes
    ? null
    : `want SHA-256, media type, bytes (at most ${maxAttachmentBytes}), file name and alt text`
}

const isTitle = isPlain(maxTitleCharacters)
const anyBlog = (value: string) => (parseBlogName(value) === null ? blogNameRule : null)

const common: readonly Field[] = [
  { name: 'council', times: 'once', wrong: isCouncil },
  { name: 'blog', times: 'once', wrong: anyBlog },
  { name: 'seq', times: 'once', wrong: isCount },
  { name: 'prev', times: 'optional', wrong: isId },
  { name: 'kind', times: 'once', wrong: () => null },
  { name: 'date', times: 'once', wrong: isDate },
  { name: 'key', times: 'once', wrong: isFingerprint },
]

/** Kind → its headers behind the common ones, in order. PROTOCOL.md shows the same table. */
const kinds: Readonly<
  Record<Entry['kind'], { fields: readonly Field[]; body: 'required' | 'optional' }>
> = {
  genesis: {
    fields: [{ name: 'recovery', times: 'optional', wrong: isFingerprint }],
    body: 'required',
  },
  post: {
    fields: [
      { name: 'slug', times: 'once', wrong: isSlug },
      { name: 'lang', times: 'optional', wrong: isLang },
      { name: 'tags', times: 'optional', wrong: isTags },
      { name: 'alias', times: 'any', wrong: isAlias },
      { name: 'attach', times: 'any', wrong: isAttachment },
      { name: 'title', times: 'once', wrong: isTitle },
    ],
    body: 'optional',
  },
  retract: { fields: [{ name: 'slug', times: 'once', wrong: isSlug }], body: 'optional' },
  profile: {
    fields: [
      { name: 'lang', times: 'optional', wrong: isLang },
      { name: 'title', times: 'once', wrong: isTitle },
    ],
    body: 'optional',
  },
  rekey: { fields: [{ name: 'next', times: 'once', wrong: isFingerprint }], body: 'required' },
}
const tables = new Map(
  Object.entries(kinds).map(([kind, table]) => [kind, [...common, ...table.fields]] as const),
)

/**
 * Decodes an entry's text and checks everything that its bytes alone can show. What depends on the
 * log before it is judged by `placeItem` (log.ts) and `nextAuthor` (author.ts).
 */
export function decodeEntry(bytes: Uint8Array): Verdict<Entry> {
  const text = decodeText(bytes)
  if (!text.ok) return text
  if (text.value.first !== entryFirstLine) {
    return refuse(
      'ENTRY_FIRST_LINE',
      `The first line is not "${entryFirstLine}": this is no entry of a blog.`,
    )
  }
  const kind = text.value.headers.find(([name]) => name === 'kind')?.[1]
  if (kind === undefined) return refuse('HEADER_MISSING', 'The header "kind" is missing.')
  const table = tables.get(kind)
  if (table === undefined) {
    return refuse(
      'ENTRY_KIND',
      `The kind "${cutText(kind, 40)}" is not known in format 1. Known are ${Object.keys(kinds).join(', ')}.`,
    )
  }
  const values = readHeaders(text.value, table)
  return values.ok ? build(bytes, text.value, kind as Entry['kind'], values.value) : values
}

function build(bytes: Uint8Array, text: Text, kind: Entry['kind'], values: Values): Verdict<Entry> {
  const seq = Number(values.one('seq'))
  const prev = values.maybe('prev') as EntryId | null
  if (seq === 0 && prev !== null)
    return refuse('ENTRY_PREV', 'Entry 0 has no "prev": nothing stands before it.')
  if (seq > 0 && prev === null)
    return refuse('ENTRY_PREV', 'The header "prev" is missing: it names the entry before this one.')
  if ((kind === 'genesis') !== (seq === 0)) {
    return refuse('ENTRY_SEQ_KIND', 'Entry 0, and no other, is of kind "genesis".')
  }
  if (kinds[kind].body === 'required' && text.body === null) {
    return refuse('ENTRY_BODY_MISSING', `An entry of kind "${kind}" needs a body: the public key.`)
  }
  const shared: Common = {
    id: idOf(bytes),
    text: bytes,
    council: values.one('council'),
    log: values.one('blog') as BlogName,
    seq,
    prev,
    date: values.one('date'),
    dateMs: dateMs(values.one('date')) as number,
    key: parseFingerprint(values.one('key')) as Fingerprint,
    body: text.body ?? '',
  }
  switch (kind) {
    case 'genesis':
      return accept({ ...shared, kind, recovery: values.maybe('recovery') as Fingerprint | null })
    case 'post': {
      const aliases = values.all('alias')
      const attachments = values.all('attach').map(readAttachment)
      if (aliases.length > maxAliases)
        return refuse('ENTRY_ALIASES', `At most ${maxAliases} "alias" lines are allowed.`)
      if (attachments.length > maxAttachments) {
        return refuse('ENTRY_ATTACHMENTS', `At most ${maxAttachments} "attach" lines are allowed.`)
      }
      return accept({
        ...shared,
        kind,
        slug: values.one('slug'),
        lang: values.maybe('lang'),
        tags: values.maybe('tags')?.split(', ') ?? [],
        aliases,
        attachments,
        title: values.one('title'),
      })
    }
    case 'retract':
      return accept({ ...shared, kind, slug: values.one('slug') })
    case 'profile':
      return accept({ ...shared, kind, lang: values.maybe('lang'), title: values.one('title') })
    case 'rekey':
      return accept({ ...shared, kind, next: values.one('next') as Fingerprint })
  }
}

function readAttachment(value: string): Attachment {
  const [, id, type, bytes, name, alt] = attachment.exec(value) as RegExpExecArray
  return {
    id: id as string,
    type: type as string,
    bytes: Number(bytes),
    name: name as string,
    alt: alt ?? '',
  }
}

/** What an author's program fills in; the rest of the text follows from it. */
export type Draft = {
  readonly council: string
  readonly blog: string
  readonly seq: number
  readonly prev: string | null
  readonly date: string
  readonly key: string
  readonly body: string
} & (
  | { readonly kind: 'genesis'; readonly recovery?: string }
  | {
      readonly kind: 'post'
      readonly slug: string
      readonly lang?: string
      readonly tags?: readonly string[]
      readonly title: string
    }
  | { readonly kind: 'retract'; readonly slug: string }
  | { readonly kind: 'profile'; readonly lang?: string; readonly title: string }
  | { readonly kind: 'rekey'; readonly next: string }
)

/** The text of a draft, checked by the same rules that every spoke applies. */
export function encodeEntry(draft: Draft): Verdict<Entry> {
  const optional = (name: string, value: string | undefined): [string, string][] =>
    value === undefined || value === '' ? [] : [[name, value]]
  const headers: [string, string][] = [
    ['council', draft.council],
    ['blog', draft.blog],
    ['seq', String(draft.seq)],
    ...optional('prev', draft.prev ?? undefined),
    ['kind', draft.kind],
    ['date', draft.date],
    ['key', draft.key],
  ]
  switch (draft.kind) {
    case 'genesis':
      headers.push(...optional('recovery', draft.recovery))
      break
    case 'post':
      headers.push(['slug', draft.slug], ...optional('lang', draft.lang))
      headers.push(...optional('tags', sortTags(draft.tags ?? []).join(', ')), [
        'title',
        draft.title,
      ])
      break
    case 'retract':
      headers.push(['slug', draft.slug])
      break
    case 'profile':
      headers.push(...optional('lang', draft.lang), ['title', draft.title])
      break
    case 'rekey':
      headers.push(['next', draft.next])
  }
  return decodeEntry(
    encodeText({ first: entryFirstLine, headers, body: draft.body === '' ? null : draft.body }),
  )
}
