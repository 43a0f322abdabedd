import type {
  Connection,
  PeerId,
  Stream,
  StreamHandler,
  StreamHandlerOptions,
  Topology,
} from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import { type PeerName, parsePeerName } from '../auth/peer-signature.ts'

/** The id of the peer at the other end of a connection; null for ids that no council admits. */
export const peerNameOf = (peer: PeerId): PeerName | null => parsePeerName(peer.toString())

/**
 * Who may speak which protocol (DESIGN 4, Gate). Members are the peers in `@roster`; a stranger
 * reaches only what it needs to become one. `node.handle` does not cover kad-dht, so the registrar
 * that kad gets is wrapped by the same gate.
 */
export class Gate {
  readonly #isMember: (peer: PeerName) => boolean
  readonly #waiting: {
    readonly peer: PeerId
    readonly connection: Connection
    readonly topology: Topology
  }[] = []

  constructor(isMember: (peer: PeerName) => boolean) {
    this.#isMember = isMember
  }

  lets(peer: PeerId): boolean {
    const name = peerNameOf(peer)
    return name !== null && this.#isMember(name)
  }

  /** A handler for members; `refuse` tells a stranger why, or ends the stream. */
  guard(handler: StreamHandler, refuse: (stream: Stream) => void | Promise<void>): StreamHandler {
    return (stream, connection) =>
      this.lets(connection.remotePeer) ? handler(stream, connection) : refuse(stream)
  }

  /**
   * The registrar as a part sees it that knows nothing of members: strangers' streams end, and
   * strangers come into no topology before they are admitted.
   */
  wrap(registrar: Registrar): Registrar {
    const guarded: Pick<Registrar, 'handle' | 'register'> = {
      handle: (protocol: string, handler: StreamHandler, options?: StreamHandlerOptions) =>
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
              if (this.lets(peer)) return topology.onConnect?.(peer, connection)
              this.#waiting.push({ peer, connection, topology })
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

  /** `@roster` has grown: who was a stranger may be a member now. */
  async reconsider(): Promise<void> {
    for (const held of this.#waiting.splice(0)) {
      if (held.connection.status !== 'open') continue
      if (this.lets(held.peer)) await held.topology.onConnect?.(held.peer, held.connection)
      else this.#waiting.push(held)
    }
  }
}
