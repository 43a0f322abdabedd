import { namesLog } from '../../replication/log/log.ts'
import type { Act } from '../../replication/registry/act.ts'
import { formatBootstrap } from '../../replication/registry/bootstrap.ts'
import type { CouncilLogs } from '../../replication/registry/council-logs.ts'
import type { NamedBlog, Names } from '../../replication/registry/names.ts'
import { liveMembers, type Member, type Roster } from '../../replication/registry/roster.ts'
import { isAtPort, readersPorts } from '../page-port.ts'
import { buildZone, type Zone, type ZoneBlog, type ZoneInput } from './zone.ts'

/** Keeps the zone in step with the council's logs: a pure function of both (DESIGN 5). */
export class ZoneKeeper {
  readonly #council: CouncilLogs
  #zone: Zone | null = null

  constructor(council: CouncilLogs) {
    this.#council = council
    this.#council.onChange((log, acts) => this.#changed(log === namesLog ? acts : null))
  }

  /** The zone as the logs have it now; null while this peer has no `@roster`. */
  zone(): Zone | null {
    this.#zone ??= this.#build()
    return this.#zone
  }

  #changed(named: readonly Act[] | null): void {
    const names = this.#council.names()
    if (this.#zone === null || named === null || names === null) {
      this.#zone = null
      return
    }
    const changed = named.flatMap(({ decision }) => {
      const blog = decision.kind === 'assign' ? names.blogs.get(decision.blog) : undefined
      return blog === undefined ? [] : [zoneBlog(blog)]
    })
    this.#zone = this.#zone.withBlogs(names.head.seq, changed)
  }

  #build(): Zone | null {
    const roster = this.#council.roster()
    return roster === null ? null : buildZone(zoneInput(roster, this.#council.names()))
  }
}

/** Peers that the bootstrap address in TXT names. */
const bootstrapPeers = 3

/** What the zone is made of: the same at every peer that has the same logs. */
export function zoneInput(roster: Roster, names: Names | null): ZoneInput {
  const members = [...roster.members.values()]
  const ports = readersPorts(roster)
  return {
    zone: roster.zone,
    editForm: roster.edit,
    rosterSeq: roster.head.seq,
    namesSeq: names?.head.seq ?? -1,
    spokes: members
      .filter((member) => member.roles.includes('spoke'))
      .map((member) => ({
        name: member.name,
        addresses: member.web.filter((url) => isAtPort(url, ports)).map(hostOf),
        elsewhere: member.web.filter((url) => !isAtPort(url, ports)).map(hostOf),
        listed: !member.away && !member.cutOff && member.web.length > 0,
        peer: member.peer,
      })),
    nameservers: members
      .filter((member) => member.roles.includes('dns') && !member.away && !member.cutOff)
      .map((member) => ({ name: member.name, addresses: addressesOf(member) })),
    blogs: [...(names?.blogs.values() ?? [])].map(zoneBlog),
    bootstrap: bootstrapOf(roster),
  }
}

function bootstrapOf(roster: Roster): string[] {
  const peers = liveMembers(roster)
    .filter(({ roles }) => roles.includes('authority') || roles.includes('dns'))
    .slice(0, bootstrapPeers)
    .flatMap(({ peer, addresses }) => addresses.map((address) => `${address}/p2p/${peer}`))
  return peers.length === 0
    ? []
    : [formatBootstrap({ council: roster.council, peers, invite: null })]
}

const hostOf = (url: string) => new URL(url).hostname.replace(/^\[|\]$/g, '')
const addressesOf = (member: Member) => [
  ...new Set(member.dns.map((address) => address.split(' ')[0] as string)),
]

function zoneBlog({ blog, genesis, key, epoch, primary, replicas }: NamedBlog): ZoneBlog {
  return { name: blog, genesis, key, epoch, primary, replicas: replicas.map(({ peer }) => peer) }
}
