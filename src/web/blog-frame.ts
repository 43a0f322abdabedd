import { html } from 'hono/html'
import type { Blog, BlogPost } from '../replication/log/blog.ts'
import { alternateFeeds } from './feed-links.ts'
import { inLanguage } from './language.ts'
import type { Html } from './layout.ts'
import { blogUrl, type LinkSource, zoneUrl } from './links.ts'
import { begunMs } from './post-list.ts'

/** The links home on every page of a blog. */
export function blogMasthead(spoke: LinkSource, blog: Blog): Html {
  return html`<p><a href="/" ${inLanguage(blog.lang)}>${blog.title}</a> · <a href="${zoneUrl(spoke)}">${spoke.zone}</a></p>`
}

/** Who answered, and from what. */
export function servedBy(spoke: LinkSource, held: boolean): Html {
  const how = held ? 'which keeps a copy' : 'which fetched it from a server that keeps a copy'
  return html`<p>Served by ${spoke.name}, ${how}.</p>`
}

/** By these a feed reader finds the feeds from any page of the blog. */
export function feedLinks(spoke: LinkSource, { name }: Blog): Html {
  return alternateFeeds((path) => blogUrl(spoke, name, path))
}

/** Open Graph (ogp.me) for the blog itself. There are no pictures that a card could show. */
export function blogCard(spoke: LinkSource, { name, title, lang }: Blog): Html {
  return card({ type: 'website', title, lang, url: blogUrl(spoke, name) })
}

/** Open Graph for a post. */
export function postCard(url: string, blog: Blog, post: BlogPost): Html {
  const { title, lang, dateMs } = post.current
  return html`${card({ type: 'article', title, lang, url })}
<meta property="og:site_name" content="${blog.title}">
<meta property="article:published_time" content="${new Date(begunMs(post)).toISOString()}">
<meta property="article:modified_time" content="${new Date(dateMs).toISOString()}">`
}

function card(of: { type: string; title: string; lang: string | null; url: string }): Html {
  const locale =
    of.lang === null ? '' : html`\n<meta property="og:locale" content="${localeOf(of.lang)}">`
  return html`
<meta property="og:type" content="${of.type}">
<meta property="og:title" content="${of.title}">
<meta property="og:url" content="${of.url}">${locale}`
}

/** Open Graph wants `language_TERRITORY`, also where the author named none. */
function localeOf(lang: string): string {
  const { language, region } = new Intl.Locale(lang).maximize()
  return region === undefined ? language : `${language}_${region}`
}
