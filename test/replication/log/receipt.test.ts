import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  countReceipts,
  decodeReceipt,
  majority,
  type Receipt,
  signReceipt,
} from '../../../src/replication/log/receipt.ts'
import { formatDate } from '../../../src/replication/log/text.ts'
import { fakeId, forge, must, peer, replica, startMs, storeOf } from '../test-council.ts'

const fields: Omit<Receipt, 'signed'> = {
  council: `blogs.example.org/${'5f'.repeat(32)}`,
  log: 'maria',
  head: { seq: 3, id: fakeId('ab') },
  act: fakeId('cd'),
  epoch: 1,
  replica: replica(1),
  sinceMs: startMs,
  atMs: startMs + 60_000,
}
const good = signReceipt(peer(1), fields).signed

describe('decodeReceipt', () => {
  const signed = (text: Uint8Array, n = 1) => ({ text, signature: peer(n).sign(text) })
  const changed = (part: string | RegExp, by: string) => signed(forge(good.text, part, by))

  it.each<[string, { text: Uint8Array; signature: Uint8Array }, string]>([
    ['random bytes', signed(Buffer.from([1, 2, 3, 250])), 'TEXT_NOT_UTF8'],
    ['nothing', signed(Buffer.alloc(0)), 'PEER_TEXT_FIRST_LINE'],
    ['another first line', changed('council-receipt', 'council-promise'), 'PEER_TEXT_FIRST_LINE'],
    ['a later format', changed('receipt 1', 'receipt 2'), 'PEER_TEXT_FIRST_LINE'],
    ['a body', signed(Buffer.concat([good.text, Buffer.from('\n\nbody')])), 'PEER_TEXT_BODY'],
    ['a missing header', changed(/act .*\n/, ''), 'HEADER_MISSING'],
    ['an unknown header', changed('epoch 1', 'epoch 1\nmood good'), 'HEADER_UNKNOWN'],
    ['headers in another order', changed(/(act .*\n)(epoch .*\n)/, '$2$1'), 'HEADER_ORDER'],
    ['a log that cannot be', changed('log maria', 'log @other'), 'HEADER_VALUE'],
    ['an upper-case id', changed(/id .*\n/, `id ${'AB'.repeat(32)}\n`), 'HEADER_VALUE'],
    ['a negative epoch', changed('epoch 1', 'epoch -1'), 'HEADER_VALUE'],
    [
      'a peer that is no Ed25519 key',
      changed(/peer .*\n/, 'peer QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG\n'),
      'HEADER_VALUE',
    ],
    ['a store id of another length', changed(/store .*\n/, 'store 11\n'), 'HEADER_VALUE'],
    ['a date that does not exist', changed(/at .*$/, 'at 2026-02-30T00:00:00Z'), 'HEADER_VALUE'],
    [
      'a text changed behind the signature',
      { ...good, text: forge(good.text, 'seq 3', 'seq 4') },
      'PEER_SIGNATURE',
    ],
    ['the signature of another peer', signed(good.text, 2), 'PEER_SIGNATURE'],
    ['63 bytes of signature', { ...good, signature: good.signature.subarray(1) }, 'PEER_SIGNATURE'],
    ['no signature', { ...good, signature: Buffer.alloc(0) }, 'PEER_SIGNATURE'],
  ])('refuses %s', (_, given, code) => {
    expect(decodeReceipt(given)).toMatchObject({ ok: false, code })
  })

  it('reads back every receipt that a peer can give', () => {
    const hex = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`))
    const count = fc.integer({ min: 0, max: 999_999_999_999_999 })
    const time = fc.integer({ min: 0, max: 4e9 }).map((each) => each * 1000)
    const receipts = fc.record({
      ...{ log: fc.constantFrom('maria', '@roster', '@names'), seq: count, id: hex(64) },
      ...{ act: hex(64), epoch: count, n: fc.nat(9), sinceMs: time, atMs: time },
    })
    fc.assert(
      fc.property(receipts, ({ seq, id, n, ...rest }) => {
        const head = { seq, id: id as Receipt['act'] }
        const given = { ...fields, ...rest, act: rest.act as Receipt['act'], head }
        const receipt = signReceipt(peer(n), { ...given, replica: replica(n) })
        expect(must(decodeReceipt(receipt.signed))).toEqual(receipt)
      }),
      { numRuns: 50 },
    )
  })

  it('writes times in whole seconds', () => {
    const { signed: given } = signReceipt(peer(1), { ...fields, atMs: startMs + 999 })
    expect(Buffer.from(given.text).toString()).toContain(`at ${formatDate(startMs)}`)
  })

  it('never throws', () => {
    const bytes = fc.uint8Array({ maxLength: 200 })
    fc.assert(
      fc.property(bytes, bytes, (text, signature) => {
        expect(decodeReceipt({ text, signature }).ok).toBe(false)
      }),
    )
  })
})

describe('countReceipts', () => {
  const set = [replica(1), replica(2), replica(3)]
  const by = (n: number, change: Partial<Receipt> = {}) =>
    signReceipt(peer(n), { ...fields, replica: replica(n), ...change })
  const count = (...receipts: Receipt[]) => countReceipts(receipts, fields.act, set, 3)

  it.each<[string, Receipt]>([
    ['of another act', by(2, { act: fakeId('ce') })],
    ['of a peer that the act does not name', by(4)],
    [
      'of a named peer with another store',
      by(2, { replica: { peer: peer(2).peer, store: storeOf(9) } }),
    ],
    ['that ends before the entry', by(2, { head: { seq: 2, id: fakeId('ab') } })],
    ['of a replica that is counted already', by(1, { atMs: startMs + 99_000 })],
  ])('does not count one %s', (_, receipt) => {
    expect(count(by(1), receipt)).toBe(1)
  })

  it('counts a receipt for all entries before its head', () => {
    expect(count(by(1), by(2, { head: { seq: 9, id: fakeId('ef') } }))).toBe(2)
  })
})

describe('majority', () => {
  it('is more than half', () => {
    expect([1, 2, 3, 4, 5, 31].map(majority)).toEqual([1, 2, 2, 3, 3, 16])
  })
})
