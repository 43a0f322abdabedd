import type { Visit } from '../replication/exchange/read.ts'
import type { Kept, Replicas } from '../replication/exchange/replica.ts'
import type { Revocations } from '../replication/exchange/revocations.ts'
import type { Blog, BlogPost, Revision } from '../replication/log/blog.ts'
import { type BlogName, decodeEntry } from '../replication/log/entry.ts'
import type { LogStore } from '../replication/log/store.ts'
import { publishedFrom } from '../replication/registry/assignment.ts'
import { keyMark } from '../web/revoked-notice.ts'
import type { CouncilPost, HomeBlog } from '../web/spoke.ts'

/** Posts on a front page, and how many of them one blog may have (DESIGN 7). */
const newestPosts = 20
const newestPerBlog = 3

/** A post without its text, as far as it is published. */
type Listed = {
  readonly blog: BlogName
  readonly post: BlogPost
  readonly shown: Revision
  readonly seenMs: number
}
type Summary = {
  readonly mark: string
  readonly listed: HomeBlog
  readonly newest: readonly Listed[]
}

type Parts = {
  readonly replicas: Pick<Replicas, 'all' | 'changes' | 'publishedMs'>
  readonly ingest: Visit['ingest']
  readonly store: LogStore
  readonly revocations: Pick<Revocations, 'of' | 'count'>
  readonly fold: (name: BlogName) => Promise<Blog | null>
}

/** The blogs of which this spoke is a replica, as lists of the whole council show them. */
export class OwnBlogs {
  readonly #parts: Parts
  readonly #summaries = new Map<BlogName, Summary>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Changes when something did that `look` or `posts` tell of; cheap. */
  mark(): string {
    const { replicas, ingest, revocations } = this.#parts
    const { submit, gossip, push, pull } = ingest.counts
    const damaged = ingest.damage.all().length
    return `${replicas.changes()} ${submit + gossip + push + pull} ${revocations.count} ${damaged}`
  }

  /** All blogs by name, and the newest posts. Only blogs that changed since the last look are read. */
  async look(): Promise<{ blogs: readonly HomeBlog[]; posts: readonly CouncilPost[] }> {
    const blogs: HomeBlog[] = []
    const newest: Listed[] = []
    const kept = this.#parts.replicas.all().filter(({ role }) => role !== 'none')
    const names = new Set(kept.map(({ assignment }) => assignment.blog))
    for (const name of this.#summaries.keys()) if (!names.has(name)) this.#summaries.delete(name)
    for (const each of kept) {
      const summary = await this.#summaryOf(each)
      if (summary === null) continue
      blogs.push(summary.listed)
      newest.push(...summary.newest)
    }
    blogs.sort((a, b) => (a.blog < b.blog ? -1 : 1))
    const posts: CouncilPost[] = []
    for (const listed of newest.sort(newestFirst)) {
      if (posts.length === newestPosts) break
      const post = await this.#read(listed)
      if (post !== null) posts.push(post)
    }
    return { blogs, posts }
  }

  /** Published posts with their texts, those dated last first, at most so many. */
  async *posts(most: number): AsyncGenerator<CouncilPost> {
    const all: { kept: Kept; post: BlogPost }[] = []
    for (const kept of this.#parts.replicas.all()) {
      const blog = kept.role === 'none' ? null : await this.#parts.fold(kept.assignment.blog)
      for (const post of blog?.posts() ?? []) all.push({ kept, post })
    }
    all.sort((a, b) => begunMs(b.post) - begunMs(a.post))
    for (const { kept, post } of all.slice(0, most)) {
      const listed = await this.#listed(kept, post)
      const read = listed === null ? null : await this.#read(listed)
      if (read !== null) yield read
    }
  }

  async #summaryOf(kept: Kept): Promise<Summary | null> {
    const { replicas, ingest, fold } = this.#parts
    const name = kept.assignment.blog
    const head = (await ingest.record(name))?.head
    const mark = `${head?.id} ${replicas.changes(name)}`
    const known = this.#summaries.get(name)
    if (known?.mark === mark) return known
    const blog = await fold(name)
    if (blog === null) return null
    const newest: Listed[] = []
    for (const post of blog.posts()) {
      const listed = await this.#listed(kept, post)
      if (listed !== null) newest.push(listed)
      if (newest.length === newestPerBlog) break
    }
    const { title, lang, postCount } = blog
    const summary = { mark, listed: { blog: name, title, lang, posts: postCount }, newest }
    this.#summaries.set(name, summary)
    return summary
  }

  /** The post with its newest published version; null while none is (REPLICATION 3). */
  async #listed({ assignment }: Kept, post: BlogPost): Promise<Listed | null> {
    const { replicas, store } = this.#parts
    const { blog } = assignment
    const [first] = post.revisions
    if (first === undefined) return null
    // With one replica stored is all that there is (REPLICATION 4).
    const isAlone = publishedFrom(assignment) === null
    const seenMs =
      (await replicas.publishedMs(blog, first.seq)) ??
      (isAlone ? ((await store.entry(blog, first.seq))?.firstMs ?? null) : null)
    if (seenMs === null) return null
    for (const shown of [...post.revisions].reverse()) {
      if (isAlone || shown === first || (await replicas.publishedMs(blog, shown.seq)) !== null) {
        return { blog, post, shown, seenMs }
      }
    }
    return null
  }

  async #read({ blog, post, shown, seenMs }: Listed): Promise<CouncilPost | null> {
    const stored = await this.#parts.ingest.read(blog, shown.seq)
    const entry = stored === null ? null : decodeEntry(stored.text)
    // Damaged here: it is fetched again from another spoke, and then it is there.
    if (!entry?.ok) return null
    const { title, lang, tags, dateMs, key } = shown
    const mark = keyMark(this.#parts.revocations.of(key))
    const { slug, year } = post
    const { body } = entry.value
    return { blog, title, slug, year, lang, tags, seenMs, dateMs, key, body, mark }
  }
}

const begunMs = (post: BlogPost) => (post.revisions[0] ?? post.current).dateMs
const newestFirst = (a: Listed, b: Listed) => b.seenMs - a.seenMs
