import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import { isLanguageTag } from '../replication/log/entry.ts'
import { accountLinks, councilMasthead } from './council-frame.ts'
import { councilPosts } from './council-posts.ts'
import { coverageNote } from './coverage.ts'
import { answerError } from './errors.ts'
import { alternateFeeds, feedList } from './feed-links.ts'
import { keyHelpPath } from './help-page.ts'
import { inLanguage } from './language.ts'
import { type Html, page } from './layout.ts'
import { type LinkSource, langPath, noLanguage, spokeUrl, zonePageUrl } from './links.ts'
import { sendAged } from './page-age.ts'
import { showLanguage } from './plain-words.ts'
import { limitRate, type RateLimits } from './rate-limit.ts'
import { searchBox, searchDescriptionLink } from './search-form.ts'
import type { CouncilPost, Coverage, WebSpoke } from './spoke.ts'

/** Posts on the front page, of all languages or of one. */
const frontPosts = 20

/** What the front page shows of one language, or of all. */
type Shown = {
  readonly lang: string | null
  readonly posts: readonly CouncilPost[]
  readonly coverage: Coverage
}

/**
 * `/`: the newest posts of the council, from memory, and with `?lang=` those of one language, which
 * is a search.
 */
export function homePages(spoke: WebSpoke, rates: RateLimits) {
  const limit = limitRate(spoke, rates, 'search')
  return new Hono()
    .get(
      '/',
      (c, next) => (c.req.query('lang') === undefined ? next() : limit(c, next)),
      (c) => sendFront(c, spoke),
    )
    .get('/lang/:lang', (c) => leadToLanguage(c, spoke))
}

/** Feeds of a language stand below `/lang/`, and people cut their addresses. */
function leadToLanguage(c: Context, spoke: WebSpoke) {
  const lang = c.req.param('lang') ?? ''
  return isLanguageTag(lang)
    ? c.redirect(languagePath(lang), 308)
    : answerError(c, spoke, 'PAGE_NOT_FOUND', noLanguage)
}

async function sendFront(c: Context, spoke: WebSpoke) {
  const front = await spoke.front()
  const lang = c.req.query('lang')
  const languages = languagesOf(front.posts)
  if (lang === undefined) return c.html(frontPage(spoke, languages, { lang: null, ...front }))
  if (!isLanguageTag(lang)) {
    const reason = 'Want ?lang= with a language tag like es, pt-BR or zh-Hans.'
    return answerError(c, spoke, 'QUERY_MALFORMED', reason)
  }
  const found = await spoke.search({
    query: { lang },
    ...{ order: 'newest', cursor: null, limit: frontPosts },
  })
  if (!found.ok) return answerError(c, spoke, found.code, found.reason, found.retryMs)
  const { hits, coverage } = found.value
  const posts = hits.map(({ snippet: _, ...post }) => post)
  return sendAged(c, frontPage(spoke, languages, { lang, posts, coverage }))
}

/** Languages that occur, in the order of their tags. */
function languagesOf(posts: readonly CouncilPost[]): readonly string[] {
  const found = new Set(posts.flatMap(({ lang }) => (lang === null ? [] : [lang])))
  return [...found].sort((a, b) => (a < b ? -1 : 1))
}

function frontPage(
  spoke: WebSpoke,
  languages: readonly string[],
  { lang, posts, coverage }: Shown,
): Html {
  const waiting =
    spoke.council() === null
      ? html`<p>This server has not joined its council yet. Come back in a minute.</p>`
      : ''
  const feedUrl = (path: string) => zonePageUrl(spoke, lang === null ? path : langPath(lang) + path)
  const language =
    lang === null ? '' : html` in <bdi ${inLanguage(lang)}>${showLanguage(lang)}</bdi>`
  return page({
    title: lang === null ? spoke.zone : `${showLanguage(lang)} · ${spoke.zone}`,
    lang: 'en',
    canonical: zonePageUrl(spoke, lang === null ? '/' : languagePath(lang)),
    head: html`${alternateFeeds(feedUrl)}${searchDescriptionLink(spoke)}`,
    masthead: councilMasthead(spoke),
    main: html`<h1>${spoke.zone}</h1>
${searchBox(spoke)}
<p>Many groups run these blogs together. No single one of them can change or delete what an author signs.</p>${waiting}
${accountLinks(spoke)}
<h2>Newest posts${language}</h2>
${languageLinks(spoke, languages, lang)}
${posts.length === 0 ? html`<p>No posts yet.</p>` : councilPosts(spoke, posts)}
${coverageNote(coverage, spoke.now())}
<footer>${feedList(feedUrl)}
<p>Served by ${spoke.name}.</p>
<p><a href="${spokeUrl(spoke, '/acts')}">What this council decided: public acts</a></p>
<p><a href="${spokeUrl(spoke, keyHelpPath)}">Help with keys: make, back up, revoke</a></p>
<p><a href="${spokeUrl(spoke, '/revoke')}">Hand in the revocation of a key</a></p></footer>`,
  })
}

const languagePath = (lang: string) => `/?lang=${lang}`

function languageLinks(
  spoke: LinkSource,
  languages: readonly string[],
  shown: string | null,
): Html {
  const choices = shown === null || languages.includes(shown) ? languages : [...languages, shown]
  if (choices.length === 0 || (choices.length === 1 && shown === null)) return html``
  const links = choices.map((lang) =>
    lang === shown
      ? html` · <strong ${inLanguage(lang)}>${showLanguage(lang)}</strong>`
      : html` · <a ${inLanguage(lang)} hreflang="${lang}" href="${spokeUrl(spoke, languagePath(lang))}">${showLanguage(lang)}</a>`,
  )
  const all =
    shown === null
      ? html`<strong>All languages</strong>`
      : html`<a href="${spokeUrl(spoke, '/')}">All languages</a>`
  return html`<nav aria-label="Languages"><p>${all}${links}</p></nav>`
}
