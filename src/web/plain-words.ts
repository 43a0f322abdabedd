import { cutText } from '../auth/cut-text.ts'

const day = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeZone: 'UTC' })
const minute = new Intl.DateTimeFormat('en-GB', {
  dateStyle: 'long',
  timeStyle: 'medium',
  timeZone: 'UTC',
})

/** `3 May 2026`. Days are counted in UTC, so that all spokes show the same. */
export function showDay(ms: number): string {
  return day.format(ms)
}

/** `3 May 2026 at 14:05:09 UTC` */
export function showInstant(ms: number): string {
  return `${minute.format(ms)} UTC`
}

/** `1 post`, `41 posts` */
export function showCount(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

/** A fingerprint in groups of four, as gpg prints it, to be compared by eye. */
export function showFingerprint(fingerprint: string): string {
  return fingerprint.replace(/(.{4})(?!$)/g, '$1 ')
}

/** The last four digits: enough to see that two differ, never enough to trust. */
export function showKey(fingerprint: string): string {
  return `…${fingerprint.slice(-4)}`
}

/** At most so many UTF-16 units, and no half of a character; what was cut shows by "…". */
export function shorten(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text
  return `${cutText(text, maxCharacters - 1).trimEnd()}…`
}

/** What a language calls itself: `español`; the tag, where nobody knows. */
export function showLanguage(lang: string): string {
  const known = languageNames.get(lang)
  if (known !== undefined) return known
  const name = nameOfLanguage(lang)
  if (languageNames.size >= maxLanguageNames) languageNames.clear()
  languageNames.set(lang, name)
  return name
}

const maxLanguageNames = 1_000
const languageNames = new Map<string, string>()

function nameOfLanguage(lang: string): string {
  try {
    return new Intl.DisplayNames([lang], { type: 'language' }).of(lang) ?? lang
  } catch {
    return lang
  }
}
