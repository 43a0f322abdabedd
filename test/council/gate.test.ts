import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { type GossipSub, gossipsub } from '@libp2p/gossipsub'
import { type Identify, identify } from '@libp2p/identify'
import type { PeerId } from '@libp2p/interface'
import { type KadDHT, kadDHT } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { lpStream } from '@libp2p/utils'
import { yamux } from '@libp2p/yamux'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { decode, encode } from 'cborg'
import { createLibp2p, type Libp2p } from 'libp2p'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { PeerName } from '../../src/auth/peer-signature.ts'
import { realClock } from '../../src/node/clock.ts'
import { createLogger } from '../../src/node/logger.ts'
import { Peer } from '../../src/node/peer.ts'
import { JOIN, KAD, PROTOCOLS, recordKey, SYNC } from '../../src/replication/protocol.ts'
import { makeSigner } from '../support/author.ts'
import { soon, startCouncil, type TestCouncil } from '../support/council.ts'
import { type Host, startHost } from '../support/member.ts'

type Services = { identify: Identify; ping: Ping; pubsub: GossipSub; dht: KadDHT }
type Stranger = Libp2p<Services>

const bareHost = {
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
}

/** Somebody's libp2p host that speaks all that a peer speaks, and is in no roster. */
async function startStranger(): Promise<Stranger> {
  return createLibp2p<Services>({
    ...bareHost,
    services: {
      identify: identify(),
      ping: ping(),
      pubsub: gossipsub({ allowPublishToZeroTopicPeers: true }),
      dht: kadDHT({
        ...{ protocol: KAD, clientMode: false, peerInfoMapper: (peer) => peer },
        ...{ allowQueryWithZeroPeers: true, initialQuerySelfInterval: 0 },
        validators: { council: async () => undefined },
        selectors: { council: () => 0 },
      }),
    },
  })
}

/** One frame there, one frame back; throws when the stream ends instead. */
async function exchange(
  stranger: Stranger,
  to: Multiaddr,
  protocol: string,
  frame: Uint8Array,
): Promise<Uint8Array> {
  const signal = AbortSignal.timeout(10_000)
  const stream = await stranger.dialProtocol(to, protocol, { signal })
  const frames = lpStream(stream)
  try {
    await frames.write(frame, { signal })
    return (await frames.read({ signal })).subarray()
  } finally {
    stream.abort(new Error('asked'))
  }
}

/** How many peers acknowledged a PUT into the DHT. */
async function put(stranger: Stranger, key: string): Promise<number> {
  const signal = AbortSignal.timeout(10_000)
  let acknowledged = 0
  const value = Buffer.from('anything')
  for await (const event of stranger.services.dht.put(Buffer.from(key), value, { signal })) {
    if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') acknowledged++
  }
  return acknowledged
}

/** A frame of kad-dht: type PING, and nothing else. */
const kadPing = Buffer.from([0x08, 0x05])
const id = '5f'.repeat(32)

describe('a stranger to a council', () => {
  let council: TestCouncil
  let stranger: Stranger
  let to: Multiaddr

  beforeAll(async () => {
    council = await startCouncil({ spokes: 2 })
    await council.claim('maria', await makeSigner())
    stranger = await startStranger()
    to = multiaddr(council.authority.line.addresses[0] as string)
  })
  afterAll(async () => {
    await stranger?.stop()
    await council?.[Symbol.asyncDispose]()
  })

  it.each(PROTOCOLS.filter((protocol) => protocol !== JOIN))(
    'is answered NOT_A_MEMBER on %s',
    async (protocol) => {
      const question = encode({ t: 'heads', logs: ['@roster'] })
      expect(decode(await exchange(stranger, to, protocol, question))).toEqual({
        error: { code: 'NOT_A_MEMBER', reason: expect.stringContaining('Join with') },
      })
    },
  )

  it('may read @roster to join', async () => {
    const answer = decode(await exchange(stranger, to, JOIN, encode({ t: 'roster', from: 0 })))
    expect(answer).toMatchObject({ more: false, entries: { length: expect.any(Number) } })
    expect(answer.entries.length).toBeGreaterThanOrEqual(3)
    expect(Buffer.from(answer.entries[0][0]).toString()).toContain('council-act 1\n')
  })

  it('is answered nothing on the stream of the DHT, and nobody takes its records', async () => {
    const councilId = council.id.slice(council.id.indexOf('/') + 1)
    await expect(exchange(stranger, to, KAD, kadPing)).rejects.toThrow()
    expect(await put(stranger, recordKey(councilId, 'maria'))).toBe(0)
  })

  it('does not count among those that the council is connected with', async () => {
    const { members } = await council.authority.status()
    expect(members.map(({ name }) => name).sort()).toEqual(['a', 'b'])
  })
})

describe('Gate', () => {
  const members = new Set<string>()
  const topic = `/council/1/${id}/acts`
  const heard: string[] = []
  let folder: string
  let peer: Peer
  let stranger: Stranger
  let to: Multiaddr
  let peerId: PeerId

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'council-gate-'))
    peer = await Peer.start({
      ...{ folder, privateKey: await generateKeyPair('Ed25519') },
      ...{ listen: ['/ip4/127.0.0.1/tcp/0'], announce: [] },
      isMember: (name) => members.has(name),
      records: { validate: async () => undefined, select: () => 0 },
      ...{ clock: realClock, logger: createLogger('silent') },
    })
    peer.network().handle(SYNC, async () => ({ heads: [] }))
    peer.pubsub().subscribe(topic, async (_from, data) => {
      heard.push(Buffer.from(data).toString())
      return 'accept'
    })
    stranger = await startStranger()
    to = multiaddr(peer.addresses()[0] as string)
    peerId = (await stranger.dial(to)).remotePeer
  })
  afterAll(async () => {
    await stranger?.stop()
    await peer?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const publish = (words: string) => stranger.services.pubsub.publish(topic, Buffer.from(words))
  const ask = () => exchange(stranger, to, SYNC, encode({})).then((frame) => decode(frame))

  it("drops a stranger's gossip, streams and records", async () => {
    expect(await ask()).toMatchObject({ error: { code: 'NOT_A_MEMBER' } })
    await expect(exchange(stranger, to, KAD, kadPing)).rejects.toThrow()
    expect(await put(stranger, recordKey(id, 'maria'))).toBe(0)
    // Its host is told of no topic, so it has nobody to send to; what it opens by hand ends.
    expect((await publish('of a stranger')).recipients).toEqual([])
    await using stack = new AsyncDisposableStack()
    const byHand = await createLibp2p(bareHost)
    stack.defer(() => byHand.stop())
    const stream = await byHand.dialProtocol(to, '/meshsub/1.1.0')
    await soon(() => expect(stream.status).not.toBe('open'))
    expect(heard).toEqual([])
    expect(peer.network().connected()).toEqual([])
  })

  it('ends the connection of a stranger that was admitted, and lets all of it in on the next', async () => {
    const [before] = stranger.getConnections(peerId)
    members.add(stranger.peerId.toString())
    peer.reconsider()
    await soon(() => expect(before?.status).toBe('closed'))
    await stranger.dial(to)

    expect(await ask()).toEqual({ heads: [] })
    expect(peer.network().connected()).toEqual([stranger.peerId.toString()])
    expect(kadPing.equals(await exchange(stranger, to, KAD, kadPing))).toBe(true)
    await soon(async () => expect(await put(stranger, recordKey(id, 'maria'))).toBe(1))
    await soon(() => expect(stranger.services.pubsub.getSubscribers(topic)).toHaveLength(1))
    await publish('of a member')
    await soon(() => expect(heard).toContain('of a member'))
  })
})

describe('Peer', () => {
  /** A peer of a council in which nobody but `members` is, and the timers that it has set. */
  async function startPeer(stack: AsyncDisposableStack, members: ReadonlySet<string>) {
    const folder = await mkdtemp(join(tmpdir(), 'council-gate-'))
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    const waiting: { ms: number; job: () => void }[] = []
    const after = (ms: number, job: () => void) => {
      if (ms === 0) job()
      else waiting.push({ ms, job })
      return () => undefined
    }
    const peer = stack.use(
      await Peer.start({
        ...{ folder, privateKey: await generateKeyPair('Ed25519') },
        ...{ listen: ['/ip4/127.0.0.1/tcp/0'], announce: [] },
        isMember: (name) => members.has(name),
        records: { validate: async () => undefined, select: () => 0 },
        ...{ clock: { ...realClock, after }, logger: createLogger('silent') },
      }),
    )
    const stays = () => waiting.filter(({ ms }) => ms === 30_000)
    return { peer, at: multiaddr(peer.addresses()[0] as string), stays }
  }

  it('keeps four strangers at once, each for 30 seconds', async () => {
    await using stack = new AsyncDisposableStack()
    const { at, stays } = await startPeer(stack, new Set())
    // Hosts that dial only when they are told to: a DHT of theirs would come back by itself.
    const strangers: Host[] = []
    for (let count = 0; count < 6; count++) {
      const stranger = await startHost(stack)
      strangers.push(stranger)
      await stranger.dial(at).catch(() => undefined)
    }
    const connected = () => strangers.filter((each) => each.getConnections().length > 0).length
    await soon(() => expect(connected()).toBe(4))
    expect(stays()).toHaveLength(4)
    for (const { job } of stays()) job()
    await soon(() => expect(connected()).toBe(0))
  })

  it('ends the connection of a stranger that does not take what it is sent', async () => {
    await using stack = new AsyncDisposableStack()
    const { peer, at, stays } = await startPeer(stack, new Set())
    peer.network().handle(JOIN, async () => ({ filler: Buffer.alloc(1_000_000) }))
    const stranger = await startHost(stack, undefined, 256 * 1024)
    const stream = await stranger.dialProtocol(at, JOIN)
    stream.pause()
    stream.send(Buffer.concat([Buffer.from([1]), encode({})]))
    // The rest waits there until it takes this.
    await soon(() => expect(stream.readBufferLength).toBeGreaterThan(200_000))
    for (const { job } of stays()) job()
    // After 10 s libp2p would find out by itself that nobody answers there.
    const ended = () => expect(stranger.getConnections()).toEqual([])
    await vi.waitFor(ended, { timeout: 8_000, interval: 50 })
  })

  it('of a newcomer takes no stranger’s place elsewhere but to ask to be let in', async () => {
    await using stack = new AsyncDisposableStack()
    const members = new Set<string>()
    const { peer } = await startPeer(stack, members)
    const member = await startHost(stack)
    const name = member.peerId.toString() as PeerName
    members.add(name)
    const opened: string[] = []
    for (const protocol of [JOIN, SYNC, KAD])
      await member.handle(protocol, (stream) => {
        opened.push(protocol)
        stream.send(Buffer.concat([Buffer.from([1]), encode({})]))
      })
    const ask = (protocol: string) =>
      peer.network().request(name, protocol, {}, { timeoutMs: 10_000 })
    await peer.dial(member.getMultiaddrs()[0]?.toString() ?? '')
    await ask(JOIN)
    await peer.hangUp(name)
    await soon(() => expect(member.getConnections()).toEqual([]))
    await expect(ask(SYNC)).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
    expect([opened, member.getConnections()]).toEqual([[JOIN], []])

    members.add(peer.name)
    await ask(SYNC)
  })
})
