import { describe, expect, it } from 'vitest'
import { planFaults } from './faults.ts'

describe('planFaults', () => {
  it('draws the same faults for the same seed, others for another', () => {
    expect(planFaults(7, 50, 3_000)).toEqual(planFaults(7, 50, 3_000))
    expect(planFaults(7, 50, 3_000)).not.toEqual(planFaults(8, 50, 3_000))
  })

  it('begins a longer run with the faults of a shorter one', () => {
    expect(planFaults(7, 100, 3_000).slice(0, 10)).toEqual(planFaults(7, 10, 3_000))
  })

  it('has every kind for every peer, for less than the silence and for longer than a flap', () => {
    const faults = planFaults(1, 1_000, 3_000)
    expect(new Set(faults.map(({ kind, target }) => `${kind} ${target}`)).size).toBe(6 * 4)
    const long = faults.filter(({ lastsMs }) => lastsMs > 8_000)
    expect(long.length).toBeGreaterThan(400)
    expect(faults.every(({ lastsMs }) => lastsMs < 3_000 || lastsMs > 8_000)).toBe(true)
  })
})
