import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { decodeEntry } from '../../../src/replication/log/entry.ts'
import { type Following, Ingest, type Outcome } from '../../../src/replication/log/ingest.ts'
import type { Offer } from '../../../src/replication/log/rules.ts'
import { blogIngest, TestAuthor, TestLog, testRules } from '../test-author.ts'
import { forge, must, startMs, TestDisk } from '../test-council.ts'

const council = `blogs.example.org/${'5f'.repeat(32)}`
const maria = await TestAuthor.make('maria')
const mallory = await TestAuthor.make('mallory')
const log = await (await TestLog.begin(council, maria)).posts(8)
/** The same blog, written on differently behind entry 4. */
const fork = await log.branch(5).posts(4, 'Another')
const foreign = await (await TestLog.begin(council, mallory)).posts(1)

const wrong = (offer: Offer): Offer => ({ ...offer, signature: log.at(0).offer.signature })

let disk: TestDisk
let ingest: Ingest
beforeEach(() => {
  disk = new TestDisk()
  ingest = blogIngest(disk.store, council)
})

type Way = Partial<Following> & { checkAll?: boolean; at?: Ingest }
const offer = (
  offers: readonly Offer[],
  { epoch = 1, head = log.head, holds = [], checkAll = true, at = ingest }: Way = {},
): Promise<Outcome> =>
  at.offer('maria', offers, { way: 'push', following: { epoch, head, holds }, checkAll })
const offerUpTo = (seq: number, way?: Way) => offer(log.offers.slice(0, seq + 1), way)
const heldIds = async (store = disk.store) =>
  (await store.entries('maria', 0, 100)).map(({ text }) => must(decodeEntry(text)).id)
const idsOf = (from: TestLog, upTo = from.entries.length - 1) =>
  from.entries.slice(0, upTo + 1).map(({ entry }) => entry.id)

/** Record and entries say the same, also to a process that reads the disk anew. */
const expectLog = async (from: TestLog, upTo: number) => {
  expect(await heldIds()).toEqual(idsOf(from, upTo))
  for (const each of [ingest, blogIngest(disk.store, council)]) {
    const record = await each.record('maria')
    expect(record?.head).toEqual({ seq: upTo, id: from.at(upTo).entry.id })
  }
}

describe('Ingest.offer', () => {
  const other = `blogs.example.org/${'6f'.repeat(32)}`

  it.each<[string, () => Promise<Offer> | Offer, string]>([
    [
      'random bytes',
      () => ({ text: Buffer.from([200, 1]), signature: Buffer.alloc(9) }),
      'TEXT_NOT_UTF8',
    ],
    [
      'a body changed by one byte',
      () => ({ ...log.at(4).offer, text: forge(log.at(4).offer.text, 'Text', 'Tent') }),
      'SIGNATURE_BAD',
    ],
    ['the signature of another entry', () => wrong(log.at(4).offer), 'SIGNATURE_BAD'],
    ['no signature', () => ({ ...log.at(4).offer, signature: Buffer.alloc(0) }), 'ARMOR_MISSING'],
    [
      'an entry by another key',
      async () => (await log.branch(4).add({ kind: 'post' }, { by: mallory })).offer,
      'ENTRY_OTHER_KEY',
    ],
    [
      'an entry of another blog',
      async () => (await TestLog.begin(council, maria, { blog: 'joe' })).at(0).offer,
      'ITEM_OTHER_LOG',
    ],
    [
      'an entry of another council',
      async () => (await TestLog.begin(other, maria)).at(0).offer,
      'ENTRY_COUNCIL',
    ],
    [
      'a date before that of the entry before',
      async () =>
        (await log.branch(4).add({ kind: 'post' }, { date: '2026-11-23T03:39:59Z' })).offer,
      'DATE_FALLS',
    ],
    [
      'a fork by a foreign key',
      async () => (await log.branch(2).add({ kind: 'post' }, { by: mallory })).offer,
      'ENTRY_OTHER_KEY',
    ],
    ["another key's genesis", () => foreign.at(0).offer, 'ENTRY_OTHER_KEY'],
  ])('refuses %s and stores nothing of it', async (_, make, code) => {
    await offerUpTo(3)
    const before = await disk.rows()
    expect(await offer([await make()])).toMatchObject({ kind: 'refused', refusal: { code } })
    expect(await disk.rows()).toEqual(before)
    expect(await offer([log.at(4).offer])).toMatchObject({ kind: 'held' })
  })

  it('begins with the genesis and goes on in order', async () => {
    expect(await offer([log.at(1).offer])).toEqual({ kind: 'gap', have: -1 })
    const outcome = await offerUpTo(8)
    expect(outcome).toMatchObject({ kind: 'held', head: log.head })
    expect(outcome.kind === 'held' && outcome.added).toHaveLength(9)
    await expectLog(log, 8)
  })

  it('adds nothing for what is known', async () => {
    await offerUpTo(3)
    const before = await disk.rows()
    expect(await offerUpTo(2)).toMatchObject({ kind: 'held', head: { seq: 3 }, added: [] })
    expect(await disk.rows()).toEqual(before)
  })

  it('says what is missing, and keeps what came before the gap', async () => {
    const offers = [0, 1, 2, 5].map((seq) => log.at(seq).offer)
    expect(await offer(offers)).toEqual({ kind: 'gap', have: 2 })
    await expectLog(log, 2)
  })

  it('keeps what came before a refused entry', async () => {
    const offers = [0, 1, 2].map((seq) => log.at(seq).offer)
    expect(await offer([...offers, wrong(log.at(3).offer)])).toMatchObject({ kind: 'refused' })
    await expectLog(log, 2)
  })

  it('keeps a fork aside as proof, never in the log', async () => {
    await offerUpTo(8)
    expect(await offer([fork.at(5).offer])).toEqual({ kind: 'fork', seq: 5, head: log.head })
    await expectLog(log, 8)
    const { seq, id } = fork.at(5).entry
    expect(await disk.store.asideById('maria', seq, id)).not.toBeNull()
  })

  it('keeps an entry that follows another branch aside', async () => {
    await offerUpTo(5)
    expect(await offer([fork.at(6).offer])).toMatchObject({ kind: 'fork', seq: 5 })
    await expectLog(log, 5)
  })

  it('takes nothing of an epoch before the one that the log follows', async () => {
    await offerUpTo(3, { epoch: 2 })
    expect(await offerUpTo(8, { epoch: 1 })).toEqual({ kind: 'stale', follows: 2 })
    await expectLog(log, 3)
  })

  it('tells listeners only what is durable, in order, and counts its way', async () => {
    const heard: string[] = []
    ingest.onAdded(({ items, head, way }) =>
      heard.push(`${way} ${items.map(({ seq }) => seq)} to ${head.seq}`),
    )
    await offerUpTo(1)
    await offerUpTo(1)
    await offerUpTo(3)
    expect(heard).toEqual(['push 0,1 to 1', 'push 2,3 to 3'])
    expect(ingest.counts).toEqual({ submit: 0, gossip: 0, push: 4, pull: 0 })
  })

  it('stores nothing when the disk takes no write, and works again when it does', async () => {
    await offerUpTo(2)
    const heard: unknown[] = []
    ingest.onAdded((added) => heard.push(added))
    disk.fails = true
    await expect(offerUpTo(5)).rejects.toMatchObject({ code: 'STORE_WRITE_FAILED' })
    await expect(offer([fork.at(1).offer, fork.at(2).offer, log.at(3).offer])).rejects.toThrow()
    expect(heard).toEqual([])
    await expectLog(log, 2)
    disk.fails = false
    expect(await offerUpTo(5)).toMatchObject({ kind: 'held', head: { seq: 5 } })
    await expectLog(log, 5)
  })

  it('takes concurrent offers one after the other', async () => {
    const outcomes = await Promise.all(
      log.offers.map((_, seq) => offer(log.offers.slice(Math.max(0, seq - 2), seq + 1))),
    )
    expect(outcomes.every(({ kind }) => kind === 'held')).toBe(true)
    await expectLog(log, 8)
    expect(ingest.counts.push).toBe(9)
  })

  it('decides for one branch when both come at once', async () => {
    await offerUpTo(4)
    const outcomes = await Promise.all([offer([log.at(5).offer]), offer([fork.at(5).offer])])
    expect(outcomes.map(({ kind }) => kind)).toEqual(['held', 'fork'])
    await expectLog(log, 5)
  })

  it('ends in the same log, whatever the order, number and size of the offers', async () => {
    const pieces = fc.array(fc.tuple(fc.nat(8), fc.integer({ min: 1, max: 4 }), fc.boolean()), {
      maxLength: 12,
    })
    await fc.assert(
      fc.asyncProperty(pieces, async (cuts) => {
        const fresh = new TestDisk()
        const at = blogIngest(fresh.store, council)
        await Promise.all(
          cuts.map(([from, size, checkAll]) =>
            offer(
              log.offers
                .slice(from, from + size)
                .flatMap((each) => (checkAll ? [each, each] : each)),
              { at, checkAll },
            ),
          ),
        )
        // What was missing comes by pull: from the head on, as far as it is known there.
        const have = (await at.record('maria'))?.head.seq ?? -1
        await offer(log.offers.slice(have + 1), { at, checkAll: false })
        expect(await heldIds(fresh.store)).toEqual(idsOf(log))
        const entries = await fresh.store.entries('maria', 0, 100)
        expect(entries.map(({ text }) => text)).toEqual(
          log.offers.map(({ text }) => new Uint8Array(text)),
        )
        expect(await fresh.store.aside('maria')).toEqual([])
        expect((await blogIngest(fresh.store, council).record('maria'))?.head).toEqual(log.head)
      }),
      { numRuns: 25 },
    )
  })
})

describe('following a new epoch', () => {
  const asideIds = async () =>
    (await disk.store.aside('maria')).map(({ text }) => must(decodeEntry(text)).id)

  it('moves a tail that disagrees aside, and takes the new one', async () => {
    await offerUpTo(8)
    const outcome = await offer(fork.offers.slice(3), { epoch: 2, head: fork.head })
    expect(outcome).toMatchObject({ kind: 'held', head: fork.head })
    await expectLog(fork, 8)
    expect(await asideIds()).toEqual(log.entries.slice(5).map(({ entry }) => entry.id))
    expect((await ingest.record('maria'))?.follows).toBe(2)
  })

  it('moves a tail beyond the head of the new primary aside', async () => {
    await offerUpTo(8)
    const { seq, id } = log.at(5).entry
    expect(await offer([], { epoch: 2, head: { seq, id } })).toMatchObject({ kind: 'held' })
    await expectLog(log, 5)
    expect(await asideIds()).toHaveLength(3)
    expect(await offer([log.at(6).offer], { epoch: 2 })).toMatchObject({ kind: 'held' })
  })

  it('keeps everything where both agree', async () => {
    await offerUpTo(6)
    expect(await offer(log.offers.slice(5), { epoch: 2 })).toMatchObject({ head: log.head })
    await expectLog(log, 8)
    expect(await asideIds()).toEqual([])
  })

  it('asks for earlier entries until it finds where they part', async () => {
    await offerUpTo(8)
    let from = 8
    for (let asked = 0; asked < 10; asked++) {
      const outcome = await offer(fork.offers.slice(from), { epoch: 2, head: fork.head })
      if (outcome.kind !== 'gap') break
      expect(outcome.have + 1).toBeLessThan(from)
      from = outcome.have + 1
      expect(await heldIds()).toEqual(idsOf(log))
    }
    await expectLog(fork, 8)
  })

  it('moves nothing aside of which the offer does not show that it disagrees', async () => {
    await offerUpTo(8)
    const outcome = await offer(fork.offers.slice(0, 3), { epoch: 2, head: fork.head })
    expect(outcome).toEqual({ kind: 'gap', have: 2 })
    await expectLog(log, 8)
    await offer(fork.offers.slice(3, 6), { epoch: 2, head: fork.head })
    await expectLog(fork, 5)
    expect(await asideIds()).toEqual(idsOf(log).slice(5))
  })

  it('is of an epoch only once it has the head that the act names, by less it would outdo longer logs', async () => {
    const way = { epoch: 2, holds: [log.at(0).entry, log.at(6).entry] }
    const follows = async () => (await ingest.record('maria'))?.follows
    await offer(log.offers.slice(0, 3), way)
    expect(await follows()).toBe(0)
    await offer(log.offers.slice(0, 5))
    expect(await follows()).toBe(1)
    await offer(log.offers.slice(5, 6), way)
    expect(await follows()).toBe(1)
    await offer(log.offers.slice(6, 8), way)
    expect(await follows()).toBe(2)
    await expectLog(log, 7)
  })

  it('does not follow a primary whose log lacks the head that the act names', async () => {
    await offerUpTo(5)
    const { seq, id } = log.at(3).entry
    const holds = [log.at(0).entry, log.at(7).entry]
    expect(await offer([], { epoch: 2, head: { seq, id }, holds })).toMatchObject({
      kind: 'refused',
      refusal: { code: 'OTHER_HEAD' },
    })
    await expectLog(log, 5)
  })

  it('never gives up its genesis', async () => {
    await offerUpTo(3)
    const outcome = await offer(foreign.offers, { epoch: 2, head: foreign.head })
    expect(outcome).toMatchObject({ kind: 'refused', refusal: { code: 'OTHER_GENESIS' } })
    await expectLog(log, 3)
  })

  it('leaves the log as it was when the disk takes no write', async () => {
    await offerUpTo(8)
    disk.fails = true
    await expect(offer(fork.offers.slice(3), { epoch: 2, head: fork.head })).rejects.toThrow()
    await expectLog(log, 8)
    disk.fails = false
    await offer(fork.offers.slice(3), { epoch: 2, head: fork.head })
    await expectLog(fork, 8)
  })
})

describe('catch-up', () => {
  const bad = 3
  const page = () => log.offers.map((each, seq) => (seq === bad ? wrong(each) : each))

  it('lets nothing in when the newest signature is wrong', async () => {
    const last = [...log.offers.slice(0, 8), wrong(log.at(8).offer)]
    expect(await offer(last, { checkAll: false })).toMatchObject({ kind: 'refused' })
    expect(await disk.rows()).toEqual([])
    expect(await offerUpTo(8)).toMatchObject({ kind: 'held' })
  })

  it('lets nothing in when the page has a hole, or does not end with its newest entry', async () => {
    const hole = [0, 1, 3, 4].map((seq) => log.at(seq).offer)
    expect(await offer(hole, { checkAll: false })).toMatchObject({ kind: 'gap' })
    const order = [0, 1, 2, 1].map((seq) => log.at(seq).offer)
    expect(await offer(order, { checkAll: false })).toMatchObject({
      kind: 'refused',
      refusal: { code: 'PAGE_DISORDER' },
    })
    expect(await disk.rows()).toEqual([])
  })

  it('finds a wrong signature in the middle, does not serve it, and heals', async () => {
    expect(await offer(page(), { checkAll: false })).toMatchObject({ kind: 'held' })
    await expectLog(log, 8)
    expect(await ingest.read('maria', bad)).toBeNull()
    expect((await ingest.read('maria', 2))?.text).toEqual(new Uint8Array(log.at(2).offer.text))

    const found: number[] = []
    for (let turn = 0; turn < 4; turn++) found.push(...(await ingest.checkSome('maria', 3)))
    expect(new Set(found)).toEqual(new Set([bad]))

    expect(await ingest.heal('maria', wrong(log.at(bad).offer))).toMatchObject({
      code: 'HEAL_SIGNATURE',
    })
    expect(await ingest.heal('maria', fork.at(5).offer)).toMatchObject({ code: 'HEAL_OTHER_ENTRY' })
    expect(await ingest.heal('maria', log.at(bad).offer)).toMatchObject({ ok: true })
    expect((await ingest.read('maria', bad))?.text).toEqual(new Uint8Array(log.at(bad).offer.text))
    for (let turn = 0; turn < 4; turn++) expect(await ingest.checkSome('maria', 3)).toEqual([])
    expect((await ingest.record('maria'))?.uncheckedFrom).toBeNull()
  })

  it('serves and heals with signatures armored anew', async () => {
    const commented = log.offers.map((each, seq) =>
      seq === 8 ? each : { ...each, signature: forge(each.signature, '\n\n', '\nComment: hi\n\n') },
    )
    await offer(commented, { checkAll: false })
    const served = async () =>
      Buffer.from((await ingest.read('maria', 4))?.signature ?? []).toString()
    expect(await served()).toMatch(/^-----BEGIN PGP SIGNATURE-----\n\n/)
    await ingest.heal('maria', commented[4] as Offer)
    expect(await served()).toMatch(/^-----BEGIN PGP SIGNATURE-----\n\n/)
  })

  it('checks keys of the log in order, whatever is left for later', async () => {
    const next = await TestAuthor.make('next')
    const rekeyed = await TestLog.begin(council, maria)
    await rekeyed.posts(1)
    await rekeyed.rekey(next, { holder: mallory })
    await rekeyed.add({ kind: 'post' }, { by: next })
    expect(await offer(rekeyed.offers, { checkAll: false, head: rekeyed.head })).toMatchObject({
      kind: 'refused',
      refusal: { code: 'REKEY_POSSESSION' },
    })
    expect(await disk.rows()).toEqual([])
  })
})

describe('Ingest.keepAside', () => {
  it('keeps what a key of the log signed, and refuses the rest', async () => {
    await offerUpTo(4)
    expect(await ingest.keepAside('maria', fork.at(7).offer)).toMatchObject({ ok: true })
    expect(await disk.store.aside('maria')).toHaveLength(1)
    const forged = await log.branch(3).add({ kind: 'post' }, { by: mallory })
    expect(await ingest.keepAside('maria', forged.offer)).toMatchObject({ code: 'ENTRY_OTHER_KEY' })
    expect(await ingest.keepAside('maria', wrong(fork.at(6).offer))).toMatchObject({
      code: 'SIGNATURE_BAD',
    })
    expect(await disk.store.aside('maria')).toHaveLength(1)
    await expectLog(log, 4)
  })
})

describe('Ingest.onAdded', () => {
  it('hears of an entry when a new process would find it on disk', async () => {
    const found: unknown[] = []
    ingest = new Ingest({
      store: disk.store,
      rulesOf: () => testRules(council),
      now: () => startMs,
    })
    ingest.onAdded(({ head }) => {
      found.push(disk.store.entry('maria', head.seq))
    })
    await offerUpTo(2)
    expect((await Promise.all(found)).every((each) => each !== null)).toBe(true)
  })
})
