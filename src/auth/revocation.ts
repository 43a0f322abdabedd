import { enums, readKey, readSignature as readLibrarySignature } from 'openpgp'
import { checkAlgorithm, fingerprintOf, refuseSecret } from './accept-list.ts'
import { readArmor, withoutTrailingBlanks, writeArmor } from './armor.ts'
import {
  type Issuer,
  issuerOf,
  issuerType,
  joinPackets,
  normalizeSignature,
  type Packet,
  publicKeyTag,
  readSignatureFields,
  revocationReasonType,
  type SignatureFields,
  secondsOf,
  signatureExpirationType,
  signatureTag,
  splitPackets,
} from './packet.ts'
import { hashName, isStrongHash, policy } from './policy.ts'
import { type Fingerprint, maxKeyBytes } from './public-key.ts'
import { accept, type Refusal, refuse, type Verdict } from './verdict.ts'

/**
 * Why a key was revoked (RFC 9580, 5.2.3.31): 0 no reason given, 1 superseded, 2 compromised,
 * 3 retired. Codes that no key has, or several at once, count as 0.
 */
export type RevocationReason = 0 | 1 | 2 | 3

/** A revocation of a key by that key itself. */
export type Revocation = {
  readonly key: Fingerprint
  readonly reason: RevocationReason
  /** No reason or compromised: what the key ever signed is in doubt (DESIGN 3.2). */
  readonly isHard: boolean
  /** the owner's words in one line of at most 200 characters, perhaps empty; never to be trusted */
  readonly text: string
  /** what the signer's clock said, ms since the Unix epoch; whole seconds */
  readonly dateMs: number
  /**
   * The one form that is kept: armored by us, the primary key packet and the revocation alone, so
   * that whoever reads it needs nothing else. gpg imports it for a key that it has.
   */
  readonly certificate: string
}

/** Bytes of what is handed in: a whole public key, perhaps with certifications. */
export const maxRevocationBytes = maxKeyBytes
/** Bytes of a certificate as it is kept; it goes into an act. */
export const maxCertificateBytes = 8_192
/** Revocations in one block that are verified; anybody can put forged ones into a key. */
const maxTried = 32
/** Characters of the owner's words that are shown. */
const maxTextCharacters = 200

const howToRevoke = 'Make a revocation with: gpg --armor --gen-revoke <fingerprint>'

/**
 * Reads what a person or a key server hands in: an armored public key that carries its revocation,
 * or gpg's bare certificate (`gpg --gen-revoke`, `openpgp-revocs.d/*.rev` with its words and colon),
 * which is a signature without the key. Both may come together as two blocks. Of several valid
 * revocations a hard one counts, then the earliest. A function of its arguments, without clock.
 *
 * Only a revocation of the whole key (type 0x20) counts that this very key has signed, as
 * openpgp.js judges with the protocol's policy: no designated revokers.
 *
 * @param keys - armored public keys, one of which a bare certificate may be for
 *
 * Codes: REVOCATION_TOO_LONG, REVOCATION_MISSING, REVOCATION_NEEDS_KEY (bare, and none of `keys`
 * fits), REVOCATION_OTHER_KEY, REVOCATION_WEAK_HASH, REVOCATION_EXPIRES, REVOCATION_BAD,
 * KEY_SECRET, KEY_SEVERAL, KEY_VERSION, KEY_MALFORMED, KEY_ALGORITHM, KEY_CURVE, KEY_RSA_TOO_SHORT,
 * KEY_RSA_TOO_LONG, and the ARMOR_ codes of `readArmor`.
 */
export async function readRevocation(
  handed: string,
  keys: readonly string[] = [],
): Promise<Verdict<Revocation>> {
  const read = unpack(handed)
  if (!read.ok) return read
  const packets = read.value
  const primaries = packets.filter(({ tag }) => tag === publicKeyTag)
  const [own] = primaries
  if (primaries.some(({ body }) => !isSame(body, (own as Packet).body))) {
    return refuse(
      'KEY_SEVERAL',
      'There is more than one key here. Send one: gpg --armor --export <fingerprint>',
    )
  }
  const signatures = revocationsIn(packets)
  if (signatures.length === 0) return missing(own !== undefined)
  if (own !== undefined) return judge(own.body, signatures)
  const ids = new Set(signatures.map((fields) => issuerOf(fields).keyId))
  for (const armored of keys) {
    const [primary] = unpackKey(armored)
    if (primary === undefined || !ids.has(fingerprintOf(primary.body).slice(-16))) continue
    return judge(primary.body, signatures)
  }
  return refuse(
    'REVOCATION_NEEDS_KEY',
    'This is a revocation without the key that it is for, and that key is not known here. Hand it in at the address of the blog, or send the public key with it: gpg --armor --export <fingerprint>',
  )
}

/** Whom a bare certificate says that it is by; null when it carries its key, or cannot be read. */
export function revokerOf(handed: string): Issuer | null {
  const packets = unpack(handed)
  if (!packets.ok || packets.value.some(({ tag }) => tag === publicKeyTag)) return null
  const [first] = revocationsIn(packets.value)
  return first === undefined ? null : issuerOf(first)
}

/**
 * What a key server's answer says of one key: its revocation, or null when the key is there and not
 * revoked by itself. What is forged in the answer changes nothing.
 *
 * @param answer - armored, or the packets themselves (WKD)
 * Code KEY_NOT_IN_ANSWER: it is no public key, or another one.
 */
export async function revocationOf(
  key: Fingerprint,
  answer: Uint8Array,
): Promise<Verdict<Revocation | null>> {
  const packets = packetsOf(answer)
  const at = packets.findIndex(({ tag, body }) => tag === publicKeyTag && isKey(body, key))
  const primary = packets[at]
  if (primary === undefined) {
    return refuse('KEY_NOT_IN_ANSWER', 'The answer is not the key that was asked for.')
  }
  const rest = packets.slice(at + 1)
  const next = rest.findIndex(({ tag }) => tag === publicKeyTag)
  const revoked = await judge(primary.body, revocationsIn(next < 0 ? rest : rest.slice(0, next)))
  return accept(revoked.ok ? revoked.value : null)
}

/**
 * Checks a certificate in the form in which it is kept, as an act carries it. A function of its
 * bytes: all peers agree. Code REVOCATION_FORM: it is not exactly that form; and those of
 * `readRevocation`.
 */
export async function checkCertificate(certificate: string): Promise<Verdict<Revocation>> {
  if (describeCertificate(certificate) === null) {
    return refuse(
      'REVOCATION_FORM',
      'The certificate is not one key and one revocation in the form in which they are kept.',
    )
  }
  const revocation = await readRevocation(certificate)
  return revocation.ok && revocation.value.certificate !== certificate
    ? refuse('REVOCATION_FORM', 'The certificate is not armored as it is to be kept.')
    : revocation
}

/** What a kept certificate says, its signature not verified: for acts that are in the log. */
export function describeCertificate(certificate: string): Revocation | null {
  if (certificate.length > maxCertificateBytes) return null
  const bytes = readArmor(certificate, 'PUBLIC KEY BLOCK')
  const packets = bytes.ok ? splitPackets(bytes.value) : null
  const [key, signature, more] = packets ?? []
  if (key?.tag !== publicKeyTag || signature?.tag !== signatureTag || more !== undefined)
    return null
  const fields = readSignatureFields(signature.body)
  if (fields?.type !== enums.signature.keyRevocation || key.body.length < 8) return null
  const described = describe(key.body, fields)
  return described.certificate === certificate ? described : null
}

/** Each block's packets, joined; the words around them, and gpg's colon, fall away. */
function unpack(handed: string): Verdict<readonly Packet[]> {
  if (handed.length > maxRevocationBytes) {
    return refuse(
      'REVOCATION_TOO_LONG',
      `More than ${maxRevocationBytes / 1024} KiB were sent. Send the key without signatures of other people: gpg --armor --export-options export-minimal --export`,
    )
  }
  if (/^:?-----BEGIN PGP PRIVATE KEY BLOCK-----/m.test(handed)) return refuseSecret()
  const lines = handed
    .split('\n')
    .map((line) => withoutTrailingBlanks(line).replace(/^:(?=-{5})/, ''))
  const packets: Packet[] = []
  let blocks = 0
  for (let at = 0; ; blocks++) {
    const begin = lines.findIndex(
      (line, index) => index >= at && line.startsWith('-----BEGIN PGP '),
    )
    if (begin < 0) break
    if (blocks === 2) {
      return refuse(
        'ARMOR_TWO_BLOCKS',
        'There are more than two armored blocks. Send the revocation, and the key if it is needed.',
      )
    }
    const end = lines.findIndex((line, index) => index > begin && line.startsWith('-----END PGP '))
    at = end < 0 ? lines.length : end + 1
    const bytes = readArmor(lines.slice(begin, at).join('\n'), 'PUBLIC KEY BLOCK')
    if (!bytes.ok) return bytes
    const split = splitPackets(bytes.value)
    if (split === null) {
      return refuse('KEY_MALFORMED', 'The block is damaged: its packets do not fit. Copy it again.')
    }
    packets.push(...split)
  }
  if (packets.some(({ tag }) => tag === 5 || tag === 7)) return refuseSecret()
  return blocks > 0
    ? accept(packets)
    : refuse(
        'ARMOR_MISSING',
        `There is no armored revocation here. Paste the whole block, from -----BEGIN PGP PUBLIC KEY BLOCK----- to the END line. ${howToRevoke}`,
      )
}

function unpackKey(armored: string): readonly Packet[] {
  const packets = unpack(armored)
  return packets.ok ? packets.value.filter(({ tag }) => tag === publicKeyTag) : []
}

function packetsOf(answer: Uint8Array): readonly Packet[] {
  if (answer.length > maxRevocationBytes) return []
  // The first bit of a packet is set, that of a letter is not (RFC 9580, 4.2).
  if (((answer[0] ?? 0) & 0x80) !== 0) return splitPackets(answer) ?? []
  const packets = unpack(Buffer.from(answer).toString('latin1'))
  return packets.ok ? packets.value : []
}

function revocationsIn(packets: readonly Packet[]): readonly SignatureFields[] {
  return packets.flatMap(({ tag, body }) => {
    const fields = tag === signatureTag ? readSignatureFields(body) : null
    return fields?.type === enums.signature.keyRevocation ? [fields] : []
  })
}

function missing(hasKey: boolean): Refusal {
  return refuse(
    'REVOCATION_MISSING',
    hasKey
      ? `This key is not revoked: at most a part of it is, a user id or a subkey. ${howToRevoke}`
      : `There is no revocation of a key in this block. ${howToRevoke}`,
  )
}

/** The revocation that counts, else why the first one that claims to be by the key does not. */
async function judge(
  keyBody: Uint8Array,
  signatures: readonly SignatureFields[],
): Promise<Verdict<Revocation>> {
  if (keyBody[0] !== 4 || keyBody.length < 8) {
    return refuse('KEY_VERSION', 'Only version 4 keys are used here, and this is another one.')
  }
  const refusedKey = checkAlgorithm(keyBody, 'key')
  if (refusedKey !== null) return refusedKey
  const keyId = fingerprintOf(keyBody).slice(-16)
  const own = signatures.filter((fields) => issuerOf(fields).keyId === keyId)
  if (own.length === 0) {
    return signatures.length === 0
      ? missing(true)
      : refuse(
          'REVOCATION_OTHER_KEY',
          `The revocation is signed by another key. Only one that the key itself has signed counts. ${howToRevoke}`,
        )
  }
  const found: Revocation[] = []
  let refusal: Refusal | null = null
  for (const fields of own.slice(0, maxTried)) {
    const verdict = await judgeOne(keyBody, fields)
    if (verdict.ok) found.push(verdict.value)
    else refusal ??= verdict
  }
  found.sort((a, b) => Number(b.isHard) - Number(a.isHard) || a.dateMs - b.dateMs)
  const [first] = found
  return first === undefined ? (refusal as Refusal) : accept(first)
}

async function judgeOne(
  keyBody: Uint8Array,
  fields: SignatureFields,
): Promise<Verdict<Revocation>> {
  if (!isStrongHash(fields.hash)) {
    return refuse(
      'REVOCATION_WEAK_HASH',
      `The revocation uses ${hashName(fields.hash)}, which can be forged. Make it anew: gpg --digest-algo SHA256 --armor --gen-revoke <fingerprint>`,
    )
  }
  if (fields.hashed.some((each) => each.type === signatureExpirationType && secondsOf(each) > 0)) {
    return refuse('REVOCATION_EXPIRES', `The revocation is made to expire. ${howToRevoke}`)
  }
  const revocation = describe(keyBody, fields)
  if (revocation.certificate.length > maxCertificateBytes) {
    return refuse(
      'REVOCATION_TOO_LONG',
      `The revocation alone is longer than ${maxCertificateBytes / 1024} KiB. Make one with fewer words.`,
    )
  }
  return (await isSigned(keyBody, fields))
    ? accept(revocation)
    : refuse(
        'REVOCATION_BAD',
        `The revocation does not fit this key: it was changed, or never signed by it. ${howToRevoke}`,
      )
}

async function isSigned(keyBody: Uint8Array, fields: SignatureFields): Promise<boolean> {
  try {
    const binaryKey = joinPackets([{ tag: publicKeyTag, body: keyBody }])
    const { keyPacket } = await readKey({ binaryKey, config: policy })
    const binarySignature = joinPackets([{ tag: signatureTag, body: normalForm(keyBody, fields) }])
    const { packets } = await readLibrarySignature({ binarySignature, config: policy })
    const [packet] = packets
    if (packet?.version !== 4) return false
    // Asked at its own time: the verdict must not depend on anybody's clock.
    const at = new Date(fields.createdMs)
    const over = { key: keyPacket }
    await packet.verify(keyPacket, enums.signature.keyRevocation, over, at, false, policy)
    return true
  } catch {
    return false
  }
}

/** Of the unhashed area only the issuer, written by us: what came there was not signed. */
function normalForm(keyBody: Uint8Array, fields: SignatureFields): Uint8Array {
  const body = Buffer.from(fingerprintOf(keyBody).slice(-16), 'hex')
  return normalizeSignature(fields, [{ type: issuerType, critical: false, body }])
}

function describe(keyBody: Uint8Array, fields: SignatureFields): Revocation {
  const reasons = fields.hashed.filter(({ type }) => type === revocationReasonType)
  const [only] = reasons.length === 1 ? reasons : []
  const code = only?.body[0] ?? 0
  const reason = code === 1 || code === 2 || code === 3 ? code : 0
  const packets = [
    { tag: publicKeyTag, body: keyBody },
    { tag: signatureTag, body: normalForm(keyBody, fields) },
  ]
  return {
    key: fingerprintOf(keyBody) as Fingerprint,
    reason,
    isHard: reason === 0 || reason === 2,
    text: cleanWords(only?.body.subarray(1) ?? new Uint8Array()),
    dateMs: fields.createdMs,
    certificate: writeArmor('PUBLIC KEY BLOCK', joinPackets(packets)),
  }
}

/** One line without what could disturb the text around it: controls, bidi, format characters. */
function cleanWords(bytes: Uint8Array): string {
  const words = new TextDecoder()
    .decode(bytes.subarray(0, maxCertificateBytes))
    .normalize('NFC')
    .replace(/[\p{C}\p{Zl}\p{Zp}\s\ufffd]+/gu, ' ')
    .trim()
  return [...words].slice(0, maxTextCharacters).join('').trim()
}

const isSame = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0
const isKey = (body: Uint8Array, key: Fingerprint) => body[0] === 4 && fingerprintOf(body) === key
