import { encode } from 'dns-packet'
import type { ZoneInput } from '../src/node/dns/zone.ts'
import { Child } from './child.ts'
import { formatRate, formatSpread, quantile, type Result } from './figures.ts'
import type { Answers, DnsLoad } from './load-process.ts'

const names = 10_000
const rounds = 7
const load = { outstanding: 100, ms: 1_500 }

/** Our DNS server against dgram and dns-packet, which encodes each answer, for the same names. */
export async function benchDns(): Promise<Result> {
  await using ours = new Child('./plain-server.ts')
  await using other = new Child('./plain-server.ts')
  await using loader = new Child('./load-process.ts')
  const zone = zoneOf(names)
  const sides = [
    { server: ours, port: await ours.ask<number>('dnsOurs', zone) },
    { server: other, port: await other.ask<number>('dnsPacket', zone) },
  ] as const
  const queries = Array.from({ length: names }, (_, at) =>
    encode({
      ...{ id: at, type: 'query', flags: 0x01_00 },
      questions: [{ type: 'A', name: `blog-${at}.${zone.zone}` }],
    }),
  )
  const found: { count: number; wall: number; cpu: number; lost: string }[][] = [[], []]
  for (let round = -1; round < rounds; round++) {
    for (const [side, { server, port }] of sides.entries()) {
      const before = await server.ask<number>('cpu')
      const given: DnsLoad = { port, queries, ...load }
      const { count, seconds, status } = await loader.ask<Answers>('dns', given)
      const cpu = (await server.ask<number>('cpu')) - before
      if (round >= 0) found[side]?.push({ count, wall: seconds, cpu, lost: status })
    }
  }
  const [mine = [], theirs = []] = found
  const rate = ({ count, cpu }: { count: number; cpu: number }) => count / cpu
  const ratios = mine.map((each, at) => rate(each) / rate(theirs[at] as typeof each))
  const line = (all: typeof mine) => {
    const sum = (of: 'count' | 'wall' | 'cpu') => all.reduce((total, each) => total + each[of], 0)
    return formatRate(sum('count'), { wall: sum('wall'), cpu: sum('cpu') })
  }
  return {
    name: `dns: ${names} names, ${load.outstanding} questions at a time, against dns-packet`,
    lines: [
      `ours       ${line(mine)}`,
      `dns-packet ${line(theirs)}`,
      `single rounds ${formatSpread(ratios)}`,
    ],
    ...{ ratio: quantile(ratios, 0.5), wanted: 'least', target: 1.1 },
  }
}

function zoneOf(count: number): ZoneInput {
  const peer = (at: number) => `peer-${at % 10}`
  return {
    ...{ zone: 'blogs.example.org', editForm: 'dotted', rosterSeq: 10, namesSeq: count },
    spokes: Array.from({ length: 10 }, (_, at) => ({
      ...{ name: `s${at}`, addresses: [`192.0.2.${at + 1}`], listed: true, peer: peer(at) },
    })),
    nameservers: [{ name: 's0', addresses: ['192.0.2.1'] }],
    blogs: Array.from({ length: count }, (_, at) => ({
      ...{ name: `blog-${at}`, genesis: 'ab'.repeat(32), key: '5D'.repeat(20), epoch: 1 },
      ...{ primary: peer(at), replicas: [peer(at), peer(at + 1), peer(at + 2)] },
    })),
    bootstrap: [],
  }
}
