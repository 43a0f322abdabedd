import { beforeEach, describe, expect, it } from 'vitest'
import { refuse } from '../../../src/auth/verdict.ts'
import {
  claimsPerSpokeBurst,
  Door,
  type DoorLimits,
  defaultDoorLimits,
  entriesPerSpokeBurst,
} from '../../../src/replication/exchange/rates.ts'
import { formatDate } from '../../../src/replication/log/text.ts'
import { SUBMIT } from '../../../src/replication/protocol.ts'
import { signedRow } from '../../../src/replication/registry/proof.ts'
import { TestAuthor, type TestEntry, TestLog } from '../test-author.ts'
import { codeOf, dayMs, peer, replica, startMs, TestCouncil } from '../test-council.ts'
import { assign, codeIn, maria, rowOf, TestPeer } from './test-peer.ts'

const [author, mallory] = [await TestAuthor.make('maria'), await TestAuthor.make('mallory')]
const council = new TestCouncil().admit(1, 2, 3, 4)
const log = await (await TestLog.begin(council.council, author)).posts(2)
const act = assign(council, log)
const alone = assign(council, log, { replicas: [replica(1)] })

let self: TestPeer
/** A primary with the log so far, active unless `receipts` are too few. */
async function primary({
  given = alone,
  receipts = [] as number[],
  limits = {} as Partial<DoorLimits>,
} = {}) {
  self = await TestPeer.start(1, council, undefined, limits)
  self.clock.ms = startMs + dayMs
  const kept = await self.learn(given.proof)
  await self.ingest.offer('maria', log.offers, {
    way: 'submit',
    following: { epoch: 1, head: log.head },
  })
  await self.replicas.give(kept)
  for (const n of receipts)
    await self.replicas.receive(council.receipt(n, given.act, { head: log.head }).signed)
}
beforeEach(() => primary())

const submit = ({ entry, offer }: TestEntry) => self.submit.submit(entry, offer)
const next = (change = {}) => log.branch().add({ kind: 'post' }, change)

describe('Submit.submit at the primary', () => {
  it.each<[string, () => Promise<TestEntry>, string]>([
    ['a text that is not in NFC', () => next({ body: 'e\u0301' }), 'TEXT_NOT_NFC'],
    [
      'a date over 10 minutes from now',
      () => next({ date: formatDate(startMs + dayMs + 601_000) }),
      'DATE_IN_FUTURE',
    ],
    ['a date before the last entry', () => next({ date: formatDate(startMs) }), 'DATE_FALLS'],
    ['an entry by another key', () => next({ by: mallory }), 'ENTRY_OTHER_KEY'],
    [
      'another signature',
      async () => ({
        ...(await next()),
        offer: { ...(await next()).offer, signature: log.at(1).offer.signature },
      }),
      'SIGNATURE_BAD',
    ],
    [
      'no signature',
      async () => {
        const { entry, offer } = await next()
        return { entry, offer: { ...offer, signature: Buffer.from('x') } }
      },
      'ARMOR_MISSING',
    ],
  ])('refuses %s and stores nothing', async (_, make, code) => {
    const before = await self.disk.rows()
    expect(codeOf(await submit(await make()))).toBe(code)
    expect(await self.disk.rows()).toEqual(before)
  })

  it('refuses a signature dated over 10 minutes from now', async () => {
    const { entry, offer } = await next()
    const late = Buffer.from(await author.sign(entry.text, startMs + dayMs + 601_000))
    expect(codeOf(await submit({ entry, offer: { ...offer, signature: late } }))).toBe(
      'SIGNATURE_IN_FUTURE',
    )
  })

  it('refuses a key that has expired', async () => {
    const brief = await TestAuthor.make('brief', { expireSeconds: 400 * 86_400 })
    const own = await TestLog.begin(council.council, brief)
    const given = assign(council, own, { replicas: [replica(1)] })
    self = await TestPeer.start(1, council)
    const kept = await self.learn(given.proof)
    await self.ingest.offer('maria', own.offers, {
      way: 'submit',
      following: { epoch: 1, head: own.head },
    })
    await self.replicas.give(kept)
    const post = await own.add({ kind: 'post' })
    self.clock.ms = startMs + 400 * dayMs
    expect(codeOf(await submit(post))).toBe('KEY_EXPIRED')
    self.clock.ms = startMs
    expect(codeOf(await submit(post))).toBe('accepted')
  })

  it('stores on one server what has no second one, and calls it not published', async () => {
    expect(await submit(await next())).toMatchObject({
      value: { kind: 'held', published: false, copies: 1, wanted: 1 },
    })
  })

  it('answers the same entry again with its present state', async () => {
    const entry = await next()
    await submit(entry)
    const before = await self.disk.rows()
    expect(await submit(entry)).toMatchObject({ value: { kind: 'held', copies: 1 } })
    expect(await self.disk.rows()).toEqual(before)
  })

  it('answers another entry for a taken seq with the head', async () => {
    const first = await next()
    await submit(first)
    const second = await next({ body: 'Another' })
    const { seq, id } = first.entry
    expect(await submit(second)).toMatchObject({ value: { kind: 'taken', head: { seq, id } } })
  })

  it('takes no writes before its act is active', async () => {
    await primary({ given: act })
    const refused = submit(await next())
    await expect.poll(() => self.clock.waiting).toBe(1)
    await self.clock.pass(6_000)
    expect(codeOf(await refused)).toBe('NOT_ACTIVE')
    expect(await self.head()).toBe(2)
  })

  it('waits for an act that becomes active in a moment', async () => {
    await primary({ given: act })
    const entry = await next()
    const waiting = submit(entry)
    await expect.poll(() => self.clock.waiting).toBe(1)
    const head = { seq: 2, id: log.at(2).entry.id }
    await self.replicas.receive(council.receipt(2, act.act, { head }).signed)
    await self.clock.pass(300)
    await expect.poll(() => self.head()).toBe(3)
    await self.clock.pass(5_000)
    expect(await waiting).toMatchObject({ value: { kind: 'held' } })
  })

  it('publishes with receipts of w replicas, and says how many there are after 5 seconds', async () => {
    await primary({ given: act, receipts: [2] })
    const entry = await next()
    const waiting = submit(entry)
    await expect.poll(() => self.clock.waiting).toBe(1)
    await self.clock.pass(5_000)
    expect(await waiting).toMatchObject({ value: { published: false, copies: 1, wanted: 3 } })
    const { seq, id } = entry.entry
    await self.replicas.receive(council.receipt(3, act.act, { head: { seq, id } }).signed)
    expect(await submit(entry)).toMatchObject({ value: { published: true, copies: 2 } })
  })
})

describe('the rates of the door', () => {
  /** Posts that follow each other, as they would come in. */
  async function posts(count: number) {
    const branch = log.branch()
    const made: TestEntry[] = []
    for (let n = 0; n < count; n++) made.push(await branch.add({ kind: 'post' }))
    return made
  }
  const limits = { blogBurst: 3, blogHourly: 60 }

  it('take what comes at once, then as much as the hour allows, and say when to come again', async () => {
    await primary({ limits })
    const [a, b, c, d, e] = (await posts(5)) as [
      TestEntry,
      TestEntry,
      TestEntry,
      TestEntry,
      TestEntry,
    ]
    for (const post of [a, b, c]) expect(codeOf(await submit(post))).toBe('accepted')
    const before = await self.disk.rows()
    expect(await submit(d)).toMatchObject({
      code: 'RATE_LIMITED',
      retryMs: 60_000,
      reason: expect.stringContaining('send it again in 60 seconds'),
    })
    expect(await self.disk.rows()).toEqual(before)
    self.clock.ms += 60_000
    expect(codeOf(await submit(d))).toBe('accepted')
    expect(codeOf(await submit(e))).toBe('RATE_LIMITED')
  })

  it('cost nothing for what is held already, and for what was refused: nobody else uses up what is hers', async () => {
    await primary({ limits: { ...limits, blogBurst: 1 } })
    const [first, second] = (await posts(2)) as [TestEntry, TestEntry]
    const forged = { ...first, offer: { ...first.offer, signature: log.at(1).offer.signature } }
    for (let n = 0; n < 5; n++) expect(codeOf(await submit(forged))).toBe('SIGNATURE_BAD')
    for (let n = 0; n < 5; n++) expect(codeOf(await submit(first))).toBe('accepted')
    expect(codeOf(await submit(second))).toBe('RATE_LIMITED')
  })

  it('count forks too, which are kept as proof', async () => {
    await primary({ limits: { ...limits, blogBurst: 2 } })
    expect(codeOf(await submit(await next()))).toBe('accepted')
    expect(await submit(await next({ body: 'Another' }))).toMatchObject({
      value: { kind: 'taken' },
    })
    expect(codeOf(await submit(await next({ body: 'A third' })))).toBe('RATE_LIMITED')
  })

  it('never keep her from changing the key', async () => {
    await primary({ limits: { ...limits, blogBurst: 1 } })
    const branch = log.branch()
    const post = await branch.add({ kind: 'post' })
    expect(codeOf(await submit(post))).toBe('accepted')
    const rekey = await branch.rekey(mallory)
    expect(codeOf(await submit(rekey))).toBe('accepted')
  })

  it('hold a key that signs in several blogs to what two of them may', async () => {
    const now = startMs
    const door = new Door({ ...defaultDoorLimits, blogBurst: 2 }, () => now)
    const of = (blog: string) => ({ blog, key: 'A', kind: 'post', bytes: 1, heldBytes: 0 })
    for (const blog of ['a', 'a', 'b', 'b']) {
      expect(codeOf(door.check(of(blog)))).toBe('accepted')
      door.count(of(blog))
    }
    expect(codeOf(door.check(of('c')))).toBe('RATE_LIMITED')
    expect(codeOf(door.check({ ...of('c'), key: 'B' }))).toBe('accepted')
  })

  it('let a retraction and a new key in behind the quota of bytes, and nothing else', async () => {
    const { bytes: held } = (await self.ingest.record('maria')) ?? { bytes: 0 }
    expect(held).toBe(
      (await self.disk.store.entries('maria', 0, 10)).reduce(
        (sum, { text, signature }) => sum + text.length + signature.length,
        0,
      ),
    )
    await primary({ limits: { blogBytes: held + 100 } })
    const refused = await submit(await next())
    expect(refused).toMatchObject({ code: 'BLOG_FULL', reason: expect.stringMatching(/Nothing/) })
    expect(codeOf(await submit(await log.branch().add({ kind: 'retract', slug: 'post-1' })))).toBe(
      'accepted',
    )
  })
})

describe('Submit.submit elsewhere', () => {
  beforeEach(async () => {
    self = await TestPeer.start(2, council)
    await self.learn(act.proof)
  })

  it('passes the entry on to the primary, and its answer back', async () => {
    const entry = await next()
    const head = { seq: entry.entry.seq, id: entry.entry.id }
    const receipts = [1, 2].map((n) => signedRow(council.receipt(n, act.act, { head }).signed))
    const held = { published: true, copies: 2, wanted: 3, receipts }
    self.remotes.set(peer(1).peer, () => held)
    expect(await submit(entry)).toMatchObject({
      value: { kind: 'held', published: true, copies: 2 },
    })
    self.remotes.set(peer(1).peer, () => ({ taken: log.head }))
    expect(await submit(await next())).toMatchObject({ value: { kind: 'taken', head: log.head } })
    const limited = { code: 'RATE_LIMITED', reason: 'Later.', retryMs: 7_000 }
    self.remotes.set(peer(1).peer, () => ({ error: limited }))
    expect(await submit(await next())).toMatchObject(limited)
    self.remotes.set(peer(1).peer, () => ({ error: { code: 'DATE_FALLS', reason: 'It falls.' } }))
    expect(await submit(await next())).toMatchObject({ code: 'DATE_FALLS', reason: 'It falls.' })
  })

  it('believes receipts, not the word of the primary', async () => {
    const held = { published: true, copies: 3, wanted: 3, receipts: [] }
    self.remotes.set(peer(1).peer, () => held)
    expect(await submit(await next())).toMatchObject({ value: { published: false, copies: 0 } })
  })

  it.each<[string, unknown]>([
    ['does not answer', null],
    ['answers in another form', { published: 'yes' }],
  ])('says that nothing was stored when the primary %s', async (_, answer) => {
    self.remotes.set(peer(1).peer, () => answer)
    const verdict = await submit(await next())
    expect(verdict).toMatchObject({ code: 'PRIMARY_UNREACHABLE' })
    expect(verdict.ok ? '' : verdict.reason).toMatch(/Nothing was stored/)
  })

  it('says that there is no such blog only where @names is carried', async () => {
    const joe = await TestLog.begin(council.council, author, { blog: 'joe' })
    expect(codeOf(await submit(joe.at(0)))).toBe('BLOG_UNKNOWN')
  })
})

describe('a submitted entry, as another spoke hands it in', () => {
  const hand = (body: unknown) => self.answer(3, SUBMIT, body)

  it('is refused where this peer is not the primary, or the bytes are no entry', async () => {
    const other = await TestPeer.start(2, council)
    await other.learn(act.proof)
    const row = rowOf(await next())
    expect(codeIn(await other.answer(3, SUBMIT, { t: 'entry', entry: row }))).toBe('NOT_PRIMARY')
    expect(codeIn(await hand({ t: 'entry', entry: [Buffer.from('x'), row[1]] }))).toBe(
      'ENTRY_FIRST_LINE',
    )
    expect(codeIn(await hand({ t: 'entry', entry: 'x' }))).toBe('REQUEST_MALFORMED')
  })

  it('is refused for a while to a spoke that hands in more than it can look at, not to others', async () => {
    const junk = { t: 'entry', entry: [Buffer.from('x'), Buffer.from('y')] }
    for (let n = 0; n < entriesPerSpokeBurst; n++)
      expect(codeIn(await hand(junk))).toBe('ENTRY_FIRST_LINE')
    expect(await hand(junk)).toMatchObject({ error: { code: 'RATE_LIMITED', retryMs: 20 } })
    expect(codeIn(await self.answer(4, SUBMIT, junk))).toBe('ENTRY_FIRST_LINE')
    self.clock.ms += 20
    expect(codeIn(await hand({ t: 'entry', entry: rowOf(await next()) }))).toBe('answered')
  })

  it('as a claim is refused for a while to a spoke that asks the authority too often, not to others', async () => {
    self.decideClaim = async () => refuse('NAME_TAKEN', 'It is taken.')
    const claim = { t: 'claim', entry: rowOf(log.at(0)) }
    for (let n = 0; n < claimsPerSpokeBurst; n++)
      expect(codeIn(await hand(claim))).toBe('NAME_TAKEN')
    expect(await hand(claim)).toMatchObject({ error: { code: 'RATE_LIMITED', retryMs: 200 } })
    expect(codeIn(await self.answer(4, SUBMIT, claim))).toBe('NAME_TAKEN')
    expect(codeIn(await hand({ t: 'entry', entry: rowOf(await next()) }))).toBe('answered')
  })

  it('is taken by the primary', async () => {
    expect(await hand({ t: 'entry', entry: rowOf(await next()) })).toMatchObject({
      copies: 1,
      wanted: 1,
    })
    expect(self.replicas.get(maria)?.receipts.copies(3)).toBe(1)
  })
})
