import { verifyPeer } from '../../auth/peer-signature.ts'
import { refuse, type Verdict } from '../../auth/verdict.ts'
import type { Signed } from '../log/text.ts'
import { type Act, decodeAct } from './act.ts'
import { authorityAt, checkInForce, type Roster, reaches } from './roster.ts'

/**
 * How an act travels (REPLICATION 15): its text, the authority's signature, and receipts of a
 * majority of the holders. Whoever has `@roster` up to the act's line checks it alone.
 */
export type ProofOfAct = Signed & { readonly receipts: readonly Signed[] }

/**
 * Checks a proof of an act of `@names` against `@roster`.
 *
 * Codes: ROSTER_BEHIND (pull `@roster`, then ask again: never a reject), ROSTER_FORK (the act's
 * line is not in this `@roster`), ACT_LOG (entry 0 of `@roster`), ACT_COUNCIL, ACT_SIGNATURE, ACT_NOT_IN_FORCE, and those of
 * `decodeAct`.
 */
export function checkProof(proof: ProofOfAct, roster: Roster | null): Verdict<Act> {
  const act = decodeAct(proof.text)
  if (!act.ok) return act
  const line = act.value.roster
  if (line === null) return refuse('ACT_LOG', 'Entry 0 of @roster proves itself by its id alone.')
  const reached = reaches(roster, line)
  if (roster === null || reached === 'behind') {
    return refuse('ROSTER_BEHIND', `@roster is needed up to entry ${line.seq} to check this act.`)
  }
  if (reached === 'fork')
    return refuse('ROSTER_FORK', `Entry ${line.seq} of @roster is another one here.`)
  if (act.value.council !== roster.council) {
    return refuse(
      'ACT_COUNCIL',
      `The act is for the council ${act.value.council}; this is ${roster.council}.`,
    )
  }
  const authority = authorityAt(roster, line.seq + 1)
  if (!verifyPeer(authority, proof.text, proof.signature)) {
    return refuse('ACT_SIGNATURE', `The act is not signed by the authority ${authority}.`)
  }
  const inForce = checkInForce(roster, act.value, proof.receipts)
  return inForce.ok ? act : inForce
}

export type SignedRow = readonly [text: Uint8Array, signature: Uint8Array]
export type ProofRow = readonly [
  text: Uint8Array,
  signature: Uint8Array,
  receipts: readonly SignedRow[],
]

/** The form of a proof in frames, gossip and DHT records. */
export const proofRow = (proof: ProofOfAct): ProofRow => [
  proof.text,
  proof.signature,
  proof.receipts.map(({ text, signature }) => [text, signature] as const),
]

export const fromProofRow = ([text, signature, receipts]: ProofRow): ProofOfAct => ({
  text,
  signature,
  receipts: receipts.map(([each, by]) => ({ text: each, signature: by })),
})

export const signedRow = ({ text, signature }: Signed): SignedRow => [text, signature]
export const fromSignedRow = ([text, signature]: SignedRow): Signed => ({ text, signature })
