import { createHash } from 'node:crypto'
import { html, raw } from 'hono/html'
import type { HtmlEscapedString } from 'hono/utils/html'
import { inLanguage } from './language.ts'

export type Html = HtmlEscapedString | Promise<HtmlEscapedString>

// Long words, tables and code must fit a phone: words break, tables and code scroll in themselves.
const style = `
:root { color-scheme: light dark }
body { margin: 0 auto; max-width: 42rem; padding: 1rem; font: 1.05rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { line-height: 1.2 }
article { margin-block: 2rem }
pre, table { display: block; max-width: 100%; overflow-x: auto }
pre { padding: .75rem; border: 1px solid; overflow-wrap: normal }
th, td { padding: .2rem .6rem; border: 1px solid; text-align: start; overflow-wrap: normal }
blockquote { margin-inline: 0; padding-inline-start: 1rem; border-inline-start: 3px solid }
a { display: inline-block; min-height: 24px }
p a, td a { display: inline }
li { margin-block: .4rem }
small, footer { font-size: .9rem }
select, button, input, textarea { min-height: 24px; max-width: 100%; box-sizing: border-box; font: inherit }
.compared { white-space: pre-wrap }
@media print {
  header, nav, form, details { display: none }
  a { color: inherit; text-decoration: none }
}
`
const styleHash = createHash('sha256').update(style).digest('base64')

/** Nothing is loaded, nothing runs, nobody frames a page (DESIGN 6). */
export const contentSecurityPolicy = [
  `default-src 'none'`,
  `style-src 'sha256-${styleHash}'`,
  `img-src 'none'`,
  `form-action 'self'`,
  `frame-ancestors 'none'`,
  `base-uri 'none'`,
].join('; ')

/** Browsers and search engines cut longer ones; the heading holds the whole title. */
const maxTitleCharacters = 70

/**
 * The shell of every page: valid HTML5, one small style, no script.
 *
 * @param lang - language of `title` and `main`, null when not known. The council's own words are
 *   English, so parts of `main` in other hands' words mark the ones that are not in `lang`.
 * @param canonical - absolute address of the page, null for pages that nobody should keep
 * @param masthead - link home, in English
 * @param head - further elements of the head: feeds, what a shared link shows
 */
export function page(parts: {
  readonly title: string
  readonly lang: string | null
  readonly canonical: string | null
  readonly masthead: Html
  readonly main: Html
  readonly head?: Html
}): Html {
  const { canonical } = parts
  const link = canonical === null ? '' : html`<link rel="canonical" href="${canonical}">`
  return html`<!DOCTYPE html>
<html ${inLanguage(parts.lang ?? 'en')}>
<head>
<meta charset="utf-8">
<title>${shorten(parts.title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">${link}${parts.head ?? ''}
${raw(`<style>${style}</style>`)}
</head>
<body>
<header ${inLanguage('en')}>${parts.masthead}</header>
<main>
${parts.main}
</main>
</body>
</html>
`
}

function shorten(title: string): string {
  const characters = [...title]
  return characters.length <= maxTitleCharacters
    ? title
    : `${characters
        .slice(0, maxTitleCharacters - 1)
        .join('')
        .trimEnd()}…`
}
