import type { Connection, Stream } from '@libp2p/interface'
import { type LengthPrefixedStream, lpStream } from '@libp2p/utils'
import { decode, encode } from 'cborg'
import type { PeerName } from '../auth/peer-signature.ts'
import { ReplicationError } from '../replication/errors.ts'
import type { Handler } from '../replication/network.ts'
import { maxFrameBytes } from '../replication/protocol.ts'

/** Idle streams kept open per peer and protocol: a new one costs a negotiation of some ms. */
const maxIdle = 2
/** How long a served stream may wait for its next request, ms. */
const idleMs = 60_000
/** How long one request may take to be written and answered at the serving side, ms. */
const serveMs = 60_000

const frameOptions = { maxDataLength: maxFrameBytes, maxBufferSize: maxFrameBytes + 64 * 1024 }

/** Serves one stream: a CBOR frame in, a CBOR frame out, until the other side closes it. */
export async function serveStream(stream: Stream, from: PeerName, handler: Handler): Promise<void> {
  const frames = lpStream(stream, frameOptions)
  try {
    for (;;) {
      const body = await frames.read({ signal: AbortSignal.timeout(idleMs) })
      const answer = await handler(from, decodeFrame(body.subarray()))
      await frames.write(encode(answer), { signal: AbortSignal.timeout(serveMs) })
    }
  } catch {
    // The end of a stream, a slow or a broken peer: its troubles end with its stream.
    stream.abort(new Error('stream ended'))
  }
}

/** Answers one frame and closes: how a stranger, or a peer that may not, is told why. */
export async function answerOnce(stream: Stream, answer: unknown): Promise<void> {
  try {
    const frames = lpStream(stream, frameOptions)
    await frames.write(encode(answer), { signal: AbortSignal.timeout(5_000) })
    await stream.close({ signal: AbortSignal.timeout(5_000) })
  } catch (error) {
    stream.abort(error as Error)
  }
}

/** What a malformed frame decodes to, so that a handler's own check of the form answers it. */
function decodeFrame(bytes: Uint8Array): unknown {
  try {
    return decode(bytes)
  } catch {
    return null
  }
}

type Idle = { readonly stream: Stream; readonly frames: LengthPrefixedStream }

/** Opens streams to one peer after the other and keeps a few idle ones for the next requests. */
export class StreamPool {
  readonly #connect: (peer: PeerName, signal: AbortSignal) => Promise<Connection>
  readonly #idle = new Map<string, Idle[]>()

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
    const frame = encode(body)
    const kept = this.#take(`${peer} ${protocol}`)
    try {
      if (kept !== null) return await this.#exchange(peer, protocol, kept, frame, signal)
    } catch (error) {
      // The peer closed the kept stream, or restarted: all requests can be asked twice.
      if (signal.aborted) throw unreachable(peer, error)
    }
    try {
      const connection = await this.#connect(peer, signal)
      const stream = await connection.newStream(protocol, { signal })
      return await this.#exchange(
        peer,
        protocol,
        { stream, frames: lpStream(stream, frameOptions) },
        frame,
        signal,
      )
    } catch (error) {
      throw unreachable(peer, error)
    }
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
      const answer = decode((await idle.frames.read({ signal })).subarray())
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

function unreachable(peer: PeerName, cause: unknown): ReplicationError {
  return new ReplicationError(
    'PEER_UNREACHABLE',
    `${peer} does not answer: ${(cause as Error).message}`,
    { cause },
  )
}
