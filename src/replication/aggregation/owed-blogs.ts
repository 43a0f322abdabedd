import type { Clock } from '../clock.ts'
import type { BlogName } from '../log/entry.ts'
import type { Head } from '../log/log.ts'

/** Blogs of one source that could not be taken yet. */
const maxOwed = 1_000
/** How often what is owed is looked at, and the longest wait of one blog between two tries, ms. */
export const owedMs = 2_000
const maxOwedWaitMs = 300_000

/**
 * `head`: where the source says that the blog ends; `allToldMs`: when it had last told all before the
 * blog was owed, null: never.
 */
export type Owed = {
  readonly head: Head
  readonly tries: number
  readonly dueMs: number
  readonly allToldMs: number | null
}

/**
 * The blogs of which a source has more than could be taken of it yet: their acts are not known here,
 * or it did not answer. Each is tried again after twice as long as before.
 */
export class OwedBlogs {
  readonly #clock: Pick<Clock, 'now'>
  readonly #owed = new Map<BlogName, Owed>()

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  get size(): number {
    return this.#owed.size
  }

  /** @returns false: that is too much to remember; it is all forgotten then */
  put(blog: BlogName, head: Head, toldMs: number | null): boolean {
    const before = this.#owed.get(blog)
    const tries = before?.tries ?? 0
    // What it has told since says nothing of a blog that it told of before.
    const allToldMs = before === undefined ? toldMs : before.allToldMs
    const waitMs = Math.min(maxOwedWaitMs, owedMs * 2 ** tries)
    this.#owed.delete(blog)
    const dueMs = this.#clock.now() + waitMs
    this.#owed.set(blog, { head, tries: tries + 1, dueMs, allToldMs })
    if (this.#owed.size <= maxOwed) return true
    this.#owed.clear()
    return false
  }

  due(): readonly (readonly [BlogName, Owed])[] {
    const nowMs = this.#clock.now()
    return [...this.#owed].filter(([, { dueMs }]) => dueMs <= nowMs)
  }

  /** Whether this is still the last word on the blog. */
  has(blog: BlogName, owed: Owed): boolean {
    return this.#owed.get(blog) === owed
  }

  /** It has been taken, unless it was put down anew meanwhile. */
  done(blog: BlogName, owed: Owed): void {
    if (this.has(blog, owed)) this.#owed.delete(blog)
  }

  clear(): void {
    this.#owed.clear()
  }
}
