import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import {
  type BlogName,
  blogNameRule,
  type Genesis,
  parseBlogName,
} from '../../replication/log/entry.ts'
import type { NamedBlog, Names } from '../../replication/registry/names.ts'

/** Names that one key may have. */
export const maxNamesPerKey = 2
/** Names that one spoke may hand in within 24 hours. */
export const maxNamesPerSpokeDay = 20
const dayMs = 24 * 3_600_000

/** Names that mean something to mail, web, DNS or this council, and so belong to nobody. */
const reserved = new Set(
  `edit spoke ns www api admin administrator root hostmaster postmaster webmaster namemaster abuse security
   mail smtp imap pop3 ftp wpad isatap localhost autoconfig autodiscover openpgpkey mta-sts council blog blogs
   help login logout account static support info noreply no-reply news`.split(/\s+/),
)

export function isReserved(name: string): boolean {
  return reserved.has(name) || /^ns[0-9]*$/.test(name) || /^mx[0-9]*$/.test(name)
}

/** Names with the same skeleton look alike to a reader: 0 = o, 1 = l = i, rn = m, vv = w, no hyphens. */
export function skeletonOf(name: string): string {
  return name
    .replaceAll('-', '')
    .replaceAll('0', 'o')
    .replace(/[1l]/g, 'i')
    .replaceAll('rn', 'm')
    .replaceAll('vv', 'w')
}

/**
 * Decides whether a genesis gets the name it asks for. Pure; the log `@names` is the one order, so
 * who is in it was earlier. A name is never given to another genesis.
 *
 * Codes: NAME_MALFORMED, NAME_RESERVED, NAME_TAKEN, NAME_LOOKS_ALIKE, NAME_QUOTA_KEY,
 * NAME_QUOTA_SPOKE.
 *
 * @param namesBySkeleton - skeleton → the name that has it
 */
export function decideClaim(
  genesis: Pick<Genesis, 'log' | 'key' | 'id'>,
  via: PeerName,
  {
    names,
    namesBySkeleton,
    nowMs,
  }: { names: Names; namesBySkeleton: ReadonlyMap<string, BlogName>; nowMs: number },
): Verdict<void> {
  const name = genesis.log
  if (parseBlogName(name) === null)
    return refuse('NAME_MALFORMED', `${name} cannot be a blog's name: ${blogNameRule}.`)
  if (isReserved(name))
    return refuse('NAME_RESERVED', `The name ${name} is reserved. Choose another.`)
  const taken = names.blogs.get(name)
  if (taken !== undefined) {
    const next =
      taken.key === genesis.key ? 'That is your key: the blog is yours' : 'Choose another name'
    return refuse('NAME_TAKEN', `${name} is taken: ${whose(taken)}. ${next}.`)
  }
  const alike = namesBySkeleton.get(skeletonOf(name))
  if (alike !== undefined) {
    return refuse(
      'NAME_LOOKS_ALIKE',
      `${name} looks like ${alike}, which exists. Choose a name that readers cannot mix up.`,
    )
  }
  if ((names.byKey.get(genesis.key)?.length ?? 0) >= maxNamesPerKey) {
    return refuse(
      'NAME_QUOTA_KEY',
      `This key has ${maxNamesPerKey} names already: ${names.byKey.get(genesis.key)?.join(', ')}. Write in one of these, or make another key for one more.`,
    )
  }
  let today = 0
  for (const blog of names.blogs.values()) {
    if (blog.via === via && nowMs - blog.dateMs < dayMs) today++
  }
  if (today >= maxNamesPerSpokeDay) {
    return refuse(
      'NAME_QUOTA_SPOKE',
      `This spoke has handed in ${maxNamesPerSpokeDay} names in 24 hours. Try another spoke, or tomorrow.`,
    )
  }
  return accept(undefined)
}

function whose(blog: NamedBlog): string {
  return `given to the key ${blog.key} on ${new Date(blog.dateMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}
