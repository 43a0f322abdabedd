import { beforeEach, describe, expect, it } from 'vitest'
import { readPage } from '../../../src/replication/exchange/sync.ts'
import { namesLog, rosterLog } from '../../../src/replication/log/log.ts'
import { idOf } from '../../../src/replication/log/text.ts'
import { SYNC } from '../../../src/replication/protocol.ts'
import type { ProofOfAct, SignedRow } from '../../../src/replication/registry/proof.ts'
import { proofRow, signedRow } from '../../../src/replication/registry/proof.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { assignFields, fakeId, peer, TestCouncil, type Written } from '../test-council.ts'
import { assign, codeIn, maria, rowOf, TestPeer } from './test-peer.ts'

const [author, mallory] = [await TestAuthor.make('maria'), await TestAuthor.make('mallory')]
const council = new TestCouncil().admit(1, 2, 3, 4)
const log = await (await TestLog.begin(council.council, author)).posts(8)
const act: Written = assign(council, log)
const elsewhere = await (await TestLog.begin(`blogs.example.org/${fakeId('ab')}`, author)).posts(8)
const foreign = await (await TestLog.begin(council.council, mallory)).posts(8)
const joe = await (await TestLog.begin(council.council, author, { blog: 'joe' })).posts(8)

type Asked = { t: string; from: number; logs: string[]; log: string }
type Forged = {
  head?: { seq: number; id: string }
  by?: number
  page?: (from: number) => unknown
}

let self: TestPeer
beforeEach(async () => {
  self = await TestPeer.start(2, council)
  await self.learn(act.proof)
})

/** The primary, as far as its answers go. */
function remote({ head = log.head, by = 1, page }: Forged = {}) {
  const receipt = council.receipt(by, act.act, { head: head as typeof log.head })
  self.remotes.set(peer(1).peer, (protocol, body) => {
    const asked = body as Asked
    expect(protocol).toBe(SYNC)
    if (asked.t === 'heads')
      return { heads: [{ log: 'maria', epoch: 1, ...head, receipts: [signedRow(receipt.signed)] }] }
    if (asked.t === 'range')
      return (
        page?.(asked.from) ?? { entries: log.entries.slice(asked.from).map(rowOf), more: false }
      )
    return { proof: null }
  })
}
const rows = (of: TestLog, from = 0, to = 9) => of.entries.slice(from, to).map(rowOf)
const idsOf = (count: number) => log.entries.slice(0, count).map(({ entry }) => entry.id)
const pull = () => self.sync.pull(peer(1).peer, ['maria'])
const requests = () => self.sent.filter(([, , body]) => (body as Asked).t === 'range').length

describe('Sync.pull', () => {
  const altered = (seq: number): SignedRow[] =>
    rows(log).map((row, at) =>
      at === seq
        ? [Buffer.from(Buffer.from(row[0]).toString().replace('Text', 'Tent')), row[1]]
        : row,
    )

  it.each<[string, (from: number) => unknown]>([
    ['no map', () => 'hello'],
    ['random bytes', () => Buffer.from([1, 2, 3])],
    ['another form', () => ({ entries: [{ text: 'x' }], more: false })],
    [
      'rows of random bytes',
      () => ({ entries: [[Buffer.from([200, 1]), Buffer.alloc(64)]], more: false }),
    ],
    ['a page with a hole', () => ({ entries: [...rows(log, 0, 3), ...rows(log, 4)], more: false })],
    ['a page that begins too late', (from) => ({ entries: rows(log, from + 1), more: false })],
    ['a page in another order', () => ({ entries: rows(log).toReversed(), more: false })],
    ['an altered entry in the middle', () => ({ entries: altered(4), more: false })],
    ['an altered newest entry', () => ({ entries: altered(8), more: false })],
    [
      'a wrong newest signature',
      () => ({
        entries: [...rows(log, 0, 8), [log.at(8).offer.text, log.at(7).offer.signature]],
        more: false,
      }),
    ],
    [
      'no newest signature',
      () => ({
        entries: [...rows(log, 0, 8), [log.at(8).offer.text, Buffer.alloc(0)]],
        more: false,
      }),
    ],
    ['entries of another blog', () => ({ entries: rows(joe), more: false })],
    ['entries of another council', () => ({ entries: rows(elsewhere), more: false })],
    ["another key's blog of that name", () => ({ entries: rows(foreign), more: false })],
    [
      'a text of 5 MB',
      () => ({ entries: [[Buffer.alloc(5_000_000, 'x'), Buffer.alloc(64)]], more: false }),
    ],
    [
      'a signature of 5 MB',
      () => ({
        entries: [
          ...rows(log, 0, 1),
          [log.at(1).offer.text, Buffer.alloc(5_000_000, 'x')],
          ...rows(log, 2),
        ],
        more: false,
      }),
    ],
    ['2,001 entries', () => ({ entries: Array(2_001).fill(rowOf(log.at(0))), more: false })],
    ['a refusal', () => ({ error: { code: 'NOT_A_MEMBER', reason: 'Join first.' } })],
  ])('lets nothing in from a peer that answers with %s', async (_, page) => {
    remote({ page })
    await expect(pull()).rejects.toMatchObject({ name: 'ReplicationError' })
    const entries = await self.disk.store.entries('maria', 0, 10)
    // What came before the fault may stay, each entry with its own signature checked.
    expect(entries.map(({ text }) => idOf(text))).toEqual(idsOf(entries.length))
    expect(entries.every(({ checked }) => checked)).toBe(true)
    expect(await self.disk.store.aside('maria')).toEqual([])
    remote()
    await pull()
    expect(await self.head()).toBe(8)
  })

  it('ends with a peer that sends the same page for ever', async () => {
    remote({
      head: { seq: 900, id: fakeId('ab') },
      page: () => ({ entries: rows(log, 0, 4), more: true }),
    })
    await expect(pull()).rejects.toMatchObject({ code: 'PEER_ANSWER_MALFORMED' })
    expect(requests()).toBeLessThan(5)
    expect(await self.head()).toBe(3)
  })

  it('ends with a peer that has no more than it says', async () => {
    remote({
      head: { seq: 900, id: fakeId('ab') },
      page: (from) => ({ entries: rows(log, from), more: true }),
    })
    await pull()
    expect(requests()).toBeLessThan(5)
    expect(await self.head()).toBe(8)
  })

  it('pulls nothing without a receipt of the peer that answers', async () => {
    remote({ by: 3 })
    await pull()
    expect(requests()).toBe(0)
    expect(await self.head()).toBe(-1)
  })

  it('pulls page by page, and each page with its newest signature checked', async () => {
    remote({ page: (from) => ({ entries: rows(log, from, from + 4), more: from + 4 < 9 }) })
    await pull()
    expect(await self.head()).toBe(8)
    const stored = await self.disk.store.entries('maria', 0, 10)
    expect(stored.map(({ checked }) => checked)).toEqual([
      true,
      false,
      false,
      true,
      false,
      false,
      false,
      true,
      true,
    ])
    expect(self.ingest.counts.pull).toBe(9)
  })

  it('takes the receipt that came with the head', async () => {
    remote()
    await pull()
    expect(self.replicas.get(maria)?.receipts.published()).toBe(8)
  })

  it('goes on with other logs when one does not hold, and says so then', async () => {
    const other = assign(council, joe, { blog: joe.blog as never })
    await self.learn(other.proof)
    const heads = [
      {
        log: 'joe',
        epoch: 1,
        ...joe.head,
        receipts: [signedRow(council.receipt(1, other.act, { head: joe.head }).signed)],
      },
      {
        log: 'maria',
        epoch: 1,
        ...log.head,
        receipts: [signedRow(council.receipt(1, act.act, { head: log.head }).signed)],
      },
    ]
    self.remotes.set(peer(1).peer, (_, body) => {
      const asked = body as Asked
      if (asked.t === 'heads') return { heads }
      return { entries: rows(log, asked.from), more: false }
    })
    await expect(self.sync.pull(peer(1).peer, ['joe', 'maria'])).rejects.toMatchObject({
      code: 'PEER_ANSWER_MALFORMED',
    })
    expect(await self.head()).toBe(8)
    expect(await self.head('joe')).toBe(-1)
  })

  it('ignores logs it did not ask for', async () => {
    self.remotes.set(peer(1).peer, () => ({
      heads: [{ log: 'joe', epoch: 1, ...joe.head, receipts: [] }],
    }))
    await pull()
    expect(self.sent).toHaveLength(1)
  })

  it('takes acts of the council only in force', async () => {
    const grown = new TestCouncil().admit(1, 2, 3, 4)
    const { proof } = grown.write(assignFields())
    const serve = (given: ProofOfAct) =>
      self.remotes.set(peer(1).peer, (_, body) =>
        (body as Asked).t === 'heads'
          ? { heads: [{ log: namesLog, epoch: 0, ...grown.namesHead(), receipts: [] }] }
          : { entries: [proofRow(given)], more: false },
      )
    serve({ ...proof, receipts: [] })
    const pullNames = () => self.sync.pull(peer(1).peer, [namesLog])
    await expect(pullNames()).rejects.toMatchObject({ code: 'PEER_ANSWER_MALFORMED' })
    expect(self.council.names()?.blogs.size).toBe(0)
    serve(proof)
    await pullNames()
    expect(self.council.names()?.blogs.size).toBe(1)
  })
})

describe('the answers of Sync', () => {
  it.each([
    ['nothing', null],
    ['another question', { t: 'delete', log: 'maria' }],
    ['a negative seq', { t: 'range', log: 'maria', from: -1 }],
    ['a fraction', { t: 'range', log: 'maria', from: 0.5 }],
    ['1,001 logs', { t: 'heads', logs: Array(1_001).fill('maria') }],
    ['a long name', { t: 'heads', logs: ['x'.repeat(41)] }],
  ])('refuse %s', async (_, body) => {
    expect(codeIn(await self.answer(1, SYNC, body))).toBe('REQUEST_MALFORMED')
  })

  it("give a head with this replica's receipt, and none of what it does not keep", async () => {
    remote()
    await pull()
    const { heads } = (await self.answer(1, SYNC, {
      t: 'heads',
      logs: ['maria', 'joe', rosterLog],
    })) as {
      heads: { log: string; seq: number; receipts: unknown[] }[]
    }
    expect(heads.map((head) => [head.log, head.seq, head.receipts.length])).toEqual([
      ['maria', 8, 2],
      [rosterLog, 4, 0],
    ])
  })

  it('give pages of at most 1 MiB, and one entry at least', async () => {
    const long = await TestLog.begin(council.council, author)
    const line = `${'x'.repeat(16_000)}\n`
    await long.posts(20, line.repeat(4).trimEnd())
    const head = long.head
    const fresh = await TestPeer.start(3, council)
    await fresh.learn(assign(council, long).proof)
    await fresh.ingest.offer('maria', long.offers, { way: 'push', following: { epoch: 1, head } })
    const first = await readPage(fresh.disk.store, 'maria', 0)
    expect(first.more).toBe(true)
    expect(first.entries.length).toBeGreaterThan(10)
    const rest = await readPage(fresh.disk.store, 'maria', first.entries.length)
    expect(rest.more).toBe(false)
    expect(first.entries.length + rest.entries.length).toBe(21)
  })
})
