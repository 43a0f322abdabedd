import type { BlogName } from '../log/entry.ts'
import type { EntryId } from '../log/text.ts'
import type { Network } from '../network.ts'
import type { Registry } from '../registry/registry.ts'
import type { Kept, Replicas } from './replica.ts'

/** Records that are put side by side: each asks several peers. */
const atOnce = 4

/**
 * The DHT records of the blogs of which this peer is the primary: put when their act is active,
 * tried again until another peer has them, and put anew each period (DESIGN 5, DHT).
 */
export class Records {
  readonly #network: Network
  readonly #replicas: Replicas
  readonly #registry: Registry
  readonly #wanted = new Set<BlogName>()
  /** acts whose record another peer has, since the period began */
  readonly #done = new Set<EntryId>()
  #isPutting = false

  constructor(parts: {
    readonly network: Network
    readonly replicas: Replicas
    readonly registry: Registry
  }) {
    this.#network = parts.network
    this.#replicas = parts.replicas
    this.#registry = parts.registry
  }

  /** A blog's receipts have changed: its record may be due. @returns whether it is */
  want(kept: Kept): boolean {
    const { blog, id } = kept.assignment
    if (kept.role !== 'primary' || !kept.receipts.isActive() || this.#done.has(id)) return false
    this.#wanted.add(blog)
    return true
  }

  /** Every record is due again. */
  startPeriod(): void {
    this.#done.clear()
    for (const kept of this.#replicas.all()) this.want(kept)
  }

  /**
   * Puts what is due, and what becomes due meanwhile; who asks while that goes on has nothing to wait
   * for. Without a connected peer there is nobody to put it to.
   */
  async putDue(): Promise<void> {
    if (this.#isPutting || this.#network.connected().length === 0) return
    this.#isPutting = true
    try {
      // What nobody took stays wanted, for the next round.
      const tried = new Set<BlogName>()
      for (let next = this.#due(tried); next.length > 0; next = this.#due(tried)) {
        for (const blog of next) tried.add(blog)
        await Promise.all(next.map((blog) => this.#put(blog)))
      }
    } finally {
      this.#isPutting = false
    }
  }

  /** A few that were not tried yet. */
  #due(tried: ReadonlySet<BlogName>): BlogName[] {
    const due: BlogName[] = []
    for (const blog of this.#wanted) {
      if (!tried.has(blog)) due.push(blog)
      if (due.length === atOnce) break
    }
    return due
  }

  async #put(blog: BlogName): Promise<void> {
    const kept = this.#replicas.get(blog)
    if (kept !== null && this.want(kept)) {
      await this.#replicas.giveYoung(kept)
      const { assignment, receipts } = kept
      const isKept = await this.#registry.put(assignment, receipts.all()).catch(() => false)
      if (!isKept) return
      this.#done.add(assignment.id)
    }
    this.#wanted.delete(blog)
  }
}
