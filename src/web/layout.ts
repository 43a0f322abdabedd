import { createHash } from 'node:crypto'
import { html, raw } from 'hono/html'
import type { HtmlEscapedString } from 'hono/utils/html'
import { inLanguage } from './language.ts'
import type { LinkSource } from './links.ts'
import { shorten } from './plain-words.ts'
import { stylesheet } from './stylesheet.ts'

export type Html = HtmlEscapedString | Promise<HtmlEscapedString>

const styleHash = createHash('sha256').update(stylesheet).digest('base64')

/**
 * Nothing is loaded, nothing runs, nobody frames a page (DESIGN 6). A form may lead to another host
 * of the zone: after a login on a spoke's host the author is sent on to where she writes.
 */
export function contentSecurityPolicy(spoke: Pick<LinkSource, 'origin' | 'zone'>): string {
  return [
    `default-src 'none'`,
    `style-src 'sha256-${styleHash}'`,
    `img-src 'none'`,
    `form-action 'self' ${spoke.origin(spoke.zone)} ${spoke.origin(`*.${spoke.zone}`)}`,
    `frame-ancestors 'none'`,
    `base-uri 'none'`,
  ].join('; ')
}

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
<title>${shorten(parts.title, maxTitleCharacters)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">${link}${parts.head ?? ''}
${raw(`<style>${stylesheet}</style>`)}
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
