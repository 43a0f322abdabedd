import type { PeerName } from '../../auth/peer-signature.ts'
import type { KeyRing } from '../../auth/public-key.ts'
import { refuse, type Verdict } from '../../auth/verdict.ts'
import type { Finding } from '../exchange/reports.ts'
import { type BlogName, decodeEntry } from '../log/entry.ts'
import { type EntryId, idOf, type Signed } from '../log/text.ts'
import { ask, type Network } from '../network.ts'
import { SEARCH } from '../protocol.ts'
import type { Roster } from '../registry/roster.ts'
import type { Collection } from './collection.ts'
import type { FrontPage, FrontPost } from './front-page.ts'
import type { FrontPosts } from './front-posts.ts'
import { type CheckedPost, checkProvedPost, fromProvedPostRow } from './proved-post.ts'
import { postsAnswer } from './search-messages.ts'

/** Checked posts in memory: those of a few pages of each peer of an inner circle. */
const maxPosts = 400

/** `refuted`: there is no such post; `undecided`: nobody can say anything about it now. */
export type Outcome = CheckedPost | 'refuted' | 'undecided'

/** What shows that who made a page lied, as far as a report can name it. */
export type FrontLie = Omit<Finding, 'kind' | 'served' | 'answer' | 'receipt'>

/** What it takes to check the posts of a page. */
export type NamedPostsParts = {
  readonly network: Network
  readonly keys: KeyRing
  readonly roster: () => Roster | null
  /** what this peer has at hand itself, and the posts of it */
  readonly collection: Pick<Collection, 'entry'>
  readonly posts: Pick<FrontPosts, 'yearOf'>
  /** the genesis that an act in force names */
  readonly genesisOf: (blog: BlogName) => Promise<EntryId | 'unknown' | 'unreachable'>
  /** an entry as the replicas of its blog have it, checked */
  readonly entryAt: (blog: BlogName, seq: number) => Promise<Signed | 'none' | 'unreachable'>
  readonly onLie: (peer: PeerName, what: string, finding: FrontLie | null) => void
}

/**
 * The posts that front pages name, each checked by its author's signature: from what is at hand here,
 * from who made the page, and where that one cannot prove a post from the blog's replicas.
 */
export class NamedPosts {
  readonly #parts: NamedPostsParts
  /** in the order in which they were used last */
  readonly #posts = new Map<EntryId, CheckedPost>()

  constructor(parts: NamedPostsParts) {
    this.#parts = parts
  }

  /** What each post of a page comes down to, in their order. */
  async of(page: FrontPage): Promise<Outcome[]> {
    const found = new Map<EntryId, Outcome>()
    const missing: FrontPost[] = []
    for (const post of page.posts) {
      const own = this.#posts.get(post.id) ?? (await this.#fromOwn(post))
      if (own === null) missing.push(post)
      else found.set(post.id, this.#keep(post.id, own))
    }
    if (missing.length > 0) await this.#fetch(page, missing, found)
    return page.posts.map(({ id }) => found.get(id) ?? 'undecided')
  }

  #keep(id: EntryId, post: CheckedPost): CheckedPost {
    this.#posts.delete(id)
    this.#posts.set(id, post)
    for (const oldest of this.#posts.keys()) {
      if (this.#posts.size <= maxPosts) break
      this.#posts.delete(oldest)
    }
    return post
  }

  /** What is collected here was checked when it came. */
  async #fromOwn({ blog, seq, id }: FrontPost): Promise<CheckedPost | null> {
    const entry = await this.#parts.collection.entry(blog, seq)
    if (entry === null || idOf(entry.text) !== id) return null
    return toChecked(entry, await this.#parts.posts.yearOf(blog, seq))
  }

  /** Fetches posts from who says that they are there; what does not hold is looked for elsewhere. */
  async #fetch(
    page: FrontPage,
    missing: readonly FrontPost[],
    found: Map<EntryId, Outcome>,
  ): Promise<void> {
    const { network } = this.#parts
    if (page.peer === network.self) return
    for (let left = missing; left.length > 0; ) {
      const body = { t: 'posts', posts: left.map(({ blog, seq }) => [blog, seq]) }
      const answered = await ask(network, page.peer, SEARCH, body, postsAnswer).catch(() => null)
      if (answered === null) return
      const before = left.length
      const blogs = new Set(answered.posts.map(({ blog }) => blog))
      const genesisOf = await this.#genesisOf(left.filter(({ blog }) => blogs.has(blog)))
      for (const row of answered.posts) {
        const post = left.find(({ blog, seq }) => blog === row.blog && seq === row.seq)
        if (post === undefined) continue
        left = left.filter((each) => each !== post)
        const checked = await this.#check(post, fromProvedPostRow(row), genesisOf)
        if (checked.ok) found.set(post.id, this.#keep(post.id, checked.value))
        else if (checked.code === 'BLOG_UNREACHABLE') found.set(post.id, 'undecided')
        else found.set(post.id, await this.#elsewhere(page, post))
      }
      if (answered.more && left.length < before) continue
      for (const post of left) found.set(post.id, await this.#elsewhere(page, post))
      return
    }
  }

  /** Of all blogs at once: to a newcomer that knows none of them each is a question to others. */
  async #genesisOf(
    posts: readonly FrontPost[],
  ): Promise<ReadonlyMap<BlogName, EntryId | 'unknown' | 'unreachable'>> {
    const { genesisOf } = this.#parts
    const blogs = new Set(posts.map(({ blog }) => blog))
    return new Map(
      await Promise.all([...blogs].map(async (blog) => [blog, await genesisOf(blog)] as const)),
    )
  }

  async #check(
    post: FrontPost,
    proved: ReturnType<typeof fromProvedPostRow>,
    genesisOf: ReadonlyMap<BlogName, EntryId | 'unknown' | 'unreachable'>,
  ): Promise<Verdict<CheckedPost>> {
    const { roster, keys } = this.#parts
    if (idOf(proved.entry.text) !== post.id)
      return refuse('FRONT_OTHER_POST', 'This is not the post that the page names.')
    const genesis = genesisOf.get(post.blog) ?? 'unreachable'
    if (genesis === 'unreachable')
      return refuse('BLOG_UNREACHABLE', `Whose ${post.blog} is cannot be found out now.`)
    if (genesis === 'unknown') return refuse('BLOG_UNKNOWN', `There is no blog ${post.blog}.`)
    return checkProvedPost(proved, { council: roster()?.council ?? '', genesis, keys })
  }

  /** A post that its page's maker could not prove: the blog's own replicas have the last word. */
  async #elsewhere({ peer, run, round }: FrontPage, post: FrontPost): Promise<Outcome> {
    const { blog, seq, id } = post
    const entry = await this.#parts.entryAt(blog, seq)
    if (entry === 'unreachable') return 'undecided'
    const right = entry === 'none' ? null : idOf(entry.text)
    const checked = entry !== 'none' && right === id ? toChecked(entry, null) : null
    if (checked !== null) return this.#keep(id, checked)
    const found = `entry ${seq} of ${blog} stands on its front page with another id`
    const { onLie } = this.#parts
    if (right === null) onLie(peer, `entry ${seq} of ${blog} does not exist`, null)
    else {
      const finding = { peer, log: blog, seq, id: right, asked: `front ${run} ${round}`, found }
      onLie(peer, found, right === id ? null : finding)
    }
    return 'refuted'
  }
}

/** @param year - of its first revision; null: not known */
function toChecked({ text, signature }: Signed, year: number | null): CheckedPost | null {
  const entry = decodeEntry(text)
  if (!entry.ok || entry.value.kind !== 'post') return null
  const ownYear = new Date(entry.value.dateMs).getUTCFullYear()
  return { entry: entry.value, year: year ?? ownYear, signed: { text, signature } }
}
