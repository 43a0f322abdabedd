import { html } from 'hono/html'

const rightToLeft = new Set(
  'Adlm Arab Aran Armi Avst Hebr Mand Mani Mend Narb Nbat Nkoo Palm Phli Phlp Rohg Samr Sarb Sogd Syrc Thaa Yezi'.split(
    ' ',
  ),
)

/** Languages of which the direction is remembered: asking costs more than the line it stands in. */
const maxLanguages = 1_000
const directions = new Map<string, 'ltr' | 'rtl'>()

/** Writing direction of a language tag, by its script; `auto` when the language is not known or none. */
export function directionOf(lang: string | null): 'ltr' | 'rtl' | 'auto' {
  if (lang === null) return 'auto'
  const known = directions.get(lang)
  if (known !== undefined) return known
  const script = scriptOf(lang)
  if (script === null) return 'auto'
  const direction = script !== undefined && rightToLeft.has(script) ? 'rtl' : 'ltr'
  if (directions.size >= maxLanguages) directions.clear()
  directions.set(lang, direction)
  return direction
}

/** undefined for a language without a usual script; null when the tag is none: somebody typed it. */
function scriptOf(lang: string): string | undefined | null {
  try {
    return new Intl.Locale(lang).maximize().script
  } catch {
    return null
  }
}

/** The attributes of an element that holds words in `lang`; what is no language tag is left out. */
export function inLanguage(lang: string | null) {
  const direction = directionOf(lang)
  return direction === 'auto' ? html`dir="auto"` : html`lang="${lang}" dir="${direction}"`
}
