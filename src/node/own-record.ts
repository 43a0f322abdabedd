import { isIP } from 'node:net'
import type { Exchange } from '../replication/exchange/exchange.ts'
import type { MemberRecord, Role } from '../replication/registry/act.ts'
import type { Config } from './config.ts'
import type { HttpServer } from './http-server.ts'
import type { Peer } from './peer.ts'

/** What `@roster` should say of this peer. */
export function ownRecord(
  config: Config,
  running: {
    peer: Peer
    exchange: Exchange
    http: HttpServer | null
    dns: { host: string; port: number } | null
  },
): MemberRecord {
  const { peer, exchange, http, dns } = running
  const roles: Role[] = []
  if (config.spoke !== undefined) roles.push('spoke')
  if (config.dns !== undefined) roles.push('dns')
  if (config.authority !== undefined) roles.push('authority')
  if (config.aggregator !== undefined) roles.push('aggregator')
  const web = config.spoke?.addresses ?? []
  const dnsAddresses = config.dns?.addresses ?? []
  return {
    peer: peer.name,
    name: config.name,
    store: exchange.storeId(),
    roles,
    addresses: peer.addresses().map((address) => address.slice(0, address.lastIndexOf('/p2p/'))),
    web:
      web.length > 0 || http === null
        ? web
        : [`http://${isIP(http.host) === 6 ? `[${http.host}]` : http.host}:${http.port}`],
    dns: dnsAddresses.length > 0 || dns === null ? dnsAddresses : [`${dns.host} ${dns.port}`],
    operator: config.operator,
    network: config.network,
    country: config.country,
  }
}
