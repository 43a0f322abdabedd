import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import {
  type PeerName,
  type PeerSigner,
  peerSigner,
  verifyPeer,
} from '../../auth/peer-signature.ts'
import { encodeText } from '../log/text.ts'

/**
 * An invitation is an Ed25519 key: whoever was given its secret signs with it, for one peer of one
 * council. So a member that passes a join request on learns nothing that another peer could use,
 * and the authority, which keeps the public key only, has no secret to lose.
 */
export type InvitationSigner = PeerSigner

/** Characters of an invitation's id: the last ones of its public key, written like a peer id. */
const idCharacters = 12

/** What the operator's list, and the request to join, call an invitation. It gives nothing away. */
export const invitationId = (key: PeerName): string => key.slice(-idCharacters)

/** The secret as it stands in a bootstrap address: the 32 bytes of the seed, base64url, 43 characters. */
export const formatInvitation = (seed: Uint8Array): string =>
  Buffer.from(seed).toString('base64url')

/** The seed of a secret; null when it is not in its one form, say because a letter was lost. */
export function parseInvitation(secret: string): Uint8Array | null {
  const seed = Buffer.from(secret, 'base64url')
  return seed.length === 32 && formatInvitation(seed) === secret ? seed : null
}

/** Signs with an invitation. */
export async function invitationSigner(seed: Uint8Array): Promise<InvitationSigner> {
  return peerSigner(await generateKeyPairFromSeed('Ed25519', seed))
}

/** What an invitation signs: that this peer may use it in this council. */
export function invitationText(council: string, peer: PeerName): Uint8Array {
  return encodeText({
    first: 'council-invitation 1',
    headers: [
      ['council', council],
      ['peer', peer],
    ],
    body: null,
  })
}

/** The header `invite` of a join request: id and signature, 99 characters. */
export function presentInvitation(
  signer: InvitationSigner,
  council: string,
  peer: PeerName,
): string {
  const signature = Buffer.from(signer.sign(invitationText(council, peer)))
  return `${invitationId(signer.peer)} ${signature.toString('base64url')}`
}

/** The id that a header `invite` names, whatever follows it. */
export const presentedId = (invite: string): string => invite.split(' ')[0] ?? ''

/** Whether the header `invite` was made for this peer and council by the holder of `key`'s secret. */
export function isPresentedFor(
  invite: string,
  key: PeerName,
  { council, peer }: { readonly council: string; readonly peer: PeerName },
): boolean {
  const [id, signature = '', more] = invite.split(' ')
  return (
    id === invitationId(key) &&
    more === undefined &&
    verifyPeer(key, invitationText(council, peer), Buffer.from(signature, 'base64url'))
  )
}
