import { Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { NameInDns } from '../replication/exchange/claim.ts'
import type { BlogName } from '../replication/log/entry.ts'
import type { Roster } from '../replication/registry/roster.ts'
import { liveMembers } from '../replication/registry/roster.ts'

/** The zone's servers as `@roster` names them, as `host:port`. */
export function zoneServers(roster: Roster): string[] {
  return liveMembers(roster)
    .filter((member) => !member.away)
    .flatMap((member) => member.dns)
    .map((address) => {
      const [ip = '', port = ''] = address.split(' ')
      return isIP(ip) === 6 ? `[${ip}]:${port}` : `${ip}:${port}`
    })
}

/** Asks the zone's servers whether a blog's name exists: a real DNS query, as the essay has it. */
export async function askDns(roster: Roster | null, blog: BlogName): Promise<NameInDns> {
  const servers = roster === null ? [] : zoneServers(roster)
  if (roster === null || servers.length === 0) return 'no answer'
  const resolver = new Resolver({ timeout: 1_000, tries: 1 })
  resolver.setServers(servers)
  try {
    await resolver.resolveTxt(`${blog}.${roster.zone}`)
    return 'taken'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOTFOUND') return 'free'
    return code === 'ENODATA' ? 'taken' : 'no answer'
  }
}
