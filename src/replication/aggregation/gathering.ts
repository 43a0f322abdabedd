import type { PeerName } from '../../auth/peer-signature.ts'
import type { KeyRing } from '../../auth/public-key.ts'
import type { Clock } from '../clock.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { rosterLog } from '../log/log.ts'
import type { Disk } from '../log/store.ts'
import { ChangesFeed, ChangesServer } from './changes.ts'
import { type Circles, circleMembersOf, planCircles, sourcesOf } from './circle.ts'
import { type Collection, HeldCollection } from './collection.ts'
import { Gatherer } from './gather.ts'
import { GatheredCollection } from './gathered.ts'

type Report = (event: string, fields: Readonly<Record<string, unknown>>) => void

/**
 * What a peer has at hand of what is published, and how it goes from peer to peer: every peer offers
 * the blogs it keeps, a volunteer gathers what its circles have as well, and offers all of that.
 */
export class Gathering {
  readonly held: HeldCollection
  /** null: this peer is no aggregator */
  readonly gathered: GatheredCollection | null
  readonly gatherer: Gatherer | null
  readonly server: ChangesServer
  readonly #exchange: Exchange
  #planned: { readonly head: string; readonly circles: Circles } | null = null
  readonly #stops: (() => void)[] = []

  private constructor(exchange: Exchange, parts: Parts, gathered: GatheredCollection | null) {
    const { network, replicas, ingest, store, registry } = exchange
    const { clock, report, run } = parts
    this.#exchange = exchange
    this.gathered = gathered
    this.held = new HeldCollection({ replicas, ingest, store, report })
    const own = new ChangesFeed({ collection: this.held, clock, run })
    const feed = gathered === null ? own : new ChangesFeed({ collection: gathered, clock, run })
    this.server = new ChangesServer({ network, feed })
    this.gatherer =
      gathered === null
        ? null
        : new Gatherer({
            ...{ network, gathered, own, clock, report },
            sources: () => this.sources(),
            lookUp: (blog, options) => registry.lookUp(blog, options),
          })
    this.#stops.push(() => {
      this.gatherer?.stop()
      feed.stop()
      own.stop()
      this.held.stop()
    })
    own.start()
    if (feed !== own) feed.start()
  }

  /** Serves what is here, and gathers; once the exchange has started. */
  static async start(exchange: Exchange, parts: Parts): Promise<Gathering> {
    const gathered =
      parts.gatheredDisk === null
        ? null
        : await GatheredCollection.open({
            ...{ disk: parts.gatheredDisk, keys: parts.keys, now: parts.clock.now },
            council: () => exchange.council.roster()?.council ?? null,
          })
    const gathering = new Gathering(exchange, parts, gathered)
    await gathering.held.start()
    gathering.server.start()
    gathering.gatherer?.start()
    gathering.#stops.push(
      exchange.council.onChange((log) => {
        if (log === rosterLog) gathering.gatherer?.reconsider()
      }),
    )
    return gathering
  }

  stop(): void {
    for (const stop of this.#stops.splice(0)) stop()
  }

  /** What this peer offers: all that it gathered, or else what it keeps. */
  get collection(): Collection {
    return this.gathered ?? this.held
  }

  /** The circles as `@roster` makes them now; null while there is none here. */
  circles(): Circles | null {
    const roster = this.#exchange.council.roster()
    if (roster === null) return null
    if (this.#planned?.head !== roster.head.id) {
      const circles = planCircles(roster.councilId, circleMembersOf(roster))
      this.#planned = { head: roster.head.id, circles }
    }
    return this.#planned.circles
  }

  /** From whom this peer gathers now. */
  sources(): readonly PeerName[] {
    const circles = this.gathered === null ? null : this.circles()
    return circles === null ? [] : sourcesOf(circles, this.#exchange.network.self)
  }
}

type Parts = {
  /** a disk for what is gathered, and for nothing else; null: this peer is no aggregator */
  readonly gatheredDisk: Disk | null
  readonly keys: KeyRing
  readonly clock: Clock
  /** hex digits that no run of this peer before had */
  readonly run: string
  readonly report: Report
}
