import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import type { BlogPost } from '../replication/log/blog.ts'
import type { RevokedKey } from '../replication/registry/revoked-keys.ts'
import { blogCard, blogMasthead, feedLinks, postCard, servedBy } from './blog-frame.ts'
import { type BlogEnv, openWith } from './blog-host.ts'
import { answerError } from './errors.ts'
import { feedList } from './feed-links.ts'
import { forkNotice } from './fork-notice.ts'
import { inLanguage } from './language.ts'
import { type Html, page } from './layout.ts'
import { blogUrl, editUrl, historyPath, postPath, tagPath, zoneUrl } from './links.ts'
import { lossNotice } from './loss-notice.ts'
import type { RenderCache } from './markdown.ts'
import { showCount, showFingerprint } from './plain-words.ts'
import { dayOf, postList, stretchOf } from './post-list.ts'
import { checkYourself, signedBy } from './provenance.ts'
import { revokedKeys, revokedNotice } from './revoked-notice.ts'
import type { OpenBlog, OpenEntry, WebSpoke } from './spoke.ts'

/** Posts on one page of the list; keeps it below 30 KB. */
const postsPerPage = 50

/** What readers see of a blog: `/`, the list, and `/<year>/<slug>`, a post. */
export function blogPages(spoke: WebSpoke, rendered: RenderCache) {
  return new Hono<BlogEnv>()
    .get('/', async (c) => {
      const { open } = c.var
      const revoked = await revokedKeys(spoke, open.blog)
      return c.html(listPage(spoke, rendered, open, revoked, c.req.query('before')))
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
  const revoked = await revokedKeys(spoke, open.blog)
  return c.html(postPage(spoke, open, post, entry, revoked, rendered.render(entry.entry.body)))
}

function listPage(
  spoke: WebSpoke,
  rendered: RenderCache,
  open: OpenBlog,
  revoked: readonly RevokedKey[],
  before: string | undefined,
): Html {
  const { blog } = open
  const { shown, older } = stretchOf(blog.posts(), postsPerPage, '/', before)
  const about = blog.about === '' ? '' : rendered.render(blog.about)
  return page({
    title: blog.title,
    lang: blog.lang,
    canonical: blogUrl(spoke, blog.name),
    head: html`${blogCard(spoke, blog)}${feedLinks(spoke, blog)}`,
    masthead: html`<p><a href="${zoneUrl(spoke)}">${spoke.zone}</a></p>`,
    main: html`<h1 ${inLanguage(blog.lang)}>${blog.title}</h1>
<div ${inLanguage(blog.lang)}>${about}</div>
${forkNotice(blog, spoke.forks(blog.name))}
${lossNotice(spoke, open, spoke.losses(blog.name))}
${revokedNotice(spoke, blog, revoked)}
${postList(shown)}
${older}
${listFooter(spoke, open)}`,
  })
}

function listFooter(spoke: WebSpoke, { blog, held }: OpenBlog): Html {
  return html`<footer ${inLanguage('en')}>
<p>${showCount(blog.postCount, 'post')}. The author signs with the key <code>${showFingerprint(blog.key)}</code>.</p>
<p>To keep or check: <a href="/key.asc">key</a>, <a href="/log.json">list of all entries</a>, <a href="/export.tar">everything in one file</a>.</p>
<nav aria-label="More of this blog">
<p><a href="/archive">All posts by year</a> · <a href="${editUrl(spoke, blog.name)}">For the author: write</a></p>
${feedList()}
</nav>
${servedBy(spoke, held)}
<p>Is the key stolen, lost or no longer used? Anybody who has its revocation can <a href="${editUrl(spoke, blog.name, '/revoke')}">hand it in</a>.</p>
</footer>`
}

function postPage(
  spoke: WebSpoke,
  open: OpenBlog,
  post: BlogPost,
  entry: OpenEntry,
  revoked: readonly RevokedKey[],
  body: Html,
): Html {
  const { title, lang, dateMs } = post.current
  const url = blogUrl(spoke, open.blog.name, postPath(post))
  return page({
    title: `${title} · ${open.blog.title}`,
    lang,
    canonical: url,
    head: html`${postCard(url, open.blog, post)}${feedLinks(spoke, open.blog)}`,
    masthead: blogMasthead(spoke, open.blog),
    main: html`<article ${inLanguage(lang)}>
<h1>${title}</h1>
${body}
</article>
${tagLine(post.current)}
<footer ${inLanguage('en')}>
${forkNotice(open.blog, spoke.forks(open.blog.name))}
${lossNotice(spoke, open, spoke.losses(open.blog.name))}
${revokedNotice(spoke, open.blog, revoked)}
<p>Dated ${dayOf(dateMs)}. ${signedBy(
      entry,
      revoked.find(({ key }) => key === entry.entry.key),
    )}.</p>
${checkYourself(spoke, entry)}
${historyLink(post)}
${servedBy(spoke, open.held)}
</footer>`,
  })
}

function tagLine({ tags, lang }: BlogPost['current']): Html {
  if (tags.length === 0) return html``
  const links = tags.map((tag) => {
    const path = tagPath(tag)
    const word = html`<span ${inLanguage(lang)}>${tag}</span>`
    return path === null ? word : html`<a href="${path}" rel="tag">${word}</a>`
  })
  return html`<nav aria-label="Tags" ${inLanguage('en')}>
<p>${links.map((link, index) => html`${index === 0 ? '' : ' · '}${link}`)}</p>
</nav>`
}

function historyLink({ revisions, slug }: BlogPost): Html {
  return revisions.length === 1
    ? html``
    : html`<p>This is version ${revisions.length}: <a href="${historyPath(slug)}">all versions and what changed</a>.</p>`
}

/** What stands in place of a post that its author took back, at each address of it. */
export function removedPage(spoke: WebSpoke, open: OpenBlog, post: BlogPost): Html {
  return page({
    title: `Removed · ${open.blog.title}`,
    lang: 'en',
    canonical: null,
    masthead: blogMasthead(spoke, open.blog),
    main: html`<h1>Removed</h1>
<p>This post was removed by its author on ${dayOf(post.retracted?.dateMs ?? 0)}.</p>
<p>What was signed stays in the <a href="/log.json">list of all entries</a>, so that nobody can remove it for the author.</p>
${signedTexts(post.revisions)}
<p>For the author: <a href="${editUrl(spoke, open.blog.name, `/write?slug=${post.slug}`)}">bring it back</a></p>`,
  })
}

function signedTexts(revisions: BlogPost['revisions']): Html {
  const items = revisions.map(
    ({
      seq,
      dateMs,
    }) => html`<li><a href="/log/${seq}.txt">${dayOf(dateMs)}</a> (<a href="/log/${seq}.txt.asc">signature</a>)</li>
`,
  )
  return html`<p>Its versions:</p>
<ul>
${items}</ul>`
}
