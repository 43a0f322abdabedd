import { hash } from 'node:crypto'
import type { PeerName } from '../../auth/peer-signature.ts'
import type { KeyRing } from '../../auth/public-key.ts'
import { refuse, type Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../clock.ts'
import { Buckets } from '../exchange/rates.ts'
import type { Finding } from '../exchange/reports.ts'
import { decodeFrame } from '../frame.ts'
import { type BlogName, decodeEntry } from '../log/entry.ts'
import { type EntryId, idOf, type Signed } from '../log/text.ts'
import { ask, type GossipVerdict, type Network, type Pubsub } from '../network.ts'
import { frontTopic, maxFrontBytes, requestTimeoutMs, SEARCH } from '../protocol.ts'
import { fromSignedRow } from '../registry/proof.ts'
import type { Roster } from '../registry/roster.ts'
import type { Collection } from './collection.ts'
import { decodeFrontPage, type FrontPage, type FrontPost, isLater } from './front-page.ts'
import type { FrontPosts } from './front-posts.ts'
import type { MadeFront } from './front-publisher.ts'
import { judgeFront, pickFront } from './front-rules.ts'
import { type CheckedPost, checkProvedPost, fromProvedPostRow } from './proved-post.ts'
import { frontAnswer, frontMessage, postsAnswer } from './search-messages.ts'

/** How long the front page of a peer that was found lying stands behind all others, ms. */
export const doubtedMs = 600_000
/** Front pages of one peer that are looked at at once, and per second. */
export const frontsBurst = 40
export const frontsPerSecond = 8
/** Checked posts in memory: those of a few pages of each peer of an inner circle. */
const maxPosts = 400
/** How long a page waits for posts that nobody can say anything about, ms; then it goes without them. */
const undecidedMs = 3_000
const retryMs = 1_000
/** Silence after which another run of a peer counts whatever its clock says, ms. */
const silentMs = 30_000
const maxRuns = 10

/** A front page that came, with when. */
export type HeardFront = MadeFront & { readonly receivedMs: number }

/** A front page whose posts are at hand and hold. */
export type ShownFront = {
  readonly peer: PeerName
  readonly page: FrontPage
  /** when it came, ms by this peer's clock */
  readonly receivedMs: number
  readonly posts: readonly (FrontPost & CheckedPost)[]
  /** the same for the same posts and coverage */
  readonly version: string
}

/** Where an inner circle of the roster stands. */
export type InnerCircle = {
  readonly inner: readonly PeerName[]
  readonly aggregator: PeerName | null
  readonly standby: PeerName | null
}

type Outcome = CheckedPost | 'refuted' | 'undecided'

/**
 * The front pages of the inner circle as a spoke has them: judged, completed with the posts that
 * they name, each checked by its author's signature, and one of them shown. An aggregator can leave
 * out, and is found by `FrontWatch`; it can invent nothing.
 */
export class Fronts {
  readonly #parts: Parts
  readonly #newest = new Map<PeerName, HeardFront>()
  readonly #heard = new Map<PeerName, HeardFront>()
  readonly #runs = new Map<PeerName, string[]>()
  readonly #complete = new Map<PeerName, ShownFront>()
  /** in the order in which they were used last */
  readonly #posts = new Map<EntryId, CheckedPost>()
  readonly #doubted = new Map<PeerName, number>()
  readonly #filling = new Set<PeerName>()
  /** since when a peer's page waits for posts */
  readonly #waitingMs = new Map<PeerName, number>()
  /** pages that wait to be completed again: what cancels that */
  readonly #again = new Map<PeerName, () => void>()
  readonly #listeners = new Set<() => void>()
  readonly #buckets: Buckets
  #topic: string | null = null

  constructor(parts: Parts) {
    this.#parts = parts
    const rate = { burst: frontsBurst, perSecond: frontsPerSecond }
    this.#buckets = new Buckets(rate, parts.clock.now)
  }

  /** Hears front pages from then on; again after the council became known. */
  follow(): void {
    const roster = this.#parts.roster()
    if (roster === null || this.#topic !== null) return
    this.#topic = frontTopic(roster.councilId)
    this.#parts.pubsub.subscribe(this.#topic, async (from, data) => this.#judge(from, data))
  }

  stop(): void {
    if (this.#topic !== null) this.#parts.pubsub.unsubscribe(this.#topic)
    this.#topic = null
    for (const cancel of this.#again.values()) cancel()
    this.#again.clear()
  }

  /** Called after what `shown` answers may have changed. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The front page that is shown; null: none has come yet, or nobody makes one. */
  shown(): ShownFront | null {
    const { aggregator, standby } = this.#parts.circle()
    const { isDoubted } = this
    return pickFront(this.complete(), {
      ...{ aggregator, standby, isDoubted, nowMs: this.#parts.clock.now() },
    })
  }

  /** Of each peer of the inner circle the newest page whose posts are at hand. */
  complete(): ShownFront[] {
    return this.#parts.circle().inner.flatMap((peer) => this.#complete.get(peer) ?? [])
  }

  /** The newest page of a peer that came by gossip, as all others hear it too. */
  heard(peer: PeerName): HeardFront | null {
    return this.#heard.get(peer) ?? null
  }

  /** This peer's own page, when it is one of the inner circle. */
  own(made: MadeFront): void {
    this.#take(made)
  }

  /** Who was found lying in the last ten minutes. */
  readonly isDoubted = (peer: PeerName): boolean =>
    (this.#doubted.get(peer) ?? Number.NEGATIVE_INFINITY) > this.#parts.clock.now()

  /** A peer was found lying: its page is shown only when there is no other. */
  doubt(peer: PeerName): void {
    this.#doubted.set(peer, this.#parts.clock.now() + doubtedMs)
    this.#tell()
  }

  /**
   * Asks a peer of the inner circle for its newest page: a spoke that has just come shows it without
   * waiting for gossip. Throws as `ask` does.
   *
   * @returns null: it has none, or none that is of this council and its own
   */
  async ask(peer: PeerName, timeoutMs = requestTimeoutMs): Promise<MadeFront | null> {
    const { network } = this.#parts
    const { front } = await ask(network, peer, SEARCH, { t: 'front' }, frontAnswer, timeoutMs)
    if (front === null) return null
    const signed = fromSignedRow(front)
    const page = decodeFrontPage(signed)
    if (!page.ok) return null
    const { verdict, why } = judgeFront(page.value, this.#known(peer, page.value))
    const made = { page: page.value, signed }
    if (verdict === 'accept') this.#take(made)
    return verdict === 'accept' || why === 'old_round' ? made : null
  }

  #known(from: PeerName, page: FrontPage) {
    const { roster, circle, clock } = this.#parts
    const nowMs = clock.now()
    const held = this.#newest.get(from)
    const isPastRun =
      held !== undefined &&
      held.page.run !== page.run &&
      this.#runs.get(from)?.includes(page.run) === true
    // A peer whose clock was set back would else not be heard until time has caught up.
    const isGone = held !== undefined && nowMs - held.receivedMs > silentMs
    return {
      ...{ from, roster: roster(), inner: circle().inner, isPastRun, nowMs },
      held: held === undefined || (isGone && held.page.run !== page.run) ? null : held.page,
    }
  }

  #judge(from: PeerName, data: Uint8Array): GossipVerdict {
    if (data.length > maxFrontBytes) return 'reject'
    if (!this.#buckets.tryTake(from)) return 'ignore'
    let signed: Signed
    try {
      signed = fromSignedRow(frontMessage.parse(decodeFrame(data)).front)
    } catch {
      return 'reject'
    }
    const page = decodeFrontPage(signed)
    if (!page.ok) return 'reject'
    const heard = this.#heard.get(from)
    const { verdict, why } = judgeFront(page.value, this.#known(from, page.value))
    const made = { page: page.value, signed }
    const isFirstHeard = heard === undefined || isLater(page.value, heard.page)
    if (verdict === 'accept' || (why === 'old_round' && isFirstHeard)) {
      // It may have been asked for before it came by gossip.
      this.#heard.set(from, { ...made, receivedMs: this.#parts.clock.now() })
    }
    if (verdict === 'accept') this.#take(made)
    if (why === 'two_of_a_round') this.#found(from, 'two pages of one round')
    return verdict
  }

  #take(made: MadeFront): void {
    const { peer, run } = made.page
    const receivedMs = this.#parts.clock.now()
    this.#newest.set(peer, { ...made, receivedMs })
    const runs = this.#runs.get(peer) ?? []
    if (!runs.includes(run)) this.#runs.set(peer, [...runs, run].slice(-maxRuns))
    void this.#fill(peer)
  }

  /** Gets the posts of a peer's newest page, and again while newer pages come. */
  async #fill(peer: PeerName): Promise<void> {
    if (this.#filling.has(peer)) return
    this.#filling.add(peer)
    try {
      for (let last: HeardFront | null = null; ; ) {
        const front = this.#newest.get(peer)
        if (front === undefined || front === last) return
        last = front
        await this.#finish(front)
      }
    } catch (error) {
      // The page before stays; the next one tries again.
      this.#parts.report('front_failed', { peer, reason: (error as Error).message })
    } finally {
      this.#filling.delete(peer)
    }
  }

  async #finish({ page, receivedMs }: HeardFront): Promise<void> {
    const { peer } = page
    const { clock } = this.#parts
    const outcomes = await this.#get(page)
    if (outcomes.includes('undecided')) {
      const sinceMs = this.#waitingMs.get(peer) ?? clock.now()
      this.#waitingMs.set(peer, sinceMs)
      if (clock.now() - sinceMs < undecidedMs) {
        this.#again.get(peer)?.()
        this.#again.set(
          peer,
          clock.after(retryMs, () => void this.#fill(peer)),
        )
        return
      }
    } else this.#waitingMs.delete(peer)
    const posts = page.posts.flatMap((post, at) => {
      const checked = outcomes[at]
      if (checked === undefined || typeof checked === 'string') return []
      return [{ ...post, ...checked, seenMs: Math.min(post.seenMs, receivedMs) }]
    })
    const { covered, of, blogs } = page
    const version = hash('sha256', [...posts.map(({ id }) => id), covered, of, blogs].join(' '))
    this.#complete.set(peer, { peer, page, receivedMs, posts, version })
    this.#tell()
  }

  async #get(page: FrontPage): Promise<Outcome[]> {
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
    if (right === null) this.#found(peer, `entry ${seq} of ${blog} does not exist`)
    else {
      const finding = { peer, log: blog, seq, id: right, asked: `front ${run} ${round}`, found }
      this.#found(peer, found, right === id ? null : finding)
    }
    return 'refuted'
  }

  #found(
    peer: PeerName,
    what: string,
    finding: Omit<Finding, 'kind' | 'served' | 'answer' | 'receipt'> | null = null,
  ): void {
    const answer = this.#newest.get(peer)?.signed ?? null
    this.#parts.report('front_lie', { peer, what })
    if (finding !== null)
      this.#parts.file({ ...finding, kind: 'front', served: null, answer, receipt: null })
    this.doubt(peer)
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

/** @param year - of its first revision; null: not known */
function toChecked({ text, signature }: Signed, year: number | null): CheckedPost | null {
  const entry = decodeEntry(text)
  if (!entry.ok || entry.value.kind !== 'post') return null
  const ownYear = new Date(entry.value.dateMs).getUTCFullYear()
  return { entry: entry.value, year: year ?? ownYear, signed: { text, signature } }
}

type Parts = {
  readonly network: Network
  readonly pubsub: Pick<Pubsub, 'subscribe' | 'unsubscribe'>
  readonly clock: Clock
  readonly keys: KeyRing
  readonly roster: () => Roster | null
  readonly circle: () => InnerCircle
  /** what this peer has at hand itself, and the posts of it */
  readonly collection: Pick<Collection, 'entry'>
  readonly posts: Pick<FrontPosts, 'yearOf'>
  /** the genesis that an act in force names */
  readonly genesisOf: (blog: BlogName) => Promise<EntryId | 'unknown' | 'unreachable'>
  /** an entry as the replicas of its blog have it, checked */
  readonly entryAt: (blog: BlogName, seq: number) => Promise<Signed | 'none' | 'unreachable'>
  readonly file: (finding: Finding) => void
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}
