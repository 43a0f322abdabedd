import type { PeerName } from '../../auth/peer-signature.ts'
import type { Clock } from '../../replication/clock.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import { rosterLog } from '../../replication/log/log.ts'
import type { Decision } from '../../replication/registry/act.ts'
import { answered, type Dial, decodeDial } from '../../replication/registry/dial.ts'
import { liveMembers, type Member } from '../../replication/registry/roster.ts'
import type { ComponentLog } from '../logger.ts'
import type { KeepHolders } from './keep-holders.ts'
import type { Moves } from './moves.ts'

/** A silence that ends within this time moves nothing, ms (REPLICATION, Silence). */
const flapMs = 5_000
/** Spokes that are asked to dial a silent one. */
const maxHelpers = 2
/** … in all, when one of these reached it. */
const maxHelpersDisputed = 8

/**
 * Watches who is silent. Whom neither the authority nor two other spokes can reach is taken out of
 * DNS by an act that says who dialled when, and the blogs that it led are led by another replica.
 * Who is heard again is put back.
 */
export class Watch {
  readonly #exchange: Pick<Exchange, 'council' | 'alive' | 'tell'>
  readonly #moves: Pick<Moves, 'look'>
  readonly #holders: Pick<KeepHolders, 'look'>
  readonly #clock: Clock
  readonly #silenceMs: number
  readonly #log: ComponentLog
  /** peers that are out of DNS and were heard at the last look */
  readonly #returning = new Set<PeerName>()
  /** moves on with each dial, so that others are asked */
  #turn = 0
  #isSuspect = false
  #stop = () => {}

  constructor(parts: {
    readonly exchange: Pick<Exchange, 'council' | 'alive' | 'tell'>
    readonly moves: Pick<Moves, 'look'>
    readonly holders: Pick<KeepHolders, 'look'>
    readonly clock: Clock
    readonly silenceMs: number
    readonly log: ComponentLog
  }) {
    this.#exchange = parts.exchange
    this.#moves = parts.moves
    this.#holders = parts.holders
    this.#clock = parts.clock
    this.#silenceMs = parts.silenceMs
    this.#log = parts.log
  }

  start(): void {
    let isStopped = false
    let cancel = () => {}
    const next = () => {
      cancel = this.#clock.after(this.#pauseMs(), () => {
        void this.look()
          .catch((error: Error) => this.#log.error('watch_failed', { error }))
          .finally(() => {
            if (!isStopped) next()
          })
      })
    }
    next()
    this.#stop = () => {
      isStopped = true
      cancel()
    }
  }

  /** Until the next look: at the very moment at which a silence has lasted for long enough. */
  #pauseMs(): number {
    const { alive, council } = this.#exchange
    const roster = council.roster()
    const silent = (roster === null ? [] : liveMembers(roster)).filter(
      ({ away, peer }) => !away && !alive.isLive(peer),
    )
    const left = silent.map(({ peer }) => this.#silenceMs + flapMs - alive.silentMs(peer))
    return lookPauseMs(left, Math.min(1_000, this.#silenceMs / 3))
  }

  stop(): void {
    this.#stop()
  }

  /** One look at everybody, and what follows from it. */
  async look(): Promise<void> {
    const { alive, council } = this.#exchange
    const roster = council.roster()
    if (roster === null || !alive.isSettled() || !council.mayWrite()) return
    const members = liveMembers(roster)
    const silent = members.filter(({ peer }) => !alive.isLive(peer))
    await this.#welcome(members.filter(({ away, peer }) => away && alive.isLive(peer)))
    const fresh = silent.filter(({ away }) => !away)
    if (isSelfSuspect(fresh.length, members.filter(({ away }) => !away).length)) {
      if (!this.#isSuspect) this.#log.error('self_suspected', { silent: fresh.map((m) => m.name) })
      this.#isSuspect = true
      return
    }
    this.#isSuspect = false
    await Promise.all(fresh.map((member) => this.#judge(member)))
    void this.#holders.look().catch((error: Error) => this.#log.error('holders_failed', { error }))
    void this.#moves.look().catch((error: Error) => this.#log.error('moves_failed', { error }))
  }

  /** A spoke that was out and is heard at two looks is back. */
  async #welcome(heard: readonly Member[]): Promise<void> {
    for (const { peer } of heard) {
      if (!this.#returning.has(peer)) this.#returning.add(peer)
      else {
        this.#returning.delete(peer)
        await this.#write({ kind: 'back', peer, reason: 'it is heard again', evidence: null })
      }
    }
    const now = new Set(heard.map(({ peer }) => peer))
    for (const peer of this.#returning) if (!now.has(peer)) this.#returning.delete(peer)
  }

  async #judge({ peer, name }: Member): Promise<void> {
    const { alive } = this.#exchange
    const silentMs = alive.silentMs(peer)
    if (silentMs < this.#silenceMs + flapMs) return
    const heardMs = this.#clock.now() - silentMs
    const dials = await this.#dials(peer)
    if (dials === null || alive.isLive(peer)) return
    const since = new Date(heardMs).toISOString().slice(0, 19)
    this.#log.warn('silent', { peer, name, since })
    await this.#write({
      ...{ kind: 'away', peer, reason: `silent since ${since}Z, and nobody reaches it` },
      evidence: dials,
    })
  }

  /**
   * The signed words of the authority and two other spokes, more when they disagree, each on its own
   * try, one below the other. Null when as many got an answer as did not, no other spoke said anything,
   * or this process stood still meanwhile: then the silence is our own. The helpers are others each
   * time, so that one that lies holds nothing up for long.
   */
  async #dials(peer: PeerName): Promise<string | null> {
    const { alive, council } = this.#exchange
    const roster = council.roster()
    const others = (roster === null ? [] : liveMembers(roster)).filter(
      (each) =>
        each.peer !== peer && each.roles.includes('spoke') && alive.heard(each.peer) !== null,
    )
    this.#turn += maxHelpers
    const helpers = others.map((_, at) => others[(this.#turn + at) % others.length] as Member)
    // All at once: a peer that is stopped, or cut off, lets each of them wait.
    const [own, first] = await Promise.all([
      alive.dial(peer).then((said) => (said === null ? null : decodeDial(said))),
      this.#dialsBy(helpers.slice(0, maxHelpers), peer),
    ])
    if (!own?.ok || own.value.result === answered) return null
    // One of them may lie, or stand where the peer cannot be reached: others say who is right.
    const isDisputed = first.some(({ result }) => result === answered)
    const rest = helpers.slice(maxHelpers, isDisputed ? maxHelpersDisputed : maxHelpers)
    const words = [own.value, ...first, ...(await this.#dialsBy(rest, peer))]
    const reached = words.filter(({ result }) => result === answered).length
    if (reached * 2 >= words.length || (words.length === 1 && others.length > 0)) return null
    const name = (each: PeerName) => roster?.members.get(each)?.name ?? each
    return words
      .map(({ by, atMs, result }) => {
        const at = new Date(atMs).toISOString().slice(0, 19)
        return `${name(by)} dialled at ${at}Z: ${result}`
      })
      .join('\n')
  }

  /** What other spokes say that came of their dials, side by side. */
  async #dialsBy(helpers: readonly Member[], peer: PeerName): Promise<Dial[]> {
    const said = helpers.map(async (helper) => {
      // Who does not answer now says nothing about anybody.
      const dial = await this.#exchange.alive.dialBy(helper.peer, peer).then(decodeDial, () => null)
      // A word about another peer, or of another one, is none.
      const isGood = dial?.ok && dial.value.by === helper.peer && dial.value.peer === peer
      return isGood ? [dial.value] : []
    })
    return (await Promise.all(said)).flat()
  }

  async #write(decision: Decision): Promise<void> {
    const { council, tell } = this.#exchange
    const roster = council.roster()
    if (roster === null) return
    const written = await council.write(rosterLog, roster.council, () => decision)
    if (!written.ok) this.#log.warn('act_waits', { code: written.code, reason: written.reason })
    else if (written.value !== null) {
      const { peer } = decision as { peer?: PeerName }
      this.#log.info('roster', { kind: decision.kind, peer })
      await tell.call(this.#exchange, rosterLog, written.value.proof, [])
    }
  }
}

/**
 * How long the authority waits until it looks at everybody again, ms: at most `everyMs`, less when
 * somebody's silence has lasted for long enough before that. Pure.
 *
 * @param left - for each silent member how long it is until it counts as gone, ms
 */
export function lookPauseMs(left: readonly number[], everyMs: number): number {
  return Math.min(everyMs, ...left.filter((ms) => ms > 0))
}

/**
 * Whether the silence is more likely the authority's own: then nothing is moved (REPLICATION,
 * Silence). Pure.
 *
 * @param silent - members that are not heard now, those that were out before left aside
 */
export function isSelfSuspect(silent: number, members: number): boolean {
  return silent > members / 2
}
