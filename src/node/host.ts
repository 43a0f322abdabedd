import { createHash } from 'node:crypto'
import {
  type GossipSub,
  type GossipSubComponents,
  type GossipsubOpts,
  gossipsub,
} from '@libp2p/gossipsub'
import { type Identify, type IdentifyPush, identify, identifyPush } from '@libp2p/identify'
import type { PrivateKey } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import { type KadDHT, type KadDHTComponents, type KadDHTInit, kadDHT } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Ping, ping } from '@libp2p/ping'
import { type TCPOptions, tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import type { LevelDatastore } from 'datastore-level'
import { createLibp2p, type Libp2p } from 'libp2p'
import { KAD } from '../replication/protocol.ts'
import { type Demerits, maxPoints } from './demerits.ts'
import { maxWindowBytes } from './follow-stream.ts'
import type { Gate } from './gate.ts'
import type { Logger } from './logger.ts'

/** A libp2p host with what a peer of a council runs on it. */
export type Host = Libp2p<{
  identify: Identify
  identifyPush: IdentifyPush
  ping: Ping
  pubsub: GossipSub
  dht: KadDHT
}>

/** The verdict and the choice of the DHT's namespace `council`; see registry.ts. */
export type RecordRules = {
  /** throws when the record is refused */
  readonly validate: (key: string, value: Uint8Array) => Promise<void>
  readonly select: (records: readonly Uint8Array[]) => number
}

/** How long a connection may take until both sides know each other, ms. */
const upgradeMs = 5_000
/** Connections that may be on their way there: more than one host can begin in that time. */
const maxUpgrading = 300
/** New connections per second and host; libp2p's 5 starve councils that start on one machine. */
const newPerSecond = 50
/** Gossip that waits for one peer; beyond it, that peer reads too slowly and its stream is cut. */
const maxOutboundBytes = 8 * 1024 * 1024

/** The settings of libp2p and its parts; their reasons: the comments below and facts measured before. */
export function startHost(init: {
  readonly privateKey: PrivateKey
  readonly datastore: LevelDatastore
  readonly listen: readonly string[]
  readonly announce: readonly string[]
  /** IP address from which others are dialled; null: the system chooses */
  readonly dialFrom: string | null
  readonly gate: Gate
  readonly demerits: Demerits
  /** whether who was cut off may connect as a stranger does, to hear why; else not at all */
  readonly letsKnock: boolean
  readonly records: RecordRules
  readonly logger: Logger
}): Promise<Host> {
  const { privateKey, datastore, gate, demerits, logger } = init
  return createLibp2p({
    privateKey,
    datastore,
    logger,
    addresses: { listen: [...init.listen], announce: [...init.announce] },
    transports: [tcp(tcpOptions(init.dialFrom))],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: maxWindowBytes } })],
    connectionGater: {
      denyDialPeer: (peer) => gate.isCutOff(peer),
      denyInboundEncryptedConnection: (peer) => !init.letsKnock && gate.isCutOff(peer),
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
}

/** `localAddress` goes on to `net.connect`, though the type names only some of its options. */
function tcpOptions(dialFrom: string | null): TCPOptions {
  if (dialFrom === null) return {}
  const dialOpts: TCPOptions['dialOpts'] & { localAddress: string } = { localAddress: dialFrom }
  return { dialOpts }
}

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

/** A part's components with the registrar behind the gate. */
function gated<C extends { registrar: Registrar }>(components: C, gate: Gate): C {
  const registrar = gate.wrap(components.registrar)
  return new Proxy(components, {
    get: (target, name) => (name === 'registrar' ? registrar : Reflect.get(target, name)),
  })
}
