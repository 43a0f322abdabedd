import type { Connection, PeerId, Stream, StreamHandler } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import { type PeerName, parsePeerName } from '../auth/peer-signature.ts'

/** The id of the peer at the other end of a connection; null for ids that no council admits. */
export const peerNameOf = (peer: PeerId): PeerName | null => parsePeerName(peer.toString())

/**
 * Closes a connection, whatever the other side does: libp2p gives up after a second when something
 * is still to be written, and leaves the connection open.
 */
export function endConnection(connection: Connection): void {
  connection.close().catch((error: Error) => connection.abort(error))
}

/**
 * Who may speak which protocol (DESIGN 4, Gate). Members are the peers in `@roster`; a stranger
 * reaches only what it needs to become one. `node.handle` covers neither kad-dht nor gossipsub, so
 * the registrar that they get is wrapped by the same gate.
 */
export class Gate {
  readonly #isMember: (peer: PeerName) => boolean
  readonly #isCutOff: (peer: PeerName) => boolean
  readonly #self: PeerName
  /** open connections on which one of both sides was a stranger to the other */
  readonly #strangers = new Set<Connection>()

  constructor(parts: {
    readonly isMember: (peer: PeerName) => boolean
    readonly isCutOff: (peer: PeerName) => boolean
    readonly self: PeerName
  }) {
    this.#isMember = parts.isMember
    this.#isCutOff = parts.isCutOff
    this.#self = parts.self
  }

  /**
   * Whether this peer is a member itself. While it is not, it dials only to ask to be let in: any
   * other connection would take up one of the few places that a member has for strangers.
   */
  isIn(): boolean {
    return this.#isMember(this.#self)
  }

  /** Whether the peer was a member and is none any more: nobody keeps a connection with it. */
  isCutOff(peer: PeerId): boolean {
    const name = peerNameOf(peer)
    return name !== null && this.#isCutOff(name)
  }

  lets(peer: PeerId): boolean {
    const name = peerNameOf(peer)
    return name !== null && this.#isMember(name)
  }

  /** A handler for members; `refuse` tells a stranger why, or ends the stream. */
  guard(handler: StreamHandler, refuse: (stream: Stream) => void | Promise<void>): StreamHandler {
    return (stream, connection) => {
      if (this.lets(connection.remotePeer)) return handler(stream, connection)
      this.#turnAway(connection)
      return refuse(stream)
    }
  }

  #turnAway(connection: Connection): void {
    if (this.#strangers.has(connection)) return
    this.#strangers.add(connection)
    connection.addEventListener('close', () => this.#strangers.delete(connection), { once: true })
  }

  /**
   * The registrar as a part sees it that knows nothing of members: strangers' streams end, and
   * strangers come into no topology, nor do members while this peer is none.
   */
  wrap(registrar: Registrar): Registrar {
    const guarded: Pick<Registrar, 'handle' | 'register'> = {
      handle: (protocol, handler, options) =>
        registrar.handle(
          protocol,
          this.guard(handler, (stream) => stream.abort(new Error('NOT_A_MEMBER'))),
          options,
        ),
      register: (protocol, topology, options) =>
        registrar.register(
          protocol,
          {
            ...topology,
            onConnect: (peer, connection) => {
              if (this.#isBetweenMembers(connection)) return topology.onConnect?.(peer, connection)
              this.#turnAway(connection)
            },
          },
          options,
        ),
    }
    return new Proxy(registrar, {
      get: (target, name) => {
        const own = Reflect.get(guarded, name)
        const value = own ?? Reflect.get(target, name)
        return typeof value === 'function' && own === undefined ? value.bind(target) : value
      },
    })
  }

  /** Who dials a newcomer knows already that it is one of the members. */
  #isBetweenMembers({ direction, remotePeer }: Connection): boolean {
    return this.lets(remotePeer) && (direction === 'inbound' || this.isIn())
  }

  /**
   * Connections of peers that were strangers when they came and are members now. They are to be
   * closed and dialled anew: only a new connection brings a peer into gossip and the DHT.
   */
  outgrown(): Connection[] {
    return [...this.#strangers].filter((connection) => this.#isBetweenMembers(connection))
  }
}
