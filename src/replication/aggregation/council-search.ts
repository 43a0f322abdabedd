import type { PeerName } from '../../auth/peer-signature.ts'
import type { KeyRing } from '../../auth/public-key.ts'
import { accept, type Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../clock.ts'
import { type BlogName, decodeEntry, type Post } from '../log/entry.ts'
import type { EntryId, Signed } from '../log/text.ts'
import type { Collection } from './collection.ts'
import { type InnerAnswer, type InnerAsking, whyOwn } from './inner-asking.ts'
import { checkProvedPost, fromProvedPostRow, type ProvedPostRow } from './proved-post.ts'
import { type PageAsked, readCursor, type SearchIndex, searchBusy } from './search-index.ts'
import { type AnswerCoverage, hitsAnswer, type ListedBlog } from './search-messages.ts'
import { formatQuery, matchesQuery, type ParsedQuery, parseQuery } from './search-query.ts'

/** Different searches under way at once at a spoke; each has a page of hits in memory at most. */
export const maxCouncilSearches = 64

/** A post that was found: it holds by its author's signature, and has what was looked for. */
export type FoundPost = {
  readonly entry: Post
  readonly signed: Signed
  /** UTC year of its first revision, as its source says */
  readonly year: number
  /** when its source first saw this revision published, ms; not later than now here */
  readonly seenMs: number
}

/** What was searched. `own`: this spoke's blogs only; the reason goes on after "because". */
export type SearchCoverage =
  | ({ readonly kind: 'council'; readonly by: PeerName } & AnswerCoverage)
  | { readonly kind: 'own'; readonly reason: string }

export type FoundPage = {
  readonly query: ParsedQuery
  readonly posts: readonly FoundPost[]
  readonly next: string | null
  readonly coverage: SearchCoverage
}

type Parts = {
  readonly self: PeerName
  readonly asking: Pick<InnerAsking, 'ask'>
  readonly clock: Clock
  readonly keys: KeyRing
  /** `zone/council id`; null: not known yet */
  readonly council: () => string | null
  /** who has everything */
  readonly inner: () => readonly PeerName[]
  /** the genesis that an act in force names */
  readonly genesisOf: (blog: BlogName) => Promise<EntryId | 'unknown' | 'unreachable'>
  readonly own: {
    readonly index: SearchIndex
    readonly collection: Pick<Collection, 'entry'>
    /** what a front page of this peer says it covers; null: it collects for nobody */
    readonly coverage: () => AnswerCoverage | null
  }
}

/**
 * Searches the whole council from any spoke: asks a peer that has everything, and holds each hit
 * against its author's signature and against the query. Such a peer can leave posts out; one that
 * answers with anything else is asked last for ten minutes. When none answers the own index does,
 * and says so; when those that would are only busy, the reader is told to come back.
 */
export class CouncilSearch {
  readonly #parts: Parts
  /** searches under way; who asks the same meanwhile gets the same page */
  readonly #underWay = new Map<string, Promise<Verdict<FoundPage>>>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * One page. Codes: those of `parseQuery` and `SearchIndex.search`; SEARCH_BUSY too where the peers
   * that have everything had no time.
   *
   * @param text - what somebody typed
   */
  async search(text: string, page: PageAsked): Promise<Verdict<FoundPage>> {
    const query = parseQuery(text)
    if (!query.ok) return query
    const cursor = readCouncilCursor(page, query.value)
    if (!cursor.ok) return cursor
    const { order, limit } = page
    const key = JSON.stringify([formatQuery(query.value), order, limit, page.cursor])
    const same = this.#underWay.get(key)
    if (same !== undefined) return same
    if (this.#underWay.size >= maxCouncilSearches) return searchBusy
    const { inner, source } = cursor.value
    const found = this.#search(query.value, { ...page, cursor: inner }, source)
    this.#underWay.set(key, found)
    try {
      return await found
    } finally {
      this.#underWay.delete(key)
    }
  }

  async #search(
    query: ParsedQuery,
    page: PageAsked,
    source: string | null,
  ): Promise<Verdict<FoundPage>> {
    const { self, inner, own } = this.#parts
    // What began at the own index goes on there: another one's pages would have others between.
    if (source === 'own') {
      return this.#ownPage(query, page, {
        ...{ kind: 'own', reason: 'the results before these came from it alone' },
      })
    }
    const coverage = own.coverage()
    if (coverage !== null && inner().includes(self)) {
      return this.#ownPage(query, page, { kind: 'council', by: self, ...coverage })
    }
    const answered = await this.#ask(query, page, source as PeerName | null)
    if (answered.kind === 'answer') return accept(answered.value)
    if (answered.kind === 'busy') return searchBusy
    return this.#ownPage(query, page, { kind: 'own', reason: whyOwn(answered.why, inner().length) })
  }

  #ask(
    query: ParsedQuery,
    { order, cursor, limit }: PageAsked,
    first: PeerName | null,
  ): Promise<InnerAnswer<FoundPage>> {
    return this.#parts.asking.ask({
      body: { t: 'search', query: formatQuery(query), order, cursor, limit },
      shape: hitsAnswer,
      first,
      take: async (peer, answer) => {
        // A newcomer to the inner circle that has not made a front page covers nothing yet.
        if (answer.coverage === null) return 'new'
        if (answer.posts.length > limit) return 'too many hits'
        if (answer.next !== null && answer.next === cursor) return 'a page again'
        const posts = await this.#check(query, answer.posts)
        if (typeof posts === 'string') return posts
        const next = answer.next === null ? null : `${peer}~${answer.next}`
        const coverage = { kind: 'council', by: peer, ...answer.coverage } as const
        return { good: { query, posts, next, coverage } }
      },
    })
  }

  /** The hits that hold; a sentence where one shows that the peer lies. */
  async #check(query: ParsedQuery, rows: readonly ProvedPostRow[]): Promise<FoundPost[] | string> {
    const { council, keys, genesisOf, clock } = this.#parts
    const found: FoundPost[] = []
    const seen = new Set<string>()
    // All at once: to a newcomer that knows none of the blogs each is a question to others.
    const all = await Promise.all(
      rows.map(async (row) => {
        const proved = fromProvedPostRow(row)
        return { row, proved, genesis: await genesisOf(proved.blog) }
      }),
    )
    for (const { row, proved, genesis } of all) {
      const at = `entry ${row.seq} of ${row.blog}`
      // Nothing can be said of it now: it is left out, and is no lie.
      if (genesis === 'unknown' || genesis === 'unreachable') continue
      const checked = await checkProvedPost(proved, { council: council() ?? '', genesis, keys })
      if (!checked.ok) return `${at} does not hold: ${checked.code}`
      const { entry, year, signed } = checked.value
      const key = `${entry.log}/${entry.slug}`
      if (seen.has(key)) return `${at} is there twice`
      seen.add(key)
      if (!matchesQuery(query, { ...entry, blog: entry.log })) return `${at} has other words`
      found.push({ entry, year, signed, seenMs: Math.min(row.seen, clock.now()) })
    }
    return found
  }

  async #ownPage(
    query: ParsedQuery,
    page: PageAsked,
    coverage: SearchCoverage,
  ): Promise<Verdict<FoundPage>> {
    const { index, collection } = this.#parts.own
    const found = await index.search(query, page)
    if (!found.ok) return found
    const posts: FoundPost[] = []
    for (const { blog, seq, id, year } of found.value.hits) {
      const held = await collection.entry(blog, seq)
      const entry = held === null ? null : decodeEntry(held.text)
      // The index is derived: what it has and the collection has not is not shown.
      if (held === null || entry?.ok !== true || entry.value.kind !== 'post') continue
      if (entry.value.id !== id) continue
      const { text, signature, seenMs } = held
      posts.push({ entry: entry.value, year, signed: { text, signature }, seenMs })
    }
    const { next } = found.value
    const source = coverage.kind === 'own' ? 'own' : coverage.by
    return accept({ query, posts, next: next === null ? null : `${source}~${next}`, coverage })
  }
}

/** `source`: who gave the page before; `inner`: what that one goes on by. */
type Cursor = { readonly source: string | null; readonly inner: string | null }

/** Who has left the inner circle is not asked any more; the others go on from there. */
function readCouncilCursor({ cursor, order }: PageAsked, query: ParsedQuery): Verdict<Cursor> {
  if (cursor === null) return accept({ source: null, inner: null })
  const [, source = '', inner = ''] = /^([A-Za-z0-9]{1,80})~([\w.-]{1,100})$/.exec(cursor) ?? []
  const place = readCursor(inner, query, order)
  return place.ok ? accept({ source, inner }) : place
}

/** The index in the form in which other peers' questions are answered from it. */
export function indexForAnswers(index: SearchIndex) {
  return {
    search: async (text: string, page: PageAsked) => {
      const query = parseQuery(text)
      return query.ok ? index.search(query.value, page) : query
    },
    blogs: async (after: string | null, limit: number): Promise<Verdict<readonly ListedBlog[]>> => {
      const blogs = await index.blogs(after, limit)
      if (!blogs.ok) return blogs
      return accept(
        blogs.value.map(({ blog, title, lang, posts }) => ({ blog, title, lang, posts })),
      )
    },
  }
}
