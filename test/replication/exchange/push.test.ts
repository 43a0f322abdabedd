import { beforeEach, describe, expect, it } from 'vitest'
import { decodeReceipt } from '../../../src/replication/log/receipt.ts'
import { REPLICA } from '../../../src/replication/protocol.ts'
import {
  fromSignedRow,
  proofRow,
  type SignedRow,
  signedRow,
} from '../../../src/replication/registry/proof.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { fakeId, must, peer, settle, TestCouncil } from '../test-council.ts'
import { assign, codeIn, maria, rowOf, TestPeer } from './test-peer.ts'

const author = await TestAuthor.make('maria')
const council = new TestCouncil().admit(1, 2, 3, 4)
const log = await (await TestLog.begin(council.council, author)).posts(4)
const act = assign(council, log)
const push = {
  ...{ t: 'push', log: 'maria', act: act.act.id, proof: proofRow(act.proof), head: log.head },
  entries: log.entries.map(rowOf),
}
type Push = Omit<typeof push, 'proof'> & { proof: unknown }

describe('a push, as a replica takes it', () => {
  let self: TestPeer
  beforeEach(async () => {
    self = await TestPeer.start(2, council)
  })
  const send = (change: Partial<Push> = {}, from = 1) =>
    self.answer(from, REPLICA, { ...push, ...change })

  it.each<[string, Partial<Push>, number, string]>([
    ['another form', { entries: ['x'] as never }, 1, 'REQUEST_MALFORMED'],
    ['an act that it does not know', { proof: null }, 1, 'ACT_UNKNOWN'],
    [
      'an act that is not in force',
      { proof: proofRow({ ...act.proof, receipts: [] }) },
      1,
      'ACT_UNKNOWN',
    ],
    ['the proof of another act', { act: fakeId('ab') }, 1, 'LATER_ACT'],
    ['another peer than the primary', {}, 3, 'NOT_THE_PRIMARY'],
    [
      'an altered entry',
      { entries: [rowOf(log.at(0)), [log.at(1).offer.text, log.at(2).offer.signature]] },
      1,
      'SIGNATURE_BAD',
    ],
  ])('is refused with %s', async (_, change, from, code) => {
    expect(codeIn(await send(change, from))).toBe(code)
    expect(await self.head()).toBeLessThan(1)
  })

  it('is answered by a receipt for everything that is held, and again by the same', async () => {
    const { receipt } = (await send()) as { receipt: SignedRow }
    expect(must(decodeReceipt(fromSignedRow(receipt)))).toMatchObject({
      head: log.head,
      act: act.act.id,
    })
    const again = (await send({ proof: null })) as { receipt: SignedRow }
    expect(again.receipt).toEqual(receipt)
  })

  it('is taken with a proof that is not whole once its act is followed: what was checked holds', async () => {
    await self.learn(act.proof)
    const short = proofRow({ ...act.proof, receipts: [] })
    expect(await send({ proof: short })).toHaveProperty('receipt')
  })

  it('is answered by what is missing', async () => {
    expect(await send({ entries: log.entries.slice(2).map(rowOf) })).toEqual({ need: 0 })
    await send({ entries: log.entries.slice(0, 2).map(rowOf) })
    expect(await send({ entries: log.entries.slice(3).map(rowOf) })).toEqual({ need: 2 })
  })

  it('is answered by what is missing until the head that the act names is held, then by a receipt', async () => {
    const next = assign(council, log, {
      ...{ epoch: 2, ends: act.act.id, head: log.head, via: null },
    })
    const under = { act: next.act.id, proof: proofRow(next.proof) }
    const part = (from: number, to: number) => log.entries.slice(from, to).map(rowOf)
    expect(await send({ ...under, entries: part(0, 3) })).toEqual({ need: 3 })
    expect(await send({ ...under, entries: part(3, 5) })).toHaveProperty('receipt')
  })

  it('is refused by a peer, or a store, that the act does not name', async () => {
    self = await TestPeer.start(4, council)
    expect(codeIn(await send())).toBe('NOT_NAMED')
    expect(await self.head()).toBe(-1)
  })

  it('is given no receipt by a store that is another one since it learned the act', async () => {
    await send({ entries: log.entries.slice(0, 2).map(rowOf) })
    self.storeNumber = 9
    expect(codeIn(await send({ proof: null }))).toBe('NO_RECEIPT')
  })

  it('is refused under an act that is over', async () => {
    const next = assign(council, log, {
      ...{ epoch: 2, ends: act.act.id, primary: peer(3).peer, via: null },
    })
    await self.learn(next.proof)
    expect(codeIn(await send())).toBe('LATER_ACT')
  })

  it('is refused where the log here is another one, which stays', async () => {
    await send()
    const fork = await log.branch(3).posts(2, 'Another')
    expect(codeIn(await send({ entries: fork.entries.slice(3).map(rowOf), head: fork.head }))).toBe(
      'NOT_A_PREFIX',
    )
    expect((await self.ingest.record('maria'))?.head).toEqual(log.head)
  })
})

describe('Push.toAll', () => {
  let self: TestPeer
  let asked: { to: number; body: Push }[]
  beforeEach(async () => {
    self = await TestPeer.start(1, council)
    asked = []
    const kept = await self.learn(act.proof)
    await self.ingest.offer('maria', log.offers, {
      way: 'submit',
      following: { epoch: 1, head: log.head },
    })
    await self.replicas.give(kept)
  })
  const remote = (to: number, answer: (body: Push) => unknown) =>
    self.remotes.set(peer(to).peer, (_, body) => {
      asked.push({ to, body })
      return answer(body as Push)
    })
  const receipt = (by: number, seq = 4) => ({
    receipt: signedRow(
      council.receipt(by, act.act, { head: { seq, id: log.at(seq).entry.id } }).signed,
    ),
  })
  const run = async (ms = 0) => {
    self.push.toAll(self.replicas.get(maria) as never)
    await settle()
    await self.clock.pass(ms)
  }

  it('sends everything from the last receipt on, and counts the receipts', async () => {
    remote(2, () => receipt(2))
    remote(3, () => receipt(3))
    await run()
    expect(asked.map(({ to, body }) => [to, body.entries.length])).toEqual([
      [2, 5],
      [3, 5],
    ])
    expect(self.replicas.get(maria)?.receipts.copies(4)).toBe(3)
    await run()
    expect(asked).toHaveLength(2)
  })

  it('goes back to what a replica needs', async () => {
    await self.replicas.receive(
      council.receipt(2, act.act, { head: { seq: 2, id: log.at(2).entry.id } }).signed,
    )
    remote(2, ({ entries }) => (entries.length < 4 ? { need: 1 } : receipt(2)))
    await run()
    expect(asked.map(({ body }) => body.entries.length)).toEqual([2, 4])
  })

  it('goes on from what a replica has taken, a page after the other', async () => {
    await self.replicas.receive(
      council.receipt(2, act.act, { head: { seq: 2, id: log.at(2).entry.id } }).signed,
    )
    const needs = [0, 2, 4]
    remote(2, () => {
      const need = needs.shift()
      return need === undefined ? receipt(2) : { need }
    })
    await run()
    expect(asked.map(({ body }) => body.entries.length)).toEqual([2, 5, 3, 1])
  })

  it('sends nothing under an act whose head it has not got yet: nobody should follow it', async () => {
    const next = { epoch: 2, ends: act.act.id, head: { seq: 9, id: fakeId('9') }, via: null }
    await self.learn(assign(council, log, next).proof)
    remote(2, () => receipt(2))
    await run()
    expect(asked).toEqual([])
  })

  it('sends the proof of act again to a replica that does not know it', async () => {
    const unknown = { error: { code: 'ACT_UNKNOWN', reason: 'Send its proof.' } }
    remote(2, () => receipt(2, 1))
    await run()
    remote(2, ({ proof }) => (proof === null ? unknown : receipt(2)))
    await run(2_000)
    expect(self.replicas.get(maria)?.receipts.of(peer(2).peer)?.head.seq).toBe(4)
  })

  it('leaves a peer that cannot be reached alone for a second, whatever blog has news for it', async () => {
    const other = await TestLog.begin(council.council, author, { blog: 'asamblea' })
    const blog = 'asamblea' as typeof maria
    const kept = await self.learn(assign(council, other, { blog, head: other.head }).proof)
    const following = { epoch: 1, head: other.head }
    await self.ingest.offer('asamblea', other.offers, { way: 'submit', following })
    await self.replicas.give(kept)
    const tries = () => self.sent.filter(([to]) => to === peer(2).peer).length
    await run()
    self.push.toAll(kept)
    await settle()
    expect(tries()).toBe(1)
    await self.clock.pass(2_000)
    expect(tries()).toBe(2)
    // A connection says that it is there.
    remote(2, () => receipt(2))
    await self.clock.pass(10_000)
    expect(self.replicas.get(maria)?.receipts.of(peer(2).peer)?.head.seq).toBe(4)
  })

  it.each<[string, unknown]>([
    ['nothing', null],
    ['another form', 'hello'],
    ['a refusal', { error: { code: 'NOT_A_MEMBER', reason: 'Join first.' } }],
    ["another replica's receipt", receipt(3)],
    ['a forged receipt', { receipt: [receipt(2).receipt[0], Buffer.alloc(64)] }],
    [
      'an older receipt',
      { receipt: signedRow(council.receipt(2, act.act, { act: fakeId('ab') }).signed) },
    ],
    ['a need that it never lowers', { need: 7 }],
  ])('gives up after a few tries with a replica that answers %s', async (_, answer) => {
    remote(2, () => answer)
    await run(60_000)
    expect(asked.length).toBeLessThanOrEqual(5)
    expect(self.replicas.get(maria)?.receipts.of(peer(2).peer)).toBeNull()
  })
})
