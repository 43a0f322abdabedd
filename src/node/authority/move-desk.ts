import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../../replication/clock.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import type { BlogName } from '../../replication/log/entry.ts'
import type { Replica } from '../../replication/log/peer-text.ts'
import { majority } from '../../replication/log/receipt.ts'
import type { NamedBlog } from '../../replication/registry/names.ts'
import { findMember, type Member, type Roster } from '../../replication/registry/roster.ts'
import type { ComponentLog } from '../logger.ts'
import type { Moves } from './moves.ts'
import { answersNeeded } from './next-act.ts'
import type { Need } from './next-set.ts'
import type { Orders } from './orders.ts'
import { takesCopies } from './placement.ts'
import { noNames, unknownMember } from './refusals.ts'
import type { Sealing } from './seal.ts'
import type { Survey } from './survey.ts'

/** What an order changes, in names of spokes. */
export type Move = {
  readonly blog: BlogName
  readonly epoch: number
  readonly from: string
  /** null: of those that answer, who holds the most */
  readonly to: string | null
  /** who keeps it then */
  readonly replicas: readonly string[]
  /** who copies it before */
  readonly learners: readonly string[]
  /** whether it is so already */
  readonly isDone: boolean
}

/** How far a spoke is drained. */
export type Drain = {
  readonly spoke: string
  readonly isDraining: boolean
  /** blogs of which its copy still counts, and those that it leads */
  readonly copies: number
  readonly leads: number
}

/** Orders to move blogs: what can be done is ordered and done by `Moves`, what cannot is refused. */
export class MoveDesk {
  readonly #exchange: Pick<Exchange, 'alive' | 'council' | 'sync'>
  readonly #orders: Orders
  readonly #moves: Moves
  readonly #sealing: Sealing
  readonly #survey: Survey
  readonly #clock: Clock
  readonly #log: ComponentLog

  constructor(parts: {
    readonly exchange: Pick<Exchange, 'alive' | 'council' | 'sync'>
    readonly orders: Orders
    readonly moves: Moves
    readonly sealing: Sealing
    readonly survey: Survey
    readonly clock: Clock
    readonly log: ComponentLog
  }) {
    this.#exchange = parts.exchange
    this.#orders = parts.orders
    this.#moves = parts.moves
    this.#sealing = parts.sealing
    this.#survey = parts.survey
    this.#clock = parts.clock
    this.#log = parts.log
  }

  /**
   * Lets another spoke lead a blog; one that is no replica copies it first, and takes the place of
   * the one that leads now where there are as many copies as wanted. An order for the one that leads
   * takes back what was ordered and is not done yet.
   * Codes: NOT_READY, BLOG_UNKNOWN, MEMBER_UNKNOWN, SPOKE_NOT_LIVE, SPOKE_FULL, MOVE_TOO_FEW (fewer
   * than w live copies would be left).
   *
   * @param asked.signedMs - the date of the order, where the blogger signed it
   */
  async transfer(asked: {
    readonly blog: string
    readonly spoke: string
    readonly reason: string
    readonly evidence: string | null
    readonly dryRun: boolean
    readonly signedMs?: number
  }): Promise<Verdict<Move>> {
    const found = this.#find(asked.blog, asked.spoke)
    if (!found.ok) return found
    const { blog, roster, member } = found.value
    const { peer, store } = member
    const { signedMs = null } = asked
    if (peer === blog.primary) {
      if (!asked.dryRun) await this.#orders.withdraw(blog.blog, signedMs)
      return accept(this.#shown(roster, blog, null, true))
    }
    const ready = this.#checkReady(member)
    if (!ready.ok) return ready
    const room = this.#checkRoom(member, blog)
    if (!room.ok) return room
    const order = { primary: { peer, store }, reason: asked.reason, evidence: asked.evidence }
    const need = this.#moves.planOf(blog, { order })
    if (need === null || need.next.primary !== peer) {
      return refuse(
        'MOVE_TOO_FEW',
        `${blog.blog} cannot be moved now: fewer than ${majority(blog.replicas.length)} live copies would be left. ./council copies ${blog.blog} shows them.`,
      )
    }
    if (!asked.dryRun) {
      const { reason, evidence } = asked
      const signed = signedMs === null ? null : { dateMs: signedMs, takenMs: this.#clock.now() }
      await this.#orders.lead(blog.blog, { peer, reason, evidence }, signed)
      this.#log.info('order', { blog: blog.blog, to: peer, reason })
      this.#look()
    }
    return accept(this.#shown(roster, blog, need, false))
  }

  /**
   * Moves everything away from a spoke, or lets it keep copies again.
   * Codes: NOT_READY, MEMBER_UNKNOWN, DRAIN_TOO_FEW (blogs that no other spoke could keep are named).
   */
  async drain(asked: {
    readonly spoke: string
    readonly undo: boolean
    readonly reason: string
    readonly dryRun: boolean
  }): Promise<Verdict<Drain>> {
    const roster = this.#exchange.council.roster()
    const member = roster === null ? null : findMember(roster, asked.spoke)
    if (roster === null) return noNames
    if (member === null) return unknownMember(asked.spoke)
    const { peer } = member
    if (asked.undo) {
      if (!asked.dryRun) await this.#orders.keep(peer)
      return accept(await this.#drained(member))
    }
    const planOf = this.#moves.planner({ draining: peer })
    const blocked: BlogName[] = []
    for (const blog of this.#blogsOf(peer)) {
      const next = planOf(blog)?.next
      if (next === undefined || next.replicas.some((each) => each.peer === peer))
        blocked.push(blog.blog)
    }
    if (blocked.length > 0) {
      const some = blocked.slice(0, 5).join(', ')
      return refuse(
        'DRAIN_TOO_FEW',
        `${blocked.length === 1 ? '1 blog has' : `${blocked.length} blogs have`} no other spoke to go to (${some}${blocked.length > 5 ? ', …' : ''}): too few live copies would be left. Let another spoke join first.`,
      )
    }
    if (!asked.dryRun) {
      await this.#orders.drain(peer, { reason: asked.reason, sinceMs: this.#clock.now() })
      this.#log.info('drain', { peer, reason: asked.reason })
      this.#look()
    }
    return accept(await this.#drained(member))
  }

  /**
   * Ends the act of a blog now and lets another of its replicas lead, the primary alive or not.
   * With `acceptLoss` one answer is enough where too few come: what only the others hold is given up,
   * an act `loss` says so.
   * Codes: NOT_READY, BLOG_UNKNOWN, MEMBER_UNKNOWN, SPOKE_NOT_LIVE, PROMOTE_NOT_A_REPLICA,
   * PROMOTE_WAITS (too few have answered; what they said is in the sentence).
   */
  async promote(asked: {
    readonly blog: string
    /** null: of the others, who holds the most */
    readonly spoke: string | null
    readonly reason: string
    readonly acceptLoss: boolean
    readonly dryRun: boolean
  }): Promise<Verdict<Move>> {
    const found = this.#find(asked.blog, asked.spoke)
    if (!found.ok) return found
    const { blog, roster, member } = found.value
    const wanted = asked.spoke === null ? null : member
    if (wanted !== null) {
      if (!blog.replicas.some(({ peer }) => peer === wanted.peer)) {
        return refuse(
          'PROMOTE_NOT_A_REPLICA',
          `${wanted.name} keeps no copy of ${blog.blog}. ./council transfer ${blog.blog} ${wanted.name} copies it first.`,
        )
      }
      const ready = this.#checkReady(wanted)
      if (!ready.ok) return ready
    }
    const live = await this.#answering(blog)
    const { length: n } = blog.replicas
    if (live.length < answersNeeded(n) && !(asked.acceptLoss && live.length > 0)) {
      const silent = blog.replicas.filter((each) => !live.includes(each))
      const who = silent.map(({ peer }) => roster.members.get(peer)?.name ?? peer).join(', ')
      return refuse(
        'PROMOTE_WAITS',
        `${live.length} of ${n} replicas of ${blog.blog} answer, ${answersNeeded(n)} are needed; silent: ${who}. ${live.length > 0 ? '--accept-loss gives up what only these hold.' : 'Start one of them.'}`,
      )
    }
    const next = {
      replicas: live.length >= majority(n) ? blog.replicas : live,
      primary: wanted?.peer ?? null,
      ...(wanted?.peer === blog.primary ? {} : { instead: blog.primary }),
      ...{ reason: asked.reason, unmet: blog.unmet, evidence: null, acceptsLoss: asked.acceptLoss },
    }
    const need: Need = { next, learners: [], isPlanned: false }
    if (asked.dryRun) return accept(this.#shown(roster, blog, need, false))
    this.#log.info('promote', { blog: blog.blog, reason: asked.reason, loss: asked.acceptLoss })
    const change = { ...next, act: blog.id }
    await this.#sealing.change(new Map([[blog.blog, change]]), { isNow: true })
    const now = this.#exchange.council.names()?.blogs.get(blog.blog)
    if (now === undefined || now.epoch === blog.epoch) {
      const stuck = this.#sealing.stuck(blog.blog)
      return refuse(
        'PROMOTE_WAITS',
        `${stuck?.reason ?? 'Another change of this blog is under way.'} It is sealed and tried again every few seconds; --accept-loss gives up what only the silent ones hold.`,
      )
    }
    const from = roster.members.get(blog.primary)?.name ?? blog.primary
    return accept({ ...this.#shown(roster, now, null, true), from })
  }

  /** The replicas that answer now, of a spoke just killed too; heartbeats tell later. */
  async #answering({ blog, replicas }: NamedBlog): Promise<readonly Replica[]> {
    const { sync } = this.#exchange
    const answers = replicas.map(({ peer }) =>
      sync.heads(peer, [blog]).then(
        () => true,
        () => false,
      ),
    )
    const areHere = await Promise.all(answers)
    return replicas.filter((_, at) => areHere[at])
  }

  #look(): void {
    void this.#moves.look().catch((error: Error) => this.#log.error('moves_failed', { error }))
  }

  #find(
    name: string,
    spoke: string | null,
  ): Verdict<{ readonly blog: NamedBlog; readonly roster: Roster; readonly member: Member }> {
    const { council } = this.#exchange
    const roster = council.roster()
    const names = council.names()
    if (roster === null || names === null) return noNames
    const blog = names.blogs.get(name as BlogName)
    if (blog === undefined)
      return refuse('BLOG_UNKNOWN', `There is no blog "${name}" in this council.`)
    const member = findMember(roster, spoke ?? blog.primary)
    return member === null ? unknownMember(spoke ?? blog.primary) : accept({ blog, roster, member })
  }

  #checkReady({ peer, name, roles, cutOff, away }: Member): Verdict<void> {
    const why = cutOff
      ? 'is cut off'
      : !roles.includes('spoke')
        ? 'keeps no blogs'
        : this.#orders.isDraining(peer)
          ? 'is being drained'
          : away || !this.#exchange.alive.isLive(peer)
            ? 'does not answer'
            : null
    return why === null ? accept(undefined) : refuse('SPOKE_NOT_LIVE', `${name} ${why} now.`)
  }

  /** One that keeps the blog already needs no further room to lead it, until it asks to be replaced. */
  #checkRoom({ peer, name }: Member, { replicas }: NamedBlog): Verdict<void> {
    const mark = this.#exchange.alive.mark(peer)
    const isKept = replicas.some((each) => each.peer === peer)
    const hasRoom = isKept ? mark !== 'replace' : takesCopies(mark)
    return hasRoom
      ? accept(undefined)
      : refuse('SPOKE_FULL', `${name} has no room: its disk is over its mark. Choose another one.`)
  }

  #blogsOf(peer: PeerName): NamedBlog[] {
    const blogs = this.#exchange.council.names()?.blogs.values() ?? []
    return [...blogs].filter(({ replicas }) => replicas.some((each) => each.peer === peer))
  }

  /**
   * A copy counts until the act that leaves it out is known to be active: till then it may be the
   * one that is needed (REPLICATION 9).
   */
  async #drained({ peer, name }: Member): Promise<Drain> {
    const blogs = this.#blogsOf(peer)
    const leads = blogs.filter(({ primary }) => primary === peer).length
    const isDraining = this.#orders.isDraining(peer)
    let copies = blogs.length
    for (const blog of this.#exchange.council.names()?.blogs.values() ?? []) {
      if (blogs.includes(blog) || this.#survey.isActive(blog)) continue
      const line = await this.#survey.line(blog)
      const isNamed = line?.some(({ replicas }) => replicas.some((each) => each.peer === peer))
      if (isNamed ?? true) copies++
    }
    return { spoke: name, isDraining, copies, leads }
  }

  #shown(
    { members }: Roster,
    { blog, epoch, primary, replicas }: NamedBlog,
    need: Need | null,
    isDone: boolean,
  ): Move {
    const nameOf = (peer: PeerName) => members.get(peer)?.name ?? peer
    const to = need === null ? primary : need.next.primary
    return {
      ...{ blog, epoch, isDone, from: nameOf(primary), to: to === null ? null : nameOf(to) },
      replicas: (need?.next.replicas ?? replicas).map(({ peer }) => nameOf(peer)),
      learners: (need?.learners ?? []).map(({ peer }) => nameOf(peer)),
    }
  }
}
