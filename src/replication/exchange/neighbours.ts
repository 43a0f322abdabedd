import type { PeerName } from '../../auth/peer-signature.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import { authorityOf, isMember, liveMembers } from '../registry/roster.ts'
import type { Replicas } from './replica.ts'

/** Members up to which everybody keeps a connection with everybody; beyond, partners only. */
const fullMeshMembers = 20
/** Peers that carry `@names`, asked for a blog that is not known here. */
const maxNamesAsked = 5

/** Which members this peer has to do with, by `@roster` and the blogs that it keeps. */
export class Neighbours {
  readonly #council: Pick<CouncilLogs, 'roster' | 'self'>
  readonly #replicas: Pick<Replicas, 'all'>

  constructor(council: Pick<CouncilLogs, 'roster' | 'self'>, replicas: Pick<Replicas, 'all'>) {
    this.#council = council
    this.#replicas = replicas
  }

  /** Peers with which this one keeps a connection. */
  partners(): PeerName[] {
    const roster = this.#council.roster()
    if (roster === null) return []
    const members = liveMembers(roster).map((member) => member.peer)
    if (members.length <= fullMeshMembers) return members
    const partners = new Set<PeerName>([authorityOf(roster), ...this.namesPeers()])
    for (const kept of this.#replicas.all()) {
      if (kept.role === 'none') continue
      for (const { peer } of kept.assignment.replicas) partners.add(peer)
    }
    return [...partners].filter((peer) => members.includes(peer))
  }

  /** Peers that carry `@names`: the authority, the holders, and those that answer DNS. */
  namesPeers(): PeerName[] {
    const roster = this.#council.roster()
    if (roster === null) return []
    const holders = roster.terms.at(-1)?.holders.map((holder) => holder.peer) ?? []
    const dns = liveMembers(roster)
      .filter((member) => member.roles.includes('dns'))
      .map((member) => member.peer)
    const peers = new Set(
      [authorityOf(roster), ...holders, ...dns].filter((each) => isMember(roster, each)),
    )
    peers.delete(this.#council.self)
    return [...peers].slice(0, maxNamesAsked)
  }
}
