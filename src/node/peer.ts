import { join } from 'node:path'
import { type Message, TopicValidatorResult } from '@libp2p/gossipsub'
import type { Connection, PeerId, PrivateKey } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { LevelDatastore } from 'datastore-level'
import { type PeerName, peerSigner } from '../auth/peer-signature.ts'
import type { Clock } from '../replication/clock.ts'
import { ReplicationError } from '../replication/errors.ts'
import type { GossipVerdict, Network, Pubsub } from '../replication/network.ts'
import { JOIN } from '../replication/protocol.ts'
import type { Dht } from '../replication/registry/registry.ts'
import { Demerits } from './demerits.ts'
import { Dialling, dialMs, type Wanted } from './dialling.ts'
import { endConnection, Gate, peerNameOf } from './gate.ts'
import { GossipDoor } from './gossip-door.ts'
import { type Host, type RecordRules, startHost } from './host.ts'
import type { Logger } from './logger.ts'
import { Serving } from './serving.ts'
import { StreamPool } from './streams.ts'

/** Strangers' connections open at once, and how long each may stay, ms. */
const maxStrangers = 4
const strangerMs = 30_000
/** Connections of one member that are kept: two cross when both dial at once. */
const maxPerMember = 4
/** How long a newcomer's connection stays after its admission, ms. */
const outgrownMs = 1_000

const verdicts: Record<GossipVerdict, TopicValidatorResult> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
}

/**
 * One peer's libp2p host as the rest of the program sees it: streams, gossip and DHT for members
 * only, and connections that come back by themselves.
 */
export class Peer {
  readonly #host: Host
  readonly #datastore: LevelDatastore
  readonly #gate: Gate
  readonly #gossipDoor: GossipDoor
  readonly #dialling: Dialling
  readonly #serving: Serving
  readonly #pool: StreamPool
  readonly #clock: Clock
  readonly name: PeerName

  private constructor(parts: {
    host: Host
    datastore: LevelDatastore
    gate: Gate
    demerits: Demerits
    clock: Clock
    name: PeerName
  }) {
    const { host, gate, clock } = parts
    this.#host = host
    this.#datastore = parts.datastore
    this.#gate = gate
    this.#gossipDoor = new GossipDoor(clock, parts.demerits, (peer) =>
      gate.lets(peerIdFromString(peer)),
    )
    this.#dialling = new Dialling(host, gate, clock)
    this.#serving = new Serving(host, gate, clock)
    this.#pool = new StreamPool((peer, signal) => this.#dialling.connect(peer, signal))
    this.#clock = clock
    this.name = parts.name
    host.addEventListener('connection:open', ({ detail }) => this.#knock(detail))
    // Others may have come before there was anybody to hear them knock.
    for (const connection of host.getConnections()) this.#knock(connection)
  }

  /** Opens the datastore and starts the host; handlers are added afterwards. */
  static async start(init: {
    readonly privateKey: PrivateKey
    readonly folder: string
    readonly listen: readonly string[]
    readonly announce: readonly string[]
    /** IP address from which others are dialled; left out or null: the system chooses */
    readonly dialFrom?: string | null
    readonly isMember: (peer: PeerName) => boolean
    readonly isCutOff?: (peer: PeerName) => boolean
    /** whether who was cut off may connect as a stranger does, to hear why; else not at all */
    readonly letsKnock?: boolean
    readonly records: RecordRules
    readonly clock: Clock
    readonly logger: Logger
  }): Promise<Peer> {
    const { privateKey, listen, announce, records, clock, logger } = init
    const name = peerSigner(privateKey).peer
    const { isMember, isCutOff = () => false } = init
    const gate = new Gate({ isMember, isCutOff, self: name })
    const demerits = new Demerits(clock)
    const datastore = new LevelDatastore(join(init.folder, 'libp2p'))
    await datastore.open()
    try {
      const host = await startHost({
        ...{ privateKey, datastore, listen, announce, gate, demerits, records, logger },
        dialFrom: init.dialFrom ?? null,
        letsKnock: init.letsKnock ?? false,
      })
      return new Peer({ host, datastore, gate, demerits, clock, name })
    } catch (error) {
      await datastore.close()
      throw error
    }
  }

  /** Somebody has dialled in. A stranger may stay for a while, and few at once (DESIGN 4, Gate). */
  #knock(connection: Connection): void {
    const isStranger = ({ direction, remotePeer }: Connection) =>
      direction === 'inbound' && !this.#gate.lets(remotePeer)
    if (!isStranger(connection)) {
      // All connections there are would not be enough for one that opens them for fun.
      if (this.#host.getConnections(connection.remotePeer).length > maxPerMember)
        endConnection(connection)
      return
    }
    const strangers = this.#host.getConnections().filter(isStranger).length
    const stayMs = strangers > maxStrangers ? 0 : strangerMs
    const cancel = this.#clock.after(stayMs, () => {
      if (isStranger(connection)) endConnection(connection)
    })
    connection.addEventListener('close', cancel, { once: true })
  }

  /** Multiaddrs under which this peer is dialled, its id at the end. */
  addresses(): string[] {
    return this.#host.getMultiaddrs().map((address) => address.toString())
  }

  /** What replication sees of the streams. A request to oneself needs no stream. */
  network(): Network {
    return {
      self: this.name,
      request: async (peer, protocol, body, { timeoutMs }) => {
        this.#checkMayAsk(peer, protocol)
        return peer === this.name
          ? this.#serving.answerSelf(peer, protocol, body)
          : this.#pool.request(peer, protocol, body, timeoutMs)
      },
      handle: (protocol, handler) => this.#serving.handle(protocol, handler),
      follow: (peer, protocol, body, { signal }) => this.#follow(peer, protocol, body, signal),
      handleFollow: (protocol, handler) => this.#serving.handleFollow(protocol, handler),
      connected: () =>
        this.#host
          .getPeers()
          .filter((peer) => this.#gate.lets(peer))
          .flatMap((peer) => peerNameOf(peer) ?? []),
    }
  }

  async *#follow(
    peer: PeerName,
    protocol: string,
    body: unknown,
    signal: AbortSignal,
  ): AsyncGenerator<unknown, void, void> {
    this.#checkMayAsk(peer, protocol)
    yield* peer === this.name
      ? this.#serving.followSelf(peer, protocol, body, signal)
      : this.#pool.follow(peer, protocol, body, signal)
  }

  /** Nobody is asked who is cut off, nor over a connection that it has opened to knock. */
  #checkMayAsk(peer: PeerName, protocol: string): void {
    if (peer === this.name) return
    if (this.#gate.isCutOff(peerIdFromString(peer)))
      throw new ReplicationError('PEER_UNREACHABLE', `${peer} is cut off from the council`)
    if (protocol !== JOIN && !this.#gate.isIn())
      throw new ReplicationError('PEER_UNREACHABLE', 'this peer is no member of the council')
  }

  pubsub(): Pubsub {
    const { pubsub } = this.#host.services
    return {
      publish: async (topic, data) => {
        await pubsub.publish(topic, data)
      },
      subscribe: (topic, judge) => {
        pubsub.topicValidators.set(topic, async (relay: PeerId, message: Message) => {
          const from = peerNameOf(relay)
          if (from === null) return TopicValidatorResult.Ignore
          const author = message.type === 'signed' ? peerNameOf(message.from) : null
          const heard = { relay: from, author, bytes: message.data.length }
          const look = (by: PeerName) => judge(by, message.data)
          return verdicts[await this.#gossipDoor.judge(heard, look)]
        })
        pubsub.subscribe(topic)
      },
      unsubscribe: (topic) => {
        pubsub.unsubscribe(topic)
        pubsub.topicValidators.delete(topic)
      },
    }
  }

  /** Peers that have said that they want what is gossiped on a topic. */
  followers(topic: string): PeerName[] {
    const { pubsub } = this.#host.services
    return pubsub.getSubscribers(topic).flatMap((peer) => peerNameOf(peer) ?? [])
  }

  dht(): Dht {
    const { dht } = this.#host.services
    return {
      put: async (key, value) => {
        let stored = 0
        const signal = AbortSignal.timeout(30_000)
        for await (const event of dht.put(Buffer.from(key), value, { signal })) {
          if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') stored++
        }
        return stored
      },
      get: async (key) => {
        const signal = AbortSignal.timeout(5_000)
        for await (const event of dht.get(Buffer.from(key), { signal })) {
          if (event.name === 'VALUE') return event.value
        }
        return null
      },
    }
  }

  /** Dials a multiaddr that ends in a peer id. Throws PEER_UNREACHABLE. */
  dial(address: string): Promise<PeerName> {
    return this.#dialling.dialAddress(address)
  }

  /** Keeps connections with the wanted peers; see `Dialling.start`. */
  supervise(wanted: () => readonly Wanted[], onConnected: (peer: PeerName) => void): void {
    this.#dialling.start(wanted, onConnected)
  }

  /** Dials every wanted peer that is not connected, side by side. */
  dialWanted(): void {
    this.#dialling.dialWanted()
  }

  /** Closes what is open with a peer; for one that is not wanted, until somebody dials again. */
  async hangUp(peer: PeerName): Promise<void> {
    await this.#host.hangUp(peerIdFromString(peer), { signal: AbortSignal.timeout(dialMs) })
  }

  /**
   * `@roster` has grown: connections of strangers that became members are closed a little later,
   * when what they came for is done, and come back as members' connections. Those of peers that were
   * cut off are closed at once.
   */
  reconsider(): void {
    for (const connection of this.#host.getConnections()) {
      if (this.#gate.isCutOff(connection.remotePeer)) endConnection(connection)
    }
    this.#clock.after(outgrownMs, () => {
      for (const connection of this.#gate.outgrown()) endConnection(connection)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#dialling.stop()
    await this.#host.stop()
    await this.#datastore.close()
  }
}
