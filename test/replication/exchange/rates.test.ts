import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Buckets, refuseRate } from '../../../src/replication/exchange/rates.ts'

const startMs = Date.parse('2026-11-23T03:40:00Z')
/** Buckets with a clock that a test sets forward. */
function make({ burst = 3, perSecond = 2, maxKeys = 8 } = {}) {
  const clock = { ms: startMs }
  return { clock, buckets: new Buckets({ burst, perSecond }, () => clock.ms, maxKeys) }
}

describe('Buckets', () => {
  it('gives a burst at once, then one token after the other, and never more than a burst', () => {
    const { clock, buckets } = make()
    for (let n = 0; n < 3; n++) expect(buckets.tryTake('a')).toBe(true)
    expect(buckets.tryTake('a')).toBe(false)
    expect(buckets.waitMs('a')).toBe(500)
    clock.ms += 500
    expect(buckets.tryTake('a')).toBe(true)
    clock.ms += 3_600_000
    for (let n = 0; n < 3; n++) expect(buckets.tryTake('a')).toBe(true)
    expect(buckets.tryTake('a')).toBe(false)
  })

  it('keeps each key to itself', () => {
    const { buckets } = make({ burst: 1 })
    expect(buckets.tryTake('a')).toBe(true)
    expect(buckets.tryTake('b')).toBe(true)
    expect(buckets.tryTake('a')).toBe(false)
  })

  it('lets several at once go below nothing, and makes the key wait for all of them', () => {
    const { buckets } = make({ burst: 1, perSecond: 1 })
    for (let n = 0; n < 4; n++) buckets.take('a')
    expect(buckets.waitMs('a')).toBe(4_000)
  })

  it('takes nothing away when the clock is set back', () => {
    const { clock, buckets } = make()
    buckets.take('a')
    clock.ms -= 3_600_000
    expect(buckets.waitMs('a')).toBe(0)
  })

  it('forgets those that are full again before one that is empty', () => {
    const { clock, buckets } = make({ burst: 1, perSecond: 0.001 })
    buckets.take('empty')
    clock.ms += 1
    // Below one token for most of an hour; the others are full again at once.
    for (let n = 0; n < 5; n++) buckets.take('empty')
    for (let n = 0; n < 7; n++) buckets.take(`other ${n}`)
    clock.ms += 1_100_000
    buckets.take('one more')
    expect(buckets.waitMs('empty')).toBeGreaterThan(0)
  })

  it('lets through at most burst + rate × time, whatever comes when', () => {
    const steps = fc.array(fc.tuple(fc.nat(3_000), fc.nat(20)), { maxLength: 40 })
    fc.assert(
      fc.property(steps, (all) => {
        const { clock, buckets } = make()
        let taken = 0
        for (const [ms, tries] of all) {
          clock.ms += ms
          for (let n = 0; n < tries; n++) if (buckets.tryTake('a')) taken++
        }
        expect(taken).toBeLessThanOrEqual(3 + ((clock.ms - startMs) / 1_000) * 2)
      }),
    )
  })
})

describe('refuseRate', () => {
  it.each([
    [1, '1 second'],
    [59_001, '60 seconds'],
    [120_000, '2 minutes'],
    [3 * 3_600_000, '3 hours'],
  ])('says in words a person reads when to come again: %i ms', (ms, words) => {
    expect(refuseRate('Too much.', ms)).toMatchObject({
      ...{ code: 'RATE_LIMITED', retryMs: ms },
      reason: expect.stringMatching(new RegExp(`in ${words}\\.$`)),
    })
  })
})
