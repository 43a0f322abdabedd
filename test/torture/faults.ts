import { randomOf } from '../support/simulation/random.ts'

/**
 * What happens to a peer. `kill` is kill -9 and `restart` SIGTERM, both started again afterwards;
 * `freeze` is SIGSTOP until SIGCONT; `cut` cuts it off both ways, `mute` lets nothing of it out,
 * `deafen` nothing in.
 */
export type FaultKind = 'kill' | 'restart' | 'freeze' | 'cut' | 'mute' | 'deafen'
export type FaultTarget = 'primary' | 'secondary' | 'authority' | 'dns'
export type Fault = {
  readonly kind: FaultKind
  readonly target: FaultTarget
  /** whose blog's primary or secondary is meant, and which one of several; counted modulo */
  readonly blog: number
  readonly which: number
  /** from whom it is cut off: everybody, the authority alone, one other peer (counted modulo) */
  readonly from: 'all' | 'authority' | number
  readonly lastsMs: number
  /** the next fault comes while this one lasts */
  readonly overlaps: boolean
}

/** What the authority waits for beyond the silence before it moves a blog, ms (REPLICATION, Silence). */
const flapMs = 5_000

/**
 * Draws the faults of a run. The same seed gives the same ones for ever, whom they meet also hangs
 * on who leads a blog at that moment. Every kind and every target comes with about its weight, half
 * of the faults end before anything may be moved, half last until something must be. Pure.
 */
export function planFaults(seed: number, count: number, silenceMs: number): Fault[] {
  const random = randomOf(seed, 'faults')
  const kinds: readonly FaultKind[] = [
    ...(['kill', 'kill', 'kill', 'freeze', 'freeze', 'cut', 'cut', 'mute', 'deafen'] as const),
    'restart',
  ]
  const targets: readonly FaultTarget[] = [
    ...(['primary', 'primary', 'primary', 'primary', 'secondary', 'secondary'] as const),
    ...(['authority', 'authority', 'dns'] as const),
  ]
  return Array.from({ length: count }, () => {
    const isLong = random.chance(0.5)
    return {
      kind: random.pick(kinds),
      target: random.pick(targets),
      blog: random.between(0, 999),
      which: random.between(0, 999),
      from: random.pick(['all', 'all', 'all', 'authority', random.between(0, 999)] as const),
      lastsMs: isLong
        ? silenceMs + flapMs + random.between(1_000, 6_000)
        : random.between(Math.floor(silenceMs / 10), Math.floor(silenceMs * 0.9)),
      overlaps: random.chance(0.2),
    }
  })
}

/** `freeze of the primary of blog 2`, for the record of a run. */
export function describeFault({ kind, target, from }: Fault, victim: string): string {
  const isCut = kind === 'cut' || kind === 'mute' || kind === 'deafen'
  const where =
    !isCut || from === 'all' ? '' : from === 'authority' ? ' (authority)' : ' (one peer)'
  return `${kind.padEnd(7)} ${target.padEnd(9)} ${victim}${where}`
}
