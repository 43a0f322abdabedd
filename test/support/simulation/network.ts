import { createHash } from 'node:crypto'
import { decode, encode } from 'cborg'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import { ReplicationError } from '../../../src/replication/errors.ts'
import type { GossipVerdict, Handler, Network, Pubsub } from '../../../src/replication/network.ts'
import { JOIN, maxFrameBytes, maxGossipBytes } from '../../../src/replication/protocol.ts'
import { noFollow } from '../../replication/no-follow.ts'
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
 * in one direction or both. Everything travels as the bytes of the real frames.
 */
export class VirtualNetwork {
  readonly #clock: VirtualClock
  readonly #random: Random
  readonly #places = new Map<PeerName, Place>()
  readonly #open = new Set<string>()
  /** how many cuts lie on a way */
  readonly #cuts = new Map<string, number>()
  readonly #late = new Map<PeerName, number>()
  readonly #watch: (from: PeerName, message: unknown) => void
  readonly #trouble: (sentence: string) => void
  weather: Weather = { loss: 0, duplicates: 0, minMs: 1, maxMs: 20 }

  constructor(parts: {
    readonly clock: VirtualClock
    readonly random: Random
    /** sees every message at the moment at which a peer lets it out */
    readonly watch: (from: PeerName, message: unknown) => void
    /** hears what honest peers must not do to each other */
    readonly trouble: (sentence: string) => void
  }) {
    this.#clock = parts.clock
    this.#random = parts.random
    this.#watch = parts.watch
    this.#trouble = parts.trouble
  }

  /** A peer comes up. Its connections are made by `dial` and by requests. */
  arrive(station: Station): { readonly network: Network; readonly pubsub: Pubsub } {
    const place = { ...station, handlers: new Map(), topics: new Map(), seen: new Set<string>() }
    this.#places.set(station.peer, place)
    return { network: this.#networkOf(place), pubsub: this.#pubsubOf(place) }
  }

  /** A peer goes down: its connections break. */
  leave(peer: PeerName): void {
    this.#places.delete(peer)
    for (const link of this.#open) {
      if (link.split(' ').includes(peer)) this.#open.delete(link)
    }
  }

  /**
   * Nothing gets from one peer to the other any more; neither side notices.
   * @returns ends this cut; others on the same way stay
   */
  cut(from: PeerName, to: PeerName): () => void {
    const way = `${from} ${to}`
    const change = (by: number) => this.#cuts.set(way, Math.max(0, (this.#cuts.get(way) ?? 0) + by))
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
    return this.#places.has(from) && this.#places.has(to) && !this.#cuts.get(`${from} ${to}`)
  }

  /** Opens a connection, when both sides can hear each other. */
  dial(from: PeerName, to: PeerName): void {
    this.#later(() => {
      if (this.reaches(from, to) && this.reaches(to, from)) this.#connect(from, to)
    }, from)
  }

  #connect(a: PeerName, b: PeerName): void {
    if (a === b || this.#open.has(link(a, b))) return
    this.#open.add(link(a, b))
    for (const [self, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const place = this.#places.get(self)
      place?.life.reach(() => {
        if (place.isMember(other)) place.onConnected(other)
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
  #send(from: PeerName, to: PeerName, arrive: (place: Place) => void, broken = () => {}): void {
    if (this.#random.chance(this.weather.loss)) return
    const copies = this.#random.chance(this.weather.duplicates) ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      this.#later(() => {
        const place = this.#places.get(to)
        if (this.reaches(from, to) && place !== undefined) place.life.reach(() => arrive(place))
        else if (place === undefined && this.#random.chance(0.5)) broken()
      }, from)
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
          const frame = encode(body)
          if (peer === self) {
            void this.#serve(own, self, protocol, frame).then((answer) =>
              answer === null ? fail('no answer') : settle(() => resolve(decode(answer))),
            )
            return
          }
          this.#watch(self, body)
          this.#send(
            self,
            peer,
            (place) => {
              this.#connect(self, peer)
              void this.#serve(place, self, protocol, frame).then((answer) => {
                if (place.life.isOver) return
                if (answer === null) this.#send(peer, self, () => fail('the stream was reset'))
                else this.#send(peer, self, () => settle(() => resolve(decode(answer))))
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
          (peer) => this.#open.has(link(self, peer)) && own.isMember(peer),
        ),
    }
  }

  /** The serving side; null stands for a reset stream. */
  async #serve(
    place: Place,
    from: PeerName,
    protocol: string,
    frame: Uint8Array,
  ): Promise<Uint8Array | null> {
    const isStranger = from !== place.peer && protocol !== JOIN && !place.isMember(from)
    const handler = place.handlers.get(protocol)
    if (isStranger) return encode(notAMember)
    if (handler === undefined || frame.length > maxFrameBytes) return null
    try {
      const answer = await handler(from, decode(frame))
      if (from !== place.peer && !place.life.isOver) this.#watch(place.peer, answer)
      const bytes = encode(answer)
      if (bytes.length > maxFrameBytes) {
        this.#trouble(`an answer on ${protocol} has ${bytes.length} bytes`)
        return null
      }
      return bytes
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
        this.#watch(own.peer, decode(data))
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
    for (const peer of this.#places.keys()) {
      if (peer === by.peer || peer === message.author || !by.isMember(peer)) continue
      this.#send(by.peer, peer, (place) => void this.#judge(place, by.peer, message))
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

const link = (a: PeerName, b: PeerName) => (a < b ? `${a} ${b}` : `${b} ${a}`)
