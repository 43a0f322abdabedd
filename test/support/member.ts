import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { type GossipSub, gossipsub } from '@libp2p/gossipsub'
import { type Identify, identify } from '@libp2p/identify'
import type { PrivateKey } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p, type Libp2p } from 'libp2p'
import { realClock } from '../../src/node/clock.ts'
import { createLogger } from '../../src/node/logger.ts'
import { Peer } from '../../src/node/peer.ts'

/** The host of an honest member, without the council's logs: everybody is a member to it. */
export async function startMember(
  stack: AsyncDisposableStack,
  init: Partial<Parameters<typeof Peer.start>[0]> = {},
): Promise<Peer> {
  const folder = await mkdtemp(join(tmpdir(), 'council-member-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const peer = await Peer.start({
    ...{ folder, privateKey: await generateKeyPair('Ed25519') },
    ...{ listen: ['/ip4/127.0.0.1/tcp/0'], announce: [] },
    isMember: () => true,
    records: { validate: async () => undefined, select: () => 0 },
    ...{ clock: realClock, logger: createLogger('silent') },
    ...init,
  })
  return stack.use(peer)
}

export type Host = Libp2p<{ identify: Identify; ping: Ping; pubsub: GossipSub }>

/** A host of somebody's own making, which can do what it likes. */
export async function startHost(
  stack: AsyncDisposableStack,
  privateKey?: PrivateKey,
  /** bytes that may come on one of its streams before they are read */
  maxStreamWindowSize = 16 * 1024 * 1024,
): Promise<Host> {
  const host: Host = await createLibp2p({
    privateKey: privateKey ?? (await generateKeyPair('Ed25519')),
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    ...{ transports: [tcp()], connectionEncrypters: [noise()] },
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize } })],
    services: {
      identify: identify(),
      ping: ping(),
      pubsub: gossipsub({ allowPublishToZeroTopicPeers: true, floodPublish: true }),
    },
  })
  stack.defer(() => host.stop())
  return host
}
