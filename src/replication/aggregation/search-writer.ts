import type { BlogName } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import type { EntryId } from '../log/text.ts'
import { emptySearch, preparer, type SearchDatabase, type Statement } from './search-file.ts'
import { marksOf } from './search-marks.ts'
import { searchText } from './search-words.ts'

/** A post as the index takes it in. */
export type IndexedPost = {
  readonly blog: BlogName
  readonly slug: string
  /** UTC year of its first revision */
  readonly year: number
  readonly seq: number
  readonly id: EntryId
  readonly title: string
  /** Markdown */
  readonly body: string
  readonly lang: string | null
  readonly tags: readonly string[]
  /** when it was first seen published; of a revision the index keeps that of the first */
  readonly seenMs: number
}

/** What a stretch of a blog's log comes down to. */
export type BlogChange = {
  readonly blog: BlogName
  /** where the stretch ends; null: the blog is not to be found here any more */
  readonly head: Head | null
  /** the blog is taken in anew from its genesis on: what is here of it goes first */
  readonly restart: boolean
  readonly put: readonly IndexedPost[]
  /** slugs of posts that the stretch leaves retracted, of which it may have put revisions too */
  readonly remove: readonly string[]
  /** the blog's own words, where the stretch has new ones */
  readonly profile: { readonly title: string; readonly lang: string | null } | null
}

/** First-seen times beyond this one count as it, so that a place stays a safe integer. */
const maxSeenMs = 2 ** 52

/**
 * What writes the index: each post gets a place, which it keeps, and its words stand there as long as
 * it is shown. Synchronous, all or nothing.
 */
export class SearchWriter {
  readonly #database: SearchDatabase
  readonly #prepare: (sql: string) => Statement
  readonly #insertPost: Statement
  readonly #insertWords: Statement
  /** places that follow each other and are all taken */
  #taken = noPlaces

  constructor(database: SearchDatabase) {
    this.#database = database
    this.#prepare = preparer(database)
    this.#insertPost = database.prepare(
      'INSERT OR IGNORE INTO post (at, blog, slug, year, seq, id) VALUES (?, ?, ?, ?, ?, ?)',
    )
    this.#insertWords = database.prepare(
      'INSERT INTO words (rowid, title, body, marks) VALUES (?, ?, ?, ?)',
    )
  }

  /** Takes changes in, in order, all or none of them. */
  apply(changes: readonly BlogChange[]): void {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      this.#write(changes)
      this.#database.exec('COMMIT')
    } catch (error) {
      this.#taken = noPlaces
      try {
        this.#database.exec('ROLLBACK')
      } catch {
        // A full disk rolls back by itself; the first error says more.
      }
      throw error
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.#taken = noPlaces
    emptySearch(this.#database)
  }

  #write(changes: readonly BlogChange[]): void {
    const group: Group = new Map()
    for (const change of changes) {
      const blog = this.#blogNumber(group, change)
      if (blog === null) continue
      let more = 0
      for (const [slug, outcome] of outcomes(change)) {
        more += this.#place(group, { blog, slug, ...outcome })
      }
      this.#prepare('UPDATE blog SET posts = posts + ? WHERE n = ?').run(more, blog)
    }
    // FTS5 writes what it has gathered to the disk each time that a row comes out of order.
    for (const [at, { post, replaces }] of [...group].sort(([a], [b]) => a - b)) {
      if (replaces) this.#prepare('DELETE FROM words WHERE rowid = ?').run(at)
      const { title, body } = post
      this.#insertWords.run(at, searchText(title), searchText(body), marksOf(post))
    }
  }

  /** The blog's row, made or moved to the new head; null when the change took the blog away. */
  #blogNumber(group: Group, { blog, head, restart, profile }: BlogChange): number | null {
    const known = this.#prepare('SELECT n FROM blog WHERE name = ?').get(blog) as
      | { n: number }
      | undefined
    if (known !== undefined && (restart || head === null)) {
      this.#taken = noPlaces
      const rows = this.#prepare('SELECT at FROM post WHERE blog = ? AND seq IS NOT NULL')
      for (const { at } of rows.all(known.n) as { at: number }[]) this.#hide(group, at)
      this.#prepare('DELETE FROM post WHERE blog = ?').run(known.n)
      this.#prepare('DELETE FROM blog WHERE n = ?').run(known.n)
    }
    if (head === null) return null
    this.#prepare(
      `INSERT INTO blog (name, seq, id) VALUES (?, ?, ?)
        ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, id = excluded.id`,
    ).run(blog, head.seq, head.id)
    if (profile !== null) {
      const { title, lang } = profile
      this.#prepare('UPDATE blog SET title = ?, lang = ? WHERE name = ?').run(title, lang, blog)
    }
    return (this.#prepare('SELECT n FROM blog WHERE name = ?').get(blog) as { n: number }).n
  }

  /**
   * Writes the row of a post, which keeps its place through revisions and a retraction.
   *
   * @returns by how many the blog has more posts that are shown
   */
  #place(group: Group, { blog, slug, put, first }: Outcome & { blog: number; slug: string }) {
    const seq = put?.seq ?? null
    const id = put === null ? null : Buffer.from(put.id, 'hex')
    const placed = first === null ? null : this.#insert({ blog, slug, seq, id, first })
    if (placed !== null) {
      if (put !== null) group.set(placed, { post: put, replaces: false })
      return put === null ? 0 : 1
    }
    const known = this.#postAt(blog, slug)
    // A retraction of what never was a post here.
    if (known === null) return 0
    const wasShown = known.seq !== null
    if (put !== null) {
      const replaces = group.get(known.at)?.replaces ?? wasShown
      group.set(known.at, { post: put, replaces })
    } else if (wasShown) this.#hide(group, known.at)
    this.#prepare('UPDATE post SET seq = ?, id = ? WHERE at = ?').run(seq, id, known.at)
    return Number(put !== null) - Number(wasShown)
  }

  #postAt(blog: number, slug: string): { at: number; seq: number | null } | null {
    const sql = 'SELECT at, seq FROM post WHERE blog = ? AND slug = ?'
    const row = this.#prepare(sql).get(blog, slug)
    return (row as { at: number; seq: number | null } | undefined) ?? null
  }

  /**
   * Gives a new post its row, at the ms in which it was first seen or, where that is taken, the next
   * free one.
   *
   * @returns its place; null: the post has a row already
   */
  #insert(row: {
    readonly blog: number
    readonly slug: string
    readonly seq: number | null
    readonly id: Uint8Array | null
    readonly first: IndexedPost
  }): number | null {
    const { blog, slug, seq, id, first } = row
    const seenMs = Math.min(Math.max(0, Math.floor(first.seenMs)), maxSeenMs)
    const insert = (at: number) =>
      this.#insertPost.run(at, blog, slug, first.year, seq, id).changes === 1
    if (insert(seenMs)) return seenMs
    if (this.#postAt(blog, slug) !== null) return null
    const taken = this.#prepare('SELECT 1 FROM post WHERE at = ?')
    // A whole blog may come in one ms: of ten thousand none looks at the places of all before it.
    const { from, to } = this.#taken
    const isKnown = seenMs >= from && seenMs <= to
    let at = isKnown ? to + 1 : seenMs + 1
    while (taken.get(at) !== undefined) at += 1
    this.#taken = { from: isKnown ? from : seenMs, to: at }
    insert(at)
    return at
  }

  /** Takes a post's words out, also when they were to come in with the same group. */
  #hide(group: Group, at: number): void {
    const coming = group.get(at)
    group.delete(at)
    if (coming?.replaces !== false) this.#prepare('DELETE FROM words WHERE rowid = ?').run(at)
  }
}

const noPlaces = { from: 0, to: -1 }

/** Place → what is written there at the end of a group; `replaces`: FTS5 has that place already. */
type Group = Map<number, { readonly post: IndexedPost; readonly replaces: boolean }>
type Outcome = { readonly put: IndexedPost | null; readonly first: IndexedPost | null }

/** Where each post of a change ends, and its first revision in it. */
function outcomes({ put, remove }: BlogChange): Map<string, Outcome> {
  const ended = new Map<string, Outcome>()
  for (const post of put) {
    ended.set(post.slug, { put: post, first: ended.get(post.slug)?.first ?? post })
  }
  for (const slug of remove) {
    ended.set(slug, { put: null, first: ended.get(slug)?.first ?? null })
  }
  return ended
}
