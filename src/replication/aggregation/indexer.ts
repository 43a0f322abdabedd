import type { BlogName } from '../log/entry.ts'
import { decodeEntry } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import type { CollectedEntry, Collection } from './collection.ts'
import type { Change, SearchIndex } from './search-index.ts'
import type { IndexedPost } from './search-writer.ts'

/** Bytes of texts and signatures that are read and folded before others get their turn. */
export const maxStretchBytes = 128 * 1024

type Parts = {
  readonly collection: Collection
  readonly index: SearchIndex
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/**
 * Keeps the index at what the collection has: reads each blog from where it is indexed on, and
 * gives the index what changed. One blog at a time, a stretch at a time, no more than the index has
 * room for; what comes meanwhile waits as a blog's name.
 */
export class Indexer {
  readonly #parts: Parts
  /** blogs to look at, in the order in which they moved */
  readonly #waiting = new Set<BlogName>()
  /** blogs that were fetched anew */
  readonly #anew = new Set<BlogName>()
  readonly #stops: (() => void)[] = []
  #running: Promise<void> | null = null
  #isStopped = false

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Goes on where the last process ended, and listens from then on. */
  start(): void {
    const { collection, index } = this.#parts
    this.#stops.push(
      collection.onChange((blog, from) => {
        if (from === 0) this.#anew.add(blog)
        this.#waiting.add(blog)
        this.#run()
      }),
      index.onRebuilt(() => this.#lookAtAll()),
    )
    this.#lookAtAll()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    for (const stop of this.#stops.splice(0)) stop()
    await this.#running
  }

  /** How many blogs still have to be looked at; 0: all is indexed, or on its way to the disk. */
  get behind(): number {
    return this.#waiting.size + (this.#running === null ? 0 : 1)
  }

  /** Throws the index away and begins anew; searches find what is there again so far. */
  async reindex(): Promise<void> {
    await this.#parts.index.clear()
  }

  #lookAtAll(): void {
    const { collection, index } = this.#parts
    for (const blog of collection.blogs()) this.#waiting.add(blog)
    // Those that are gone from here are taken out.
    for (const blog of index.names()) this.#waiting.add(blog)
    this.#run()
  }

  #run(): void {
    this.#running ??= this.#work().finally(() => {
      this.#running = null
      if (this.#waiting.size > 0 && !this.#isStopped) this.#run()
    })
  }

  async #work(): Promise<void> {
    for (const blog of this.#waiting) {
      if (this.#isStopped) return
      this.#waiting.delete(blog)
      try {
        await this.#follow(blog)
      } catch (error) {
        // One blog that cannot be read must not keep the others from being found.
        this.#parts.report('index_failed', { blog, error })
      }
    }
  }

  async #follow(blog: BlogName): Promise<void> {
    const { collection, index } = this.#parts
    if (this.#anew.delete(blog)) await this.#stretch(blog, null)
    while (!this.#isStopped) {
      const indexed = index.head(blog)
      const head = collection.head(blog)
      if (head === null) return index.forget(blog)
      const isThere = indexed !== null && indexed.seq >= head.seq
      // A shorter log is one that is still being fetched; another one of the same length is not.
      if (isThere && (indexed.seq > head.seq || indexed.id === head.id)) return
      if (!(await this.#stretch(blog, isThere ? null : indexed))) return
    }
  }

  /**
   * Indexes the next entries of a blog.
   *
   * @param after - null: from its genesis on
   * @returns false: there is nothing to read now; the collection says when there is
   */
  async #stretch(blog: BlogName, after: Head | null): Promise<boolean> {
    const { collection, index } = this.#parts
    await index.room()
    const head = collection.head(blog)
    if (head === null) return false
    const from = after === null ? 0 : after.seq + 1
    const entries = await collection.entries(blog, from, head.seq, maxStretchBytes)
    if (entries.length === 0) return false
    const fold = foldStretch(blog, entries, after === null ? null : index.langOf(blog))
    if (fold === null) return false
    // The log that was indexed is not the one that is here.
    if (after !== null && fold.prev !== after.id) return this.#stretch(blog, null)
    index.apply(blog, fold.head, { from, ...fold.change })
    return true
  }
}

type Folded = {
  /** what the first entry follows */
  readonly prev: string | null
  readonly head: Head
  readonly change: Omit<Change, 'from'>
}

/**
 * What consecutive entries of a blog come down to: the newest revision of each post and the first
 * one's time, what is retracted, the blog's newest words about itself. A post that names no
 * language is in that of its blog when it was written.
 *
 * @returns null: an entry cannot be read, so nothing behind it can
 */
export function foldStretch(
  blog: BlogName,
  entries: readonly CollectedEntry[],
  langBefore: string | null,
): Folded | null {
  const revisions = new Map<string, { first: IndexedPost; last: IndexedPost }>()
  const removed = new Set<string>()
  let lang = langBefore
  let profile: Folded['change']['profile'] = null
  let prev: string | null = null
  let head: Head | null = null
  for (const { text, seenMs } of entries) {
    const read = decodeEntry(text)
    if (!read.ok) return null
    const entry = read.value
    if (head === null) prev = entry.prev
    head = { seq: entry.seq, id: entry.id }
    if (entry.kind === 'profile') {
      lang = entry.lang
      profile = { title: entry.title, lang }
    } else if (entry.kind === 'retract') removed.add(entry.slug)
    else if (entry.kind === 'post') {
      const { slug, seq, id, title, body, tags } = entry
      const year = new Date(entry.dateMs).getUTCFullYear()
      const last = {
        ...{ blog, slug, year, seq, id, title, body, tags, seenMs },
        lang: entry.lang ?? lang,
      }
      revisions.set(slug, { first: revisions.get(slug)?.first ?? last, last })
      removed.delete(slug)
    }
  }
  if (head === null) return null
  const put = [...revisions.values()].flatMap(({ first, last }) =>
    first === last ? [last] : [first, last],
  )
  return { prev, head, change: { put, remove: [...removed], profile } }
}
