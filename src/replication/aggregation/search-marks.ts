import { foldTag, langMarks } from './search-filters.ts'
import type { ParsedQuery } from './search-query.ts'

type Marked = {
  readonly blog: string
  readonly lang: string | null
  readonly tags: readonly string[]
}

/**
 * Marks by which filters find a post: words that no text can hold, since they begin with a
 * character for private use, and so do the marks of ASCII in them, at which FTS5 would split.
 */
const markKinds = { blog: '\ue000', lang: '\ue001', tag: '\ue002' } as const
const mark = (kind: keyof typeof markKinds, value: string) =>
  markKinds[kind] +
  value.replace(/[\0-/:-@[-`{-\x7f]/g, (each) => String.fromCharCode(0xe100 + each.charCodeAt(0)))

/** All marks of a post, as its column of them. */
export function marksOf({ blog, lang, tags }: Marked): string {
  return [
    mark('blog', blog),
    ...langMarks(lang).map((each) => mark('lang', each)),
    ...tags.map((each) => mark('tag', foldTag(each))),
  ].join(' ')
}

/** What FTS5 is asked: quoted words and marks only, all of which a post must have. */
export function matchOf({ terms, blog, lang, tags }: ParsedQuery): string {
  const quoted = (text: string) => `"${text.replaceAll('"', '')}"`
  return [
    ...terms.map(({ words, isBegun }) => `${quoted(words.join(' '))}${isBegun ? ' *' : ''}`),
    ...(blog === null ? [] : [quoted(mark('blog', blog))]),
    ...(lang === null ? [] : [quoted(mark('lang', lang.toLowerCase()))]),
    ...tags.map((tag) => quoted(mark('tag', foldTag(tag)))),
  ].join(' AND ')
}
