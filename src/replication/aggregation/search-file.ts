import { existsSync, rmSync } from 'node:fs'
// biome-ignore lint/correctness/noUnresolvedImports: Node 24 has it
import { DatabaseSync, type StatementSync } from 'node:sqlite'

export type SearchDatabase = DatabaseSync
export type Statement = StatementSync

/** In the file's header: whose it is ("cncl"), and which form it has. Another form is made anew. */
const applicationId = 0x636e636c
const searchSchema = 1

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
 * Opens the file of an index, or makes one; an empty path is a temporary one, on the disk too. Nobody
 * else may use it meanwhile. Throws SearchStoreError; the file stays as it was then.
 *
 * @param use - what is made of it; the file is closed again when it throws
 */
export function openSearchFile<T>(path: string, use: (database: DatabaseSync) => T): T {
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
    return use(database)
  } catch (error) {
    database?.close()
    if (error instanceof SearchStoreError) throw error
    const { message } = error as Error
    if (isLock(error)) throw new SearchStoreError('locked', 'another process uses it', error)
    if (isDamage(error)) throw new SearchStoreError('damaged', `it is damaged: ${message}`, error)
    throw new SearchStoreError('unusable', message, error)
  }
}

/** Statements of a database, each compiled once. */
export function preparer(database: SearchDatabase): (sql: string) => Statement {
  const prepared = new Map<string, Statement>()
  return (sql) => {
    const known = prepared.get(sql)
    if (known !== undefined) return known
    const statement = database.prepare(sql)
    prepared.set(sql, statement)
    return statement
  }
}

/** Takes everything out of an index. */
export const emptySearch = (database: DatabaseSync) =>
  database.exec(`BEGIN IMMEDIATE; ${drop} ${schema} COMMIT`)

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
