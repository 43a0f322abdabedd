import type { PeerName } from '../../auth/peer-signature.ts'
import type { Clock } from '../clock.ts'
import type { BlogName } from '../log/entry.ts'
import { type Head, type LogName, namesLog, rosterLog } from '../log/log.ts'
import { type Network, refusalOf } from '../network.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import { authorityOf } from '../registry/roster.ts'
import type { Alive } from './alive.ts'
import type { Join } from './join.ts'
import type { Losses } from './losses.ts'
import type { Neighbours } from './neighbours.ts'
import type { Replicas } from './replica.ts'
import type { Revocations } from './revocations.ts'
import type { Sync } from './sync.ts'

type Parts = {
  readonly network: Pick<Network, 'connected'>
  readonly council: Pick<CouncilLogs, 'roster' | 'self' | 'isMember'>
  readonly replicas: Pick<Replicas, 'all'>
  readonly neighbours: Neighbours
  readonly sync: Pick<Sync, 'pull' | 'learnLater'>
  readonly revocations: Pick<Revocations, 'pull'>
  readonly losses: Pick<Losses, 'pull'>
  readonly alive: Pick<Alive, 'carriesNames'>
  readonly join: Pick<Join, 'pullRoster'>
  readonly clock: Clock
  /** whether blogs are pulled; the council's logs always are */
  readonly blogs: boolean
}

/**
 * Whom this peer asks for what it may lack, and when: whatever gossip and push did not bring comes
 * this way. Nobody waits for it, and what fails is asked for again with the next round.
 */
export class Pulls {
  readonly #parts: Parts
  /** peers from which a pull of the regular round is under way */
  readonly #underWay = new Set<PeerName>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** A member has connected: all that it may have. */
  connected(peer: PeerName): void {
    this.from(peer, [...this.#councilLogs(), ...this.#sharedWith(peer)])
    this.#namedActs(peer)
    this.#askAboutOthers(peer)
  }

  /** The regular round: of each connected peer its blogs, of one the council's logs. */
  round(): void {
    const { network, council, sync, clock } = this.#parts
    const connected = network.connected()
    const roster = council.roster()
    const source =
      roster !== null && connected.includes(authorityOf(roster))
        ? authorityOf(roster)
        : connected[Math.floor(clock.random() * connected.length)]
    for (const peer of connected) {
      this.#namedActs(peer)
      this.#askAboutOthers(peer)
      const logs = [...(peer === source ? this.#councilLogs() : []), ...this.#sharedWith(peer)]
      if (logs.length === 0 || this.#underWay.has(peer)) continue
      // Nobody waits for it: one peer that answers slowly must not hold up the pulls from others.
      this.#underWay.add(peer)
      void sync
        .pull(peer, logs)
        .catch(() => undefined)
        .finally(() => this.#underWay.delete(peer))
    }
  }

  from(peer: PeerName, logs: readonly LogName[]): void {
    const { council, sync, blogs } = this.#parts
    const wanted = blogs ? logs : logs.filter((log) => log.startsWith('@'))
    if (peer === council.self || wanted.length === 0) return
    sync.pull(peer, wanted).catch((error) => this.#wasRefused(peer, error))
  }

  /** The council's logs, of anybody. */
  councilLogsFrom(peer: PeerName): void {
    this.from(peer, this.#councilLogs())
  }

  /** What the authority, which ends `@names` here, has written of keys and losses. */
  namedActsUpTo(authority: PeerName, names: Head | null): void {
    const { alive, revocations, losses } = this.#parts
    if (names === null || alive.carriesNames()) return
    revocations.pull(authority, names.seq).catch(() => undefined)
    losses.pull(authority, names.seq).catch(() => undefined)
  }

  /** Where `@names` is not carried, what it says of keys and losses is asked for. */
  #namedActs(peer: PeerName): void {
    const { revocations, losses } = this.#parts
    if (!this.#knowsMore(peer)) return
    revocations.pull(peer).catch(() => undefined)
    losses.pull(peer).catch(() => undefined)
  }

  /** Whether `peer` carries `@names` and this one does not. */
  #knowsMore(peer: PeerName): boolean {
    const { alive, neighbours } = this.#parts
    return !alive.carriesNames() && neighbours.namesPeers().includes(peer)
  }

  #councilLogs(): LogName[] {
    return this.#parts.alive.carriesNames() ? [rosterLog, namesLog] : [rosterLog]
  }

  /**
   * Blogs to ask `peer` about: those of which both are replicas; where it carries `@names` all that
   * are kept here, since it knows of later acts when no replica does.
   */
  #sharedWith(peer: PeerName): BlogName[] {
    const { replicas, neighbours, blogs } = this.#parts
    if (!blogs) return []
    const knowsNames = neighbours.namesPeers().includes(peer)
    return replicas
      .all()
      .filter(
        (kept) =>
          kept.role !== 'none' &&
          (knowsNames || kept.assignment.replicas.some((each) => each.peer === peer)),
      )
      .map((kept) => kept.assignment.blog)
  }

  /**
   * A blog that is kept here, but not as its replica, may have an act that names this peer: one that
   * has learned it is named next, and nobody else asks when what it was told is lost.
   */
  #askAboutOthers(peer: PeerName): void {
    const { replicas, sync } = this.#parts
    if (!this.#knowsMore(peer)) return
    const others = replicas.all().filter((kept) => kept.role === 'none')
    const blogs = others.map((kept) => kept.assignment.blog)
    sync.learnLater(peer, blogs).catch(() => undefined)
  }

  /** Whoever calls this peer a stranger may know that it was cut off: strangers get `@roster` too. */
  #wasRefused(peer: PeerName, error: unknown): void {
    const { council, join } = this.#parts
    if (refusalOf(error) !== 'NOT_A_MEMBER' || !council.isMember(council.self)) return
    join.pullRoster(peer).catch(() => undefined)
  }
}
