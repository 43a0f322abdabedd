import { type BlogName, decodeEntry } from '../log/entry.ts'
import type { EntryId } from '../log/text.ts'
import { maxFrontPerBlog, maxFrontPosts, maxPageBytes } from '../protocol.ts'
import type { CollectedEntry, Collection } from './collection.ts'
import { buildFrontPage, byPlace, type FrontPost } from './front-page.ts'

/** Slugs of blogs that are kept folded; beyond it the blog that changed longest ago is read again when it changes. */
const maxSlugs = 300_000
/** Blogs whose newest posts are at hand, before and after those that lie far behind are let go. */
const maxTops = 400
const fewTops = 200

/** What one slug of a blog comes down to. */
export type SlugState = {
  readonly seenMs: number
  /** UTC year of the first revision: it stands in the post's address */
  readonly year: number
  /** the newest revision */
  readonly seq: number
  readonly id: EntryId
  /** the entry that said the last word on it: that revision, or a retraction */
  readonly last: { readonly seq: number; readonly id: EntryId }
}
const isShown = ({ seq, last }: SlugState) => seq === last.seq

/** A blog's posts, as far as the front page needs them. */
type Fold = { next: number; readonly slugs: Map<string, SlugState> }

/**
 * The posts for a front page of a collection, kept up as it grows: of all blogs only those are read
 * whose posts may stand on it. A post has its place by when its first revision was seen, whatever
 * comes later of it; a retracted one has none.
 */
export class FrontPosts {
  readonly #collection: Collection
  readonly #report: (event: string, fields: Readonly<Record<string, unknown>>) => void
  /** in the order in which they changed last */
  readonly #folds = new Map<BlogName, Fold>()
  #slugs = 0
  /** of blogs that were read: their posts that may stand on a front page */
  readonly #tops = new Map<BlogName, readonly FrontPost[]>()
  /** of all others: no post of theirs was first seen later */
  readonly #bounds = new Map<BlogName, number>()
  #floor = 0
  readonly #changed = new Map<BlogName, { isAnew: boolean }>()
  #page: readonly FrontPost[] | null = null
  #running: Promise<void> | null = null
  #stop = () => {}
  readonly #listeners = new Set<() => void>()

  constructor(parts: {
    readonly collection: Collection
    readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
  }) {
    this.#collection = parts.collection
    this.#report = parts.report
  }

  /** Looks where each blog ends, reads those that count, and listens from then on. */
  async start(): Promise<void> {
    this.#stop = this.#collection.onChange((blog, from) => {
      this.#noteChange(blog, from === 0)
      void this.#drain()
    })
    for (const blog of [...this.#collection.blogs()]) {
      const head = this.#collection.head(blog)
      if (head === null || this.#tops.has(blog)) continue
      const [last] = await this.#collection.entries(blog, head.seq, head.seq, 1)
      // Nothing can be said of a copy that does not hold: it is looked at when it changes.
      if (last !== undefined && !this.#tops.has(blog)) this.#bound(blog, last.seenMs)
    }
    await this.#drain()
  }

  stop(): void {
    this.#stop()
  }

  /** Called after the posts for the front page have changed. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The posts of the front page now. */
  posts(): readonly FrontPost[] {
    this.#page ??= buildFrontPage(
      [...this.#tops].flatMap(([blog, posts]) =>
        this.#collection.head(blog) === null ? [] : posts,
      ),
    )
    return this.#page
  }

  /** What a slug of a blog comes down to; null: no such post is here. */
  async slug(blog: BlogName, slug: string): Promise<SlugState | null> {
    if (!this.#folds.has(blog)) this.#noteChange(blog, false)
    await this.settled()
    return this.#folds.get(blog)?.slugs.get(slug) ?? null
  }

  /** UTC year of the first revision of a post; null: no such post is here. */
  async yearOf(blog: BlogName, seq: number): Promise<number | null> {
    const collected = await this.#collection.entry(blog, seq)
    const entry = collected === null ? null : decodeEntry(collected.text)
    if (!entry?.ok || entry.value.kind !== 'post') return null
    const { slug } = entry.value
    // It never changes: what is at hand need not be up to date.
    const known = this.#folds.get(blog)?.slugs.get(slug) ?? (await this.slug(blog, slug))
    return known?.year ?? null
  }

  /** Everything that has changed until now is in `posts` when this resolves. */
  async settled(): Promise<void> {
    do await this.#drain()
    while (this.#changed.size > 0)
  }

  #noteChange(blog: BlogName, isAnew: boolean): void {
    this.#changed.set(blog, { isAnew: isAnew || this.#changed.get(blog)?.isAnew === true })
  }

  #drain(): Promise<void> {
    this.#running ??= this.#work().finally(() => {
      this.#running = null
      // What changed while the listeners were told.
      if (this.#changed.size > 0) void this.#drain()
    })
    return this.#running
  }

  async #work(): Promise<void> {
    const before = this.posts()
    do {
      for (let [next] = this.#changed; next !== undefined; [next] = this.#changed) {
        const [blog, { isAnew }] = next
        this.#changed.delete(blog)
        await this.#update(blog, isAnew)
      }
    } while ((await this.#refill()) || this.#changed.size > 0)
    this.#prune()
    const after = this.posts()
    const isSame =
      before.length === after.length && before.every(({ id }, at) => id === after[at]?.id)
    if (!isSame) for (const listener of this.#listeners) listener()
  }

  async #update(blog: BlogName, isAnew: boolean): Promise<void> {
    try {
      await this.#read(blog, isAnew)
    } catch (error) {
      // One blog's trouble stays its own; its next change reads it again.
      this.#forget(blog)
      this.#report('front_failed', { blog, reason: (error as Error).message })
    }
    this.#page = null
  }

  async #read(blog: BlogName, isAnew: boolean): Promise<void> {
    const head = this.#collection.head(blog)
    if (isAnew || head === null) this.#forget(blog)
    if (head === null) {
      this.#tops.delete(blog)
      this.#unbound(blog)
      return
    }
    const fold = this.#folds.get(blog) ?? { next: 0, slugs: new Map() }
    this.#folds.delete(blog)
    this.#folds.set(blog, fold)
    const size = fold.slugs.size
    while (fold.next <= head.seq) {
      const page = await this.#collection.entries(blog, fold.next, head.seq, maxPageBytes)
      if (page.length === 0) break
      for (const entry of page) foldEntry(fold, entry)
    }
    this.#slugs += fold.slugs.size - size
    this.#tops.set(blog, topOf(blog, fold))
    this.#unbound(blog)
    for (const old of this.#folds.keys()) {
      if (this.#slugs <= maxSlugs || old === blog) break
      this.#forget(old)
    }
  }

  #forget(blog: BlogName): void {
    this.#slugs -= this.#folds.get(blog)?.slugs.size ?? 0
    this.#folds.delete(blog)
  }

  /** Reads one more blog where its posts may belong on the page. @returns whether it did */
  async #refill(): Promise<boolean> {
    const page = this.posts()
    const last = page[maxFrontPosts - 1]
    if (this.#bounds.size === 0 || (last !== undefined && last.seenMs > this.#floor)) return false
    for (const [blog, bound] of this.#bounds) {
      if (bound !== this.#floor) continue
      await this.#update(blog, false)
      // Unread it would be tried for ever.
      this.#unbound(blog)
      return true
    }
    return false
  }

  /** Lets go of blogs whose newest posts lie far behind. */
  #prune(): void {
    if (this.#tops.size <= maxTops) return
    const newest = (posts: readonly FrontPost[]) => posts[0]?.seenMs ?? 0
    const sorted = [...this.#tops].sort(([, a], [, b]) => newest(b) - newest(a))
    for (const [blog, posts] of sorted.slice(fewTops)) {
      this.#tops.delete(blog)
      if (posts.length > 0) this.#bound(blog, newest(posts))
    }
    this.#page = null
  }

  #bound(blog: BlogName, ms: number): void {
    this.#bounds.set(blog, ms)
    this.#floor = Math.max(this.#floor, ms)
  }

  #unbound(blog: BlogName): void {
    const bound = this.#bounds.get(blog)
    if (bound === undefined) return
    this.#bounds.delete(blog)
    if (bound < this.#floor) return
    this.#floor = 0
    for (const each of this.#bounds.values()) this.#floor = Math.max(this.#floor, each)
  }
}

function foldEntry(fold: Fold, collected: CollectedEntry): void {
  const read = decodeEntry(collected.text)
  if (!read.ok) throw new Error(`${read.code}: ${read.reason}`)
  const { kind, seq, id } = read.value
  fold.next = seq + 1
  if (kind !== 'post' && kind !== 'retract') return
  const { slug } = read.value
  const before = fold.slugs.get(slug)
  if (kind === 'post') {
    const { seenMs } = before ?? collected
    const year = before?.year ?? new Date(read.value.dateMs).getUTCFullYear()
    fold.slugs.set(slug, { seenMs, year, seq, id, last: { seq, id } })
  } else if (before !== undefined) fold.slugs.set(slug, { ...before, last: { seq, id } })
}

function topOf(blog: BlogName, { slugs }: Fold): readonly FrontPost[] {
  const top: FrontPost[] = []
  for (const state of slugs.values()) {
    if (!isShown(state)) continue
    const { seq, id, seenMs } = state
    const post = { blog, seq, id, seenMs }
    const last = top[maxFrontPerBlog - 1]
    if (last !== undefined && byPlace(last, post) < 0) continue
    top.push(post)
    top.sort(byPlace)
    top.length = Math.min(top.length, maxFrontPerBlog)
  }
  return top
}
