import type { BlogName } from '../replication/log/entry.ts'
import type { WebSpoke } from './spoke.ts'

/**
 * Absolute links. All are made from the zone and `web.origin`, never from what a request says,
 * so that a forged Host header cannot lead a reader elsewhere.
 */
export type LinkSource = Pick<WebSpoke, 'zone' | 'name' | 'editForm' | 'origin'>

/**
 * Where any spoke answers: for what is kept, copied or quoted, and for links from blogs. A page of
 * the council itself links to `homeUrl`.
 */
export function zoneUrl(spoke: LinkSource): string {
  return `${spoke.origin(spoke.zone)}/`
}

export function blogUrl(spoke: LinkSource, blog: BlogName, path = '/'): string {
  return `${spoke.origin(`${blog}.${spoke.zone}`)}${path}`
}

/** Path of a post on its blog's host. */
export function postPath(post: { readonly year: number; readonly slug: string }): string {
  return `/${post.year}/${post.slug}`
}

/** Where the versions of a post are listed and compared, on its blog's host. */
export function historyPath(slug: string): string {
  return `/history/${slug}`
}

/** Feeds of a blog, on its host; on the zone's and the spokes' hosts those of the council. */
export const feedPaths = { atom: '/feed.atom', rss: '/feed.rss', json: '/feed.json' } as const

/**
 * Path of a tag's posts, on the blog's host or of all blogs on the zone's. Null for the tags "." and "..": browsers take these for
 * steps in the path, however they are written.
 */
export function tagPath(tag: string): string | null {
  return tag === '.' || tag === '..' ? null : `/tag/${encodeURIComponent(tag)}`
}

/** Under it are the feeds of all posts in one language, on the zone's and the spokes' hosts. */
export function langPath(lang: string): string {
  return `/lang/${lang}`
}

/** What is wrong with an address below `/lang/` that has no language. */
export const noLanguage = 'Want a language tag like es, pt-BR or zh-Hans behind /lang/.'

/** In the form that the council chose; a browser keeps keys per origin, so there is one only. */
export function editHost(spoke: LinkSource, blog: string): string {
  return `${spoke.editForm() === 'dotted' ? `edit.${blog}` : `edit--${blog}`}.${spoke.zone}`
}

export function editUrl(spoke: LinkSource, blog: BlogName, path = '/'): string {
  return `${spoke.origin(editHost(spoke, blog))}${path}`
}

export function spokeHost(spoke: LinkSource): string {
  return `${spoke.name}.spoke.${spoke.zone}`
}

/** On this spoke's own host: who came by the zone's name stays on the spoke that answered. */
export function spokeUrl(spoke: LinkSource, path: string): string {
  return `${spoke.origin(spokeHost(spoke))}${path}`
}

/** The front page of the spoke that answered. */
export function homeUrl(spoke: LinkSource): string {
  return spokeUrl(spoke, '/')
}

/** What is kept or copied names the zone, not the spoke that happened to answer (DESIGN 6). */
export function zonePageUrl(spoke: LinkSource, path: string): string {
  return `${spoke.origin(spoke.zone)}${path}`
}

/** A claim is followed at the spoke that took it. */
export function claimUrl(spoke: LinkSource, id: string): string {
  return spokeUrl(spoke, `/claim/${id}`)
}
