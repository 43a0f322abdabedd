import { describe, expect, it } from 'vitest'
import { simulate } from '../../support/simulation/schedule.ts'

// COUNCIL_SEED=7: that seed alone. COUNCIL_SEEDS=200, COUNCIL_FROM=50: so many, from there on.
const { COUNCIL_SEED, COUNCIL_SEEDS = '10', COUNCIL_FROM = '1' } = process.env
const seeds =
  COUNCIL_SEED === undefined
    ? Array.from({ length: Number(COUNCIL_SEEDS) }, (_, index) => Number(COUNCIL_FROM) + index)
    : [Number(COUNCIL_SEED)]

describe('Exchange', () => {
  it.for(seeds)(
    'keeps what it called published through crashes, cuts and loss: seed %i',
    async (seed) => {
      const { published, crashes, receipts } = await simulate(seed)
      expect(published).toBeGreaterThan(10)
      expect(crashes).toBeGreaterThan(0)
      expect(receipts).toBeGreaterThan(50)
    },
  )
})

describe('simulate', () => {
  it('sees blogs led by another spoke after their primary was silent', async () => {
    const runs = [await simulate(8), await simulate(1)]
    expect(runs.map(({ failovers }) => failovers).some((count) => count > 0)).toBe(true)
  })

  it('runs the same way again when the seed is the same', async () => {
    const first = await simulate(1)
    expect(await simulate(1)).toEqual(first)
  })

  it('notices receipts for what is not synced', async () => {
    await expect(simulate(1, 'sync')).rejects.toThrow(/seed 1: a receipt .* without \d+ synced/)
  })
})
