import type { BlogName } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import type { Signed } from '../log/text.ts'

/** An entry with the time at which it was first seen published, by whom it was taken from. */
export type CollectedEntry = Signed & { readonly seenMs: number }

/**
 * The published entries that a peer has at hand: what it offers, indexes and puts on the front page.
 * At a spoke those of the blogs it keeps, at an aggregator all that its circle offered.
 */
export type Collection = {
  readonly blogs: () => Iterable<BlogName>
  /** the last published entry of the blog here; null: none of the blog */
  readonly head: (blog: BlogName) => Head | null
  readonly entry: (blog: BlogName, seq: number) => Promise<CollectedEntry | null>
  /** from..to inclusive, as many as fit in maxBytes, at least one */
  readonly entries: (
    blog: BlogName,
    from: number,
    to: number,
    maxBytes: number,
  ) => Promise<readonly CollectedEntry[]>
  /** seqs of the entries that hold keys: genesis and rekeys, rising */
  readonly keySeqs: (blog: BlogName) => Promise<readonly number[]>
  /**
   * Called after a blog's head here moved forward, or the blog was fetched anew (from = 0).
   * @returns how to stop
   */
  readonly onChange: (listener: (blog: BlogName, from: number, head: Head) => void) => () => void
}
