import type { PeerName } from '../../auth/peer-signature.ts'

/** Peers that keep all copies of some blog among them, and of how many blogs. */
export type CopySet = {
  readonly peers: readonly PeerName[]
  readonly blogs: number
}

/**
 * How many copies each peer keeps, and together with whom. Counted once from `@names`; who places
 * many blogs in a row keeps it up with `add` and `remove`, so that each placement knows those
 * before it.
 */
export class Copies {
  readonly #kept = new Map<PeerName, number>()
  readonly #sets = new Map<string, { readonly peers: readonly PeerName[]; blogs: number }>()
  readonly #setsOf = new Map<PeerName, Map<string, CopySet>>()

  /** @param blogs - of each blog its replicas, as `Names.blogs` has them */
  constructor(blogs: Iterable<{ readonly replicas: readonly { readonly peer: PeerName }[] }> = []) {
    for (const { replicas } of blogs) this.add(replicas.map(({ peer }) => peer))
  }

  /** copies that a peer keeps */
  of(peer: PeerName): number {
    return this.#kept.get(peer) ?? 0
  }

  /** the sets that a peer is one of */
  setsOf(peer: PeerName): ReadonlyMap<string, CopySet> {
    return this.#setsOf.get(peer) ?? none
  }

  /** One blog more is kept by these. */
  add(peers: readonly PeerName[]): void {
    for (const peer of peers) this.#kept.set(peer, this.of(peer) + 1)
    const key = keyOf(peers)
    const known = this.#sets.get(key)
    if (known !== undefined) {
      known.blogs++
      return
    }
    const made = { peers: [...peers], blogs: 1 }
    this.#sets.set(key, made)
    for (const peer of peers) {
      const sets = this.#setsOf.get(peer) ?? new Map<string, CopySet>()
      this.#setsOf.set(peer, sets.set(key, made))
    }
  }

  /** One blog less is kept by these. */
  remove(peers: readonly PeerName[]): void {
    const key = keyOf(peers)
    const known = this.#sets.get(key)
    if (known === undefined) return
    for (const peer of peers) this.#kept.set(peer, this.of(peer) - 1)
    known.blogs--
    if (known.blogs > 0) return
    this.#sets.delete(key)
    for (const peer of peers) this.#setsOf.get(peer)?.delete(key)
  }
}

const none: ReadonlyMap<string, CopySet> = new Map()
const keyOf = (peers: readonly PeerName[]) => [...peers].sort((a, b) => (a < b ? -1 : 1)).join(' ')
