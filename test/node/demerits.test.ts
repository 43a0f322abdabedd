import { describe, expect, it } from 'vitest'
import { Demerits, forgivenMs, maxPoints, pointsPerReject } from '../../src/node/demerits.ts'

function demerits() {
  let nowMs = 1_000
  const clock = {
    now: () => nowMs,
    steady: () => nowMs,
    after: () => () => undefined,
    random: () => 0,
  }
  return {
    demerits: new Demerits(clock),
    pass: (ms: number) => {
      nowMs += ms
    },
  }
}

describe('Demerits', () => {
  it('lets a sender off until its eighth rejected message', () => {
    const { demerits: of } = demerits()
    for (let count = 0; count < maxPoints / pointsPerReject; count++) {
      expect(of.isOver('a')).toBe(false)
      of.add('a')
    }
    expect(of.isOver('a')).toBe(true)
    expect(of.of('b')).toBe(0)
  })

  it('forgives half of the points in a minute, however many came', () => {
    const { demerits: of, pass } = demerits()
    for (let count = 0; count < 1_000; count++) of.add('a')
    expect(of.of('a')).toBe(2 * maxPoints)
    pass(forgivenMs)
    expect(of.of('a')).toBeCloseTo(maxPoints)
    pass(1_000)
    expect(of.isOver('a')).toBe(false)
  })

  it('forgets those with fewest points when there are too many senders', () => {
    const { demerits: of, pass } = demerits()
    for (let count = 0; count < 5; count++) of.add('worst')
    pass(1_000)
    for (let sender = 0; sender < 1_500; sender++) of.add(`sender ${sender}`)
    expect(of.of('worst')).toBeGreaterThan(4 * pointsPerReject)
  })
})
