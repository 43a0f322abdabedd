import { createMessage, type PrivateKey, readPrivateKey, sign } from 'openpgp'
import { type KeyRing, minimalKey } from '../../../src/auth/public-key.ts'
import { type Draft, type Entry, encodeEntry } from '../../../src/replication/log/entry.ts'
import { formatDate, type Signed } from '../../../src/replication/log/text.ts'
import { authorKeys } from './author-keys.ts'

export type SignedEntry = { readonly entry: Entry; readonly offer: Signed }
export type AuthorName = keyof typeof authorKeys
export const authorNames = Object.keys(authorKeys) as AuthorName[]

/** A blogger with her own key, who signs what she publishes by openpgp.js. */
export class Author {
  readonly blog: AuthorName
  readonly #key: PrivateKey
  readonly #armored: string
  readonly #council: string
  readonly #now: () => number

  private constructor(blog: AuthorName, key: PrivateKey, armored: string, parts: Parts) {
    this.blog = blog
    this.#key = key
    this.#armored = armored
    this.#council = parts.council
    this.#now = parts.now
  }

  static async open(blog: AuthorName, parts: Parts): Promise<Author> {
    const key = await readPrivateKey({ armoredKey: authorKeys[blog] })
    const armored = await minimalKey(key.toPublic().armor())
    if (!armored.ok) throw new Error(armored.reason)
    await parts.keys.read(armored.value)
    return new Author(blog, key, armored.value, parts)
  }

  genesis(): Promise<SignedEntry> {
    return this.#sign({ ...this.#behind(null), kind: 'genesis', body: this.#armored })
  }

  /** A post behind `before`. */
  post(before: Entry, title: string, body: string): Promise<SignedEntry> {
    const slug = `post-${before.seq + 1}`
    return this.#sign({ ...this.#behind(before), kind: 'post', slug, title, body })
  }

  #behind(before: Entry | null) {
    return {
      council: this.#council,
      blog: this.blog,
      seq: before === null ? 0 : before.seq + 1,
      prev: before?.id ?? null,
      date: formatDate(Math.max(this.#now(), before?.dateMs ?? 0)),
      key: this.#key.getFingerprint().toUpperCase(),
    }
  }

  async #sign(draft: Draft): Promise<SignedEntry> {
    const entry = encodeEntry(draft)
    if (!entry.ok) throw new Error(entry.reason)
    const armored = await sign({
      message: await createMessage({ binary: entry.value.text }),
      signingKeys: this.#key,
      detached: true,
      date: new Date(this.#now()),
      // No random salt: the same seed signs the same bytes.
      config: { nonDeterministicSignaturesViaNotation: false },
    })
    return {
      entry: entry.value,
      offer: { text: entry.value.text, signature: Buffer.from(String(armored)) },
    }
  }
}

type Parts = {
  /** `zone/council id` */
  readonly council: string
  readonly now: () => number
  /** the ring by which everybody will read the key */
  readonly keys: KeyRing
}
