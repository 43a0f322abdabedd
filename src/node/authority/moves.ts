import type { PeerName } from '../../auth/peer-signature.ts'
import type { Clock } from '../../replication/clock.ts'
import type { Trouble } from '../../replication/exchange/decisions.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import type { BlogName } from '../../replication/log/entry.ts'
import { majority } from '../../replication/log/receipt.ts'
import type { NamedBlog, Names } from '../../replication/registry/names.ts'
import type { Roster } from '../../replication/registry/roster.ts'
import type { ComponentLog } from '../logger.ts'
import type { Demand } from './demand.ts'
import { Learning } from './learning.ts'
import type { NextSet } from './next-act.ts'
import { finishOf, type Need, needOf, type Order } from './next-set.ts'
import type { Orders } from './orders.ts'
import type { Change, Sealing } from './seal.ts'
import type { Survey } from './survey.ts'
import { Views } from './views.ts'

/** How often acts that are not known to be active are asked about, ms. */
const surveyMs = 2_000
/** A blog that a replica says is sealed is not sealed again within this time, ms. */
const reopenMs = 60_000
/** Blogs that may be learning at once: each is asked about at every look. */
const maxLearning = 200

/** Orders that are not given yet. */
export type Asked = { readonly order?: Order; readonly draining?: PeerName }

/**
 * Keeps each blog on as many live replicas as are wanted: looks at what `@names` says and at who
 * lives, and takes the next step of each blog that needs one (REPLICATION 11). What it decides is
 * decided in `needOf`; what was begun before a restart is finished first.
 */
export class Moves {
  readonly #exchange: Pick<Exchange, 'alive' | 'council' | 'learners'>
  readonly #sealing: Sealing
  readonly #survey: Survey
  readonly #orders: Orders
  readonly #demand: Demand
  readonly #clock: Clock
  readonly #log: ComponentLog
  readonly #views: Views
  readonly #learning: Learning
  /** blogs that a replica says do not go on, and when that was believed last */
  readonly #reported = new Map<BlogName, Trouble>()
  readonly #reopenedMs = new Map<BlogName, number>()
  #isLooking = false
  #isLearning = false
  #surveyedMs = Number.NEGATIVE_INFINITY

  constructor(parts: {
    readonly exchange: Pick<Exchange, 'alive' | 'council' | 'learners'>
    readonly sealing: Sealing
    readonly survey: Survey
    readonly orders: Orders
    readonly demand: Demand
    readonly clock: Clock
    readonly log: ComponentLog
    /** how long a spoke may be out before its copies are made anew elsewhere */
    readonly replaceAfterMs: number
  }) {
    this.#exchange = parts.exchange
    this.#sealing = parts.sealing
    this.#survey = parts.survey
    this.#orders = parts.orders
    this.#demand = parts.demand
    this.#clock = parts.clock
    this.#log = parts.log
    this.#views = new Views(parts)
    this.#learning = new Learning(parts)
  }

  /** One step for each blog that needs one; while the last look goes on, nothing. */
  async look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      await this.#look()
    } finally {
      this.#isLooking = false
    }
  }

  async #look(): Promise<void> {
    const { council } = this.#exchange
    const roster = council.roster()
    const names = council.names()
    if (roster === null || names === null || !council.mayWrite()) return
    await this.#hear(roster, names)
    this.#views.forgetPlans(names)
    const viewOf = this.#views.of(roster, names)
    const ready = new Map<BlogName, Change>()
    const unfinished = await this.#sealing.unfinished()
    const learning: [NamedBlog, Need][] = []
    const unknown: NamedBlog[] = []
    for (const blog of names.blogs.values()) {
      const begun = unfinished.get(blog.blog)
      if (begun?.act === blog.id) {
        ready.set(blog.blog, { ...finishOf(blog, begun, viewOf(blog)), act: blog.id })
        continue
      }
      const isActive = this.#survey.isActive(blog)
      if (!isActive) unknown.push(blog)
      const trouble = this.#reported.get(blog.blog)
      if (trouble !== undefined) {
        this.#reported.delete(blog.blog)
        const wanted = trouble === 'sealed' ? reopened(blog) : withoutPrimary(blog, roster)
        ready.set(blog.blog, { ...finishOf(blog, wanted, viewOf(blog)), act: blog.id })
        continue
      }
      const view = viewOf(blog)
      if (view.order?.primary.peer === blog.primary) await this.#orders.forget(blog.blog)
      const need = needOf(blog, view)
      if (need !== null) this.#views.plan(blog.blog, need.next)
      if (need === null || (need.isPlanned && !isActive)) continue
      if (need.learners.length === 0) ready.set(blog.blog, { ...need.next, act: blog.id })
      else if (learning.length < maxLearning) learning.push([blog, need])
    }
    this.#background('learn', this.#letLearn(learning))
    this.#background('survey', this.#lookAt(unknown))
    await this.#sealing.change(ready)
  }

  /**
   * A replica says that blogs do not go on by themselves. `sealed`: this authority may be an older
   * state of itself, or was fenced in between; they are sealed again, and go on with the same replicas.
   * `short`: their primary does not reach w of them; another one leads, if those that are heard here
   * are enough without it.
   */
  hearTrouble(from: PeerName, what: Trouble, blogs: readonly BlogName[]): void {
    const nowMs = this.#clock.steady()
    for (const blog of blogs) {
      const named = this.#exchange.council.names()?.blogs.get(blog)
      if (named === undefined) continue
      const { replicas, primary } = named
      const isReplica = replicas.some(({ peer }) => peer === from)
      const others = replicas.filter(
        ({ peer }) => peer !== from && this.#exchange.alive.isLive(peer),
      )
      const isMet =
        what === 'sealed' || (primary === from && others.length >= majority(replicas.length))
      // A replica that lies could end an act after the other.
      const isSoon = nowMs - (this.#reopenedMs.get(blog) ?? -Infinity) < reopenMs
      if (!isReplica || !isMet || isSoon) continue
      this.#reopenedMs.set(blog, nowMs)
      this.#reported.set(blog, what)
      this.#log.warn('trouble', { blog, from, what })
    }
  }

  /** What spokes say of the readers of blogs. */
  async #hear({ members, wanted }: Roster, names: Names): Promise<void> {
    const { alive } = this.#exchange
    const live = [...members.keys()].filter((peer) => alive.isLive(peer))
    const busy = new Map(live.map((peer) => [peer, alive.busy(peer)]))
    await this.#demand.look(names, busy, { wanted, nowMs: this.#clock.now() })
  }

  /** What takes long, and must not hold up the blogs whose primary is lost. */
  #background(what: string, work: Promise<void>): void {
    work.catch((error: Error) => this.#log.error(`${what}_failed`, { error }))
  }

  async #letLearn(needs: readonly (readonly [NamedBlog, Need])[]): Promise<void> {
    if (this.#isLearning || needs.length === 0) return
    this.#isLearning = true
    try {
      await this.#sealing.change(await this.#learning.copy(needs))
    } finally {
      this.#isLearning = false
    }
  }

  /** Asks now and then about acts that may be active. */
  async #lookAt(blogs: readonly NamedBlog[]): Promise<void> {
    if (blogs.length === 0 || this.#clock.steady() - this.#surveyedMs < surveyMs) return
    this.#surveyedMs = this.#clock.steady()
    const acts = await Promise.all(blogs.map(({ seq }) => this.#survey.actAt(seq)))
    await this.#survey.look(acts.filter((act) => act !== null))
  }

  /**
   * What a blog would need if there were these orders too; null: nothing, or it cannot be done. It
   * says nothing about whether the act in force is active yet.
   */
  planOf(blog: NamedBlog, asked: Asked): Need | null {
    return this.planner(asked)(blog)
  }

  /** The same for many blogs. */
  planner(asked: Asked): (blog: NamedBlog) => Need | null {
    const { council } = this.#exchange
    const roster = council.roster()
    const names = council.names()
    if (roster === null || names === null) return () => null
    const viewOf = this.#views.of(roster, names, {
      of: (blog, members) => asked.order ?? this.#orders.of(blog, members),
      isDraining: (peer) => peer === asked.draining || this.#orders.isDraining(peer),
    })
    return (blog) => needOf(blog, viewOf(blog))
  }
}

/** The same set again, for a blog that was sealed and whose next act nobody knows of. */
const reopened = ({ replicas, primary, unmet }: NamedBlog): NextSet => ({
  ...{ replicas, primary, unmet, evidence: null },
  reason: 'it was sealed, and no next act was written',
})

/** The same set, led by another replica than the one that does not reach enough of them. */
const withoutPrimary = ({ replicas, primary, unmet }: NamedBlog, { members }: Roster): NextSet => ({
  ...{ replicas, unmet, evidence: null, primary: null, avoid: primary },
  reason: `${members.get(primary)?.name ?? primary}, which took the writes, does not reach enough of the others`,
})
