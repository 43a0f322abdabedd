import type { FaultKind } from './faults.ts'
import type { Outcome } from './torture.ts'

/** Whether nothing was lost, invented or forked, every proof held, and all came to rest. */
export function isGood({ lost, invented, forked, broken, unrest }: Outcome): boolean {
  return [lost, invented, forked, broken].every((each) => each.length === 0) && unrest === null
}

/** The summary of a run. */
export function formatOutcome(outcome: Outcome): string[] {
  const { felt, latencies, published, replicas, entries, unrest, tookMs } = outcome
  const kinds = ['kill', 'restart', 'freeze', 'cut', 'mute', 'deafen'] as const
  const pauses = (kind: FaultKind | null) =>
    felt.filter(({ fault }) => kind === null || fault.kind === kind).map(({ pauseMs }) => pauseMs)
  return [
    '',
    `${felt.length} faults in ${(tookMs / 60_000).toFixed(1)} min; ${published} entries called published; ${replicas} replicas with ${entries} entries compared`,
    `${outcome.lost.length} lost, ${outcome.invented.length} invented, ${outcome.forked.length} forked, ${outcome.broken.length} broken`,
    ...(unrest === null ? [] : [`not at rest: ${unrest}`]),
    ...(['lost', 'invented', 'forked', 'broken'] as const).flatMap((what) =>
      outcome[what].slice(0, 20).map((line) => `  ${what}: ${line}`),
    ),
    `from signing to published  ${spread(latencies)}`,
    `longest wait per fault     ${spread(pauses(null))}`,
    ...kinds.map(
      (kind) => `  ${kind.padEnd(25)}${spread(pauses(kind))}, of ${pauses(kind).length}`,
    ),
  ]
}

function spread(values: readonly number[]): string {
  const sorted = values.toSorted((one, other) => one - other)
  const at = (part: number) => {
    const value = sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0
    return `${(value / 1_000).toFixed(2)} s`
  }
  if (sorted.length === 0) return 'none'
  return `median ${at(0.5)}, p95 ${at(0.95)}, max ${at(1)}`
}
