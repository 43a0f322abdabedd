import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Connection, Stream } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { decode, encode } from 'cborg'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { Peer } from '../../src/node/peer.ts'
import { serveStream } from '../../src/node/streams.ts'
import { maxRequestBytes, PROTOCOLS, READ, REPLICA, SYNC } from '../../src/replication/protocol.ts'
import { soon } from '../support/council.ts'
import { type Host, startHost, startMember } from '../support/member.ts'

let stack: AsyncDisposableStack
/** two honest members, and a host of somebody's own making that is one too */
let honest: [Peer, Peer]
let hostile: Host
beforeEach(async () => {
  stack = new AsyncDisposableStack()
  const all = stack
  onTestFinished(() => all.disposeAsync())
  honest = [await startMember(stack), await startMember(stack)]
  hostile = await startHost(stack)
  for (const peer of honest) {
    for (const protocol of PROTOCOLS)
      peer.network().handle(protocol, async (_from, body) => ({ heard: body !== null }))
  }
  await honest[0].dial(addressOf(honest[1]))
})

const addressOf = (peer: Peer) => peer.addresses()[0] as string
const dial = (to: Peer) => hostile.dial(multiaddr(addressOf(to)))
const open = async (protocol: string, to: Peer): Promise<Stream> =>
  (await dial(to)).newStream(protocol, { maxOutboundStreams: 5_000 })
const askHonest = async () => {
  const startMs = performance.now()
  const network = honest[1].network()
  const answer = await network.request(honest[0].name, SYNC, {}, { timeoutMs: 10_000 })
  expect(answer).toEqual({ heard: true })
  return performance.now() - startMs
}

describe('a member that answers one byte a second', () => {
  it('is cut when the time for the request is over, and nobody else waits for it', async () => {
    const cut = Promise.withResolvers<void>()
    await hostile.handle(SYNC, async (stream) => {
      await lpStream(stream).read()
      // A frame of a mebibyte begins …
      stream.send(Buffer.from([0x80, 0x80, 0x40]))
      const drip = setInterval(() => {
        if (stream.status === 'open') stream.send(Buffer.from([0]))
      }, 1_000)
      stream.addEventListener('close', () => {
        clearInterval(drip)
        cut.resolve()
      })
    })
    const slow = (await honest[0].dial(
      hostile.getMultiaddrs()[0]?.toString() ?? '',
    )) as Peer['name']
    const startMs = performance.now()
    const { request } = honest[0].network()
    // More at once than it may have: the rest waits for its turn, and no longer than it would anyway.
    const asked = Array.from({ length: 12 }, () => request(slow, SYNC, {}, { timeoutMs: 2_500 }))
    const answers = Promise.allSettled(asked)
    await askHonest()
    expect(await request(honest[1].name, SYNC, {}, { timeoutMs: 5_000 })).toEqual({ heard: true })
    for (const answer of await answers) {
      expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'PEER_UNREACHABLE' } })
    }
    expect(performance.now() - startMs).toBeLessThan(8_000)
    await cut.promise
  })
})

describe('a member that opens 1,000 streams', () => {
  it.each([SYNC, REPLICA])(
    'has few of them served on %s, and nobody waits for it',
    async (protocol) => {
      const connection = await dial(honest[0])
      const opened = await Promise.allSettled(
        Array.from({ length: 1_000 }, () =>
          connection.newStream(protocol, { maxOutboundStreams: 5_000 }),
        ),
      )
      const streams = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
      await soon(() => {
        const left = streams.filter(({ status }) => status === 'open').length
        expect(left).toBeLessThanOrEqual(protocol === SYNC ? 12 : 32)
      })
      await askHonest()
    },
  )

  it('on many connections keeps four of them, and as few streams as on one', async () => {
    const address = multiaddr(addressOf(honest[0]))
    const connections: Connection[] = []
    for (let n = 0; n < 12; n++) {
      // One more may be closed before it is open here.
      const connection = await hostile.dial(address, { force: true }).catch(() => null)
      if (connection !== null) connections.push(connection)
    }
    await soon(() =>
      expect(connections.filter(({ status }) => status === 'open').length).toBeLessThanOrEqual(4),
    )
    const left = connections.filter(({ status }) => status === 'open')
    expect(left.length).toBeGreaterThan(1)
    const refused: string[] = []
    for (const connection of left) {
      for (let n = 0; n < 12; n++) {
        const frames = lpStream(await connection.newStream(SYNC))
        // Those that are served wait for a question.
        frames.read().then(
          (read) => refused.push(decode(read.subarray()).error.code),
          () => undefined,
        )
      }
    }
    await soon(() => expect(refused).toHaveLength(12 * left.length - 12))
    expect(new Set(refused)).toEqual(new Set(['TOO_MANY_STREAMS']))
    await askHonest()
  })
})

describe('a member that asks more than anybody needs', () => {
  it('is answered at 300 requests a second after the first thousand, others at once', async () => {
    await dial(honest[0])
    const frames = await Promise.all(
      Array.from({ length: 8 }, async () => lpStream(await open(READ, honest[0]))),
    )
    const frame = encode({ t: 'anything' })
    const ask = async (each: (typeof frames)[number], times: number) => {
      for (let n = 0; n < times; n++) {
        await each.write(frame)
        await each.read()
      }
    }
    const startMs = performance.now()
    const all = Promise.all(frames.map((each) => ask(each, 175)))
    await askHonest()
    await all
    // 400 more than the first thousand: a second and a third, on whatever machine.
    expect(performance.now() - startMs).toBeGreaterThan(1_300)
  })
})

describe('a frame that never ends', () => {
  it.each<[string, Buffer]>([
    ['of 2 GiB', Buffer.from([0x80, 0x80, 0x80, 0x80, 0x08])],
    ['of 8 EiB', Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01])],
    ['without the end of its length', Buffer.alloc(40, 0xff)],
    ['of one byte more than a request may have', prefix(maxRequestBytes + 1)],
  ])('%s ends the stream at once', async (_, bytes) => {
    const stream = await open(SYNC, honest[0])
    stream.send(bytes)
    await soon(() => expect(stream.status).not.toBe('open'))
    await askHonest()
  })

  it('of as much as a push may have is read on the stream of pushes only', async () => {
    const body = encode({ filler: Buffer.alloc(maxRequestBytes) })
    const frames = lpStream(await open(REPLICA, honest[0]))
    await frames.write(body)
    expect(decode((await frames.read()).subarray())).toEqual({ heard: true })
    const others = lpStream(await open(READ, honest[0]))
    await others.write(body)
    await expect(others.read()).rejects.toThrow()
  })
})

describe('a member that does not read what it asked to hear', () => {
  it('is cut at 8 MiB, and the others hear everything', async () => {
    const topic = '/council/1/slow'
    const [publisher, listener] = honest
    const heard = new Set<string>()
    listener.pubsub().subscribe(topic, async (_from, data) => {
      heard.add(Buffer.from(data.subarray(0, 8)).toString('hex'))
      return 'accept'
    })
    hostile.services.pubsub.subscribe(topic)
    const connection = await dial(publisher)
    const gossip = () =>
      connection.streams.find(
        ({ protocol, direction }) => protocol.startsWith('/meshsub/') && direction === 'inbound',
      )
    const first = randomBytes(90_000)
    await soon(async () => {
      await publisher.pubsub().publish(topic, randomBytes(100))
      expect(heard.size).toBeGreaterThan(0)
      expect(gossip()).toBeDefined()
    })
    const stream = gossip() as Stream
    stream.pause()
    const sent = Array.from({ length: 130 }, (_, n) => {
      const message = Buffer.from(first)
      message.writeUInt32BE(n, 4)
      return message
    })
    for (const message of sent) {
      await publisher.pubsub().publish(topic, message)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const wanted = sent.map((message) => message.subarray(0, 8).toString('hex'))
    await soon(() => expect([...heard]).toEqual(expect.arrayContaining(wanted)))
    // 11 MB were sent to each; of what waits for this one no more than the buffer is left.
    await soon(() => expect(stream.status).not.toBe('open'))
  })
})

describe('a member that does not read its answers', () => {
  it('is cut when the time for writing one is over', async () => {
    const host = await startHost(stack)
    const served = Promise.withResolvers<string>()
    await host.handle('/slow/1', async (stream) => {
      await serveStream(stream, {
        ...{ from: honest[0].name, maxBytes: 1_000 },
        handler: async () => Buffer.alloc(1024 * 1024),
        patience: { readMs: 10_000, writeMs: 300 },
      })
      served.resolve(stream.status)
    })
    const stream = await hostile.dialProtocol(host.getMultiaddrs(), '/slow/1')
    stream.pause()
    const frames = lpStream(stream)
    for (let n = 0; n < 10; n++) await frames.write(encode(n))
    expect(await served.promise).not.toBe('open')
  })
})

describe('a stranger on the port', () => {
  const speaks: [string, Buffer | null][] = [
    ['nothing', null],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: blogs.localhost\r\n\r\n')],
    ['TLS', Buffer.concat([Buffer.from('16030100f8010000f40303', 'hex'), randomBytes(240)])],
    ['random bytes', randomBytes(4_000)],
    ['the first half of a greeting', Buffer.from('\x13/multistream/1.0')],
    ['a greeting, and then nothing', Buffer.from('\x13/multistream/1.0.0\n\x07/noise\n')],
  ]

  it('that speaks anything but libp2p is closed after 5 seconds; members come in all the while', async () => {
    const [peer] = honest
    const [, , address = '', , port] = addressOf(peer).split('/')
    const sockets: Socket[] = []
    stack.defer(() => {
      for (const socket of sockets) socket.destroy()
    })
    const closed: Promise<unknown>[] = []
    for (const [, bytes] of speaks) {
      for (let n = 0; n < 6; n++) {
        const socket = connect(Number(port), address)
        socket.on('error', () => undefined)
        // What comes must be read, or the end would not be seen.
        socket.resume()
        sockets.push(socket)
        closed.push(new Promise((resolve) => socket.once('close', resolve)))
        await once(socket, 'connect')
        if (bytes !== null) socket.write(bytes)
      }
    }
    const startMs = performance.now()
    const late = await startMember(stack)
    await late.dial(addressOf(peer))
    expect(await late.network().request(peer.name, SYNC, {}, { timeoutMs: 10_000 })).toEqual({
      heard: true,
    })
    await askHonest()
    await Promise.all(closed)
    expect(performance.now() - startMs).toBeLessThan(12_000)
  })

  it('with 400 silent connections keeps nobody out who comes from elsewhere', async () => {
    const [peer] = honest
    const [, , host = '', , port] = addressOf(peer).split('/')
    const open: Socket[] = []
    stack.defer(() => {
      for (const socket of open) socket.destroy()
    })
    for (let n = 0; n < 400; n++) {
      const socket = connect({ host, port: Number(port), localAddress: '127.0.0.99' })
      socket.on('error', () => undefined)
      open.push(socket)
    }
    await soon(() => expect(open.every(({ connecting }) => !connecting)).toBe(true))
    const late = await startMember(stack)
    await late.dial(addressOf(peer))
    expect(late.network().connected()).toContain(peer.name)
  })
})

function prefix(length: number): Buffer {
  const bytes: number[] = []
  for (let left = length; ; left = Math.floor(left / 128)) {
    if (left < 128) return Buffer.from([...bytes, left])
    bytes.push((left % 128) | 0x80)
  }
}
