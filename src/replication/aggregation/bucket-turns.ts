import type { PeerName } from '../../auth/peer-signature.ts'
import { manifestBuckets } from './manifest.ts'

/** Buckets of what this peer does not lead that are fetched in one look. */
export const maxOthers = 32

/** Of many buckets that are to be fetched each gets its turn, at each peer by itself. */
export class BucketTurns {
  readonly #next = new Map<PeerName, number>()

  /** @param wanted - rising; @returns those of this look, at most `maxOthers` */
  take(peer: PeerName, wanted: readonly number[]): readonly number[] {
    const next = this.#next.get(peer) ?? 0
    const first = Math.max(
      0,
      wanted.findIndex((at) => at >= next),
    )
    const chosen = [...wanted.slice(first), ...wanted.slice(0, first)].slice(0, maxOthers)
    if (wanted.length <= maxOthers) this.#next.delete(peer)
    else this.#next.set(peer, ((chosen.at(-1) as number) + 1) % manifestBuckets)
    return chosen
  }

  forget(peer: PeerName): void {
    this.#next.delete(peer)
  }
}
