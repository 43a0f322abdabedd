import type { BlogName } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import type { EntryId } from '../log/text.ts'
import {
  openSearchFile,
  preparer,
  type SearchDatabase,
  SearchStoreError,
  type Statement,
} from './search-file.ts'
import { matchOf } from './search-marks.ts'
import type { ParsedQuery } from './search-query.ts'
import { type BlogChange, SearchWriter } from './search-writer.ts'

export type Order = 'newest' | 'best'
export type Hit = {
  readonly blog: BlogName
  readonly seq: number
  readonly id: EntryId
  /** UTC year of the post's first revision, which stands in its address */
  readonly year: number
  /** when its first revision was first seen, ms; later by some where several were seen at once */
  readonly seenMs: number
}
/** `at`: the place of the hit in the order of first-seen times. */
export type PlacedHit = Hit & { readonly at: number }
export type IndexedBlog = {
  readonly blog: BlogName
  readonly head: Head
  readonly title: string
  readonly lang: string | null
  readonly posts: number
}

/** Posts that are ranked for `best`: the newest that match. */
export const maxRanked = 2_000
/** Weights of title, body and marks for bm25. */
const weights = '4.0, 1.0, 0.0'

/**
 * The index of posts, on SQLite's FTS5: which posts have these words, the newest first. It holds no
 * text, only words and where they stand, and can be thrown away: everything in it follows from the
 * logs. Everything here is synchronous; `SearchIndex` runs it in a thread of its own.
 *
 * A post's place is its first-seen time, so that FTS5, which goes through its lists by place, stops
 * after the first page. In ms: lists of finer ones took a third more time to write.
 */
export class SearchStore {
  readonly #database: SearchDatabase
  readonly #prepare: (sql: string) => Statement
  readonly #writer: SearchWriter

  private constructor(database: SearchDatabase) {
    this.#database = database
    this.#prepare = preparer(database)
    this.#writer = new SearchWriter(database)
  }

  /** Opens the index at a path, or makes one: see `openSearchFile`. Throws SearchStoreError. */
  static open(path: string): SearchStore {
    return openSearchFile(path, (database) => {
      const store = new SearchStore(database)
      store.#checkEnds()
      return store
    })
  }

  close(): void {
    this.#database.close()
  }

  /** The oldest and the newest post have to be found, or FTS5 has lost its lists. */
  #checkEnds(): void {
    for (const order of ['', 'DESC']) {
      const row = this.#prepare(
        `SELECT at, name FROM post JOIN blog ON n = post.blog WHERE post.seq IS NOT NULL
          ORDER BY at ${order} LIMIT 1`,
      ).get() as { at: number; name: string } | undefined
      if (row === undefined) return
      const query = { terms: [], blog: row.name as BlogName, lang: null, tags: [] }
      if (this.newest(query, row.at + 1, 1)[0]?.at !== row.at) {
        throw new SearchStoreError('damaged', 'it is damaged: posts in it are not found')
      }
    }
  }

  /** All blogs of the index, by name. */
  allBlogs(): IndexedBlog[] {
    return this.blogs(null, Number.MAX_SAFE_INTEGER)
  }

  /** Blogs behind a name, by name. */
  blogs(after: string | null, limit: number): IndexedBlog[] {
    const rows = this.#prepare(
      'SELECT name, seq, id, title, lang, posts FROM blog WHERE name > ? ORDER BY name LIMIT ?',
    ).all(after ?? '', limit) as BlogRow[]
    return rows.map(({ name, seq, id, title, lang, posts }) => ({
      ...{ blog: name as BlogName, head: { seq, id: id as EntryId } },
      ...{ title: title ?? name, lang, posts },
    }))
  }

  /** Takes changes in, in order, all or none of them. */
  apply(changes: readonly BlogChange[]): void {
    this.#writer.apply(changes)
  }

  /** Forgets everything. */
  clear(): void {
    this.#writer.clear()
  }

  /** Posts that match, the newest first, from below a place on. */
  newest(query: ParsedQuery, below: number | null, limit: number): PlacedHit[] {
    const rows = this.#prepare(
      'SELECT rowid AS at FROM words WHERE words MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?',
    ).all(matchOf(query), below ?? Number.MAX_SAFE_INTEGER, limit) as { at: number }[]
    return rows.flatMap(({ at }) => this.hitAt(at) ?? [])
  }

  /** Places of the newest `maxRanked` posts that match, those that match best first. */
  ranked(query: ParsedQuery, upTo: number | null): number[] {
    const rows = this.#prepare(
      `SELECT rowid AS at, bm25(words, ${weights}) AS score FROM words
        WHERE words MATCH ? AND rowid <= ? ORDER BY rowid DESC LIMIT ${maxRanked}`,
    ).all(matchOf(query), upTo ?? Number.MAX_SAFE_INTEGER) as { at: number; score: number }[]
    // SQLite's bm25 is the better the lower it is; equals stay newest first.
    return rows.sort((a, b) => a.score - b.score).map(({ at }) => at)
  }

  /** The post at a place; null: it is not shown any more. */
  hitAt(at: number): PlacedHit | null {
    const row = this.#prepare(
      `SELECT name, post.seq AS seq, post.id AS id, year FROM post JOIN blog ON n = post.blog
        WHERE at = ? AND post.seq IS NOT NULL`,
    ).get(at) as { name: string; seq: number; id: Uint8Array; year: number } | undefined
    if (row === undefined) return null
    const { name, seq, year } = row
    const id = Buffer.from(row.id).toString('hex') as EntryId
    return { at, blog: name as BlogName, seq, id, year, seenMs: at }
  }
}

type BlogRow = {
  readonly name: string
  readonly seq: number
  readonly id: string
  readonly title: string | null
  readonly lang: string | null
  readonly posts: number
}
