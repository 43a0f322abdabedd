import type { Stream } from '@libp2p/interface'
import type { LengthPrefixedStream } from '@libp2p/utils'
import { encode } from 'cborg'
import { decodeFrame } from '../replication/frame.ts'
import { maxFrameBytes } from '../replication/protocol.ts'

/**
 * Bytes that a peer may send on one stream before they are read: one frame, whole. libp2p's own
 * bound is 16 MiB, more than a stream that is paused may hold.
 */
export const maxWindowBytes = 2 * 1024 * 1024
/** Bytes of the longest length that a frame may have. */
const maxLengthBytes = 4

/** Whether a request asks for frames without end. */
export const isFollow = (body: unknown): boolean =>
  typeof body === 'object' && body !== null && (body as { t?: unknown }).t === 'follow'

/**
 * Sends frames as fast as the other side takes them, and no faster: the next one is asked for when
 * the one before has left this process.
 *
 * @param frames - gets a signal that ends with the stream
 * @param mayHear - asked before each frame; when it says no, `refusal` is the last one
 * @param stallMs - a follower that does not take a frame for so long is dropped
 */
export async function sendFrames(
  { stream, writer }: { stream: Stream; writer: LengthPrefixedStream },
  frames: (signal: AbortSignal) => AsyncIterable<unknown>,
  { mayHear, refusal, stallMs }: { mayHear: () => boolean; refusal: unknown; stallMs: number },
): Promise<void> {
  const gone = new AbortController()
  const end = () => gone.abort(new Error('the follower is gone'))
  // Its side of the stream stays open while it wants more.
  for (const event of ['close', 'remoteCloseWrite'] as const)
    stream.addEventListener(event, end, { once: true })
  const send = async (frame: unknown) => {
    const signal = AbortSignal.any([gone.signal, AbortSignal.timeout(stallMs)])
    await writer.write(encode(frame), { signal })
    // The library is content as soon as a part of it has left; then what waits would grow.
    while (stream.writeBufferLength > 0) await left(stream, signal)
  }
  try {
    for await (const frame of frames(gone.signal)) {
      if (gone.signal.aborted) break
      if (!mayHear()) {
        await send(refusal)
        break
      }
      await send(frame)
    }
    await stream.close({ signal: AbortSignal.timeout(5_000) })
  } catch (error) {
    stream.abort(error as Error)
  } finally {
    gone.abort()
  }
}

/** Resolves when a part of what waits has left; rejects with `signal`, or when the stream ends. */
function left(stream: Stream, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const moved = () => resolve()
  const ended = () => reject(new Error('the stream has ended'))
  const late = () => reject(signal.reason as Error)
  stream.addEventListener('idle', moved, { once: true })
  stream.addEventListener('drain', moved, { once: true })
  stream.addEventListener('close', ended, { once: true })
  signal.addEventListener('abort', late, { once: true })
  if (signal.aborted) late()
  return promise.finally(() => {
    stream.removeEventListener('idle', moved)
    stream.removeEventListener('drain', moved)
    stream.removeEventListener('close', ended)
    signal.removeEventListener('abort', late)
  })
}

/**
 * Sends a request and hands out the frames that answer it. While none is asked for, the stream is
 * paused: the other side gets no more room than one window. Ends when the other side does.
 * Throws when the stream breaks, a frame is too long or malformed, or none comes for `silenceMs`.
 */
export async function* receiveFrames(
  stream: Stream,
  body: unknown,
  { signal, silenceMs }: { signal: AbortSignal; silenceMs: number },
): AsyncGenerator<unknown, void, void> {
  const reader = new PausedReader(stream)
  const read = (count: number) =>
    reader.read(count, AbortSignal.any([signal, AbortSignal.timeout(silenceMs)]))
  try {
    stream.send(framed(encode(body)))
    for (;;) {
      const length = await readLength(read)
      if (length === null) return
      if (length > maxFrameBytes) throw new Error(`a frame of ${length} bytes`)
      yield decodeFrame((await read(length)) ?? new Uint8Array())
    }
  } finally {
    stream.abort(new Error('not followed any more'))
  }
}

/** Behind its length, as an unsigned varint. */
function framed(frame: Uint8Array): Uint8Array {
  const length: number[] = []
  let left = frame.length
  for (; left >= 0x80; left = Math.floor(left / 128)) length.push((left % 128) | 0x80)
  return Buffer.concat([Buffer.from([...length, left]), frame])
}

/** Reads a stream that is paused while nobody reads: it holds what one window lets in, and a frame. */
class PausedReader {
  readonly #stream: Stream
  #held = Buffer.alloc(0)
  #wake = () => {}
  #error: Error | null = null

  constructor(stream: Stream) {
    this.#stream = stream
    stream.addEventListener('message', ({ data }) => {
      this.#held = Buffer.concat([this.#held, data.subarray()])
      this.#wake()
    })
    stream.addEventListener('remoteCloseWrite', () => this.#wake())
    stream.addEventListener('close', ({ error }) => {
      this.#error = error ?? null
      this.#wake()
    })
  }

  /** Exactly `count` bytes; null when the stream has ended before the first of them. */
  async read(count: number, signal: AbortSignal): Promise<Uint8Array | null> {
    const stream = this.#stream
    while (this.#held.length < count) {
      if (this.#error !== null) throw this.#error
      if (stream.remoteWriteStatus !== 'writable' && stream.readBufferLength === 0) {
        if (this.#held.length === 0) return null
        throw new Error('the stream ended inside a frame')
      }
      const more = this.#more(signal)
      // What waits in the stream comes at once, before this returns.
      if (stream.readStatus === 'paused') stream.resume()
      await more
    }
    if (stream.readStatus === 'readable') stream.pause()
    const taken = this.#held.subarray(0, count)
    this.#held = this.#held.subarray(count)
    return taken
  }

  #more(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const late = () => reject(signal.reason as Error)
    this.#wake = resolve
    signal.addEventListener('abort', late, { once: true })
    if (signal.aborted) late()
    return promise.finally(() => signal.removeEventListener('abort', late))
  }
}

/** The length of the next frame, an unsigned varint; null at the end of the stream. */
async function readLength(
  read: (count: number) => Promise<Uint8Array | null>,
): Promise<number | null> {
  let length = 0
  for (let index = 0; index < maxLengthBytes; index++) {
    const [byte] = (await read(1)) ?? []
    if (byte === undefined) {
      if (index === 0) return null
      break
    }
    length += (byte & 0x7f) * 128 ** index
    if (byte < 0x80) return length
  }
  throw new Error('the length of a frame is too long')
}
