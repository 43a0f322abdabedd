import { Hono } from 'hono'
import { html } from 'hono/html'
import type { Blog, BlogPost } from '../replication/log/blog.ts'
import { blogMasthead, feedLinks, servedBy } from './blog-frame.ts'
import { type BlogEnv, openWith } from './blog-host.ts'
import { answerError } from './errors.ts'
import { inLanguage } from './language.ts'
import { type Html, page } from './layout.ts'
import { blogUrl, tagPath, zonePageUrl } from './links.ts'
import { postList, stretchOf } from './post-list.ts'
import type { OpenBlog, WebSpoke } from './spoke.ts'

/** Posts on one page of a tag. */
const taggedPerPage = 50

/** `/tag/<tag>`, percent-encoded: the posts whose newest revision has the tag. */
export function tagPages(spoke: WebSpoke) {
  return new Hono<BlogEnv>().get('/tag/:tag', async (c) => {
    const tag = c.req.param('tag')
    const open = await openWith(c, (blog) => taggedPosts(blog, tag).length > 0)
    const posts = taggedPosts(open.blog, tag)
    const path = tagPath(tag)
    if (posts.length === 0 || path === null) {
      const reason = `No post of ${open.blog.name} has this tag.`
      return answerError(c, spoke, 'PAGE_NOT_FOUND', reason)
    }
    const { shown, older } = stretchOf(posts, taggedPerPage, path, c.req.query('before'))
    return c.html(tagPage(spoke, open, { tag, path, shown, older }))
  })
}

function taggedPosts(blog: Blog, tag: string): readonly BlogPost[] {
  return blog.posts().filter((post) => post.current.tags.includes(tag))
}

function tagPage(
  spoke: WebSpoke,
  { blog, held }: OpenBlog,
  of: { tag: string; path: string; shown: readonly BlogPost[]; older: Html },
): Html {
  return page({
    title: `${of.tag} · ${blog.title}`,
    lang: blog.lang,
    canonical: blogUrl(spoke, blog.name, of.path),
    head: feedLinks(spoke, blog),
    masthead: blogMasthead(spoke, blog),
    main: html`<h1 ${inLanguage('en')}>Posts tagged <bdi>${of.tag}</bdi></h1>
${postList(of.shown)}
${of.older}
<footer ${inLanguage('en')}><p><a href="${zonePageUrl(spoke, of.path)}">Posts of all blogs with this tag</a></p>
${servedBy(spoke, held)}</footer>`,
  })
}
