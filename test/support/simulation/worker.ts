import { CheapSignatures } from './cheap-signatures.ts'
import type { Answer, Job } from './command.ts'
import { readOnce } from './read-once.ts'

/** Runs the seeds that it is sent, one after the other, and answers each. */
let isCheap = false
process.on('disconnect', () => process.exit())
process.on('message', (job: Job) => {
  void run(job)
})

readOnce()
// Errors are ordinary answers here, and nobody reads where they were made: who replays the seed does.
Error.stackTraceLimit = 0
const { simulate } = await import('./simulate.ts')

async function run({ from, seeds, realKeys, ...options }: Job): Promise<void> {
  // For the rest of this process: it gets no other kind of job.
  if (!realKeys && !isCheap) new CheapSignatures()
  isCheap = !realKeys
  for (let seed = from; seed < from + seeds; seed++) {
    const way = realKeys ? 'openpgp' : 'node'
    const how = { isTraced: false, isCopied: !realKeys }
    const before = process.cpuUsage()
    const { trace: _, ...outcome } = await simulate({ ...options, seed, ...how, way })
    const { user, system } = process.cpuUsage(before)
    process.send?.({ ...outcome, cpuMs: (user + system) / 1_000 } satisfies Answer)
  }
}
