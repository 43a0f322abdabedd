import { createMessage, generateKey, type PrivateKey, revokeKey, sign } from 'openpgp'
import { KeyRing, minimalKey } from '../../src/auth/public-key.ts'
import { readRevocation } from '../../src/auth/revocation.ts'
import { rekeyText } from '../../src/replication/log/author.ts'
import {
  type Draft,
  type Entry,
  encodeEntry,
  type Genesis,
} from '../../src/replication/log/entry.ts'
import { Ingest } from '../../src/replication/log/ingest.ts'
import type { Offer } from '../../src/replication/log/rules.ts'
import { blogRules, type LogRules } from '../../src/replication/log/rules.ts'
import type { LogStore } from '../../src/replication/log/store.ts'
import { formatDate } from '../../src/replication/log/text.ts'
import { must, startMs } from './test-council.ts'

export const hourMs = 3_600_000
const bornMs = Date.parse('2026-01-01T00:00:00Z')

/** A blogger with an OpenPGP key by openpgp.js, as made in a page. */
export class TestAuthor {
  readonly key: PrivateKey
  readonly fingerprint: string
  /** the public key as it goes into a genesis or rekey */
  readonly block: string

  private constructor(key: PrivateKey, block: string) {
    this.key = key
    this.fingerprint = key.getFingerprint().toUpperCase()
    this.block = block
  }

  static async make(name: string, { expireSeconds = 0 } = {}): Promise<TestAuthor> {
    const { privateKey } = await generateKey({
      type: 'ecc',
      userIDs: [{ name, email: `${name}@example.org` }],
      date: new Date(bornMs),
      keyExpirationTime: expireSeconds,
      format: 'object',
    })
    return new TestAuthor(privateKey, must(await minimalKey(privateKey.toPublic().armor())))
  }

  /** Her revocation in the form that is kept; reasons as OpenPGP codes them. */
  async revoke(reason: 0 | 1 | 2 | 3, words = '', atMs: number = startMs): Promise<string> {
    const { publicKey } = await revokeKey({
      key: this.key,
      reasonForRevocation: { flag: reason, string: words },
      date: new Date(atMs),
      format: 'object',
    })
    return must(await readRevocation(publicKey.armor())).certificate
  }

  async sign(text: Uint8Array, atMs: number = startMs): Promise<string> {
    return sign({
      message: await createMessage({ binary: text }),
      signingKeys: this.key,
      detached: true,
      date: new Date(atMs),
    })
  }
}

export type TestEntry = { readonly entry: Entry; readonly offer: Offer }

type Fields =
  | { kind: 'post'; slug?: string; title?: string; lang?: string; tags?: readonly string[] }
  | { kind: 'retract'; slug: string }
  | { kind: 'profile'; title: string }
type Change = { date?: string; by?: TestAuthor; body?: string }

/** A blog's log, entry by entry, signed by real keys. */
export class TestLog {
  readonly council: string
  readonly blog: string
  readonly entries: TestEntry[]
  readonly author: TestAuthor

  constructor(council: string, author: TestAuthor, blog = 'maria', entries: TestEntry[] = []) {
    this.council = council
    this.blog = blog
    this.author = author
    this.entries = entries
  }

  static async begin(
    council: string,
    author: TestAuthor,
    { blog = 'maria', recovery }: { blog?: string; recovery?: TestAuthor } = {},
  ): Promise<TestLog> {
    const log = new TestLog(council, author, blog)
    await log.sign({
      kind: 'genesis',
      ...log.next({
        body: [author, ...(recovery ? [recovery] : [])].map((a) => a.block).join('\n\n'),
      }),
      ...(recovery === undefined ? {} : { recovery: recovery.fingerprint }),
    })
    return log
  }

  get genesis(): Genesis {
    return this.at(0).entry as Genesis
  }

  get head() {
    const { seq, id } = this.at(this.entries.length - 1).entry
    return { seq, id }
  }

  get offers(): Offer[] {
    return this.entries.map(({ offer }) => offer)
  }

  at(seq: number): TestEntry {
    return this.entries[seq] as TestEntry
  }

  /** The same log so far, to be written on differently. */
  branch(length = this.entries.length): TestLog {
    return new TestLog(this.council, this.author, this.blog, this.entries.slice(0, length))
  }

  next({ date, by = this.author, body = '' }: Change = {}) {
    const before = this.entries.at(-1)?.entry
    const sinceMs = before === undefined ? startMs : before.dateMs + 60_000
    return {
      council: this.council,
      blog: this.blog,
      seq: this.entries.length,
      prev: before?.id ?? null,
      date: date ?? formatDate(sinceMs),
      key: by.fingerprint,
      body,
    }
  }

  async sign(draft: Draft, signer: TestAuthor = this.author): Promise<TestEntry> {
    const entry = must(encodeEntry(draft))
    const signature = Buffer.from(await signer.sign(entry.text, entry.dateMs))
    const written = { entry, offer: { text: entry.text, signature } }
    this.entries.push(written)
    return written
  }

  add(fields: Fields, change: Change = {}): Promise<TestEntry> {
    const titled =
      fields.kind === 'post'
        ? { slug: `post-${this.entries.length}`, title: 'A post', ...fields }
        : fields
    return this.sign({ ...this.next({ body: 'Text', ...change }), ...titled } as Draft, change.by)
  }

  async posts(count: number, body = 'Text'): Promise<this> {
    for (let i = 0; i < count; i++) await this.add({ kind: 'post' }, { body })
    return this
  }

  /** @param old - whose key is in force; the possession text names it */
  async rekey(
    next: TestAuthor,
    {
      signer = this.author,
      old = this.author,
      holder = next,
      date,
      body,
      block = next.block,
    }: {
      signer?: TestAuthor
      old?: TestAuthor
      /** who signs that she holds the next key */
      holder?: TestAuthor
      date?: string
      body?: string
      block?: string
    } = {},
  ): Promise<TestEntry> {
    const common = this.next({ by: signer, ...(date === undefined ? {} : { date }) })
    const text = rekeyText(old.fingerprint as never, {
      ...(common as unknown as Entry),
      log: this.blog as never,
      next: next.fingerprint as never,
    })
    const possession = (await holder.sign(text, Date.parse(common.date)))
      .trimEnd()
      .replaceAll('\r', '')
    return this.sign(
      {
        kind: 'rekey',
        ...common,
        next: next.fingerprint,
        body: body ?? `${block}\n\n${possession}`,
      },
      signer,
    )
  }
}

export const testRules = (council: string) =>
  blogRules(() => council, new KeyRing()) as LogRules<unknown>

export function blogIngest(store: LogStore, council: string): Ingest {
  return new Ingest({ store, rulesOf: () => testRules(council), now: () => startMs })
}
