import { Hono } from 'hono'
import { html, raw } from 'hono/html'
import { accept, type Verdict } from '../auth/verdict.ts'
import { councilMasthead } from './council-frame.ts'
import { coverageNote } from './coverage.ts'
import { answerError } from './errors.ts'
import { inLanguage } from './language.ts'
import { type Html, page } from './layout.ts'
import { blogUrl, feedPaths, homeUrl, spokeUrl, zonePageUrl } from './links.ts'
import { sendAged } from './page-age.ts'
import { showCount } from './plain-words.ts'
import { limitRate, type RateLimits } from './rate-limit.ts'
import type { HomeBlog, ListedBlogs, WebSpoke } from './spoke.ts'

/** Blogs in the OPML file, by name; a feed reader has no use for more. */
const maxOpmlBlogs = 10_000
/** Pages of the list that are read for it: of some no blog may be left. */
const maxOpmlPages = 1_000
/** A cursor is a word of ours that comes back by the reader's hand. */
const maxCursorCharacters = 100

const blogsPath = '/blogs'
const opmlPath = '/blogs.opml'

/** `/blogs`, all blogs of the council by name, and `/blogs.opml`, the same for feed readers. */
export function allBlogsPages(spoke: WebSpoke, rates: RateLimits) {
  return new Hono()
    .get(blogsPath, async (c) => {
      const after = c.req.query('after') ?? null
      if (after !== null && after.length > maxCursorCharacters) {
        const reason = 'Want ?after=<blog>, as the link to more blogs has it.'
        return answerError(c, spoke, 'QUERY_MALFORMED', reason)
      }
      const listed = await spoke.councilBlogs(after)
      if (!listed.ok) return answerError(c, spoke, listed.code, listed.reason, listed.retryMs)
      return sendAged(c, blogsPage(spoke, after, listed.value))
    })
    .get(opmlPath, limitRate(spoke, rates, 'search'), async (c) => {
      const blogs = await manyBlogs(spoke)
      if (!blogs.ok) return answerError(c, spoke, blogs.code, blogs.reason, blogs.retryMs)
      const xml = await opmlOf(spoke, blogs.value)
      return c.body(String(xml), 200, { 'Content-Type': 'text/x-opml; charset=utf-8' })
    })
}

function blogsPage(
  spoke: WebSpoke,
  after: string | null,
  { blogs, next, coverage, checked }: ListedBlogs,
): Html {
  const ended = after === null ? 'No blogs yet.' : 'There are no more blogs.'
  const none = next === null ? ended : 'None on this page.'
  const more =
    next === null
      ? ''
      : html`<p><a href="${spokeUrl(spoke, `${blogsPath}?after=${encodeURIComponent(next)}`)}">More blogs</a></p>`
  return page({
    title: `All blogs · ${spoke.zone}`,
    lang: 'en',
    canonical: after === null ? zonePageUrl(spoke, blogsPath) : null,
    masthead: councilMasthead(spoke),
    main: html`<h1>All blogs</h1>
${blogs.length === 0 ? html`<p>${none}</p>` : blogList(spoke, blogs)}
${more}
${coverageNote(coverage, spoke.now())}
${coverage.kind === 'own' || coverage.by === spoke.name ? '' : saidBy(spoke, coverage.by, checked)}
<footer><p>To follow all of them in a feed reader: <a href="${zonePageUrl(spoke, opmlPath)}">OPML</a>.</p>
<p><a href="${homeUrl(spoke)}">Front page</a></p>
<p>Served by ${spoke.name}.</p></footer>`,
  })
}

/** What nobody has signed in this form. */
const saidBy = (spoke: WebSpoke, by: string, checked: number) =>
  html`<p><small>Titles and numbers of posts are as ${by} says them${checked === 0 ? '' : `, but for ${showCount(checked, 'blog')} of this page that ${spoke.name} keeps`}. What a blog’s own pages show its author has signed.</small></p>`

function blogList(spoke: WebSpoke, blogs: readonly HomeBlog[]): Html {
  const items = blogs.map(
    ({
      blog,
      title,
      lang,
      posts,
    }) => html`<li ${inLanguage(lang)}><a href="${blogUrl(spoke, blog)}">${title}</a> <small ${inLanguage('en')}>${blog}, ${showCount(posts, 'post')}</small></li>
`,
  )
  return html`<ul>
${items}</ul>`
}

async function manyBlogs(spoke: WebSpoke): Promise<Verdict<readonly HomeBlog[]>> {
  const blogs: HomeBlog[] = []
  let after: string | null = null
  for (let pages = 0; pages < maxOpmlPages; pages++) {
    const listed: Verdict<ListedBlogs> = await spoke.councilBlogs(after)
    // Half a list would look to a feed reader as if the other blogs were gone.
    if (!listed.ok) return listed
    blogs.push(...listed.value.blogs)
    const { next } = listed.value
    // A list that does not rise is another server's lie; it would go on for ever.
    if (next === null || next <= (after ?? '') || blogs.length >= maxOpmlBlogs) break
    after = next
  }
  return accept(blogs.slice(0, maxOpmlBlogs))
}

/** OPML 2.0 (opml.org/spec2.opml): a subscription list, each blog with its feed. */
async function opmlOf(spoke: WebSpoke, blogs: readonly HomeBlog[]) {
  const outlines = blogs.map(({ blog, title, lang }) => {
    const language = lang === null ? '' : html` language="${lang}"`
    return html`<outline type="rss" text="${title}" title="${title}"${language} xmlUrl="${blogUrl(spoke, blog, feedPaths.atom)}" htmlUrl="${blogUrl(spoke, blog)}"/>
`
  })
  return html`${raw('<?xml version="1.0" encoding="UTF-8"?>')}
<opml version="2.0">
<head><title>All blogs of ${spoke.zone}</title></head>
<body>
${outlines}</body>
</opml>
`
}
