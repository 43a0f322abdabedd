import type { PeerName } from '../../auth/peer-signature.ts'
import { type Clock, pause } from '../clock.ts'
import { Buckets } from '../exchange/rates.ts'

/** How much of each source is taken in a time: who wants more than its share waits, nobody else. */
export class SourcePace {
  readonly #buckets: Buckets
  readonly #clock: Clock

  constructor(rate: { readonly burst: number; readonly perSecond: number }, clock: Clock) {
    this.#buckets = new Buckets(rate, clock.now)
    this.#clock = clock
  }

  /** Counts what is taken of a source; resolves when there is room for more, or `ended`. */
  async take(peer: PeerName, count: number, ended: AbortSignal): Promise<void> {
    for (let each = 0; each < count; each++) this.#buckets.take(peer)
    const waitMs = this.#buckets.waitMs(peer)
    if (waitMs > 0) await pause(this.#clock, waitMs, ended)
  }
}
