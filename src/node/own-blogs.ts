import type { Kept, Replicas } from '../replication/exchange/replica.ts'
import type { Revocations } from '../replication/exchange/revocations.ts'
import type { Visit } from '../replication/exchange/visits.ts'
import type { Blog, BlogPost, Revision } from '../replication/log/blog.ts'
import { type BlogName, decodeEntry, type Post } from '../replication/log/entry.ts'
import type { LogStore } from '../replication/log/store.ts'
import type { EntryId } from '../replication/log/text.ts'
import { maxFrontPerBlog, maxFrontPosts } from '../replication/protocol.ts'
import { publishedFrom } from '../replication/registry/assignment.ts'
import { keyMark } from '../web/revoked-notice.ts'
import type { CouncilPost } from '../web/spoke.ts'

/** A post without its text, as far as it is published. */
type Listed = {
  readonly blog: BlogName
  readonly post: BlogPost
  readonly shown: Revision
  readonly seenMs: number
}
type Summary = { readonly mark: string; readonly newest: readonly Listed[] }

type Parts = {
  readonly replicas: Pick<Replicas, 'all' | 'changes' | 'published'>
  readonly ingest: Visit['ingest']
  readonly store: LogStore
  readonly revocations: Pick<Revocations, 'of' | 'count'>
  readonly fold: (name: BlogName) => Promise<Blog | null>
}

/** The blogs of which this spoke is a replica, as lists of the whole council show them. */
export class OwnBlogs {
  readonly #parts: Parts
  readonly #summaries = new Map<BlogName, Summary>()
  /** entries on the last list, read and checked then: a text never changes under its id */
  #read = new Map<EntryId, Post>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Changes when something did that `newest` tells of; cheap. */
  mark(): string {
    const { replicas, ingest, revocations } = this.#parts
    const { submit, gossip, push, pull } = ingest.counts
    const damaged = ingest.damage.all().length
    return `${replicas.changes()} ${submit + gossip + push + pull} ${revocations.count} ${damaged}`
  }

  /** The newest posts. Only blogs that changed since the last time are read, and posts that are new. */
  async newest(): Promise<readonly CouncilPost[]> {
    const newest: Listed[] = []
    const kept = this.#parts.replicas.all().filter(({ role }) => role !== 'none')
    const names = new Set(kept.map(({ assignment }) => assignment.blog))
    for (const name of this.#summaries.keys()) if (!names.has(name)) this.#summaries.delete(name)
    for (const each of kept) {
      const summary = await this.#summaryOf(each)
      if (summary === null) continue
      newest.push(...summary.newest)
    }
    const posts: CouncilPost[] = []
    const read = new Map<EntryId, Post>()
    for (const listed of newest.sort(newestFirst)) {
      if (posts.length === maxFrontPosts) break
      const { id } = listed.shown
      const entry = this.#read.get(id) ?? (await this.#readPost(listed))
      if (entry === null) continue
      read.set(id, entry)
      posts.push(this.#shownAs(listed, entry))
    }
    this.#read = read
    return posts
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
      if (newest.length === maxFrontPerBlog) break
    }
    const summary = { mark, newest }
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
      (await replicas.published.ms(blog, first.seq)) ??
      (isAlone ? ((await store.entry(blog, first.seq))?.firstMs ?? null) : null)
    if (seenMs === null) return null
    for (const shown of [...post.revisions].reverse()) {
      if (isAlone || shown === first || (await replicas.published.ms(blog, shown.seq)) !== null) {
        return { blog, post, shown, seenMs }
      }
    }
    return null
  }

  async #readPost({ blog, shown }: Listed): Promise<Post | null> {
    const stored = await this.#parts.ingest.read(blog, shown.seq)
    const entry = stored === null ? null : decodeEntry(stored.text)
    // Damaged here: it is fetched again from another spoke, and then it is there.
    if (!entry?.ok || entry.value.kind !== 'post' || entry.value.id !== shown.id) return null
    return entry.value
  }

  #shownAs({ blog, post, shown, seenMs }: Listed, { body }: Post): CouncilPost {
    const { title, lang, tags, dateMs, key } = shown
    const mark = keyMark(this.#parts.revocations.of(key))
    const { slug, year } = post
    return { blog, title, slug, year, lang, tags, seenMs, dateMs, key, body, mark }
  }
}

const newestFirst = (a: Listed, b: Listed) => b.seenMs - a.seenMs
