import { type KeyRing, keyStateAt } from '../../auth/public-key.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { startAuthor, verifyEntry } from '../log/author.ts'
import type { Genesis } from '../log/entry.ts'
import type { Signed } from '../log/text.ts'
import { maxClockSkewMs } from '../protocol.ts'

/**
 * Checks a genesis as the spoke and the authority both do before they act on it.
 * @returns the signature as it is to be stored
 */
export async function checkGenesis(
  genesis: Genesis,
  offer: Signed,
  { council, keys, nowMs }: { council: string; keys: KeyRing; nowMs: number },
): Promise<Verdict<Uint8Array>> {
  if (genesis.council !== council) {
    return refuse(
      'ENTRY_COUNCIL',
      `The entry is for the council ${genesis.council}; this is ${council}.`,
    )
  }
  if (genesis.dateMs > nowMs + maxClockSkewMs) {
    return refuse(
      'DATE_IN_FUTURE',
      'The date lies in the future. Set the clock of your computer and sign again.',
    )
  }
  const start = await startAuthor(genesis, keys)
  if (!start.ok) return start
  const alive = await keyStateAt(start.value.signer, new Date(nowMs))
  if (!alive.ok) return alive
  const signature = await verifyEntry(
    genesis,
    Buffer.from(offer.signature).toString(),
    start.value.signer,
  )
  return signature.ok ? accept(Buffer.from(signature.value.armored)) : signature
}
