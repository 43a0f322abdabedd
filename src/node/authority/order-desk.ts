import { keyStateAt, type PublicKey } from '../../auth/public-key.ts'
import { readSignature } from '../../auth/signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../../replication/clock.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import { refuseRate } from '../../replication/exchange/rates.ts'
import { keyRevoked } from '../../replication/exchange/revocations.ts'
import type { Author } from '../../replication/log/author.ts'
import type { BlogName } from '../../replication/log/entry.ts'
import type { Signed } from '../../replication/log/text.ts'
import { maxClockSkewMs, maxOrderAgeMs } from '../../replication/protocol.ts'
import type { Names } from '../../replication/registry/names.ts'
import {
  decodeOrder,
  type MoveOrder,
  orderEvidence,
  verifyOrder,
} from '../../replication/registry/order.ts'
import type { Roster } from '../../replication/registry/roster.ts'
import type { ComponentLog } from '../logger.ts'
import type { Move, MoveDesk } from './move-desk.ts'
import type { Orders } from './orders.ts'
import { noNames } from './refusals.ts'

/** A blog is moved at its author's word once in this time, ms: every move is acts, for ever. */
const orderPauseMs = 600_000
/** Blogs whose logs are fetched at once to look for a key. */
const maxOpening = 4

/**
 * Orders that bloggers sign (`council-order 1`): one that holds becomes a transfer like the
 * operator's, with all its refusals, and stands as evidence in the act that carries it out.
 */
export class OrderDesk {
  readonly #exchange: Pick<Exchange, 'council' | 'visits' | 'revocations'>
  readonly #orders: Pick<Orders, 'evidenceOf' | 'lastSigned'>
  readonly #moves: Pick<MoveDesk, 'transfer'>
  readonly #clock: Clock
  readonly #log: ComponentLog
  #opening = 0

  constructor(parts: {
    readonly exchange: Pick<Exchange, 'council' | 'visits' | 'revocations'>
    readonly orders: Pick<Orders, 'evidenceOf' | 'lastSigned'>
    readonly moves: Pick<MoveDesk, 'transfer'>
    readonly clock: Clock
    readonly log: ComponentLog
  }) {
    this.#exchange = parts.exchange
    this.#orders = parts.orders
    this.#moves = parts.moves
    this.#clock = parts.clock
    this.#log = parts.log
  }

  /**
   * Takes an order from whoever brings it: it proves itself. The same again gets its present state.
   * Codes: NOT_READY, BLOG_UNREACHABLE (its key cannot be looked up now), ORDER_OTHER_KEY,
   * SIGNATURE_IN_FUTURE, KEY_REVOKED, KEY_EXPIRED, RATE_LIMITED, and those of `decodeOrder`,
   * `checkOrder`, `verifyOrder` and `MoveDesk.transfer`.
   */
  async take(signed: Signed): Promise<Verdict<Move>> {
    const order = decodeOrder(signed.text)
    if (!order.ok) return order
    const armored = Buffer.from(signed.signature).toString()
    const signature = await readSignature(armored)
    if (!signature.ok) return signature
    const { council } = this.#exchange
    const roster = council.roster()
    const names = council.names()
    if (roster === null || names === null) return noNames
    const { blog, primary, spoke, dateMs } = order.value
    const evidence = orderEvidence(order.value, signature.value.armored)
    const asked = {
      ...{ blog, spoke: primary, evidence, signedMs: dateMs },
      reason: `its author ordered it to ${spoke}`,
    }
    const carried = names.blogs.get(blog)
    const isDone = carried?.evidence === evidence && carried.primary === primary
    if (isDone || this.#orders.evidenceOf(blog) === evidence)
      return this.#moves.transfer({ ...asked, dryRun: true })
    const nowMs = this.#clock.now()
    const last = this.#orders.lastSigned(blog)
    const fits = checkOrder(order.value, { roster, names, nowMs, lastMs: last?.dateMs ?? null })
    if (!fits.ok) return fits
    const good = await this.#verify(order.value, armored, signature.value.createdMs)
    if (!good.ok) return good
    const planned = await this.#moves.transfer({ ...asked, dryRun: true })
    if (!planned.ok) return planned
    // To take back what was ordered, and is not done, is always possible.
    const waitMs = planned.value.isDone ? 0 : pauseLeftMs(last?.takenMs ?? null, nowMs)
    // The same text would be refused for its act then: that order is carried out meanwhile.
    if (waitMs > 0)
      return refuseRate(
        `${blog} was ordered to another server a moment ago.`,
        waitMs,
        'Nothing was moved by this one; order it anew',
      )
    this.#log.info('signed_order', { blog, to: primary, order: order.value.id })
    return this.#moves.transfer({ ...asked, dryRun: false })
  }

  async #verify(order: MoveOrder, armored: string, createdMs: number): Promise<Verdict<void>> {
    const revoked = this.#exchange.revocations.of(order.key)
    if (revoked !== null)
      return keyRevoked(revoked, 'Sign with the key that the blog is written with now.')
    const nowMs = this.#clock.now()
    if (createdMs > nowMs + maxClockSkewMs) {
      return refuse(
        'SIGNATURE_IN_FUTURE',
        'The signature is dated in the future. Set the clock of your computer and sign again.',
      )
    }
    const key = await this.#keyOf(order.blog)
    if (key === null) {
      return refuse(
        'BLOG_UNREACHABLE',
        `With which key ${order.blog} is written cannot be found out now: its servers do not answer. Try again in a minute.`,
      )
    }
    const good = await verifyOrder(order, armored, key)
    return good.ok ? keyStateAt(key, new Date(nowMs)) : good
  }

  /** The key in force as the blog's log holds it; null when that cannot be had now. */
  async #keyOf(blog: BlogName): Promise<PublicKey | null> {
    if (this.#opening >= maxOpening) return null
    this.#opening++
    try {
      const visit = await this.#exchange.visits.open(blog)
      if (typeof visit === 'string') return null
      const { ingest, assignment, receipts } = visit
      const head = (await ingest.record(blog))?.head.seq ?? -1
      // A server that keeps the newest entries to itself could bring back a key of before.
      const isWhole = head >= Math.max(assignment.head.seq, receipts.published())
      const isSame = (await ingest.idAt(blog, 0)) === assignment.genesis
      const author = isWhole && isSame ? ((await ingest.state(blog)) as Author | null) : null
      return author?.current ?? null
    } finally {
      this.#opening--
    }
  }
}

/** How long it is until a further order may move the blog, ms. A clock that was set back counts for nothing. */
function pauseLeftMs(takenMs: number | null, nowMs: number): number {
  if (takenMs === null || takenMs > nowMs) return 0
  return Math.max(0, takenMs + orderPauseMs - nowMs)
}

/**
 * What of an order can be judged before its signature is looked at. Pure.
 *
 * Codes: ORDER_COUNCIL, BLOG_UNKNOWN, ORDER_ACT (the act that it ends is not in force: it was
 * carried out, or the blog was moved since), DATE_IN_FUTURE, ORDER_TOO_OLD, ORDER_EARLIER (a later
 * one was taken), MEMBER_UNKNOWN (no spoke has that name and id together), SPOKE_NOT_LIVE.
 *
 * @param lastMs - the date of the newest order of the blog that was taken; null: none was
 */
export function checkOrder(
  order: MoveOrder,
  {
    roster,
    names,
    nowMs,
    lastMs,
  }: {
    readonly roster: Pick<Roster, 'council' | 'members'>
    readonly names: Pick<Names, 'blogs'>
    readonly nowMs: number
    readonly lastMs: number | null
  },
): Verdict<void> {
  if (order.council !== roster.council) {
    return refuse(
      'ORDER_COUNCIL',
      `The order is for the council ${order.council}; this is ${roster.council}.`,
    )
  }
  const blog = names.blogs.get(order.blog)
  if (blog === undefined)
    return refuse('BLOG_UNKNOWN', `There is no blog "${order.blog}" in this council.`)
  if (order.act !== blog.id || order.epoch !== blog.epoch) {
    return refuse(
      'ORDER_ACT',
      `The order ends epoch ${order.epoch} of ${order.blog}, and epoch ${blog.epoch} is in force: it was carried out, or the blog was moved since. Make a new one.`,
    )
  }
  if (order.dateMs > nowMs + maxClockSkewMs) {
    return refuse(
      'DATE_IN_FUTURE',
      'The date lies in the future. Set the clock of your computer and sign again.',
    )
  }
  if (order.dateMs < nowMs - maxOrderAgeMs) {
    return refuse(
      'ORDER_TOO_OLD',
      `The order is of ${order.date}; it counts for ${maxOrderAgeMs / 60_000} minutes. Make a new one.`,
    )
  }
  if (lastMs !== null && order.dateMs <= lastMs) {
    return refuse(
      'ORDER_EARLIER',
      `A later order for ${order.blog} was taken already. Make a new one.`,
    )
  }
  const member = roster.members.get(order.primary)
  if (member === undefined || member.name !== order.spoke) {
    return refuse(
      'MEMBER_UNKNOWN',
      `No server of this council is called ${order.spoke} and has the id ${order.primary}.`,
    )
  }
  if (member.cutOff || !member.roles.includes('spoke')) {
    const why = member.cutOff ? 'is cut off' : 'keeps no blogs'
    return refuse('SPOKE_NOT_LIVE', `${member.name} ${why}. Choose another one.`)
  }
  return accept(undefined)
}
