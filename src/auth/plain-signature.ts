import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { type AnyKeyPacket, enums } from 'openpgp'
import {
  creationTimeType,
  issuerFingerprintType,
  issuerType,
  notationType,
  readMpi,
  type SignatureFields,
  type Subpacket,
  signersUserIdType,
} from './packet.ts'

/**
 * A signature of the shape that gpg and openpgp.js write every day, which node:crypto can check by
 * itself, 2 to 3 times as fast as openpgp.js (facts/PERF.md, E). openpgp.js stays the judge: what
 * has any other shape goes to it, and a test holds both against each other.
 */
export type PlainSignature = {
  readonly isText: boolean
  readonly algorithm: number
  readonly digestName: 'sha256' | 'sha384' | 'sha512'
  /** what is hashed behind the data: the signed part of the packet and its trailer */
  readonly suffix: Uint8Array
  readonly left: Uint8Array
  /** Ed25519: 64 octets; RSA: the number without leading zeros */
  readonly value: Uint8Array
}

const digestNames: Readonly<Record<number, PlainSignature['digestName']>> = {
  [enums.hash.sha256]: 'sha256',
  [enums.hash.sha384]: 'sha384',
  [enums.hash.sha512]: 'sha512',
}

/**
 * Null when only openpgp.js may judge: another algorithm or hash, or a subpacket with a meaning
 * beyond time, issuer, remark and user id, such as an expiry or a critical notation.
 */
export function readPlain(fields: SignatureFields): PlainSignature | null {
  const digestName = digestNames[fields.hash]
  const value = readValue(fields.algorithm, fields.material)
  if (digestName === undefined || value === null) return null
  if (!fields.hashed.every(isPlain) || !fields.unhashed.every(isIssuer)) return null
  const trailer = Buffer.from([4, 0xff, 0, 0, 0, 0])
  trailer.writeUInt32BE(fields.signed.length, 2)
  return {
    isText: fields.type === enums.signature.text,
    algorithm: fields.algorithm,
    digestName,
    suffix: Buffer.concat([fields.signed, trailer]),
    left: fields.left,
    value,
  }
}

function isPlain(subpacket: Subpacket): boolean {
  const { type, critical, body } = subpacket
  if (type === creationTimeType || isIssuer(subpacket)) return true
  // gpg names the user id that was asked for with -u; openpgp.js salts with a notation.
  return !critical && (type === signersUserIdType || (type === notationType && body.length >= 8))
}

function isIssuer({ type, body }: Subpacket): boolean {
  return (
    (type === issuerType && body.length === 8) ||
    (type === issuerFingerprintType && body.length === 21 && body[0] === 4)
  )
}

function readValue(algorithm: number, material: Uint8Array): Uint8Array | null {
  switch (algorithm) {
    case enums.publicKey.ed25519:
      return material.length === 64 ? material : null
    case enums.publicKey.eddsaLegacy: {
      const r = readMpi(material, 0)
      const s = r === null ? null : readMpi(material, r.end)
      if (r === null || s === null || s.end !== material.length) return null
      if (r.value.length > 32 || s.value.length > 32) return null
      const value = new Uint8Array(64)
      value.set(r.value, 32 - r.value.length)
      value.set(s.value, 64 - s.value.length)
      return value
    }
    case enums.publicKey.rsaEncryptSign: {
      const s = readMpi(material, 0)
      return s === null || s.end !== material.length ? null : s.value
    }
    default:
      return null
  }
}

/** A key packet as node:crypto takes it; null for the algorithms that are left to openpgp.js. */
export type PlainKey = {
  readonly algorithm: number
  readonly key: KeyObject
  /** octets of an RSA signature; 64 for Ed25519 */
  readonly valueLength: number
}

export function plainKey({ algorithm, publicParams }: AnyKeyPacket): PlainKey | null {
  const jwk = toJwk(algorithm, publicParams)
  if (jwk === null) return null
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    const modulusBits = key.asymmetricKeyDetails?.modulusLength
    return { algorithm, key, valueLength: modulusBits === undefined ? 64 : (modulusBits + 7) >> 3 }
  } catch {
    return null
  }
}

/** The names are those of RFC 9580, 5.5.5, as openpgp.js has them. */
function toJwk(algorithm: number, { A, Q, n, e }: Partial<Record<string, Uint8Array>>) {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
  if (algorithm === enums.publicKey.ed25519 && A !== undefined) {
    return { kty: 'OKP', crv: 'Ed25519', x: base64(A) }
  }
  if (algorithm === enums.publicKey.eddsaLegacy && Q?.length === 33 && Q[0] === 0x40) {
    return { kty: 'OKP', crv: 'Ed25519', x: base64(Q.subarray(1)) }
  }
  if (algorithm === enums.publicKey.rsaEncryptSign && n !== undefined && e !== undefined) {
    return { kty: 'RSA', n: base64(n), e: base64(e) }
  }
  return null
}

/** Whether the mathematics fits; the caller has matched issuer and key and judges the key's state. */
export function isPlainGood(text: Uint8Array, signature: PlainSignature, key: PlainKey): boolean {
  const data = signature.isText ? withCrlf(text) : text
  const { digestName, suffix, left, value } = signature
  const digest = createHash(digestName).update(data).update(suffix).digest()
  if (digest[0] !== left[0] || digest[1] !== left[1]) return false
  if (value.length > key.valueLength) return false
  if (key.algorithm !== enums.publicKey.rsaEncryptSign) {
    return verify(null, digest, key.key, value)
  }
  const padded = Buffer.alloc(key.valueLength)
  padded.set(value, key.valueLength - value.length)
  return verify(digestName, Buffer.concat([data, suffix]), key.key, padded)
}

/** Line ends as a text signature hashes them: each LF that has no CR before it becomes CRLF. */
function withCrlf(text: Uint8Array): Uint8Array {
  return Buffer.from(
    Buffer.from(text)
      .toString('latin1')
      .replace(/(?<!\r)\n/g, '\r\n'),
    'latin1',
  )
}
