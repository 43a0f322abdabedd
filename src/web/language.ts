import { html } from 'hono/html'

const rightToLeft = new Set(
  'Adlm Arab Aran Armi Avst Hebr Mand Mani Mend Narb Nbat Nkoo Palm Phli Phlp Rohg Samr Sarb Sogd Syrc Thaa Yezi'.split(
    ' ',
  ),
)

/** Languages of which the direction is remembered: asking costs more than the line it stands in. */
const maxLanguages = 1_000
const directions = new Map<string, 'ltr' | 'rtl'>()

/** Writing direction of a language tag, by its script; `auto` when the language is not known. */
export function directionOf(lang: string | null): 'ltr' | 'rtl' | 'auto' {
  if (lang === null) return 'auto'
  const known = directions.get(lang)
  if (known !== undefined) return known
  const { script } = new Intl.Locale(lang).maximize()
  const direction = script !== undefined && rightToLeft.has(script) ? 'rtl' : 'ltr'
  if (directions.size >= maxLanguages) directions.clear()
  directions.set(lang, direction)
  return direction
}

/** The attributes of an element that holds words in `lang`. */
export function inLanguage(lang: string | null) {
  return lang === null ? html`dir="auto"` : html`lang="${lang}" dir="${directionOf(lang)}"`
}
