import { Hono } from 'hono'
import { html, raw } from 'hono/html'
import type { BlogPost } from '../replication/log/blog.ts'
import type { BlogEnv } from './blog-host.ts'
import { blogUrl, postPath } from './links.ts'
import type { WebSpoke } from './spoke.ts'

/** Posts in a sitemap (sitemaps.org allows 50,000 addresses); crawlers reach older ones by links. */
const maxSitemapPosts = 10_000

/** What crawlers ask for: `/sitemap.xml`, every post that readers see, and `/robots.txt`. */
export function crawlerFiles(spoke: WebSpoke) {
  return new Hono<BlogEnv>()
    .get('/sitemap.xml', async (c) => {
      const { blog } = c.var.open
      const posts = blog.posts().slice(0, maxSitemapPosts)
      const xml = await html`${raw('<?xml version="1.0" encoding="UTF-8"?>')}
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
<url><loc>${blogUrl(spoke, blog.name)}</loc></url>
${posts.map((post) => postLine(blogUrl(spoke, blog.name, postPath(post)), post))}</urlset>
`
      return c.body(String(xml), 200, { 'Content-Type': 'application/xml; charset=utf-8' })
    })
    .get('/robots.txt', (c) => {
      // Differences are computed when asked for, and the archive is the whole log once more.
      const lines = [
        'User-agent: *',
        'Disallow: /history/',
        'Disallow: /export.tar',
        '',
        `Sitemap: ${blogUrl(spoke, c.var.open.blog.name, '/sitemap.xml')}`,
      ]
      return c.text(`${lines.join('\n')}\n`)
    })
}

function postLine(url: string, { current }: BlogPost) {
  return html`<url><loc>${url}</loc><lastmod>${new Date(current.dateMs).toISOString()}</lastmod></url>
`
}
