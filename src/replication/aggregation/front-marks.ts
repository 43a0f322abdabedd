import type { PeerName } from '../../auth/peer-signature.ts'
import type { Fingerprint } from '../../auth/public-key.ts'
import { type RevokedKey, reasonWord } from '../registry/revoked-keys.ts'
import type { Roster } from '../registry/roster.ts'

/** What has to be said beside a post that is shown among others. */
export type FrontMark =
  | { readonly kind: 'revoked'; readonly revoked: RevokedKey }
  | { readonly kind: 'cut-off'; readonly spoke: string }

/**
 * Decides what is to be said beside a post. A key revoked hard leaves all that it signed in doubt; a
 * soft revocation leaves what was seen before it became known as it is (DESIGN 3.2). Pure.
 *
 * @param primary - of its blog by the act in force; null: not known
 * @returns null: nothing
 */
export function markPost(
  post: { readonly key: Fingerprint; readonly seenMs: number },
  known: {
    readonly revoked: (key: Fingerprint) => RevokedKey | null
    readonly primary: PeerName | null
    readonly roster: Roster | null
  },
): FrontMark | null {
  const revoked = known.revoked(post.key)
  if (revoked !== null && (revoked.isHard || post.seenMs >= revoked.knownMs))
    return { kind: 'revoked', revoked }
  const primary = known.primary === null ? undefined : known.roster?.members.get(known.primary)
  return primary?.cutOff === true ? { kind: 'cut-off', spoke: primary.name } : null
}

/**
 * A mark in a few plain words.
 *
 * @param day - a day as the pages write it, "3 May"
 */
export function markWords(mark: FrontMark, day: (ms: number) => string): string {
  if (mark.kind === 'cut-off') return `its server ${mark.spoke} was cut off`
  const { revoked } = mark
  return `key revoked ${day(revoked.dateMs)}: ${reasonWord(revoked)}`
}
