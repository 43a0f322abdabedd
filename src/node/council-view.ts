import type { PeerName } from '../auth/peer-signature.ts'
import { accept, type Verdict } from '../auth/verdict.ts'
import type { Aggregation } from '../replication/aggregation/aggregation.ts'
import type { SearchCoverage } from '../replication/aggregation/council-search.ts'
import { markPost, markWords } from '../replication/aggregation/front-marks.ts'
import type { ShownFront } from '../replication/aggregation/fronts.ts'
import { formatQuery, type ParsedQuery } from '../replication/aggregation/search-query.ts'
import { snippetOf } from '../replication/aggregation/snippet.ts'
import type { Exchange } from '../replication/exchange/exchange.ts'
import type { BlogName, Post } from '../replication/log/entry.ts'
import { showDay } from '../web/plain-words.ts'
import type {
  CouncilPost,
  Coverage,
  Found,
  Front,
  HomeBlog,
  SearchAsked,
  SearchTerm,
  WebSpoke,
} from '../web/spoke.ts'
import type { OwnBlogs } from './own-blogs.ts'
import { PacedFront } from './paced-front.ts'

/** Blogs on one page of their list. */
const blogsPerPage = 100

type Parts = {
  readonly aggregation: Pick<Aggregation, 'fronts' | 'search' | 'blogs' | 'circle'>
  readonly exchange: Pick<Exchange, 'council' | 'registry' | 'revocations'>
  /** what there is to show while no front page has come */
  readonly own: OwnBlogs
  readonly now: () => number
}

/** What the pages say of the whole council: its front page, its search and its blogs. */
export class CouncilView implements Pick<WebSpoke, 'front' | 'search' | 'councilBlogs'> {
  readonly #parts: Parts
  readonly #front: PacedFront

  constructor(parts: Parts) {
    this.#parts = parts
    this.#front = new PacedFront({
      look: () => this.#look(),
      make: () => this.#make(),
      now: parts.now,
    })
  }

  readonly front = (): Front | Promise<Front> => this.#front.get()

  readonly councilBlogs = async (after: string | null) => {
    const listed = await this.#parts.aggregation.blogs(after, blogsPerPage)
    if (!listed.ok) return listed
    const { blogs, next, coverage, checked } = listed.value
    return accept({
      blogs: blogs.map((each): HomeBlog => ({ ...each, blog: each.blog as BlogName })),
      next,
      coverage: this.#coverageOf(coverage),
      checked,
    })
  }

  readonly search = async ({
    query,
    order,
    cursor,
    limit,
  }: SearchAsked): Promise<Verdict<Found>> => {
    const found = await this.#parts.aggregation.search.search(textOf(query), {
      ...{ order, cursor, limit },
    })
    if (!found.ok) return found
    const { posts, next, coverage, query: parsed } = found.value
    const hits = await Promise.all(
      posts.map(async ({ entry, ...seen }) => ({
        ...(await this.#postOf(entry, seen)),
        snippet: snippetOf(entry.body, parsed),
      })),
    )
    return accept({ hits, next, coverage: this.#coverageOf(coverage), terms: termsOf(parsed) })
  }

  #look(): { readonly mark: string; readonly atMs: number | null } {
    const { aggregation, exchange, own } = this.#parts
    const shown = aggregation.fronts.shown()
    if (shown === null) return { mark: `own ${this.#whyOwn()} ${own.mark()}`, atMs: null }
    const { head } = exchange.council.roster() ?? { head: null }
    const { revocations } = exchange
    const mark = `${shown.peer} ${shown.version} ${revocations.count} ${head?.id}`
    return { mark, atMs: shown.receivedMs }
  }

  async #make(): Promise<Omit<Front, 'version'>> {
    const { aggregation, own } = this.#parts
    const shown = aggregation.fronts.shown()
    if (shown === null)
      return { posts: await own.newest(), coverage: { kind: 'own', reason: this.#whyOwn() } }
    const posts = await Promise.all(
      shown.posts.map(({ entry, ...seen }) => this.#postOf(entry, seen)),
    )
    return { posts, coverage: this.#coverageOfFront(shown) }
  }

  async #postOf(
    entry: Post,
    { seenMs, year }: { readonly seenMs: number; readonly year: number },
  ): Promise<CouncilPost> {
    const { council, registry, revocations } = this.#parts.exchange
    const { log: blog, title, slug, lang, tags, dateMs, key, body } = entry
    const assignment = await registry.lookUp(blog)
    const mark = markPost(
      { key, seenMs },
      {
        revoked: revocations.of,
        primary: typeof assignment === 'string' ? null : assignment.primary,
        roster: council.roster(),
      },
    )
    return {
      ...{ blog, title, slug, year, lang, tags, seenMs, dateMs, key, body },
      mark: mark === null ? null : markWords(mark, showDay),
    }
  }

  #coverageOfFront({ page, peer, receivedMs }: ShownFront): Coverage {
    const { covered, of, blogs } = page
    return {
      ...{ kind: 'council', spokes: covered, of, blogs },
      ...{ by: this.#nameOf(peer), atMs: receivedMs },
    }
  }

  #coverageOf(coverage: SearchCoverage): Coverage {
    if (coverage.kind === 'own') return coverage
    const { spokes, of, blogs, by, at } = coverage
    return {
      kind: 'council',
      spokes,
      of,
      blogs,
      by: this.#nameOf(by),
      atMs: this.#byOwnClock(by, at),
    }
  }

  #byOwnClock(peer: PeerName, atMs: number): number {
    const { aggregation, now } = this.#parts
    const front = aggregation.fronts.complete().find((each) => each.peer === peer)
    return byOwnClock(atMs, front ?? null, now())
  }

  #nameOf(peer: string): string {
    return this.#parts.exchange.council.roster()?.members.get(peer as never)?.name ?? peer
  }

  /** Why the front page is this spoke's own; of searches and blogs says it who has asked. */
  #whyOwn(): string {
    return this.#parts.aggregation.circle().inner.length === 0
      ? 'nobody in this council gathers the posts of all'
      : 'none of the servers that gather the posts of all has answered yet'
  }
}

/**
 * An instant that another spoke told, by the clock here: the front page that it made, and that came
 * here at a known moment, shows how far its clock is ahead. Never later than now. Pure.
 *
 * @param front - null: none of that spoke has come
 */
export function byOwnClock(
  atMs: number,
  front: { readonly page: { readonly atMs: number }; readonly receivedMs: number } | null,
  nowMs: number,
): number {
  const aheadMs = front === null ? 0 : front.page.atMs - front.receivedMs
  return Math.min(atMs - aheadMs, nowMs)
}

/** A search as text, in the form that a person types. */
export function textOf(query: SearchAsked['query']): string {
  if (typeof query === 'string') return query
  const none = { terms: [], blog: null, lang: null, tags: [] }
  return formatQuery(
    'tag' in query ? { ...none, tags: [query.tag] } : { ...none, lang: query.lang },
  )
}

/** A query's parts, as the page of what was found names them. */
export function termsOf({ terms, blog, lang, tags }: ParsedQuery): SearchTerm[] {
  return [
    ...terms.map(
      ({ text, words }): SearchTerm => ({
        ...{ kind: words.length > 1 ? 'phrase' : 'word', text },
      }),
    ),
    ...(blog === null ? [] : [{ kind: 'blog' as const, text: blog }]),
    ...(lang === null ? [] : [{ kind: 'lang' as const, text: lang }]),
    ...tags.map((text): SearchTerm => ({ kind: 'tag', text })),
  ]
}
