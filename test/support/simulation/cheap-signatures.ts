import crypto, { type KeyObject } from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'

/**
 * Puts a cheap stand-in where Ed25519 is: the public key and a checksum of the data, which anybody
 * can make and nobody in a simulation forges. It takes the place of `sign` and `verify` of
 * node:crypto for the whole process until disposed, so that all code above, texts, packets, keys
 * and the question who must have signed, is the product's own, and the product has no seam through
 * which a signature could be left unchecked. Other keys than Ed25519 are signed and checked as ever.
 */
export class CheapSignatures {
  readonly #sign = crypto.sign
  readonly #verify = crypto.verify
  readonly #points = new WeakMap<KeyObject, Uint8Array | null>()

  constructor() {
    const sign = (algorithm: string | null, data: Uint8Array, key: KeyObject): Buffer => {
      const point = this.#pointOf(key)
      return point === null ? this.#sign(algorithm, data, key) : standIn(point, data)
    }
    const verify = (
      algorithm: string | null,
      data: Uint8Array,
      key: KeyObject,
      signature: Uint8Array,
    ): boolean => {
      const point = this.#pointOf(key)
      return point === null
        ? this.#verify(algorithm, data, key, signature)
        : standIn(point, data).equals(signature)
    }
    Object.assign(crypto, { sign, verify })
    syncBuiltinESMExports()
  }

  /** The public half of an Ed25519 key; null for any other. */
  #pointOf(key: KeyObject): Uint8Array | null {
    let point = this.#points.get(key)
    if (point === undefined) {
      point = key.asymmetricKeyType === 'ed25519' ? readPoint(key) : null
      this.#points.set(key, point)
    }
    return point
  }

  [Symbol.dispose](): void {
    Object.assign(crypto, { sign: this.#sign, verify: this.#verify })
    syncBuiltinESMExports()
  }
}

function readPoint(key: KeyObject): Uint8Array {
  const { x } = key.export({ format: 'jwk' })
  return Buffer.from(x as string, 'base64url')
}

function standIn(point: Uint8Array, data: Uint8Array): Buffer {
  const value = Buffer.alloc(64)
  value.set(point)
  // FNV-1a, twice, from different starts: 64 bits are enough against accidents.
  let first = 0x811c9dc5
  let second = 0x9e3779b9
  for (const octet of data) {
    first = Math.imul(first ^ octet, 0x01000193)
    second = Math.imul(second ^ octet, 0x85ebca6b)
  }
  value.writeInt32BE(first, 32)
  value.writeInt32BE(second, 36)
  return value
}
