/** What one benchmark found: both sides of its ratio, and what was aimed at. */
export type Result = {
  readonly name: string
  /** one line each, ours and the other side's figures */
  readonly lines: readonly string[]
  readonly ratio: number
  /** `least`: the ratio should be at least `target`; `most`: at most */
  readonly wanted: 'least' | 'most'
  readonly target: number
  /** of a figure that is no ratio */
  readonly unit?: string
}

export const isReached = ({ ratio, wanted, target }: Result): boolean =>
  wanted === 'least' ? ratio >= target : ratio <= target

export function formatResult(result: Result): string {
  const { name, lines, ratio, wanted, target, unit } = result
  const verdict = isReached(result) ? 'pass' : 'MISS'
  return [
    name,
    ...lines.map((line) => `  ${line}`),
    `  ${unit ?? 'RATIO'} ${ratio.toFixed(2)}, target ${wanted === 'least' ? '≥' : '≤'} ${target}: ${verdict}`,
  ].join('\n')
}

/** Seconds of CPU that this process has used so far, all its threads. */
export function spentCpu(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** Seconds on the clock and seconds of this process's CPU, of all its threads. */
export type Cost = { readonly wall: number; readonly cpu: number }

export async function costOf(job: () => Promise<void>): Promise<Cost> {
  const cpu = spentCpu()
  const start = process.hrtime.bigint()
  await job()
  const wall = Number(process.hrtime.bigint() - start) / 1e9
  return { wall, cpu: spentCpu() - cpu }
}

export const addCosts = (costs: readonly Cost[]): Cost => ({
  wall: costs.reduce((sum, { wall }) => sum + wall, 0),
  cpu: costs.reduce((sum, { cpu }) => sum + cpu, 0),
})

/** @param part - 0.5 for the median */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN
}

/** `8,777 /CPU s, 8,105 /s wall` */
export const formatRate = (count: number, { wall, cpu }: Cost) =>
  `${thousands(count / cpu)} /CPU s, ${thousands(count / wall)} /s wall`

/** The least and the most of some ratios, to show how steady a run was. */
export const formatSpread = (values: readonly number[]) =>
  `${Math.min(...values).toFixed(2)}–${Math.max(...values).toFixed(2)}`

const thousands = (value: number) => Math.round(value).toLocaleString('en')
