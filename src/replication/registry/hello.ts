import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { checkPeer, isPeer, readPeerText, signPeerText } from '../log/peer-text.ts'
import { type Field, isCouncil, type Signed } from '../log/text.ts'

/**
 * What a spoke answers over HTTP to whoever asks whether it is really there: an address enters DNS
 * only after it was fetched like this (DESIGN 5).
 */
const first = 'council-hello 1'
const isNonce = (value: string) =>
  /^[A-Za-z0-9_-]{16,64}$/.test(value) ? null : 'want 16 to 64 of A–Z, a–z, 0–9, _ and -'
const fields: readonly Field[] = [
  { name: 'council', times: 'once', wrong: isCouncil },
  { name: 'peer', times: 'once', wrong: isPeer },
  { name: 'nonce', times: 'once', wrong: isNonce },
]

/** Code HELLO_NONCE: the nonce is none that a hello may repeat. */
export function signHello(signer: PeerSigner, council: string, nonce: string): Verdict<Signed> {
  if (isNonce(nonce) !== null)
    return refuse('HELLO_NONCE', `The nonce n is missing or wrong; ${isNonce(nonce)}.`)
  return accept(
    signPeerText(signer, first, [
      ['council', council],
      ['peer', signer.peer],
      ['nonce', nonce],
    ]),
  )
}

/** Checks that `peer` answered this nonce for this council. Codes: HELLO_OTHER and those of texts. */
export function checkHello(
  signed: Signed,
  want: { council: string; peer: PeerName; nonce: string },
): Verdict<void> {
  const read = readPeerText(signed.text, first, fields)
  if (!read.ok) return read
  const { one } = read.value
  if (one('council') !== want.council || one('peer') !== want.peer || one('nonce') !== want.nonce) {
    return refuse(
      'HELLO_OTHER',
      `Another peer, council or nonce answers there: ${one('peer')} of ${one('council')}.`,
    )
  }
  return checkPeer(want.peer, signed)
}
