import { parseBootstrap } from '../replication/registry/bootstrap.ts'
import { parseInvitation } from '../replication/registry/invitation.ts'
import { defaultLoad } from './authority/demand.ts'
import { quote } from './config-schema.ts'

const namesOneAddress = (host: unknown) => host !== '0.0.0.0' && host !== '::'

/** What no field alone can show. Looks at the raw value, so that it is reported with the rest. */
export function conflicts(value: unknown): string[] {
  if (!isObject(value)) return []
  const problems: string[] = []
  const { council, spoke: web, dns: server, authority, aggregator, keys, disk, load } = value
  if ([web, server, authority, aggregator].every((section) => section === undefined)) {
    problems.push(
      'spoke, dns, authority, aggregator: want at least one of these sections, got none',
    )
  }
  if (isObject(council)) {
    if ((council.zone === undefined) === (council.bootstrap === undefined)) {
      problems.push(
        `council: want either zone or bootstrap, got ${council.zone === undefined ? 'neither' : 'both'}`,
      )
    } else if (council.zone !== undefined && authority === undefined) {
      problems.push(
        'council.zone: want section authority beside it, since this founds a council; to join one, give council.bootstrap',
      )
    } else if (council.bootstrap !== undefined && authority !== undefined) {
      problems.push('authority: want council.zone beside it; a peer that joins has no such section')
    }
    const joins = parseBootstrap(String(council.bootstrap))
    if (joins.ok && joins.value.invite !== null && parseInvitation(joins.value.invite) === null) {
      problems.push(
        `council.bootstrap: want an invitation of 43 characters behind invite=, got ${quote(joins.value.invite)}; copy the whole join line once more`,
      )
    }
  }
  if (isObject(disk)) {
    const { newBlogsPercent = 85, copiesPercent = 92, replacePercent = 97 } = disk
    if (Number(newBlogsPercent) > Number(copiesPercent))
      problems.push(
        `disk.copiesPercent: want at least newBlogsPercent, got ${quote(copiesPercent)}`,
      )
    if (Number(copiesPercent) > Number(replacePercent))
      problems.push(
        `disk.replacePercent: want at least copiesPercent, got ${quote(replacePercent)}`,
      )
  }
  if (isObject(load)) {
    const { busyPerMinute, quietPerMinute } = { ...defaultLoad, ...load }
    if (Number(quietPerMinute) > Number(busyPerMinute) / 2)
      problems.push(
        `load.quietPerMinute: want at most half of busyPerMinute, got ${quote(quietPerMinute)}`,
      )
  }
  const plainServers =
    isObject(keys) && Array.isArray(keys.servers) && keys.allowPrivate !== true
      ? keys.servers.filter((each) => /^(hkp|http):/.test(String(each)))
      : []
  for (const server of plainServers)
    problems.push(
      `keys.servers: want hkps:// or https://, or keys.allowPrivate, got ${quote(server)}`,
    )
  for (const [name, section] of [
    ['spoke', web],
    ['dns', server],
  ] as const) {
    if (!isObject(section) || namesOneAddress(section.host)) continue
    if (Array.isArray(section.addresses) && section.addresses.length > 0) continue
    problems.push(
      `${name}.addresses: want at least one, since ${section.host} is every address of this machine, got none`,
    )
  }
  return problems
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
