import type { ZoneBlog, ZoneInput, ZoneSpoke } from '../../../src/node/dns/zone.ts'

export const zone = 'blogs.example.org'

export function spoke(name: string, addresses: string[], listed = true): ZoneSpoke {
  return { name, addresses, listed, peer: `peer-${name}` }
}

/** @param replicas - names of spokes, the primary first */
export function blog(name: string, replicas: [string, ...string[]], epoch = 1): ZoneBlog {
  const peers = replicas.map((replica) => `peer-${replica}`)
  return {
    name,
    genesis: 'ab'.repeat(32),
    key: '5D'.repeat(20),
    epoch,
    primary: `peer-${replicas[0]}`,
    replicas: peers,
  }
}

/** Spokes a and b with both families, c with IPv6 only, d away; maria on a, b, c. */
export const example: ZoneInput = {
  zone,
  editForm: 'dotted',
  rosterSeq: 7,
  namesSeq: 11,
  spokes: [
    spoke('a', ['192.0.2.1', '2001:db8::a']),
    spoke('b', ['192.0.2.2', '2001:db8::b']),
    spoke('c', ['2001:db8::c']),
    spoke('d', ['192.0.2.4'], false),
  ],
  nameservers: [
    { name: 'a', addresses: ['192.0.2.1', '2001:db8::a'] },
    { name: 'authority', addresses: ['192.0.2.9'] },
  ],
  blogs: [
    blog('maria', ['a', 'b', 'c']),
    blog('solo', ['b']),
    blog('lost', ['d']),
    blog('late', ['d', 'a', 'b'], 3),
    blog('six', ['a', 'c']),
  ],
  bootstrap: [`council://${zone}/${'5f'.repeat(32)}?peer=/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWa`],
}
