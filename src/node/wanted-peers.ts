import type { PeerName } from '../auth/peer-signature.ts'
import type { Gathering } from '../replication/aggregation/gathering.ts'
import type { Exchange } from '../replication/exchange/exchange.ts'
import type { Bootstrap } from '../replication/registry/bootstrap.ts'
import { authorityOf, isMember } from '../replication/registry/roster.ts'
import type { Wanted } from './dialling.ts'
import type { Peer } from './peer.ts'

/** With whom this peer keeps a connection, and where each is dialled. */
export function wantedPeers(
  self: PeerName,
  { exchange, gathering }: { exchange: Exchange; gathering: Gathering },
  bootstrap: Bootstrap | null,
): Wanted[] {
  const roster = exchange.council.roster()
  // A newcomer would take up a stranger's place at every member; it only asks to be let in.
  if (roster === null || !roster.members.has(self)) return []
  // Who is cut off is let in by nobody; from the authority it hears when that is over.
  const wanted = isMember(roster, self)
    ? new Set([...exchange.neighbours.partners(), ...gathering.sources()])
    : [authorityOf(roster)]
  return [...wanted].map((peer) => {
    const given = (bootstrap?.peers ?? []).filter((address) => address.endsWith(`/p2p/${peer}`))
    return { peer, addresses: [...(roster.members.get(peer)?.addresses ?? []), ...given] }
  })
}

/** The first of these addresses at which somebody answers; null: at none. */
export async function dialAny(peer: Peer, addresses: readonly string[]): Promise<PeerName | null> {
  for (const address of addresses) {
    const name = await peer.dial(address).catch(() => null)
    if (name !== null) return name
  }
  return null
}
