import { type ChildProcess, fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError, Option } from 'commander'
import { type BrokenRule, brokenRules } from './broken-rules.ts'
import { CheapSignatures } from './cheap-signatures.ts'
import { type SceneName, scenes } from './scenes.ts'
import { shrink } from './shrink.ts'
import { type Outcome, type SimulateOptions, simulate } from './simulate.ts'

/** What a worker is asked to run: seeds from `from` on. */
export type Job = Omit<SimulateOptions, 'seed' | 'only'> & {
  readonly from: number
  readonly seeds: number
  readonly realKeys: boolean
}
/** What a worker answers for each seed. */
export type Answer = Omit<Outcome, 'trace'> & { readonly cpuMs: number }

/** Seeds that a worker gets at once. */
const seedsPerJob = 4
/** Most of what a run makes is gone with its event: it need not be moved to be forgotten. */
const workerFlags = ['--max-semi-space-size=64']
/** Violations after which no more seeds are begun: each wants somebody to look at it. */
const maxViolations = 20
const progressMs = 20_000

type Options = {
  readonly seeds: number
  readonly from: number
  readonly steps: number
  readonly workers: number
  readonly realKeys: boolean
  readonly without: BrokenRule | null
  readonly scene: SceneName | null
  readonly only: ReadonlySet<number> | null
  readonly trace: boolean
  readonly shrink: boolean
}

const program = new Command('simulate')
  .description(
    'Runs councils on virtual time, disks and networks, and holds them against REPLICATION.',
  )
  .option('--seeds <n>', 'how many runs', toAmount, 1_000)
  .option('--from <seed>', 'the first seed', toCount, 1)
  .option('--steps <n>', 'events in each schedule', toAmount, 200)
  .option('--workers <n>', 'processes', toAmount, availableParallelism())
  .option('--real-keys', 'sign and check with real keys', false)
  .addOption(
    new Option('--without <rule>', 'leave a rule out, to see that it is missed')
      .choices(brokenRules)
      .default(null),
  )
  .addOption(
    new Option('--scene <name>', 'directed schedules in place of those by chance')
      .choices(Object.keys(scenes))
      .default(null),
  )
  .option('--only <steps>', 'of a schedule these steps alone: 0-12,40', toSteps, null)
  .option('--trace', 'all that happened; for one seed', false)
  .option('--shrink', 'find the fewest steps that break the same rule; for one seed', false)
await program.parseAsync()
const options = program.opts<Options>()
if (options.seeds === 1) await runOne(options)
else await runMany(options)

/** None at all would say "0 violations" of nothing. */
function toAmount(value: string): number {
  const amount = toCount(value)
  if (amount === 0) throw new InvalidArgumentError('Want 1 or more.')
  return amount
}

function toCount(value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new InvalidArgumentError('Want a whole number.')
  return Number(value)
}

function toSteps(value: string): ReadonlySet<number> {
  const steps = value.split(',').flatMap((part) => {
    const [first = Number.NaN, last = first] = part.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
  return new Set(steps)
}

async function runOne({
  from,
  steps,
  without,
  scene,
  only,
  realKeys,
  ...how
}: Options): Promise<void> {
  using _ = realKeys ? null : new CheapSignatures()
  const run: SimulateOptions = {
    ...{ seed: from, steps, without, scene, only },
    way: realKeys ? 'openpgp' : 'node',
  }
  const outcome = await simulate(run)
  const { trace, ...figures } = outcome
  if (how.trace) console.log(trace.join('\n'))
  console.log(figures)
  if (outcome.violation === null) return
  process.exitCode = 1
  if (!how.shrink) return
  const least = await shrink(run, outcome)
  console.log(`\n${least.outcome.trace.join('\n')}`)
  console.log(
    `\n${least.steps.length} steps are enough. ${replay(options, from)} --only ${least.text}`,
  )
}

async function runMany(how: Options): Promise<void> {
  const startMs = performance.now()
  const answers: Answer[] = []
  const broken: Answer[] = []
  const end = how.from + how.seeds
  let next = how.from
  let toldMs = startMs
  const take = (answer: Answer) => {
    answers.push(answer)
    if (answer.violation !== null) {
      broken.push(answer)
      const { rule, sentence } = answer.violation
      console.log(`seed ${answer.seed}: ${rule}: ${sentence.slice(0, 600)}`)
      console.log(`  ${replay(how, answer.seed)} --shrink`)
    }
    if (performance.now() - toldMs < progressMs) return
    toldMs = performance.now()
    console.log(`${answers.length} of ${how.seeds} seeds, ${broken.length} violations`)
  }
  const work = async () => {
    const worker = fork(fileURLToPath(new URL('worker.ts', import.meta.url)), {
      execArgv: [...process.execArgv, ...workerFlags],
    })
    while (next < end && broken.length < maxViolations) {
      const seeds = Math.min(seedsPerJob, end - next)
      const { steps, without, scene, realKeys } = how
      const job: Job = { from: next, seeds, steps, without, scene, realKeys }
      next += seeds
      await runJob(worker, job, take)
    }
    worker.disconnect()
  }
  await Promise.all(Array.from({ length: how.workers }, work))
  const seconds = (performance.now() - startMs) / 1_000
  const sum = (of: (answer: Answer) => number) =>
    answers.reduce((total, each) => total + of(each), 0).toLocaleString('en')
  const cpuMs = answers.reduce((total, each) => total + each.cpuMs, 0)
  const perSeedMs = cpuMs / Math.max(1, answers.length)
  console.log(
    [
      `${sum(() => 1)} seeds, ${sum((each) => each.steps)} events (${sum((each) => each.events)} timers), ${how.realKeys ? 'real keys' : 'cheap signatures'}${how.without === null ? '' : `, without the rule "${how.without}"`}`,
      `${sum((each) => each.published)} entries published, ${sum((each) => each.receipts)} receipts held against disks, ${sum((each) => each.answers)} answers to authors`,
      `${sum((each) => each.failovers)} changes of acts, ${sum((each) => each.replacements)} of them of replicas; ${sum((each) => each.crashes)} crashes, ${sum((each) => each.lostDisks)} lost disks, ${sum((each) => each.restored)} authorities set back, ${sum((each) => each.doubled)} started twice, ${sum((each) => each.cuts)} cuts, ${sum((each) => each.stops)} stopped processes, ${sum((each) => each.jumps)} clocks set, ${sum((each) => each.liars)} liars with ${sum((each) => each.lies)} lies, ${sum((each) => each.reported)} of them reported`,
      `${broken.length} violations in ${seconds.toFixed(0)} s; ${perSeedMs.toFixed(0)} ms of CPU per seed`,
    ].join('\n'),
  )
  if (broken.length > 0) process.exitCode = 1
}

function runJob(worker: ChildProcess, job: Job, take: (answer: Answer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = job.seeds
    const hear = (answer: Answer) => {
      take(answer)
      if (--left > 0) return
      worker.off('message', hear)
      worker.off('exit', fail)
      resolve()
    }
    const fail = (code: number | null) =>
      reject(new Error(`a worker ended with ${code} in the seeds from ${job.from} on`))
    worker.on('message', hear)
    worker.on('exit', fail)
    worker.send(job)
  })
}

function replay({ steps, without, scene, realKeys }: Options, seed: number): string {
  const more = [
    ...(steps === 200 ? [] : [`--steps ${steps}`]),
    ...(without === null ? [] : [`--without ${without}`]),
    ...(scene === null ? [] : [`--scene ${scene}`]),
    ...(realKeys ? ['--real-keys'] : []),
  ]
  return ['npm run simulate -- --seeds 1 --from', seed, ...more].join(' ')
}
