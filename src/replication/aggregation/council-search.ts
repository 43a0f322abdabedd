import type { PeerName } from '../../auth/peer-signature.ts'
import type { KeyRing } from '../../auth/public-key.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../clock.ts'
import { type BlogName, decodeEntry, type Post } from '../log/entry.ts'
import type { EntryId, Signed } from '../log/text.ts'
import { ask, type Network } from '../network.ts'
import { SEARCH } from '../protocol.ts'
import type { Collection } from './collection.ts'
import { checkProvedPost, fromProvedPostRow, type ProvedPostRow } from './proved-post.ts'
import { type PageAsked, readCursor, type SearchIndex } from './search-index.ts'
import { type AnswerCoverage, hitsAnswer, type ListedBlog } from './search-messages.ts'
import { formatQuery, matchesQuery, type ParsedQuery, parseQuery } from './search-query.ts'

/** How long a peer may take for an answer before the next one is asked, ms. */
export const peerSearchMs = 1_000
/** Peers that are asked for one page, one after the other. */
export const maxPeersAsked = 3
/** Searches under way at once at a spoke. */
export const maxCouncilSearches = 32
/** How long a peer whose answer did not hold is asked last, ms. */
export const distrustMs = 600_000

/** A post that was found: it holds by its author's signature, and has what was looked for. */
export type FoundPost = {
  readonly entry: Post
  readonly signed: Signed
  /** when its source first saw this revision published, ms; not later than now here */
  readonly seenMs: number
}

/** What was searched. `own`: this spoke's blogs only, and why, as a sentence for readers. */
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
  readonly network: Network
  readonly clock: Clock
  readonly keys: KeyRing
  /** `zone/council id`; null: not known yet */
  readonly council: () => string | null
  /** who has everything, whom to ask first before the others */
  readonly inner: () => readonly PeerName[]
  /** the genesis that an act in force names */
  readonly genesisOf: (blog: BlogName) => Promise<EntryId | 'unknown' | 'unreachable'>
  readonly own: {
    readonly index: SearchIndex
    readonly collection: Pick<Collection, 'entry'>
    /** what a front page of this peer says it covers; null: it collects for nobody */
    readonly coverage: () => AnswerCoverage | null
  }
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/**
 * Searches the whole council from any spoke: asks a peer that has everything, and holds each hit
 * against its author's signature and against the query. Such a peer can leave posts out; one that
 * answers with anything else is asked last for ten minutes. When none answers the own index does,
 * and says so.
 */
export class CouncilSearch {
  readonly #parts: Parts
  readonly #distrusted = new Map<PeerName, number>()
  #underWay = 0

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * One page. Codes: those of `parseQuery` and `SearchIndex.search`.
   *
   * @param text - what somebody typed
   */
  async search(text: string, page: PageAsked): Promise<Verdict<FoundPage>> {
    const query = parseQuery(text)
    if (!query.ok) return query
    const cursor = readCouncilCursor(page, query.value)
    if (!cursor.ok) return cursor
    if (this.#underWay >= maxCouncilSearches) return busy
    this.#underWay += 1
    try {
      return await this.#search(query.value, { ...page, cursor: cursor.value.inner }, cursor.value)
    } finally {
      this.#underWay -= 1
    }
  }

  async #search(query: ParsedQuery, page: PageAsked, { source }: Cursor) {
    const { network, inner, own } = this.#parts
    const coverage = own.coverage()
    if (coverage !== null && inner().includes(network.self) && source !== 'own') {
      return this.#ownPage(query, page, { kind: 'council', by: network.self, ...coverage })
    }
    // What began at the own index goes on there: another one's pages would have others between.
    const peers = source === 'own' ? [] : this.#peersToAsk(source)
    for (const peer of peers) {
      const answered = await this.#askPeer(peer, query, page)
      if (answered !== null) return answered
    }
    return this.#ownPage(query, page, { kind: 'own', reason: whyOwn(source, inner().length) })
  }

  /** The one whose page was before, then the others, last those that were found lying. */
  #peersToAsk(first: string | null): PeerName[] {
    const { network, inner, clock } = this.#parts
    const nowMs = clock.now()
    const rank = (peer: PeerName) =>
      (this.#distrusted.get(peer) ?? 0) > nowMs ? 2 : Number(peer !== first && first !== null)
    return inner()
      .filter((peer) => peer !== network.self)
      .sort((a, b) => rank(a) - rank(b))
      .slice(0, maxPeersAsked)
  }

  /** @returns null: no answer, or one that does not hold; the next one is to be asked */
  async #askPeer(
    peer: PeerName,
    query: ParsedQuery,
    { order, cursor, limit }: PageAsked,
  ): Promise<Verdict<FoundPage> | null> {
    const body = { t: 'search', query: formatQuery(query), order, cursor, limit }
    const { network } = this.#parts
    let answer: { posts: ProvedPostRow[]; next: string | null; coverage: AnswerCoverage | null }
    try {
      answer = await ask(network, peer, SEARCH, body, hitsAnswer, peerSearchMs)
    } catch (error) {
      this.#parts.report('search_unanswered', { peer, reason: (error as Error).message })
      return null
    }
    // A newcomer to the inner circle that has not made a front page covers nothing yet.
    if (answer.coverage === null) return null
    const posts = await this.#check(query, answer.posts)
    const isTooMany = answer.posts.length > limit
    const isSame = answer.next !== null && answer.next === cursor
    if (typeof posts === 'string' || isTooMany || isSame) {
      const what = typeof posts === 'string' ? posts : isTooMany ? 'too many hits' : 'a page again'
      this.#parts.report('search_lie', { peer, what })
      this.#distrusted.set(peer, this.#parts.clock.now() + distrustMs)
      return null
    }
    const next = answer.next === null ? null : `${peer}~${answer.next}`
    const coverage = { kind: 'council', by: peer, ...answer.coverage } as const
    return accept({ query, posts, next, coverage })
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
      const { entry, signed } = checked.value
      const key = `${entry.log}/${entry.slug}`
      if (seen.has(key)) return `${at} is there twice`
      seen.add(key)
      if (!matchesQuery(query, { ...entry, blog: entry.log })) return `${at} has other words`
      found.push({ entry, signed, seenMs: Math.min(row.seen, clock.now()) })
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
    for (const { blog, seq, id } of found.value.hits) {
      const held = await collection.entry(blog, seq)
      const entry = held === null ? null : decodeEntry(held.text)
      // The index is derived: what it has and the collection has not is not shown.
      if (held === null || entry?.ok !== true || entry.value.kind !== 'post') continue
      if (entry.value.id !== id) continue
      const { text, signature, seenMs } = held
      posts.push({ entry: entry.value, signed: { text, signature }, seenMs })
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

function whyOwn(source: string | null, inner: number): string {
  if (source === 'own') return 'The pages before this one came from this spoke alone.'
  return inner === 0
    ? 'Nobody in this council collects all blogs.'
    : 'No spoke that collects all blogs answered.'
}

const busy = refuse('SEARCH_BUSY', 'Too many searches are under way. Try again in a second.', {
  retryMs: 1_000,
})
/** The index in the form in which other peers' questions are answered from it. */
export function indexForAnswers(index: SearchIndex) {
  return {
    search: async (text: string, page: PageAsked) => {
      const query = parseQuery(text)
      return query.ok ? index.search(query.value, page) : query
    },
    blogs: async (after: string | null, limit: number): Promise<readonly ListedBlog[]> => {
      const blogs = await index.blogs(after, limit)
      if (!blogs.ok) return []
      return blogs.value.map(({ blog, title, lang, posts }) => ({ blog, title, lang, posts }))
    },
  }
}
