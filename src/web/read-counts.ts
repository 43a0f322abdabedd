import type { BlogName } from '../replication/log/entry.ts'
import type { Place } from './host.ts'

/** A read counts for about so long, ms: fewer and fewer as it grows old. */
const meanMs = 60_000
/** Blogs that are counted at once; who is read less than once a minute makes room. */
const maxCounted = 1_000

type Count = { reads: number; atMs: number }

/**
 * Counts how often each blog is read here, per minute, old reads less than new ones. Only blogs of
 * which this spoke keeps a copy count: for the others it asks those that do.
 */
export class ReadCounts {
  readonly #isKept: (blog: BlogName) => boolean
  readonly #now: () => number
  readonly #counts = new Map<BlogName, Count>()

  constructor(parts: {
    readonly isKept: (blog: BlogName) => boolean
    readonly now: () => number
  }) {
    this.#isKept = parts.isKept
    this.#now = parts.now
  }

  /** Somebody reads something there. */
  count(place: Place): void {
    if (place.kind !== 'blog') return
    const { blog } = place
    const count = this.#counts.get(blog)
    if (count !== undefined) {
      count.reads = this.#left(count) + 1
      count.atMs = this.#now()
    } else if (this.#isKept(blog) && this.#hasPlace()) {
      this.#counts.set(blog, { reads: 1, atMs: this.#now() })
    }
  }

  /** Reads per minute of the blogs that are read at least `least` times in one, the most first. */
  busiest(least: number, most: number): { readonly blog: BlogName; readonly reads: number }[] {
    return [...this.#counts]
      .map(([blog, count]) => ({ blog, reads: Math.round(this.#left(count)) }))
      .filter(({ blog, reads }) => reads >= least && this.#isKept(blog))
      .sort((a, b) => b.reads - a.reads || (a.blog < b.blog ? -1 : 1))
      .slice(0, most)
  }

  /** What is left of a count now. With this mean age the sum is that of a minute. */
  #left({ reads, atMs }: Count): number {
    return reads * Math.exp((atMs - this.#now()) / meanMs)
  }

  #hasPlace(): boolean {
    if (this.#counts.size < maxCounted) return true
    for (const [blog, count] of this.#counts) if (this.#left(count) < 1) this.#counts.delete(blog)
    return this.#counts.size < maxCounted
  }
}
