import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { type BlogName, parseBlogName } from '../log/entry.ts'
import { maxTagCharacters } from '../protocol.ts'
import { foldTag, langMarks } from './search-filters.ts'
import { isFromDictionary, searchText, soughtWords } from './search-words.ts'

/** Bytes of a query, in UTF-8. */
export const maxQueryBytes = 1_000
/** Words and phrases of a query, and its tags. */
export const maxTerms = 16
/** Words of all of them together. */
export const maxQueryWords = 48

/** A word, or several that have to stand side by side. */
export type Term = {
  /** as it was asked for, without quotation marks */
  readonly text: string
  /** folded, at least one */
  readonly words: readonly string[]
  /** the last word may go on; see `soughtWords` */
  readonly isBegun: boolean
}

/** What is looked for: posts that have all of it. */
export type ParsedQuery = {
  readonly terms: readonly Term[]
  readonly blog: BlogName | null
  /** `zh` also finds `zh-Hans` */
  readonly lang: string | null
  /** as they were asked for; compared by `foldTag` */
  readonly tags: readonly string[]
}

/** A filter with its value, in which two quotation marks are one; a phrase, or what stands between blanks. */
const piece = /(blog|lang|tag):(?:"((?:[^"]|"")*)"?|([^\s"]+))|"([^"]*)"?|[^\s"]+/giu

/**
 * Reads what somebody typed into a search box: words, "phrases", and the filters `blog:`, `lang:`
 * and `tag:`, also alone. Everything else is a word like any other: operators of FTS5 or SQL have
 * no meaning, and no character but letters, marks and digits gets through.
 *
 * Codes: QUERY_TOO_LONG, QUERY_EMPTY, QUERY_TOO_MANY_WORDS, QUERY_FILTER.
 */
export function parseQuery(text: string): Verdict<ParsedQuery> {
  // Before anything is done with it: a length in code units bounds that in bytes from below.
  if (text.length > maxQueryBytes || Buffer.byteLength(text) > maxQueryBytes) {
    return refuse(
      'QUERY_TOO_LONG',
      `A search has at most ${maxQueryBytes} bytes. Look for a few words of it.`,
    )
  }
  const terms = new Map<string, Term>()
  const tags = new Map<string, string>()
  let blog: BlogName | null = null
  let lang: string | null = null
  for (const found of text.toWellFormed().normalize('NFC').matchAll(piece)) {
    const filter = found[1]?.toLowerCase()
    if (filter === undefined) {
      const said = (found[4] ?? found[0]).trim()
      const { words, isBegun } = soughtWords(said)
      if (words.length > 0) terms.set(words.join(' '), { text: said, words, isBegun })
      continue
    }
    const value = (found[2]?.replaceAll('""', '"') ?? found[3] ?? '').trim()
    if (filter === 'tag') {
      if (value === '' || [...value].length > maxTagCharacters) return badFilter('tag', value)
      tags.set(foldTag(value), value)
    } else if (filter === 'lang') {
      const asked = isLangAsked.test(value) ? value : null
      if (asked === null || (lang !== null && lang !== asked)) return badFilter('lang', value)
      lang = asked
    } else {
      const asked = parseBlogName(value.toLowerCase())
      if (asked === null || (blog !== null && blog !== asked)) return badFilter('blog', value)
      blog = asked
    }
  }
  const query = { terms: [...terms.values()], blog, lang, tags: [...tags.values()] }
  const words = query.terms.reduce((sum, term) => sum + term.words.length, 0)
  if (query.terms.length + query.tags.length > maxTerms || words > maxQueryWords) {
    return refuse(
      'QUERY_TOO_MANY_WORDS',
      `A search has at most ${maxTerms} words, phrases and tags, and ${maxQueryWords} words in all. Leave some out.`,
    )
  }
  if (words === 0 && blog === null && lang === null && query.tags.length === 0) {
    return refuse('QUERY_EMPTY', 'There is no word to look for. Write one, or a tag: as tag:name.')
  }
  return accept(query)
}

const isLangAsked = /^[a-z]{2,3}(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?$/i

const examples = { blog: 'blog:maria', lang: 'lang:es', tag: 'tag:name or tag:"two words"' }

function badFilter(filter: keyof typeof examples, value: string): Verdict<never> {
  return refuse(
    'QUERY_FILTER',
    `Nothing can be looked for by "${filter}:${[...value].slice(0, 40).join('')}". Write ${examples[filter]}${filter === 'tag' ? '' : ', once'}.`,
  )
}

const needsQuotes = /\s|^(blog|lang|tag):./i

/** A query as text, for links and boxes: `parseQuery` makes the same query of it. */
export function formatQuery({ terms, blog, lang, tags }: ParsedQuery): string {
  return [
    ...terms.map(({ text }) => (needsQuotes.test(text) ? `"${text}"` : text)),
    ...(blog === null ? [] : [`blog:${blog}`]),
    ...(lang === null ? [] : [`lang:${lang}`]),
    ...tags.map((tag) => (/[\s"]/.test(tag) ? `tag:"${tag.replaceAll('"', '""')}"` : `tag:${tag}`)),
  ].join(' ')
}

/** A post as far as a query can be held against it. */
type Searched = {
  readonly blog: BlogName
  readonly title: string
  readonly body: string
  readonly lang: string | null
  readonly tags: readonly string[]
}

/**
 * Whether a post has all that a query asks for, by the rules of the index: so that a peer which
 * answers with other posts is found out.
 */
export function matchesQuery(query: ParsedQuery, post: Searched): boolean {
  if (query.blog !== null && query.blog !== post.blog) return false
  // A post that names no language is in that of its blog, which the post alone does not show.
  if (query.lang !== null && post.lang !== null) {
    if (!langMarks(post.lang).includes(query.lang.toLowerCase())) return false
  }
  const tags = post.tags.map(foldTag)
  if (!query.tags.every((tag) => tags.includes(foldTag(tag)))) return false
  if (query.terms.length === 0) return true
  // As the index has them, which takes a tenth of the time of `wordsOf`.
  const texts = [post.title, post.body].map((text) => searchText(text).split(/ +/))
  return query.terms.every((term) => texts.some((words) => isIn(term, words)))
}

/** Whether a term's words stand side by side. What a dictionary splits may be split otherwise. */
function isIn({ words, isBegun }: Term, text: readonly string[]): boolean {
  if (words.some(isFromDictionary)) return text.join('').includes(words.join(''))
  return ` ${text.join(' ')} `.includes(` ${words.join(' ')}${isBegun ? '' : ' '}`)
}
