import type { PeerName } from '../../auth/peer-signature.ts'
import type { Ingest } from '../log/ingest.ts'
import { ask, type Network } from '../network.ts'
import { SYNC } from '../protocol.ts'
import type { Kept, Replicas } from './replica.ts'
import { pageShape, toOffer } from './sync.ts'

/** Entries checked in one go, so that nothing else waits long. */
const perGo = 50

/**
 * Checks in idle time the signatures that a catch-up left for later (DESIGN 4, Pull). One that is
 * wrong is fetched again from another replica; until then the entry is not served by itself.
 */
export class Checker {
  readonly #network: Network
  readonly #ingest: Ingest
  readonly #replicas: Replicas

  constructor(parts: {
    readonly network: Network
    readonly ingest: Ingest
    readonly replicas: Replicas
  }) {
    this.#network = parts.network
    this.#ingest = parts.ingest
    this.#replicas = parts.replicas
  }

  /** One go over every log that has something to check. */
  async run(): Promise<void> {
    for (const kept of this.#replicas.all()) {
      for (const seq of await this.#ingest.checkSome(kept.assignment.blog, perGo))
        await this.#heal(kept, seq)
    }
  }

  async #heal(kept: Kept, seq: number): Promise<void> {
    const { blog, replicas } = kept.assignment
    const others = replicas.map(({ peer }) => peer).filter((peer) => peer !== this.#network.self)
    for (const peer of others) {
      if (await this.#healFrom(peer, blog, seq)) return
    }
  }

  async #healFrom(peer: PeerName, blog: string, seq: number): Promise<boolean> {
    try {
      const page = await ask(
        this.#network,
        peer,
        SYNC,
        { t: 'range', log: blog, from: seq },
        pageShape,
      )
      const [row] = page.entries
      return row !== undefined && (await this.#ingest.heal(blog, toOffer(row))).ok
    } catch {
      return false
    }
  }
}
