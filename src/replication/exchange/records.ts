import type { BlogName } from '../log/entry.ts'
import type { EntryId } from '../log/text.ts'
import type { Network } from '../network.ts'
import type { Registry } from '../registry/registry.ts'
import type { Kept, Replicas } from './replica.ts'

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

  /** Puts what is due. Without a connected peer there is nobody to put it to. */
  async putDue(): Promise<void> {
    if (this.#network.connected().length === 0) return
    for (const blog of [...this.#wanted]) {
      const kept = this.#replicas.get(blog)
      if (kept !== null && this.want(kept)) {
        await this.#replicas.giveYoung(kept)
        const isKept = await this.#registry
          .put(kept.assignment, kept.receipts.all())
          .catch(() => false)
        if (!isKept) continue
        this.#done.add(kept.assignment.id)
      }
      this.#wanted.delete(blog)
    }
  }
}
