import { createMessage, generateKey, readPrivateKey, sign } from 'openpgp'
import { KeyRing, minimalKey } from '../src/auth/public-key.ts'
import type { Verdict } from '../src/auth/verdict.ts'
import { type Draft, type Entry, encodeEntry } from '../src/replication/log/entry.ts'
import { formatDate, type Signed } from '../src/replication/log/text.ts'

/** Bytes of a post's text, headers and all, where nothing else is said. */
const usualBytes = 1_024
const words = 'all human beings are born free and equal in dignity and rights\n'

/** Writes a blog's log as its blogger would, with an Ed25519 key of openpgp.js's own. */
export class SignedLog {
  readonly #council: string
  readonly #blog: string
  readonly #sign: (text: Uint8Array) => Promise<string>
  readonly #common: { readonly key: string; readonly armored: string }
  readonly #startMs: number
  #last: Entry | null = null

  private constructor(
    council: string,
    blog: string,
    key: { readonly key: string; readonly armored: string },
    startMs: number,
    signText: (text: Uint8Array) => Promise<string>,
  ) {
    this.#council = council
    this.#blog = blog
    this.#common = key
    this.#startMs = startMs
    this.#sign = signText
  }

  static async open(council: string, blog: string): Promise<SignedLog> {
    const startMs = Date.now() - 24 * 3_600_000
    const date = new Date(startMs)
    const made = await generateKey({ type: 'ecc', userIDs: [{ name: blog }], date })
    const armored = must(await minimalKey(made.publicKey))
    const publicKey = must(await new KeyRing().read(armored))
    const signingKeys = await readPrivateKey({ armoredKey: made.privateKey })
    const key = { key: publicKey.fingerprint, armored }
    return new SignedLog(council, blog, key, startMs, async (text) => {
      const message = await createMessage({ binary: text })
      return sign({ message, signingKeys, detached: true, date })
    })
  }

  /** The next `count` entries; entry 0 is the genesis, the others are posts of so many bytes. */
  async next(count: number, textBytes: number = usualBytes): Promise<Signed[]> {
    const entries: Signed[] = []
    for (let made = 0; made < count; made++) {
      const entry = must(encodeEntry(this.#draft(textBytes)))
      const signature = await this.#sign(entry.text)
      this.#last = entry
      entries.push({ text: entry.text, signature: Buffer.from(signature.trimEnd()) })
    }
    return entries
  }

  #draft(textBytes: number): Draft {
    const seq = this.#last === null ? 0 : this.#last.seq + 1
    const shared = {
      council: this.#council,
      blog: this.#blog,
      seq,
      prev: this.#last?.id ?? null,
      date: formatDate(this.#startMs + seq * 1_000),
      key: this.#common.key,
    }
    if (seq === 0) return { ...shared, kind: 'genesis', body: this.#common.armored }
    const post = { ...shared, kind: 'post', slug: `post-${seq}`, lang: 'en' } as const
    const short = { ...post, title: `Post ${seq}`, body: 'x' }
    const room = textBytes - must(encodeEntry(short)).text.length + 1
    return { ...short, body: `${words.repeat(Math.ceil(room / words.length)).slice(0, room - 1)}.` }
  }
}

export function must<T>(verdict: Verdict<T>): T {
  if (!verdict.ok) throw new Error(`${verdict.code}: ${verdict.reason}`)
  return verdict.value
}
