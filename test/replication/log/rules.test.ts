import { describe, expect, it } from 'vitest'
import { KeyRing } from '../../../src/auth/public-key.ts'
import type { Author } from '../../../src/replication/log/author.ts'
import { blogRules, type Offer } from '../../../src/replication/log/rules.ts'
import { formatDate } from '../../../src/replication/log/text.ts'
import { hourMs, TestAuthor, type TestEntry, TestLog } from '../test-author.ts'
import { codeOf, dayMs, forge, must, startMs } from '../test-council.ts'

const council = `blogs.example.org/${'5f'.repeat(32)}`
const other = `blogs.example.org/${'6f'.repeat(32)}`
const rules = blogRules(() => council, new KeyRing())
const [maria, later, recovery, mallory] = (await Promise.all(
  ['maria', 'later', 'recovery', 'mallory'].map((name) => TestAuthor.make(name)),
)) as [TestAuthor, TestAuthor, TestAuthor, TestAuthor]

describe('blogRules', () => {
  it('refuses an entry of another council', async () => {
    const log = await TestLog.begin(other, maria)
    expect(rules.decode(log.genesis.text)).toMatchObject({ code: 'ENTRY_COUNCIL' })
    expect(blogRules(() => null, new KeyRing()).decode(log.genesis.text).ok).toBe(true)
  })

  it('begins a log with a genesis only', async () => {
    const log = await (await TestLog.begin(council, maria)).posts(1)
    const { entry, offer } = log.at(1)
    expect(codeOf(await rules.next(null, entry, offer, true))).toBe('ENTRY_NO_GENESIS')
  })

  it('stores a signature armored anew', async () => {
    const log = await TestLog.begin(council, maria)
    const { entry, offer } = log.at(0)
    const commented = forge(offer.signature, '\n\n', '\nComment: hello\n\n')
    const step = must(await rules.next(null, entry, { ...offer, signature: commented }, true))
    expect(Buffer.from(step.signature).toString()).not.toContain('hello')
    expect(step.checked).toBe(true)
  })

  it('leaves a signature for later only where a later one covers it, and none over 4 KiB', async () => {
    const log = await TestLog.begin(council, maria)
    await log.posts(1)
    await log.rekey(later)
    const first = must(await rules.next(null, log.at(0).entry, log.at(0).offer, false))
    expect(first.checked).toBe(true)
    const { entry, offer } = log.at(1)
    expect(must(await rules.next(first.state, entry, offer, false)).checked).toBe(false)
    const long = { ...offer, signature: Buffer.alloc(4_097, 'x') }
    expect(codeOf(await rules.next(first.state, entry, long, false))).toBe('SIGNATURE_TOO_LONG')
    const rekey = log.at(2)
    expect(must(await rules.next(first.state, rekey.entry, rekey.offer, false)).checked).toBe(true)
  })

  it('reads back the state it saved, a waiting rekey included', async () => {
    const log = await TestLog.begin(council, maria, { recovery })
    await log.rekey(later)
    await log.rekey(mallory, { signer: recovery, old: later })
    let state: Author | null = null
    for (const { entry, offer } of log.entries) {
      state = must(await rules.next(state, entry, offer, true)).state
      const read = async (seq: number) => log.at(seq).offer.text
      const loaded = await rules.load(rules.save(state), read)
      const names = (author: Author | null) => ({
        current: author?.current.fingerprint,
        currentSeq: author?.currentSeq,
        recovery: author?.recovery?.fingerprint,
        pending: author?.pending?.next.fingerprint,
        since: author?.pending?.dateMs,
      })
      expect(names(loaded)).toEqual(names(state))
    }
  })
})

describe('checkAlone', () => {
  const begin = async () => (await TestLog.begin(council, maria, { recovery })).posts(2)
  const check = (log: TestLog, { entry, offer }: TestEntry, keys: number[] = [0]) => {
    const read = async (seq: number) => log.entries[seq]?.offer.text ?? null
    return rules.checkAlone(entry, offer as Offer, keys, read)
  }

  it.each<[string, (branch: TestLog) => Promise<TestEntry>]>([
    ['a post by a foreign key', (b) => b.add({ kind: 'post' }, { by: mallory })],
    ['a post by the recovery key', (b) => b.add({ kind: 'post' }, { by: recovery })],
    [
      'a foreign key that extends itself',
      (b) => b.rekey(mallory, { signer: mallory, old: mallory }),
    ],
    [
      "an extension of the blog's key that holds a foreign key",
      async (b) => {
        const body = { body: mallory.block }
        const draft = { ...b.next(body), kind: 'rekey', next: maria.fingerprint } as const
        return b.sign(draft, mallory)
      },
    ],
  ])('takes %s for no proof of a fork', async (_, write) => {
    const log = await begin()
    expect(codeOf(await check(log, await write(log.branch(1))))).toBe('ENTRY_OTHER_KEY')
  })

  it("takes another key's genesis for no proof of a fork", async () => {
    const foreign = await TestLog.begin(council, mallory)
    expect(codeOf(await check(await begin(), foreign.at(0), []))).toBe('ENTRY_OTHER_KEY')
    expect(codeOf(await check(new TestLog(council, maria), foreign.at(0), []))).toBe('accepted')
  })

  it('accepts what a key of the log signed, whenever it was in force', async () => {
    const log = await begin()
    await log.rekey(later)
    await log.add({ kind: 'post' }, { by: later })
    expect(codeOf(await check(log, log.at(1), [0]))).toBe('accepted')
    expect(codeOf(await check(log, log.at(4), [0, 3]))).toBe('accepted')
    const fork = await log.branch(2).add({ kind: 'post' }, { body: 'Another' })
    expect(codeOf(await check(log, fork, [0]))).toBe('accepted')
    const late = { date: formatDate(startMs + dayMs + 72 * hourMs), signer: recovery, old: later }
    expect(codeOf(await check(log, await log.branch().rekey(mallory, late), [0, 3]))).toBe(
      'accepted',
    )
    const extended = await log.branch(1).rekey(maria)
    expect(codeOf(await check(log, extended, [0]))).toBe('accepted')
  })
})
