import type { PeerName } from '../auth/peer-signature.ts'
import type { Clock } from '../replication/clock.ts'
import { Buckets } from '../replication/exchange/rates.ts'
import type { GossipVerdict } from '../replication/network.ts'
import { maxGossipBytes } from '../replication/protocol.ts'
import type { Demerits } from './demerits.ts'

/** Messages of one author that are judged at once, and per second from there on. */
export const authorBurst = 200
export const authorPerSecond = 20
/** Messages that are being judged; beyond it nobody waits for more. */
export const maxJudging = 2_000

export type Heard = {
  /** who passed it on */
  readonly relay: PeerName
  /** who signed the message; null: nobody whom a council could admit */
  readonly author: PeerName | null
  readonly bytes: number
}

/**
 * Decides whether a gossip message is looked at at all. It goes by who signed it, not by who passed
 * it on: gossipsub takes what was turned down once for known, so whoever sends junk could else take
 * away an honest message by being the first to pass it on. What is let pass by here comes by push
 * and pull.
 */
export class GossipDoor {
  readonly #demerits: Demerits
  readonly #isMember: (peer: PeerName) => boolean
  readonly #authors: Buckets
  #judging = 0

  constructor(clock: Clock, demerits: Demerits, isMember: (peer: PeerName) => boolean) {
    this.#demerits = demerits
    this.#isMember = isMember
    this.#authors = new Buckets({ burst: authorBurst, perSecond: authorPerSecond }, clock.now)
  }

  async judge(
    { relay, author, bytes }: Heard,
    look: (author: PeerName) => Promise<GossipVerdict>,
  ): Promise<GossipVerdict> {
    if (author === null || bytes > maxGossipBytes) return this.#reject([relay])
    // Keys cost nothing; who passes it on may know of an admission that is not known here.
    if (!this.#isMember(author)) return 'ignore'
    if (this.#demerits.isOver(author)) return this.#reject([relay])
    if (!this.#authors.tryTake(author) || this.#judging >= maxJudging) return 'ignore'
    this.#judging++
    try {
      const verdict = await look(author)
      return verdict === 'reject' ? this.#reject([relay, author]) : verdict
    } finally {
      this.#judging--
    }
  }

  /** An honest peer passes on only what it checked, and signs nothing that is wrong by itself. */
  #reject(senders: readonly PeerName[]): GossipVerdict {
    for (const sender of new Set(senders)) this.#demerits.add(sender)
    return 'reject'
  }
}
