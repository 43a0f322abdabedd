import { type Key, readKey } from 'openpgp'
import {
  embeddedSignatureType,
  keyExpirationType,
  type Packet,
  publicKeyTag,
  publicSubkeyTag,
  readNumber,
  readSignatureFields,
  type SignatureFields,
  secondsOf,
  signatureExpirationType,
  signatureTag,
} from './packet.ts'
import { policy } from './policy.ts'

/**
 * A primary key at one instant. `unborn`: made later. `unbound`: no self-signature of it holds then,
 * for example because the user id is revoked, or all are younger.
 */
export type KeyState = 'good' | 'expired' | 'revoked' | 'unborn' | 'unbound'

/** A signing key at one instant; `barred`: it is good, but not for signing data. */
export type SignerState = KeyState | 'barred'

/** Whether a text can be encrypted to a key at one instant; `none`: no part of it is made for that. */
export type EncryptionState = 'good' | 'expired' | 'revoked' | 'none'

/** States kept per key. Beyond it all are forgotten: a key has few instants at which it changes. */
const maxKept = 256

/**
 * What openpgp.js says about one key at any instant, asked once per span in which the answer cannot
 * change. A key changes only at the instants written in it: its creation times, the creation and
 * expiry times of its signatures, and the key expiry times in these.
 *
 * Every answer comes from a freshly read key: openpgp.js keeps "revoked" on a signature that it has
 * once found revoked, so a kept key would answer for last year with what it learned for today.
 */
export class KeyTimeline {
  readonly #bytes: Uint8Array
  readonly #instants: readonly number[]
  readonly #states = new Map<string, Promise<SignerState>>()

  constructor(bytes: Uint8Array, packets: readonly Packet[]) {
    this.#bytes = bytes
    this.#instants = collectInstants(packets)
  }

  /** The primary key, whatever it may be used for. */
  primaryAt(ms: number): Promise<KeyState> {
    return this.#kept('primary', ms, (key, date) => primaryState(key, date)) as Promise<KeyState>
  }

  /** @param keyId - 16 upper-case hex digits of the primary key or one of its subkeys */
  signerAt(keyId: string, ms: number): Promise<SignerState> {
    return this.#kept(keyId, ms, (key, date) => signerState(key, keyId, date))
  }

  /** For logins: to the newest encryption subkey that is good then. */
  async encryptsAt(ms: number): Promise<EncryptionState> {
    const key = await readKey({ binaryKey: this.#bytes, config: policy })
    try {
      await key.getEncryptionKey(undefined, new Date(ms), undefined, policy)
      return 'good'
    } catch (error) {
      const state = stateOf(error)
      return state === 'expired' || state === 'revoked' ? state : 'none'
    }
  }

  #kept(
    name: string,
    ms: number,
    judge: (key: Key, date: Date) => Promise<SignerState>,
  ): Promise<SignerState> {
    const span = `${name} ${countUpTo(this.#instants, ms)}`
    const kept = this.#states.get(span)
    if (kept !== undefined) return kept
    const state = readKey({ binaryKey: this.#bytes, config: policy }).then((key) =>
      judge(key, new Date(ms)),
    )
    if (this.#states.size >= maxKept) this.#states.clear()
    this.#states.set(span, state)
    return state
  }
}

async function primaryState(key: Key, date: Date): Promise<KeyState> {
  if (date < key.getCreationTime()) return 'unborn'
  if (await key.isRevoked(undefined, undefined, date, policy)) return 'revoked'
  try {
    await key.verifyPrimaryKey(date, undefined, policy)
    return 'good'
  } catch (error) {
    return stateOf(error)
  }
}

async function signerState(key: Key, keyId: string, date: Date): Promise<SignerState> {
  const primary = await primaryState(key, date)
  if (primary !== 'good') return primary
  const signer = key.getKeys().find((each) => each.getKeyID().toHex().toUpperCase() === keyId)
  if (signer === undefined) return 'barred'
  if (date < signer.getCreationTime()) return 'unborn'
  try {
    await key.getSigningKey(signer.getKeyID(), date, undefined, policy)
    return 'good'
  } catch {
    // getSigningKey says only that it found none; the subkey itself says why.
  }
  if (!('bindingSignatures' in signer)) return 'barred'
  try {
    await signer.verify(date, policy)
    return 'barred'
  } catch (error) {
    return stateOf(error)
  }
}

/** openpgp.js has no error codes. Its words only choose between refusals. */
function stateOf(error: unknown): KeyState {
  const message = error instanceof Error ? error.message : ''
  if (/revoked/.test(message)) return 'revoked'
  return /expired/.test(message) ? 'expired' : 'unbound'
}

function collectInstants(packets: readonly Packet[]): readonly number[] {
  const instants = new Set<number>()
  let primaryMs = 0
  let currentMs = 0
  // One level of embedding only: openpgp.js looks no deeper either.
  const add = (fields: SignatureFields | null, isEmbedded: boolean) => {
    if (fields === null) return
    instants.add(fields.createdMs)
    for (const subpacket of [...fields.hashed, ...fields.unhashed]) {
      if (subpacket.type === signatureExpirationType) {
        instants.add(fields.createdMs + secondsOf(subpacket) * 1000)
      } else if (subpacket.type === keyExpirationType) {
        instants.add(primaryMs + secondsOf(subpacket) * 1000)
        instants.add(currentMs + secondsOf(subpacket) * 1000)
      } else if (subpacket.type === embeddedSignatureType && !isEmbedded) {
        add(readSignatureFields(subpacket.body), true)
      }
    }
  }
  for (const { tag, body } of packets) {
    if (tag === publicKeyTag || tag === publicSubkeyTag) {
      currentMs = readNumber(body, 1, 4) * 1000
      if (tag === publicKeyTag) primaryMs = currentMs
      instants.add(currentMs)
    } else if (tag === signatureTag) {
      add(readSignatureFields(body), false)
    }
  }
  return [...instants].sort((a, b) => a - b)
}

/** How many of the rising instants are not later than `ms`. */
function countUpTo(instants: readonly number[], ms: number): number {
  let low = 0
  let high = instants.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((instants[middle] as number) <= ms) low = middle + 1
    else high = middle
  }
  return low
}
