import { Hono } from 'hono'
import { html } from 'hono/html'
import { type BlogName, parseBlogName } from '../replication/log/entry.ts'
import { answerError } from './errors.ts'
import { type Html, page } from './layout.ts'
import { blogUrl, editUrl, zoneUrl } from './links.ts'
import type { WebSpoke } from './spoke.ts'

/** The edit host in the form that the council chose: how to publish with the command. */
export function editPages(spoke: WebSpoke) {
  return new Hono().get('/', (c) => {
    const blog = parseBlogName(c.req.param('blog') ?? '')
    return blog === null
      ? answerError(c, spoke, 'BLOG_UNKNOWN', 'There is no such blog.')
      : c.html(editPage(spoke, blog))
  })
}

/** The edit host in the other form: it sends browsers to the canonical one, for ever. */
export function movedEditPages(spoke: WebSpoke) {
  return new Hono().get('*', (c) => {
    const blog = parseBlogName(c.req.param('blog') ?? '')
    const { pathname, search } = new URL(c.req.url)
    return blog === null
      ? answerError(c, spoke, 'BLOG_UNKNOWN', 'There is no such blog.')
      : c.redirect(editUrl(spoke, blog, pathname + search), 308)
  })
}

function editPage(spoke: WebSpoke, blog: BlogName): Html {
  const url = blogUrl(spoke, blog)
  return page({
    title: `Write for ${blog}`,
    lang: 'en',
    canonical: editUrl(spoke, blog),
    masthead: html`<p><a href="${zoneUrl(spoke)}">${spoke.zone}</a></p>`,
    main: html`<h1>Write for ${blog}</h1>
<p>Posts are signed on your own computer, with your own key. With the program and gpg:</p>
<pre><code>./council publish post.md --blog ${blog} --at ${editUrl(spoke, blog)} --key &lt;your key&gt;</code></pre>
<p>Readers find the blog at <a href="${url}">${url}</a>.</p>
<p>Is your key stolen, lost or no longer used? <a href="/revoke">Hand in its revocation</a>.</p>`,
  })
}
