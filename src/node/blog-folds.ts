import type { Visit } from '../replication/exchange/read.ts'
import { Blog } from '../replication/log/blog.ts'
import { type BlogName, decodeEntry, type Genesis } from '../replication/log/entry.ts'
import type { Head } from '../replication/log/log.ts'
import type { LogStore } from '../replication/log/store.ts'

/** Blogs as pages show them, kept folded and brought up to date when somebody asks. */
export class BlogFolds {
  /** by the store they were read from, so that a visited blog's goes with it */
  readonly #folded = new WeakMap<LogStore, Map<BlogName, Blog>>()

  /** The same, if it is the blog that the act names: a genesis put in its place makes another one. */
  async foldOf(name: BlogName, visit: Visit): Promise<Blog | null> {
    const blog = await this.fold(name, visit)
    return blog?.genesis === visit.assignment.genesis ? blog : null
  }

  /**
   * The blog folded up to the log's head; only what is new since the last time is read.
   *
   * @returns null: there is no such log, or it does not hang together
   */
  async fold(
    name: BlogName,
    { ingest, store }: Pick<Visit, 'ingest' | 'store'>,
  ): Promise<Blog | null> {
    const head = (await ingest.record(name))?.head
    if (head === undefined) return null
    const folds = this.#folded.get(store) ?? new Map<BlogName, Blog>()
    this.#folded.set(store, folds)
    let blog = folds.get(name) ?? null
    // A log that was cut has no way on from what was folded.
    if (blog !== null && (blog.head.seq > head.seq || isOther(blog.head, head))) blog = null
    for (let isAnew = blog === null; blog === null || blog.head.seq < head.seq; ) {
      const from: number = blog === null ? 0 : blog.head.seq + 1
      const rows = await store.entries(name, from, 200)
      if (rows.length === 0) return null
      for (const { text } of rows) {
        const entry = decodeEntry(text)
        if (!entry.ok) return null
        const { value } = entry
        if (blog === null) blog = new Blog(value as Genesis)
        // Two readers may fold the same log side by side.
        else if (value.seq !== blog.head.seq + 1) continue
        else if (value.prev === blog.head.id) blog.fold(value)
        // The log was cut behind what was folded; read anew, it hangs together or is damaged.
        else if (isAnew) return null
        else {
          isAnew = true
          blog = null
          break
        }
      }
    }
    folds.set(name, blog)
    return blog
  }
}

/** Whether two heads at the same seq end different logs. */
const isOther = (one: Head, other: Head) => one.seq === other.seq && one.id !== other.id
