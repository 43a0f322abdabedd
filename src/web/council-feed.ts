import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import { isLanguageTag, isTag } from '../replication/log/entry.ts'
import { rosterLog } from '../replication/log/log.ts'
import { answerError } from './errors.ts'
import {
  type FeedItem,
  FeedItems,
  type FeedSource,
  feedRoutes,
  fullText,
  maxFeedPosts,
  tagUri,
} from './feed-format.ts'
import {
  blogUrl,
  feedPaths,
  langPath,
  noLanguage,
  postPath,
  tagPath,
  zonePageUrl,
} from './links.ts'
import type { RenderCache } from './markdown.ts'
import { showLanguage } from './plain-words.ts'
import { limitRate, type RateLimits } from './rate-limit.ts'
import type { CouncilPost, WebSpoke } from './spoke.ts'

/** A feed of posts of many blogs: where it is, and the page that shows the same. */
type Channel = {
  /** path of the feeds, without slash at its end; '' for all posts */
  readonly under: string
  /** path of the page */
  readonly pagePath: string
  readonly title: string
  readonly lang: string | null
}

/**
 * Feeds of the whole council: `/feed.*` with the posts of the front page, from memory, and of one
 * tag or language, which are searches. They name only the zone: a feed reader that knows one of
 * them finds it at any spoke.
 */
export function councilFeeds(spoke: WebSpoke, rendered: RenderCache, rates: RateLimits) {
  const limit = limitRate(spoke, rates, 'search')
  const all: Channel = { under: '', pagePath: '/', title: spoke.zone, lang: null }
  return new Hono()
    .route(
      '/',
      feedRoutes('', async (c) => sourceOf(c, spoke, rendered, all, (await spoke.front()).posts)),
    )
    .use('/tag/:tag/*', limit)
    .use('/lang/:lang/*', limit)
    .route(
      '/',
      feedRoutes('/tag/:tag', (c) => ofTag(c, spoke, rendered)),
    )
    .route(
      '/',
      feedRoutes('/lang/:lang', (c) => ofLanguage(c, spoke, rendered)),
    )
}

async function ofTag(c: Context, spoke: WebSpoke, rendered: RenderCache) {
  const tag = c.req.param('tag') ?? ''
  const under = tagPath(tag)
  if (under === null || !isTag(tag)) {
    const reason = 'No post can have this tag. Look at the spelling of the address.'
    return answerError(c, spoke, 'PAGE_NOT_FOUND', reason)
  }
  const channel = { under, pagePath: under, title: `${tag} · ${spoke.zone}`, lang: null }
  return found(c, spoke, rendered, channel, { tag })
}

async function ofLanguage(c: Context, spoke: WebSpoke, rendered: RenderCache) {
  const lang = c.req.param('lang') ?? ''
  if (!isLanguageTag(lang)) return answerError(c, spoke, 'PAGE_NOT_FOUND', noLanguage)
  const title = `${showLanguage(lang)} · ${spoke.zone}`
  const channel = { under: langPath(lang), pagePath: `/?lang=${lang}`, title, lang }
  return found(c, spoke, rendered, channel, { lang })
}

async function found(
  c: Context,
  spoke: WebSpoke,
  rendered: RenderCache,
  channel: Channel,
  query: { readonly tag: string } | { readonly lang: string },
) {
  const asked = { query, order: 'newest', cursor: null, limit: maxFeedPosts } as const
  const answer = await spoke.search(asked)
  if (!answer.ok) return answerError(c, spoke, answer.code, answer.reason, answer.retryMs)
  return sourceOf(c, spoke, rendered, channel, answer.value.hits)
}

async function sourceOf(
  c: Context,
  spoke: WebSpoke,
  rendered: RenderCache,
  { under, pagePath, title, lang }: Channel,
  posts: readonly CouncilPost[],
): Promise<FeedSource | Response> {
  const began = await foundedMs(spoke)
  if (began === null) {
    const reason = 'This server has not joined its council yet. Try again in a minute.'
    return answerError(c, spoke, 'NOT_READY', reason)
  }
  const fitting = new FeedItems()
  for (const post of posts.slice(0, maxFeedPosts)) {
    if (!fitting.add(await itemOf(spoke, rendered, post))) break
  }
  const { items } = fitting
  const url = (path: string) => zonePageUrl(spoke, under + path)
  return {
    id: tagUri(spoke.zone, new Date(began).getUTCFullYear(), under === '' ? '/' : under),
    ...{ title, lang, description: spoke.zone, link: zonePageUrl(spoke, pagePath) },
    feeds: { atom: url(feedPaths.atom), rss: url(feedPaths.rss), json: url(feedPaths.json) },
    updatedMs: Math.max(began, ...items.map((item) => item.updatedMs)),
    author: spoke.zone,
    items,
    isWhole: true,
  }
}

/** When the council began, the same at every spoke; null while this one does not know. */
async function foundedMs(spoke: WebSpoke): Promise<number | null> {
  const acts = await spoke.acts(rosterLog, 1, 1)
  return acts === 'unreachable' ? null : (acts[0]?.act.dateMs ?? null)
}

/** A post has the same id here as in its own blog's feed, so that a reader of both sees it once. */
async function itemOf(
  spoke: WebSpoke,
  rendered: RenderCache,
  post: CouncilPost,
): Promise<FeedItem> {
  const { blog, title, lang, tags, seenMs, dateMs, mark } = post
  const path = postPath(post)
  const link = blogUrl(spoke, blog, path)
  const text = await fullText(rendered.render(post.body).toString(), { link, lang })
  return {
    id: tagUri(`${blog}.${spoke.zone}`, post.year, path),
    ...{ title, lang, link, tags },
    publishedMs: seenMs,
    // A date is the author's word, and may lie before the post was there to be seen.
    updatedMs: Math.max(seenMs, dateMs),
    author: { name: blog, link: blogUrl(spoke, blog) },
    content:
      mark === null
        ? text
        : `${await html`<p lang="en" dir="ltr"><strong>${mark}</strong></p>`}${text}`,
  }
}
