import { beforeEach, describe, expect, it } from 'vitest'
import { ReceiptBook } from '../../../src/replication/exchange/receipts.ts'
import type { Receipt } from '../../../src/replication/log/receipt.ts'
import { type Assignment, toAssignment } from '../../../src/replication/registry/assignment.ts'
import {
  assignFields,
  fakeId,
  peer,
  replica,
  startMs,
  storeOf,
  TestCouncil,
  TestDisk,
} from '../test-council.ts'

const council = new TestCouncil().admit(1, 2, 3, 4)
const { act, proof } = council.draft(assignFields())
const assignment = toAssignment(act, proof) as Assignment
const give = (n: number, seq: number, change: Partial<Receipt> = {}) =>
  council.receipt(n, act, { head: { seq, id: fakeId('ab') }, ...change })

let book: ReceiptBook
beforeEach(() => {
  book = new ReceiptBook(assignment)
})

describe('ReceiptBook', () => {
  it.each<[string, Receipt]>([
    ['for another blog', give(1, 3, { log: 'joe' })],
    ['under another act', give(1, 3, { act: fakeId('cd') })],
    ['of another epoch', give(1, 3, { epoch: 2 })],
    ['of another council', give(1, 3, { council: `x.org/${fakeId('a')}` })],
    ['of a peer that the act does not name', give(4, 3)],
    ['with another store', give(1, 3, { replica: { peer: peer(1).peer, store: storeOf(9) } })],
  ])('takes none %s', (_, receipt) => {
    expect(book.add(receipt)).toBe(false)
    expect(book.all()).toEqual([])
  })

  it('keeps the newest of each replica, whatever comes late', () => {
    expect(book.add(give(1, 3))).toBe(true)
    expect(book.add(give(1, 2))).toBe(false)
    expect(book.add(give(1, 3))).toBe(false)
    expect(book.add(give(1, 3, { atMs: startMs + 1_000 }))).toBe(true)
    expect(book.of(peer(1).peer)?.head.seq).toBe(3)
  })

  it('counts as published what w replicas hold, each receipt for all before it', () => {
    expect(book.published()).toBe(-1)
    book.add(give(1, 7))
    expect(book.published()).toBe(-1)
    book.add(give(3, 4))
    expect(book.published()).toBe(4)
    book.add(give(2, 9))
    expect(book.published()).toBe(7)
    expect([4, 5, 7, 8, 9, 10].map((seq) => book.copies(seq))).toEqual([3, 2, 2, 1, 1, 0])
    expect(book.behind({ seq: 7, id: fakeId('ab') })).toEqual([peer(3).peer])
  })

  it('makes an act active by receipts of w replicas for its head', () => {
    book.add(give(1, 0))
    expect(book.isActive()).toBe(false)
    book.add(give(2, 0))
    expect(book.isActive()).toBe(true)
  })

  it('publishes nothing with one replica, which alone makes its act active', () => {
    const alone = council.draft(assignFields({ replicas: [replica(1)] }))
    const one = new ReceiptBook(toAssignment(alone.act, alone.proof) as Assignment)
    expect(one.isActive()).toBe(false)
    one.add(council.receipt(1, alone.act))
    expect(one.isActive()).toBe(true)
    expect(one.published()).toBe(-1)
  })

  it('reads back what is on disk, and nothing that is forged there', async () => {
    const { store } = new TestDisk()
    const forged = { ...give(2, 3).signed, signature: Buffer.alloc(64) }
    await store.write([
      store.putReceipt('maria', act.id, peer(1).peer, storeOf(1), give(1, 3).signed),
      store.putReceipt('maria', act.id, peer(2).peer, storeOf(2), forged),
    ])
    expect((await ReceiptBook.load(assignment, store)).all().map(({ replica: by }) => by)).toEqual([
      replica(1),
    ])
  })
})
