import type { PeerName } from '../../auth/peer-signature.ts'
import type { Clock } from '../../replication/clock.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import { namesLog, rosterLog } from '../../replication/log/log.ts'
import { type Replica, sameReplica } from '../../replication/log/peer-text.ts'
import { liveMembers, type Member, type Roster } from '../../replication/registry/roster.ts'
import type { ComponentLog } from '../logger.ts'
import { costOf } from './wishes.ts'

/** How often it is looked whether other peers should hold the council's logs, ms. */
const lookMs = 5_000

/**
 * Decides who shall hold the council's own logs (REPLICATION 14): five peers, or three, or the
 * authority alone, as many as the council has; the authority first, then who holds them already,
 * those that answer DNS, and other operators, networks and countries. Pure.
 *
 * @param isLive - heard now
 * @param isGone - not expected back soon: its place is given to another
 * @returns null when those that hold them shall go on
 */
export function nextHolders(
  roster: Roster,
  authority: PeerName,
  { isLive, isGone }: { isLive: (member: Member) => boolean; isGone: (member: Member) => boolean },
): readonly Replica[] | null {
  const now = roster.terms.at(-1)?.holders ?? []
  const members = liveMembers(roster)
  const own = members.find(({ peer }) => peer === authority)
  if (own === undefined) return null
  const stands = (holder: Replica) => {
    const member = roster.members.get(holder.peer)
    return (
      member !== undefined && member.store === holder.store && !member.cutOff && !isGone(member)
    )
  }
  const stay = now.filter(stands).flatMap(({ peer }) => roster.members.get(peer) ?? [])
  const free = members.filter(
    (member) => !stay.includes(member) && isLive(member) && !member.away && member !== own,
  )
  const room = new Set([own, ...stay, ...free]).size
  const wanted = room >= 5 ? 5 : room >= 3 ? 3 : 1
  // Fewer would mean that fewer may be lost: a set only grows, or gives a place away.
  const size = Math.max(wanted, now.length)
  const chosen = [own, ...stay.filter((member) => member !== own)].slice(0, size)
  while (chosen.length < size && free.length > 0) {
    const isDns = (member: Member) => member.roles.includes('dns')
    free.sort(
      (a, b) =>
        Number(isDns(b)) - Number(isDns(a)) ||
        costOf([...chosen, a]) - costOf([...chosen, b]) ||
        (a.peer < b.peer ? -1 : 1),
    )
    chosen.push(free.shift() as Member)
  }
  if (chosen.length < size) return null
  const next = chosen.map(({ peer, store }) => ({ peer, store }))
  const isSame = next.every((each) => now.some((holder) => sameReplica(holder, each)))
  return isSame ? null : next
}

/** Keeps the council's own logs with as many holders as there may be; runs at the authority. */
export class KeepHolders {
  readonly #exchange: Pick<Exchange, 'alive' | 'council' | 'holders' | 'tell'>
  readonly #clock: Clock
  readonly #log: ComponentLog
  readonly #replaceAfterMs: number
  readonly #outMs = new Map<PeerName, number>()
  #isLooking = false
  #lookedMs = Number.NEGATIVE_INFINITY

  constructor(parts: {
    readonly exchange: Pick<Exchange, 'alive' | 'council' | 'holders' | 'tell'>
    readonly clock: Clock
    readonly log: ComponentLog
    readonly replaceAfterMs: number
  }) {
    this.#exchange = parts.exchange
    this.#clock = parts.clock
    this.#log = parts.log
    this.#replaceAfterMs = parts.replaceAfterMs
  }

  /** One look, every few seconds at most, and one at a time. */
  async look(): Promise<void> {
    if (this.#isLooking || this.#clock.steady() - this.#lookedMs < lookMs) return
    this.#isLooking = true
    this.#lookedMs = this.#clock.steady()
    try {
      await this.#look()
    } finally {
      this.#isLooking = false
    }
  }

  async #look(): Promise<void> {
    const { alive, council, holders, tell } = this.#exchange
    const nowMs = this.#clock.steady()
    const roster = council.roster()
    if (roster === null || council.names() === null) return
    for (const { peer } of roster.members.values()) {
      if (alive.isLive(peer)) this.#outMs.delete(peer)
      else if (!this.#outMs.has(peer)) this.#outMs.set(peer, nowMs)
    }
    const isLive = ({ peer }: Member) => alive.isLive(peer)
    const isGone = ({ peer, away }: Member) =>
      away && nowMs - (this.#outMs.get(peer) ?? nowMs) >= this.#replaceAfterMs
    const next = nextHolders(roster, council.self, { isLive, isGone })
    if (next === null) return
    // Who shall hold them has them first, so that no act waits for a copy of the whole log, and none
    // that is in force by fewer holders is known to these alone.
    const names = council.head(namesLog)?.id
    for (const { peer } of next) {
      const at = peer === council.self ? null : await holders.askCarry(peer).catch(() => null)
      const has = (log: typeof rosterLog) =>
        (at?.get(log)?.seq ?? -1) >= (council.head(log)?.seq ?? 0)
      if (peer !== council.self && !(has(rosterLog) && has(namesLog))) {
        this.#log.warn('holder_not_ready', { peer })
        return
      }
    }
    const written = await council.write(rosterLog, roster.council, () =>
      council.roster()?.head.id === roster.head.id && council.head(namesLog)?.id === names
        ? { kind: 'holders', holders: next }
        : null,
    )
    if (!written.ok) {
      this.#log.warn('act_waits', { code: written.code, reason: written.reason })
      return
    }
    if (written.value === null) return
    this.#log.info('holders', { peers: next.map(({ peer }) => peer) })
    await tell.call(this.#exchange, rosterLog, written.value.proof, [])
  }
}
