// What a post's language and tags are found by. By itself, so that the thread of the index loads no
// OpenPGP for it.

/** What a language is found by: itself and what it is a kind of, lower case. */
export function langMarks(lang: string | null): readonly string[] {
  if (lang === null) return []
  const parts = lang.toLowerCase().split('-')
  return parts.map((_, index) => parts.slice(0, index + 1).join('-'))
}

/** The one form of a tag, in which two are compared: as words are, its marks and blanks kept. */
export function foldTag(tag: string): string {
  return tag.normalize('NFKC').toLowerCase()
}
