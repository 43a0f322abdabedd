import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Child } from './child.ts'
import { config, pause } from './council.ts'
import type { Result } from './figures.ts'
import { SignedLog } from './signed-log.ts'

const posts = 1_000
/** What a started peer does first is over by then, ms. */
const settleMs = 15_000

/** What one spoke process takes that holds 1,000 posts, was asked for a page, and idles. */
export async function benchMemory(): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'council-bench-'))
  const alone = config(
    'a',
    { gossip: true, push: true, pull: true },
    { zone: 'bench.localhost' },
    1,
  )
  try {
    {
      await using child = new Child('./spoke-process.ts')
      const { council } = await child.ask<{ council: string }>('start', { config: alone, folder })
      const log = await SignedLog.open(council, 'maria')
      const id = await child.ask<string>('claim', (await log.next(1))[0])
      while (!(await child.ask<boolean>('claimed', id))) await pause(50)
      await child.ask('fill', { blog: 'maria', entries: await log.next(posts) })
    }
    // Started anew, as it would run for months: without what the filling left behind.
    await using child = new Child('./spoke-process.ts')
    await child.ask('start', { config: alone, folder })
    await child.ask('visit', 'maria.bench.localhost')
    await pause(settleMs)
    const mebibytes = (await child.ask<number>('residentBytes')) / 1024 ** 2
    return {
      name: `memory: one spoke process, idle, ${posts} posts held`,
      lines: [`${mebibytes.toFixed(0)} MiB resident`],
      ...{ ratio: mebibytes, unit: 'MiB', wanted: 'most', target: 200 },
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}
