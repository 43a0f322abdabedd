import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { AuthError } from './errors.ts'

/**
 * A peer by its libp2p id in base58btc, `12D3Koo…`. It holds the Ed25519 public key itself, so a
 * signature needs nothing else to be checked.
 */
export type PeerName = string & { readonly brand: 'PeerName' }

/** Null for anything but the one usual form of an Ed25519 peer id. */
export function parsePeerName(text: string): PeerName | null {
  // Whose key is kept has been read: to read a name anew takes a third of the time of a receipt.
  return kept.has(text) || publicPoint(text) !== null ? (text as PeerName) : null
}

/** Signs with a peer's own key. */
export type PeerSigner = {
  readonly peer: PeerName
  /**
   * Plain Ed25519 over exactly these bytes, 64 bytes. libp2p signs with the same key: a text must
   * begin with `council-`, which nothing that libp2p signs does.
   */
  sign(text: Uint8Array): Uint8Array
}

/** Throws PEER_KEY_NOT_ED25519 for other keys. */
export function peerSigner(privateKey: PrivateKey): PeerSigner {
  if (privateKey.type !== 'Ed25519') {
    throw new AuthError(
      'PEER_KEY_NOT_ED25519',
      `a peer's key must be Ed25519, this one is ${privateKey.type}`,
    )
  }
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
  const key = createPrivateKey({
    key: {
      kty: 'OKP',
      crv: 'Ed25519',
      d: base64(privateKey.raw.subarray(0, 32)),
      x: base64(privateKey.publicKey.raw),
    },
    format: 'jwk',
  })
  return {
    peer: peerIdFromPrivateKey(privateKey).toString() as PeerName,
    sign: (text) => sign(null, text, key),
  }
}

/** The peer's public key as openssl reads it (PEM, RFC 8410): whoever has it checks without us. */
export function peerPem(peer: PeerName): string {
  const key = keyOf(peer)
  if (key === null) throw new Error(`${peer} names no key`)
  return key.export({ type: 'spki', format: 'pem' }).toString()
}

/** Key objects kept; a council of 5,000 spokes uses a few hundred at a time. */
const maxKept = 2_000
const kept = new Map<string, KeyObject>()

/** False for everything that is not 64 bytes of Ed25519 by this peer over exactly these bytes. */
export function verifyPeer(peer: PeerName, text: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 64) return false
  const key = keyOf(peer)
  return key !== null && verify(null, text, key, signature)
}

function keyOf(peer: PeerName): KeyObject | null {
  let key = kept.get(peer)
  if (key === undefined) {
    const point = publicPoint(peer)
    if (point === null) return null
    key = createPublicKey({
      key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(point).toString('base64url') },
      format: 'jwk',
    })
  }
  kept.delete(peer)
  kept.set(peer, key)
  if (kept.size > maxKept) kept.delete(kept.keys().next().value as string)
  return key
}

/** The 32 bytes of the public key inside the name. */
function publicPoint(text: string): Uint8Array | null {
  if (!/^12D3Koo[1-9A-HJ-NP-Za-km-z]{45}$/.test(text)) return null
  try {
    const id = peerIdFromString(text)
    return id.type === 'Ed25519' && id.toString() === text ? id.publicKey.raw : null
  } catch {
    return null
  }
}
