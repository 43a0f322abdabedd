import { html } from 'hono/html'
import type { Html } from './layout.ts'
import { feedPaths } from './links.ts'

const feeds = [
  { path: feedPaths.atom, type: 'application/atom+xml', name: 'Atom' },
  { path: feedPaths.rss, type: 'application/rss+xml', name: 'RSS' },
  { path: feedPaths.json, type: 'application/feed+json', name: 'JSON Feed' },
] as const

/**
 * Elements of the head by which a feed reader finds the feeds.
 *
 * @param urlOf - path of a feed → its absolute address
 */
export function alternateFeeds(urlOf: (path: string) => string): Html {
  return html`${feeds.map(
    ({ path, type, name }) => html`
<link rel="alternate" type="${type}" title="${name}" href="${urlOf(path)}">`,
  )}`
}

/** The feeds as a reader sees them. */
export function feedList(urlOf: (path: string) => string = (path) => path): Html {
  const links = feeds.map(
    ({ path, name }, index) => html`${index === 0 ? '' : ', '}<a href="${urlOf(path)}">${name}</a>`,
  )
  return html`<p>To follow in a feed reader: ${links}.</p>`
}
