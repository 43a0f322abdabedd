import { createHash } from 'node:crypto'
import {
  enums,
  type Key,
  type PublicKey as LibraryKey,
  readKey,
  type SignaturePacket,
  type Subkey,
} from 'openpgp'
import { checkPackets, keyIdOf, makeNew, refuseSecret } from './accept-list.ts'
import { readArmor, writeArmor } from './armor.ts'
import { KeyTimeline } from './key-timeline.ts'
import {
  issuerOf,
  joinPackets,
  type Packet,
  publicKeyTag,
  readSignatureFields,
  signatureTag,
  splitPackets,
  userAttributeTag,
} from './packet.ts'
import { type PlainKey, plainKey } from './plain-signature.ts'
import { policy } from './policy.ts'
import { accept, type Refusal, refuse, type Verdict } from './verdict.ts'

/** Fingerprint of a version 4 primary key, 40 upper-case hex digits. */
export type Fingerprint = string & { readonly brand: 'Fingerprint' }

export function parseFingerprint(text: string): Fingerprint | null {
  return /^[0-9A-F]{40}$/.test(text) ? (text as Fingerprint) : null
}

/** A blogger's key that `readPublicKey` has accepted. */
export type PublicKey = {
  readonly fingerprint: Fingerprint
  /** exactly as read */
  readonly armored: string
  /** For encrypting to it. Never ask it for a state in the past: `timeline` does that. */
  readonly key: LibraryKey
  readonly timeline: KeyTimeline
  /** the primary key and its subkeys, by long key id (16 upper-case hex digits) */
  readonly signers: ReadonlyMap<string, Signer>
}

/** One key packet, whatever it may be used for: `timeline` knows that. */
export type Signer = {
  readonly packet: LibraryKey['keyPacket'] | Subkey['keyPacket']
  readonly fingerprint: Fingerprint
  readonly isPrimary: boolean
  readonly plain: PlainKey | null
}

/** Bytes of an armored key. Larger ones are flooded with certifications (facts/SECURITY 1.2). */
export const maxKeyBytes = 256 * 1024
/**
 * Reads the public key that a blogger writes with: one armored block with exactly one version 4 key
 * of the accept list (DESIGN 3.2). A function of the text alone: a key that is expired or revoked
 * today still reads, since what it signed earlier must stay checkable; `keyStateAt` judges the time.
 *
 * Codes: KEY_TOO_LARGE, the ARMOR_ codes of `readArmor`, KEY_SECRET, KEY_SEVERAL, KEY_VERSION,
 * KEY_MALFORMED, KEY_TOO_MANY_PACKETS, KEY_ALGORITHM, KEY_CURVE, KEY_RSA_TOO_SHORT,
 * KEY_RSA_TOO_LONG, KEY_THIRD_PARTY_CERTIFICATIONS, KEY_WEAK_SELF_SIGNATURE, KEY_NO_USER_ID,
 * KEY_CANNOT_SIGN, KEY_NO_SELF_SIGNATURE.
 */
export async function readPublicKey(armored: string): Promise<Verdict<PublicKey>> {
  const packets = unpack(armored)
  if (!packets.ok) return packets
  // The accept list comes before openpgp.js: what it says of brainpool hangs on an optional package.
  const refused = checkPackets(packets.value)
  if (refused !== null) return refused
  const bytes = joinPackets(packets.value)
  let key: Key
  try {
    key = await readKey({ binaryKey: bytes, config: policy })
  } catch {
    return refuse(
      'KEY_MALFORMED',
      'The key is damaged: a part of it cannot be read. Export it again.',
    )
  }
  const fingerprint = parseFingerprint(key.getFingerprint().toUpperCase())
  if (fingerprint === null || !(await hasSelfSignature(key))) {
    return refuse(
      'KEY_NO_SELF_SIGNATURE',
      'No user id of the key carries a valid signature by the key itself. Export it again with: gpg --armor --export',
    )
  }
  const signers = collectSigners(key)
  if (signers.size !== key.getKeys().length) {
    return refuse(
      'KEY_MALFORMED',
      'The key holds the same subkey twice. Export it again with: gpg --armor --export',
    )
  }
  const timeline = new KeyTimeline(bytes, packets.value)
  return accept({ fingerprint, armored, key, timeline, signers })
}

function collectSigners(key: Key): ReadonlyMap<string, Signer> {
  return new Map(
    key.getKeys().map(({ keyPacket }): [string, Signer] => {
      const fingerprint = keyPacket.getFingerprint().toUpperCase() as Fingerprint
      return [
        fingerprint.slice(-16),
        {
          packet: keyPacket,
          fingerprint,
          isPrimary: keyPacket === key.keyPacket,
          plain: plainKey(keyPacket),
        },
      ]
    }),
  )
}

/**
 * The same key as it goes into a genesis or rekey entry: certifications by others and pictures
 * stripped, armored anew without headers, LF, no final line end. Blank lines around the block and
 * CRLF are let through. Refuses what `readPublicKey` refuses, with the same codes.
 */
export async function minimalKey(armored: string): Promise<Verdict<string>> {
  const packets = unpack(armored)
  if (!packets.ok) return packets
  const minimal = writeArmor('PUBLIC KEY BLOCK', joinPackets(withoutForeign(packets.value)))
  const key = await readPublicKey(minimal)
  return key.ok ? accept(minimal) : key
}

/**
 * Whether the primary key is good at an instant. Codes: KEY_EXPIRED, KEY_REVOKED (by a revocation
 * inside the key; outside ones are acts in `@names`), KEY_NOT_YET_VALID.
 */
export async function keyStateAt(key: PublicKey, at: Date): Promise<Verdict<void>> {
  const day = at.toISOString().slice(0, 10)
  switch (await key.timeline.primaryAt(at.getTime())) {
    case 'good':
      return accept(undefined)
    case 'expired':
      return refuse(
        'KEY_EXPIRED',
        `The key ${key.fingerprint} was already expired on ${day}. Extend it with gpg --quick-set-expire ${key.fingerprint} 2y, then send it again with gpg --armor --export.`,
      )
    case 'revoked':
      return refuse(
        'KEY_REVOKED',
        `The key ${key.fingerprint} was already revoked on ${day}. A revoked key cannot be extended. ${makeNew}`,
      )
    case 'unborn':
    case 'unbound':
      return refuse(
        'KEY_NOT_YET_VALID',
        `The key ${key.fingerprint} has no valid self-signature on ${day}. Check the clock of the computer that made it, and that its user id is not revoked.`,
      )
  }
}

/** Keys read lately, by their exact armored text, so that a stream of entries parses each key once. */
export class KeyRing {
  readonly #keys = new Map<string, PublicKey>()
  readonly #maxKeys: number
  readonly #maxBytes: number
  #bytes = 0

  /** @param maxBytes - of armored text in all; the parsed keys take a few times as much */
  constructor(maxKeys = 1_000, maxBytes = 16 * 1024 * 1024) {
    this.#maxKeys = maxKeys
    this.#maxBytes = maxBytes
  }

  /** As `readPublicKey`. Refused keys are not kept. */
  async read(armored: string): Promise<Verdict<PublicKey>> {
    if (armored.length > maxKeyBytes) return tooLarge()
    const name = createHash('sha256').update(armored).digest('base64')
    const kept = this.#keys.get(name)
    if (kept !== undefined) {
      this.#keys.delete(name)
      this.#keys.set(name, kept)
      return accept(kept)
    }
    const key = await readPublicKey(armored)
    if (key.ok) this.#keep(name, key.value)
    return key
  }

  #keep(name: string, key: PublicKey): void {
    if (this.#keys.has(name)) return
    this.#keys.set(name, key)
    this.#bytes += key.armored.length
    for (const [oldest, { armored }] of this.#keys) {
      if (this.#keys.size <= this.#maxKeys && this.#bytes <= this.#maxBytes) break
      this.#keys.delete(oldest)
      this.#bytes -= armored.length
    }
  }
}

function tooLarge(): Refusal {
  return refuse(
    'KEY_TOO_LARGE',
    `The key is larger than ${maxKeyBytes / 1024} KiB, most likely by signatures of other people. Export it without them: gpg --armor --export-options export-minimal --export`,
  )
}

function unpack(armored: string): Verdict<readonly Packet[]> {
  if (armored.length > maxKeyBytes) return tooLarge()
  if (/^-----BEGIN PGP PRIVATE KEY BLOCK-----/m.test(armored)) return refuseSecret()
  const bytes = readArmor(armored, 'PUBLIC KEY BLOCK')
  if (!bytes.ok) return bytes
  const packets = splitPackets(bytes.value)
  if (packets === null) {
    return refuse('KEY_MALFORMED', 'The key is damaged: its packets do not fit. Export it again.')
  }
  return accept(packets)
}

/** Without signatures of others, pictures with all their signatures, and packets only programs use. */
function withoutForeign(packets: readonly Packet[]): readonly Packet[] {
  const primaryId = packets[0]?.tag === publicKeyTag ? keyIdOf(packets[0].body) : ''
  const ignored = [10, 12, 21]
  const kept: Packet[] = []
  let isPicture = false
  for (const packet of packets) {
    if (packet.tag !== signatureTag && !ignored.includes(packet.tag)) {
      isPicture = packet.tag === userAttributeTag
    }
    if (isPicture || ignored.includes(packet.tag)) continue
    const fields = packet.tag === signatureTag ? readSignatureFields(packet.body) : null
    const isForeign = fields !== null && issuerOf(fields).keyId !== primaryId
    if (!isForeign) kept.push(packet)
  }
  return kept
}

/** Asks each self-signature at its own time of creation, so that the answer never changes. */
async function hasSelfSignature(key: Key): Promise<boolean> {
  for (const { userID, selfCertifications } of key.users) {
    if (userID === null) continue
    for (const signature of selfCertifications) {
      if (await isValidAtItsTime(signature, key, { userID, key: key.keyPacket })) return true
    }
  }
  return false
}

async function isValidAtItsTime(signature: SignaturePacket, key: Key, data: object) {
  try {
    await signature.verify(
      key.keyPacket,
      enums.signature.certGeneric,
      data,
      signature.created ?? undefined,
      false,
      policy,
    )
    return true
  } catch {
    return false
  }
}
