import { existsSync, rmSync } from 'node:fs'
// biome-ignore lint/correctness/noUnresolvedImports: Node 24 has it
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { BlogName } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import type { EntryId } from '../log/text.ts'
import { foldTag, langMarks } from './search-filters.ts'
import type { ParsedQuery } from './search-query.ts'
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

/** In the file's header: whose it is ("cncl"), and which form it has. Another form is made anew. */
const applicationId = 0x636e636c
export const searchSchema = 1

/** First-seen times beyond this one count as it, so that a place stays a safe integer. */
const maxSeenMs = 2 ** 52
/** Posts that are ranked for `best`: the newest that match. */
export const maxRanked = 2_000
/** Weights of title, body and marks for bm25. */
const weights = '4.0, 1.0, 0.0'

/** Why a file is not used as it is. */
export type OpenFailure = 'damaged' | 'other-version' | 'locked' | 'unusable'
export class SearchStoreError extends Error {
  readonly kind: OpenFailure
  constructor(kind: OpenFailure, message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'SearchStoreError'
    this.kind = kind
  }
}

type SqliteError = Error & { errcode?: number }
const primaryCode = (error: unknown) => ((error as SqliteError).errcode ?? 0) & 0xff
/** Whether SQLite said it, as when the disk is full; anything else is a bug. */
export const isOfDisk = (error: unknown) => primaryCode(error) !== 0
/** SQLITE_CORRUPT and SQLITE_NOTADB: what stands on the disk is no index. */
export const isDamage = (error: unknown) => [11, 26].includes(primaryCode(error))
/** SQLITE_BUSY and SQLITE_LOCKED. */
const isLock = (error: unknown) => [5, 6].includes(primaryCode(error))

/** Deletes an index with all that belongs to it. */
export function deleteSearchFiles(path: string): void {
  for (const end of ['', '-wal', '-shm', '-journal']) rmSync(`${path}${end}`, { force: true })
}

/**
 * The index of posts, on SQLite's FTS5: which posts have these words, the newest first. It holds no
 * text, only words and where they stand, and can be thrown away: everything in it follows from the
 * logs. Everything here is synchronous; `SearchIndex` runs it in a thread of its own.
 *
 * A post's place is its first-seen time, so that FTS5, which goes through its lists by place, stops
 * after the first page. In ms: lists of finer ones took a third more time to write.
 */
export class SearchStore {
  readonly #database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  readonly #insertPost: StatementSync
  readonly #insertWords: StatementSync
  /** places that follow each other and are all taken */
  #taken = noPlaces

  private constructor(database: DatabaseSync) {
    this.#database = database
    this.#insertPost = database.prepare(
      'INSERT OR IGNORE INTO post (at, blog, slug, year, seq, id) VALUES (?, ?, ?, ?, ?, ?)',
    )
    this.#insertWords = database.prepare(
      'INSERT INTO words (rowid, title, body, marks) VALUES (?, ?, ?, ?)',
    )
  }

  /**
   * Opens the index at a path, or makes one; an empty path is a temporary one, on the disk too.
   * Nobody else may use it meanwhile. Throws SearchStoreError; the file stays as it was then.
   */
  static open(path: string): SearchStore {
    const isNew = path === '' || !existsSync(path)
    let database: DatabaseSync | null = null
    try {
      database = new DatabaseSync(path, { timeout: 1_000, enableForeignKeyConstraints: false })
      database.exec('PRAGMA locking_mode = EXCLUSIVE')
      database.exec('PRAGMA cache_size = -16000')
      if (!isNew) checkForm(database)
      database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
      // Takes the lock, which stays until the end.
      database.exec('BEGIN IMMEDIATE')
      if (isNew || isEmpty(database)) database.exec(schema)
      database.exec('COMMIT')
      const store = new SearchStore(database)
      store.#checkEnds()
      return store
    } catch (error) {
      database?.close()
      if (error instanceof SearchStoreError) throw error
      const { message } = error as Error
      if (isLock(error)) throw new SearchStoreError('locked', 'another process uses it', error)
      if (isDamage(error)) throw new SearchStoreError('damaged', `it is damaged: ${message}`, error)
      throw new SearchStoreError('unusable', message, error)
    }
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
    this.#database.exec(`BEGIN IMMEDIATE; ${drop} ${schema} COMMIT`)
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

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#database.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
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

type BlogRow = {
  readonly name: string
  readonly seq: number
  readonly id: string
  readonly title: string | null
  readonly lang: string | null
  readonly posts: number
}

const schema = `
  PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${searchSchema};
  CREATE TABLE blog (
    n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL, id TEXT NOT NULL,
    title TEXT, lang TEXT, posts INTEGER NOT NULL DEFAULT 0);
  CREATE TABLE post (
    at INTEGER PRIMARY KEY, blog INTEGER NOT NULL, slug TEXT NOT NULL, year INTEGER NOT NULL,
    seq INTEGER, id BLOB, UNIQUE (blog, slug));
  CREATE VIRTUAL TABLE words USING fts5(
    title, body, marks, content = '', contentless_delete = 1, tokenize = 'ascii');
  INSERT INTO words (words, rank) VALUES ('automerge', 8);
`
const drop = 'DROP TABLE words; DROP TABLE post; DROP TABLE blog;'

const isEmpty = (database: DatabaseSync) =>
  database.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined

/** Throws unless the file is an index of this version whose pages hold together. */
function checkForm(database: DatabaseSync): void {
  const pragma = (name: string) =>
    Object.values(database.prepare(`PRAGMA ${name}`).get() as Record<string, number>)[0]
  const version = pragma('user_version')
  const application = pragma('application_id')
  if (isEmpty(database)) return
  if (application !== applicationId || version !== searchSchema) {
    throw new SearchStoreError(
      'other-version',
      application === applicationId
        ? `it has form ${version}, this program writes form ${searchSchema}`
        : 'it is no index of posts',
    )
  }
  const [found] = database.prepare('PRAGMA quick_check(1)').all() as { quick_check: string }[]
  if (found?.quick_check !== 'ok') {
    throw new SearchStoreError('damaged', `it is damaged: ${found?.quick_check}`)
  }
}

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

/**
 * Marks by which filters find a post: words that no text can hold, since they begin with a
 * character for private use, and so do the marks of ASCII in them, at which FTS5 would split.
 */
const markKinds = { blog: '\ue000', lang: '\ue001', tag: '\ue002' } as const
const mark = (kind: keyof typeof markKinds, value: string) =>
  markKinds[kind] +
  value.replace(/[\0-/:-@[-`{-\x7f]/g, (each) => String.fromCharCode(0xe100 + each.charCodeAt(0)))

function marksOf({ blog, lang, tags }: IndexedPost): string {
  return [
    mark('blog', blog),
    ...langMarks(lang).map((each) => mark('lang', each)),
    ...tags.map((each) => mark('tag', foldTag(each))),
  ].join(' ')
}

/** What FTS5 is asked: quoted words and marks only, all of which a post must have. */
function matchOf({ terms, blog, lang, tags }: ParsedQuery): string {
  const quoted = (text: string) => `"${text.replaceAll('"', '')}"`
  return [
    ...terms.map(({ words, isBegun }) => `${quoted(words.join(' '))}${isBegun ? ' *' : ''}`),
    ...(blog === null ? [] : [quoted(mark('blog', blog))]),
    ...(lang === null ? [] : [quoted(mark('lang', lang.toLowerCase()))]),
    ...tags.map((tag) => quoted(mark('tag', foldTag(tag)))),
  ].join(' AND ')
}
