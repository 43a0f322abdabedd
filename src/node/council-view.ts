import { accept, refuse, type Verdict } from '../auth/verdict.ts'
import type {
  Coverage,
  Found,
  FoundPost,
  Front,
  HomeBlog,
  SearchAsked,
  WebSpoke,
} from '../web/spoke.ts'
import type { OwnBlogs } from './own-blogs.ts'
import { readTerms, scoreOf, snippetOf } from './own-search.ts'
import { PacedFront } from './paced-front.ts'

/** Blogs on one page of their list. */
const blogsPerPage = 100
/** Posts that one search looks through, the newest. */
const maxLookedThrough = 2_000

/**
 * What the pages say of the whole council, from what this spoke has: at present from the blogs that
 * it keeps.
 */
export class CouncilView implements Pick<WebSpoke, 'front' | 'search' | 'councilBlogs'> {
  readonly #own: OwnBlogs
  readonly #front: PacedFront
  /** by name, as they were when the front page was made */
  #blogs: readonly HomeBlog[] = []

  constructor({ own, now }: { readonly own: OwnBlogs; readonly now: () => number }) {
    this.#own = own
    this.#front = new PacedFront({
      mark: () => own.mark(),
      make: async () => {
        const { blogs, posts } = await own.look()
        this.#blogs = blogs
        return { posts, coverage: ownOnly }
      },
      now,
    })
  }

  readonly front = (): Front | Promise<Front> => this.#front.get()

  readonly councilBlogs = async (after: string | null) => {
    await this.front()
    const blogs = this.#blogs
    const from = after === null ? 0 : blogs.findIndex(({ blog }) => blog > after)
    const shown = from < 0 ? [] : blogs.slice(from, from + blogsPerPage)
    const last = shown.at(-1)
    const next = last === undefined || last === blogs.at(-1) ? null : last.blog
    return { blogs: shown, next, coverage: ownOnly }
  }

  readonly search = async ({
    query,
    order,
    cursor,
    limit,
  }: SearchAsked): Promise<Verdict<Found>> => {
    const terms = readTerms(query)
    if (!terms.ok) return terms
    if (cursor !== null && !/^[0-9]{1,6}$/.test(cursor)) {
      return refuse('SEARCH_CURSOR', 'There is no such page of results. Search again.')
    }
    const from = Number(cursor ?? 0)
    const found: { post: FoundPost; score: number }[] = []
    for await (const post of this.#own.posts(maxLookedThrough)) {
      const score = scoreOf(post, terms.value)
      if (score === 0) continue
      found.push({ post: { ...post, snippet: snippetOf(post.body, terms.value) }, score })
      if (order === 'newest' && found.length > from + limit) break
    }
    if (order === 'best') found.sort((a, b) => b.score - a.score)
    return accept({
      hits: found.slice(from, from + limit).map(({ post }) => post),
      next: found.length > from + limit ? String(from + limit) : null,
      coverage: ownOnly,
      terms: terms.value,
    })
  }
}

const ownOnly: Coverage = {
  kind: 'own',
  reason: 'posts of other servers are not gathered here yet',
}
