import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildZone, type Zone, type ZoneInput } from '../../../src/node/dns/zone.ts'
import { blog, example, spoke, zone } from './example-zone.ts'

/** Values of a record set, or the kind of the answer without records. */
function ask(from: Zone, name: string, type: string): unknown {
  const found = from.lookup(name, type)
  if (found.kind !== 'records') return found.kind
  return found.set.type === 'SOA' ? found.set : found.set.values
}

describe('buildZone', () => {
  const built = buildZone(example)

  it.each([
    ['the zone', zone, 'A', ['192.0.2.1', '192.0.2.2']],
    ['the zone', zone, 'AAAA', ['2001:db8::a', '2001:db8::b', '2001:db8::c']],
    ['the zone', zone, 'NS', [`a.ns.${zone}`, `authority.ns.${zone}`]],
    ['the zone', zone, 'TXT', example.bootstrap.map((address) => [address])],
    ['a type it never has', zone, 'MX', 'nodata'],
    ['a spoke', `a.spoke.${zone}`, 'A', ['192.0.2.1']],
    ['a spoke with IPv6 only', `c.spoke.${zone}`, 'A', 'nodata'],
    ['a spoke that is away', `d.spoke.${zone}`, 'A', 'nodata'],
    ['an unknown spoke', `x.spoke.${zone}`, 'A', 'nxdomain'],
    ['a name server', `authority.ns.${zone}`, 'A', ['192.0.2.9']],
    ['an empty non-terminal', `spoke.${zone}`, 'A', 'nodata'],
    ['an empty non-terminal', `ns.${zone}`, 'TXT', 'nodata'],
    ['a name with nothing below it', `edit.${zone}`, 'A', 'nxdomain'],
    ['a blog: its secondaries', `maria.${zone}`, 'A', ['192.0.2.2']],
    ['a blog: its secondaries', `maria.${zone}`, 'AAAA', ['2001:db8::b', '2001:db8::c']],
    ['a blog on its primary alone', `solo.${zone}`, 'A', ['192.0.2.2']],
    ['a blog whose primary is away', `late.${zone}`, 'A', ['192.0.2.1', '192.0.2.2']],
    ['a blog whose secondaries lack the family', `six.${zone}`, 'A', ['192.0.2.1']],
    ['a blog whose spokes are all gone', `lost.${zone}`, 'A', 'nodata'],
    ['its edit host', `edit.lost.${zone}`, 'A', 'nodata'],
    ['an edit host: the primary first', `edit.maria.${zone}`, 'A', ['192.0.2.1', '192.0.2.2']],
    ['an edit host without its primary', `edit.late.${zone}`, 'A', ['192.0.2.1']],
    ['an edit host has no text', `edit.maria.${zone}`, 'TXT', 'nodata'],
    ['the other edit form', `edit--maria.${zone}`, 'A', 'nxdomain'],
    ['a name below a blog', `www.maria.${zone}`, 'A', 'nxdomain'],
    ['a name nobody claimed', `carla.${zone}`, 'A', 'nxdomain'],
    ['another zone', 'maria.example.net', 'A', 'refused'],
    ['the parent', 'example.org', 'A', 'refused'],
    ['a name that only ends alike', `not${zone}`, 'A', 'refused'],
    ['the root', '', 'NS', 'refused'],
  ])('answers %s: %s %s', (_what, name, type, expected) => {
    expect(ask(built, name, type)).toEqual(expected)
  })

  it('publishes genesis, key and epoch of a blog as one text', () => {
    const text = `council-blog genesis=${'ab'.repeat(32)} key=${'5D'.repeat(20)} epoch=3`
    expect(ask(built, `late.${zone}`, 'TXT')).toEqual([[text]])
  })

  it('gives edit hosts a shorter life than other addresses', () => {
    expect(built.lookup(`edit.maria.${zone}`, 'A')).toMatchObject({ set: { ttlSeconds: 30 } })
    for (const name of [zone, `maria.${zone}`, `a.spoke.${zone}`]) {
      expect(built.lookup(name, 'A')).toMatchObject({ set: { ttlSeconds: 60 } })
    }
  })

  it('names edit hosts with two hyphens where the council chose that form', () => {
    const dashed = buildZone({ ...example, editForm: 'dashed' })
    expect(ask(dashed, `edit--maria.${zone}`, 'A')).toEqual(['192.0.2.1', '192.0.2.2'])
    expect(ask(dashed, `edit.maria.${zone}`, 'A')).toBe('nxdomain')
  })

  it('splits a text over 255 bytes into strings that join to it', () => {
    const address = `council://${zone}/${'5f'.repeat(300)}`
    const [strings] = ask(
      buildZone({ ...example, bootstrap: [address] }),
      zone,
      'TXT',
    ) as string[][]
    expect(strings?.map((string) => string.length)).toEqual([255, 255, address.length - 510])
    expect(strings?.join('')).toBe(address)
  })

  it('lists an address once, however it is spelled and whoever has it', () => {
    const shared = ['192.0.2.1', '2001:DB8:0::a']
    const input = { ...example, spokes: [...example.spokes, spoke('e', shared)] }
    expect(ask(buildZone(input), zone, 'AAAA')).toEqual(ask(built, zone, 'AAAA'))
    expect(ask(buildZone(input), zone, 'A')).toEqual(ask(built, zone, 'A'))
  })

  it('leaves out what is no address, or one on a single machine only', () => {
    const odd = [spoke('a', ['example.org', 'fe80::1%eth0', '300.1.1.1', '127.0.0.11'])]
    expect(ask(buildZone({ ...example, spokes: odd }), zone, 'A')).toEqual(['127.0.0.11'])
    expect(ask(buildZone({ ...example, spokes: odd }), zone, 'AAAA')).toBe('nodata')
  })

  it('names no name server that has no address', () => {
    const nameservers = [...example.nameservers, { name: '0', addresses: [] }]
    const other = buildZone({ ...example, nameservers })
    expect(ask(other, zone, 'NS')).toEqual(ask(built, zone, 'NS'))
    expect(ask(other, `0.ns.${zone}`, 'A')).toBe('nodata')
  })

  it('raises the serial by one with every entry of either log, modulo 2^32', () => {
    const serial = (rosterSeq: number, namesSeq: number) =>
      buildZone({ ...example, rosterSeq, namesSeq }).soa.serial
    const first = serial(0, -1)
    expect(first).toBeGreaterThan(0)
    expect(serial(1, -1)).toBe(first + 1)
    expect(serial(1, 0)).toBe(first + 2)
    expect(serial(2 ** 32, -1)).toBe(first)
  })

  it('exists from the first entry on, without spokes, name servers and blogs', () => {
    const empty = { ...example, spokes: [], nameservers: [], blogs: [], bootstrap: [] }
    const alone = buildZone({ ...empty, rosterSeq: 0, namesSeq: -1 })
    expect(ask(alone, zone, 'A')).toBe('nodata')
    expect(ask(alone, zone, 'SOA')).toMatchObject({ mname: zone })
    expect(ask(alone, `spoke.${zone}`, 'A')).toBe('nxdomain')
  })

  const label = fc.constantFrom('a', 'b', 'c', 'd', 'e')
  const spokes = fc.uniqueArray(
    fc.record({
      name: label,
      addresses: fc.array(fc.oneof(fc.ipV4(), fc.ipV6()), { maxLength: 3 }),
      listed: fc.boolean(),
    }),
    { selector: (one) => one.name },
  )
  const blogs = fc.uniqueArray(
    fc
      .tuple(fc.constantFrom('maria', 'carla', 'eva'), label, fc.array(label), fc.nat(9))
      .map(([name, primary, others, epoch]) => blog(name, [primary, ...others], epoch)),
    { selector: (one) => one.name },
  )
  const inputs = fc
    .record({ spokes, blogs })
    .map((part): ZoneInput & { blogs: readonly ReturnType<typeof blog>[] } => ({
      ...example,
      blogs: part.blogs,
      spokes: part.spokes.map((one) => ({ ...one, peer: `peer-${one.name}` })),
      nameservers: part.spokes,
    }))
  const names = [
    ...['', 'spoke.', 'ns.'],
    ...['maria', 'carla', 'eva'].flatMap((name) => [`${name}.`, `edit.${name}.`]),
    ...['a', 'b', 'c', 'd', 'e'].flatMap((name) => [`${name}.spoke.`, `${name}.ns.`]),
  ].map((prefix) => prefix + zone)
  const whole = (from: Zone) =>
    names.map((name) => ['SOA', 'NS', 'A', 'AAAA', 'TXT'].map((type) => ask(from, name, type)))

  it('gives equal zones for equal logs, in whatever order their content comes', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const turned = {
          ...input,
          spokes: input.spokes.toReversed(),
          nameservers: input.nameservers.toReversed(),
          blogs: input.blogs.toReversed(),
        }
        expect(whole(buildZone(turned))).toEqual(whole(buildZone(input)))
      }),
    )
  })

  it('never names a spoke that is not listed', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const from = buildZone({ ...input, nameservers: [] })
        const listed = buildZone({
          ...input,
          nameservers: [],
          spokes: input.spokes.map((one) => (one.listed ? one : { ...one, addresses: [] })),
        })
        expect(whole(from)).toEqual(whole(listed))
      }),
    )
  })

  it('is the same zone whether acts of @names are added one by one or all at once', () => {
    fc.assert(
      fc.property(inputs, blogs, (input, changes) => {
        let grown = buildZone(input)
        for (const [index, change] of changes.entries()) {
          whole(grown)
          grown = grown.withBlogs(input.namesSeq + 1 + index, [change])
        }
        const all = new Map([...input.blogs, ...changes].map((one) => [one.name, one]))
        const namesSeq = input.namesSeq + changes.length
        expect(whole(grown)).toEqual(whole(buildZone({ ...input, namesSeq, blogs: all.values() })))
      }),
    )
  })

  it('hands out the same set again as long as the blog has not changed', () => {
    const from = buildZone(example)
    const setOf = (in_: Zone, name: string) => {
      const found = in_.lookup(`${name}.${zone}`, 'A')
      return found.kind === 'records' ? found.set : null
    }
    const maria = setOf(from, 'maria')
    const after = from.withBlogs(12, [blog('solo', ['a'])])
    expect(setOf(after, 'maria')).toBe(maria)
    expect(ask(after, `solo.${zone}`, 'A')).toEqual(['192.0.2.1'])
    expect(ask(from, `solo.${zone}`, 'A')).toEqual(['192.0.2.2'])
  })
})
