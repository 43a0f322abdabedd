import type { Clock } from '../clock.ts'
import type { Kept, Replicas } from '../exchange/replica.ts'
import type { BlogName } from '../log/entry.ts'
import type { Ingest } from '../log/ingest.ts'
import type { Head } from '../log/log.ts'
import type { LogStore, Stored } from '../log/store.ts'
import type { Signed } from '../log/text.ts'

/** An entry with the time at which it was first seen published, ms since the Unix epoch. */
export type CollectedEntry = Signed & { readonly seenMs: number }

/**
 * `from`: the first seq that was not here before, 0 when the blog was fetched anew. `head`: where
 * the blog ends here now.
 */
export type HeadListener = (blog: BlogName, from: number, head: Head) => void

/**
 * The published entries that a peer has at hand: what it offers to others, indexes and puts on the
 * front page. At a spoke those of the blogs it keeps, at an aggregator all of its circle. Nothing in
 * it is taken back by a fail-over; a blog whose copy does not hold is not in it.
 */
export type Collection = {
  readonly blogs: () => Iterable<BlogName>
  /** the last published entry of the blog here; null: none of the blog */
  readonly head: (blog: BlogName) => Head | null
  /** null: behind the head here, or its bytes or its own signature do not hold */
  readonly entry: (blog: BlogName, seq: number) => Promise<CollectedEntry | null>
  /**
   * `from` to `to` inclusive, in order: as many as fit in `maxBytes` of texts and signatures, at
   * least one; they end before the first that does not hold. Each is held against the chain; its own
   * signature may still wait for its check, as in a catch-up.
   */
  readonly entries: (
    blog: BlogName,
    from: number,
    to: number,
    maxBytes: number,
  ) => Promise<readonly CollectedEntry[]>
  /** seqs of the entries that hold keys: genesis and rekeys, rising */
  readonly keySeqs: (blog: BlogName) => Promise<readonly number[]>
  /** Called after a blog's head here has moved, or another one is here; the answer stops it. */
  readonly onChange: (listener: HeadListener) => () => void
}

/** Rows read at once; a page ends in between. */
const rowsAtOnce = 100

/** Entries of a log from `from` to `to` as far as they hold together and fit, at least one. */
export async function readEntries(
  store: LogStore,
  blog: BlogName,
  { from, to, maxBytes }: { from: number; to: number; maxBytes: number },
): Promise<Stored[]> {
  const found: Stored[] = []
  let size = 0
  for (let at = from; at <= to; ) {
    const limit = Math.min(rowsAtOnce, to - at + 1)
    const rows = await store.entries(blog, at, limit)
    for (const row of rows) {
      size += row.text.length + row.signature.length
      if (found.length > 0 && size > maxBytes) return found
      found.push(row)
    }
    if (rows.length < limit) break
    at += rows.length
  }
  return found
}

/** Who hears of heads; a listener must not throw. */
export class HeadListeners {
  readonly #listeners = new Set<HeadListener>()

  add(listener: HeadListener): () => void {
    const own: HeadListener = (...moved) => listener(...moved)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  tell(blog: BlogName, from: number, head: Head): void {
    for (const listener of this.#listeners) listener(blog, from, head)
  }
}

/**
 * The same collection, whose changes are told together after a pause: of each blog the newest head
 * and the first seq that is new. Where many entries come, whoever reads them then reads many at once.
 */
export function unhurried(
  collection: Collection,
  clock: Pick<Clock, 'after'>,
  pauseMs: number,
): Collection {
  return {
    blogs: () => collection.blogs(),
    head: (blog) => collection.head(blog),
    entry: (blog, seq) => collection.entry(blog, seq),
    entries: (...asked) => collection.entries(...asked),
    keySeqs: (blog) => collection.keySeqs(blog),
    onChange: (listener) => {
      const moved = new Map<BlogName, { from: number; head: Head }>()
      let cancel: (() => void) | null = null
      const tell = () => {
        cancel = null
        const told = [...moved]
        moved.clear()
        for (const [blog, { from, head }] of told) listener(blog, from, head)
      }
      const stop = collection.onChange((blog, from, head) => {
        moved.set(blog, { from: Math.min(from, moved.get(blog)?.from ?? from), head })
        cancel ??= clock.after(pauseMs, tell)
      })
      return () => {
        stop()
        cancel?.()
      }
    },
  }
}

/** `follows`: epoch that the log followed when the head was seen in it. */
type Offered = { readonly head: Head; readonly follows: number }
type Look = { isAgain: boolean; done: Promise<void> }

/**
 * What a spoke has published of the blogs it keeps. With n ≥ 2 that is what w replicas have given
 * receipts for; with one replica what it has stored (REPLICATION 4). What was published under an act
 * stays so under the next, whose receipts are still to come.
 */
export class HeldCollection implements Collection {
  readonly #replicas: Replicas
  readonly #ingest: Ingest
  readonly #store: LogStore
  readonly #report: (event: string, fields: Readonly<Record<string, unknown>>) => void
  readonly #offered = new Map<BlogName, Offered>()
  readonly #looking = new Map<BlogName, Look>()
  readonly #listeners = new HeadListeners()
  #stop = () => {}

  constructor(parts: {
    readonly replicas: Replicas
    readonly ingest: Ingest
    readonly store: LogStore
    readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
  }) {
    this.#replicas = parts.replicas
    this.#ingest = parts.ingest
    this.#store = parts.store
    this.#report = parts.report
  }

  /** Finds out what is published here and listens from then on; after the replicas have started. */
  async start(): Promise<void> {
    const stopReplicas = this.#replicas.onChange((blog) => void this.#lookAgain(blog))
    const stopDamage = this.#ingest.damage.onEvent((event) => {
      // Not offered meanwhile: whoever asked then has to hear of it.
      if (event.kind === 'found') return
      const blog = event.log as BlogName
      this.#offered.delete(blog)
      void this.#lookAgain(blog)
    })
    this.#stop = () => {
      stopReplicas()
      stopDamage()
    }
    for (const { assignment } of this.#replicas.all()) await this.#lookAgain(assignment.blog)
  }

  stop(): void {
    this.#stop()
    this.#stop = () => {}
  }

  *blogs(): Iterable<BlogName> {
    for (const blog of this.#offered.keys()) {
      if (this.head(blog) !== null) yield blog
    }
  }

  head(blog: BlogName): Head | null {
    return this.#keeps(blog) === null ? null : (this.#offered.get(blog)?.head ?? null)
  }

  #keeps(blog: BlogName): Kept | null {
    const kept = this.#replicas.get(blog)
    return kept === null || kept.role === 'none' || this.#replicas.isDamaged(blog) ? null : kept
  }

  async entry(blog: BlogName, seq: number): Promise<CollectedEntry | null> {
    const head = this.head(blog)
    if (head === null || seq > head.seq) return null
    const stored = await this.#ingest.read(blog, seq)
    if (stored === null) return null
    return toCollected(stored, await this.#replicas.published.ms(blog, seq))
  }

  async entries(
    blog: BlogName,
    from: number,
    to: number,
    maxBytes: number,
  ): Promise<readonly CollectedEntry[]> {
    const last = Math.min(to, this.head(blog)?.seq ?? -1)
    const found = await readEntries(this.#store, blog, { from, to: last, maxBytes })
    const seenMs = await this.#replicas.published.between(blog, from, from + found.length - 1)
    return found.map((stored, index) => toCollected(stored, seenMs(from + index)))
  }

  async keySeqs(blog: BlogName): Promise<readonly number[]> {
    const head = this.head(blog)
    const keys = (await this.#ingest.record(blog))?.keys ?? []
    return head === null ? [] : keys.filter((seq) => seq <= head.seq)
  }

  onChange(listener: HeadListener): () => void {
    return this.#listeners.add(listener)
  }

  /** One look at a blog at a time; what happens meanwhile makes one more. */
  #lookAgain(blog: BlogName): Promise<void> {
    const running = this.#looking.get(blog)
    if (running !== undefined) {
      running.isAgain = true
      return running.done
    }
    const look: Look = { isAgain: true, done: Promise.resolve() }
    this.#looking.set(blog, look)
    look.done = this.#lookUntilQuiet(blog, look)
    return look.done
  }

  async #lookUntilQuiet(blog: BlogName, look: Look): Promise<void> {
    while (look.isAgain) {
      look.isAgain = false
      try {
        await this.#look(blog)
      } catch (error) {
        // One blog's trouble stays its own; the next receipt looks again.
        this.#report('collection_failed', { blog, reason: (error as Error).message })
      }
    }
    this.#looking.delete(blog)
  }

  async #look(blog: BlogName): Promise<void> {
    const kept = this.#keeps(blog)
    const record = kept === null ? null : await this.#ingest.record(blog)
    if (kept === null || record === null) return
    const { follows } = record
    let before = this.#offered.get(blog) ?? null
    // A log that follows another primary may have been cut below what was published: a loss that was accepted.
    if (before !== null && before.follows !== follows) {
      const isHeld = (await this.#ingest.idAt(blog, before.head.seq)) === before.head.id
      if (!isHeld) this.#offered.delete(blog)
      before = isHeld ? { ...before, follows } : null
    }
    const seq = Math.min(record.head.seq, await this.#publishedSeq(kept, before !== null))
    if (before !== null && seq <= before.head.seq) {
      this.#offered.set(blog, before)
      return
    }
    const isWhole = seq === record.head.seq
    const id = seq < 0 ? null : isWhole ? record.head.id : await this.#ingest.idAt(blog, seq)
    if (id === null) return
    const head = { seq, id }
    this.#offered.set(blog, { head, follows })
    this.#listeners.tell(blog, before === null ? 0 : before.head.seq + 1, head)
  }

  /**
   * Up to where the blog is published. Where nothing is known yet, what the disk remembers of acts
   * before counts as far as the one in force takes it over.
   */
  async #publishedSeq({ assignment, receipts }: Kept, isKnown: boolean): Promise<number> {
    if (assignment.replicas.length === 1)
      return receipts.of(this.#replicas.self().peer)?.head.seq ?? -1
    const published = receipts.published()
    const { blog, head } = assignment
    if (isKnown || (await this.#ingest.idAt(blog, head.seq)) !== head.id) return published
    return Math.max(published, Math.min(head.seq, await this.#replicas.published.last(blog)))
  }
}

const toCollected = (stored: Stored, publishedMs: number | null): CollectedEntry => ({
  text: stored.text,
  signature: stored.signature,
  seenMs: publishedMs ?? stored.firstMs,
})
