import type { PeerName } from '../../auth/peer-signature.ts'
import type { Clock } from '../../replication/clock.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import type { Trouble } from '../../replication/exchange/submit.ts'
import type { BlogName } from '../../replication/log/entry.ts'
import type { Replica } from '../../replication/log/peer-text.ts'
import { majority } from '../../replication/log/receipt.ts'
import { maxLearntAtOnce, maxPageEntries } from '../../replication/protocol.ts'
import type { Assignment } from '../../replication/registry/assignment.ts'
import type { NamedBlog, Names } from '../../replication/registry/names.ts'
import type { Member, Roster } from '../../replication/registry/roster.ts'
import type { ComponentLog } from '../logger.ts'
import { Copies } from './copies.ts'
import type { Demand } from './demand.ts'
import type { NextSet } from './next-act.ts'
import { finishOf, type Need, needOf, type Order, type Standing, type View } from './next-set.ts'
import type { Orders } from './orders.ts'
import { candidatesOf, fillSet, leaveSet, takesCopies } from './placement.ts'
import type { Change, Sealing } from './seal.ts'
import type { Survey } from './survey.ts'

/** How often acts that are not known to be active are asked about, ms. */
const surveyMs = 2_000
/** How long a learner that did not answer is left alone, ms. */
const deafMs = 5_000
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
  readonly #replaceAfterMs: number
  /** since when a peer is out, as this process has seen it */
  readonly #outMs = new Map<PeerName, number>()
  readonly #copies = new Copies()
  /** blogs that a replica says do not go on, and when that was believed last */
  readonly #reported = new Map<BlogName, Trouble>()
  readonly #reopenedMs = new Map<BlogName, number>()
  /** blogs that `#copies` has as they were planned at the last look */
  #planned: BlogName[] = []
  #isLooking = false
  #isLearning = false
  #surveyedMs = Number.NEGATIVE_INFINITY
  /** learners that did not answer last, and until when they are left alone */
  readonly #deafUntilMs = new Map<PeerName, number>()

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
    this.#replaceAfterMs = parts.replaceAfterMs
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
    this.#forgetPlans(names)
    const viewOf = this.#views(roster, names)
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
      // So that those placed after it know of it: else all would go to the same few spokes.
      if (need !== null) this.#plan(blog.blog, need.next)
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

  #plan(blog: BlogName, { replicas }: NextSet): void {
    const peers = replicas.map(({ peer }) => peer)
    this.#copies.set(blog, peers)
    this.#planned.push(blog)
  }

  #forgetPlans(names: Names): void {
    for (const blog of this.#planned.splice(0)) {
      const { replicas = [] } = names.blogs.get(blog) ?? {}
      this.#copies.set(
        blog,
        replicas.map(({ peer }) => peer),
      )
    }
  }

  /** What takes long, and must not hold up the blogs whose primary is lost. */
  #background(what: string, work: Promise<void>): void {
    work.catch((error: Error) => this.#log.error(`${what}_failed`, { error }))
  }

  async #letLearn(needs: readonly (readonly [NamedBlog, Need])[]): Promise<void> {
    if (this.#isLearning || needs.length === 0) return
    this.#isLearning = true
    try {
      await this.#sealing.change(await this.#learn(needs))
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

  /** Lets learners copy. @returns the blogs whose learners are at most one page behind */
  async #learn(
    needs: readonly (readonly [NamedBlog, Need])[],
  ): Promise<ReadonlyMap<BlogName, Change>> {
    const acts = new Map<BlogName, Assignment>()
    for (const [{ blog, seq }] of needs) {
      const act = await this.#survey.actAt(seq)
      if (act !== null) acts.set(blog, act)
    }
    const ends = await this.#survey.look([...acts.values()])
    const byLearner = new Map<PeerName, Assignment[]>()
    for (const [{ blog }, { learners }] of needs) {
      const act = acts.get(blog)
      if (act === undefined) continue
      for (const { peer } of learners) byLearner.set(peer, [...(byLearner.get(peer) ?? []), act])
    }
    const reached = new Map<string, number>()
    await Promise.all([...byLearner].map(([peer, wanted]) => this.#ask(peer, wanted, reached)))
    const ready = new Map<BlogName, Change>()
    for (const [{ blog, id }, { next, learners }] of needs) {
      const end = ends.get(blog)
      // One that did not answer, or has nothing yet, is not near however short the log is.
      const isNear = ({ peer }: Replica) => {
        const at = reached.get(`${blog} ${peer}`)
        return end !== undefined && at !== undefined && at >= end - maxPageEntries
      }
      if (end !== undefined && learners.every(isNear)) ready.set(blog, { ...next, act: id })
    }
    return ready
  }

  async #ask(
    peer: PeerName,
    acts: readonly Assignment[],
    reached: Map<string, number>,
  ): Promise<void> {
    const nowMs = this.#clock.steady()
    if ((this.#deafUntilMs.get(peer) ?? 0) > nowMs) return
    try {
      for (let at = 0; at < acts.length; at += maxLearntAtOnce) {
        const some = acts.slice(at, at + maxLearntAtOnce)
        const heads = await this.#exchange.learners.ask(
          peer,
          some.map(({ proof }) => proof),
        )
        for (const [index, { blog }] of some.entries()) {
          const head = heads[index] ?? null
          if (head !== null) reached.set(`${blog} ${peer}`, head)
        }
      }
    } catch (error) {
      this.#deafUntilMs.set(peer, nowMs + deafMs)
      this.#log.warn('learner_failed', { peer, reason: (error as Error).message })
    }
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
    const viewOf = this.#views(roster, names, {
      of: (blog, members) => asked.order ?? this.#orders.of(blog, members),
      isDraining: (peer) => peer === asked.draining || this.#orders.isDraining(peer),
    })
    return (blog) => needOf(blog, viewOf(blog))
  }

  /** What each blog's decision is made from; what all have in common is looked up once. */
  #views(
    roster: Roster,
    names: Names,
    orders: Pick<Orders, 'of' | 'isDraining'> = this.#orders,
  ): (blog: NamedBlog) => View {
    const { alive } = this.#exchange
    this.#noteOut(roster)
    const standingOf = (replica: Replica) => this.#standing(roster, replica, orders)
    const nameOf = (peer: PeerName) => roster.members.get(peer)?.name ?? peer
    let candidates: readonly Member[] | null = null
    const candidatesNow = () => {
      candidates ??= candidatesOf(
        roster.members.values(),
        (peer) => alive.isLive(peer) && !orders.isDraining(peer) && takesCopies(alive.mark(peer)),
      )
      return candidates
    }
    const copies = this.#copies.follow(names)
    const membersOf = (replicas: readonly Replica[]) =>
      replicas.flatMap(({ peer }) => roster.members.get(peer) ?? [])
    const fill: View['fill'] = (stay, n) => {
      const chosen = { stay: membersOf(stay), candidates: candidatesNow(), n, copies }
      const { added, unmet } = fillSet(chosen)
      return { added: added.map(({ peer, store }) => ({ peer, store })), unmet }
    }
    const leave: View['leave'] = (replicas, primary, n) => {
      const some = {
        replicas: membersOf(replicas),
        primary,
        candidates: candidatesNow(),
        n,
        copies,
      }
      return leaveSet(some).map(({ peer }) => peer)
    }
    const orderOf = (blog: BlogName) => {
      const order = orders.of(blog, roster)
      return order !== null && standingOf(order.primary) === 'live' ? order : null
    }
    return ({ blog }) => ({
      ...{ standingOf, nameOf, fill, leave, wanted: this.#demand.wantedOf(blog, roster.wanted) },
      order: orderOf(blog),
    })
  }

  #standing(
    { members }: Roster,
    { peer, store }: Replica,
    orders: Pick<Orders, 'isDraining'>,
  ): Standing {
    const member = members.get(peer)
    // With another store it is another replica, whatever its name (REPLICATION, Words).
    if (member === undefined || member.cutOff || member.store !== store) return 'gone'
    if (this.#exchange.alive.isLive(peer)) {
      if (orders.isDraining(peer)) return 'leaving'
      return this.#exchange.alive.mark(peer) === 'replace' ? 'full' : 'live'
    }
    if (!member.away) return 'silent'
    const outMs = this.#outMs.get(peer) ?? this.#clock.steady()
    return this.#clock.steady() - outMs < this.#replaceAfterMs ? 'away' : 'gone'
  }

  #noteOut({ members }: Roster): void {
    for (const { peer, away } of members.values()) {
      if (!away || this.#exchange.alive.isLive(peer)) this.#outMs.delete(peer)
      else if (!this.#outMs.has(peer)) this.#outMs.set(peer, this.#clock.steady())
    }
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
