import { describe, expect, it } from 'vitest'
import { buildZone } from '../../src/node/dns/zone.ts'
import { zoneInput } from '../../src/node/dns/zone-keeper.ts'
import { otherPort, readersPorts, sentenceOfPort } from '../../src/node/page-port.ts'
import { Names } from '../../src/replication/registry/names.ts'
import {
  actOf,
  assignFields,
  member,
  peer,
  replica,
  TestCouncil,
} from '../replication/test-council.ts'

const zone = 'blogs.localhost'

/** A council whose members show their pages at these addresses; the first one is the authority. */
function councilOf(...webs: readonly (readonly string[])[]): TestCouncil {
  const council = new TestCouncil()
  webs.forEach((web, n) => {
    council.write({ kind: 'admit', policy: 'open', member: member(n, { web: [...web] }) })
  })
  return council
}
const at = (n: number, port: number, scheme = 'http') => `${scheme}://192.0.2.${n}:${port}`

describe('readersPorts', () => {
  it.each<[string, string[], number[] | null]>([
    ['nothing where the authority shows no pages', [], null],
    ['the port of its pages', [at(0, 8380)], [8380]],
    ['80 for 443, which a proxy has as well', [at(0, 443, 'https')], [80]],
    ['each of several', [at(0, 8380), at(0, 80)], [8380, 80]],
  ])('is %s', (_, web, ports) => {
    const found = readersPorts(councilOf(web, [at(1, 9000)]).roster)
    expect(found === null ? null : [...found]).toEqual(ports)
  })

  it('is no matter of how many have another one', () => {
    const strangers = [1, 2, 3, 4].map((n) => [at(n, 666)])
    const { roster } = councilOf([at(0, 8380)], ...strangers)
    expect([...(readersPorts(roster) ?? [])]).toEqual([8380])
  })
})

describe('otherPort', () => {
  const { roster } = councilOf([at(0, 80)])
  it.each<[string, string[], number[] | null]>([
    ['the same', [at(1, 80)], null],
    ['that of TLS', [at(1, 443, 'https')], null],
    ['one of several', [at(1, 8380), at(1, 443, 'https')], null],
    ['none yet', [], null],
    ['another', [at(1, 8380)], [8380]],
    ['other ones', [at(1, 8380), at(1, 8381)], [8380, 8381]],
  ])('of a spoke with %s', (_, web, own) => {
    expect(otherPort(roster, web)).toEqual(own === null ? null : { own, readers: [80] })
  })

  it('says what to do', () => {
    expect(sentenceOfPort('b', { own: [8381], readers: [80] })).toContain(
      'leads them to b only by its own name, or where no other replica is;',
    )
    expect(sentenceOfPort('b', { own: [8381], readers: [80] })).toContain(
      'Let it serve them at port 80 or 443 (spoke.port, spoke.addresses',
    )
  })
})

describe('zoneInput', () => {
  const ask = (council: TestCouncil, name: string, type = 'A') => {
    const assign = assignFields({ replicas: [replica(1), replica(2), replica(3)] })
    council.write(assign)
    const names = new Names(actOf(council.namesProofs[0] as never))
    names.apply(actOf(council.namesProofs[1] as never))
    const found = buildZone(zoneInput(council.roster, names)).lookup(
      name === '' ? zone : `${name}.${zone}`,
      type,
    )
    return found.kind === 'records'
      ? (found.set as { values: readonly string[] }).values
      : found.kind
  }
  const ports = (...others: number[]) =>
    councilOf([at(0, 8380)], ...others.map((port, n) => [at(n + 1, port)]))

  it('names to readers only spokes at the port to which they come', () => {
    const mixed = () => ports(8380, 8381, 8380)
    expect(ask(mixed(), '')).toEqual(['192.0.2.0', '192.0.2.1', '192.0.2.3'])
    expect(ask(mixed(), 'maria')).toEqual(['192.0.2.3'])
    expect(ask(mixed(), 'edit.maria')).toEqual(['192.0.2.1', '192.0.2.3'])
    // The primary is at another port: a secondary is the way in, and answers for both.
    expect(ask(ports(8381, 8380, 8381), 'maria')).toEqual(['192.0.2.2'])
    expect(ask(ports(8381, 8380, 8381), 'edit.maria')).toEqual(['192.0.2.2'])
  })

  it('of one spoke names the addresses at that port', () => {
    const both = councilOf([at(0, 8380)], [at(1, 8381), 'http://192.0.2.9:8380'])
    expect(ask(both, '')).toEqual(['192.0.2.0', '192.0.2.9'])
  })

  it('names a spoke by its own name wherever its pages are', () => {
    expect(ask(ports(8380, 8381, 8380), 's2.spoke')).toEqual(['192.0.2.2'])
  })

  it('names the others of a blog that none of those has, so that it is somewhere', () => {
    expect(ask(ports(8381, 8382, 8383), 'maria')).toEqual(['192.0.2.2', '192.0.2.3'])
    expect(ask(ports(8381, 8382, 8383), 'edit.maria')).toEqual(['192.0.2.1', '192.0.2.2'])
    expect(ask(ports(8381, 8382, 8383), '')).toEqual(['192.0.2.0'])
  })

  it('names all where the authority shows no pages', () => {
    const apart = councilOf([], [at(1, 8380)], [at(2, 8381)], [at(3, 8382)])
    expect(ask(apart, '')).toEqual(['192.0.2.1', '192.0.2.2', '192.0.2.3'])
  })

  it('names the others while the authority’s pages are out of DNS', () => {
    const council = ports(8381, 8382, 8383)
    council.write({ kind: 'away', peer: peer(0).peer, reason: 'silent', evidence: null })
    expect(ask(council, '')).toEqual(['192.0.2.1', '192.0.2.2', '192.0.2.3'])
  })
})
