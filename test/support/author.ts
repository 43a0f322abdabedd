import { createMessage, decrypt, generateKey, readMessage, sign } from 'openpgp'
import { KeyRing, minimalKey } from '../../src/auth/public-key.ts'
import type { Verdict } from '../../src/auth/verdict.ts'
import { type Draft, type Entry, encodeEntry } from '../../src/replication/log/entry.ts'
import type { Head } from '../../src/replication/log/log.ts'
import { formatDate } from '../../src/replication/log/text.ts'
import type { GpgHome } from './gpg.ts'

/** Who signs: a key of openpgp.js, or one in a real gpg. */
export type Signer = {
  readonly fingerprint: string
  /** armored, as a genesis carries it */
  readonly publicKey: string
  readonly sign: (text: Uint8Array) => Promise<string>
}

/** Who also reads what is encrypted to the key, as a login asks. */
export type Holder = Signer & { readonly decrypt: (armored: string) => Promise<string> }

/** A signed entry, and the bytes with which it is handed in. */
export type SignedEntry = {
  readonly entry: Entry
  readonly signature: string
  readonly submission: Uint8Array
}

export function must<T>(verdict: Verdict<T>): T {
  if (!verdict.ok) throw new Error(`${verdict.code}: ${verdict.reason}`)
  return verdict.value
}

async function readKey(armored: string) {
  const publicKey = must(await minimalKey(armored))
  const { fingerprint } = must(await new KeyRing().read(publicKey))
  return { fingerprint, publicKey }
}

/** A key made by openpgp.js: most tests need no gpg. */
export async function makeSigner(name = 'Maria'): Promise<Holder> {
  const userIDs = [{ name }]
  const { privateKey } = await generateKey({ type: 'ecc', userIDs, format: 'object' })
  return {
    ...(await readKey(privateKey.toPublic().armor())),
    sign: async (text) => {
      const message = await createMessage({ binary: text })
      const armored = await sign({ message, signingKeys: privateKey, detached: true })
      return String(armored)
    },
    decrypt: async (armored) => {
      const message = await readMessage({ armoredMessage: armored })
      return String((await decrypt({ message, decryptionKeys: privateKey })).data)
    },
  }
}

/** A key in a real gpg, which makes the signatures. */
export async function gpgSigner(gpg: GpgHome, fingerprint: string): Promise<Signer> {
  return {
    ...(await readKey(gpg.exportKey(fingerprint))),
    sign: async (text) => gpg.sign(text, fingerprint),
  }
}

export async function signEntry(signer: Signer, draft: Draft): Promise<SignedEntry> {
  return handIn(must(encodeEntry(draft)), await signer.sign(must(encodeEntry(draft)).text))
}

function handIn(entry: Entry, signature: string): SignedEntry {
  return { entry, signature, submission: submissionOf(entry.text, signature) }
}

/** The body of `POST /log`. */
export function submissionOf(text: Uint8Array, signature: string): Uint8Array {
  return Buffer.concat([text, Buffer.from(`\n${signature.trimEnd()}\n`)])
}

export function genesis(
  signer: Signer,
  { council, blog }: { council: string; blog: string },
): Promise<SignedEntry> {
  return signEntry(signer, {
    kind: 'genesis',
    ...{ council, blog, seq: 0, prev: null, date: formatDate(Date.now()) },
    ...{ key: signer.fingerprint, body: signer.publicKey },
  })
}

/** The post behind `head`. */
export function post(
  signer: Signer,
  { council, blog, head, slug }: { council: string; blog: string; head: Head; slug: string },
  body = `This is ${slug}.`,
): Promise<SignedEntry> {
  return signEntry(signer, {
    kind: 'post',
    ...{ council, blog, seq: head.seq + 1, prev: head.id, date: formatDate(Date.now()) },
    ...{ key: signer.fingerprint, slug, title: `About ${slug}`, body },
  })
}
