import { type BlogName, parseBlogName } from '../replication/log/entry.ts'

/** Which part of the council a request is for (DESIGN 6, hosts). */
export type Place =
  /** `zone` itself, at any spoke */
  | { readonly kind: 'council' }
  | { readonly kind: 'spoke'; readonly name: string }
  | { readonly kind: 'blog'; readonly blog: BlogName }
  /** `canonical` is false in the form that this council did not choose */
  | { readonly kind: 'edit'; readonly blog: BlogName; readonly canonical: boolean }
  /** one of this spoke's own IP addresses */
  | { readonly kind: 'own' }
  | { readonly kind: 'unknown' }

export type EditForm = 'dotted' | 'dashed'

const unknown: Place = { kind: 'unknown' }
/** Labels of the zone that are no blogs: names of spokes, of name servers, and edit hosts hang there. */
const structural = new Set(['spoke', 'ns', 'edit'])
const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const maxHostCharacters = 253

/**
 * Reads a Host header (RFC 9110, 7.2): a name of the zone or an IP literal, with or without port.
 * The header is a stranger's word, so whatever is not exactly one of ours is `unknown`.
 */
export function placeOfHost(
  header: string,
  zone: string,
  editForm: EditForm,
  addresses: readonly string[],
): Place {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::[0-9]{1,5})?$/.exec(header.toLowerCase())
  if (match === null) return unknown
  const [, v6, named] = match
  if (v6 !== undefined)
    return addresses.some((own) => isSameV6(own, v6)) ? { kind: 'own' } : unknown
  const host = (named as string).replace(/\.$/, '')
  if (host.length > maxHostCharacters) return unknown
  if (host === zone) return { kind: 'council' }
  if (addresses.includes(host)) return { kind: 'own' }
  return host.endsWith(`.${zone}`)
    ? placeInZone(host.slice(0, -zone.length - 1).split('.'), editForm)
    : unknown
}

function placeInZone(labels: readonly string[], editForm: EditForm): Place {
  const [first = '', second, third] = labels
  if (third !== undefined) return unknown
  if (second === 'spoke') return label.test(first) ? { kind: 'spoke', name: first } : unknown
  if (second !== undefined)
    return first === 'edit' ? editPlace(second, editForm === 'dotted') : unknown
  if (first.startsWith('edit--')) return editPlace(first.slice(6), editForm === 'dashed')
  const blog = structural.has(first) ? null : parseBlogName(first)
  return blog === null ? unknown : { kind: 'blog', blog }
}

function editPlace(name: string, canonical: boolean): Place {
  const blog = structural.has(name) ? null : parseBlogName(name)
  return blog === null ? unknown : { kind: 'edit', blog, canonical }
}

/** One IPv6 address has many spellings; URL knows the one of RFC 5952. */
function isSameV6(own: string, asked: string): boolean {
  const canonical = (address: string) => URL.parse(`http://[${address}]/`)?.hostname
  const wanted = canonical(asked)
  return wanted !== undefined && own.includes(':') && canonical(own) === wanted
}
