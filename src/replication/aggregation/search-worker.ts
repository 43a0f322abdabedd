import { parentPort, workerData } from 'node:worker_threads'
import { deleteSearchFiles, isDamage, isOfDisk, SearchStoreError } from './search-file.ts'
import type { ParsedQuery } from './search-query.ts'
import { type Hit, type IndexedBlog, type Order, SearchStore } from './search-store.ts'
import type { BlogChange } from './search-writer.ts'

// The thread of `SearchIndex`: SQLite in it is synchronous, and indexing would keep readers waiting.

/** Posts that are written in one group. */
export const maxGroupPosts = 1_000
/** … and characters of their titles and bodies. */
export const maxGroupCharacters = 1_000_000
/** Rankings that are kept, so that the next page of one goes on where the last ended. */
export const maxRankings = 32

/** What the thread is asked. Changes are answered by `applied`, all else by its id. */
export type ToSearch =
  | { readonly kind: 'apply'; readonly change: BlogChange }
  /** writes what has come so far */
  | { readonly kind: 'commit' }
  | { readonly kind: 'flush' | 'clear' | 'close'; readonly id: number }
  | {
      readonly kind: 'search'
      readonly id: number
      readonly query: ParsedQuery
      readonly order: Order
      readonly after: Position | null
      readonly limit: number
    }
  | {
      readonly kind: 'blogs'
      readonly id: number
      readonly after: string | null
      readonly limit: number
    }

/**
 * Where a page ends: at the post of a place; for `best` also in which ranking, by the newest post
 * in it, and how far down.
 */
export type Position = { readonly at: number; readonly upTo: number; readonly rank: number }
export type FoundPage = { readonly hits: readonly Hit[]; readonly next: Position | null }

export type FromSearch =
  | {
      readonly kind: 'opened'
      readonly blogs: readonly IndexedBlog[]
      /** why what was there was deleted, or is not used; null: nothing is wrong */
      readonly trouble: { readonly kind: string; readonly reason: string } | null
    }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  /** so many changes are on the disk */
  | { readonly kind: 'applied'; readonly changes: number; readonly posts: number }
  /** the file turned out to be damaged: everything has to be indexed again */
  | { readonly kind: 'rebuilt'; readonly reason: string }
  /** the disk takes nothing now; what was to be written is kept and tried again */
  | { readonly kind: 'write-failed'; readonly reason: string }

const { path } = workerData as { readonly path: string }
const port = parentPort as NonNullable<typeof parentPort>
const tell = (message: FromSearch) => port.postMessage(message)

let store: SearchStore
/** what the store stands in; empty: in a temporary file, since the other one is not to be had */
let used = path
let waiting: BlogChange[] = []
let posts = 0
let characters = 0
const rankings = new Map<string, readonly number[]>()

/** Opens the file; what cannot be used is deleted, but for what another process uses. */
function open(): void {
  try {
    store = SearchStore.open(path)
    tell({ kind: 'opened', blogs: store.allBlogs(), trouble: null })
  } catch (error) {
    if (!(error instanceof SearchStoreError)) throw error
    let { kind } = error
    let reason = error.message
    const isOurs = kind === 'damaged' || kind === 'other-version'
    try {
      if (isOurs) deleteSearchFiles(path)
      else used = ''
      store = SearchStore.open(used)
    } catch (again) {
      kind = 'unusable'
      reason += `; and then ${(again as Error).message}`
      used = ''
      store = SearchStore.open(used)
    }
    tell({ kind: 'opened', blogs: [], trouble: { kind, reason } })
  }
}

/** A damaged index is thrown away, whatever was being done with it. */
function rebuild(error: unknown): void {
  const { message } = error as Error
  store.close()
  rankings.clear()
  forgetWaiting()
  try {
    if (used !== '') deleteSearchFiles(used)
    store = SearchStore.open(used)
  } catch {
    used = ''
    store = SearchStore.open(used)
  }
  tell({ kind: 'rebuilt', reason: message })
}

function forgetWaiting(): void {
  tell({ kind: 'applied', changes: waiting.length, posts: 0 })
  waiting = []
  posts = 0
  characters = 0
}

function commit(): void {
  if (waiting.length === 0) return
  try {
    store.apply(waiting)
  } catch (error) {
    if (!isOfDisk(error)) throw error
    if (isDamage(error)) rebuild(error)
    else tell({ kind: 'write-failed', reason: (error as Error).message })
    return
  }
  const done = { changes: waiting.length, posts }
  waiting = []
  posts = 0
  characters = 0
  tell({ kind: 'applied', ...done })
}

function take(change: BlogChange): void {
  waiting.push(change)
  posts += change.put.length
  for (const { title, body } of change.put) characters += title.length + body.length
  if (posts >= maxGroupPosts || characters >= maxGroupCharacters) commit()
}

function search(asked: ToSearch & { kind: 'search' }): FoundPage {
  const { query, order, after, limit } = asked
  return order === 'best' && query.terms.length > 0
    ? searchBest(query, after, limit)
    : searchNewest(query, after, limit)
}

function searchNewest(query: ParsedQuery, after: Position | null, limit: number): FoundPage {
  const found = store.newest(query, after?.at ?? null, limit + 1)
  const hits = found.slice(0, limit)
  const last = hits.at(-1)
  const next = found.length > limit && last !== undefined ? { at: last.at, upTo: 0, rank: 0 } : null
  return { hits, next }
}

/**
 * The ranking of the first page is kept for the next ones: each new post changes how much a word
 * counts, and posts would be shown twice or never. One that is no longer kept is made again over
 * the posts of then, which is nearly the same.
 */
function searchBest(query: ParsedQuery, after: Position | null, limit: number): FoundPage {
  const newest = after?.upTo ?? store.newest(query, null, 1)[0]?.at
  if (newest === undefined) return { hits: [], next: null }
  const key = JSON.stringify([query.terms.map(({ words }) => words), query, newest])
  const places = rankings.get(key) ?? store.ranked(query, newest)
  rankings.delete(key)
  rankings.set(key, places)
  for (const oldest of rankings.keys()) {
    if (rankings.size <= maxRankings) break
    rankings.delete(oldest)
  }
  let index = after === null ? 0 : places.indexOf(after.at) + 1 || after.rank
  const hits: Hit[] = []
  let at = 0
  for (; index < places.length && hits.length < limit; index += 1) {
    at = places[index] as number
    const hit = store.hitAt(at)
    if (hit !== null) hits.push(hit)
  }
  return { hits, next: index < places.length ? { at, upTo: newest, rank: index } : null }
}

/** Answers from the store; one that turns out to be damaged answers as the empty one after it. */
function answer(asked: Exclude<ToSearch, { kind: 'apply' | 'commit' }>): unknown {
  switch (asked.kind) {
    case 'search':
      return search(asked)
    case 'blogs':
      return store.blogs(asked.after, asked.limit)
    case 'flush':
      return commit()
    case 'clear':
      forgetWaiting()
      rankings.clear()
      return store.clear()
    case 'close':
      commit()
      return store.close()
  }
}

port.on('message', (asked: ToSearch) => {
  if (asked.kind === 'apply') return take(asked.change)
  if (asked.kind === 'commit') return commit()
  let value: unknown
  try {
    value = answer(asked)
  } catch (error) {
    if (!isDamage(error)) throw error
    rebuild(error)
    value = answer(asked)
  }
  tell({ kind: 'answer', id: asked.id, value })
})
open()
