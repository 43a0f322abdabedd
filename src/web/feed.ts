import { Feed } from 'feed'
import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import type { BlogPost } from '../replication/log/blog.ts'
import type { BlogEnv } from './blog-host.ts'
import { inLanguage } from './language.ts'
import { blogUrl, feedPaths, postPath } from './links.ts'
import type { RenderCache } from './markdown.ts'
import { begunMs } from './post-list.ts'
import type { OpenBlog, WebSpoke } from './spoke.ts'

/** Posts in a feed, the newest. */
const maxFeedPosts = 20
/** Beyond this the older of them are left out. */
const maxFeedCharacters = 2_000_000

/** `/feed.atom`, `/feed.rss`, `/feed.json`: the newest posts in full, as their pages show them. */
export function feeds(spoke: WebSpoke, rendered: RenderCache) {
  const send = (type: string, write: (source: Source) => string) => async (c: Context<BlogEnv>) => {
    const source = await sourceOf(spoke, rendered, c.var.open)
    // A feed that lacks a text is good for now only.
    if (!source.isWhole) c.header('Cache-Control', 'no-store')
    return c.body(write(source), 200, { 'Content-Type': `${type}; charset=utf-8` })
  }
  return new Hono<BlogEnv>()
    .get(feedPaths.atom, send('application/atom+xml', atomFeed))
    .get(feedPaths.rss, send('application/rss+xml', rssFeed))
    .get(feedPaths.json, send('application/feed+json', jsonFeed))
}

/** What all three formats say. */
type Source = {
  readonly id: string
  readonly title: string
  readonly lang: string | null
  readonly host: string
  readonly link: string
  readonly feeds: Readonly<Record<keyof typeof feedPaths, string>>
  readonly updatedMs: number
  readonly author: string
  readonly items: readonly Item[]
  /** false when a text is missing that no server hands out now */
  readonly isWhole: boolean
}
type Item = {
  readonly id: string
  readonly title: string
  readonly lang: string | null
  readonly link: string
  readonly publishedMs: number
  readonly updatedMs: number
  readonly tags: readonly string[]
  readonly content: string
}

async function sourceOf(spoke: WebSpoke, rendered: RenderCache, open: OpenBlog): Promise<Source> {
  const { blog } = open
  const host = `${blog.name}.${spoke.zone}`
  const items: Item[] = []
  let characters = 0
  let isWhole = true
  for (const post of blog.posts().slice(0, maxFeedPosts)) {
    // A text that no server hands out now is left out, so that the others can be read.
    const entry = (await open.entry(post.current.seq))?.entry
    if (entry === undefined) {
      isWhole = false
      continue
    }
    const link = blogUrl(spoke, blog.name, postPath(post))
    const content = await fullText(rendered.render(entry.body).toString(), link, post)
    characters += content.length
    if (items.length > 0 && characters > maxFeedCharacters) break
    items.push(itemOf(host, link, content, post))
  }
  const began = Date.parse(blog.lines(0, 1)[0]?.date ?? '')
  return {
    id: tagUri(host, began, '/'),
    title: blog.title,
    lang: blog.lang,
    host,
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

function itemOf(host: string, link: string, content: string, post: BlogPost): Item {
  const { title, lang, tags, dateMs } = post.current
  const publishedMs = begunMs(post)
  return {
    ...{ id: tagUri(host, publishedMs, postPath(post)), title, lang, link, publishedMs },
    ...{ updatedMs: dateMs, tags, content },
  }
}

/**
 * An id that is the same on every spoke and outlives a change of port or of http to https
 * (RFC 4151). A name is never given to a second blog and a slug never to a second post.
 */
function tagUri(host: string, beganMs: number, path: string): string {
  return `tag:${host},${new Date(beganMs).getUTCFullYear()}:${path}`
}

/** The page's HTML with its language, and with links that lead somewhere from a feed reader too. */
async function fullText(rendered: string, link: string, post: BlogPost): Promise<string> {
  const absolute = rendered.replace(/<a href="([^"]*)"/g, (whole, href: string) => {
    if (/^[a-z][a-z0-9+.-]*:/i.test(href)) return whole
    const url = URL.parse(href, link)
    return url === null ? whole : `<a href="${url.href}"`
  })
  return `<div ${await inLanguage(post.current.lang)}>${absolute}</div>`
}

function atomFeed(source: Source): string {
  const feed = new Feed({
    ...channelOf(source),
    feed: source.feeds.atom,
    author: { name: source.author, link: source.link },
  })
  for (const item of source.items) {
    feed.addItem({
      ...{ id: item.id, link: item.link, content: inCdata(item.content) },
      // Atom's titles are HTML here (RFC 4287, 3.1.1.2).
      title: escapeHtml(item.title),
      date: new Date(item.updatedMs),
      published: new Date(item.publishedMs),
      // The library does not escape "<" in attributes.
      category: item.tags
        .filter((tag) => !tag.includes('<'))
        .map((tag) => ({ name: tag, term: tag })),
    })
  }
  const xml = feed.atom1()
  return source.lang === null ? xml : xml.replace('<feed ', `<feed xml:lang="${source.lang}" `)
}

function rssFeed(source: Source): string {
  const feed = new Feed({
    ...channelOf(source),
    ...(source.lang === null ? {} : { language: source.lang }),
    feed: source.feeds.rss,
  })
  for (const item of source.items) {
    feed.addItem({
      ...{ id: item.id, link: item.link, content: inCdata(item.content), title: item.title },
      // An extension takes the place of the element: as CDATA, a title could leave it.
      extensions: [{ name: 'title', objects: { _text: inText(item.title) } }],
      date: new Date(item.publishedMs),
      category: item.tags.map((tag) => ({ name: inText(tag) })),
    })
  }
  return feed.rss2()
}

function channelOf(source: Source) {
  return {
    id: source.id,
    title: inText(source.title),
    description: source.host,
    link: source.link,
    updated: new Date(source.updatedMs),
    generator: false as const,
  }
}

/** xml-js, below the library, takes "&amp;" for an ampersand that was escaped before. */
function inText(text: string): string {
  return text.replaceAll('&', '&amp;')
}

/** xml-js keeps only the first "]]>" from ending the CDATA. In HTML ">" may always be written so. */
function inCdata(content: string): string {
  return content.replaceAll(']]>', ']]&gt;')
}

function escapeHtml(text: string): string {
  return html`${text}`.toString()
}

/** https://www.jsonfeed.org/version/1.1/ */
function jsonFeed(source: Source): string {
  const { title, link, host, lang, author, items, feeds } = source
  return JSON.stringify({
    version: 'https://jsonfeed.org/version/1.1',
    ...{ title, home_page_url: link, feed_url: feeds.json, description: host },
    authors: [{ name: author, url: link }],
    ...(lang === null ? {} : { language: lang }),
    items: items.map((item) => ({
      ...{ id: item.id, url: item.link, title: item.title, content_html: item.content },
      date_published: new Date(item.publishedMs).toISOString(),
      date_modified: new Date(item.updatedMs).toISOString(),
      ...(item.lang === null ? {} : { language: item.lang }),
      tags: item.tags,
    })),
  })
}
