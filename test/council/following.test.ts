import { lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { decode, encode } from 'cborg'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { PeerName } from '../../src/auth/peer-signature.ts'
import type { Peer } from '../../src/node/peer.ts'
import { serveStream } from '../../src/node/streams.ts'
import type { FollowHandler } from '../../src/replication/network.ts'
import { CHANGES, maxFrameBytes } from '../../src/replication/protocol.ts'
import { soon } from '../support/council.ts'
import { type Host, startHost, startMember } from '../support/member.ts'

let stack: AsyncDisposableStack
let server: Peer
let follower: Peer
/** who is no member, or none any more, to the server */
const strangers = new Set<string>()
const cutOff = new Set<string>()
beforeEach(async () => {
  stack = new AsyncDisposableStack()
  const all = stack
  onTestFinished(() => all.disposeAsync())
  strangers.clear()
  cutOff.clear()
  server = await startMember(stack, {
    isMember: (peer) => !strangers.has(peer) && !cutOff.has(peer),
    isCutOff: (peer) => cutOff.has(peer),
  })
  follower = await startMember(stack)
})

const addressOf = (peer: Peer) => peer.addresses()[0] as string
const body = { t: 'follow', after: null }

/** Serves frames of so many bytes, as fast as they are taken; counts those that were asked for. */
function serve(size: number, count = Number.POSITIVE_INFINITY) {
  const served = { frames: 0, ended: 0 }
  const handler: FollowHandler = async function* (_from, _body, signal) {
    try {
      for (let n = 0; n < count && !signal.aborted; n++) {
        served.frames++
        yield { n, filler: Buffer.alloc(size) }
      }
    } finally {
      served.ended++
    }
  }
  server.network().handle(CHANGES, async () => 'answered')
  server.network().handleFollow(CHANGES, handler)
  return served
}

async function follow(by: Peer = follower, signal = new AbortController().signal) {
  await by.dial(addressOf(server))
  return by.network().follow(server.name, CHANGES, body, { signal })[Symbol.asyncIterator]()
}
const numberIn = async (frames: AsyncIterator<unknown>) =>
  ((await frames.next()).value as { n: number } | undefined)?.n

describe('a followed stream', () => {
  it('brings every frame in order, small and large, and ends when the other side does', async () => {
    const served = serve(300_000, 40)
    const frames = await follow()
    for (let n = 0; n < 40; n++) expect(await numberIn(frames)).toBe(n)
    expect(await frames.next()).toEqual({ done: true, value: undefined })
    expect(served).toEqual({ frames: 40, ended: 1 })
  })

  it('lets requests of the same protocol through beside it', async () => {
    serve(1_000)
    const frames = await follow()
    expect(await numberIn(frames)).toBe(0)
    const { request } = follower.network()
    expect(await request(server.name, CHANGES, { t: 'entries' }, { timeoutMs: 5_000 })).toBe(
      'answered',
    )
    expect(await numberIn(frames)).toBe(1)
    await frames.return?.()
  })

  it('asks for no more frames than a slow reader takes, but for what is on its way', async () => {
    const size = 1024 * 1024
    const served = serve(size)
    const frames = await follow()
    expect(await numberIn(frames)).toBe(0)
    // What one window and both ends hold; measured by what was asked for, which then stands still.
    let before = -1
    await soon(() => {
      const now = served.frames
      const isQuiet = now === before
      before = now
      expect(isQuiet).toBe(true)
    })
    expect(before).toBeLessThanOrEqual(8)
    for (let n = 1; n < 30; n++) expect(await numberIn(frames)).toBe(n)
    expect(served.frames).toBeLessThanOrEqual(30 + 8)
    await frames.return?.()
    await soon(() => expect(served.ended).toBe(1))
  })

  it('ends for the server as soon as the follower stops, or is gone', async () => {
    const served = serve(1_000)
    const gone = new AbortController()
    const frames = await follow(follower, gone.signal)
    expect(await numberIn(frames)).toBe(0)
    gone.abort()
    for (let each = await frames.next(); each.done !== true; ) each = await frames.next()
    await soon(() => expect(served.ended).toBe(1))

    const other = await startMember(stack)
    const again = await follow(other)
    expect(await numberIn(again)).toBe(0)
    await other[Symbol.asyncDispose]()
    await soon(() => expect(served.ended).toBe(2))
  })

  it('breaks for the follower when the server goes', async () => {
    serve(1_000)
    const frames = await follow()
    expect(await numberIn(frames)).toBe(0)
    await server[Symbol.asyncDispose]()
    const rest = async () => {
      for (let each = await frames.next(); each.done !== true; ) each = await frames.next()
    }
    // An orderly end, or a broken stream: either way it is over.
    await rest().catch((error: { code: string }) => expect(error.code).toBe('PEER_UNREACHABLE'))
  })

  it('tells a stranger that it is none, and sends it nothing', async () => {
    const served = serve(1_000)
    strangers.add(follower.name)
    const frames = await follow()
    const { value } = await frames.next()
    expect(value).toMatchObject({ error: { code: 'NOT_A_MEMBER' } })
    expect(served.frames).toBe(0)
  })

  it('ends with a word for one that is a member no more', async () => {
    const served = serve(1_000)
    const frames = await follow()
    expect(await numberIn(frames)).toBe(0)
    strangers.add(follower.name)
    let last: unknown = null
    for (let each = await frames.next(); each.done !== true; each = await frames.next())
      last = each.value
    expect(last).toMatchObject({ error: { code: 'NOT_A_MEMBER' } })
    await soon(() => expect(served.ended).toBe(1))
  })

  it('ends at once for one that is cut off', async () => {
    const served = serve(1_000)
    const frames = await follow()
    expect(await numberIn(frames)).toBe(0)
    cutOff.add(follower.name)
    server.reconsider()
    await soon(() => expect(served.ended).toBe(1))
    const back = server.network().follow(follower.name, CHANGES, body, {
      signal: new AbortController().signal,
    })
    await expect(back[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'PEER_UNREACHABLE',
    })
  })

  it('follows oneself without a stream', async () => {
    serve(10, 3)
    const frames = server
      .network()
      .follow(server.name, CHANGES, body, { signal: new AbortController().signal })
    const seen: unknown[] = []
    for await (const frame of frames) seen.push((frame as { n: number }).n)
    expect(seen).toEqual([0, 1, 2])
  })
})

describe('a member that misuses a followed stream', () => {
  let hostile: Host
  const handlers = { ended: 0, frames: 0 }
  beforeEach(async () => {
    hostile = await startHost(stack)
    handlers.ended = 0
    handlers.frames = 0
  })

  it('is dropped when it takes nothing', async () => {
    const stalled = Promise.withResolvers<void>()
    const mine = await startHost(stack)
    const from = hostile.peerId.toString() as PeerName
    const endless: FollowHandler = async function* (_from, _body, signal) {
      while (!signal.aborted) {
        handlers.frames++
        yield { filler: Buffer.alloc(500_000) }
      }
    }
    // As a peer serves it, but for its patience, of which a test has less.
    await mine.handle(CHANGES, async (stream) => {
      const follows = { handler: endless, mayHear: () => true, refusal: null, stallMs: 1_000 }
      await serveStream(stream, { from, handler: async () => null, follows, maxBytes: 1_000 })
      stalled.resolve()
    })
    const stream = await hostile.dialProtocol(mine.getMultiaddrs(), CHANGES)
    await lpStream(stream).write(encode(body))
    stream.pause()
    await stalled.promise
    expect(handlers.frames).toBeLessThan(20)
    // What it is told is that the stream is over, not that it went well.
    stream.resume()
    await soon(() => expect(stream.status).not.toBe('open'))
  })

  it('is not sent the next frame before it has taken the last, however little it takes at a time', async () => {
    const window = 256 * 1024
    const slow = await startHost(stack, undefined, window)
    const served = serve(1024 * 1024)
    const stream = await slow.dialProtocol(multiaddr(addressOf(server)), CHANGES)
    let taken = 0
    const part = () =>
      new Promise<void>((resolve) => {
        stream.addEventListener(
          'message',
          ({ data }) => {
            taken += data.byteLength
            resolve()
          },
          { once: true },
        )
        stream.resume()
      })
    const frame = encode(body)
    stream.send(Buffer.concat([Buffer.from([frame.length]), frame]))
    stream.pause()
    for (let n = 0; n < 60; n++) {
      await part()
      stream.pause()
      expect(served.frames).toBeLessThanOrEqual(taken / (1024 * 1024) + 3)
    }
    stream.abort(new Error('enough'))
  })

  const followHostile = async () => {
    await follower.dial(hostile.getMultiaddrs()[0]?.toString() ?? '')
    const name = hostile.peerId.toString() as PeerName
    const { signal } = new AbortController()
    return follower.network().follow(name, CHANGES, body, { signal })[Symbol.asyncIterator]()
  }

  it.each<[string, Buffer]>([
    ['a frame that is too long', Buffer.from([0xff, 0xff, 0xff, 0x7f, 1, 2, 3])],
    ['a length without end', Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff])],
    ['a frame that is no CBOR', Buffer.from([3, 0x9f, 0x01, 0xff])],
    ['half a frame', Buffer.from([100, 1, 2])],
    ['an empty frame', Buffer.from([0])],
  ])('is left by the follower when it sends %s', async (_, bytes) => {
    await hostile.handle(CHANGES, async (stream) => {
      await lpStream(stream).read()
      stream.send(bytes)
      await stream.close()
    })
    const frames = await followHostile()
    await expect(frames.next()).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
  })

  it('cannot make the follower hold more than a few frames by sending faster than it reads', async () => {
    let sent = 0
    await hostile.handle(CHANGES, async (stream) => {
      const frames = lpStream(stream)
      await frames.read()
      const frame = encode({ filler: Buffer.alloc(maxFrameBytes - 100) })
      try {
        for (;;) {
          await frames.write(frame, { signal: AbortSignal.timeout(3_000) })
          sent++
        }
      } catch {
        // It does not get rid of more.
      }
    })
    const frames = await followHostile()
    expect(decode(encode((await frames.next()).value))).toMatchObject({ filler: expect.anything() })
    let before = -1
    await soon(() => {
      const isQuiet = sent === before && sent > 0
      before = sent
      expect(isQuiet).toBe(true)
    })
    const held = sent
    expect(held).toBeLessThanOrEqual(8)
    await frames.next()
    await frames.return?.()
  })
})
