import { decode, encode } from 'cborg'
import { describe, expect, it } from 'vitest'
import { KeyRing } from '../../../src/auth/public-key.ts'
import {
  checkProvedPost,
  fromProvedPostRow,
  type ProvedPost,
  provedPostRow,
  provedPostShape,
  provePost,
} from '../../../src/replication/aggregation/proved-post.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { type EntryId, formatDate, type Signed } from '../../../src/replication/log/text.ts'
import { hourMs, TestAuthor, TestLog } from '../test-author.ts'
import { codeOf, forge, must, startMs } from '../test-council.ts'
import { TestCollection } from './test-collection.ts'

const council = `blogs.example.org/${'5f'.repeat(32)}`
const elsewhere = `blogs.example.org/${'6f'.repeat(32)}`
const [maria, later, recovery, mallory] = (await Promise.all(
  ['maria', 'later', 'recovery', 'mallory'].map((name) => TestAuthor.make(name)),
)) as [TestAuthor, TestAuthor, TestAuthor, TestAuthor]
const blog = 'maria' as BlogName

/** Genesis, post 1, rekey to `later` (2), post 3 by the new key, a retraction (4). */
const log = await TestLog.begin(council, maria)
await log.posts(1)
await log.rekey(later)
await log.add({ kind: 'post', title: 'By the new key' }, { by: later })
await log.add({ kind: 'retract', slug: 'post-1' }, { by: later })
/** Another blog of hers, in which she handed over to another key. */
const second = await TestLog.begin(council, maria, { blog: 'second' })
await second.posts(1)
await second.rekey(mallory)
/** Somebody else's log under the same name. */
const stolen = await TestLog.begin(council, mallory)
await stolen.posts(1)
/** The same blog in another council. */
const other = await TestLog.begin(elsewhere, maria)
await other.posts(1)
/** A recovery key has named the next key; 72 hours are not over. */
const waiting = await TestLog.begin(council, maria, { recovery })
await waiting.rekey(later, { signer: recovery, old: maria })
const inTimeMs = startMs + 60_000 + 72 * hourMs
await waiting.add({ kind: 'post' }, { by: later, date: formatDate(inTimeMs - 1_000) })
const waited = waiting.branch(2)
await waited.add({ kind: 'post' }, { by: later, date: formatDate(inTimeMs) })

const known = { council, genesis: log.genesis.id, keys: new KeyRing() }
const proved = async (of: TestLog, seq: number): Promise<ProvedPost> =>
  (await provePost(new TestCollection(of), of.blog as BlogName, seq)) as ProvedPost
const first = await proved(log, 1)
const newest = await proved(log, 3)
const signedAt = (of: TestLog, seq: number): Signed => of.at(seq).offer
const genesis = signedAt(log, 0)
const rekey = signedAt(log, 2)

describe('checkProvedPost', () => {
  const altered = forge(first.entry.text, 'Text', 'Tent')
  const byMallory = async (text: Uint8Array): Promise<Signed> => ({
    text,
    signature: Buffer.from(await mallory.sign(text)),
  })
  it.each<[string, () => Promise<ProvedPost> | ProvedPost, string]>([
    [
      'a body altered by one byte',
      () => ({ ...first, entry: { ...first.entry, text: altered } }),
      'SIGNATURE_BAD',
    ],
    [
      'a text signed by somebody else in her name',
      async () => ({ ...first, entry: await byMallory(altered) }),
      'SIGNATURE_OTHER_KEY',
    ],
    [
      "another entry's signature",
      () => ({ ...first, entry: { ...first.entry, signature: genesis.signature } }),
      'SIGNATURE_BAD',
    ],
    [
      'no signature',
      () => ({ ...first, entry: { ...first.entry, signature: Buffer.of() } }),
      'ARMOR_MISSING',
    ],
    ["somebody else's log under the same name", () => proved(stolen, 1), 'PROOF_KEYS'],
    [
      "her genesis before somebody else's post of the same name",
      async () => ({ ...(await proved(stolen, 1)), keys: [genesis] }),
      'ENTRY_OTHER_KEY',
    ],
    ['an entry of another council', () => proved(other, 1), 'ENTRY_COUNCIL'],
    [
      'a post of another blog of hers',
      async () => ({ ...(await proved(second, 1)), blog }),
      'PROVED_BLOG',
    ],
    [
      'a post of another blog of hers under its own name, with this genesis',
      async () => ({ ...(await proved(second, 1)), keys: [genesis] }),
      'PROOF_KEYS',
    ],
    [
      'a rekey of another blog of hers',
      async () => ({
        ...first,
        seq: 3,
        entry: await byMallory(forge(newest.entry.text, later.fingerprint, mallory.fingerprint)),
        keys: [genesis, signedAt(second, 2)],
      }),
      'PROOF_KEYS',
    ],
    [
      'a rekey that she did not sign',
      async () => ({
        ...newest,
        keys: [genesis, await byMallory(forge(rekey.text, later.fingerprint, mallory.fingerprint))],
      }),
      'SIGNATURE_OTHER_KEY',
    ],
    ['no keys', () => ({ ...first, keys: [] }), 'PROOF_KEYS'],
    ['keys without the genesis', () => ({ ...newest, keys: [rekey] }), 'PROOF_KEYS'],
    ['keys out of order', () => ({ ...newest, keys: [rekey, genesis] }), 'PROOF_KEYS'],
    ['a key twice', () => ({ ...newest, keys: [genesis, rekey, rekey] }), 'PROOF_KEYS'],
    ['the genesis twice', () => ({ ...first, keys: [genesis, genesis] }), 'PROOF_KEYS'],
    [
      'a post among the keys',
      () => ({ ...newest, keys: [genesis, first.entry, rekey] }),
      'PROOF_KEYS',
    ],
    [
      'without the rekey that names its key',
      () => ({ ...newest, keys: [genesis] }),
      'ENTRY_OTHER_KEY',
    ],
    ['a rekey behind it', () => ({ ...first, keys: [genesis, rekey] }), 'PROOF_KEYS'],
    [
      '51 keys',
      () => ({ ...first, keys: Array.from({ length: 51 }, () => genesis) }),
      'PROOF_KEYS',
    ],
    ['another seq than its own', () => ({ ...first, seq: 2 }), 'PROVED_BLOG'],
    ['another blog than its own', () => ({ ...first, blog: 'second' as BlogName }), 'PROVED_BLOG'],
    ['a name that is none', () => ({ ...first, blog: '@names' as BlogName }), 'PROVED_BLOG'],
    ['a retraction', () => proved(log, 4), 'PROVED_KIND'],
    ['a rekey', () => proved(log, 2), 'PROVED_KIND'],
    ['a genesis', () => ({ ...first, seq: 0, entry: genesis }), 'PROVED_KIND'],
    [
      'no text of ours',
      () => ({ ...first, entry: { ...first.entry, text: Buffer.from('hello') } }),
      'ENTRY_FIRST_LINE',
    ],
    [
      'bytes that are no UTF-8',
      () => ({ ...first, entry: { ...first.entry, text: Buffer.of(0xff) } }),
      'TEXT_NOT_UTF8',
    ],
    [
      '70 KB',
      () => ({ ...first, entry: { ...first.entry, text: Buffer.alloc(70_000, 97) } }),
      'TEXT_TOO_LONG',
    ],
  ])('refuses %s', async (_what, make, code) => {
    expect(codeOf(await checkProvedPost(await make(), known))).toBe(code)
  })

  it('refuses what a key signs that the recovery key named less than 72 hours before', async () => {
    const of = { ...known, genesis: waiting.genesis.id }
    expect(codeOf(await checkProvedPost(await proved(waiting, 2), of))).toBe('REKEY_TOO_EARLY')
    expect(codeOf(await checkProvedPost(await proved(waited, 2), of))).toBe('accepted')
  })

  it('refuses everything under another genesis than the one that the council knows', async () => {
    const of = { ...known, genesis: stolen.genesis.id as EntryId }
    expect(codeOf(await checkProvedPost(first, of))).toBe('PROOF_KEYS')
  })

  it('lets a post pass by the key of the genesis, and one by a later key', async () => {
    expect(must(await checkProvedPost(first, known)).entry).toMatchObject({
      seq: 1,
      title: 'A post',
    })
    expect(must(await checkProvedPost(newest, known)).entry.title).toBe('By the new key')
  })

  it('gives the signature armored anew', async () => {
    const signature = forge(first.entry.signature, '\n\n', '\nComment: hello\n\n')
    const { signed } = must(
      await checkProvedPost({ ...first, entry: { ...first.entry, signature } }, known),
    )
    expect(Buffer.from(signed.signature).toString()).not.toContain('hello')
  })
})

describe('provePost', () => {
  it('proves nothing that is not there, and no genesis', async () => {
    const collection = new TestCollection(log)
    expect(await provePost(collection, blog, 9)).toBeNull()
    expect(await provePost(collection, blog, 0)).toBeNull()
    expect(await provePost(collection, 'nobody' as BlogName, 1)).toBeNull()
  })

  it('brings along only keys that stand before the post', async () => {
    expect(first.keys).toHaveLength(1)
    expect(newest.keys).toHaveLength(2)
  })

  it('proves nothing whose keys fit in no answer', async () => {
    const collection = new TestCollection(log)
    const rekeys = Array.from({ length: 50 }, (_, at) => at + 1)
    const many = { entry: collection.entry, keySeqs: async () => [0, ...rekeys] }
    expect(await provePost(many, blog, 99)).toBeNull()
  })
})

describe('provedPostShape', () => {
  it('reads back what was written', async () => {
    const row = provedPostShape.parse(decode(encode(provedPostRow(newest))))
    const again = fromProvedPostRow(row)
    expect(again).toMatchObject({ blog, seq: 3, seenMs: newest.seenMs })
    expect(again.keys).toHaveLength(2)
    expect(Buffer.compare(again.entry.text, newest.entry.text)).toBe(0)
    expect(codeOf(await checkProvedPost(again, known))).toBe('accepted')
  })

  const row = provedPostRow(first)
  it.each([
    ['a negative time', { ...row, seen: -1 }],
    ['half a millisecond', { ...row, seen: 0.5 }],
    ['a time that is no number', { ...row, seen: '1' }],
    ['no keys', { ...row, keys: [] }],
    ['51 keys', { ...row, keys: Array.from({ length: 51 }, () => row.keys[0]) }],
    ['a text that is no bytes', { ...row, entry: ['text', row.entry[1]] }],
    ['a long name', { ...row, blog: 'x'.repeat(31) }],
    ['a seq beyond whole numbers', { ...row, seq: 2 ** 53 }],
  ])('refuses %s', (_what, wrong) => {
    expect(provedPostShape.safeParse(wrong).success).toBe(false)
  })
})
