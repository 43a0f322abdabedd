/**
 * Whether gzip is what a client wants of a resource that is there plain and gzipped (RFC 9110,
 * 12.5.3). Without the header, with `gzip;q=0`, or where plain ranks higher, it is not. Who refuses
 * both gets it plain.
 */
export function wantsGzip(acceptEncoding: string | undefined): boolean {
  if (acceptEncoding === undefined) return false
  const weights = new Map<string, number>()
  for (const each of acceptEncoding.toLowerCase().split(',')) {
    const [coding = '', ...parameters] = each.split(';').map((part) => part.trim())
    const quality = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? '1'
    // A weight that is none is taken for a refusal: plain is always right.
    weights.set(coding, /^[01](\.[0-9]{0,3})?$/.test(quality) ? Number(quality) : 0)
  }
  const any = weights.get('*')
  const gzip = weights.get('gzip') ?? weights.get('x-gzip') ?? any ?? 0
  const plain = weights.get('identity') ?? (any === 0 ? 0 : null)
  return gzip > 0 && (plain === null || gzip >= plain)
}

const entityTag = /(?:W\/)?"([\x21\x23-\x7e\x80-\xff]*)"/g

/**
 * Whether the client has what would be sent, by its If-None-Match: one tag, a list, or `*`.
 * Compared weakly (RFC 9110, 13.1.2): a proxy that changed the bytes on the way made the tag weak.
 *
 * @param tag - of what would be sent, in quotes, behind W/ a weak one
 */
export function hasCurrent(ifNoneMatch: string | undefined, tag: string): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch === tag || ifNoneMatch.trim() === '*') return true
  const strong = tag.startsWith('W/') ? tag.slice(2) : tag
  for (const [, opaque] of ifNoneMatch.matchAll(entityTag)) {
    if (`"${opaque}"` === strong) return true
  }
  return false
}
