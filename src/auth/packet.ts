/**
 * The outer layers of OpenPGP packets (RFC 9580, 4 and 5.2), read without judging: enough to refuse
 * by name before openpgp.js is asked, which skips what it does not know.
 */

/** One packet: its type and its content without the packet header. */
export type Packet = { readonly tag: number; readonly body: Uint8Array }

export const publicKeyTag = 6
export const publicSubkeyTag = 14
export const userIdTag = 13
export const userAttributeTag = 17
export const signatureTag = 2

/** Null when the bytes are not a row of whole packets of definite length. */
export function splitPackets(bytes: Uint8Array): readonly Packet[] | null {
  const packets: Packet[] = []
  let at = 0
  while (at < bytes.length) {
    const first = bytes[at] as number
    if ((first & 0x80) === 0) return null
    const isNew = (first & 0x40) !== 0
    const length = isNew ? newLength(bytes, at + 1) : oldLength(bytes, at + 1, first & 3)
    if (length === null) return null
    const start = at + 1 + length.octets
    const end = start + length.value
    if (end > bytes.length) return null
    packets.push({
      tag: isNew ? first & 0x3f : (first & 0x3c) >> 2,
      body: bytes.subarray(start, end),
    })
    at = end
  }
  return packets
}

type Length = { readonly octets: number; readonly value: number }

function oldLength(bytes: Uint8Array, at: number, lengthType: number): Length | null {
  if (lengthType === 3) return null
  const octets = 1 << lengthType
  if (at + octets > bytes.length) return null
  return { octets, value: readNumber(bytes, at, octets) }
}

/** Also the length of a subpacket, apart from partial lengths, which none of ours may have. */
function newLength(bytes: Uint8Array, at: number): Length | null {
  const first = bytes[at]
  if (first === undefined) return null
  if (first < 192) return { octets: 1, value: first }
  if (first < 224) {
    const second = bytes[at + 1]
    return second === undefined ? null : { octets: 2, value: ((first - 192) << 8) + second + 192 }
  }
  if (first < 255 || at + 5 > bytes.length) return null
  return { octets: 5, value: readNumber(bytes, at + 1, 4) }
}

/** With the header that gpg writes, so that one content has one form. */
export function joinPackets(packets: readonly Packet[]): Uint8Array {
  return Buffer.concat(
    packets.flatMap(({ tag, body }) => {
      const lengthType = body.length < 0x100 ? 0 : body.length < 0x10000 ? 1 : 2
      const octets = 1 << lengthType
      const header = Buffer.alloc(1 + octets)
      // Old headers have room for tags below 16; user attributes (17) need a new one.
      if (tag > 15) {
        const long = Buffer.from([0xc0 | tag, 0xff, 0, 0, 0, 0])
        long.writeUInt32BE(body.length, 2)
        return [long, body]
      }
      header[0] = 0x80 | (tag << 2) | lengthType
      header.writeUIntBE(body.length, 1, octets)
      return [header, body]
    }),
  )
}

export type Subpacket = {
  readonly type: number
  readonly critical: boolean
  readonly body: Uint8Array
}

export const creationTimeType = 2
export const signatureExpirationType = 3
export const keyExpirationType = 9
export const issuerType = 16
export const notationType = 20
export const keyFlagsType = 27
export const signersUserIdType = 28
export const revocationReasonType = 29
export const embeddedSignatureType = 32
export const issuerFingerprintType = 33

/** A version 4 signature packet, taken apart. */
export type SignatureFields = {
  readonly type: number
  readonly algorithm: number
  readonly hash: number
  /** what is hashed behind the data, up to the end of the hashed subpackets */
  readonly signed: Uint8Array
  readonly hashed: readonly Subpacket[]
  readonly unhashed: readonly Subpacket[]
  /** first two octets of the hash */
  readonly left: Uint8Array
  /** the numbers of the algorithm */
  readonly material: Uint8Array
  readonly createdMs: number
}

/**
 * Null when the packet is not of version 4, a length does not fit, or there is not exactly one time
 * of creation, or a time or issuer has a length of its own.
 */
export function readSignatureFields(body: Uint8Array): SignatureFields | null {
  if (body[0] !== 4 || body.length < 10) return null
  const hashedEnd = 6 + readNumber(body, 4, 2)
  if (hashedEnd + 2 > body.length) return null
  const unhashedEnd = hashedEnd + 2 + readNumber(body, hashedEnd, 2)
  if (unhashedEnd + 2 > body.length) return null
  const hashed = readSubpackets(body.subarray(6, hashedEnd))
  const unhashed = readSubpackets(body.subarray(hashedEnd + 2, unhashedEnd))
  if (hashed === null || unhashed === null) return null
  const created = hashed.filter((each) => each.type === creationTimeType)
  if (created.length !== 1) return null
  return {
    type: body[1] as number,
    algorithm: body[2] as number,
    hash: body[3] as number,
    signed: body.subarray(0, hashedEnd),
    hashed,
    unhashed,
    left: body.subarray(unhashedEnd, unhashedEnd + 2),
    material: body.subarray(unhashedEnd + 2),
    createdMs: secondsOf(created[0] as Subpacket) * 1000,
  }
}

/**
 * The one form in which a signature is kept: what is signed stays as it is; of the unhashed area,
 * which anybody can fill on the way, only the issuer; numbers without leading zeros. gpg is stricter
 * about these than openpgp.js, and a relay must not be able to make a good signature bad for gpg.
 *
 * @param issuers - what stands in the unhashed area
 */
export function normalizeSignature(
  fields: SignatureFields,
  issuers: readonly Subpacket[] = fields.unhashed.filter(({ type }) => isIssuerType(type)),
): Uint8Array {
  const unhashed = issuers.flatMap(({ type, critical, body }) => [
    Buffer.from([body.length + 1, type | (critical ? 0x80 : 0)]),
    body,
  ])
  const length = Buffer.alloc(2)
  length.writeUInt16BE(unhashed.reduce((sum, { length }) => sum + length, 0))
  const material = normalizeMpis(fields.algorithm, fields.material)
  return Buffer.concat([fields.signed, length, ...unhashed, fields.left, material])
}

const mpiAlgorithms: readonly number[] = [1, 2, 3, 17, 19, 22]

function normalizeMpis(algorithm: number, material: Uint8Array): Uint8Array {
  if (!mpiAlgorithms.includes(algorithm)) return material
  const parts: Uint8Array[] = []
  for (let at = 0; at < material.length; ) {
    const mpi = readMpi(material, at)
    if (mpi === null) return material
    parts.push(Buffer.from([mpi.bits >> 8, mpi.bits & 0xff]))
    parts.push(mpi.value.subarray(mpi.value.length - ((mpi.bits + 7) >> 3)))
    at = mpi.end
  }
  return Buffer.concat(parts)
}

const isIssuerType = (type: number) => type === issuerType || type === issuerFingerprintType

const timeTypes: readonly number[] = [creationTimeType, signatureExpirationType, keyExpirationType]

function readSubpackets(area: Uint8Array): readonly Subpacket[] | null {
  const subpackets: Subpacket[] = []
  let at = 0
  while (at < area.length) {
    const length = newLength(area, at)
    if (length === null || length.value === 0) return null
    const start = at + length.octets
    const end = start + length.value
    if (end > area.length) return null
    const first = area[start] as number
    const type = first & 0x7f
    const body = area.subarray(start + 1, end)
    if (timeTypes.includes(type) && body.length !== 4) return null
    if (type === issuerType && body.length !== 8) return null
    if (type === issuerFingerprintType && body.length !== 21 && body.length !== 33) return null
    subpackets.push({ type, critical: (first & 0x80) !== 0, body })
    at = end
  }
  return subpackets
}

/** The number in a subpacket of time or expiry, seconds. */
export function secondsOf(subpacket: Subpacket): number {
  return readNumber(subpacket.body, 0, 4)
}

/** Who made a signature, as it says itself in any of its subpackets; upper-case hex. */
export type Issuer = {
  /** null when the packet names no key or two different ones */
  readonly keyId: string | null
  /** 40 digits */
  readonly fingerprint: string | null
}

export function issuerOf(fields: SignatureFields): Issuer {
  const keyIds = new Set<string>()
  const fingerprints = new Set<string>()
  for (const { type, body } of [...fields.hashed, ...fields.unhashed]) {
    if (type === issuerType) keyIds.add(hex(body))
    if (type === issuerFingerprintType) {
      // A fingerprint of another version names no key that we take; its key id fits none either.
      const isVersion4 = body[0] === 4 && body.length === 21
      const fingerprint = hex(body.subarray(1))
      keyIds.add(isVersion4 ? fingerprint.slice(-16) : fingerprint)
      if (isVersion4) fingerprints.add(fingerprint)
    }
  }
  const [keyId = null] = keyIds
  const [fingerprint = null] = fingerprints
  if (keyIds.size !== 1) return { keyId: null, fingerprint: null }
  return { keyId, fingerprint: fingerprints.size === 1 ? fingerprint : null }
}

/** A multiprecision integer at `at`: its octets, the real number of bits, where it ends. */
export function readMpi(bytes: Uint8Array, at: number) {
  if (at + 2 > bytes.length) return null
  const end = at + 2 + ((readNumber(bytes, at, 2) + 7) >> 3)
  if (end > bytes.length) return null
  const value = bytes.subarray(at + 2, end)
  const zeros = value.findIndex((octet) => octet !== 0)
  const bits =
    zeros < 0 ? 0 : (value.length - zeros) * 8 - (Math.clz32(value[zeros] as number) - 24)
  return { value, bits, end }
}

export function readNumber(bytes: Uint8Array, at: number, octets: number): number {
  let number = 0
  for (let index = at; index < at + octets; index++) {
    number = number * 256 + (bytes[index] as number)
  }
  return number
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex').toUpperCase()
}
