import type { KeyRing } from '../../auth/public-key.ts'
import type { BlogName, Entry } from '../log/entry.ts'
import { Ingest, type Outcome } from '../log/ingest.ts'
import type { Head } from '../log/log.ts'
import { blogRules, type LogRules } from '../log/rules.ts'
import { type Disk, LogStore } from '../log/store.ts'
import type { Signed } from '../log/text.ts'
import {
  type CollectedEntry,
  type Collection,
  type HeadListener,
  HeadListeners,
  readEntries,
} from './collection.ts'
import { earliestSeenMs } from './first-seen.ts'

/** Blogs whose keys are kept in memory while others are gathered; those used longest ago make room. */
const maxOpenBlogs = 2_000

/**
 * An entry of a source, decoded, with its signature and when the source saw it first published, ms, by
 * the clock here.
 */
export type Gathered = { readonly entry: Entry; readonly signed: Signed; readonly seenMs: number }

/**
 * What an aggregator has gathered, on a disk of its own. All of it passed the one door, and all of it
 * can be gathered again: a blog that turns out to be damaged here is dropped, and whoever listens to
 * `onLost` fetches it anew.
 */
export class GatheredCollection implements Collection {
  readonly #store: LogStore
  readonly #ingest: Ingest
  readonly #now: () => number
  readonly #heads = new Map<BlogName, Head>()
  /** of blogs that grew since the start: when the head was first seen */
  readonly #headSeenMs = new Map<BlogName, Seen>()
  readonly #listeners = new HeadListeners()
  readonly #lostListeners = new Set<(blog: BlogName) => void>()

  private constructor(parts: {
    readonly disk: Disk
    readonly council: () => string | null
    readonly keys: KeyRing
    readonly now: () => number
  }) {
    const { disk } = parts
    // What a crash takes is gathered again: no write waits for the disk.
    const lazy: Disk = {
      get: (key) => disk.get(key),
      batch: (operations) => disk.batch(operations, { sync: false }),
      iterator: (range) => disk.iterator(range),
    }
    const rules = blogRules(parts.council, parts.keys) as LogRules<unknown>
    this.#store = new LogStore(lazy)
    this.#now = parts.now
    this.#ingest = new Ingest({
      ...{ store: this.#store, rulesOf: () => rules, now: parts.now, maxOpen: maxOpenBlogs },
    })
    this.#ingest.onAdded(({ log, items, head }) => {
      this.#moved(log as BlogName, items[0]?.seq ?? 0, head)
    })
  }

  /**
   * Opens what the disk has of earlier runs. A blog whose record there is not what was written is
   * dropped.
   *
   * @param council - `zone/council id`; entries of another one are refused
   */
  static async open(parts: {
    readonly disk: Disk
    readonly council: () => string | null
    readonly keys: KeyRing
    readonly now: () => number
  }): Promise<GatheredCollection> {
    const opened = new GatheredCollection(parts)
    for (const log of await opened.#store.logs()) {
      const record = await opened.#store.record(log).catch(() => null)
      if (record === null) await opened.#ingest.forget(log)
      else opened.#heads.set(log as BlogName, record.head)
    }
    return opened
  }

  blogs(): Iterable<BlogName> {
    return this.#heads.keys()
  }

  head(blog: BlogName): Head | null {
    return this.#heads.get(blog) ?? null
  }

  async entry(blog: BlogName, seq: number): Promise<CollectedEntry | null> {
    const head = this.head(blog)
    if (head === null || seq > head.seq) return null
    const stored = await this.#ingest.read(blog, seq)
    await this.#dropDamaged()
    if (stored === null) return null
    const { text, signature, firstMs } = stored
    return { text, signature, seenMs: firstMs }
  }

  async entries(
    blog: BlogName,
    from: number,
    to: number,
    maxBytes: number,
  ): Promise<readonly CollectedEntry[]> {
    const last = Math.min(to, this.head(blog)?.seq ?? -1)
    const found = await readEntries(this.#store, blog, { from, to: last, maxBytes })
    await this.#dropDamaged()
    return found.map(({ text, signature, firstMs }) => ({ text, signature, seenMs: firstMs }))
  }

  async keySeqs(blog: BlogName): Promise<readonly number[]> {
    if (this.head(blog) === null) return []
    return (await this.#ingest.record(blog))?.keys ?? []
  }

  onChange(listener: HeadListener): () => void {
    return this.#listeners.add(listener)
  }

  /** Called after a blog was dropped because it is damaged here. */
  onLost(listener: (blog: BlogName) => void): () => void {
    this.#lostListeners.add(listener)
    return () => this.#lostListeners.delete(listener)
  }

  /** Id of the entry at `seq` here, null where there is none. */
  async idAt(blog: BlogName, seq: number): Promise<Head['id'] | null> {
    const head = this.head(blog)
    if (head === null || seq > head.seq) return null
    return seq === head.seq ? head.id : this.#ingest.idAt(blog, seq)
  }

  /**
   * Takes entries of a blog, in order, through the door of its own: each signature is checked. What
   * is known costs no check.
   *
   * @param holds - entries that the blog must have once it reaches them: genesis and head of its act
   */
  async take(
    blog: BlogName,
    entries: readonly Gathered[],
    { head, holds }: { head: Head; holds: readonly Head[] },
  ): Promise<Outcome> {
    let beforeMs = await this.#seenBefore(blog, entries[0]?.entry.seq ?? 0)
    const offers = entries.map((each) => {
      beforeMs = this.#seenMs(each, beforeMs)
      return { ...each.signed, firstMs: beforeMs }
    })
    // Nobody counts on this copy: its epoch stays 0, and what does not chain is refused.
    const following = { epoch: 0, head, holds }
    const outcome = await this.#ingest.offer(blog, offers, { way: 'pull', following })
    // All of it was on the disk already, and nobody knew: its record was lost.
    if (outcome.kind === 'held' && this.#heads.get(blog)?.id !== outcome.head.id)
      this.#moved(blog, 0, outcome.head)
    const { id, seq } = entries.at(-1)?.entry ?? {}
    if (outcome.kind === 'held' && seq !== undefined && beforeMs !== null && outcome.head.id === id)
      this.#headSeenMs.set(blog, { seq, seenMs: beforeMs })
    return outcome
  }

  #moved(blog: BlogName, from: number, head: Head): void {
    const isNew = !this.#heads.has(blog)
    this.#heads.set(blog, head)
    this.#listeners.tell(blog, isNew ? 0 : from, head)
  }

  /** A source has seen an entry that is here before this peer, or others, had: the earliest counts. */
  async seenEarlier(blog: BlogName, each: Gathered): Promise<void> {
    const { seq, id } = each.entry
    const head = this.#headSeenMs.get(blog)
    // Most of the time several tell of what has just come, and the first is the earliest or nearly.
    if (head?.seq === seq && head.seenMs <= each.seenMs) return
    const seenMs = this.#seenMs(each, await this.#seenBefore(blog, seq))
    if (head?.seq === seq) this.#headSeenMs.delete(blog)
    await this.#ingest.seenEarlier(blog, { seq, id }, seenMs)
  }

  /** Never later than this clock, nor earlier than anybody can have seen it. */
  #seenMs({ entry, seenMs }: Gathered, beforeMs: number | null): number {
    return Math.min(this.#now(), Math.max(seenMs, earliestSeenMs(entry.dateMs, beforeMs)))
  }

  /** When the entry before one was first seen; null where it is not here. */
  async #seenBefore(blog: BlogName, seq: number): Promise<number | null> {
    const head = this.#headSeenMs.get(blog)
    if (head?.seq === seq - 1) return head.seenMs
    return seq === 0 ? null : ((await this.#store.entry(blog, seq - 1))?.firstMs ?? null)
  }

  /** Drops a blog, so that another version of it can be taken. */
  async forget(blog: BlogName): Promise<void> {
    await this.#ingest.forget(blog)
    this.#heads.delete(blog)
    this.#headSeenMs.delete(blog)
  }

  async #dropDamaged(): Promise<void> {
    for (;;) {
      const suspect = this.#ingest.damage.takeSuspect()
      if (suspect === null) return
      const blog = suspect.log as BlogName
      await this.forget(blog)
      for (const listener of this.#lostListeners) listener(blog)
    }
  }
}

type Seen = { readonly seq: number; readonly seenMs: number }
