import type { Clock } from '../clock.ts'
import type { BlogName } from '../log/entry.ts'
import type { Ingest } from '../log/ingest.ts'
import type { Replicas } from './replica.ts'

/** Blogs kept here that do not go on by themselves: only the authority can help them. */
export class StuckBlogs {
  readonly #replicas: Pick<Replicas, 'all' | 'isSealed'>
  readonly #ingest: Pick<Ingest, 'record'>
  readonly #clock: Pick<Clock, 'steady'>
  /** since when a blog led here lacks receipts of w replicas, ms */
  readonly #shortMs = new Map<BlogName, number>()
  /** since when a blog is seen to be sealed, ms */
  readonly #sealedMs = new Map<BlogName, number>()

  constructor(parts: {
    readonly replicas: Pick<Replicas, 'all' | 'isSealed'>
    readonly ingest: Pick<Ingest, 'record'>
    readonly clock: Pick<Clock, 'steady'>
  }) {
    this.#replicas = parts.replicas
    this.#ingest = parts.ingest
    this.#clock = parts.clock
  }

  /** Blogs whose act has been ended here for `ms`, while no later one is known. */
  sealed(ms: number): BlogName[] {
    const nowMs = this.#clock.steady()
    const sealed: BlogName[] = []
    for (const { assignment, role } of this.#replicas.all()) {
      const { blog } = assignment
      if (role === 'none' || !this.#replicas.isSealed(assignment)) this.#sealedMs.delete(blog)
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
