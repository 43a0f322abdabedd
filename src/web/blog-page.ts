import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import type { Blog, BlogPost } from '../replication/log/blog.ts'
import { type BlogEnv, openWith } from './blog-host.ts'
import { answerError } from './errors.ts'
import { inLanguage } from './language.ts'
import { type Html, page } from './layout.ts'
import { blogUrl, postPath, zoneUrl } from './links.ts'
import type { RenderCache } from './markdown.ts'
import { showCount, showDay, showFingerprint } from './plain-words.ts'
import { checkYourself, signedBy } from './provenance.ts'
import type { OpenBlog, OpenEntry, WebSpoke } from './spoke.ts'

/** Posts on one page of the list; keeps it below 30 KB. */
const postsPerPage = 50

/** What readers see of a blog: `/`, the list, and `/<year>/<slug>`, a post. */
export function blogPages(spoke: WebSpoke, rendered: RenderCache) {
  return new Hono<BlogEnv>()
    .get('/', (c) => {
      const seq = /^[0-9]{1,15}$/.exec(c.req.query('before') ?? '')
      const before = seq === null ? Number.POSITIVE_INFINITY : Number(seq[0])
      return c.html(listPage(spoke, rendered, c.var.open, before))
    })
    .get('/:year{[0-9]{4}}/:slug', (c) => showPost(c, spoke, rendered))
}

async function showPost(c: Context<BlogEnv>, spoke: WebSpoke, rendered: RenderCache) {
  const slug = c.req.param('slug') ?? ''
  const open = await openWith(c, (blog) => blog.post(slug) !== null)
  const post = open.blog.post(slug)
  if (post === null) {
    const reason = `${open.blog.name} has no post at this address.`
    return answerError(c, spoke, 'PAGE_NOT_FOUND', reason)
  }
  // The year is part of the address so that it reads well; only one is right (DESIGN 6).
  if (c.req.param('year') !== String(post.year)) return c.redirect(postPath(post), 308)
  if (post.retracted !== null) return c.html(removedPage(spoke, open, post), 410)
  const entry = await open.entry(post.current.seq)
  if (entry === null) {
    const reason = 'None of the servers that keep this post answers now. Try again in a minute.'
    return answerError(c, spoke, 'ENTRY_UNREACHABLE', reason)
  }
  return c.html(postPage(spoke, open, post, entry, rendered.render(entry.entry.body)))
}

function listPage(spoke: WebSpoke, rendered: RenderCache, open: OpenBlog, before: number): Html {
  const { blog } = open
  const all = blog.posts()
  const from = all.findIndex((post) => firstSeq(post) < before)
  const shown = from < 0 ? [] : all.slice(from, from + postsPerPage)
  const last = shown.at(-1)
  const older =
    last !== undefined && last !== all.at(-1)
      ? html`<p ${inLanguage('en')}><a href="/?before=${firstSeq(last)}">Older posts</a></p>`
      : ''
  const about = blog.about === '' ? '' : rendered.render(blog.about)
  return page({
    title: blog.title,
    lang: blog.lang,
    canonical: blogUrl(spoke, blog.name),
    masthead: html`<p><a href="${zoneUrl(spoke)}">${spoke.zone}</a></p>`,
    main: html`<h1 ${inLanguage(blog.lang)}>${blog.title}</h1>
<div ${inLanguage(blog.lang)}>${about}</div>
${postList(shown)}
${older}
${listFooter(spoke, open)}`,
  })
}

function postList(posts: readonly BlogPost[]): Html {
  if (posts.length === 0) return html`<p ${inLanguage('en')}>No posts yet.</p>`
  const items = posts.map(
    (
      post,
    ) => html`<li><a ${inLanguage(post.current.lang)} href="${postPath(post)}">${post.current.title}</a> <small ${inLanguage('en')}>${dayOf(post.revisions[0]?.dateMs ?? post.current.dateMs)}</small></li>
`,
  )
  return html`<ul>
${items}</ul>`
}

function listFooter(spoke: WebSpoke, { blog, held }: OpenBlog): Html {
  return html`<footer ${inLanguage('en')}>
<p>${showCount(blog.postCount, 'post')}. The author signs with the key <code>${showFingerprint(blog.key)}</code>.</p>
<p>To keep or check: <a href="/key.asc">key</a>, <a href="/log.json">list of all entries</a>, <a href="/export.tar">everything in one file</a>.</p>
${servedBy(spoke, held)}
</footer>`
}

function postPage(
  spoke: WebSpoke,
  open: OpenBlog,
  post: BlogPost,
  entry: OpenEntry,
  body: Html,
): Html {
  const { title, lang, tags, dateMs } = post.current
  const tagLine = tags.length === 0 ? '' : html`<p ${inLanguage(lang)}>${tags.join(' · ')}</p>`
  return page({
    title: `${title} · ${open.blog.title}`,
    lang,
    canonical: blogUrl(spoke, open.blog.name, postPath(post)),
    masthead: blogMasthead(spoke, open.blog),
    main: html`<article ${inLanguage(lang)}>
<h1>${title}</h1>
${body}
${tagLine}
</article>
<footer ${inLanguage('en')}>
<p>Dated ${dayOf(dateMs)}. ${signedBy(entry)}.</p>
${checkYourself(spoke, entry)}
${olderRevisions(post.revisions.slice(0, -1))}
${servedBy(spoke, open.held)}
</footer>`,
  })
}

function removedPage(spoke: WebSpoke, open: OpenBlog, post: BlogPost): Html {
  return page({
    title: `Removed · ${open.blog.title}`,
    lang: 'en',
    canonical: null,
    masthead: blogMasthead(spoke, open.blog),
    main: html`<h1>Removed</h1>
<p>This post was removed by its author on ${dayOf(post.retracted?.dateMs ?? 0)}.</p>
<p>What was signed stays in the <a href="/log.json">list of all entries</a>, so that nobody can remove it for the author.</p>
${olderRevisions(post.revisions)}`,
  })
}

function olderRevisions(revisions: BlogPost['revisions']): Html {
  if (revisions.length === 0) return html``
  const items = revisions.map(
    ({
      seq,
      dateMs,
    }) => html`<li><a href="/log/${seq}.txt">${dayOf(dateMs)}</a> (<a href="/log/${seq}.txt.asc">signature</a>)</li>
`,
  )
  return html`<p>Earlier versions:</p>
<ul>
${items}</ul>`
}

function blogMasthead(spoke: WebSpoke, blog: Blog): Html {
  return html`<p><a href="/" ${inLanguage(blog.lang)}>${blog.title}</a> · <a href="${zoneUrl(spoke)}">${spoke.zone}</a></p>`
}

function servedBy(spoke: WebSpoke, held: boolean): Html {
  const how = held ? 'which keeps a copy' : 'which fetched it from a server that keeps a copy'
  return html`<p>Served by ${spoke.name}, ${how}.</p>`
}

function dayOf(ms: number): Html {
  return html`<time datetime="${new Date(ms).toISOString()}">${showDay(ms)}</time>`
}

function firstSeq(post: BlogPost): number {
  return (post.revisions[0] ?? post.current).seq
}
