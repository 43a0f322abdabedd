import { accept, refuse, type Verdict } from '../auth/verdict.ts'
import type { CouncilPost, FoundPost, SearchAsked, SearchTerm } from '../web/spoke.ts'

// Searching without an index, in the blogs of one spoke.

/** Characters of a query. */
export const maxQueryCharacters = 500
/** Characters of the text around a hit. */
const snippetCharacters = 160

const filters = ['blog', 'lang', 'tag'] as const

/**
 * What is to be searched for: words, "phrases", and the filters `blog:`, `lang:`, `tag:`. Everything
 * else is a word. Codes: QUERY_TOO_LONG, QUERY_EMPTY.
 */
export function readTerms(query: SearchAsked['query']): Verdict<readonly SearchTerm[]> {
  if (typeof query !== 'string') {
    return accept([
      'tag' in query ? { kind: 'tag', text: query.tag } : { kind: 'lang', text: query.lang },
    ])
  }
  if (query.length > maxQueryCharacters) {
    const reason = `The search takes at most ${maxQueryCharacters} characters, these are ${query.length}. Take some words that stand in what you look for.`
    return refuse('QUERY_TOO_LONG', reason)
  }
  const terms: SearchTerm[] = []
  for (const [, filter, phrase, word = ''] of query.matchAll(
    /(?:(blog|lang|tag):)?(?:"([^"]*)"?|([^\s"]+))/g,
  )) {
    const text = (phrase ?? word).trim()
    const kind =
      filters.find((each) => each === filter) ?? (phrase === undefined ? 'word' : 'phrase')
    if (kind === 'word' ? /[\p{L}\p{N}]/u.test(text) : text !== '') terms.push({ kind, text })
  }
  return terms.length > 0
    ? accept(terms)
    : refuse('QUERY_EMPTY', 'Nothing to search for: type at least one word.')
}

const fold = (text: string) => text.normalize('NFKC').toLowerCase()

/** How well a post has all terms: 0, not all of them. Words count where they begin anywhere. */
export function scoreOf(
  post: Pick<CouncilPost, 'blog' | 'title' | 'lang' | 'tags' | 'body'>,
  terms: readonly SearchTerm[],
): number {
  const [title, body] = [fold(post.title), fold(post.body)]
  let score = 1
  for (const { kind, text } of terms) {
    if (kind === 'blog' && post.blog !== text) return 0
    if (kind === 'lang' && post.lang !== text) return 0
    if (kind === 'tag' && !post.tags.includes(text)) return 0
    if (kind !== 'word' && kind !== 'phrase') continue
    const wanted = fold(text)
    const found = 5 * (title.split(wanted).length - 1) + body.split(wanted).length - 1
    if (found === 0) return 0
    score += found
  }
  return score
}

/** The text around the first hit, hits marked. Where the text has none, its beginning. */
export function snippetOf(body: string, terms: readonly SearchTerm[]): FoundPost['snippet'] {
  const words = terms.filter(({ kind }) => kind === 'word' || kind === 'phrase')
  if (words.length === 0) return [{ text: piece(body, 0), isHit: false }]
  const escaped = words.map(({ text }) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  const hit = new RegExp(`(${escaped.join('|')})`, 'giu')
  const first = body.search(hit)
  const shown = piece(body, Math.max(0, first - snippetCharacters / 2))
  return shown
    .split(hit)
    .map((text, index) => ({ text, isHit: index % 2 === 1 }))
    .filter(({ text }) => text !== '')
}

/** Some characters of a text, whole ones. */
function piece(body: string, from: number): string {
  const cut = body.slice(from, from + snippetCharacters).toWellFormed()
  const start = from > 0 ? '…' : ''
  const end = from + snippetCharacters < body.length ? '…' : ''
  return `${start}${cut.replaceAll('\u{FFFD}', '').replace(/\s+/g, ' ')}${end}`
}
