import type { PeerSigner } from '../../auth/peer-signature.ts'
import type { KeyRing } from '../../auth/public-key.ts'
import { accept, type Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../clock.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { type BlogName, decodeEntry } from '../log/entry.ts'
import { rosterLog } from '../log/log.ts'
import type { EntryId, Signed } from '../log/text.ts'
import type { Pubsub } from '../network.ts'
import { liveMembers } from '../registry/roster.ts'
import { Answers } from './answers.ts'
import { checkBlogList, isBlogList, ownRows } from './blog-list.ts'
import { unhurried } from './collection.ts'
import { CouncilSearch, indexForAnswers, type SearchCoverage } from './council-search.ts'
import { FrontCompare } from './front-compare.ts'
import { FrontPosts } from './front-posts.ts'
import { coverageOf, type FrontCoverage, FrontPublisher } from './front-publisher.ts'
import { FrontWatch } from './front-watch.ts'
import { Fronts, type InnerCircle } from './fronts.ts'
import type { Gathering } from './gathering.ts'
import { Indexer } from './indexer.ts'
import { type InnerAnswer, InnerAsking, whyOwn } from './inner-asking.ts'
import { type SearchIndex, searchBusy } from './search-index.ts'
import { type AnswerCoverage, blogsAnswer, type ListedBlog } from './search-messages.ts'

/** New entries are read for the front page and the index after this time, ms. */
const readTogetherMs = 100

/** Entries behind a post that are looked through for a later word on it. */
const maxLookedThrough = 1_000

type Parts = {
  readonly exchange: Exchange
  readonly gathering: Gathering
  readonly index: SearchIndex
  readonly pubsub: Pubsub
  readonly clock: Clock
  readonly signer: PeerSigner
  readonly keys: KeyRing
  /** 32 random hex digits */
  readonly newRun: () => string
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** Blogs of the council, as somebody lists them. */
export type BlogList = {
  readonly blogs: readonly ListedBlog[]
  readonly next: string | null
  readonly coverage: SearchCoverage
  /** how many of these are as they are known here, where another peer says the list */
  readonly checked: number
}

/**
 * What makes one network of the spokes: the front page and the search of the whole council, put
 * together from what is gathered (DESIGN 7). Every peer hears, checks and shows front pages and
 * answers for what it has; peers of the inner circle make the pages.
 */
export class Aggregation {
  readonly #parts: Parts
  readonly fronts: Fronts
  readonly search: CouncilSearch
  readonly indexer: Indexer
  readonly #posts: FrontPosts
  readonly #publisher: FrontPublisher
  readonly #watch: FrontWatch
  readonly #compare: FrontCompare
  readonly #answers: Answers
  readonly #asking: InnerAsking
  readonly #startMs: number
  #stopCouncil = () => {}

  private constructor(parts: Parts) {
    this.#parts = parts
    const { exchange, gathering, index, pubsub, clock, signer, keys, newRun, report } = parts
    const { network, reports } = exchange
    const { collection, held } = gathering
    this.#startMs = clock.now()
    const roster = () => exchange.council.roster()
    const circle = () => this.circle()
    const genesisOf = (blog: BlogName) => this.#genesisOf(blog)
    const file = (finding: Parameters<typeof reports.file>[0]) => reports.file(finding)
    const read = unhurried(collection, clock, readTogetherMs)
    this.indexer = new Indexer({ collection: read, index, report })
    this.#posts = new FrontPosts({ collection: read, report })
    const posts = this.#posts
    this.fronts = new Fronts({
      ...{ network, pubsub, clock, keys, roster, circle, collection, posts },
      ...{ genesisOf, file, report },
      entryAt: (blog, seq) => this.#entryAt(blog, seq),
    })
    this.#publisher = new FrontPublisher({
      ...{ collection, posts, signer, pubsub, clock, newRun, roster, report },
      isInner: () => this.isInner(),
      coverage: () => this.#coverage(),
      onPage: (made) => this.fronts.own(made),
    })
    const publisher = this.#publisher
    this.#watch = new FrontWatch({
      ...{ network, clock, fronts: this.fronts, roster, circle, collection, posts, held },
      ...{ manifest: () => publisher.manifest(), file, report },
    })
    this.#compare = new FrontCompare({
      ...{ clock, fronts: this.fronts, report },
      isShown: (blog, seq) => this.#isShown(blog, seq),
    })
    this.#answers = new Answers({
      ...{ network, collection, posts, publisher },
      index: () => indexForAnswers(index),
    })
    const inner = () => circle().inner
    this.#asking = new InnerAsking({ network, clock, inner, report })
    this.search = new CouncilSearch({
      ...{ self: network.self, asking: this.#asking, clock, keys, genesisOf, inner },
      council: () => roster()?.council ?? null,
      own: { index, collection, coverage: () => this.#answerCoverage() },
    })
  }

  /** Begins; once the exchange and the gathering have started. */
  static async start(parts: Parts): Promise<Aggregation> {
    const started = new Aggregation(parts)
    started.#answers.start()
    started.fronts.follow()
    started.#stopCouncil = parts.exchange.council.onChange((log) => {
      if (log === rosterLog) started.fronts.follow()
    })
    started.indexer.start()
    await started.#posts.start()
    started.#publisher.start()
    started.#watch.start()
    started.#compare.start()
    return started
  }

  async stop(): Promise<void> {
    this.#stopCouncil()
    this.#compare.stop()
    this.#watch.stop()
    this.#publisher.stop()
    this.#posts.stop()
    this.fronts.stop()
    await this.indexer.stop()
  }

  /** Who makes front pages by the roster as it is here. */
  circle(): InnerCircle {
    const circles = this.#parts.gathering.circles()
    if (circles === null) return { inner: [], aggregator: null, standby: null }
    const { rings, inner } = circles
    const [only, second] = rings[0] ?? []
    // Above one circle all of the inner circle have the same.
    const [aggregator = null, standby = null] =
      second === undefined ? [only?.aggregator, only?.standby] : inner
    return { inner, aggregator, standby }
  }

  /** Whether this peer makes front pages. */
  isInner(): boolean {
    const { gathering, exchange } = this.#parts
    return gathering.gathered !== null && this.circle().inner.includes(exchange.network.self)
  }

  /**
   * All blogs behind a name: of the inner circle, as far as that can be checked here, or where nobody
   * of it answers those at hand.
   * Code SEARCH_BUSY.
   */
  async blogs(after: string | null, limit: number): Promise<Verdict<BlogList>> {
    const { exchange, index } = this.#parts
    const own = this.#answerCoverage()
    let coverage: SearchCoverage
    if (own !== null) coverage = { kind: 'council', by: exchange.network.self, ...own }
    else {
      const answered = await this.#askBlogs(after, limit)
      if (answered.kind === 'answer') return accept(answered.value)
      if (answered.kind === 'busy') return searchBusy
      coverage = { kind: 'own', reason: whyOwn(answered.why, this.circle().inner.length) }
    }
    const found = await indexForAnswers(index).blogs(after, limit)
    if (!found.ok) return found
    const blogs = found.value
    const next = blogs.length < limit ? null : (blogs.at(-1)?.blog ?? null)
    return accept({ blogs, next, coverage, checked: blogs.length })
  }

  #askBlogs(after: string | null, limit: number): Promise<InnerAnswer<BlogList>> {
    return this.#asking.ask({
      body: { t: 'blogs', after, limit },
      shape: blogsAnswer,
      first: null,
      take: async (by, { blogs, next, coverage }) => {
        if (coverage === null) return 'new'
        if (!isBlogList({ blogs, next }, after)) return 'its list of blogs is in no order'
        const { index, gathering, exchange } = this.#parts
        const indexed = await index.blogs(after, limit)
        // Where the index has no time the list is the other peer's word alone, and the page says so.
        const own = indexed.ok
          ? ownRows(indexed.value, limit, (blog) => gathering.held.head(blog))
          : { rows: [], upTo: null }
        const names = exchange.council.names()
        const isGiven = names === null ? null : (blog: string) => names.blogs.has(blog as BlogName)
        const checked = checkBlogList({ blogs, next }, own, { limit, isGiven })
        return { good: { ...checked, coverage: { kind: 'council', by, ...coverage } } }
      },
    })
  }

  /** Which spokes' blogs are all here; null: too little has been heard since the start. */
  #coverage(): FrontCoverage | null {
    const { exchange, gathering, clock } = this.#parts
    const roster = exchange.council.roster()
    if (roster === null || gathering.gatherer === null) return null
    const spokes = liveMembers(roster)
      .filter(({ roles }) => roles.includes('spoke'))
      .map(({ peer }) => peer)
    const nowMs = clock.now()
    return coverageOf(gathering.gatherer.states(), spokes, { nowMs, startedMs: this.#startMs })
  }

  #answerCoverage(): AnswerCoverage | null {
    const page = this.#publisher.newest()?.page ?? null
    if (page === null) return null
    return { spokes: page.covered, of: page.of, blogs: page.blogs, at: page.atMs }
  }

  async #genesisOf(blog: BlogName): Promise<EntryId | 'unknown' | 'unreachable'> {
    const found = await this.#parts.exchange.registry.lookUp(blog)
    if (found === 'free') return 'unknown'
    return found === 'unreachable' ? found : found.genesis
  }

  /** An entry as the blog's replicas have it. */
  async #entryAt(blog: BlogName, seq: number): Promise<Signed | 'none' | 'unreachable'> {
    const { visits } = this.#parts.exchange
    const visit = await visits.open(blog)
    if (visit === 'unreachable') return visit
    if (visit === 'unknown') return 'none'
    const stored = await visit.ingest.read(blog, seq)
    if (stored !== null) return { text: stored.text, signature: stored.signature }
    // The one that was asked may be behind: then nothing can be said yet.
    return ((await visit.ingest.record(blog))?.head.seq ?? -1) < seq ? 'unreachable' : 'none'
  }

  /** Whether the blog's replicas have this entry as the last word on its post. */
  async #isShown(blog: BlogName, seq: number): Promise<boolean | 'unreachable'> {
    const visit = await this.#parts.exchange.visits.open(blog)
    if (typeof visit === 'string') return visit === 'unknown' ? false : visit
    const rows = await visit.store.entries(blog, seq, maxLookedThrough)
    const [first, ...later] = rows.map(({ text }) => decodeEntry(text))
    if (first === undefined || rows.length === maxLookedThrough) return 'unreachable'
    if (!first.ok || first.value.kind !== 'post') return false
    const { slug } = first.value
    return !later.some(
      (each) =>
        each.ok &&
        (each.value.kind === 'post' || each.value.kind === 'retract') &&
        each.value.slug === slug,
    )
  }
}
