import MarkdownIt from 'markdown-it'
import type { ParsedQuery, Term } from './search-query.ts'
import { type PlacedWord, placedWords } from './search-words.ts'

/** Characters of a snippet, its ellipses not among them. */
export const maxSnippetCharacters = 200
/** Characters of a body that are read as Markdown for it: all of a short one, around the hit of a long one. */
export const maxPlainCharacters = 6_000
/** … of them before the first hit. */
const charactersBefore = 2_000
/** Characters shown before the first hit, so that it stands in its sentence. */
const leadCharacters = 60
/** Hits that are marked. */
const maxMarked = 40

/** A piece of a snippet; `isHit`: a word that was looked for. */
export type SnippetPart = { readonly text: string; readonly isHit: boolean }

const markdown = new MarkdownIt({ html: false })

/** A body's words as a reader sees them: no marks of Markdown, blanks joined, pictures by their words. */
export function plainTextOf(body: string): string {
  const words: string[] = []
  for (const token of markdown.parse(body, {})) {
    if (token.type === 'inline') {
      for (const inner of token.children ?? []) {
        words.push(/^(soft|hard)break$/.test(inner.type) ? ' ' : inner.content)
      }
      words.push(' ')
    } else if (token.type === 'fence' || token.type === 'code_block') words.push(token.content)
  }
  return words.join('').replace(/\s+/g, ' ').trim()
}

/**
 * The part of a body in which a query's words are found first, for a list of hits; the body's
 * beginning where they are in the title only. Joined, the parts are a piece of the body's plain
 * text, cut between words.
 */
export function snippetOf(body: string, { terms }: Pick<ParsedQuery, 'terms'>): SnippetPart[] {
  const plain = plainTextOf(around(body, terms))
  const hits = hitsIn(plain, terms)
  const first = hits[0]?.start ?? 0
  const start = first <= leadCharacters ? 0 : wordStart(plain, first - leadCharacters, first)
  const end = wordEnd(plain, start + maxSnippetCharacters, hits[0]?.end ?? start)
  const parts: SnippetPart[] = []
  let at = start
  for (const hit of hits) {
    if (hit.end > end) break
    if (hit.start > at) parts.push({ text: plain.slice(at, hit.start), isHit: false })
    parts.push({ text: plain.slice(hit.start, hit.end), isHit: true })
    at = hit.end
  }
  if (at < end) parts.push({ text: plain.slice(at, end), isHit: false })
  return parts
}

/** All of a short body; of a long one some paragraphs around the first hit. */
function around(body: string, terms: readonly Term[]): string {
  if (body.length <= maxPlainCharacters) return body
  const first = hitsIn(body, terms, 1)[0]?.start ?? 0
  const earliest = Math.max(0, first - charactersBefore)
  const paragraph = body.lastIndexOf('\n\n', first)
  const from = paragraph > earliest ? paragraph : wordStart(body, earliest, first)
  return body.slice(from, wordEnd(body, from + maxPlainCharacters, from))
}

/** Where terms are found: the places of their words, each part of the text once. */
function hitsIn(text: string, terms: readonly Term[], most = maxMarked): Span[] {
  const hits: Span[] = []
  const longest = Math.max(0, ...terms.map(({ words }) => words.length))
  if (longest === 0) return hits
  /** the last words, as many as the longest phrase has */
  const last: PlacedWord[] = []
  for (const placed of placedWords(text)) {
    last.push(placed)
    if (last.length > longest) last.shift()
    for (const term of terms) hits.push(...placesOf(term, last))
    if (hits.length >= most) break
  }
  return joined(hits.sort((a, b) => a.start - b.start || a.end - b.end))
}

type Span = { readonly start: number; readonly end: number }

/** The places of a term's words if they are the last ones, in order. */
function placesOf({ words, isBegun }: Term, last: readonly PlacedWord[]): Span[] {
  const found = last.slice(-words.length)
  const isThere =
    found.length === words.length &&
    found.every(({ word }, at) => {
      const wanted = words[at] as string
      return isBegun && at === words.length - 1 ? word.startsWith(wanted) : word === wanted
    })
  if (!isThere) return []
  return found.map(({ word, start, end }, at) =>
    // Of a pair of letters only the first was asked for.
    isBegun && at === words.length - 1 && word !== words[at]
      ? { start, end: Math.min(end, start + (words[at] as string).length) }
      : { start, end },
  )
}

/** Places in order, those that overlap made one. */
function joined(spans: readonly Span[]): Span[] {
  const apart: Span[] = []
  for (const span of spans) {
    const before = apart.at(-1)
    if (before === undefined || span.start >= before.end) apart.push(span)
    else apart[apart.length - 1] = { ...before, end: Math.max(before.end, span.end) }
  }
  return apart
}

const blank = /\s/
const isLowSurrogate = (text: string, at: number) => /[\udc00-\udfff]/.test(text.charAt(at))

/** A place at or behind `from` at which a word begins, before `limit`. */
function wordStart(text: string, from: number, limit: number): number {
  for (let at = from; at < limit; at += 1) {
    if (at === 0 || blank.test(text.charAt(at - 1))) return at
  }
  return isLowSurrogate(text, from) ? from + 1 : from
}

/** A place at or before `to` at which a word has ended, not before `least`. */
function wordEnd(text: string, to: number, least: number): number {
  if (to >= text.length) return text.length
  // Scripts without blanks are cut anywhere but in a character.
  for (let at = to; at > Math.max(least, to - 40); at -= 1) {
    if (blank.test(text.charAt(at))) return at
  }
  const end = Math.max(to, least)
  return isLowSurrogate(text, end) ? end - 1 : end
}
