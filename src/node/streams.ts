import type { Connection, Stream } from '@libp2p/interface'
import { type LengthPrefixedStream, lpStream } from '@libp2p/utils'
import { encode } from 'cborg'
import type { PeerName } from '../auth/peer-signature.ts'
import { ReplicationError } from '../replication/errors.ts'
import { decodeFrame } from '../replication/frame.ts'
import type { FollowHandler, Handler } from '../replication/network.ts'
import { followSilenceMs, maxFrameBytes, SYNC } from '../replication/protocol.ts'
import { isFollow, receiveFrames, sendFrames } from './follow-stream.ts'

/** Idle streams kept open per peer and protocol: a new one costs a negotiation of some ms. */
const maxIdle = 2
/** How long a served stream may wait for its next request, ms. */
const idleMs = 60_000
/** How long one request may take to be written and answered at the serving side, ms. */
const serveMs = 60_000

/** How long it may take until a stream to follow is open, ms. */
const openMs = 10_000

/** Requests that may be under way with one peer and protocol; others wait for their turn. */
const maxAsking = 16
/** … pulls, whose answers are up to a MiB each (facts: 4 a peer). */
const maxPulling = 4

/** Bytes of the longest length that a frame may have. */
const maxLengthBytes = 4

/**
 * Reads a frame's length, an unsigned varint. The library's own reader waits for the end of one that
 * never ends.
 */
function readLength(data: { subarray(): Uint8Array }): number {
  const bytes = data.subarray()
  let length = 0
  for (const [index, byte] of bytes.entries()) {
    length += (byte & 0x7f) * 128 ** index
    if (byte < 0x80) return length
  }
  if (bytes.length >= maxLengthBytes) throw new Error('the length of a frame is too long')
  // "Not yet", to the library.
  throw new RangeError('more of the length is to come')
}

/** A frame of at most `maxBytes`; what comes beyond it, unread, ends the stream. */
const framesOf = (stream: Stream, maxBytes: number) =>
  lpStream(stream, {
    ...{ maxDataLength: maxBytes, maxBufferSize: maxBytes + 64 * 1024 },
    lengthDecoder: readLength,
  })

/** How requests `follow` of a protocol are served, and whether this peer may still hear. */
export type Follows = {
  readonly handler: FollowHandler
  readonly mayHear: () => boolean
  /** the last frame to one that may not */
  readonly refusal: unknown
  readonly stallMs: number
}

/**
 * Serves one stream: a CBOR frame in, a CBOR frame out, until the other side closes it. A request
 * `follow` is the last one on its stream: what comes out then are frames without end.
 *
 * @param maxBytes - of a request; a longer one, or only its length, ends the stream
 */
export async function serveStream(
  stream: Stream,
  {
    from,
    handler,
    follows = null,
    maxBytes,
    patience = { readMs: idleMs, writeMs: serveMs },
  }: {
    from: PeerName
    handler: Handler
    follows?: Follows | null
    maxBytes: number
    patience?: { readMs: number; writeMs: number }
  },
): Promise<void> {
  const frames = framesOf(stream, maxBytes)
  try {
    for (;;) {
      const body = readFrame(
        (await frames.read({ signal: AbortSignal.timeout(patience.readMs) })).subarray(),
      )
      if (follows !== null && isFollow(body)) {
        const { handler: follow, ...rules } = follows
        await sendFrames({ stream, writer: frames }, (gone) => follow(from, body, gone), rules)
        return
      }
      const answer = await handler(from, body)
      await frames.write(encode(answer), { signal: AbortSignal.timeout(patience.writeMs) })
    }
  } catch {
    // The end of a stream, a slow or a broken peer: its troubles end with its stream.
    stream.abort(new Error('stream ended'))
  }
}

/** Answers one frame and closes: how a stranger, or a peer that may not, is told why. */
export async function answerOnce(stream: Stream, answer: unknown): Promise<void> {
  try {
    const frames = framesOf(stream, maxFrameBytes)
    await frames.write(encode(answer), { signal: AbortSignal.timeout(5_000) })
    await stream.close({ signal: AbortSignal.timeout(5_000) })
  } catch (error) {
    stream.abort(error as Error)
  }
}

/** What a malformed frame decodes to, so that a handler's own check of the form answers it. */
function readFrame(bytes: Uint8Array): unknown {
  try {
    return decodeFrame(bytes)
  } catch {
    return null
  }
}

type Idle = { readonly stream: Stream; readonly frames: LengthPrefixedStream }

/** Opens streams to one peer after the other and keeps a few idle ones for the next requests. */
export class StreamPool {
  readonly #connect: (peer: PeerName, signal: AbortSignal) => Promise<Connection>
  readonly #idle = new Map<string, Idle[]>()
  readonly #asking = new Map<string, Turns>()

  constructor(connect: (peer: PeerName, signal: AbortSignal) => Promise<Connection>) {
    this.#connect = connect
  }

  /** One request, one answer. Throws PEER_UNREACHABLE. */
  async request(
    peer: PeerName,
    protocol: string,
    body: unknown,
    timeoutMs: number,
  ): Promise<unknown> {
    const signal = AbortSignal.timeout(timeoutMs)
    const key = `${peer} ${protocol}`
    const turns = this.#asking.get(key) ?? new Turns(protocol === SYNC ? maxPulling : maxAsking)
    this.#asking.set(key, turns)
    try {
      await turns.take(signal)
    } catch (error) {
      throw unreachable(peer, error)
    }
    try {
      return await this.#ask(peer, protocol, encode(body), signal)
    } finally {
      turns.give()
      if (turns.isIdle && this.#asking.get(key) === turns) this.#asking.delete(key)
    }
  }

  /** Frames that answer one request, on a stream of their own. Throws PEER_UNREACHABLE. */
  async *follow(
    peer: PeerName,
    protocol: string,
    body: unknown,
    signal: AbortSignal,
  ): AsyncGenerator<unknown, void, void> {
    try {
      const soon = AbortSignal.any([signal, AbortSignal.timeout(openMs)])
      const connection = await this.#connect(peer, soon)
      const stream = await connection.newStream(protocol, { signal: soon })
      yield* receiveFrames(stream, body, { signal, silenceMs: followSilenceMs })
    } catch (error) {
      if (!signal.aborted) throw unreachable(peer, error)
    }
  }

  async #ask(
    peer: PeerName,
    protocol: string,
    frame: Uint8Array,
    signal: AbortSignal,
  ): Promise<unknown> {
    const kept = this.#take(`${peer} ${protocol}`)
    try {
      if (kept !== null) return await this.#exchange(peer, protocol, kept, frame, signal)
    } catch (error) {
      // The peer closed the kept stream, or restarted: all requests can be asked twice.
      if (signal.aborted) throw unreachable(peer, error)
    }
    try {
      return await this.#askAnew(peer, protocol, frame, signal)
    } catch (error) {
      // A connection of before an admission is closed soon after it, maybe under this very request.
      if (signal.aborted) throw unreachable(peer, error)
    }
    try {
      return await this.#askAnew(peer, protocol, frame, signal)
    } catch (error) {
      throw unreachable(peer, error)
    }
  }

  async #askAnew(
    peer: PeerName,
    protocol: string,
    frame: Uint8Array,
    signal: AbortSignal,
  ): Promise<unknown> {
    const connection = await this.#connect(peer, signal)
    const stream = await connection.newStream(protocol, { signal })
    const idle = { stream, frames: framesOf(stream, maxFrameBytes) }
    return this.#exchange(peer, protocol, idle, frame, signal)
  }

  async #exchange(
    peer: PeerName,
    protocol: string,
    idle: Idle,
    frame: Uint8Array,
    signal: AbortSignal,
  ): Promise<unknown> {
    try {
      await idle.frames.write(frame, { signal })
      const answer = decodeFrame((await idle.frames.read({ signal })).subarray())
      this.#keep(`${peer} ${protocol}`, idle)
      return answer
    } catch (error) {
      idle.stream.abort(error as Error)
      throw error
    }
  }

  #take(key: string): Idle | null {
    const waiting = this.#idle.get(key) ?? []
    for (;;) {
      const idle = waiting.pop()
      if (idle === undefined) {
        this.#idle.delete(key)
        return null
      }
      if (idle.stream.status === 'open') return idle
    }
  }

  #keep(key: string, idle: Idle): void {
    const waiting = this.#idle.get(key) ?? []
    if (waiting.length >= maxIdle) void idle.stream.close().catch(() => undefined)
    else this.#idle.set(key, [...waiting, idle])
  }
}

/** So many at once, the others in the order in which they came. */
class Turns {
  #free: number
  readonly #most: number
  readonly #waiting: (() => void)[] = []

  constructor(most: number) {
    this.#most = most
    this.#free = most
  }

  get isIdle(): boolean {
    return this.#free === this.#most
  }

  /** Rejects when `signal` ends first. */
  async take(signal: AbortSignal): Promise<void> {
    if (this.#free > 0) {
      this.#free--
      return
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const late = () => {
      const at = this.#waiting.indexOf(resolve)
      // Its turn came at the same moment.
      if (at < 0) return
      this.#waiting.splice(at, 1)
      reject(signal.reason as Error)
    }
    this.#waiting.push(resolve)
    signal.addEventListener('abort', late, { once: true })
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', late)
    }
  }

  give(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free++
    else next()
  }
}

function unreachable(peer: PeerName, cause: unknown): ReplicationError {
  return new ReplicationError(
    'PEER_UNREACHABLE',
    `${peer} does not answer: ${(cause as Error).message}`,
    { cause },
  )
}
