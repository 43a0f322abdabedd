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
  // A newcomer would take up a stranger's place at every member, and so would who is cut off; they
  // only ask to be let in.
  if (roster === null || !isMember(roster, self)) return []
  const wanted = new Set([...exchange.neighbours.partners(), ...gathering.sources()])
  return [...wanted].map((peer) => {
    const given = (bootstrap?.peers ?? []).filter((address) => address.endsWith(`/p2p/${peer}`))
    return { peer, addresses: [...(roster.members.get(peer)?.addresses ?? []), ...given] }
  })
}

/** Where the authority is dialled, as far as this peer knows. */
export function authorityAt({ council }: Exchange): string[] {
  const roster = council.roster()
  if (roster === null) return []
  const authority = authorityOf(roster)
  const addresses = roster.members.get(authority)?.addresses ?? []
  return addresses.map((address) => `${address}/p2p/${authority}`)
}

/** The first of these addresses at which somebody answers; null: at none. */
export async function dialAny(peer: Peer, addresses: readonly string[]): Promise<PeerName | null> {
  for (const address of addresses) {
    const name = await peer.dial(address).catch(() => null)
    if (name !== null) return name
  }
  return null
}
