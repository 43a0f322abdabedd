import type { KeyRing } from '../../auth/public-key.ts'
import { keyStateAt, minimalKey, type PublicKey } from '../../auth/public-key.ts'
import type { Verdict } from '../../auth/verdict.ts'
import { verifyEntry } from '../../replication/log/author.ts'
import { type Draft, encodeEntry } from '../../replication/log/entry.ts'
import { CommandError } from './failure.ts'
import type { Gpg, OwnKey } from './gpg.ts'
import type { Kept } from './outbox.ts'

/** The blogger's key as gpg has it and as the council reads it. */
export type AuthorKey = { readonly own: OwnKey; readonly publicKey: PublicKey }

/**
 * Finds the key and holds it against the council's rules before anything is sent: `refused` for
 * keys that are expired, revoked, too weak or of a kind that no spoke takes.
 */
export async function openKey(
  gpg: Gpg,
  keys: KeyRing,
  userId: string,
  nowMs: number,
): Promise<AuthorKey> {
  const own = await gpg.findKey(userId)
  const minimal = orRefused(await minimalKey(await gpg.exportKey(own)))
  const publicKey = orRefused(await keys.read(minimal))
  orRefused(await keyStateAt(publicKey, new Date(nowMs)))
  return { own, publicKey }
}

/**
 * Makes the text of a draft, lets gpg sign it, and checks both as a spoke would, so that a gpg.conf
 * with odd signing options shows here. Throws `refused` with the rule that the draft breaks.
 */
export async function signDraft(gpg: Gpg, key: AuthorKey, draft: Draft): Promise<Kept> {
  const entry = orRefused(encodeEntry(draft))
  const armored = await gpg.detachSign(key.own, entry.text)
  const signature = orRefused(await verifyEntry(entry, armored, key.publicKey))
  return { entry, signature: signature.armored }
}

/** The body of `POST /log` and `POST /order`: the text, one LF, the armored signature. */
export function submission({
  entry,
  signature,
}: {
  readonly entry: { readonly text: Uint8Array }
  readonly signature: string
}): Uint8Array {
  return Buffer.concat([entry.text, Buffer.from(`\n${signature.trimEnd()}\n`)])
}

export function orRefused<T>(verdict: Verdict<T>): T {
  if (verdict.ok) return verdict.value
  throw new CommandError('refused', verdict.reason)
}
