import { type Outcome, type SimulateOptions, simulate } from './simulate.ts'

/** The fewest steps found that break the same rule. */
export type Shrunk = {
  readonly steps: readonly number[]
  /** the same as ranges: 0-12,40 */
  readonly text: string
  readonly outcome: Outcome
}

/**
 * Leaves out steps of a run that broke a rule, first half of them at a time, then less and less, as
 * long as the same rule breaks (Zeller's ddmin). Each try is a run.
 */
export async function shrink(options: SimulateOptions, broken: Outcome): Promise<Shrunk> {
  let outcome = broken
  let steps = Array.from({ length: options.steps }, (_, index) => index).filter(
    (step) => options.only == null || options.only.has(step),
  )
  for (let size = Math.ceil(steps.length / 2); size >= 1; size = size === 1 ? 0 : size >> 1) {
    for (let at = 0; at < steps.length; ) {
      const fewer = [...steps.slice(0, at), ...steps.slice(at + size)]
      const tried = await simulate({ ...options, only: new Set(fewer) })
      if (tried.violation?.rule === broken.violation?.rule) {
        steps = fewer
        outcome = tried
      } else at += size
    }
  }
  return { steps, text: toRanges(steps), outcome }
}

function toRanges(steps: readonly number[]): string {
  const ranges: [first: number, last: number][] = []
  for (const step of steps) {
    const range = ranges.at(-1)
    if (range !== undefined && range[1] === step - 1) range[1] = step
    else ranges.push([step, step])
  }
  return ranges.map(([first, last]) => (first === last ? first : `${first}-${last}`)).join(',')
}
