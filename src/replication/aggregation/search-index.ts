import { hash } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../clock.ts'
import type { BlogName } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import { maxHits } from './search-messages.ts'
import { formatQuery, type ParsedQuery } from './search-query.ts'
import type { Hit, IndexedBlog, Order } from './search-store.ts'
import type { FoundPage, FromSearch, Position, ToSearch } from './search-worker.ts'
import type { BlogChange } from './search-writer.ts'

/** How long a change waits for others to be written with it, ms. */
export const groupMs = 200
/** Changes given to the index that are not on its disk yet, beyond which `room` waits. */
export const maxUnwritten = 2_000
/** … and characters of their posts. */
export const maxUnwrittenCharacters = 2_000_000
/** Searches under way at once, waiting ones with them. */
export const maxSearches = 64
/** … of one who asks. */
export const maxSearchesPerAsker = 8
/** After so long a write that failed is tried again, and a thread that ended is started again, ms. */
export const againMs = 1_000
/** Memory of the thread's own, MiB; SQLite's is apart from it. */
const maxHeapMiB = 128

/** `next`: what asks for the hits behind these; null: there are none. */
export type SearchPage = { readonly hits: readonly Hit[]; readonly next: string | null }
export type PageAsked = {
  readonly order: Order
  readonly cursor: string | null
  readonly limit: number
}

/** What the index does with a stretch of a log; see `BlogChange`. */
export type Change = Pick<BlogChange, 'put' | 'remove'> &
  Partial<Pick<BlogChange, 'profile'>> & {
    /** the stretch's first seq; 0: what is here of the blog goes first */
    readonly from: number
  }

type Parts = {
  /** of the file; empty: a temporary one, gone when the process ends */
  readonly path: string
  readonly clock: Pick<Clock, 'after'>
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}
type Asked = ToSearch extends infer T ? (T extends { id: number } ? Omit<T, 'id'> : never) : never

/**
 * Finds posts by their words. The index itself is a file that a thread of its own reads and writes
 * (`SearchStore`); it is derived from the logs. A file that is damaged, of another version or of
 * something else is deleted and made anew, `search_rebuilt` in the log. One that another process
 * uses stays as it is: then the index is a temporary file, `search_elsewhere` in the log.
 */
export class SearchIndex {
  readonly #parts: Parts
  readonly #blogs = new Map<BlogName, { head: Head; lang: string | null }>()
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  readonly #askers = new Map<string, number>()
  readonly #onRebuilt = new Set<() => void>()
  #worker: Worker | null = null
  #lastId = 0
  #searches = 0
  /** posts and changes that the thread has not written yet, oldest first */
  #unwritten: number[] = []
  #unwrittenCharacters = 0
  #written = Promise.withResolvers<void>()
  #cancelCommit: (() => void) | null = null
  #cancelRestart = () => {}
  #isClosed = false
  #posts = 0

  private constructor(parts: Parts) {
    this.#parts = parts
  }

  static async open(parts: Parts): Promise<SearchIndex> {
    const index = new SearchIndex(parts)
    await index.#start()
    return index
  }

  /** Up to where a blog is indexed; null: nothing of it is. */
  head(blog: BlogName): Head | null {
    return this.#blogs.get(blog)?.head ?? null
  }

  /** The language that the blog's own words gave last, as far as it is indexed. */
  langOf(blog: BlogName): string | null {
    return this.#blogs.get(blog)?.lang ?? null
  }

  /** Names of all blogs of which something is indexed. */
  names(): readonly BlogName[] {
    return [...this.#blogs.keys()]
  }

  /** Posts written since this process started, revisions too. */
  get written(): number {
    return this.#posts
  }

  /**
   * Takes in a stretch of a blog's log that ends at `head`. It can be found once the group that it
   * is in is written, `groupMs` later at the most. Whoever has much to give waits for `room` first.
   *
   * @returns false: the stretch does not follow what is indexed, which may have been lost meanwhile
   */
  apply(blog: BlogName, head: Head, change: Change): boolean {
    const { from, put, remove, profile = null } = change
    const restart = from === 0
    if (!restart && this.head(blog)?.seq !== from - 1) return false
    const lang = profile !== null ? profile.lang : restart ? null : this.langOf(blog)
    this.#blogs.set(blog, { head, lang })
    this.#give({ blog, head, restart, put, remove, profile })
    return true
  }

  /** Takes a blog out that is not to be found here any more. */
  forget(blog: BlogName): void {
    if (!this.#blogs.delete(blog)) return
    this.#give({ blog, head: null, restart: true, put: [], remove: [], profile: null })
  }

  /** Resolves when the thread has written most of what it was given. */
  async room(): Promise<void> {
    while (
      !this.#isClosed &&
      (this.#unwritten.length > maxUnwritten || this.#unwrittenCharacters > maxUnwrittenCharacters)
    ) {
      await this.#written.promise
    }
  }

  /** Blogs behind a name, by name. Refuses like `search`. */
  async blogs(after: string | null, limit: number): Promise<Verdict<readonly IndexedBlog[]>> {
    const asked = { kind: 'blogs', after, limit } as const
    return this.#bounded('', () => this.#ask<readonly IndexedBlog[]>(asked))
  }

  /**
   * One page of the posts that match. Codes: SEARCH_CURSOR (a cursor that was not made for this
   * search), SEARCH_BUSY (with `retryMs`), SEARCH_UNAVAILABLE.
   *
   * @param asker - whose search it is: each has a few under way at most
   */
  async search(query: ParsedQuery, page: PageAsked, asker = ''): Promise<Verdict<SearchPage>> {
    const { order } = page
    const limit = Math.min(Math.max(1, Math.floor(page.limit)), maxHits)
    const after = page.cursor === null ? null : readCursor(page.cursor, query, order)
    if (after !== null && !after.ok) return after
    const asked = { kind: 'search', query, order, after: after?.value ?? null, limit } as const
    const found = await this.#bounded(asker, () => this.#ask<FoundPage>(asked))
    if (!found.ok) return found
    const { hits, next } = found.value
    return accept({ hits, next: next === null ? null : formatCursor(next, query, order) })
  }

  /** Writes all that was given before. */
  async flush(): Promise<void> {
    await this.#ask({ kind: 'flush' })
  }

  /** Empties the index; whoever fills it hears of it by `onRebuilt`. */
  async clear(): Promise<void> {
    this.#blogs.clear()
    await this.#ask({ kind: 'clear' })
    this.#tellRebuilt()
  }

  /** `listener` hears when the index holds less than it was given, and has to be filled anew. */
  onRebuilt(listener: () => void): () => void {
    this.#onRebuilt.add(listener)
    return () => this.#onRebuilt.delete(listener)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#cancelCommit?.()
    this.#cancelRestart()
    if (this.#worker !== null) await this.#ask({ kind: 'close' }).catch(() => undefined)
    await this.#worker?.terminate()
    this.#written.resolve()
  }

  async #start(): Promise<void> {
    const { path } = this.#parts
    const worker = new Worker(new URL('./search-worker.ts', import.meta.url), {
      name: 'search',
      workerData: { path },
      resourceLimits: { maxOldGenerationSizeMb: maxHeapMiB, maxYoungGenerationSizeMb: 16 },
    })
    this.#worker = worker
    const opened = Promise.withResolvers<void>()
    worker.on('message', (message: FromSearch) => {
      if (message.kind === 'opened') opened.resolve()
      this.#hear(message)
    })
    worker.once('error', (error) => {
      this.#parts.report('search_failed', { error })
    })
    worker.once('exit', () => {
      opened.reject(new Error('the thread of the search index ended'))
      this.#ended(worker)
    })
    await opened.promise
  }

  /** A thread that ended by itself: what it had not written is to be given to the next one again. */
  #ended(worker: Worker): void {
    if (this.#worker !== worker) return
    this.#worker = null
    for (const { reject } of this.#waiting.values()) reject(new Error('the search index ended'))
    this.#waiting.clear()
    this.#forgetUnwritten()
    if (this.#isClosed) return
    this.#blogs.clear()
    this.#cancelRestart = this.#parts.clock.after(againMs, () => {
      // The exit of one that cannot start comes here again.
      void this.#start().then(
        () => this.#tellRebuilt(),
        () => undefined,
      )
    })
  }

  #hear(message: FromSearch): void {
    switch (message.kind) {
      case 'opened': {
        for (const { blog, head, lang } of message.blogs) this.#blogs.set(blog, { head, lang })
        const { trouble } = message
        if (trouble === null) return
        const isDeleted = trouble.kind === 'damaged' || trouble.kind === 'other-version'
        this.#parts.report(isDeleted ? 'search_rebuilt' : 'search_elsewhere', {
          path: this.#parts.path,
          ...trouble,
        })
        return
      }
      case 'answer': {
        const waiting = this.#waiting.get(message.id)
        this.#waiting.delete(message.id)
        waiting?.resolve(message.value)
        return
      }
      case 'applied':
        this.#posts += message.posts
        this.#wrote(message.changes)
        return
      case 'rebuilt':
        this.#parts.report('search_rebuilt', {
          ...{ path: this.#parts.path, kind: 'damaged', reason: message.reason },
        })
        this.#blogs.clear()
        this.#tellRebuilt()
        return
      case 'write-failed':
        this.#parts.report('search_write_failed', { reason: message.reason })
        this.#commitAfter(againMs)
    }
  }

  #give(change: BlogChange): void {
    let characters = 0
    for (const { title, body } of change.put) characters += title.length + body.length
    this.#unwritten.push(characters)
    this.#unwrittenCharacters += characters
    this.#worker?.postMessage({ kind: 'apply', change } satisfies ToSearch)
    this.#commitAfter(groupMs)
  }

  #commitAfter(ms: number): void {
    if (this.#cancelCommit !== null || this.#isClosed) return
    this.#cancelCommit = this.#parts.clock.after(ms, () => {
      this.#cancelCommit = null
      this.#worker?.postMessage({ kind: 'commit' } satisfies ToSearch)
    })
  }

  #wrote(changes: number): void {
    for (const characters of this.#unwritten.splice(0, changes)) {
      this.#unwrittenCharacters -= characters
    }
    this.#written.resolve()
    this.#written = Promise.withResolvers()
  }

  #forgetUnwritten(): void {
    this.#wrote(this.#unwritten.length)
  }

  #tellRebuilt(): void {
    for (const listener of this.#onRebuilt) listener()
  }

  #ask<T>(asked: Asked): Promise<T> {
    if (this.#worker === null) return Promise.reject(new Error('the search index is not running'))
    const waiting = Promise.withResolvers<unknown>()
    const id = ++this.#lastId
    this.#waiting.set(id, waiting)
    this.#worker.postMessage({ ...asked, id })
    return waiting.promise as Promise<T>
  }

  /** Runs a search unless too many are under way. */
  async #bounded<T>(asker: string, work: () => Promise<T>): Promise<Verdict<T>> {
    const own = this.#askers.get(asker) ?? 0
    if (this.#searches >= maxSearches || (asker !== '' && own >= maxSearchesPerAsker))
      return searchBusy
    this.#searches += 1
    this.#askers.set(asker, own + 1)
    try {
      return accept(await work())
    } catch {
      return unavailable
    } finally {
      this.#searches -= 1
      const left = (this.#askers.get(asker) as number) - 1
      if (left === 0) this.#askers.delete(asker)
      else this.#askers.set(asker, left)
    }
  }
}

/** The same may be asked again in a second. */
export const searchBusy = refuse(
  'SEARCH_BUSY',
  'Too many searches are under way. Try again in a second.',
  { retryMs: 1_000 },
)
const unavailable = refuse(
  'SEARCH_UNAVAILABLE',
  'The search of this spoke is starting. Try again in a few seconds.',
)

/**
 * A cursor names a place in the order of all posts, not a number of posts to leave out: so new
 * posts shift nothing. Any peer goes on from it.
 */
function formatCursor({ at, upTo, rank }: Position, query: ParsedQuery, order: Order): string {
  const numbers = [at, upTo, rank].map((number) => number.toString(36)).join('.')
  return `${numbers}.${cursorMark(numbers, query, order)}`
}

/** Binds a cursor to its search. It is no secret: whoever makes one up gets to a place, no further. */
const cursorMark = (numbers: string, query: ParsedQuery, order: Order) =>
  hash('sha256', JSON.stringify([numbers, order, formatQuery(query)]), 'base64url').slice(0, 12)

/** Where a cursor of this search leads to. Code SEARCH_CURSOR. */
export function readCursor(cursor: string, query: ParsedQuery, order: Order): Verdict<Position> {
  const read = /^([0-9a-z]{1,11})\.([0-9a-z]{1,11})\.([0-9a-z]{1,4})\.[\w-]{12}$/.exec(cursor)
  const numbers = read?.slice(1, 4) ?? []
  const [at = -1, upTo = -1, rank = -1] = numbers.map((digits) => Number.parseInt(digits, 36))
  const isOurs =
    cursor.endsWith(`.${cursorMark(numbers.join('.'), query, order)}`) &&
    [at, upTo, rank].every((number) => number >= 0 && Number.isSafeInteger(number))
  return isOurs
    ? accept({ at, upTo, rank })
    : refuse('SEARCH_CURSOR', 'This page belongs to another search. Begin with its first page.')
}
