import { createHash } from 'node:crypto'

/** Chance that answers the same for the same seed, for ever. */
export type Random = {
  /** 0 ≤ next < 1 */
  readonly next: () => number
  /** whether something that happens with this probability happens now */
  readonly chance: (probability: number) => boolean
  /** a whole number, both ends included */
  readonly between: (least: number, most: number) => number
  readonly pick: <T>(items: readonly T[]) => T
}

/**
 * An own stream of chance for each purpose, so that one more draw for one purpose leaves the
 * others as they were. Mulberry32, seeded by SHA-256.
 */
export function randomOf(seed: number, purpose: string): Random {
  let state = createHash('sha256').update(`${seed} ${purpose}`).digest().readUInt32LE(0)
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const between = (least: number, most: number) => least + Math.floor(next() * (most - least + 1))
  return {
    next,
    chance: (probability) => next() < probability,
    between,
    pick: (items) => {
      const item = items[between(0, items.length - 1)]
      if (item === undefined) throw new Error('nothing to pick from')
      return item
    },
  }
}
