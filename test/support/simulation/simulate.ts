import { perform } from './actions.ts'
import type { SigningWay } from './author.ts'
import type { Rule } from './breach.ts'
import { type BrokenRule, tamperFor } from './broken-rules.ts'
import { Broken, VirtualCouncil } from './council.ts'
import { planRun, planScenes } from './plan.ts'
import { Run } from './run.ts'
import { type SceneName, scenes } from './scenes.ts'

export type SimulateOptions = {
  readonly seed: number
  /** actions of the schedule */
  readonly steps: number
  /** which of them are done; null: all */
  readonly only?: ReadonlySet<number> | null
  /** a directed schedule: of the steps every tenth is this scene, the others are writes */
  readonly scene?: SceneName | null
  /** authors' signatures by openpgp.js */
  readonly way?: SigningWay
  /** a rule that nobody keeps, to see that this is noticed */
  readonly without?: BrokenRule | null
  /** kinds of rule that nobody watches */
  readonly deafTo?: readonly Rule[]
  /** false: what happened is not told in words; left out: it is */
  readonly isTraced?: boolean
  /** true: messages travel as copies, not as the bytes of frames, which takes less time */
  readonly isCopied?: boolean
}

/** What a run came to; two runs of one seed give the same. */
export type Outcome = {
  readonly seed: number
  /** actions done */
  readonly steps: number
  /** timers that ran: messages, writes, and all that peers do by themselves */
  readonly events: number
  readonly published: number
  /** answers that authors got to what they submitted */
  readonly answers: number
  /** receipts that were held against the disk of who gave them */
  readonly receipts: number
  /** acts of a later epoch */
  readonly failovers: number
  /** of these, those that name other replicas than the act before */
  readonly replacements: number
  readonly crashes: number
  readonly lostDisks: number
  /** times that the authority came back from an older state */
  readonly restored: number
  /** second processes with the authority's key */
  readonly doubled: number
  /** clocks that were set */
  readonly jumps: number
  /** replicas that lied, how often, and how many of them were reported for it */
  readonly liars: number
  readonly lies: number
  readonly reported: number
  readonly cuts: number
  readonly stops: number
  /** the rule that was broken, and how */
  readonly violation: { readonly rule: Rule; readonly sentence: string } | null
  readonly trace: readonly string[]
}

/** Virtual time that a run may take, ms. */
const runMs = 60 * 60_000

/**
 * Runs one seed: a council founded in fair weather, then the plan's steps in its weather, then peace;
 * every promise must hold all the time.
 */
export async function simulate(options: SimulateOptions): Promise<Outcome> {
  const { seed, steps, only = null, scene = null, way = 'node', without = null } = options
  const plan = scene === null ? planRun(seed, steps) : planScenes(seed, steps, scene)
  const chosen = [...plan.steps.entries()].filter(([index]) => only === null || only.has(index))
  const { deafTo = [], isCopied = false } = options
  using council = await VirtualCouncil.open({ ...plan, ...tamperFor(without), deafTo, isCopied })
  const run = new Run(plan, council, way)
  let violation: Outcome['violation'] = null
  try {
    await council.run(
      () =>
        run.go(chosen, ([index, step]) => {
          if (scene === null) perform(run, step)
          else if (index % 10 === 9) return scenes[scene](run, run.blogs[0] as string)
          else run.writers[0]?.write(null)
        }),
      runMs,
    )
  } catch (error) {
    violation =
      error instanceof Broken
        ? { rule: error.rule, sentence: error.sentence }
        : { rule: 'conduct', sentence: `${(error as Error).stack}` }
  }
  const { clock, witness } = council
  return {
    seed,
    steps: chosen.length,
    events: clock.events,
    published: witness.ledger.count(),
    answers: run.told.answers,
    receipts: witness.receipts,
    ...witness.ledger.changes(),
    ...run.faults.counts,
    liars: Object.keys(plan.liars ?? {}).length,
    lies: council.lies,
    reported: council.reports.size,
    violation,
    trace: options.isTraced === false ? [] : council.trace(),
  }
}
