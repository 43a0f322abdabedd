import { type Connection, KEEP_ALIVE, type PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { PeerName } from '../auth/peer-signature.ts'
import { type Clock, repeat } from '../replication/clock.ts'
import { ReplicationError } from '../replication/errors.ts'
import { endConnection, type Gate, peerNameOf } from './gate.ts'
import type { Host } from './host.ts'

/** A peer that this one wants to stay connected with, and where it is dialled. */
export type Wanted = { readonly peer: PeerName; readonly addresses: readonly string[] }

/** How often wanted peers that are not connected are dialled again, ms. */
const superviseMs = 5_000
/** How soon after a lost connection the first redial comes, ms, up to twice that. */
const redialMs = 150
/** How long one dial may take, ms. */
export const dialMs = 10_000
/** How long a connection may be without gossip's stream before that counts as lost, ms. */
const gossipOpensMs = 20_000

const isGossip = (protocol: string) => protocol.startsWith('/meshsub/')

/**
 * Connections with the peers that are wanted, which come back by themselves: libp2p redials five
 * times and then forgets, and a peer that was down at start is never dialled again (facts, pitfalls
 * 2 and 4).
 */
export class Dialling {
  readonly #host: Host
  readonly #gate: Gate
  readonly #clock: Clock
  readonly #underWay = new Set<PeerName>()
  #wanted: () => readonly Wanted[] = () => []
  /** peers to which gossip had no stream at the last round */
  #mute: ReadonlySet<string> = new Set()
  #stopRounds = () => {}

  constructor(host: Host, gate: Gate, clock: Clock) {
    this.#host = host
    this.#gate = gate
    this.#clock = clock
  }

  /**
   * @param onConnected - called with each member that is connected now or connects later, whoever
   *   dialled
   */
  start(wanted: () => readonly Wanted[], onConnected: (peer: PeerName) => void): void {
    this.#wanted = wanted
    const tell = (peer: PeerId) => {
      const name = peerNameOf(peer)
      if (name !== null && this.#gate.lets(peer)) onConnected(name)
    }
    this.#host.addEventListener('peer:connect', ({ detail }) => tell(detail))
    // Others have dialled in while this peer was starting: nobody was told of these.
    for (const peer of this.#host.getPeers()) tell(peer)
    this.#host.addEventListener('peer:disconnect', () => {
      this.#clock.after(redialMs * (1 + this.#clock.random()), () => {
        if (this.#host.status === 'started') this.dialWanted()
      })
    })
    this.#stopRounds = repeat(this.#clock, superviseMs, async () => {
      this.#renewMute()
      this.dialWanted()
    })
    this.dialWanted()
  }

  stop(): void {
    this.#stopRounds()
  }

  /** Dials every wanted peer that is not connected, side by side; failures are tried again later. */
  dialWanted(): void {
    const connected = new Set(this.#host.getPeers().map((peer) => peer.toString()))
    const self = this.#host.peerId.toString()
    for (const each of this.#wanted()) {
      if (each.peer === self || connected.has(each.peer) || this.#underWay.has(each.peer)) continue
      this.#underWay.add(each.peer)
      void this.#dial(each, AbortSignal.timeout(dialMs))
        // Down or cut off: the next round tries again.
        .catch(() => undefined)
        .finally(() => this.#underWay.delete(each.peer))
    }
  }

  /** The connection that is open with a peer, or a new one. */
  async connect(peer: PeerName, signal: AbortSignal): Promise<Connection> {
    const id = peerIdFromString(peer)
    const open = this.#host.getConnections(id).find((connection) => connection.status === 'open')
    if (open !== undefined) return open
    const wanted = this.#wanted().find((each) => each.peer === peer)
    return wanted === undefined ? this.#host.dial(id, { signal }) : this.#dial(wanted, signal)
  }

  /** Dials a multiaddr that ends in a peer id. Throws PEER_UNREACHABLE. */
  async dialAddress(address: string): Promise<PeerName> {
    try {
      const connection = await this.#host.dial(multiaddr(address), {
        signal: AbortSignal.timeout(dialMs),
      })
      const name = peerNameOf(connection.remotePeer)
      if (name === null) throw new Error('its id is not Ed25519')
      return name
    } catch (cause) {
      throw new ReplicationError(
        'PEER_UNREACHABLE',
        `cannot dial ${address}: ${(cause as Error).message}`,
        { cause },
      )
    }
  }

  /** A full disk takes no address into the book; it does without. */
  async #dial(wanted: Wanted, signal: AbortSignal): Promise<Connection> {
    const id = peerIdFromString(wanted.peer)
    const isKnown = await this.#remember(wanted).then(
      () => true,
      () => false,
    )
    const end = `/p2p/${wanted.peer}`
    const addresses = wanted.addresses.map((each) =>
      multiaddr(each.endsWith(end) ? each : `${each}${end}`),
    )
    return this.#host.dial(isKnown ? id : addresses, { signal })
  }

  async #remember({ peer, addresses }: Wanted): Promise<void> {
    await this.#host.peerStore.merge(peerIdFromString(peer), {
      multiaddrs: addresses.map((address) => multiaddr(address)),
      tags: { [KEEP_ALIVE]: { value: 50 } },
    })
  }

  /**
   * Who read too slowly has lost its gossip stream (`maxOutboundBytes`), and gossipsub opens no
   * second one on a connection: such a connection is closed, and whoever wants it dials anew.
   */
  #renewMute(): void {
    const openedMs = this.#clock.now() - gossipOpensMs
    const hears = (peer: PeerId) =>
      this.#host
        .getConnections(peer)
        .some(({ streams }) =>
          streams.some((each) => each.direction === 'outbound' && isGossip(each.protocol)),
        )
    const isOld = (peer: PeerId) =>
      this.#host.getConnections(peer).every(({ timeline }) => timeline.open < openedMs)
    const mute = this.#host.services.pubsub
      .getPeers()
      .filter((peer) => this.#gate.lets(peer) && isOld(peer) && !hears(peer))
    for (const peer of mute) {
      if (!this.#mute.has(peer.toString())) continue
      for (const connection of this.#host.getConnections(peer)) endConnection(connection)
    }
    this.#mute = new Set(mute.map((peer) => peer.toString()))
  }
}
