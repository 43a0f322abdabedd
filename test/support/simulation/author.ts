import { createHash, createPrivateKey, type KeyObject, sign } from 'node:crypto'
import {
  createMessage,
  enums,
  type PrivateKey,
  readPrivateKey,
  sign as signByLibrary,
} from 'openpgp'
import { writeArmor } from '../../../src/auth/armor.ts'
import { joinPackets, signatureTag } from '../../../src/auth/packet.ts'
import { type KeyRing, keyStateAt, minimalKey } from '../../../src/auth/public-key.ts'
import { type Draft, type Entry, encodeEntry } from '../../../src/replication/log/entry.ts'
import { formatDate, type Signed } from '../../../src/replication/log/text.ts'
import { authorKeys } from './author-keys.ts'

export type SignedEntry = { readonly entry: Entry; readonly offer: Signed }
export type AuthorName = keyof typeof authorKeys
export const authorNames = Object.keys(authorKeys) as AuthorName[]

/** Whether openpgp.js signs, or the same packet is put together here and signed by node:crypto. */
export type SigningWay = 'openpgp' | 'node'

/** A key read once for the whole process: what it answers follows from its bytes alone. */
type Opened = {
  readonly secret: PrivateKey
  readonly signer: KeyObject
  readonly armored: string
  readonly fingerprint: string
}
const opened = new Map<string, Promise<Opened>>()

async function open(name: AuthorName, keys: KeyRing, atMs: number): Promise<Opened> {
  const secret = await readPrivateKey({ armoredKey: authorKeys[name] })
  const armored = await minimalKey(secret.toPublic().armor())
  if (!armored.ok) throw new Error(armored.reason)
  const read = await keys.read(armored.value)
  if (!read.ok) throw new Error(read.reason)
  // Asked for now, so that no run finds the answers missing and takes another course by it.
  await keyStateAt(read.value, new Date(atMs))
  for (const id of read.value.signers.keys()) await read.value.timeline.signerAt(id, atMs)
  const { publicParams, privateParams } = secret.keyPacket as unknown as Packet
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
  const signer = createPrivateKey({
    key: {
      ...{ kty: 'OKP', crv: 'Ed25519' },
      d: base64(privateParams.seed),
      x: base64(publicParams.Q.subarray(1)),
    },
    format: 'jwk',
  })
  const fingerprint = secret.getFingerprint().toUpperCase()
  return { secret, signer, armored: armored.value, fingerprint }
}
type Packet = {
  readonly publicParams: { readonly Q: Uint8Array }
  readonly privateParams: { readonly seed: Uint8Array }
}

/** A blogger with her own key, who signs what she publishes. */
export class Author {
  readonly blog: string
  readonly #key: Opened
  readonly #parts: Parts

  private constructor(blog: string, key: Opened, parts: Parts) {
    this.blog = blog
    this.#key = key
    this.#parts = parts
  }

  /** @param name - whose key it is; `blog` may be a name that somebody else wants too */
  static async open(name: AuthorName, blog: string, parts: Parts): Promise<Author> {
    const known = opened.get(name) ?? open(name, parts.keys, parts.now())
    opened.set(name, known)
    return new Author(blog, await known, parts)
  }

  genesis(): Promise<SignedEntry> {
    return this.#sign({ ...this.#behind(null), kind: 'genesis', body: this.#key.armored })
  }

  /** A post behind `before`. */
  post(before: Entry, title: string, body: string): Promise<SignedEntry> {
    const slug = `post-${before.seq + 1}`
    return this.#sign({ ...this.#behind(before), kind: 'post', slug, title, body })
  }

  #behind(before: Entry | null) {
    return {
      council: this.#parts.council,
      blog: this.blog,
      seq: before === null ? 0 : before.seq + 1,
      prev: before?.id ?? null,
      date: formatDate(Math.max(this.#parts.now(), before?.dateMs ?? 0)),
      key: this.#key.fingerprint,
    }
  }

  async #sign(draft: Draft): Promise<SignedEntry> {
    const entry = encodeEntry(draft)
    if (!entry.ok) throw new Error(entry.reason)
    const { text } = entry.value
    const atMs = this.#parts.now()
    const signature =
      this.#parts.way === 'node'
        ? signHere(text, this.#key, atMs)
        : await signThere(text, this.#key, atMs)
    return { entry: entry.value, offer: { text, signature: Buffer.from(signature) } }
  }
}

type Parts = {
  /** `zone/council id` */
  readonly council: string
  readonly now: () => number
  /** the ring by which everybody reads the key */
  readonly keys: KeyRing
  readonly way: SigningWay
}

async function signThere(text: Uint8Array, { secret }: Opened, atMs: number): Promise<string> {
  const armored = await signByLibrary({
    message: await createMessage({ binary: text }),
    signingKeys: secret,
    detached: true,
    date: new Date(atMs),
    // No random salt: the same seed signs the same bytes.
    config: { nonDeterministicSignaturesViaNotation: false },
  })
  return String(armored)
}

/** The packet that openpgp.js and gpg make: version 4, SHA-512, time and issuer (RFC 9580, 5.2.3). */
function signHere(text: Uint8Array, { signer, fingerprint }: Opened, atMs: number): string {
  const time = Buffer.alloc(4)
  time.writeUInt32BE(Math.floor(atMs / 1000))
  const print = Buffer.from(fingerprint, 'hex')
  const hashed = Buffer.concat([
    Buffer.from([5, 2]),
    time,
    Buffer.from([22, 33, 4]),
    print,
    Buffer.from([9, 16]),
    print.subarray(-8),
  ])
  const { eddsaLegacy } = enums.publicKey
  const start = Buffer.from([4, enums.signature.binary, eddsaLegacy, enums.hash.sha512, 0, 0])
  start.writeUInt16BE(hashed.length, 4)
  const signed = Buffer.concat([start, hashed])
  const trailer = Buffer.from([4, 0xff, 0, 0, 0, 0])
  trailer.writeUInt32BE(signed.length, 2)
  const digest = createHash('sha512').update(text).update(signed).update(trailer).digest()
  const value = sign(null, digest, signer)
  const numbers = [value.subarray(0, 32), value.subarray(32)].map(toMpi)
  const body = Buffer.concat([signed, Buffer.alloc(2), digest.subarray(0, 2), ...numbers])
  return writeArmor('SIGNATURE', joinPackets([{ tag: signatureTag, body }]))
}

function toMpi(value: Uint8Array): Uint8Array {
  const start = value.findIndex((octet) => octet !== 0)
  if (start < 0) return Buffer.alloc(2)
  const digits = value.subarray(start)
  const bits = digits.length * 8 - (Math.clz32(digits[0] as number) - 24)
  return Buffer.concat([Buffer.from([bits >> 8, bits & 0xff]), digits])
}
