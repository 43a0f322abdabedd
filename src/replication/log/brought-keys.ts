import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { type BlogName, decodeEntry } from './entry.ts'
import type { LogRules } from './rules.ts'
import type { EntryId, Signed } from './text.ts'

/** Key entries that come along with an entry, so that anybody can check it without its log. */
export const maxBroughtKeys = 50

/**
 * Checks the entries with a blog's keys that somebody brought along: the genesis that the council
 * knows, then rekeys of this blog in rising order, each signed by a key of those before it. Whoever
 * brings them may have left out some: then later entries by their keys fail.
 *
 * Codes: PROOF_KEYS (not the genesis first, of another blog, not rekeys, not rising, behind `last`,
 * too many), and those of `decode` and `checkAlone`.
 *
 * @param last - seq of the entry that is to be checked by them
 * @returns seq → text
 */
export async function checkBroughtKeys(
  rules: Pick<LogRules<unknown>, 'decode' | 'checkAlone'>,
  known: { readonly blog: BlogName; readonly genesis: EntryId; readonly last: number },
  keys: readonly Signed[],
): Promise<Verdict<ReadonlyMap<number, Uint8Array>>> {
  const { blog, genesis, last } = known
  const refused = refuse(
    'PROOF_KEYS',
    `The proof does not bring along the genesis of ${blog} and then its rekeys in order.`,
  )
  if (keys.length === 0 || keys.length > maxBroughtKeys) return refused
  const brought = new Map<number, Uint8Array>()
  let before = -1
  for (const signed of keys) {
    const held = rules.decode(signed.text)
    if (!held.ok) return held
    const entry = decodeEntry(signed.text)
    if (!entry.ok) return entry
    const { seq, id, kind, log } = entry.value
    const fits = before < 0 ? id === genesis : kind === 'rekey'
    // The same author's rekey in another blog of hers hands over that blog, not this one.
    if (!fits || log !== blog || seq <= before || seq > last) return refused
    const read = async (at: number) => brought.get(at) ?? null
    const good = await rules.checkAlone(held.value, signed, [...brought.keys()], read)
    if (!good.ok) return good
    brought.set(seq, signed.text)
    before = seq
  }
  return accept(brought)
}
