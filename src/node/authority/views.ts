import type { PeerName } from '../../auth/peer-signature.ts'
import type { Clock } from '../../replication/clock.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import type { BlogName } from '../../replication/log/entry.ts'
import type { Replica } from '../../replication/log/peer-text.ts'
import type { NamedBlog, Names } from '../../replication/registry/names.ts'
import type { Member, Roster } from '../../replication/registry/roster.ts'
import { Copies } from './copies.ts'
import type { Demand } from './demand.ts'
import type { NextSet } from './next-act.ts'
import type { Standing, View } from './next-set.ts'
import type { Orders } from './orders.ts'
import { candidatesOf, fillSet, leaveSet, takesCopies } from './placement.ts'

/**
 * What each blog's decision is made from: how its replicas stand, who could keep it, how many copies
 * are wanted, what was ordered. It remembers since when a peer is out, and what was planned for the
 * blogs before.
 */
export class Views {
  readonly #exchange: Pick<Exchange, 'alive'>
  readonly #orders: Orders
  readonly #demand: Demand
  readonly #clock: Clock
  readonly #replaceAfterMs: number
  /** since when a peer is out, as this process has seen it */
  readonly #outMs = new Map<PeerName, number>()
  readonly #copies = new Copies()
  /** blogs that `#copies` has as they were planned at the last look */
  #planned: BlogName[] = []

  constructor(parts: {
    readonly exchange: Pick<Exchange, 'alive'>
    readonly orders: Orders
    readonly demand: Demand
    readonly clock: Clock
    /** how long a spoke may be out before its copies are made anew elsewhere */
    readonly replaceAfterMs: number
  }) {
    this.#exchange = parts.exchange
    this.#orders = parts.orders
    this.#demand = parts.demand
    this.#clock = parts.clock
    this.#replaceAfterMs = parts.replaceAfterMs
  }

  /**
   * Notes what a blog shall have next, so that those placed after it know of it: else all would go to
   * the same few spokes.
   */
  plan(blog: BlogName, { replicas }: NextSet): void {
    const peers = replicas.map(({ peer }) => peer)
    this.#copies.set(blog, peers)
    this.#planned.push(blog)
  }

  /** Blogs keep again what their acts say. */
  forgetPlans(names: Names): void {
    for (const blog of this.#planned.splice(0)) {
      const { replicas = [] } = names.blogs.get(blog) ?? {}
      this.#copies.set(
        blog,
        replicas.map(({ peer }) => peer),
      )
    }
  }

  /**
   * What all blogs have in common is looked up once.
   *
   * @param orders - others than those that were given
   */
  of(
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
        ({ peer, store }) =>
          alive.isLiveAs({ peer, store }) &&
          !orders.isDraining(peer) &&
          takesCopies(alive.mark(peer)),
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
    // Its heartbeats tell of a new one before `@roster` does.
    if (this.#exchange.alive.hasOtherStore({ peer, store })) return 'gone'
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
