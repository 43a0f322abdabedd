import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import { isTag } from '../replication/log/entry.ts'
import { councilMasthead } from './council-frame.ts'
import { councilPosts } from './council-posts.ts'
import { coverageNote } from './coverage.ts'
import { answerError } from './errors.ts'
import { alternateFeeds, feedList } from './feed-links.ts'
import { type Html, page } from './layout.ts'
import { homeUrl, spokeUrl, tagPath, zonePageUrl } from './links.ts'
import { sendAged } from './page-age.ts'
import { limitRate, type RateLimits } from './rate-limit.ts'
import { maxCursorCharacters } from './search-page.ts'
import type { Found, WebSpoke } from './spoke.ts'

/** Posts on one page of a tag; keeps it below 30 KB. */
const taggedPerPage = 20

/** `/tag/<tag>`, percent-encoded: the posts of all blogs that have the tag, which is a search. */
export function councilTagPages(spoke: WebSpoke, rates: RateLimits) {
  return new Hono().get('/tag/:tag', limitRate(spoke, rates, 'search'), (c) => sendTag(c, spoke))
}

async function sendTag(c: Context, spoke: WebSpoke) {
  const tag = c.req.param('tag') ?? ''
  const path = tagPath(tag)
  const cursor = c.req.query('after') ?? null
  if (path === null || !isTag(tag)) {
    const reason = 'No post can have this tag. Look at the spelling of the address.'
    return answerError(c, spoke, 'PAGE_NOT_FOUND', reason)
  }
  if (cursor !== null && (cursor === '' || cursor.length > maxCursorCharacters)) {
    const reason = 'The address of this page was cut or changed. Begin at the newest posts.'
    return answerError(c, spoke, 'SEARCH_CURSOR', reason)
  }
  const asked = { query: { tag }, order: 'newest', cursor, limit: taggedPerPage } as const
  const found = await spoke.search(asked)
  if (!found.ok) return answerError(c, spoke, found.code, found.reason, found.retryMs)
  if (found.value.hits.length === 0 && cursor === null) {
    const { coverage } = found.value
    const where =
      coverage.kind === 'own'
        ? ` This server looked only in the blogs that it keeps, because ${coverage.reason}.`
        : ''
    return answerError(c, spoke, 'PAGE_NOT_FOUND', `No post has this tag.${where}`)
  }
  return sendAged(c, tagPage(spoke, { tag, path, isFirst: cursor === null }, found.value))
}

function tagPage(
  spoke: WebSpoke,
  { tag, path, isFirst }: { tag: string; path: string; isFirst: boolean },
  { hits, next, coverage }: Found,
): Html {
  const feedUrl = (feed: string) => zonePageUrl(spoke, path + feed)
  const older =
    next === null
      ? ''
      : html`<p><a href="${spokeUrl(spoke, `${path}?after=${encodeURIComponent(next)}`)}">Older posts</a></p>`
  const posts = hits.map(({ snippet: _, ...post }) => post)
  return page({
    title: `${tag} · ${spoke.zone}`,
    lang: 'en',
    canonical: isFirst ? zonePageUrl(spoke, path) : null,
    head: alternateFeeds(feedUrl),
    masthead: councilMasthead(spoke),
    main: html`<h1>Posts tagged <bdi>${tag}</bdi></h1>
${posts.length === 0 ? html`<p>There are no older posts.</p>` : councilPosts(spoke, posts)}
${older}
${coverageNote(coverage, spoke.now())}
<footer>${feedList(feedUrl)}
<p><a href="${homeUrl(spoke)}">Front page</a></p>
<p>Served by ${spoke.name}.</p></footer>`,
  })
}
