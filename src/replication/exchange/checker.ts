import type { PeerName } from '../../auth/peer-signature.ts'
import { type BlogName, decodeEntry } from '../log/entry.ts'
import type { Ingest } from '../log/ingest.ts'
import { ask, type Network } from '../network.ts'
import { SYNC } from '../protocol.ts'
import type { Kept, Replicas } from './replica.ts'
import { type Page, pageShape, toOffer } from './sync.ts'

/** Entries checked in one go, so that nothing else waits long. */
const perGo = 50
/** A signature that nobody can put right is looked at again after so many goes, at most. */
const maxPause = 512

/**
 * Checks in idle time the signatures that a catch-up left for later (DESIGN 4, Pull). One that is
 * wrong is fetched again from another replica; until then the entry is not served by itself.
 */
export class Checker {
  readonly #network: Network
  readonly #ingest: Ingest
  readonly #replicas: Replicas
  /** goes that pass before a log with a wrong signature is looked at again: each time twice as many */
  readonly #pauses = new Map<BlogName, { left: number; readonly next: number }>()

  /** the log of the last go */
  #last: BlogName | null = null
  #isRunning = false

  constructor(parts: {
    readonly network: Network
    readonly ingest: Ingest
    readonly replicas: Replicas
  }) {
    this.#network = parts.network
    this.#ingest = parts.ingest
    this.#replicas = parts.replicas
  }

  /** One go: some entries of one log that has something to check, of each in turn. */
  async run(): Promise<void> {
    if (this.#isRunning) return
    this.#isRunning = true
    try {
      const kept = await this.#next()
      if (kept !== null) await this.#check(kept)
    } finally {
      this.#isRunning = false
    }
  }

  async #next(): Promise<Kept | null> {
    const all = this.#replicas.all()
    const from = all.findIndex(({ assignment }) => assignment.blog === this.#last) + 1
    for (const kept of [...all.slice(from), ...all.slice(0, from)]) {
      const { blog } = kept.assignment
      const unchecked = (await this.#ingest.record(blog).catch(() => null))?.uncheckedFrom ?? null
      if (unchecked === null) continue
      const pause = this.#pauses.get(blog)
      if (pause === undefined || pause.left === 0) return kept
      pause.left--
    }
    return null
  }

  async #check(kept: Kept): Promise<void> {
    const { blog } = kept.assignment
    this.#last = blog
    const bad = await this.#ingest.signatures.checkSome(blog, perGo)
    if (bad.length === 0 || (await this.#heal(kept, bad))) this.#pauses.delete(blog)
    else {
      const { next } = this.#pauses.get(blog) ?? { next: 1 }
      this.#pauses.set(blog, { left: next, next: Math.min(2 * next, maxPause) })
    }
  }

  /** @returns whether every one of them is healed */
  async #heal(kept: Kept, bad: readonly number[]): Promise<boolean> {
    const { blog, replicas } = kept.assignment
    const left = new Set(bad)
    for (const { peer } of replicas) {
      if (peer === this.#network.self) continue
      const from = Math.min(...left)
      for (const row of await this.#page(peer, blog, from)) {
        const entry = decodeEntry(row[0])
        if (!entry.ok || !left.has(entry.value.seq)) continue
        if ((await this.#ingest.signatures.heal(blog, toOffer(row))).ok)
          left.delete(entry.value.seq)
      }
      if (left.size === 0) return true
    }
    return false
  }

  async #page(peer: PeerName, blog: BlogName, from: number): Promise<Page['entries']> {
    const range = { t: 'range', log: blog, from }
    try {
      return (await ask(this.#network, peer, SYNC, range, pageShape)).entries
    } catch {
      return []
    }
  }
}
