import { beforeEach, describe, expect, it } from 'vitest'
import type { DamageEvent } from '../../../src/replication/log/damage.ts'
import type { Ingest } from '../../../src/replication/log/ingest.ts'
import type { Offer } from '../../../src/replication/log/rules.ts'
import { blogIngest, TestAuthor, type TestEntry, TestLog } from '../test-author.ts'
import { forge, TestDisk } from '../test-council.ts'

const council = `blogs.example.org/${'5f'.repeat(32)}`
const maria = await TestAuthor.make('maria')
const mallory = await TestAuthor.make('mallory')
const log = await (await TestLog.begin(council, maria)).posts(8)
const last = log.entries.length - 1
const keyOf = (seq: number) => `entry/maria/${String(seq).padStart(16, '0')}`

let disk: TestDisk
let ingest: Ingest
let events: DamageEvent[]
const open = () => {
  ingest = blogIngest(disk.store, council)
  events = []
  ingest.damage.onEvent((event) => events.push(event))
}
beforeEach(async () => {
  disk = new TestDisk()
  open()
  await offer(log.offers)
})

const offer = (offers: readonly Offer[]) =>
  ingest.offer('maria', offers, { way: 'push', following: { epoch: 1, head: log.head } })
const examine = (isDue = true) => ingest.damage.examine('maria', 0, 100, () => isDue)
const put = async (seq: number, change: Partial<Offer>) => {
  const { entry, offer } = log.at(seq)
  const rest = { checked: true, firstMs: 0, receipts: [] }
  await disk.store.write([disk.store.putEntry(entry, { ...offer, ...rest, ...change })])
}
const textOf = (seq: number, by = 'Tampered') =>
  seq === 0
    ? forge(log.at(0).offer.text, '2026-', '2027-')
    : forge(log.at(seq).offer.text, 'Text', by)
const expectWhole = async () => {
  expect((await disk.store.entries('maria', 0, 100)).map(({ text }) => Buffer.from(text))).toEqual(
    log.offers.map(({ text }) => Buffer.from(text)),
  )
  for (const { entry } of log.entries) expect(await ingest.read('maria', entry.seq)).not.toBeNull()
}

const harms: [string, () => Promise<unknown>, number[]][] = [
  ['an altered text', () => put(3, { text: textOf(3) }), [3]],
  ['an altered last text', () => put(last, { text: textOf(last) }), [last]],
  [
    'two altered texts beside each other',
    () => Promise.all([3, 4].map((seq) => put(seq, { text: textOf(seq) }))),
    [3, 4],
  ],
  ['a deleted entry', () => disk.level.del(keyOf(2)), [2]],
  [
    'three deleted entries',
    () => Promise.all([5, 6, 7].map((seq) => disk.level.del(keyOf(seq)))),
    [5, 6, 7],
  ],
  ['the deleted last entry', () => disk.level.del(keyOf(last)), [last]],
  ['an entry that does not decode', () => disk.level.put(keyOf(4), Buffer.from([0xff, 1])), [4]],
  ['an entry in another form', () => disk.level.put(keyOf(4), Buffer.from([0x01])), [4]],
  ['the text of another entry', () => put(4, { text: log.at(5).offer.text }), [4]],
  ['another signature', () => put(4, { signature: log.at(5).offer.signature }), [4]],
  ['an altered genesis', () => put(0, { text: textOf(0) }), [0]],
  ['a deleted genesis', () => disk.level.del(keyOf(0)), [0]],
]

describe('Damage', () => {
  it.each(harms)(
    'finds %s, and takes the entry back from whoever has it',
    async (_, harm, seqs) => {
      await harm()
      expect((await examine()).bad).toEqual(seqs)
      expect(ingest.damage.of('maria')).toEqual(seqs)
      expect(await ingest.damage.restore('maria', log.offers)).toEqual(seqs)
      expect(ingest.damage.all()).toEqual([])
      expect((await examine()).bad).toEqual([])
      await expectWhole()
      expect(events).toEqual([
        { kind: 'found', log: 'maria', seqs: expect.arrayContaining(seqs) },
        { kind: 'healed', log: 'maria', seqs },
      ])
    },
  )

  it.each(harms)('shows nobody %s, whether it was found already or not', async (_, harm, seqs) => {
    await harm()
    for (const seq of seqs) expect(await ingest.read('maria', seq)).toBeNull()
    const shown = await disk.store.entries('maria', 0, 100)
    const first = seqs[0] as number
    for (const [seq, { text }] of shown.entries())
      expect(Buffer.compare(text, log.at(seq).offer.text)).toBe(0)
    if (_ !== 'another signature') expect(shown.length).toBeLessThanOrEqual(first)
    expect(ingest.damage.takeSuspect()?.log).toBe('maria')
  })

  it('takes back nothing but what was there', async () => {
    const other = await log.branch(3).posts(1, 'Another')
    await put(3, { text: textOf(3) })
    await examine()
    const bad: Offer[] = [
      other.at(3).offer,
      { ...log.at(3).offer, text: textOf(3, 'Twisted') },
      { ...log.at(3).offer, signature: log.at(4).offer.signature },
      (await (await TestLog.begin(council, mallory)).posts(3)).at(3).offer,
      { text: Buffer.from('x'), signature: Buffer.alloc(0) },
    ]
    for (const each of bad) expect(await ingest.damage.restore('maria', [each])).toEqual([])
    expect(ingest.damage.of('maria')).toEqual([3])
    expect(await ingest.damage.restore('maria', [log.at(3).offer])).toEqual([3])
    await expectWhole()
  })

  it('finds a signature that was altered only where it is due', async () => {
    await put(4, { signature: log.at(5).offer.signature })
    expect((await examine(false)).bad).toEqual([])
    expect((await examine()).bad).toEqual([4])
  })

  it('is healed by the author who hands the entry in again', async () => {
    await put(3, { text: textOf(3) })
    await disk.level.del(keyOf(5))
    await examine()
    expect(await offer([log.at(3).offer])).toMatchObject({ kind: 'held', added: [] })
    expect(ingest.damage.of('maria')).toEqual([5])
    expect(await offer([log.at(5).offer])).toMatchObject({ kind: 'held', added: [] })
    await expectWhole()
  })

  it('looks at a long log stretch by stretch', async () => {
    await put(7, { text: textOf(7) })
    const seen: number[] = []
    for (let from: number | null = 0; from !== null; ) {
      const { next, bad } = await ingest.damage.examine('maria', from, 2, () => true)
      seen.push(...bad)
      from = next
    }
    expect(seen).toEqual([7])
  })
})

describe('Ingest with an altered record', () => {
  const entries = (): readonly TestEntry[] => log.entries

  it.each<[string, () => Promise<unknown>]>([
    ['deleted', () => disk.level.del('log/maria')],
    ['not to be decoded', () => disk.level.put('log/maria', Buffer.from([0xff]))],
    [
      'set back by somebody',
      async () => {
        const value = (await disk.level.get('log/maria')) as Uint8Array
        // The head's seq, in CBOR: a map `head` with `id` and `seq`.
        const at = Buffer.from(value).indexOf(Buffer.from('seq')) + 3
        await disk.level.put('log/maria', Buffer.from(value).fill(2, at, at + 1))
      },
    ],
  ])('makes it anew from the entries when it is %s', async (_, harm) => {
    const before = await ingest.record('maria')
    await harm()
    open()
    // Whom it follows nobody can tell any more: it waits for a primary's word.
    expect(await ingest.record('maria')).toEqual({ ...before, follows: 0, isRebuilt: true })
    expect(events).toMatchObject([{ kind: 'rebuilt', head: { seq: last } }])
    expect(await offer([])).toMatchObject({ kind: 'held', head: log.head })
    await expectWhole()
  })

  it('ends at the last entry that hangs together, and keeps the others aside', async () => {
    await disk.level.del('log/maria')
    await put(5, { text: textOf(5) })
    open()
    expect((await ingest.record('maria'))?.head.seq).toBe(4)
    const tail = await disk.store.tail('maria', 0)
    expect(tail.map(({ text }) => Buffer.from(text))).toContainEqual(
      Buffer.from(log.at(6).offer.text),
    )
    await offer(entries().map((each) => each.offer))
    await expectWhole()
  })

  it('takes nothing by keys that were put in place of the author’s, until they are healed', async () => {
    const other = await TestLog.begin(council, mallory)
    await put(0, other.at(0).offer)
    open()
    const forged = await other.posts(1)
    const more = await log.branch(last + 1).posts(1)
    for (const each of [forged.at(1), more.at(last + 1)])
      expect(await offer([each.offer])).toMatchObject({ refusal: { code: 'LOG_DAMAGED' } })
    expect(ingest.damage.takeSuspect()).toEqual({ log: 'maria', seq: 0 })
    await examine()
    expect(await ingest.damage.restore('maria', log.offers)).toEqual([0])
    expect(await offer([more.at(last + 1).offer])).toMatchObject({ kind: 'held' })
  })
})
