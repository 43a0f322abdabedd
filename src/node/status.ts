import type { Exchange } from '../replication/exchange/exchange.ts'
import { namesLog, rosterLog } from '../replication/log/log.ts'
import { logTopic } from '../replication/protocol.ts'
import { authorityOf } from '../replication/registry/roster.ts'
import { otherPort } from './page-port.ts'
import type { Peer } from './peer.ts'

/** What machines and operators may know of a peer: all of it is public anyway. */
export async function readStatus(
  name: string,
  { exchange, peer, pending }: { exchange: Exchange; peer: Peer; pending: string | null },
): Promise<object> {
  const { council, replicas, alive, ingest } = exchange
  const roster = council.roster()
  const connected = new Set(peer.network().connected())
  const topic = roster === null ? null : logTopic(roster.councilId, peer.name)
  const followers = new Set(topic === null ? [] : peer.followers(topic))
  const isAuthority = roster !== null && authorityOf(roster) === peer.name
  return {
    name,
    peer: peer.name,
    council: roster?.council ?? null,
    store: exchange.storeId(),
    member: council.isMember(peer.name),
    /** which mark of its disk it is over; null: it has room */
    mark: alive.mark(peer.name),
    /** what it waits for before it is admitted */
    pending,
    addresses: peer.addresses(),
    logs: { [rosterLog]: council.head(rosterLog), [namesLog]: council.head(namesLog) },
    members: [...(roster?.members.values() ?? [])].map((member) => ({
      name: member.name,
      peer: member.peer,
      roles: member.roles,
      web: member.web,
      dns: member.dns,
      away: member.away,
      cutOff: member.cutOff,
      // Its pages are at a port to which readers do not come: see page-port.ts.
      otherPort: roster === null ? null : otherPort(roster, member.web),
      connected: member.peer === peer.name || connected.has(member.peer),
      // Whether it hears what this peer gossips of the blogs that it leads.
      follows: followers.has(member.peer),
      // Heartbeats come to the authority only, until circles carry them.
      ...(isAuthority ? { heard: alive.isLive(member.peer), mark: alive.mark(member.peer) } : {}),
    })),
    blogs: await Promise.all(
      replicas.all().map(async ({ assignment, receipts, role }) => ({
        blog: assignment.blog,
        role,
        epoch: assignment.epoch,
        head: await exchange.headOf(assignment.blog),
        active: receipts.isActive(),
        published: receipts.published(),
        replicas: assignment.replicas.length,
      })),
    ),
    /** what the scrub looked at since the start, and the entries that are damaged on this disk now */
    scrub: { ...exchange.scrub.counts, now: ingest.damage.all() },
    /** entries that came in since the start, by the way they came */
    came: ingest.counts,
  }
}
