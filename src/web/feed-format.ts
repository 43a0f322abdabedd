import { Feed } from 'feed'
import type { Context, Env } from 'hono'
import { Hono } from 'hono'
import { html } from 'hono/html'
import { inLanguage } from './language.ts'
import { feedPaths } from './links.ts'

/** Posts in a feed, the newest. */
export const maxFeedPosts = 20
/** Beyond this the older of them are left out. */
const maxFeedCharacters = 2_000_000

/** What all three formats say. */
export type FeedSource = {
  readonly id: string
  readonly title: string
  readonly lang: string | null
  readonly description: string
  readonly link: string
  readonly feeds: Readonly<Record<keyof typeof feedPaths, string>>
  readonly updatedMs: number
  readonly author: string
  readonly items: readonly FeedItem[]
  /** false when a text is missing that no server hands out now */
  readonly isWhole: boolean
}
export type FeedItem = {
  readonly id: string
  readonly title: string
  readonly lang: string | null
  readonly link: string
  readonly publishedMs: number
  readonly updatedMs: number
  readonly tags: readonly string[]
  readonly content: string
  /** who wrote it, where that is not the author of the whole feed */
  readonly author?: { readonly name: string; readonly link: string }
}

/**
 * `/feed.atom`, `/feed.rss`, `/feed.json` under a path.
 *
 * @param under - '' or a path without slash at its end
 * @param sourceOf - what the feed holds, or an answer in its place
 */
export function feedRoutes<E extends Env>(
  under: string,
  sourceOf: (c: Context<E>) => Promise<FeedSource | Response>,
) {
  const send = (type: string, write: (source: FeedSource) => string) => async (c: Context<E>) => {
    const source = await sourceOf(c)
    if (source instanceof Response) return source
    // A feed that lacks a text is good for now only.
    if (!source.isWhole) c.header('Cache-Control', 'no-store')
    return c.body(write(source), 200, { 'Content-Type': `${type}; charset=utf-8` })
  }
  return new Hono<E>()
    .get(under + feedPaths.atom, send('application/atom+xml', atomFeed))
    .get(under + feedPaths.rss, send('application/rss+xml', rssFeed))
    .get(under + feedPaths.json, send('application/feed+json', jsonFeed))
}

/** The items that fit into a feed: it ends before it gets too long. One always stays. */
export class FeedItems {
  readonly items: FeedItem[] = []
  #characters = 0

  /** @returns whether there was room */
  add(item: FeedItem): boolean {
    this.#characters += item.content.length
    if (this.items.length > 0 && this.#characters > maxFeedCharacters) return false
    this.items.push(item)
    return true
  }
}

/**
 * An id that is the same on every spoke and outlives a change of port or of http to https
 * (RFC 4151). A name is never given to a second blog and a slug never to a second post.
 */
export function tagUri(host: string, year: number, path: string): string {
  return `tag:${host},${year}:${path}`
}

/** The page's HTML with its language, and with links that lead somewhere from a feed reader too. */
export async function fullText(
  rendered: string,
  { link, lang }: Pick<FeedItem, 'link' | 'lang'>,
): Promise<string> {
  const absolute = rendered.replace(/<a href="([^"]*)"/g, (whole, href: string) => {
    if (/^[a-z][a-z0-9+.-]*:/i.test(href)) return whole
    const url = URL.parse(href, link)
    return url === null ? whole : `<a href="${url.href}"`
  })
  return `<div ${await inLanguage(lang)}>${absolute}</div>`
}

function atomFeed(source: FeedSource): string {
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
      ...(item.author === undefined ? {} : { author: [item.author] }),
    })
  }
  const xml = feed.atom1()
  return source.lang === null ? xml : xml.replace('<feed ', `<feed xml:lang="${source.lang}" `)
}

function rssFeed(source: FeedSource): string {
  const feed = new Feed({
    ...channelOf(source),
    ...(source.lang === null ? {} : { language: source.lang }),
    feed: source.feeds.rss,
  })
  for (const item of source.items) {
    feed.addItem({
      ...{ id: item.id, link: item.link, content: inCdata(item.content), title: item.title },
      // An extension takes the place of the element: as CDATA, a title could leave it.
      extensions: [
        { name: 'title', objects: { _text: inText(item.title) } },
        // RSS wants an address of mail in its own element for authors.
        ...(item.author === undefined
          ? []
          : [{ name: 'dc:creator', objects: { _text: item.author.name } }]),
      ],
      date: new Date(item.publishedMs),
      category: item.tags.map((tag) => ({ name: inText(tag) })),
    })
  }
  return feed.rss2()
}

function channelOf(source: FeedSource) {
  return {
    id: source.id,
    title: inText(source.title),
    description: source.description,
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
function jsonFeed(source: FeedSource): string {
  const { title, link, description, lang, author, items, feeds } = source
  return JSON.stringify({
    version: 'https://jsonfeed.org/version/1.1',
    ...{ title, home_page_url: link, feed_url: feeds.json, description },
    authors: [{ name: author, url: link }],
    ...(lang === null ? {} : { language: lang }),
    items: items.map((item) => ({
      ...{ id: item.id, url: item.link, title: item.title, content_html: item.content },
      date_published: new Date(item.publishedMs).toISOString(),
      date_modified: new Date(item.updatedMs).toISOString(),
      ...(item.lang === null ? {} : { language: item.lang }),
      tags: item.tags,
      ...(item.author === undefined
        ? {}
        : { authors: [{ name: item.author.name, url: item.author.link }] }),
    })),
  })
}
