import { createHash } from 'node:crypto'
import { decode } from 'cborg'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import { ReplicationError } from '../../../src/replication/errors.ts'
import type { GossipVerdict, Handler, Network, Pubsub } from '../../../src/replication/network.ts'
import { JOIN, maxFrameBytes, maxGossipBytes } from '../../../src/replication/protocol.ts'
import { noFollow } from '../../replication/no-follow.ts'
import { type Frame, pack } from './frames.ts'
import type { Bend } from './lies.ts'
import type { Random } from './random.ts'
import type { Life, VirtualClock } from './virtual-clock.ts'

/** What happens to what is under way. Delays differ per message, so that messages overtake each other. */
export type Weather = {
  /** probability that a message is lost */
  readonly loss: number
  /** probability that a message arrives twice */
  readonly duplicates: number
  readonly minMs: number
  readonly maxMs: number
}

type Judge = (from: PeerName, data: Uint8Array) => Promise<GossipVerdict>
type Gossiped = {
  readonly id: string
  readonly topic: string
  readonly author: PeerName
  readonly data: Uint8Array
}

/** One run of a peer, as the others reach it. */
export type Station = {
  readonly peer: PeerName
  readonly life: Life
  /** sees every message at the moment at which this run lets it out */
  readonly watch: (message: unknown) => void
  /** what a liar answers in the place of what the product would */
  readonly bend?: Bend | undefined
  /** the gate's question: is this one a member, as far as this peer knows? */
  readonly isMember: (peer: PeerName) => boolean
  readonly onConnected: (peer: PeerName) => void
}
type Place = Station & {
  readonly handlers: Map<string, Handler>
  readonly topics: Map<string, Judge>
  readonly seen: Set<string>
}

const notAMember = {
  error: { code: 'NOT_A_MEMBER', reason: 'Only peers in @roster may ask this.' },
}

/**
 * Streams and gossip between peers, on virtual time, in any weather. A request or its answer may
 * be lost, late, or come twice; a peer that is down refuses or says nothing; a cut link says nothing,
 * in one direction or both. Everything travels as the bytes of the real frames, or as copies that say the
 * same.
 */
export class VirtualNetwork {
  readonly #clock: VirtualClock
  readonly #random: Random
  /** runs that are up; more than one of a peer where its key is used twice at once */
  readonly #places = new Map<PeerName, readonly Place[]>()
  /** connections, by the names of the two runs */
  readonly #open = new Set<string>()
  /** how many cuts lie on a way */
  readonly #cuts = new Map<string, number>()
  readonly #late = new Map<PeerName, number>()
  readonly #trouble: (sentence: string) => void
  readonly #isCopied: boolean
  weather: Weather = { loss: 0, duplicates: 0, minMs: 1, maxMs: 20 }

  constructor(parts: {
    readonly clock: VirtualClock
    readonly random: Random
    /** hears what honest peers must not do to each other */
    readonly trouble: (sentence: string) => void
    /** whether copies of messages travel in the place of their bytes, see `frames.ts` */
    readonly isCopied?: boolean
  }) {
    this.#clock = parts.clock
    this.#random = parts.random
    this.#trouble = parts.trouble
    this.#isCopied = parts.isCopied ?? false
  }

  /** A peer comes up. Its connections are made by `dial` and by requests. */
  arrive(station: Station): { readonly network: Network; readonly pubsub: Pubsub } {
    const place = { ...station, handlers: new Map(), topics: new Map(), seen: new Set<string>() }
    this.#places.set(station.peer, [...this.#at(station.peer), place])
    return { network: this.#networkOf(place), pubsub: this.#pubsubOf(place) }
  }

  /** A run of a peer goes down: its connections break. */
  leave(peer: PeerName, life: Life): void {
    const left = this.#at(peer).filter((place) => place.life !== life)
    if (left.length > 0) this.#places.set(peer, left)
    else this.#places.delete(peer)
    for (const open of this.#open) if (open.split(' ').includes(life.name)) this.#open.delete(open)
  }

  #at(peer: PeerName): readonly Place[] {
    return this.#places.get(peer) ?? []
  }

  /** Of a peer's runs the one that hears what `from` sends now: any that it is connected with. */
  #route(from: Place, to: PeerName): Place | undefined {
    const places = this.#at(to)
    if (places.length < 2) return places[0]
    const open = places.filter((place) => this.#open.has(link(from, place)))
    return this.#random.pick(open.length > 0 ? open : places)
  }

  #isUp(place: Place): boolean {
    return this.#at(place.peer).includes(place)
  }

  /** The run, or where that is over the one that came after it. */
  #now(place: Place): Place | undefined {
    return this.#isUp(place) ? place : this.#at(place.peer)[0]
  }

  /**
   * Nothing gets from one peer to the other any more; neither side notices.
   * @returns ends this cut; others on the same way stay
   */
  cut(from: PeerName, to: PeerName): () => void {
    const way = `${from} ${to}`
    const change = (by: number) => {
      const count = Math.max(0, (this.#cuts.get(way) ?? 0) + by)
      if (count > 0) this.#cuts.set(way, count)
      else this.#cuts.delete(way)
    }
    change(1)
    let isOver = false
    return () => {
      if (!isOver) change(-1)
      isOver = true
    }
  }

  /** What a peer sends takes up to `ms` longer, each message as it happens. */
  delay(from: PeerName, ms: number): void {
    this.#late.set(from, ms)
  }

  /** All ways are whole again, and as quick as the weather. */
  mend(): void {
    this.#cuts.clear()
    this.#late.clear()
  }

  reaches(from: PeerName, to: PeerName): boolean {
    if (this.#at(from).length === 0 || this.#at(to).length === 0) return false
    return this.#cuts.size === 0 || !this.#cuts.get(`${from} ${to}`)
  }

  /** Opens a connection, when both sides can hear each other; @param life - the run that dials */
  dial(from: PeerName, to: PeerName, life: Life): void {
    this.#later(() => {
      const runs = this.#at(from)
      const own = runs.find((place) => place.life === life) ?? runs[0]
      if (own === undefined || !this.reaches(from, to) || !this.reaches(to, from)) return
      if (this.#isConnected(own, to)) return
      const place = this.#route(own, to)
      if (place !== undefined) this.#connect(own, place)
    }, from)
  }

  #isConnected(own: Place, peer: PeerName): boolean {
    return this.#at(peer).some((place) => this.#open.has(link(own, place)))
  }

  #connect(one: Place, other: Place): void {
    const [a, b] = [this.#now(one), this.#now(other)]
    if (a === undefined || b === undefined || a.peer === b.peer) return
    if (this.#open.has(link(a, b))) return
    this.#open.add(link(a, b))
    for (const [self, other] of [
      [a, b],
      [b, a],
    ] as const) {
      self.life.reach(() => {
        if (self.isMember(other.peer)) self.onConnected(other.peer)
      })
    }
  }

  /** Short mostly, long sometimes. */
  delayMs(): number {
    const { minMs, maxMs } = this.weather
    return minMs + Math.floor((maxMs - minMs) * this.#random.next() ** 3)
  }

  #later(job: () => void, from: PeerName): void {
    const lateMs = this.#late.get(from) ?? 0
    const extraMs = lateMs === 0 ? 0 : this.#random.between(0, lateMs)
    this.#clock.after(this.delayMs() + extraMs, job)
  }

  /** Calls `arrive` once for each copy that gets through, and `broken` when the other side is down. */
  #send(
    from: Place,
    to: PeerName | Place,
    arrive: (place: Place) => void,
    broken = () => {},
  ): void {
    if (this.#random.chance(this.weather.loss)) return
    const copies = this.#random.chance(this.weather.duplicates) ? 2 : 1
    const peer = typeof to === 'string' ? to : to.peer
    for (let copy = 0; copy < copies; copy++) {
      this.#later(() => {
        const isThere = this.#at(peer).length > 0
        const place = typeof to === 'string' ? this.#route(from, to) : to
        if (!isThere) {
          if (this.#random.chance(0.5)) broken()
        } else if (place !== undefined && this.#isUp(place) && this.reaches(from.peer, peer))
          place.life.reach(() => arrive(place))
      }, from.peer)
    }
  }

  #networkOf(own: Place): Network {
    const self = own.peer
    return {
      self,
      request: (peer, protocol, body, { timeoutMs }) =>
        new Promise((resolve, reject) => {
          let cancel = () => {}
          const settle = (job: () => void) => {
            cancel()
            own.life.reach(job)
          }
          const fail = (why: string) =>
            settle(() => reject(new ReplicationError('PEER_UNREACHABLE', `${peer}: ${why}`)))
          if (own.life.isOver) return
          cancel = this.#clock.after(timeoutMs, () => fail('no answer in time'))
          const frame = pack(body, this.#isCopied)
          if (peer === self) {
            void this.#serve(own, self, protocol, frame).then((answer) =>
              answer === null ? fail('no answer') : settle(() => resolve(answer.open())),
            )
            return
          }
          own.watch(body)
          this.#send(
            own,
            peer,
            (place) => {
              this.#connect(own, place)
              void this.#serve(place, self, protocol, frame).then((answer) => {
                if (place.life.isOver) return
                if (answer === null) this.#send(place, own, () => fail('the stream was reset'))
                else this.#send(place, own, () => settle(() => resolve(answer.open())))
              })
            },
            () => fail('connection refused'),
          )
        }),
      ...noFollow,
      handle: (protocol, handler) => {
        own.handlers.set(protocol, handler)
      },
      connected: () =>
        [...this.#places.keys()].filter(
          (peer) => this.#isConnected(own, peer) && own.isMember(peer),
        ),
    }
  }

  /** The serving side; null stands for a reset stream. */
  async #serve(
    place: Place,
    from: PeerName,
    protocol: string,
    frame: Frame,
  ): Promise<Frame | null> {
    const isStranger = from !== place.peer && protocol !== JOIN && !place.isMember(from)
    const handler = place.handlers.get(protocol)
    if (isStranger) return pack(notAMember, this.#isCopied)
    if (handler === undefined || frame.length > maxFrameBytes) return null
    try {
      const asked = frame.open()
      const said = await handler(from, asked)
      const answer = place.bend?.(protocol, asked, said) ?? said
      if (from !== place.peer && !place.life.isOver) place.watch(answer)
      const packed = pack(answer, this.#isCopied)
      if (packed.length > maxFrameBytes) {
        this.#trouble(`an answer on ${protocol} has ${packed.length} bytes`)
        return null
      }
      return packed
    } catch {
      // As on a real stream: the troubles of a handler end with its stream.
      return null
    }
  }

  #pubsubOf(own: Place): Pubsub {
    return {
      publish: async (topic, data) => {
        if (own.life.isOver) return
        if (data.length > maxGossipBytes) this.#trouble(`a gossip message has ${data.length} bytes`)
        own.watch(decode(data))
        const id = createHash('sha256').update(topic).update(data).digest('hex')
        own.seen.add(id)
        this.#spread(own, { id, topic, author: own.peer, data })
      },
      subscribe: (topic, judge) => {
        own.topics.set(topic, judge)
      },
      unsubscribe: (topic) => {
        own.topics.delete(topic)
      },
    }
  }

  /** To every subscriber; who accepts a message passes it on, as in a mesh. */
  #spread(by: Place, message: Gossiped): void {
    for (const [peer, places] of this.#places) {
      if (peer === by.peer || peer === message.author || !by.isMember(peer)) continue
      const each = places.length < 2 ? [peer] : places
      for (const to of each)
        this.#send(by, to, (place) => void this.#judge(place, by.peer, message))
    }
  }

  async #judge(place: Place, by: PeerName, message: Gossiped): Promise<void> {
    const judge = place.topics.get(message.topic)
    if (judge === undefined || place.seen.has(message.id) || !place.isMember(by)) return
    place.seen.add(message.id)
    // A judge that throws is taken for one that ignores, as by gossipsub.
    const verdict = await judge(message.author, message.data).catch(() => 'ignore' as const)
    if (place.life.isOver) return
    if (verdict === 'accept') this.#spread(place, message)
    if (verdict === 'reject') this.#trouble(`gossip of an honest peer on ${message.topic} rejected`)
  }
}

const link = ({ life: a }: Place, { life: b }: Place) =>
  a.name < b.name ? `${a.name} ${b.name}` : `${b.name} ${a.name}`
