import type { PeerName } from '../../auth/peer-signature.ts'
import type { BlogName } from '../../replication/log/entry.ts'
import type { Names } from '../../replication/registry/names.ts'

/** Peers that keep all copies of some blog among them, and of how many blogs. */
export type CopySet = {
  readonly peers: readonly PeerName[]
  readonly blogs: number
}

/**
 * How many copies each peer keeps, and together with whom. It follows `@names`; who places many
 * blogs before their acts are written puts each down with `set`, so that every placement knows those
 * before it.
 */
export class Copies {
  readonly #kept = new Map<PeerName, number>()
  readonly #sets = new Map<string, { readonly peers: readonly PeerName[]; blogs: number }>()
  readonly #setsOf = new Map<PeerName, Map<string, CopySet>>()
  readonly #peersOf = new Map<BlogName, readonly PeerName[]>()
  #upTo = -1

  /** Brings it up to date with `@names`: what was `set` of a blog stays until a newer act is there. */
  follow(names: Names | null): this {
    if (names === null || names.head.seq === this.#upTo) return this
    for (const { blog, replicas, seq } of names.blogs.values()) {
      if (seq > this.#upTo)
        this.set(
          blog,
          replicas.map(({ peer }) => peer),
        )
    }
    this.#upTo = names.head.seq
    return this
  }

  /** copies that a peer keeps */
  of(peer: PeerName): number {
    return this.#kept.get(peer) ?? 0
  }

  /** the sets that a peer is one of */
  setsOf(peer: PeerName): ReadonlyMap<string, CopySet> {
    return this.#setsOf.get(peer) ?? none
  }

  /** Says who keeps a blog from now on. */
  set(blog: BlogName, peers: readonly PeerName[]): void {
    const before = this.#peersOf.get(blog)
    if (before !== undefined) this.#remove(before)
    this.#add(peers)
    this.#peersOf.set(blog, peers)
  }

  #add(peers: readonly PeerName[]): void {
    for (const peer of peers) this.#kept.set(peer, this.of(peer) + 1)
    const key = keyOf(peers)
    const known = this.#sets.get(key)
    if (known !== undefined) {
      known.blogs++
      return
    }
    const made = { peers, blogs: 1 }
    this.#sets.set(key, made)
    for (const peer of peers) {
      const sets = this.#setsOf.get(peer) ?? new Map<string, CopySet>()
      this.#setsOf.set(peer, sets.set(key, made))
    }
  }

  #remove(peers: readonly PeerName[]): void {
    for (const peer of peers) this.#kept.set(peer, this.of(peer) - 1)
    const key = keyOf(peers)
    const known = this.#sets.get(key)
    if (known === undefined) return
    known.blogs--
    if (known.blogs > 0) return
    this.#sets.delete(key)
    for (const peer of peers) this.#setsOf.get(peer)?.delete(key)
  }
}

const none: ReadonlyMap<string, CopySet> = new Map()
const keyOf = (peers: readonly PeerName[]) => [...peers].sort((a, b) => (a < b ? -1 : 1)).join(' ')
