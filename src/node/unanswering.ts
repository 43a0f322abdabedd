import type { PeerName } from '../auth/peer-signature.ts'

/** Looks in a row that got no answer, and time since the first of them, ms, before it is said. */
export const maxUnanswered = 5
export const unansweredMs = 600_000

/**
 * What a look at a spoke's pages came to. `answered`: it served something, right or wrong; `busy`: it
 * said that it cannot now; `silent`: nothing came that this spoke has signed for.
 */
export type LookedAt = 'answered' | 'busy' | 'silent'

type Run = { readonly sinceMs: number; looks: number; isBusy: boolean }

/**
 * Who gives readers no answer for long, while other peers hear it well. To be busy for a while is
 * honest, and one answer makes all good; a server that is always busy serves nobody. Pure but for what
 * it remembers.
 */
export class Unanswering {
  readonly #runs = new Map<PeerName, Run>()
  /** when anybody has answered last, ms: else it may be this spoke's own network */
  #answeredMs = Number.NEGATIVE_INFINITY

  /**
   * @param looked - null: the look says nothing of who answers, only that something did
   * @param nowMs - steady
   * @returns how long it has not answered, ms, when that is to be reported; again after as long
   */
  note(peer: PeerName, looked: LookedAt | null, nowMs: number): number | null {
    if (looked === 'answered') {
      this.#runs.delete(peer)
      this.#answeredMs = nowMs
      return null
    }
    if (looked === null) {
      if (this.#runs.get(peer)?.isBusy === false) this.#runs.delete(peer)
      return null
    }
    const run = this.#runs.get(peer) ?? { sinceMs: nowMs, looks: 0, isBusy: false }
    this.#runs.set(peer, run)
    run.looks += 1
    run.isBusy ||= looked === 'busy'
    const forMs = nowMs - run.sinceMs
    if (run.looks < maxUnanswered || forMs < unansweredMs) return null
    // To be told "not now" takes a network that works.
    if (!run.isBusy && this.#answeredMs < run.sinceMs) return null
    this.#runs.delete(peer)
    return forMs
  }

  /** Forgets all but these: who is away, gone or cut off is not looked at any more. */
  keepOnly(peers: ReadonlySet<PeerName>): void {
    for (const peer of [...this.#runs.keys()]) if (!peers.has(peer)) this.#runs.delete(peer)
  }

  /** It is not connected: that is a matter of heartbeats. */
  forget(peer: PeerName): void {
    this.#runs.delete(peer)
  }
}
