import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { freeDemoPort } from '../support/demo-port.ts'
import { GpgHome } from '../support/gpg.ts'
import { isGood } from '../torture/outcome.ts'
import { torture } from '../torture/torture.ts'

// The long run is `npm run torture`: 100 faults, its figures are in docs/RELIABILITY.md.
describe.skipIf(!GpgHome.isInstalled)('torture', () => {
  it('10 faults: nothing published is lost, nothing is invented or forked, all comes to rest', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'council-torture-'))
    const lines: string[] = []
    const port = await freeDemoPort()
    try {
      const outcome = await torture({
        ...{ faults: 10, seed: 63, silenceMs: 2_000, spokes: 4, writers: 2, port },
        ...{ folder, say: (line) => lines.push(line) },
      })
      const { lost, invented, forked, broken, unrest, published, felt } = outcome
      expect({ lost, invented, forked, broken, unrest }, lines.join('\n')).toEqual({
        ...{ lost: [], invented: [], forked: [], broken: [], unrest: null },
      })
      expect(isGood(outcome)).toBe(true)
      expect(felt).toHaveLength(10)
      // Authors wrote all the time, more or less as the machine lets them.
      expect(published).toBeGreaterThan(felt.length)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }, 300_000)
})
