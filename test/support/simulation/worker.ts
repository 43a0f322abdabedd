import { CheapSignatures } from './cheap-signatures.ts'
import type { Answer, Job } from './command.ts'
import { simulate } from './simulate.ts'

/** Runs the seeds that it is sent, one after the other, and answers each. */
let isCheap = false
process.on('message', (job: Job) => {
  void run(job)
})

async function run({ from, seeds, realKeys, ...options }: Job): Promise<void> {
  // For the rest of this process: it gets no other kind of job.
  if (!realKeys && !isCheap) new CheapSignatures()
  isCheap = !realKeys
  for (let seed = from; seed < from + seeds; seed++) {
    const way = realKeys ? 'openpgp' : 'node'
    const { trace: _, ...answer } = await simulate({ ...options, seed, way })
    process.send?.(answer satisfies Answer)
  }
}
