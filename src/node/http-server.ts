import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { type Connection, groupOf } from '../web/client.ts'
import type { PageAnswer, PageRequest } from '../web/kept-pages.ts'
import { answerBroken, maxHeaderBytes } from './broken-requests.ts'

/** How long a request may take to arrive whole, and its headers, ms. */
const requestMs = 30_000
const headersMs = 10_000
/** How often connections are looked at for that, ms: so much later one is closed at most. */
const lookMs = 2_000
/** How long a connection may stay open between two requests, ms. */
const keepAliveMs = 15_000
/** How long a client may take nothing of its answer, ms. */
const stallMs = 30_000
/** How long it may take for one piece of it, 64 KiB as a rule, ms: who takes a byte a second is cut. */
const pieceMs = 120_000
/** Bytes that are read of a request after it was answered, so that the answer arrives. */
const maxUnreadBytes = 16_777_216
/** Number of a request's headers. */
const maxHeaders = 100
/** Connections at once, in all and of one client. A trusted proxy has as many as it needs. */
const maxConnections = 2_000
const maxConnectionsPerClient = 200

/** What a slow or greedy client is allowed; the defaults are in LIMITS.md. */
export type HttpLimits = {
  readonly requestMs: number
  readonly headersMs: number
  readonly lookMs: number
  readonly keepAliveMs: number
  readonly stallMs: number
  readonly pieceMs: number
  readonly maxConnections: number
  readonly maxConnectionsPerClient: number
}

export type HttpServerInit = {
  readonly host: string
  readonly port: number
  readonly isTrustedProxy?: (address: string) => boolean
  /** answers what is in memory, before the app has to look at it */
  readonly findKept?: (request: PageRequest) => PageAnswer | null | Promise<PageAnswer | null>
  readonly limits?: Partial<HttpLimits>
}

type Fetch = (request: Request, connection: Connection) => Response | Promise<Response>

/** A spoke's HTTP server: listens when `listen` resolves, ends open connections when disposed. */
export class HttpServer {
  readonly #server: Server
  readonly host: string
  readonly port: number

  private constructor(server: Server) {
    const { address, port } = server.address() as AddressInfo
    this.#server = server
    this.host = address
    this.port = port
  }

  /** Throws the system's error when the address is taken or not this machine's. */
  static listen(fetch: Fetch, init: HttpServerInit): Promise<HttpServer> {
    const limits = { ...defaultLimits, ...init.limits }
    const busy: Busy = new WeakSet()
    const server = createServer(
      {
        requestTimeout: limits.requestMs,
        headersTimeout: limits.headersMs,
        connectionsCheckingInterval: limits.lookMs,
        keepAliveTimeout: limits.keepAliveMs,
        maxHeaderSize: maxHeaderBytes,
      },
      listener(fetch, init.findKept, busy),
    )
    server.maxHeadersCount = maxHeaders
    server.on('clientError', answerBroken)
    server.maxConnections = limits.maxConnections
    const isProxy = (socket: Socket) => init.isTrustedProxy?.(remoteOf(socket)) ?? false
    cutSlowReaders(server, limits, busy, isProxy)
    capPerClient(server, limits.maxConnectionsPerClient, isProxy)
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(init.port, init.host, () => resolve(new HttpServer(server)))
    })
  }

  /** Connections that are open now. */
  connections(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.getConnections((error, count) =>
        error === null ? resolve(count) : reject(error),
      )
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    this.#server.closeAllConnections()
    await closed
  }
}

const defaultLimits: HttpLimits = {
  requestMs,
  headersMs,
  lookMs,
  keepAliveMs,
  stallMs,
  pieceMs,
  maxConnections,
  maxConnectionsPerClient,
}

/** Connections for which the app is making an answer. */
type Busy = WeakSet<Socket>

function listener(fetch: Fetch, findKept: HttpServerInit['findKept'], busy: Busy): RequestListener {
  const listen = getRequestListener(
    (request, env) =>
      fetch(request, { remoteAddress: (env.incoming as IncomingMessage).socket.remoteAddress }),
    // It would give a client half a second for what is left of its request: see `readOn`.
    { autoCleanupIncoming: false },
  )
  const toApp: RequestListener = (incoming, outgoing) => {
    busy.add(incoming.socket)
    if (incoming.method !== 'GET' && incoming.method !== 'HEAD') readOn(incoming, outgoing)
    void listen(incoming, outgoing).finally(() => busy.delete(incoming.socket))
  }
  if (findKept === undefined) return toApp
  return (incoming, outgoing) => {
    // A body would have to be read, and reads of pages have none.
    if (incoming.method !== 'GET' && incoming.method !== 'HEAD') return toApp(incoming, outgoing)
    const answer = (kept: PageAnswer | null) => {
      if (kept === null) toApp(incoming, outgoing)
      else send(outgoing, kept)
    }
    const found = findKept(requestOf(incoming))
    // The app meets the same failure, and knows how to answer and report it.
    if (found instanceof Promise) found.then(answer, () => toApp(incoming, outgoing))
    else answer(found)
  }
}

/**
 * Reads on when a request was answered before it had arrived, as one that is too long is. Closed with
 * bytes unread, a connection is torn down, and whoever still sends never sees the sentence. It ends
 * when the request does, after `maxUnreadBytes`, or when a request's time is over.
 */
export function readOn(incoming: IncomingMessage, outgoing: ServerResponse): void {
  // Node closes at once where a client wants no further request: this does it in time.
  const isLast = !outgoing.shouldKeepAlive
  outgoing.shouldKeepAlive = true
  const { socket } = incoming
  outgoing.once('finish', () => {
    if (incoming.complete) {
      if (isLast) socket.destroySoon()
      return
    }
    let unread = 0
    // Nobody wants it any more: what the app had begun to read would pile up, and stop the rest.
    incoming.unpipe().removeAllListeners('data')
    incoming.on('data', (part: Uint8Array) => {
      unread += part.length
      if (unread > maxUnreadBytes) socket.destroySoon()
    })
    if (isLast) incoming.once('end', () => socket.destroySoon())
    incoming.resume()
  })
}

function requestOf({ method = 'GET', url = '/', headers }: IncomingMessage): PageRequest {
  return {
    method,
    host: headers.host ?? '',
    target: url,
    header: (name) => headers[name] as string | undefined,
  }
}

function send(outgoing: ServerResponse, { status, headers, body }: PageAnswer): void {
  outgoing.writeHead(status, headers)
  outgoing.end(body)
}

/** Closes connections whose clients do not take their answers, or take them by the byte. */
function cutSlowReaders(
  server: Server,
  { stallMs, pieceMs, lookMs }: HttpLimits,
  busy: Busy,
  isProxy: (socket: Socket) => boolean,
): void {
  // Comes for connections that are idle between two requests, too.
  server.setTimeout(stallMs, (socket) => {
    const isStalled = socket.writableLength > 0
    // The silence may be this server's own: it is still making the answer. And a proxy ends idle
    // connections itself; if it had to guess when this server does, a POST could fall between.
    if (!isStalled && (busy.has(socket) || isProxy(socket))) socket.setTimeout(stallMs)
    else socket.destroy()
  })
  /** of sockets with an answer on its way: bytes that were taken, and since when no more were */
  const readers = new Map<Socket, { taken: number; looks: number }>()
  const looksPerPiece = Math.ceil(pieceMs / lookMs)
  server.on('connection', (socket) => {
    readers.set(socket, { taken: 0, looks: 0 })
    socket.once('close', () => readers.delete(socket))
  })
  const look = setInterval(() => {
    for (const [socket, reader] of readers) {
      const taken = socket.bytesWritten - socket.writableLength
      if (socket.writableLength === 0 || taken !== reader.taken) reader.looks = 0
      else reader.looks += 1
      reader.taken = taken
      if (reader.looks >= looksPerPiece) socket.destroy()
    }
  }, lookMs)
  look.unref()
  server.once('close', () => clearInterval(look))
}

function capPerClient(server: Server, most: number, isProxy: (socket: Socket) => boolean): void {
  const open = new Map<string, number>()
  server.on('connection', (socket) => {
    if (isProxy(socket)) return
    const client = groupOf(remoteOf(socket))
    const count = (open.get(client) ?? 0) + 1
    open.set(client, count)
    socket.once('close', () => {
      const left = (open.get(client) ?? 1) - 1
      if (left === 0) open.delete(client)
      else open.set(client, left)
    })
    if (count > most) socket.destroy()
  })
}

/** IPv4 as such, also where the server listens on IPv6 too. */
const remoteOf = ({ remoteAddress = '' }: Socket) =>
  remoteAddress.replace(/^::ffff:(?=[0-9.]+$)/, '')
