import { createHash } from 'node:crypto'
import { join } from 'node:path'
import {
  type GossipSub,
  type GossipSubComponents,
  type GossipsubOpts,
  gossipsub,
  type Message,
  TopicValidatorResult,
} from '@libp2p/gossipsub'
import { type Identify, type IdentifyPush, identify, identifyPush } from '@libp2p/identify'
import { type Connection, KEEP_ALIVE, type PeerId, type PrivateKey } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import { type KadDHT, type KadDHTComponents, type KadDHTInit, kadDHT } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Ping, ping } from '@libp2p/ping'
import { type TCPOptions, tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { decode, encode } from 'cborg'
import { LevelDatastore } from 'datastore-level'
import { createLibp2p, type Libp2p } from 'libp2p'
import { type PeerName, peerSigner } from '../auth/peer-signature.ts'
import { type Clock, repeat, wait } from '../replication/clock.ts'
import { ReplicationError } from '../replication/errors.ts'
import { Buckets } from '../replication/exchange/rates.ts'
import type {
  FollowHandler,
  GossipVerdict,
  Handler,
  Network,
  Pubsub,
} from '../replication/network.ts'
import {
  followStallMs,
  JOIN,
  KAD,
  maxFrameBytes,
  maxRequestBytes,
  REPLICA,
  SYNC,
} from '../replication/protocol.ts'
import type { Dht } from '../replication/registry/registry.ts'
import { Demerits, maxPoints } from './demerits.ts'
import { maxWindowBytes } from './follow-stream.ts'
import { Gate, peerNameOf } from './gate.ts'
import { GossipDoor } from './gossip-door.ts'
import type { Logger } from './logger.ts'
import { answerOnce, StreamPool, serveStream } from './streams.ts'

type Services = {
  identify: Identify
  identifyPush: IdentifyPush
  ping: Ping
  pubsub: GossipSub
  dht: KadDHT
}

/** A peer that this one wants to stay connected with, and where it is dialled. */
export type Wanted = { readonly peer: PeerName; readonly addresses: readonly string[] }

/** The verdict and the choice of the DHT's namespace `council`; see registry.ts. */
export type RecordRules = {
  /** throws when the record is refused */
  readonly validate: (key: string, value: Uint8Array) => Promise<void>
  readonly select: (records: readonly Uint8Array[]) => number
}

/** How often wanted peers that are not connected are dialled again, ms. */
const superviseMs = 5_000
/** How soon after a lost connection the first redial comes, ms, up to twice that. */
const redialMs = 150
/** Strangers' connections open at once, and how long each may stay, ms. */
const maxStrangers = 4
const strangerMs = 30_000
/** Connections of one member that are kept: two cross when both dial at once. */
const maxPerMember = 4
/** How long a connection may take until both sides know each other, ms. */
const upgradeMs = 5_000
/** Connections that may be on their way there: more than one host can begin in that time. */
const maxUpgrading = 300
/** New connections per second and host; libp2p's 5 starve councils that start on one machine. */
const newPerSecond = 50
/** Requests that one peer may send at once, and per second; the answers to more wait. */
const requestBurst = 1_000
const requestsPerSecond = 300
/** Streams of one protocol that one peer may have open here: what it has under way, and idle ones. */
const maxStreams = 32
/** … of sync, whose answers are up to a MiB each. */
const maxSyncStreams = 12
/** How long a connection may be without gossip's stream before that counts as lost, ms. */
const gossipOpensMs = 20_000
/** Gossip that waits for one peer; beyond it, that peer reads too slowly and its stream is cut. */
const maxOutboundBytes = 8 * 1024 * 1024
/** How long a newcomer's connection stays after its admission, ms. */
const outgrownMs = 1_000
/** How long one dial may take, ms. */
const dialMs = 10_000

const notAMember = {
  error: {
    code: 'NOT_A_MEMBER',
    reason: 'Only peers in @roster may ask this. Join with /council/join/1.',
  },
}
const tooManyStreams = {
  error: {
    code: 'TOO_MANY_STREAMS',
    reason: 'This peer has as many streams of this protocol open as it may. Close some first.',
  },
}
const verdicts: Record<GossipVerdict, TopicValidatorResult> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
}

/**
 * The libp2p host of one peer: streams, gossip and DHT for members only, and connections that come
 * back by themselves. Settings and their reasons: the comments below and facts measured before.
 */
export class Peer {
  readonly #libp2p: Libp2p<Services>
  readonly #datastore: LevelDatastore
  readonly #gate: Gate
  readonly #gossipDoor: GossipDoor
  readonly #requests: Buckets
  /** streams that are served, by peer and protocol */
  readonly #serving = new Map<string, number>()
  readonly #pool: StreamPool
  readonly #clock: Clock
  readonly #handlers = new Map<string, Handler>()
  readonly #followHandlers = new Map<string, FollowHandler>()
  readonly #dialling = new Set<PeerName>()
  readonly name: PeerName
  #wanted: () => readonly Wanted[] = () => []
  /** peers to which gossip had no stream at the last round */
  #mute: ReadonlySet<string> = new Set()
  #stopSupervising = () => {}

  private constructor(parts: {
    libp2p: Libp2p<Services>
    datastore: LevelDatastore
    gate: Gate
    demerits: Demerits
    clock: Clock
    name: PeerName
  }) {
    this.#libp2p = parts.libp2p
    this.#datastore = parts.datastore
    this.#gate = parts.gate
    this.#gossipDoor = new GossipDoor(parts.clock, parts.demerits, (peer) =>
      parts.gate.lets(peerIdFromString(peer)),
    )
    this.#requests = new Buckets(
      { burst: requestBurst, perSecond: requestsPerSecond },
      parts.clock.now,
    )
    this.#clock = parts.clock
    this.name = parts.name
    this.#pool = new StreamPool((peer, signal) => this.#connect(peer, signal))
    this.#libp2p.addEventListener('connection:open', ({ detail }) => this.#knock(detail))
    // Others may have come before there was anybody to hear them knock.
    for (const connection of this.#libp2p.getConnections()) this.#knock(connection)
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
    const name = peerSigner(init.privateKey).peer
    const { isMember, isCutOff = () => false } = init
    const gate = new Gate({ isMember, isCutOff, self: name })
    const demerits = new Demerits(init.clock)
    const datastore = new LevelDatastore(join(init.folder, 'libp2p'))
    await datastore.open()
    try {
      const libp2p = await createLibp2p<Services>({
        privateKey: init.privateKey,
        datastore,
        logger: init.logger,
        addresses: { listen: [...init.listen], announce: [...init.announce] },
        transports: [tcp(tcpOptions(init.dialFrom ?? null))],
        connectionEncrypters: [noise()],
        streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: maxWindowBytes } })],
        connectionGater: {
          denyDialPeer: (peer) => gate.isCutOff(peer),
          denyInboundEncryptedConnection: (peer) => init.letsKnock !== true && gate.isCutOff(peer),
        },
        connectionManager: {
          maxConnections: 300,
          inboundConnectionThreshold: newPerSecond,
          inboundUpgradeTimeout: upgradeMs,
          maxIncomingPendingConnections: maxUpgrading,
          reconnectRetries: 10,
        },
        services: {
          identify: identify(),
          identifyPush: identifyPush(),
          ping: ping(),
          pubsub: (components: GossipSubComponents) =>
            gossipsub(gossipOptions(gate, demerits))(gated(components, gate)),
          dht: (components: KadDHTComponents) =>
            kadDHT(kadOptions(gate, init.records))(gated(components, gate)),
        },
      })
      return new Peer({
        libp2p,
        datastore,
        gate,
        demerits,
        clock: init.clock,
        name,
      })
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
      if (this.#libp2p.getConnections(connection.remotePeer).length > maxPerMember)
        endConnection(connection)
      return
    }
    const strangers = this.#libp2p.getConnections().filter(isStranger).length
    const stayMs = strangers > maxStrangers ? 0 : strangerMs
    const cancel = this.#clock.after(stayMs, () => {
      if (isStranger(connection)) endConnection(connection)
    })
    connection.addEventListener('close', cancel, { once: true })
  }

  /** Multiaddrs under which this peer is dialled, its id at the end. */
  addresses(): string[] {
    return this.#libp2p.getMultiaddrs().map((address) => address.toString())
  }

  /** What replication sees of the streams. A request to oneself needs no stream. */
  network(): Network {
    return {
      self: this.name,
      request: async (peer, protocol, body, { timeoutMs }) => {
        this.#checkMayAsk(peer, protocol)
        if (peer !== this.name) return this.#pool.request(peer, protocol, body, timeoutMs)
        const handler = this.#handlers.get(protocol)
        if (handler === undefined)
          throw new ReplicationError('PEER_UNREACHABLE', `${protocol} is not served here`)
        return decode(encode(await handler(peer, decode(encode(body)))))
      },
      handle: (protocol, handler) => this.#handle(protocol, handler),
      follow: (peer, protocol, body, { signal }) => this.#follow(peer, protocol, body, signal),
      handleFollow: (protocol, handler) => {
        this.#followHandlers.set(protocol, handler)
      },
      connected: () =>
        this.#libp2p
          .getPeers()
          .filter((peer) => this.#gate.lets(peer))
          .flatMap((peer) => peerNameOf(peer) ?? []),
    }
  }

  /** Nobody is asked who is cut off, nor over a connection that it has opened to knock. */
  #checkMayAsk(peer: PeerName, protocol: string): void {
    if (peer === this.name) return
    if (this.#gate.isCutOff(peerIdFromString(peer)))
      throw new ReplicationError('PEER_UNREACHABLE', `${peer} is cut off from the council`)
    if (protocol !== JOIN && !this.#gate.isIn())
      throw new ReplicationError('PEER_UNREACHABLE', 'this peer is no member of the council')
  }

  async *#follow(
    peer: PeerName,
    protocol: string,
    body: unknown,
    signal: AbortSignal,
  ): AsyncGenerator<unknown, void, void> {
    this.#checkMayAsk(peer, protocol)
    if (peer !== this.name) {
      yield* this.#pool.follow(peer, protocol, body, signal)
      return
    }
    const handler = this.#followHandlers.get(protocol)
    if (handler === undefined)
      throw new ReplicationError('PEER_UNREACHABLE', `${protocol} is not served here`)
    for await (const frame of handler(peer, decode(encode(body)), signal))
      yield decode(encode(frame))
  }

  #handle(protocol: string, handler: Handler): void {
    this.#handlers.set(protocol, handler)
    // Asked anew with each request: a stream may outlive its peer's membership.
    const asked: Handler = async (from, body, host) => {
      const waitMs = this.#requests.waitMs(from)
      this.#requests.take(from)
      if (waitMs > 0) await wait(this.#clock, waitMs)
      return protocol === JOIN || this.#gate.lets(peerIdFromString(from))
        ? handler(from, body, host)
        : notAMember
    }
    const streams = protocol === SYNC ? maxSyncStreams : maxStreams
    const maxBytes = protocol === REPLICA ? maxFrameBytes : maxRequestBytes
    const serve = async (stream: Parameters<typeof serveStream>[0], connection: Connection) => {
      const from = peerNameOf(connection.remotePeer)
      if (from === null) return answerOnce(stream, notAMember)
      // libp2p counts per connection, and a peer may have several.
      const key = `${from} ${protocol}`
      const open = this.#serving.get(key) ?? 0
      if (open >= streams) return answerOnce(stream, tooManyStreams)
      this.#serving.set(key, open + 1)
      const host = hostOf(connection.remoteAddr)
      const served: Handler = (name, body) => asked(name, body, host)
      const followed = this.#followHandlers.get(protocol)
      const follows =
        followed === undefined
          ? null
          : {
              handler: followed,
              // Asked before each frame, as above.
              mayHear: () => this.#gate.lets(connection.remotePeer),
              refusal: notAMember,
              stallMs: followStallMs,
            }
      try {
        await serveStream(stream, { from, handler: served, follows, maxBytes })
      } finally {
        const left = (this.#serving.get(key) ?? 1) - 1
        if (left === 0) this.#serving.delete(key)
        else this.#serving.set(key, left)
      }
    }
    const open =
      protocol === JOIN
        ? serve
        : this.#gate.guard(serve, (stream) => answerOnce(stream, notAMember))
    void this.#libp2p.handle(protocol, open, {
      maxInboundStreams: streams,
      maxOutboundStreams: streams,
      force: true,
    })
  }

  pubsub(): Pubsub {
    const { pubsub } = this.#libp2p.services
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
    const { pubsub } = this.#libp2p.services
    return pubsub.getSubscribers(topic).flatMap((peer) => peerNameOf(peer) ?? [])
  }

  dht(): Dht {
    const { dht } = this.#libp2p.services
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
  async dial(address: string): Promise<PeerName> {
    try {
      const connection = await this.#libp2p.dial(multiaddr(address), {
        signal: AbortSignal.timeout(dialMs),
      })
      const name = peerNameOf(connection.remotePeer)
      if (name === null) throw new Error('its id is not Ed25519')
      return name
    } catch (cause) {
      throw new ReplicationError(
        'PEER_UNREACHABLE',
        `cannot dial ${address}: ${(cause as Error).message}`,
        { cause },
      )
    }
  }

  /** Closes what is open with a peer; for one that is not wanted, until somebody dials again. */
  async hangUp(peer: PeerName): Promise<void> {
    await this.#libp2p.hangUp(peerIdFromString(peer), { signal: AbortSignal.timeout(dialMs) })
  }

  async #connect(peer: PeerName, signal: AbortSignal): Promise<Connection> {
    const id = peerIdFromString(peer)
    const open = this.#libp2p.getConnections(id).find((connection) => connection.status === 'open')
    if (open !== undefined) return open
    const wanted = this.#wanted().find((each) => each.peer === peer)
    return wanted === undefined
      ? this.#libp2p.dial(id, { signal })
      : this.#dialWanted(wanted, signal)
  }

  /** A full disk takes no address into the book; it does without. */
  async #dialWanted(wanted: Wanted, signal: AbortSignal): Promise<Connection> {
    const id = peerIdFromString(wanted.peer)
    const isKnown = await this.#remember(wanted).then(
      () => true,
      () => false,
    )
    const end = `/p2p/${wanted.peer}`
    const addresses = wanted.addresses.map((each) =>
      multiaddr(each.endsWith(end) ? each : `${each}${end}`),
    )
    return this.#libp2p.dial(isKnown ? id : addresses, { signal })
  }

  async #remember({ peer, addresses }: Wanted): Promise<void> {
    await this.#libp2p.peerStore.merge(peerIdFromString(peer), {
      multiaddrs: addresses.map((address) => multiaddr(address)),
      tags: { [KEEP_ALIVE]: { value: 50 } },
    })
  }

  /**
   * Keeps connections with the wanted peers: libp2p redials five times and then forgets, and a
   * peer that was down at start is never dialled again (facts, pitfalls 2 and 4).
   *
   * @param onConnected - called with each member that is connected now or connects later, whoever
   *   dialled
   */
  supervise(wanted: () => readonly Wanted[], onConnected: (peer: PeerName) => void): void {
    this.#wanted = wanted
    const tell = (peer: PeerId) => {
      const name = peerNameOf(peer)
      if (name !== null && this.#gate.lets(peer)) onConnected(name)
    }
    this.#libp2p.addEventListener('peer:connect', ({ detail }) => tell(detail))
    // Others have dialled in while this peer was starting: nobody was told of these.
    for (const peer of this.#libp2p.getPeers()) tell(peer)
    this.#libp2p.addEventListener('peer:disconnect', () => {
      this.#clock.after(redialMs * (1 + this.#clock.random()), () => {
        if (this.#libp2p.status === 'started') this.dialWanted()
      })
    })
    this.#stopSupervising = repeat(this.#clock, superviseMs, async () => {
      this.#renewMute()
      this.dialWanted()
    })
    this.dialWanted()
  }

  /** Dials every wanted peer that is not connected, side by side; failures are tried again later. */
  dialWanted(): void {
    const connected = new Set(this.#libp2p.getPeers().map((peer) => peer.toString()))
    for (const each of this.#wanted()) {
      if (each.peer === this.name || connected.has(each.peer) || this.#dialling.has(each.peer))
        continue
      this.#dialling.add(each.peer)
      void this.#dialOne(each).finally(() => this.#dialling.delete(each.peer))
    }
  }

  /**
   * Who read too slowly has lost its gossip stream (`maxOutboundBytes`), and gossipsub opens no
   * second one on a connection: such a connection is closed, and whoever wants it dials anew.
   */
  #renewMute(): void {
    const openedMs = this.#clock.now() - gossipOpensMs
    const hears = (peer: PeerId) =>
      this.#libp2p
        .getConnections(peer)
        .some(({ streams }) =>
          streams.some((each) => each.direction === 'outbound' && isGossip(each.protocol)),
        )
    const isOld = (peer: PeerId) =>
      this.#libp2p.getConnections(peer).every(({ timeline }) => timeline.open < openedMs)
    const mute = this.#libp2p.services.pubsub
      .getPeers()
      .filter((peer) => this.#gate.lets(peer) && isOld(peer) && !hears(peer))
    for (const peer of mute) {
      if (!this.#mute.has(peer.toString())) continue
      for (const connection of this.#libp2p.getConnections(peer)) endConnection(connection)
    }
    this.#mute = new Set(mute.map((peer) => peer.toString()))
  }

  async #dialOne(wanted: Wanted): Promise<void> {
    try {
      await this.#dialWanted(wanted, AbortSignal.timeout(dialMs))
    } catch {
      // Down or cut off: the next round tries again.
    }
  }

  /**
   * `@roster` has grown: connections of strangers that became members are closed a little later,
   * when what they came for is done, and come back as members' connections. Those of peers that were
   * cut off are closed at once.
   */
  reconsider(): void {
    for (const connection of this.#libp2p.getConnections()) {
      if (this.#gate.isCutOff(connection.remotePeer)) endConnection(connection)
    }
    this.#clock.after(outgrownMs, () => {
      for (const connection of this.#gate.outgrown()) endConnection(connection)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopSupervising()
    await this.#libp2p.stop()
    await this.#datastore.close()
  }
}

/**
 * Closes a connection, whatever the other side does: libp2p gives up after a second when something
 * is still to be written, and leaves the connection open.
 */
function endConnection(connection: Connection): void {
  connection.close().catch((error: Error) => connection.abort(error))
}

/** `localAddress` goes on to `net.connect`, though the type names only some of its options. */
function tcpOptions(dialFrom: string | null): TCPOptions {
  if (dialFrom === null) return {}
  const dialOpts: TCPOptions['dialOpts'] & { localAddress: string } = { localAddress: dialFrom }
  return { dialOpts }
}

const isGossip = (protocol: string) => protocol.startsWith('/meshsub/')

function gossipOptions(gate: Gate, demerits: Demerits): Partial<GossipsubOpts> {
  return {
    fallbackToFloodsub: false,
    // A primary's topic has few subscribers: what it says goes to each at once, mesh or not yet.
    floodPublish: true,
    // Writes one peer-store tag per topic and graft: quadratic.
    tagMeshPeers: false,
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    maxOutboundBufferSize: maxOutboundBytes,
    maxTopicBytesPerPeer: 8 << 20,
    // The same entry announced again inside two minutes is dropped for free.
    msgIdFn: (message) => createHash('sha256').update(message.topic).update(message.data).digest(),
    scoreThresholds: { gossipThreshold: -10, publishThreshold: -50, graylistThreshold: -maxPoints },
    scoreParams: {
      // A stranger lies below the graylist mark, and so does who sends junk.
      appSpecificScore: (peer) => (gate.lets(peerIdFromString(peer)) ? -demerits.of(peer) : -1_000),
      appSpecificWeight: 1,
      // Membership is by admission; many spokes behind one address are no attack.
      IPColocationFactorWeight: 0,
    },
  }
}

function kadOptions(gate: Gate, records: RecordRules): KadDHTInit {
  return {
    protocol: KAD,
    // Left unset it stays a client until a public address appears.
    clientMode: false,
    peerInfoMapper: (peer) => (gate.lets(peer.id) ? peer : { ...peer, multiaddrs: [] }),
    validators: {
      council: (key, value) => records.validate(Buffer.from(key).toString(), value),
    },
    selectors: { council: (_key, values) => records.select(values) },
  }
}

/** The IP address in a connection's address, `/ip4/192.0.2.7/tcp/…`. */
function hostOf(address: Multiaddr): string | undefined {
  const [, kind = '', host = ''] = address.toString().split('/')
  return kind === 'ip4' || kind === 'ip6' ? host.replace(/^::ffff:(?=[0-9.]+$)/, '') : undefined
}

/** A part's components with the registrar behind the gate. */
function gated<C extends { registrar: Registrar }>(components: C, gate: Gate): C {
  const registrar = gate.wrap(components.registrar)
  return new Proxy(components, {
    get: (target, name) => (name === 'registrar' ? registrar : Reflect.get(target, name)),
  })
}
