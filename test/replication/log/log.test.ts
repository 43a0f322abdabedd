import { describe, expect, it } from 'vitest'
import { placeItem } from '../../../src/replication/log/log.ts'
import { fakeId } from '../test-council.ts'

const [a, b, c] = [fakeId('a'), fakeId('b'), fakeId('c')]
const head = { seq: 4, id: a }

describe('placeItem', () => {
  it('takes entry 0 first', () => {
    expect(placeItem(null, { seq: 0, prev: null, id: a }, null)).toEqual({ place: 'next' })
    expect(placeItem(null, { seq: 3, prev: b, id: a }, null)).toEqual({ place: 'gap', have: -1 })
  })

  it('takes what follows the head', () => {
    expect(placeItem(head, { seq: 5, prev: a, id: b }, null)).toEqual({ place: 'next' })
  })

  it('sees missing entries as a gap', () => {
    expect(placeItem(head, { seq: 6, prev: b, id: c }, null)).toEqual({ place: 'gap', have: 4 })
  })

  it('sees the same entry again as known', () => {
    expect(placeItem(head, { seq: 4, prev: b, id: a }, a)).toEqual({ place: 'known' })
  })

  it('sees another entry for a taken seq as a fork there', () => {
    expect(placeItem(head, { seq: 2, prev: b, id: c }, b)).toEqual({ place: 'fork', seq: 2 })
  })

  it('sees an entry behind another head as a fork at the head', () => {
    expect(placeItem(head, { seq: 5, prev: b, id: c }, null)).toEqual({ place: 'fork', seq: 4 })
  })
})
