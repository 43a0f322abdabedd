import { describe, expect, it } from 'vitest'
import { KeyRing } from '../../../src/auth/public-key.ts'
import type { Verdict } from '../../../src/auth/verdict.ts'
import type { Author, Step } from '../../../src/replication/log/author.ts'
import { nextAuthor, startAuthor, verifyEntry } from '../../../src/replication/log/author.ts'
import type { Entry } from '../../../src/replication/log/entry.ts'
import { decodeEntry } from '../../../src/replication/log/entry.ts'
import { formatDate } from '../../../src/replication/log/text.ts'
import { WrittenLog } from '../../node/blogger/written-log.ts'
import { has } from '../../support/debian.ts'
import { GpgHome } from '../../support/gpg.ts'
import { hourMs, TestAuthor, type TestEntry, TestLog } from '../test-author.ts'
import { codeOf, dayMs, forge, must, startMs } from '../test-council.ts'

const council = `blogs.example.org/${'5f'.repeat(32)}`
const keys = new KeyRing()
const [maria, later, recovery, mallory] = (await Promise.all(
  ['maria', 'later', 'recovery', 'mallory'].map((name) => TestAuthor.make(name)),
)) as [TestAuthor, TestAuthor, TestAuthor, TestAuthor]

/** The verdict on a whole log, entry by entry: the codes, and the author after the last good one. */
async function judge(entries: readonly TestEntry[]) {
  const codes: string[] = []
  let author: Author | null = null
  for (const { entry, offer } of entries) {
    const step: Verdict<Step> =
      author === null
        ? await startAuthor(entry as never, keys)
        : await nextAuthor(author, entry, keys)
    const signed = step.ok
      ? await verifyEntry(entry, Buffer.from(offer.signature).toString(), step.value.signer)
      : step
    codes.push(codeOf(signed))
    if (!signed.ok) break
    if (step.ok) author = step.value.author
  }
  return { codes, last: codes.at(-1), author }
}

describe('startAuthor', () => {
  const begin = async (change: { by?: TestAuthor; body?: string; recovery?: string }) => {
    const log = new TestLog(council, maria)
    const { recovery: named, by = maria, ...rest } = change
    const common = log.next({ by, body: maria.block, ...rest })
    await log.sign(
      { kind: 'genesis', ...common, ...(named === undefined ? {} : { recovery: named }) },
      by,
    )
    return (await judge(log.entries)).last
  }

  it.each<[string, Parameters<typeof begin>[0], string]>([
    ['a key that is not the one of the header', { body: mallory.block }, 'GENESIS_KEY'],
    ['a signature by another key', { by: mallory }, 'GENESIS_KEY'],
    ['a body that is no key', { body: 'my key' }, 'ARMOR_MISSING'],
    ['more than the key', { body: `${maria.block}\n\nhello` }, 'GENESIS_BODY'],
    [
      'a second key that no header names',
      { body: `${maria.block}\n\n${later.block}` },
      'GENESIS_BODY',
    ],
    ['a recovery key that is not there', { recovery: recovery.fingerprint }, 'GENESIS_BODY'],
    [
      'another recovery key than the one named',
      { recovery: recovery.fingerprint, body: `${maria.block}\n\n${later.block}` },
      'GENESIS_RECOVERY',
    ],
    [
      'the key itself as its recovery key',
      { recovery: maria.fingerprint, body: `${maria.block}\n\n${maria.block}` },
      'GENESIS_RECOVERY',
    ],
    [
      'recovery keys one line apart',
      { recovery: recovery.fingerprint, body: `${maria.block}\n${recovery.block}` },
      'GENESIS_BODY',
    ],
  ])('refuses %s', async (_, change, code) => {
    expect(await begin(change)).toBe(code)
  })

  it('accepts a key alone, and a key with its recovery key', async () => {
    expect((await judge((await TestLog.begin(council, maria)).entries)).last).toBe('accepted')
    const { author, last } = await judge(
      (await TestLog.begin(council, maria, { recovery })).entries,
    )
    expect(last).toBe('accepted')
    expect(author?.recovery?.fingerprint).toBe(recovery.fingerprint)
  })
})

describe('nextAuthor', () => {
  const log = async (withRecovery = true) =>
    (await TestLog.begin(council, maria, withRecovery ? { recovery } : {})).posts(1)
  const at = (ms: number) => formatDate(startMs + ms)

  it.each<[string, (log: TestLog) => Promise<unknown>, string]>([
    ['an entry by another key', (l) => l.add({ kind: 'post' }, { by: mallory }), 'ENTRY_OTHER_KEY'],
    [
      'a post by the recovery key',
      (l) => l.add({ kind: 'post' }, { by: recovery }),
      'ENTRY_OTHER_KEY',
    ],
    [
      'an entry that names one key and is signed by another',
      (l) => l.sign({ kind: 'retract', slug: 'post-1', ...l.next() }, mallory),
      'SIGNATURE_OTHER_KEY',
    ],
    ['a rekey by a third key', (l) => l.rekey(later, { signer: mallory }), 'ENTRY_OTHER_KEY'],
    [
      'a rekey that the next key did not sign',
      (l) => l.rekey(later, { holder: mallory }),
      'REKEY_POSSESSION',
    ],
    ['a rekey for another old key', (l) => l.rekey(later, { old: mallory }), 'REKEY_POSSESSION'],
    [
      'a rekey without the next key signing',
      (l) => l.rekey(later, { body: later.block }),
      'REKEY_BODY',
    ],
    [
      'a rekey with no signature',
      (l) => l.rekey(later, { body: `${later.block}\n\nme` }),
      'ARMOR_MISSING',
    ],
    [
      'a rekey with another key in the body',
      (l) => l.rekey(later, { block: mallory.block }),
      'REKEY_KEY',
    ],
    ['a rekey whose body is no key', (l) => l.rekey(later, { block: 'key' }), 'ARMOR_MISSING'],
  ])('refuses %s', async (_, act, code) => {
    const entries = await log()
    await act(entries)
    expect((await judge(entries.entries)).last).toBe(code)
  })

  it('refuses a rekey by the recovery key of a blog that named none', async () => {
    const entries = await log(false)
    await entries.rekey(later, { signer: recovery })
    expect((await judge(entries.entries)).last).toBe('ENTRY_OTHER_KEY')
  })

  it('hands the blog on at once when the key in force signs the rekey', async () => {
    const entries = await log()
    await entries.rekey(later)
    await entries.add({ kind: 'post' }, { by: later })
    const { last, author } = await judge(entries.entries)
    expect(last).toBe('accepted')
    expect(author?.current.fingerprint).toBe(later.fingerprint)
    await entries.add({ kind: 'post' }, { by: maria })
    expect((await judge(entries.entries)).last).toBe('ENTRY_OTHER_KEY')
  })

  it('takes a possession signature for one place only', async () => {
    const entries = await log()
    const { entry } = await entries.branch().rekey(later)
    await entries.posts(1)
    await entries.rekey(later, { body: entry.body })
    expect((await judge(entries.entries)).last).toBe('REKEY_POSSESSION')
  })

  it('lets a rekey by the recovery key take effect after 72 hours', async () => {
    const entries = await log()
    await entries.rekey(later, { signer: recovery, date: at(dayMs) })
    const early = entries.branch()
    await early.add({ kind: 'post' }, { by: later, date: at(dayMs + 72 * hourMs - 1_000) })
    expect((await judge(early.entries)).last).toBe('REKEY_TOO_EARLY')
    await entries.add({ kind: 'post' }, { by: later, date: at(dayMs + 72 * hourMs) })
    const { last, author } = await judge(entries.entries)
    expect(last).toBe('accepted')
    expect(author).toMatchObject({ currentSeq: 2, pending: null })
    expect(author?.current.fingerprint).toBe(later.fingerprint)
  })

  it("lets the old key's next entry refuse a rekey by the recovery key", async () => {
    const entries = await log()
    await entries.rekey(later, { signer: recovery })
    await entries.add({ kind: 'post' })
    expect((await judge(entries.entries)).author?.pending).toBeNull()
    await entries.add({ kind: 'post' }, { by: later, date: at(9 * dayMs) })
    expect((await judge(entries.entries)).last).toBe('ENTRY_OTHER_KEY')
  })

  it('keeps the recovery key over a rekey', async () => {
    const entries = await log()
    await entries.rekey(later)
    await entries.rekey(mallory, { signer: recovery, old: later })
    await entries.add({ kind: 'post' }, { by: mallory, date: at(9 * dayMs) })
    expect((await judge(entries.entries)).last).toBe('accepted')
  })

  it('refuses a signature with one byte of the body changed', async () => {
    const entries = await log()
    const { entry, offer } = entries.at(1)
    const text = forge(entry.text, 'Text', 'Tent')
    const changed = { entry: must(decodeEntry(text)), offer: { ...offer, text } }
    expect((await judge([entries.at(0), changed])).last).toBe('SIGNATURE_BAD')
  })
})

describe.skipIf(!has('gpg'))('an entry signed by gpg', () => {
  it('extends the same primary key with a rekey after it has expired', async () => {
    using gpg = new GpgHome()
    const key = gpg.makeKey('Maria <maria@example.org>', 'ed25519', {
      at: '20261101T000000',
      expire: '20261201T000000',
    })
    const log = await WrittenLog.begin(gpg, key, council)
    const judged = async () => {
      let author: Author | null = null
      for (const { entry, signature } of log.entries) {
        const step: Verdict<Step> =
          author === null
            ? await startAuthor(entry as never, keys)
            : await nextAuthor(author, entry as Entry, keys)
        if (!step.ok) return step.code
        const signed = await verifyEntry(entry, signature, step.value.signer)
        if (!signed.ok) return signed.code
        author = step.value.author
      }
      return 'accepted'
    }
    expect(await judged()).toBe('accepted')
    gpg.run(['--faked-system-time', '20261102T000000!', '--quick-set-expire', key, '5y'])
    await log.rekey(key)
    log.post()
    expect(await judged()).toBe('accepted')
  })
})
