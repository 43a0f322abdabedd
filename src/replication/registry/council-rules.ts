import { verifyPeer } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { LogRules, Offer, ReadText } from '../log/rules.ts'
import { type Act, decodeAct } from './act.ts'
import { Names } from './names.ts'
import { checkProof } from './proof.ts'
import { checkRevokeAct, isRevokeAct } from './revoked-keys.ts'
import { authorityOf, checkInForce, foldRoster, type Roster, rosterSigner } from './roster.ts'

const proofOf = (offer: Offer) => ({ ...offer, receipts: offer.receipts ?? [] })

/**
 * Rules of `@roster`. An act enters the log only in force, so that nobody obeys one that is not
 * (REPLICATION 14).
 *
 * @param councilId - the trust anchor, SHA-256 of entry 0; null only while a council is founded
 */
export function rosterRules(councilId: () => string | null): LogRules<Roster> {
  const checkSigner = (
    roster: Roster | null,
    act: Act,
    signature: Uint8Array,
  ): Verdict<Uint8Array> => {
    const signer = rosterSigner(roster, act)
    return signer !== null && verifyPeer(signer, act.text, signature)
      ? accept(signature)
      : refuse(
          'ACT_SIGNATURE',
          'The act is not signed by the authority that may write @roster now.',
        )
  }
  return {
    decode: decodeAct,
    next: async (before, item, offer) => {
      const act = item as Act
      if (before === null && councilId() !== null && act.id !== councilId()) {
        return refuse(
          'COUNCIL_ID',
          `This @roster begins with ${act.id}; the council asked for is ${councilId()}.`,
        )
      }
      const signed = checkSigner(before, act, offer.signature)
      if (!signed.ok) return signed
      const roster = foldRoster(before, act)
      if (!roster.ok) return roster
      const inForce = checkInForce(before ?? roster.value, act, offer.receipts ?? [])
      return inForce.ok
        ? accept({ state: roster.value, signature: offer.signature, checked: true })
        : inForce
    },
    // A second act for one seq is proof against the authority that signed it.
    checkAlone: async (item, offer, _keys, read) => {
      const roster = await replayRoster(read, item.seq)
      return checkSigner(roster, item as Act, offer.signature)
    },
    holdsKeys: () => false,
    save: () => null,
    load: (_saved, read) => replayRoster(read, Number.POSITIVE_INFINITY),
  }
}

async function replayRoster(read: ReadText, before: number): Promise<Roster | null> {
  let roster: Roster | null = null
  for (let seq = 0; seq < before; seq++) {
    const text = await read(seq)
    if (text === null) break
    const act = decodeAct(text)
    const next: Verdict<Roster> = act.ok ? foldRoster(roster, act.value) : act
    if (!next.ok) throw new Error(`entry ${seq} of @roster is damaged: ${next.reason}`)
    roster = next.value
  }
  return roster
}

/**
 * Whether an act may follow in `@names`: the fold's verdict, and of a revocation its certificate,
 * so that no peer obeys one that the key itself did not sign. Codes: those of `Names.check` and
 * `checkRevokeAct`.
 */
export async function checkNamed(names: Names, act: Act): Promise<Verdict<unknown>> {
  const fits = names.check(act)
  return fits.ok && isRevokeAct(act) ? checkRevokeAct(act) : fits
}

/** Rules of `@names`; `roster` is this peer's `@roster` as it stands. */
export function namesRules(roster: () => Roster | null): LogRules<Names> {
  return {
    decode: decodeAct,
    next: async (before, item, offer) => {
      const act = checkProof(proofOf(offer), roster())
      if (!act.ok) return act
      if (before === null)
        return accept({ state: new Names(item as Act), signature: offer.signature, checked: true })
      const fits = await checkNamed(before, act.value)
      if (!fits.ok) return fits
      before.apply(act.value)
      return accept({ state: before, signature: offer.signature, checked: true })
    },
    checkAlone: async (item, offer) => {
      const current = roster()
      return current !== null && verifyPeer(authorityOf(current), item.text, offer.signature)
        ? accept(offer.signature)
        : refuse('ACT_SIGNATURE', 'The act is not signed by the authority.')
    },
    holdsKeys: () => false,
    save: () => null,
    load: async (_saved, read) => {
      let names: Names | null = null
      for (let seq = 0; ; seq++) {
        const text = await read(seq)
        if (text === null) return names
        const act = decodeAct(text)
        if (!act.ok) throw new Error(`entry ${seq} of @names is damaged: ${act.reason}`)
        if (names === null) names = new Names(act.value)
        else names.apply(act.value)
      }
    },
  }
}
