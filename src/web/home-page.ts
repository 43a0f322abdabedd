import { Hono } from 'hono'
import { html } from 'hono/html'
import { accountLinks, councilMasthead } from './council-frame.ts'
import { keyHelpPath } from './help-page.ts'
import { inLanguage } from './language.ts'
import { type Html, page } from './layout.ts'
import { blogUrl, postPath, spokeUrl, zoneUrl } from './links.ts'
import { showCount, showDay } from './plain-words.ts'
import type { HomeBlog, HomePost, WebSpoke } from './spoke.ts'

/** The front page of one spoke: the blogs it holds and their newest posts. */
export function homePages(spoke: WebSpoke) {
  return new Hono().get('/', async (c) => {
    const { blogs, newest } = await spoke.home()
    return c.html(homePage(spoke, blogs, newest))
  })
}

function homePage(spoke: WebSpoke, blogs: readonly HomeBlog[], newest: readonly HomePost[]): Html {
  const waiting =
    spoke.council() === null
      ? html`<p>This server has not joined its council yet. Come back in a minute.</p>`
      : ''
  return page({
    title: spoke.zone,
    lang: 'en',
    canonical: zoneUrl(spoke),
    masthead: councilMasthead(spoke),
    main: html`<h1>${spoke.zone}</h1>
<p>Many groups run these blogs together. No single one of them can change or delete what an author signs.</p>${waiting}
${accountLinks(spoke)}
<h2>Newest posts</h2>
${postList(spoke, newest)}
<h2>Blogs</h2>
${blogList(spoke, blogs)}
<footer><p>Served by ${spoke.name}: these are the blogs that it keeps and their posts.</p>
<p><a href="${spokeUrl(spoke, '/acts')}">What this council decided: public acts</a></p>
<p><a href="${spokeUrl(spoke, keyHelpPath)}">Help with keys: make, back up, revoke</a></p>
<p><a href="${spokeUrl(spoke, '/revoke')}">Hand in the revocation of a key</a></p></footer>`,
  })
}

function postList(spoke: WebSpoke, posts: readonly HomePost[]): Html {
  if (posts.length === 0) return html`<p>No posts yet.</p>`
  const items = posts.map(
    (
      post,
    ) => html`<li><a ${inLanguage(post.lang)} href="${blogUrl(spoke, post.blog, postPath(post))}">${post.title}</a> <small>${post.blog}, first seen <time datetime="${new Date(post.seenMs).toISOString()}">${showDay(post.seenMs)}</time></small></li>
`,
  )
  return html`<ol>
${items}</ol>`
}

function blogList(spoke: WebSpoke, blogs: readonly HomeBlog[]): Html {
  if (blogs.length === 0) {
    return html`<p>No blogs yet.</p>`
  }
  const items = blogs.map(
    ({
      blog,
      title,
      lang,
      posts,
    }) => html`<li><a ${inLanguage(lang)} href="${blogUrl(spoke, blog)}">${title}</a> <small>${blog}, ${showCount(posts, 'post')}</small></li>
`,
  )
  return html`<ul>
${items}</ul>`
}
