import type { Clock } from '../clock.ts'
import type { BlogName } from '../log/entry.ts'
import type { Ingest } from '../log/ingest.ts'
import type { Replicas } from './replica.ts'

/** Blogs kept here that do not go on by themselves: only the authority can help them. */
export class StuckBlogs {
  readonly #replicas: Pick<Replicas, 'all' | 'followedHead' | 'isSealed'>
  readonly #ingest: Pick<Ingest, 'record'>
  readonly #clock: Pick<Clock, 'steady'>
  /** since when a blog led here lacks receipts of w replicas, ms */
  readonly #shortMs = new Map<BlogName, number>()
  /** since when a blog is seen to have no act to go on under, ms */
  readonly #sealedMs = new Map<BlogName, number>()

  constructor(parts: {
    readonly replicas: Pick<Replicas, 'all' | 'followedHead' | 'isSealed'>
    readonly ingest: Pick<Ingest, 'record'>
    readonly clock: Pick<Clock, 'steady'>
  }) {
    this.#replicas = parts.replicas
    this.#ingest = parts.ingest
    this.#clock = parts.clock
  }

  /**
   * Blogs that have had no act to go on under for `ms`: it is ended here, and no later one is known; or
   * it names a head that this peer, its primary, does not get. Who had that may be gone for good, and
   * nothing can have been published under such an act.
   */
  async sealed(ms: number): Promise<BlogName[]> {
    const nowMs = this.#clock.steady()
    const sealed: BlogName[] = []
    for (const kept of this.#replicas.all()) {
      const { blog, epoch } = kept.assignment
      const isEnded = kept.role !== 'none' && this.#replicas.isSealed(kept.assignment)
      // The first head is the genesis, which comes with the claim.
      const isHeadless =
        kept.role === 'primary' && epoch > 1 && (await this.#replicas.followedHead(kept)) === null
      if (!isEnded && !isHeadless) this.#sealedMs.delete(blog)
      else if (!this.#sealedMs.has(blog)) this.#sealedMs.set(blog, nowMs)
      else if (nowMs - (this.#sealedMs.get(blog) ?? nowMs) >= ms) sealed.push(blog)
    }
    return sealed
  }

  /** Blogs led here whose end, for `ms`, w replicas have not given receipts for. */
  async short(ms: number): Promise<BlogName[]> {
    const nowMs = this.#clock.steady()
    const short: BlogName[] = []
    for (const { assignment, receipts, role } of this.#replicas.all()) {
      const { blog, replicas } = assignment
      const isLed =
        role === 'primary' && replicas.length > 1 && !this.#replicas.isSealed(assignment)
      const head = isLed ? ((await this.#ingest.record(blog))?.head.seq ?? -1) : -1
      if (head <= receipts.published()) this.#shortMs.delete(blog)
      else if (!this.#shortMs.has(blog)) this.#shortMs.set(blog, nowMs)
      else if (nowMs - (this.#shortMs.get(blog) ?? nowMs) >= ms) short.push(blog)
    }
    return short
  }
}
