import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CheapSignatures } from '../../support/simulation/cheap-signatures.ts'
import { simulate } from '../../support/simulation/simulate.ts'

// COUNCIL_SEED=7: that seed alone. COUNCIL_SEEDS=200, COUNCIL_FROM=50: so many, from there on.
const { COUNCIL_SEED, COUNCIL_SEEDS = '10', COUNCIL_FROM = '1' } = process.env
const seeds =
  COUNCIL_SEED === undefined
    ? Array.from({ length: Number(COUNCIL_SEEDS) }, (_, index) => Number(COUNCIL_FROM) + index)
    : [Number(COUNCIL_SEED)]

describe('simulate', () => {
  let cheap: CheapSignatures
  beforeAll(() => {
    cheap = new CheapSignatures()
  })
  afterAll(() => cheap[Symbol.dispose]())

  it.for(seeds)(
    'keeps what was called published, whatever happens to machines and ways: seed %i',
    async (seed) => {
      const { violation } = await simulate({ seed, steps: 200 })
      expect(violation).toBeNull()
    },
  )

  it('runs the same way again when the seed is the same', async () => {
    const first = await simulate({ seed: 4, steps: 100 })
    expect(await simulate({ seed: 4, steps: 100 })).toEqual(first)
  })

  it('notices receipts for what is not synced', async () => {
    const { violation } = await simulate({ seed: 1, steps: 200, without: 'sync' })
    expect(violation?.sentence).toMatch(/a receipt .* without \d+ synced/)
  })
})

describe('simulate with real signatures', () => {
  it('keeps what was called published', async () => {
    const { violation } = await simulate({ seed: 1, steps: 60, way: 'openpgp' })
    expect(violation).toBeNull()
  })
})
