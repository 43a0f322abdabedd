import { BlockList, isIP } from 'node:net'

/**
 * Special-purpose addresses (IANA registries, RFC 6890): this machine, its networks, carriers'
 * networks, documentation, benchmarks, multicast, reserved. A server that is told to fetch
 * something must not be led there (facts/SECURITY 2).
 */
const special4: readonly (readonly [net: string, bits: number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
]
/** Inside the global unicast range: Teredo and others, documentation, 6to4, which hold a v4 address. */
const special6: readonly (readonly [net: string, bits: number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]

const special = new BlockList()
for (const [net, bits] of special4) special.addSubnet(net, bits, 'ipv4')
for (const [net, bits] of special6) special.addSubnet(net, bits, 'ipv6')
/** Everything else, IPv4-mapped addresses among it, is not to be reached from outside. */
const global6 = new BlockList()
global6.addSubnet('2000::', 3, 'ipv6')

/** Whether an IP address may be one that anybody can reach. Anything that is no address may not. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !special.check(address, 'ipv4')
    case 6:
      return (
        !address.includes('%') && global6.check(address, 'ipv6') && !special.check(address, 'ipv6')
      )
    default:
      return false
  }
}
