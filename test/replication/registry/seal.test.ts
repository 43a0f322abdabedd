import { describe, expect, it } from 'vitest'
import {
  decodePromise,
  decodeSeal,
  type Promised,
  type Seal,
  signPromise,
  signSeal,
} from '../../../src/replication/registry/seal.ts'
import { codeOf, fakeId, forge, must, peer, replica, startMs } from '../test-council.ts'

const seal: Seal = {
  ...{ council: `blogs.example.org/${fakeId('5f')}`, log: 'maria', act: fakeId('cd') },
  ...{ epoch: 2, round: 7, atMs: startMs },
}
const promise: Omit<Promised, 'signed'> = {
  ...{ ...seal, replica: replica(1), head: { seq: 41, id: fakeId('ab') }, follows: 2 },
}
const signedSeal = signSeal(peer(0), seal)
const given = signPromise(peer(1), promise)

describe('decodeSeal', () => {
  const changed = (part: string | RegExp, by: string) => {
    const text = forge(signedSeal.text, part, by)
    return { text, signature: peer(0).sign(text) }
  }
  it.each([
    ['a promise', given.signed, 'PEER_TEXT_FIRST_LINE'],
    [
      'a receipt by its first line',
      changed('council-seal', 'council-receipt'),
      'PEER_TEXT_FIRST_LINE',
    ],
    ['a missing round', changed(/round .*\n/, ''), 'HEADER_MISSING'],
    ['an epoch that is no number', changed('epoch 2', 'epoch two'), 'HEADER_VALUE'],
    ['an unknown header', changed(/$/, '\nfollows 1'), 'HEADER_UNKNOWN'],
    ['a signature by another peer', signSeal(peer(1), seal), 'PEER_SIGNATURE'],
    [
      'a changed text',
      { ...signedSeal, text: forge(signedSeal.text, 'round 7', 'round 8') },
      'PEER_SIGNATURE',
    ],
  ])('refuses %s', (_, signed, code) => {
    expect(codeOf(decodeSeal(signed, peer(0).peer))).toBe(code)
  })

  it('reads what the authority signed', () => {
    expect(must(decodeSeal(signedSeal, peer(0).peer))).toEqual(seal)
  })
})

describe('decodePromise', () => {
  it.each([
    ['a seal', signedSeal, 'PEER_TEXT_FIRST_LINE'],
    [
      'a changed head',
      { ...given.signed, text: forge(given.signed.text, 'head 41', 'head 40') },
      'PEER_SIGNATURE',
    ],
    [
      'another peer in the text',
      { ...given.signed, text: forge(given.signed.text, peer(1).peer, peer(2).peer) },
      'PEER_SIGNATURE',
    ],
    [
      'a head without an id',
      { ...given.signed, text: forge(given.signed.text, /head .*/, 'head 41') },
      'HEADER_VALUE',
    ],
  ])('refuses %s', (_, signed, code) => {
    expect(codeOf(decodePromise(signed))).toBe(code)
  })

  it('reads what the replica signed, a log that it does not hold included', () => {
    expect(must(decodePromise(given.signed))).toEqual(given)
    const empty = signPromise(peer(1), { ...promise, head: null, follows: 0 })
    expect(must(decodePromise(empty.signed))).toEqual(empty)
  })
})
