import { html } from 'hono/html'

const rightToLeft = new Set(
  'Adlm Arab Aran Armi Avst Hebr Mand Mani Mend Narb Nbat Nkoo Palm Phli Phlp Rohg Samr Sarb Sogd Syrc Thaa Yezi'.split(
    ' ',
  ),
)

/** Writing direction of a language tag, by its script; `auto` when the language is not known. */
export function directionOf(lang: string | null): 'ltr' | 'rtl' | 'auto' {
  if (lang === null) return 'auto'
  const { script } = new Intl.Locale(lang).maximize()
  return script !== undefined && rightToLeft.has(script) ? 'rtl' : 'ltr'
}

/** The attributes of an element that holds words in `lang`. */
export function inLanguage(lang: string | null) {
  return lang === null ? html`dir="auto"` : html`lang="${lang}" dir="${directionOf(lang)}"`
}
