import {
  createMessage,
  enums,
  readSignature as readLibrarySignature,
  type SignaturePacket,
} from 'openpgp'
import { readArmor, withoutTrailingBlanks, writeArmor } from './armor.ts'
import type { SignerState } from './key-timeline.ts'
import {
  creationTimeType,
  issuerFingerprintType,
  issuerOf,
  issuerType,
  joinPackets,
  normalizeSignature,
  readSignatureFields,
  type SignatureFields,
  signatureExpirationType,
  signatureTag,
  signersUserIdType,
  splitPackets,
} from './packet.ts'
import { isPlainGood, type PlainSignature, readPlain } from './plain-signature.ts'
import { hashName, isStrongHash, policy } from './policy.ts'
import type { Fingerprint, PublicKey, Signer } from './public-key.ts'
import { accept, type Refusal, refuse, type Verdict } from './verdict.ts'

/** A detached signature that `readSignature` has accepted. Whom it fits is not yet known. */
export type DetachedSignature = {
  /** armored anew by us: no headers, LF, no final line end */
  readonly armored: string
  /** what the signer's clock said, ms since the Unix epoch; whole seconds */
  readonly createdMs: number
  /** fingerprint of the signing key or subkey, if the packet has it; proves nothing by itself */
  readonly issuer: Fingerprint | null
  /** long key id of the signing key or subkey, 16 upper-case hex digits */
  readonly keyId: string
  /** null when openpgp.js checks it */
  readonly plain: PlainSignature | null
  /** the packet for openpgp.js */
  readonly bytes: Uint8Array
}

/** Bytes of an armored signature, as it comes and as we armor it. */
export const maxSignatureBytes = 4_096
/** Characters of a clear-signed paste: 64 KiB of text, dash-escapes, CRLF and words around it. */
const maxClearSignedLength = 256 * 1024

const howToSign = 'Make one with: gpg --armor --detach-sign <file>'

/**
 * Reads one armored detached signature: one packet of version 4, type 0x00 or 0x01, SHA-256 or
 * stronger, at most 4 KiB (DESIGN 3.1). It is brought into one form and armored anew, so that armor
 * headers and unsigned additions are gone.
 *
 * Codes: SIGNATURE_TOO_LONG, the ARMOR_ codes of `readArmor`, SIGNATURE_TWO_PACKETS,
 * SIGNATURE_NOT_A_SIGNATURE, SIGNATURE_VERSION, SIGNATURE_TYPE, SIGNATURE_WEAK_HASH,
 * SIGNATURE_EXPIRES, SIGNATURE_CRITICAL_PART, SIGNATURE_NO_ISSUER, SIGNATURE_MALFORMED.
 */
export async function readSignature(armored: string): Promise<Verdict<DetachedSignature>> {
  if (armored.length > maxSignatureBytes) return tooLong()
  const bytes = readArmor(armored, 'SIGNATURE')
  if (!bytes.ok) return bytes
  const body = readOnePacket(bytes.value)
  if (!body.ok) return body
  const asSent = readSignatureFields(body.value)
  if (asSent === null) return malformed()
  const normal = normalizeSignature(asSent)
  const fields = readSignatureFields(normal)
  if (fields === null) return malformed()
  const refused = checkFields(fields)
  if (refused !== null) return refused
  const { keyId, fingerprint } = issuerOf(fields)
  if (keyId === null) {
    return refuse(
      'SIGNATURE_NO_ISSUER',
      `The signature does not say which one key made it. ${howToSign}`,
    )
  }
  const packet = joinPackets([{ tag: signatureTag, body: normal }])
  const plain = readPlain(fields)
  if (plain === null && (await readLibraryPacket(packet)) === null) return malformed()
  const again = writeArmor('SIGNATURE', packet)
  if (again.length > maxSignatureBytes) return tooLong()
  return accept({
    armored: again,
    createdMs: fields.createdMs,
    issuer: fingerprint as Fingerprint | null,
    keyId,
    plain,
    bytes: packet,
  })
}

function tooLong(): Refusal {
  return refuse(
    'SIGNATURE_TOO_LONG',
    `The signature is longer than ${maxSignatureBytes} bytes. Sign without notations and comments.`,
  )
}

function malformed(): Refusal {
  return refuse('SIGNATURE_MALFORMED', 'The signature is damaged. Copy it again or sign again.')
}

function readOnePacket(bytes: Uint8Array): Verdict<Uint8Array> {
  const packets = splitPackets(bytes)
  const [packet] = packets ?? []
  if (packets === null || packet === undefined) return malformed()
  if (packets.length > 1) {
    return refuse(
      'SIGNATURE_TWO_PACKETS',
      `The block holds ${packets.length} packets, for example two signatures. Sign with one key: gpg -u <fingerprint> --armor --detach-sign <file>`,
    )
  }
  if (packet.tag !== signatureTag) {
    return refuse(
      'SIGNATURE_NOT_A_SIGNATURE',
      `The block holds no detached signature (its packet is of type ${packet.tag}). ${howToSign}`,
    )
  }
  if (packet.body[0] !== 4) {
    return refuse(
      'SIGNATURE_VERSION',
      `The signature is of version ${packet.body[0]}; only version 4 can be checked by everybody. Sign with a version 4 key.`,
    )
  }
  return accept(packet.body)
}

/** Parts that gpg and openpgp.js both understand, so that critical ones mean the same to all. */
const understood: readonly number[] = [
  creationTimeType,
  issuerType,
  issuerFingerprintType,
  signersUserIdType,
]

function checkFields({ type, hash, hashed }: SignatureFields): Refusal | null {
  if (type !== enums.signature.binary && type !== enums.signature.text) {
    return refuse(
      'SIGNATURE_TYPE',
      `This signature (type 0x${type.toString(16).padStart(2, '0')}) is not over a text. ${howToSign}`,
    )
  }
  if (!isStrongHash(hash)) {
    return refuse(
      'SIGNATURE_WEAK_HASH',
      `The signature uses ${hashName(hash)}, which can be forged or which gpg cannot check. Sign with SHA-256, SHA-384 or SHA-512: gpg --digest-algo SHA512 --armor --detach-sign <file>`,
    )
  }
  if (hashed.some(({ type }) => type === signatureExpirationType)) {
    return refuse(
      'SIGNATURE_EXPIRES',
      'The signature is made to expire, but what is published stays. Sign with: gpg --default-sig-expire 0 --armor --detach-sign <file>',
    )
  }
  if (hashed.some(({ type, critical }) => critical && !understood.includes(type))) {
    return refuse(
      'SIGNATURE_CRITICAL_PART',
      'The signature carries a notation or other part marked as critical, which not everybody understands. Sign without it.',
    )
  }
  return null
}

async function readLibraryPacket(binarySignature: Uint8Array): Promise<SignaturePacket | null> {
  try {
    const { packets } = await readLibrarySignature({ binarySignature, config: policy })
    const [packet] = packets
    // A packet that openpgp.js could not read stays in the list, without a version.
    return packet?.version === 4 ? packet : null
  } catch {
    return null
  }
}

/**
 * Whether the signature is over exactly these bytes and by this key or a subkey of it that was good
 * and made for signing at the signature's own time. A function of its arguments: no clock. Whether
 * that time can be true is for receipts to say; whether it lies in the future, for the primary.
 *
 * When it does not fit, other forms of the text are tried, only to say which one was signed. Codes:
 * SIGNATURE_OTHER_KEY, SIGNATURE_BAD, SIGNATURE_OVER_TRAILING_NEWLINE, SIGNATURE_OVER_CRLF,
 * SIGNATURE_OVER_STRIPPED_BLANKS, SIGNATURE_KEY_EXPIRED, SIGNATURE_KEY_REVOKED,
 * SIGNATURE_KEY_NOT_YET_VALID, SIGNATURE_SUBKEY_MAY_NOT_SIGN, SIGNATURE_KEY_MAY_NOT_SIGN.
 *
 * @param text - canonical: LF, no final LF
 */
export async function verifyDetached(
  text: Uint8Array,
  signature: DetachedSignature,
  key: PublicKey,
): Promise<Verdict<void>> {
  const signer = key.signers.get(signature.keyId)
  if (
    signer === undefined ||
    (signature.issuer !== null && signature.issuer !== signer.fingerprint)
  ) {
    return refuse(
      'SIGNATURE_OTHER_KEY',
      `The signature is by the key ${signature.issuer ?? signature.keyId}, not by ${key.fingerprint} or a subkey of it. Sign with: gpg -u ${key.fingerprint} --armor --detach-sign <file>`,
    )
  }
  if (!(await isGood(text, signature, signer))) return explainBad(text, signature, signer)
  const state = await key.timeline.signerAt(signature.keyId, signature.createdMs)
  return state === 'good' ? accept(undefined) : refuseSigner(state, signer, signature, key)
}

async function isGood(
  text: Uint8Array,
  signature: DetachedSignature,
  signer: Signer,
): Promise<boolean> {
  const { plain } = signature
  if (plain !== null && signer.plain !== null) {
    return plain.algorithm === signer.plain.algorithm && isPlainGood(text, plain, signer.plain)
  }
  const packet = await readLibraryPacket(signature.bytes)
  if (packet === null) return false
  const message = await createMessage({ binary: text })
  const type = packet.signatureType as enums.signature
  const literal = message.packets[0] as object
  try {
    await packet.verify(signer.packet, type, literal, new Date(signature.createdMs), true, policy)
    return true
  } catch {
    return false
  }
}

async function explainBad(
  text: Uint8Array,
  signature: DetachedSignature,
  signer: Signer,
): Promise<Refusal> {
  const whole = Buffer.from(text).toString('latin1')
  const crlf = whole.replace(/\r?\n/g, '\r\n')
  const stripped = whole.split('\n').map(withoutTrailingBlanks).join('\n')
  const forms: readonly (readonly [form: string, code: string, reason: string])[] = [
    [
      `${whole}\n`,
      'SIGNATURE_OVER_TRAILING_NEWLINE',
      'The signed file ends with a line end that the text does not have; your editor may have added it. Remove the final newline and sign again.',
    ],
    ...[crlf, `${crlf}\r\n`].map(
      (form) =>
        [
          form,
          'SIGNATURE_OVER_CRLF',
          'The signed file has Windows line ends (CRLF). Save it with Unix line ends (LF) and without a final newline, and sign again.',
        ] as const,
    ),
    [
      stripped,
      'SIGNATURE_OVER_STRIPPED_BLANKS',
      'The signed file has no blanks at the ends of lines, but the text has. Remove them from the text.',
    ],
  ]
  for (const [form, code, reason] of forms) {
    if (form !== whole && (await isGood(Buffer.from(form, 'latin1'), signature, signer))) {
      return refuse(code, reason)
    }
  }
  return refuse(
    'SIGNATURE_BAD',
    'The signature does not fit this text: text or signature was changed after signing. Sign exactly the text that was shown, and send both.',
  )
}

function refuseSigner(
  state: Exclude<SignerState, 'good'>,
  signer: Signer,
  signature: DetachedSignature,
  key: PublicKey,
): Refusal {
  const which = `${signer.isPrimary ? 'key' : 'signing subkey'} ${signer.fingerprint}`
  const when = new Date(signature.createdMs).toISOString().replace('.000Z', 'Z')
  switch (state) {
    case 'expired':
      return refuse(
        'SIGNATURE_KEY_EXPIRED',
        `When this was signed (${when}), the ${which} was expired. Extend the key with gpg --quick-set-expire ${key.fingerprint} 2y, send it again and sign again.`,
      )
    case 'revoked':
      return refuse(
        'SIGNATURE_KEY_REVOKED',
        `The ${which} is revoked, so what it signed (${when}) does not count. Sign with the new key.`,
      )
    case 'unborn':
    case 'unbound':
      return refuse(
        'SIGNATURE_KEY_NOT_YET_VALID',
        `When this was signed (${when}), the ${which} was not yet valid. Check the clock of the computer that signs.`,
      )
    case 'barred':
      return signer.isPrimary
        ? refuse(
            'SIGNATURE_KEY_MAY_NOT_SIGN',
            `The ${which} is made for certifying only. Sign with its signing subkey.`,
          )
        : refuse(
            'SIGNATURE_SUBKEY_MAY_NOT_SIGN',
            `The subkey ${signer.fingerprint} is not made for signing texts. Sign with the key itself: gpg -u ${key.fingerprint}! --armor --detach-sign <file>`,
          )
  }
}

/**
 * Turns a clear-signed paste into the text that was signed and its detached signature, armored by
 * us. Dash-escapes are undone, trailing blanks cut, the final line end and everything outside the
 * block dropped, CRLF let through. The caller shows or compares the text: what stands around the
 * block in the paste was never signed.
 *
 * Codes: CLEARSIGNED_TOO_LONG, CLEARSIGNED_MISSING, CLEARSIGNED_TWO_BLOCKS, CLEARSIGNED_MALFORMED,
 * and those of `readSignature`.
 */
export async function splitClearsigned(
  message: string,
): Promise<Verdict<{ readonly text: Uint8Array; readonly signature: string }>> {
  if (message.length > maxClearSignedLength) {
    return refuse(
      'CLEARSIGNED_TOO_LONG',
      `The clear-signed text is longer than ${maxClearSignedLength / 1024} KiB. Paste the signed entry alone.`,
    )
  }
  const lines = message.split('\n').map(withoutTrailingBlanks)
  const begin = lines.indexOf('-----BEGIN PGP SIGNED MESSAGE-----')
  const signature = lines.indexOf('-----BEGIN PGP SIGNATURE-----', begin)
  const end = lines.indexOf('-----END PGP SIGNATURE-----', signature)
  if (begin < 0 || signature < 0 || end < 0) {
    return refuse(
      'CLEARSIGNED_MISSING',
      'There is no whole clear-signed text here. Paste everything from -----BEGIN PGP SIGNED MESSAGE----- to -----END PGP SIGNATURE----- (gpg --clearsign makes it).',
    )
  }
  if (lines.lastIndexOf('-----BEGIN PGP SIGNED MESSAGE-----') !== begin) {
    return refuse(
      'CLEARSIGNED_TWO_BLOCKS',
      'There is more than one clear-signed text in the paste. Paste one.',
    )
  }
  const gap = lines.indexOf('', begin)
  const headers = lines.slice(begin + 1, gap)
  const text = lines.slice(gap + 1, signature)
  // Any other header could hide words in what looks like the text (gpg.fail, 2025).
  if (
    gap < 0 ||
    gap > signature ||
    !headers.every((line) => /^Hash: [A-Za-z0-9, -]+$/.test(line))
  ) {
    return malformedClear('only Hash lines and one empty line may stand before the text')
  }
  if (text.some((line) => line.startsWith('-') && !line.startsWith('- '))) {
    return malformedClear('a line begins with a dash that is not escaped')
  }
  const detached = await readSignature(lines.slice(signature, end + 1).join('\n'))
  if (!detached.ok) return detached
  return accept({
    text: Buffer.from(text.map((line) => line.replace(/^- /, '')).join('\n'), 'utf8'),
    signature: detached.value.armored,
  })
}

function malformedClear(why: string): Refusal {
  return refuse(
    'CLEARSIGNED_MALFORMED',
    `The clear-signed text is damaged: ${why}. Paste it again as gpg --clearsign made it.`,
  )
}
