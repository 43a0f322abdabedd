import type { BlogName } from '../replication/log/entry.ts'
import type { Place } from './host.ts'
import { feedPaths } from './links.ts'

/** A page that may be answered from memory. */
export type KeptAddress = {
  /** the same for every way to write its address, another for every other page */
  readonly key: string
  /** null: made of the front page's posts */
  readonly blog: BlogName | null
}

/** Pages that are kept: their paths on a blog's host, and the parameters that change them. */
const pages: readonly { readonly path: RegExp; readonly parameters: readonly string[] }[] = [
  { path: /^\/[0-9]{4}\/[a-z0-9-]{1,80}$/, parameters: [] },
  { path: /^\/(?:archive)?$/, parameters: ['before'] },
  { path: /^\/tag\/[^/]+$/, parameters: ['before'] },
  { path: /^\/history\/[a-z0-9-]{1,80}$/, parameters: ['before', 'from', 'to'] },
  {
    path: /^\/(?:feed\.atom|feed\.rss|feed\.json|sitemap\.xml|robots\.txt)$/,
    parameters: [],
  },
]
const maxTargetCharacters = 1_000

/**
 * Whether a request is for a page that is kept in memory, and which. Parameters that a page does
 * not know are left out of the key, so that nobody fills the memory with `?a=1`, `?a=2` …
 *
 * @param target - path and query as they came
 * @returns null for everything else, and for ways to write an address that the key does not know:
 *   these pages are made anew, which is slower and just as right
 */
export function keptAddress(place: Place, target: string): KeptAddress | null {
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  const search = mark < 0 ? '' : target.slice(mark + 1)
  if (target.length > maxTargetCharacters || search.includes('#')) return null
  if (place.kind === 'council' || place.kind === 'spoke' || place.kind === 'own') {
    return ofFront(place.kind, path, search)
  }
  if (place.kind !== 'blog') return null
  const page = pages.find((each) => each.path.test(path))
  const plainPath = page === undefined ? null : canonical(path)
  const query = page === undefined ? null : knownQuery(search, page.parameters)
  return plainPath === null || query === null
    ? null
    : { key: `blog ${place.blog} ${plainPath}${query}`, blog: place.blog }
}

/** Each kind of host has a front page of its own; at present they look alike. */
function ofFront(kind: Place['kind'], path: string, search: string): KeptAddress | null {
  // The posts of one language are a search.
  const isKept =
    path === '/'
      ? search === '' || !new URLSearchParams(search).has('lang')
      : Object.values<string>(feedPaths).includes(path)
  return isKept ? { key: `${kind} ${path}`, blog: null } : null
}

/** A tag can be written in many ways; all others of these paths have one. */
function canonical(path: string): string | null {
  const tag = /^\/tag\/([A-Za-z0-9%._~!'()*-]+)$/.exec(path)?.[1]
  if (tag === undefined) return path.startsWith('/tag/') ? null : path
  try {
    const word = decodeURIComponent(tag)
    // Steps in the path, which lead elsewhere.
    return word === '.' || word === '..' ? null : `/tag/${encodeURIComponent(word)}`
  } catch {
    return null
  }
}

function knownQuery(search: string, parameters: readonly string[]): string | null {
  if (search === '' || parameters.length === 0) return ''
  const given = new URLSearchParams(search)
  let query = ''
  for (const name of parameters) {
    const value = given.get(name)
    if (value === null) continue
    if (!/^[0-9]{1,15}$/.test(value)) return null
    query += ` ${name}=${value}`
  }
  return query
}
