import type { Clock } from '../replication/clock.ts'

/** What one rejected message costs its sender, in gossipsub's score. */
export const pointsPerReject = 10
/** Time after which half of a sender's points are forgiven, ms. */
export const forgivenMs = 60_000
/** From so many points on a sender is not listened to; gossipsub's graylist mark is the same. */
export const maxPoints = 80
/** Senders remembered; beyond it those with fewest points are forgotten. */
const maxSenders = 1_000

type Entry = { points: number; atMs: number }

/**
 * What rejected gossip costs: after eight bad messages nobody hears a sender until some are
 * forgiven (facts: gossipsub without this does not punish junk). Only what is wrong by itself is
 * rejected, so a peer that passes on what it checked never gets any.
 */
export class Demerits {
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Points of a sender now; 0 for most. */
  of(sender: string): number {
    const entry = this.#entries.get(sender)
    return entry === undefined ? 0 : this.#now(entry)
  }

  isOver(sender: string): boolean {
    return this.of(sender) >= maxPoints
  }

  /** A message of this sender was rejected. */
  add(sender: string): void {
    const points = Math.min(this.of(sender) + pointsPerReject, 2 * maxPoints)
    this.#entries.set(sender, { points, atMs: this.#clock.now() })
    if (this.#entries.size > maxSenders) this.#forgetOne()
  }

  #now({ points, atMs }: Entry): number {
    return points * 0.5 ** ((this.#clock.now() - atMs) / forgivenMs)
  }

  #forgetOne(): void {
    let least: [string, number] | null = null
    for (const [sender, entry] of this.#entries) {
      const points = this.#now(entry)
      if (least === null || points < least[1]) least = [sender, points]
    }
    if (least !== null) this.#entries.delete(least[0])
  }
}
