import { Hono } from 'hono'
import { html } from 'hono/html'
import type { BlogPost } from '../replication/log/blog.ts'
import { blogMasthead, feedLinks, servedBy } from './blog-frame.ts'
import type { BlogEnv } from './blog-host.ts'
import { inLanguage } from './language.ts'
import { type Html, page } from './layout.ts'
import { blogUrl } from './links.ts'
import { postList, stretchOf } from './post-list.ts'
import type { OpenBlog, WebSpoke } from './spoke.ts'

/** Posts on one page of the archive; keeps it below 30 KB. */
const archivedPerPage = 80

/** `/archive`: all posts that readers see, under the year in which each began. */
export function archivePages(spoke: WebSpoke) {
  return new Hono<BlogEnv>().get('/archive', (c) =>
    c.html(archivePage(spoke, c.var.open, c.req.query('before'))),
  )
}

function archivePage(spoke: WebSpoke, { blog, held }: OpenBlog, before: string | undefined): Html {
  const { shown, older } = stretchOf(blog.posts(), archivedPerPage, '/archive', before)
  return page({
    title: `Archive · ${blog.title}`,
    lang: blog.lang,
    canonical: blogUrl(spoke, blog.name, '/archive'),
    head: feedLinks(spoke, blog),
    masthead: blogMasthead(spoke, blog),
    main: html`<h1 ${inLanguage('en')}>All posts by year</h1>
${shown.length === 0 ? postList([]) : byYear(shown).map(yearList)}
${older}
<footer ${inLanguage('en')}>${servedBy(spoke, held)}</footer>`,
  })
}

function byYear(posts: readonly BlogPost[]): readonly (readonly [number, readonly BlogPost[]])[] {
  return [...Map.groupBy(posts, (post) => post.year)]
}

function yearList([year, posts]: readonly [number, readonly BlogPost[]]): Html {
  return html`<h2>${year}</h2>
${postList(posts)}
`
}
