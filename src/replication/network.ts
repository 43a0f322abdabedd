import { z } from 'zod'
import { cutText } from '../auth/cut-text.ts'
import type { PeerName } from '../auth/peer-signature.ts'
import { type Refusal, refuse } from '../auth/verdict.ts'
import { ReplicationError } from './errors.ts'
import { requestTimeoutMs } from './protocol.ts'
import type { ProofRow } from './registry/proof.ts'

/**
 * What replication needs of the peer-to-peer layer: one request and one answer on a stream, each a
 * CBOR value, with the other peer's authenticated id. src/node builds it on libp2p, tests on a
 * lossy network with a virtual clock.
 */
export type Network = {
  readonly self: PeerName
  /** Throws PEER_UNREACHABLE when there is no answer within `timeoutMs`. */
  readonly request: (
    peer: PeerName,
    protocol: string,
    body: unknown,
    options: { readonly timeoutMs: number },
  ) => Promise<unknown>
  /** One handler per protocol; what it returns is the answer. It must not throw. */
  readonly handle: (protocol: string, handler: Handler) => void
  /**
   * Asks once and gets frames, on a stream of their own, until the other side ends them, which ends
   * the iteration, or `signal` does, which ends it too. The next frame comes when the one before was
   * taken: whoever takes none holds the other side up, and is dropped by it in the end.
   * Throws PEER_UNREACHABLE when the stream breaks, or no frame comes for `followSilenceMs`.
   */
  readonly follow: (
    peer: PeerName,
    protocol: string,
    body: unknown,
    options: { readonly signal: AbortSignal },
  ) => AsyncIterable<unknown>
  /**
   * Serves requests `{t: 'follow', …}` of a protocol that `handle` serves too. A frame is asked of
   * the handler when the one before has left.
   */
  readonly handleFollow: (protocol: string, handler: FollowHandler) => void
  /** Members with an open connection. */
  readonly connected: () => readonly PeerName[]
}
/** `signal` ends when the follower is gone, or no member any more. What it throws ends the stream. */
export type FollowHandler = (
  from: PeerName,
  body: unknown,
  signal: AbortSignal,
) => AsyncIterable<unknown>
/** `host`: the IP address that the request came from; left out where nobody knows it. */
export type Handler = (from: PeerName, body: unknown, host?: string) => Promise<unknown>

/** Gossipsub's three verdicts: only what is wrong by itself lowers the sender's score. */
export type GossipVerdict = 'accept' | 'ignore' | 'reject'

/** Push of new entries and acts. Nothing may depend on a message arriving (DESIGN 2). */
export type Pubsub = {
  readonly publish: (topic: string, data: Uint8Array) => Promise<void>
  /** `from` is the author of the message, checked; nothing is passed on before the verdict */
  readonly subscribe: (
    topic: string,
    judge: (from: PeerName, data: Uint8Array) => Promise<GossipVerdict>,
  ) => void
  readonly unsubscribe: (topic: string) => void
}

/** Characters of a refusal's sentence: a bad frame can be wrong in a thousand places. */
const maxReasonLength = 2_000

const failure = z.object({
  error: z.object({
    code: z.string().max(60),
    reason: z.string().max(maxReasonLength),
    retryMs: z.number().int().min(0).max(86_400_000).optional(),
  }),
})

export const bytes = z.instanceof(Uint8Array)
export const signedShape = z.tuple([bytes, bytes])
export const proofShape: z.ZodType<ProofRow> = z.tuple([bytes, bytes, z.array(signedShape).max(15)])

/** How a handler says no: error codes travel in the protocol, since a reset carries no reason. */
export const refusalAnswer = ({ code, reason, retryMs }: Omit<Refusal, 'ok'>) => ({
  error: {
    code,
    reason: cutText(reason, maxReasonLength),
    ...(retryMs === undefined ? {} : { retryMs }),
  },
})

/** A peer's refusal as this peer's own; null for any other failure. */
export function asRefusal(error: unknown): Refusal | null {
  if (!(error instanceof ReplicationError) || error.refusal === null) return null
  const { refusal, message, retryMs } = error
  return refuse(refusal, message, retryMs === null ? {} : { retryMs })
}

/**
 * Asks a peer and checks the form of its answer.
 * Throws PEER_UNREACHABLE, PEER_REFUSED (with the peer's code), PEER_ANSWER_MALFORMED.
 */
export async function ask<T>(
  network: Network,
  peer: PeerName,
  protocol: string,
  body: unknown,
  shape: z.ZodType<T>,
  timeoutMs: number = requestTimeoutMs,
): Promise<T> {
  return readAnswer(await network.request(peer, protocol, body, { timeoutMs }), {
    ...{ peer, protocol, shape },
  })
}

/**
 * Follows a peer and checks the form of each frame. Ends when the other side does, or `signal`.
 * Throws PEER_UNREACHABLE, PEER_REFUSED (with the peer's code), PEER_ANSWER_MALFORMED.
 */
export async function* follow<T>(
  network: Network,
  peer: PeerName,
  protocol: string,
  body: unknown,
  shape: z.ZodType<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, void> {
  for await (const frame of network.follow(peer, protocol, body, { signal })) {
    yield readAnswer(frame, { peer, protocol, shape })
  }
}

function readAnswer<T>(
  answer: unknown,
  { peer, protocol, shape }: { peer: PeerName; protocol: string; shape: z.ZodType<T> },
): T {
  const refused = failure.safeParse(answer)
  if (refused.success) {
    const { code, reason, retryMs } = refused.data.error
    throw new ReplicationError('PEER_REFUSED', reason, { refusal: code, retryMs })
  }
  const read = shape.safeParse(answer)
  if (!read.success) {
    throw new ReplicationError(
      'PEER_ANSWER_MALFORMED',
      `${peer} answered ${protocol} in another form: ${z.prettifyError(read.error)}`,
    )
  }
  return read.data
}

/** A handler that checks the form of the request first. */
export function answer<T>(
  shape: z.ZodType<T>,
  handler: (from: PeerName, body: T, host: string | undefined) => Promise<unknown>,
): Handler {
  return async (from, body, host) => {
    const read = shape.safeParse(body)
    if (!read.success) {
      return refusalAnswer({
        code: 'REQUEST_MALFORMED',
        reason: `The request has another form: ${z.prettifyError(read.error)}`,
      })
    }
    try {
      return await handler(from, read.data, host)
    } catch (error) {
      // Whoever passes an author's entry on has to tell her; any other failure is told by no answer.
      if (!(error instanceof ReplicationError) || error.code !== 'DISK_FULL') throw error
      return refusalAnswer({ code: error.code, reason: error.message })
    }
  }
}

/** The code with which a peer refused, or null for any other failure. */
export const refusalOf = (error: unknown): string | null =>
  error instanceof ReplicationError ? error.refusal : null
