import { html } from 'hono/html'
import type { Blog } from '../replication/log/blog.ts'
import { type RevokedKey, reasonWord } from '../replication/registry/revoked-keys.ts'
import { inLanguage } from './language.ts'
import type { Html } from './layout.ts'
import { type LinkSource, spokeUrl } from './links.ts'
import { showDay, showKey } from './plain-words.ts'
import type { WebSpoke } from './spoke.ts'

/** The keys of a blog that are revoked, as far as this spoke knows, in the order of their use. */
export async function revokedKeys(
  spoke: Pick<WebSpoke, 'revocation'>,
  blog: Blog,
): Promise<readonly RevokedKey[]> {
  const known = await Promise.all(blog.keys.map((key) => spoke.revocation(key)))
  return known.filter((each) => each !== null)
}

const whyWords = [
  'its owner gave no reason',
  'another key takes its place (superseded)',
  'somebody else may have it (compromised)',
  'no longer used (retired)',
] as const

/** What became of a blog's keys, calmly and in English on every page; nothing when nothing did. */
export function revokedNotice(spoke: LinkSource, blog: Blog, revoked: readonly RevokedKey[]): Html {
  if (revoked.length === 0) return html``
  return html`<section aria-label="Revoked keys" ${inLanguage('en')}>
${revoked.map(({ key, reason, dateMs, text, seq }) => {
  const words = text === '' ? '' : html` In the words of its owner: <q>${text}</q>.`
  const now = key === blog.key ? ' Nothing new can be published with it.' : ''
  return html`<p>The key <a href="${spokeUrl(spoke, `/acts/names/${seq}.txt`)}">${showKey(key)}</a> was revoked on ${day(dateMs)}: ${whyWords[reason]}.${words}${now}</p>
`
})}</section>
`
}

/**
 * A plain word behind who signed an entry, when the key was revoked hard: what it ever signed is in
 * doubt. A soft revocation leaves earlier entries as they are (DESIGN 3.2).
 *
 * @param firstSeenMs - when this spoke had the entry first; left out, nothing is said of it
 */
export function laterRevoked(revoked: RevokedKey | undefined, firstSeenMs: number | null = null) {
  if (revoked?.isHard !== true) return html``
  const order = (firstSeenMs ?? 0) < revoked.knownMs ? 'before' : 'after'
  const seen = firstSeenMs === null ? '' : `; first seen here ${order} the revocation became known`
  return html` (key later revoked: ${reasonWord(revoked)}${seen})`
}

/** The same for lists, in a few words: `key revoked 3 May 2026 (compromised)`; null: nothing to say. */
export function keyMark(revoked: RevokedKey | null): string | null {
  return revoked?.isHard === true
    ? `key revoked ${showDay(revoked.dateMs)} (${reasonWord(revoked)})`
    : null
}

function day(ms: number): Html {
  return html`<time datetime="${new Date(ms).toISOString()}">${showDay(ms)}</time>`
}
