import type { BlogPost } from '../replication/log/blog.ts'
import type { BlogEnv } from './blog-host.ts'
import {
  FeedItems,
  type FeedSource,
  feedRoutes,
  fullText,
  maxFeedPosts,
  tagUri,
} from './feed-format.ts'
import { blogUrl, feedPaths, postPath } from './links.ts'
import type { RenderCache } from './markdown.ts'
import { begunMs } from './post-list.ts'
import type { OpenBlog, WebSpoke } from './spoke.ts'

/** A blog's feeds: its newest posts in full, as their pages show them. */
export function feeds(spoke: WebSpoke, rendered: RenderCache) {
  return feedRoutes<BlogEnv>('', (c) => sourceOf(spoke, rendered, c.var.open))
}

async function sourceOf(
  spoke: WebSpoke,
  rendered: RenderCache,
  open: OpenBlog,
): Promise<FeedSource> {
  const { blog } = open
  const host = `${blog.name}.${spoke.zone}`
  const found = new FeedItems()
  let isWhole = true
  for (const post of blog.posts().slice(0, maxFeedPosts)) {
    // A text that no server hands out now is left out, so that the others can be read.
    const entry = (await open.entry(post.current.seq))?.entry
    if (entry === undefined) {
      isWhole = false
      continue
    }
    const text = rendered.render(entry.body).toString()
    if (!found.add(await itemOf(host, blogUrl(spoke, blog.name, postPath(post)), text, post))) break
  }
  const { items } = found
  const began = Date.parse(blog.lines(0, 1)[0]?.date ?? '')
  return {
    id: tagUri(host, new Date(began).getUTCFullYear(), '/'),
    title: blog.title,
    lang: blog.lang,
    description: host,
    link: blogUrl(spoke, blog.name),
    feeds: {
      atom: blogUrl(spoke, blog.name, feedPaths.atom),
      rss: blogUrl(spoke, blog.name, feedPaths.rss),
      json: blogUrl(spoke, blog.name, feedPaths.json),
    },
    updatedMs: Math.max(began, ...items.map((item) => item.updatedMs)),
    author: blog.name,
    items,
    isWhole,
  }
}

async function itemOf(host: string, link: string, rendered: string, post: BlogPost) {
  const { title, lang, tags, dateMs } = post.current
  return {
    ...{ id: tagUri(host, post.year, postPath(post)), title, lang, link, tags },
    ...{ publishedMs: begunMs(post), updatedMs: dateMs },
    content: await fullText(rendered, { link, lang }),
  }
}
