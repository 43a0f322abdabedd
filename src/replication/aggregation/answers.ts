import type { PeerName } from '../../auth/peer-signature.ts'
import { type Refusal, refuse, type Verdict } from '../../auth/verdict.ts'
import type { BlogName } from '../log/entry.ts'
import { answer, type Network, refusalAnswer } from '../network.ts'
import { maxPageBytes, SEARCH } from '../protocol.ts'
import { signedRow } from '../registry/proof.ts'
import type { Collection } from './collection.ts'
import type { FrontPosts } from './front-posts.ts'
import type { FrontPublisher } from './front-publisher.ts'
import { type ProvedPost, provedBytes, provedPostRow, provePost } from './proved-post.ts'
import {
  type AnswerCoverage,
  type ListedBlog,
  type SearchRequest,
  searchRequest,
} from './search-messages.ts'
import type { Hit } from './search-store.ts'

/**
 * Requests of one peer that are worked on at once, and of all peers. Of a peer's own `maxAskedAtOnce`
 * are its readers'; the others are for its looks at the front page.
 */
export const maxAtOncePerPeer = 6
export const maxAtOnce = 32
/** After what time a peer may ask again that had too many under way, ms. */
const busyRetryMs = 200

/** What the answers need of a search index. */
export type AnswerIndex = {
  readonly search: (
    query: string,
    page: {
      readonly order: 'newest' | 'best'
      readonly cursor: string | null
      readonly limit: number
    },
  ) => Promise<
    Verdict<{
      readonly hits: readonly Pick<Hit, 'blog' | 'seq' | 'year'>[]
      readonly next: string | null
    }>
  >
  readonly blogs: (after: string | null, limit: number) => Promise<Verdict<readonly ListedBlog[]>>
}

/**
 * What a peer that collects answers to members on `/council/search/1`: its front page and what
 * stands behind it, posts that prove themselves, blogs, and searches.
 */
export class Answers {
  readonly #parts: Parts
  readonly #working = new Map<PeerName, number>()
  #all = 0

  constructor(parts: Parts) {
    this.#parts = parts
  }

  start(): void {
    this.#parts.network.handle(
      SEARCH,
      answer(searchRequest, async (from, body) => {
        const own = this.#working.get(from) ?? 0
        if (own >= maxAtOncePerPeer || this.#all >= maxAtOnce) {
          const more = { retryMs: busyRetryMs }
          return refusalAnswer(
            refuse('RATE_LIMITED', 'Too many questions are under way here. Ask again soon.', more),
          )
        }
        this.#working.set(from, own + 1)
        this.#all++
        try {
          return await this.#answer(body)
        } finally {
          this.#all--
          const left = (this.#working.get(from) ?? 1) - 1
          if (left === 0) this.#working.delete(from)
          else this.#working.set(from, left)
        }
      }),
    )
  }

  async #answer(body: SearchRequest): Promise<unknown> {
    const { publisher, index } = this.#parts
    switch (body.t) {
      case 'front': {
        const made = publisher.newest()
        return { front: made === null ? null : signedRow(made.signed) }
      }
      case 'manifest':
        return this.#manifest(body)
      case 'posts':
        return this.#posts(body.posts)
      case 'blogs': {
        const held = index()
        if (held === null) return refusalAnswer(noIndex)
        const { limit } = body
        const found = await held.blogs(body.after, limit)
        // An empty list would say that there are none.
        if (!found.ok) return refusalAnswer(found)
        const blogs = found.value
        const next = blogs.length < limit ? null : (blogs.at(-1)?.blog ?? null)
        return { blogs: blogs.slice(0, limit), next, coverage: this.#coverage() }
      }
      case 'search':
        return this.#search(body)
    }
  }

  #manifest({ root, buckets }: SearchRequest & { t: 'manifest' }): unknown {
    const snapshot = this.#parts.publisher.manifestOf(root)
    if (snapshot === null) {
      return refusalAnswer(
        refuse('MANIFEST_UNKNOWN', 'No front page of the last seconds has this manifest.'),
      )
    }
    const texts: Uint8Array[] = []
    let bytes = 0
    for (const at of buckets) {
      const text = Buffer.from(snapshot.texts[at] as string)
      bytes += text.length
      if (texts.length > 0 && bytes > maxPageBytes) break
      texts.push(text)
    }
    return { hashes: snapshot.hashes, buckets: texts }
  }

  async #posts(asked: readonly (readonly [string, number])[]): Promise<unknown> {
    const posts: ProvedPost[] = []
    let bytes = 0
    for (const [blog, seq] of asked) {
      const { collection, posts: known } = this.#parts
      const year = await known.yearOf(blog as BlogName, seq)
      const proved = await provePost(collection, blog as BlogName, seq, year)
      if (proved === null) continue
      bytes += provedBytes(proved)
      if (posts.length > 0 && bytes > maxPageBytes)
        return { posts: posts.map(provedPostRow), more: true }
      posts.push(proved)
    }
    return { posts: posts.map(provedPostRow), more: false }
  }

  async #search(body: SearchRequest & { t: 'search' }): Promise<unknown> {
    const index = this.#parts.index()
    if (index === null) return refusalAnswer(noIndex)
    const { query, order, cursor } = body
    for (let { limit } = body; ; ) {
      const found = await index.search(query, { order, cursor, limit })
      if (!found.ok) return refusalAnswer(found)
      const posts: ProvedPost[] = []
      let bytes = 0
      let isCut = false
      for (const [at, { blog, seq, year }] of found.value.hits.entries()) {
        const proved = await provePost(this.#parts.collection, blog, seq, year)
        // The index is derived: what it still has and the collection has not cannot be proved.
        if (proved === null) continue
        bytes += provedBytes(proved)
        if (at > 0 && bytes > maxPageBytes) {
          // The cursor is the index's own: a page that ends here has to come from there.
          limit = at
          isCut = true
          break
        }
        posts.push(proved)
      }
      if (isCut) continue
      const { next } = found.value
      return { posts: posts.map(provedPostRow), next, coverage: this.#coverage() }
    }
  }

  #coverage(): AnswerCoverage | null {
    const page = this.#parts.publisher.newest()?.page ?? null
    if (page === null) return null
    return { spokes: page.covered, of: page.of, blogs: page.blogs, at: page.atMs }
  }
}

const noIndex: Refusal = refuse('NO_INDEX', 'This peer has no search index now. Ask another one.')

type Parts = {
  readonly network: Pick<Network, 'handle'>
  /** what is collected here */
  readonly collection: Pick<Collection, 'entry' | 'keySeqs'>
  readonly posts: Pick<FrontPosts, 'yearOf'>
  readonly publisher: Pick<FrontPublisher, 'newest' | 'manifestOf'>
  /** null: none, or it is being made anew */
  readonly index: () => AnswerIndex | null
}
