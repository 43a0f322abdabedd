import type { Connection, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import type { Multiaddr } from '@multiformats/multiaddr'
import { decode, encode } from 'cborg'
import type { PeerName } from '../auth/peer-signature.ts'
import { type Clock, wait } from '../replication/clock.ts'
import { ReplicationError } from '../replication/errors.ts'
import { Buckets } from '../replication/exchange/rates.ts'
import type { FollowHandler, Handler } from '../replication/network.ts'
import {
  followStallMs,
  JOIN,
  maxFrameBytes,
  maxRequestBytes,
  REPLICA,
  SYNC,
} from '../replication/protocol.ts'
import { type Gate, peerNameOf } from './gate.ts'
import type { Host } from './host.ts'
import { answerOnce, type Follows, serveStream } from './streams.ts'

/** Requests that one peer may send at once, and per second; the answers to more wait. */
const requestBurst = 1_000
const requestsPerSecond = 300
/** Streams of one protocol that one peer may have open here: what it has under way, and idle ones. */
const maxStreams = 32
/** … of sync, whose answers are up to a MiB each. */
const maxSyncStreams = 12

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

/** What this peer answers on streams: members only, but for the way in, and so much for each. */
export class Serving {
  readonly #host: Host
  readonly #gate: Gate
  readonly #clock: Clock
  readonly #requests: Buckets
  readonly #handlers = new Map<string, Handler>()
  readonly #followHandlers = new Map<string, FollowHandler>()
  /** streams that are served, by peer and protocol */
  readonly #open = new Map<string, number>()

  constructor(host: Host, gate: Gate, clock: Clock) {
    this.#host = host
    this.#gate = gate
    this.#clock = clock
    const rate = { burst: requestBurst, perSecond: requestsPerSecond }
    this.#requests = new Buckets(rate, clock.now)
  }

  handle(protocol: string, handler: Handler): void {
    this.#handlers.set(protocol, handler)
    const serve = (stream: Stream, connection: Connection) =>
      this.#serve(protocol, stream, connection)
    const open =
      protocol === JOIN
        ? serve
        : this.#gate.guard(serve, (stream) => answerOnce(stream, notAMember))
    const max = streamsOf(protocol)
    void this.#host.handle(protocol, open, {
      ...{ maxInboundStreams: max, maxOutboundStreams: max, force: true },
    })
  }

  handleFollow(protocol: string, handler: FollowHandler): void {
    this.#followHandlers.set(protocol, handler)
  }

  /** What a request of this peer to itself is answered, without a stream. */
  async answerSelf(self: PeerName, protocol: string, body: unknown): Promise<unknown> {
    const handler = known(this.#handlers.get(protocol), protocol)
    return decode(encode(await handler(self, decode(encode(body)))))
  }

  /** The frames that this peer sends itself when it follows itself. */
  async *followSelf(
    self: PeerName,
    protocol: string,
    body: unknown,
    signal: AbortSignal,
  ): AsyncGenerator<unknown, void, void> {
    const handler = known(this.#followHandlers.get(protocol), protocol)
    for await (const frame of handler(self, decode(encode(body)), signal))
      yield decode(encode(frame))
  }

  async #serve(protocol: string, stream: Stream, connection: Connection): Promise<void> {
    const from = peerNameOf(connection.remotePeer)
    if (from === null) return answerOnce(stream, notAMember)
    // libp2p counts per connection, and a peer may have several.
    const key = `${from} ${protocol}`
    const open = this.#open.get(key) ?? 0
    if (open >= streamsOf(protocol)) return answerOnce(stream, tooManyStreams)
    this.#open.set(key, open + 1)
    const host = hostOf(connection.remoteAddr)
    const maxBytes = protocol === REPLICA ? maxFrameBytes : maxRequestBytes
    try {
      await serveStream(stream, {
        from,
        handler: (name, body) => this.#answer(protocol, name, body, host),
        follows: this.#followsOf(protocol, connection),
        maxBytes,
      })
    } finally {
      const left = (this.#open.get(key) ?? 1) - 1
      if (left === 0) this.#open.delete(key)
      else this.#open.set(key, left)
    }
  }

  /** Who is a member is asked anew with each request: a stream may outlive its peer's membership. */
  async #answer(
    protocol: string,
    from: PeerName,
    body: unknown,
    host: string | undefined,
  ): Promise<unknown> {
    const waitMs = this.#requests.waitMs(from)
    this.#requests.take(from)
    if (waitMs > 0) await wait(this.#clock, waitMs)
    const handler = known(this.#handlers.get(protocol), protocol)
    return protocol === JOIN || this.#gate.lets(peerIdFromString(from))
      ? handler(from, body, host)
      : notAMember
  }

  #followsOf(protocol: string, connection: Connection): Follows | null {
    const handler = this.#followHandlers.get(protocol)
    if (handler === undefined) return null
    return {
      handler,
      // Asked before each frame.
      mayHear: () => this.#gate.lets(connection.remotePeer),
      refusal: notAMember,
      stallMs: followStallMs,
    }
  }
}

const streamsOf = (protocol: string) => (protocol === SYNC ? maxSyncStreams : maxStreams)

function known<H>(handler: H | undefined, protocol: string): H {
  if (handler === undefined)
    throw new ReplicationError('PEER_UNREACHABLE', `${protocol} is not served here`)
  return handler
}

/** The IP address in a connection's address, `/ip4/192.0.2.7/tcp/…`. */
function hostOf(address: Multiaddr): string | undefined {
  const [, kind = '', host = ''] = address.toString().split('/')
  return kind === 'ip4' || kind === 'ip6' ? host.replace(/^::ffff:(?=[0-9.]+$)/, '') : undefined
}
