import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** A peer whose connections go through a relay: others dial `port`, the peer listens on `innerPort`. */
export type RelayedPeer = {
  readonly name: string
  /** own IP address; the peer dials from it (`peer.dialFrom`), so a relay knows who dials */
  readonly host: string
  readonly port: number
  readonly innerPort: number
}

/**
 * TCP relays in front of peers on one machine, so that the network between them can be cut: both
 * ways or one way, for any two of them. What is cut is held up and not lost, as by a real network:
 * the sockets stay open, their senders hear nothing, and what was on its way arrives afterwards.
 * Who is nobody's peer, say a newcomer, passes.
 */
export class Relays {
  readonly #peers: readonly RelayedPeer[]
  readonly #servers: Server[] = []
  readonly #links = new Set<Link>()
  /** `from to`, by name */
  readonly #cuts = new Set<string>()

  constructor(peers: readonly RelayedPeer[]) {
    this.#peers = peers
  }

  /** Throws the system's error when an address cannot be had. */
  async start(): Promise<void> {
    for (const peer of this.#peers) {
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) =>
        this.#accept(peer, socket),
      )
      this.#servers.push(server)
      server.listen(peer.port, peer.host)
      await once(server, 'listening')
    }
  }

  /** Nothing of `from` reaches `to` any more, whoever of them dialled. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from} ${to}`)
    this.#settle()
  }

  /** The network between any two is whole again. */
  mend(): void {
    this.#cuts.clear()
    this.#settle()
  }

  mendBetween(one: string, other: string): void {
    this.#cuts.delete(`${one} ${other}`)
    this.#cuts.delete(`${other} ${one}`)
    this.#settle()
  }

  /** The pairs that are cut now, as `[from, to]`. */
  get cuts(): readonly (readonly [from: string, to: string])[] {
    return [...this.#cuts].map((each) => each.split(' ') as [string, string])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#servers
      .filter((server) => server.listening)
      .map((server) => {
        const gone = once(server, 'close')
        server.close()
        return gone
      })
    for (const link of this.#links) link.destroy()
    await Promise.all(closed)
  }

  #isCut(from: string, to: string): boolean {
    return this.#cuts.has(`${from} ${to}`)
  }

  #accept(to: RelayedPeer, socket: Socket): void {
    const host = socket.remoteAddress ?? ''
    const from = this.#peers.find((peer) => peer.host === host)?.name ?? host
    const link = new Link(socket, to, {
      isOpen: () => !this.#isCut(from, to.name),
      isBackOpen: () => !this.#isCut(to.name, from),
      over: () => this.#links.delete(link),
    })
    this.#links.add(link)
    link.settle()
  }

  #settle(): void {
    for (const link of [...this.#links]) link.settle()
  }
}

/** One connection: the socket that was dialled, and behind it one to the peer itself. */
class Link {
  readonly #outer: Socket
  readonly #to: RelayedPeer
  readonly #ways: { readonly isOpen: () => boolean; readonly isBackOpen: () => boolean }
  #inner: Socket | null = null
  #flows: readonly Flow[] = []
  readonly #over: () => void

  constructor(
    outer: Socket,
    to: RelayedPeer,
    { over, ...ways }: { isOpen: () => boolean; isBackOpen: () => boolean; over: () => void },
  ) {
    this.#outer = outer
    this.#to = to
    this.#ways = ways
    this.#over = over
    outer.setNoDelay(true)
    outer.on('error', () => outer.destroy())
    outer.on('close', over)
  }

  /** The cuts have changed. A connection needs both ways to come about. */
  settle(): void {
    if (this.#inner === null && this.#ways.isOpen() && this.#ways.isBackOpen()) this.#connect()
    for (const flow of this.#flows) flow.settle()
  }

  #connect(): void {
    const { host, innerPort } = this.#to
    const localAddress = this.#outer.remoteAddress
    const inner = connect({
      ...{ host, port: innerPort, allowHalfOpen: true },
      ...(localAddress === undefined ? {} : { localAddress }),
    })
    inner.setNoDelay(true)
    inner.on('error', () => {
      // Nobody listens there: who dials is told at once, as if there were no relay.
      if (inner.connecting || this.#flows.length === 0) this.#outer.resetAndDestroy()
      inner.destroy()
    })
    inner.once('connect', () => {
      this.#flows = [
        new Flow(this.#outer, inner, this.#ways.isOpen),
        new Flow(inner, this.#outer, this.#ways.isBackOpen),
      ]
      this.settle()
    })
    this.#inner = inner
  }

  destroy(): void {
    this.#outer.destroy()
    this.#inner?.destroy()
    this.#over()
  }
}

/** One way of a connection. Its end, too, is held up by a cut. */
class Flow {
  readonly #source: Socket
  readonly #sink: Socket
  readonly #isOpen: () => boolean
  #hasEnded = false
  #isGone = false

  constructor(source: Socket, sink: Socket, isOpen: () => boolean) {
    this.#source = source
    this.#sink = sink
    this.#isOpen = isOpen
    source.on('data', (part) => {
      if (!sink.write(part)) source.pause()
    })
    sink.on('drain', () => this.settle())
    // A paused socket tells its end all the same, once nothing is left to read.
    source.on('end', () => {
      this.#hasEnded = true
      this.settle()
    })
    source.on('close', () => {
      this.#isGone = true
      this.settle()
    })
    source.pause()
  }

  settle(): void {
    if (!this.#isOpen()) this.#source.pause()
    else if (this.#isGone) this.#sink.destroySoon()
    else if (this.#hasEnded) this.#sink.end()
    else if (!this.#sink.writableNeedDrain) this.#source.resume()
  }
}
