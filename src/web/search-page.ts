import { type Context, Hono } from 'hono'
import { html, raw } from 'hono/html'
import { accept, type Refusal, refuse, type Verdict } from '../auth/verdict.ts'
import { councilMasthead } from './council-frame.ts'
import { councilPosts } from './council-posts.ts'
import { coverageNote } from './coverage.ts'
import { answerError, statusOf, wantsJson } from './errors.ts'
import { inLanguage } from './language.ts'
import { type Html, page } from './layout.ts'
import { homeUrl, spokeUrl, zonePageUrl } from './links.ts'
import { sendAged } from './page-age.ts'
import { shorten, showLanguage } from './plain-words.ts'
import { limitRate, type RateLimits } from './rate-limit.ts'
import {
  searchBox,
  searchDescriptionLink,
  searchDescriptionPath,
  searchPath,
} from './search-form.ts'
import type { Found, SearchOrder, SearchTerm, WebSpoke } from './spoke.ts'

/** Hits on one page of results; keeps it below 30 KB. */
const hitsPerPage = 20
/** Of what was asked for, in the title. */
const maxTitleCharacters = 30
/** A cursor is a word of ours that comes back by the reader's hand. */
export const maxCursorCharacters = 500

/** A question to the search, as its address has it. */
export type Question = {
  readonly text: string
  readonly order: SearchOrder
  readonly cursor: string | null
}

/**
 * `/search`: without `?q=` how to search, else what was found. These pages are made anew for each
 * question, and crawlers are asked to leave them alone.
 */
export function searchPages(spoke: WebSpoke, rates: RateLimits) {
  const limit = limitRate(spoke, rates, 'search')
  return new Hono()
    .get(
      searchPath,
      (c, next) => (c.req.query('q') === undefined ? next() : limit(c, next)),
      (c) => sendSearch(c, spoke),
    )
    .get(searchDescriptionPath, (c) => sendDescription(c, spoke))
}

async function sendSearch(c: Context, spoke: WebSpoke) {
  const { searchParams } = new URL(c.req.url)
  if (!searchParams.has('q')) {
    return c.html(searchPage(spoke, { text: '', order: 'newest', cursor: null }, null))
  }
  const question = readQuestion(searchParams)
  const found = question.ok ? await ask(spoke, question.value) : question
  if (found.ok && question.ok) return sendAged(c, searchPage(spoke, question.value, found.value))
  const { code, reason, retryMs } = found as Refusal
  if (wantsJson(c)) return answerError(c, spoke, code, reason, retryMs)
  if (retryMs !== undefined) c.header('Retry-After', String(Math.ceil(retryMs / 1_000)))
  c.header('Vary', 'Accept')
  // What was typed stays in the form.
  const typed = question.ok
    ? question.value
    : { text: shownText(searchParams), order: 'newest' as const, cursor: null }
  return c.html(searchPage(spoke, typed, { code, reason }), statusOf(code))
}

/**
 * Reads the address. Codes: QUERY_NOT_TEXT, QUERY_MALFORMED, SEARCH_CURSOR. Whether there is
 * anything to search for, and not too much, says the search itself.
 */
export function readQuestion(search: URLSearchParams): Verdict<Question> {
  const text = shownText(search)
  const order = search.get('order') ?? 'newest'
  const cursor = search.get('after')
  // Where the address holds bytes that are not UTF-8, half a pair of surrogates too, U+FFFD stands.
  if (text.includes('\u{FFFD}')) {
    const reason = 'What was asked for is not text in UTF-8. Type the words into the field again.'
    return refuse('QUERY_NOT_TEXT', reason)
  }
  if (order !== 'newest' && order !== 'best') {
    return refuse('QUERY_MALFORMED', 'Want ?order=newest or ?order=best.')
  }
  if (cursor !== null && (cursor === '' || cursor.length > maxCursorCharacters)) {
    const reason = 'The address of this page of results was cut or changed. Search again.'
    return refuse('SEARCH_CURSOR', reason)
  }
  return accept({ text, order, cursor })
}

/** What was typed, without characters that a page cannot hold. */
function shownText(search: URLSearchParams): string {
  return (search.get('q') ?? '').replace(/[\p{Cc}\p{Noncharacter_Code_Point}]/gu, ' ')
}

function ask(spoke: WebSpoke, { text, order, cursor }: Question) {
  return spoke.search({ query: text, order, cursor, limit: hitsPerPage })
}

type Answer = Found | Pick<Refusal, 'code' | 'reason'> | null

function searchPage(spoke: WebSpoke, question: Question, answer: Answer): Html {
  const words = question.text.trim()
  return page({
    title:
      words === '' ? `Search · ${spoke.zone}` : `${shorten(words, maxTitleCharacters)} · Search`,
    lang: 'en',
    canonical: null,
    head: html`
<meta name="robots" content="noindex">${searchDescriptionLink(spoke)}`,
    masthead: councilMasthead(spoke),
    main: html`<h1>Search</h1>
${searchBox(spoke, question)}
${answer === null ? '' : 'code' in answer ? refusal(answer) : results(spoke, question, answer)}
${howTo(answer !== null && !('code' in answer))}
<footer><p><a href="${homeUrl(spoke)}">Front page</a></p>
<p>Served by ${spoke.name}.</p></footer>`,
  })
}

function refusal({ code, reason }: Pick<Refusal, 'code' | 'reason'>): Html {
  return html`<div class="notice" role="alert"><p><strong>${reason}</strong></p>
<p><small>${statusOf(code)} ${code}</small></p></div>`
}

function results(spoke: WebSpoke, question: Question, found: Found): Html {
  const { hits, next, coverage, terms } = found
  const isFirst = question.cursor === null
  const none = isFirst ? 'Nothing was found.' : 'Nothing more was found.'
  const link = (after: string | null, words: string) =>
    html`<a href="${spokeUrl(spoke, resultsPath({ ...question, cursor: after }))}">${words}</a>`
  const links = [
    ...(isFirst ? [] : [link(null, 'First results')]),
    ...(next === null ? [] : [link(next, 'More results')]),
  ].map((each, index) => html`${index === 0 ? '' : ' · '}${each}`)
  return html`<h2>Found</h2>
<p>${termWords(terms)}</p>
${hits.length === 0 ? html`<p>${none}</p>` : councilPosts(spoke, hits)}
${links.length === 0 ? '' : html`<nav aria-label="Pages of results"><p>${links}</p></nav>`}
${coverageNote(coverage, spoke.now())}`
}

/** Path and query of a page of results. */
function resultsPath({ text, order, cursor }: Question): string {
  const query = new URLSearchParams({ q: text, order })
  if (cursor !== null) query.set('after', cursor)
  return `${searchPath}?${query}`
}

/** What was searched for, as it was understood. */
function termWords(terms: readonly SearchTerm[]): Html {
  const parts = terms.map(({ kind, text }, index) => {
    const comma = index === 0 ? '' : ', '
    switch (kind) {
      case 'word':
        return html`${comma}<bdi>${text}</bdi>`
      case 'phrase':
        return html`${comma}“<bdi>${text}</bdi>”`
      case 'blog':
        return html`${comma}in the blog <bdi>${text}</bdi>`
      case 'lang':
        return html`${comma}in <bdi ${inLanguage(text)}>${showLanguage(text)}</bdi>`
      case 'tag':
        return html`${comma}tagged <bdi>${text}</bdi>`
    }
    return comma
  })
  return html`Searched for: ${parts}.`
}

function howTo(isFolded: boolean): Html {
  const ways = html`<p>Posts that have all the words are found. Capital letters make no difference.</p>
<dl>
<dt><code>"right to rest"</code></dt><dd>these words one after the other</dd>
<dt><code>blog:maria</code></dt><dd>only in the blog maria</dd>
<dt><code>lang:es</code></dt><dd>only posts in Spanish</dd>
<dt><code>tag:plaza</code>, <code>tag:"plaza mayor"</code></dt><dd>only posts with this tag</dd>
</dl>`
  return isFolded
    ? html`<details>
<summary>How to search</summary>
${ways}
</details>`
    : html`<h2>How to search</h2>
${ways}`
}

/** OpenSearch 1.1. It is kept by browsers, so it names the zone, where any spoke answers. */
async function sendDescription(c: Context, spoke: WebSpoke) {
  const url = `${zonePageUrl(spoke, searchPath)}?q={searchTerms}`
  const xml = await html`${raw('<?xml version="1.0" encoding="UTF-8"?>')}
<OpenSearchDescription xmlns="http://a9.com/-/spec/opensearch/1.1/">
<ShortName>${spoke.zone.slice(0, 16)}</ShortName>
<Description>All blogs of ${spoke.zone}</Description>
<InputEncoding>UTF-8</InputEncoding>
<Url type="text/html" template="${url}"/>
</OpenSearchDescription>
`
  const type = 'application/opensearchdescription+xml; charset=utf-8'
  return c.body(String(xml), 200, { 'Content-Type': type })
}
