import { createHash } from 'node:crypto'
import { enums } from 'openpgp'
import {
  embeddedSignatureType,
  hex,
  issuerOf,
  keyFlagsType,
  type Packet,
  publicKeyTag,
  publicSubkeyTag,
  readMpi,
  readSignatureFields,
  type SignatureFields,
  signatureTag,
  userAttributeTag,
  userIdTag,
} from './packet.ts'
import { hashName, isStrongHash } from './policy.ts'
import { type Refusal, refuse } from './verdict.ts'

/** Packets in a key. Each may be a signature that costs a verification. */
const maxPackets = 256
/** Bits of an RSA key. gpg makes at most 4,096; beyond this a check takes too long. */
const maxRsaBits = 8_192

/** How to make a good key, for the end of a refusal. */
export const makeNew =
  'Make a new key: gpg --quick-generate-key "Your Name <you@example.org>" future-default default 2y'

export function refuseSecret(): Refusal {
  return refuse(
    'KEY_SECRET',
    'This is a secret key. Never send it to anybody; whoever sees it can write in your name. Send the public key: gpg --armor --export',
  )
}

const secretTags = [5, 7]
const keyTags = [publicKeyTag, publicSubkeyTag]
const knownTags = [...keyTags, signatureTag, userIdTag, userAttributeTag]

/** Everything that can be refused without openpgp.js; null when nothing is. */
export function checkPackets(packets: readonly Packet[]): Refusal | null {
  if (packets.some(({ tag }) => secretTags.includes(tag))) return refuseSecret()
  if (packets.filter(({ tag }) => tag === publicKeyTag).length > 1) {
    return refuse(
      'KEY_SEVERAL',
      'There is more than one key in this block. Export one, by its fingerprint: gpg --armor --export <fingerprint>',
    )
  }
  const [primary] = packets
  if (primary?.tag !== publicKeyTag || packets.some(({ tag }) => !knownTags.includes(tag))) {
    return refuse(
      'KEY_MALFORMED',
      'This block is not a plain public key. Export it again with: gpg --armor --export',
    )
  }
  const keyPackets = packets.filter(({ tag }) => keyTags.includes(tag))
  if (keyPackets.some(({ body }) => body[0] !== 4 || body.length < 8)) {
    return refuse(
      'KEY_VERSION',
      `Only version 4 keys can be used: gpg cannot check others. ${makeNew} (with openpgp.js: type 'ecc').`,
    )
  }
  return (
    checkAlgorithm(primary.body, 'primary key') ??
    checkOwnSignatures(packets, keyIdOf(primary.body)) ??
    checkSigning(packets)
  )
}

/** Issuers, hashes and form of all signatures in the block. */
function checkOwnSignatures(packets: readonly Packet[], primaryId: string): Refusal | null {
  const signatures = packets.filter(({ tag }) => tag === signatureTag)
  const fields = signatures.map(({ body }) => readSignatureFields(body))
  if (fields.some((each) => each === null || !hasReadableEmbedded(each))) {
    return refuse(
      'KEY_MALFORMED',
      'A signature in the key is damaged or of an old version. Export it with: gpg --armor --export-options export-minimal --export',
    )
  }
  const readable = fields.filter((each) => each !== null)
  if (readable.some((each) => issuerOf(each).keyId !== primaryId)) {
    return refuse(
      'KEY_THIRD_PARTY_CERTIFICATIONS',
      'The key carries signatures of other people. Export it without them: gpg --armor --export-options export-minimal --export',
    )
  }
  if (packets.length > maxPackets) {
    return refuse(
      'KEY_TOO_MANY_PACKETS',
      `The key has more than ${maxPackets} parts. Export the newest only: gpg --armor --export-options export-minimal --export`,
    )
  }
  const weak = readable.find((each) => !isStrongHash(each.hash))
  if (weak !== undefined) {
    return refuse(
      'KEY_WEAK_SELF_SIGNATURE',
      `The key's signature about itself uses ${hashName(weak.hash)}, which can be forged. Renew it with gpg --quick-set-expire <fingerprint> 2y and gpg --quick-set-expire <fingerprint> 2y '*', then export it with gpg --armor --export-options export-minimal --export`,
    )
  }
  return null
}

function hasReadableEmbedded(fields: SignatureFields): boolean {
  return [...fields.hashed, ...fields.unhashed].every(
    ({ type, body }) => type !== embeddedSignatureType || readSignatureFields(body) !== null,
  )
}

/** User ids, the right to sign, and the algorithms of the subkeys that have it. */
function checkSigning(packets: readonly Packet[]): Refusal | null {
  if (!packets.some(({ tag }) => tag === userIdTag)) {
    return refuse(
      'KEY_NO_USER_ID',
      'The key has no user id. Some key servers strip it: export the key from your own keyring with gpg --armor --export',
    )
  }
  let current = packets[0] as Packet
  const signers = new Set<Packet>()
  for (const packet of packets) {
    if (keyTags.includes(packet.tag)) current = packet
    else if (packet.tag === signatureTag && maySign(packet)) signers.add(current)
  }
  if (signers.size === 0) {
    return refuse(
      'KEY_CANNOT_SIGN',
      `Neither the key nor a subkey of it is made for signing. Add one with gpg --quick-add-key <fingerprint> future-default sign, or: ${makeNew}`,
    )
  }
  for (const { tag, body } of signers) {
    const refused = tag === publicSubkeyTag ? checkAlgorithm(body, 'signing subkey') : null
    if (refused !== null) return refused
  }
  return null
}

function maySign({ body }: Packet): boolean {
  const flags = readSignatureFields(body)?.hashed.filter(({ type }) => type === keyFlagsType) ?? []
  return flags.some((each) => ((each.body[0] ?? 0) & enums.keyFlags.signData) !== 0)
}

const goodCurves: Readonly<Record<string, number>> = {
  '2B06010401DA470F01': enums.publicKey.eddsaLegacy,
  '2A8648CE3D030107': enums.publicKey.ecdsa,
  '2B81040022': enums.publicKey.ecdsa,
  '2B81040023': enums.publicKey.ecdsa,
}
const refusedCurves: Readonly<Record<string, string>> = {
  '2B8104000A': 'secp256k1',
  '2B2403030208010107': 'brainpoolP256r1',
  '2B240303020801010B': 'brainpoolP384r1',
  '2B240303020801010D': 'brainpoolP512r1',
}
const refusedAlgorithms: Readonly<Record<number, string>> = {
  2: 'RSA for encryption only',
  16: 'ElGamal',
  17: 'DSA',
  18: 'ECDH, which cannot sign',
  20: 'ElGamal',
  25: 'X25519, which cannot sign',
  26: 'X448, which cannot sign',
  28: 'Ed448',
}

/** The accept list of DESIGN 3.2, for the body of a key packet that certifies or signs. */
export function checkAlgorithm(body: Uint8Array, which: string): Refusal | null {
  const algorithm = body[5] as number
  switch (algorithm) {
    case enums.publicKey.rsaEncryptSign:
    case enums.publicKey.rsaSign:
      return checkRsa(body, which)
    case enums.publicKey.ecdsa:
    case enums.publicKey.eddsaLegacy:
      return checkCurve(body, algorithm, which)
    case enums.publicKey.ed25519:
      return body.length === 6 + 32 ? null : damaged(which)
    default:
      return refuse(
        'KEY_ALGORITHM',
        `The ${which} uses ${refusedAlgorithms[algorithm] ?? `the unknown algorithm ${algorithm}`}. Ed25519, RSA of 2048 bits or more and NIST P-256, P-384 and P-521 can be used. ${makeNew}`,
      )
  }
}

function checkRsa(body: Uint8Array, which: string): Refusal | null {
  const modulus = readMpi(body, 6)
  const exponent = modulus === null ? null : readMpi(body, modulus.end)
  if (modulus === null || exponent === null || exponent.end !== body.length) return damaged(which)
  if (modulus.bits < 2048) {
    return refuse(
      'KEY_RSA_TOO_SHORT',
      `The ${which} is RSA of ${modulus.bits} bits; fewer than 2048 are too weak. ${makeNew}`,
    )
  }
  if (modulus.bits > maxRsaBits || exponent.bits > 32) {
    return refuse(
      'KEY_RSA_TOO_LONG',
      `The ${which} is RSA of ${modulus.bits} bits with an exponent of ${exponent.bits}; at most ${maxRsaBits} and 32 can be used. ${makeNew}`,
    )
  }
  // Even numbers and an exponent of 1 are no RSA; libraries differ in what they make of them.
  const isOdd = ((modulus.value.at(-1) ?? 0) & (exponent.value.at(-1) ?? 0) & 1) === 1
  return modulus.value[0] === 0 || !isOdd || exponent.bits < 2 ? damaged(which) : null
}

function checkCurve(body: Uint8Array, algorithm: number, which: string): Refusal | null {
  const length = body[6] as number
  const curve = hex(body.subarray(7, 7 + length))
  if (goodCurves[curve] === algorithm) {
    const point = readMpi(body, 7 + length)
    return point !== null && point.end === body.length ? null : damaged(which)
  }
  return refuse(
    'KEY_CURVE',
    `The ${which} uses the curve ${refusedCurves[curve] ?? curve}, which not everybody can check. ${makeNew}`,
  )
}

function damaged(which: string): Refusal {
  return refuse(
    'KEY_MALFORMED',
    `The ${which} is damaged: its numbers do not fit. Export it again.`,
  )
}

/** Fingerprint of a version 4 key packet, 40 upper-case hex digits (RFC 9580, 5.5.4). */
export function fingerprintOf(body: Uint8Array): string {
  const head = Buffer.from([0x99, body.length >> 8, body.length & 0xff])
  return hex(createHash('sha1').update(head).update(body).digest())
}

/** Its long key id, 16 upper-case hex digits. */
export function keyIdOf(body: Uint8Array): string {
  return fingerprintOf(body).slice(-16)
}
