import { type DecodedPacket, decode } from 'dns-packet'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { answerQuery } from '../../../src/node/dns/answer.ts'
import { buildZone } from '../../../src/node/dns/zone.ts'
import { blog, example, spoke, zone } from './example-zone.ts'

const built = buildZone(example)
const many = (count: number) =>
  buildZone({
    ...example,
    spokes: Array.from({ length: count }, (_, at) =>
      spoke(`s${at}`, [`198.51.${at >> 8}.${at & 255}`]),
    ),
  })

type Opt = { udpPayloadSize?: number; ednsVersion?: number; flags?: number; options?: Buffer }

/** A query, written by hand so that it can also be wrong. */
function query(name: string, type: number, opt?: Opt, klass = 1): Buffer {
  const labels = name.split('.').filter((label) => label !== '')
  const question = Buffer.concat([
    ...labels.map((label) => Buffer.from(String.fromCharCode(label.length) + label, 'latin1')),
    Buffer.from([0, type >> 8, type & 255, klass >> 8, klass & 255]),
  ])
  const header = Buffer.from([0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, opt === undefined ? 0 : 1])
  return Buffer.concat([header, question, opt === undefined ? Buffer.alloc(0) : optRecord(opt)])
}

function optRecord({ udpPayloadSize = 1232, ednsVersion = 0, flags = 0, options }: Opt): Buffer {
  const data = options ?? Buffer.alloc(0)
  const fields = Buffer.alloc(11)
  fields.writeUInt16BE(41, 1)
  fields.writeUInt16BE(udpPayloadSize, 3)
  fields.writeUInt8(ednsVersion, 6)
  fields.writeUInt16BE(flags, 7)
  fields.writeUInt16BE(data.length, 9)
  return Buffer.concat([fields, data])
}

const [A, NS, SOA, TXT, AAAA, IXFR, AXFR, ANY] = [1, 2, 6, 16, 28, 251, 252, 255]

/** The decoder also gives these two, which its types leave out or make optional. */
type Decoded = DecodedPacket & { readonly rcode: string; readonly flags: number }

function answer(message: Buffer, from = built, transport: 'udp' | 'tcp' = 'udp', random = () => 0) {
  const bytes = answerQuery(message, from, transport, random)
  if (bytes === null) throw new Error('no answer')
  return { ...(decode(bytes) as Decoded), bytes }
}

/** QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT set by hand. */
function withCounts(message: Buffer, ...counts: number[]): Buffer {
  const changed = Buffer.from(message)
  for (const [index, count] of counts.entries()) changed.writeUInt16BE(count, 4 + 2 * index)
  return changed
}

function withFlags(message: Buffer, flags: number): Buffer {
  const changed = Buffer.from(message)
  changed.writeUInt16BE(flags, 2)
  return changed
}

describe('answerQuery', () => {
  const maria = query(`maria.${zone}`, A)
  const loop = Buffer.from([0xc0, maria.length, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0])
  const record = (name: number[]) => Buffer.from([...name, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0])

  it.each([
    ['no question', withCounts(maria, 0)],
    ['two questions', withCounts(maria, 2)],
    ['a name that runs out of the message', maria.subarray(0, 20)],
    ['a question without type and class', maria.subarray(0, -4)],
    ['a question cut in its class', maria.subarray(0, -1)],
    ['a header alone', maria.subarray(0, 12)],
    ['a pointer in the question', Buffer.concat([maria.subarray(0, 12), loop])],
    [
      'a label of a reserved kind',
      Buffer.concat([maria.subarray(0, 12), Buffer.from([0x41, 0, 0])]),
    ],
    ['a name over 255 bytes', query(`${'abcdefg.'.repeat(32)}${zone}`, A)],
    ['a record that is not there', withCounts(maria, 1, 0, 0, 1)],
    ['a record name that points to itself', Buffer.concat([withCounts(maria, 1, 0, 0, 1), loop])],
    [
      'a record name that points forward',
      Buffer.concat([withCounts(maria, 1, 0, 0, 1), record([0xc0, 0xff])]),
    ],
    [
      'a record name that points into the header',
      Buffer.concat([withCounts(maria, 1, 0, 0, 1), record([0xc0, 0x02])]),
    ],
    [
      'record data that runs out of the message',
      Buffer.concat([
        withCounts(maria, 1, 0, 0, 1),
        Buffer.from([0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 9]),
      ]),
    ],
    [
      'two OPT records',
      Buffer.concat([withCounts(maria, 1, 0, 0, 2), optRecord({}), optRecord({})]),
    ],
    [
      'an OPT record with an owner',
      Buffer.concat([
        withCounts(maria, 1, 0, 0, 1),
        Buffer.from([0xc0, 12]),
        optRecord({}).subarray(1),
      ]),
    ],
    [
      'an EDNS option cut short',
      query(`maria.${zone}`, A, { options: Buffer.from([0, 9, 0, 4, 1]) }),
    ],
  ])('answers FORMERR to %s', (_what, message) => {
    const { rcode, id, flag_aa } = answer(message)
    expect({ rcode, id, flag_aa }).toEqual({ rcode: 'FORMERR', id: 0x1234, flag_aa: false })
  })

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['less than a header', maria.subarray(0, 11)],
    ['an answer', withFlags(maria, 0x8100)],
  ])('is silent to %s', (_what, message) => {
    expect(answerQuery(message, built, 'udp', () => 0)).toBeNull()
  })

  it.each([
    ['opcode NOTIFY', withFlags(maria, 4 << 11), 'NOTIMP'],
    ['opcode UPDATE', withFlags(maria, 5 << 11), 'NOTIMP'],
    ['an unknown opcode over junk', withFlags(maria.subarray(0, 15), 15 << 11), 'NOTIMP'],
    ['a name outside the zone', query('example.net', A), 'REFUSED'],
    ['the root', query('', NS), 'REFUSED'],
    ['class CHAOS', query(zone, TXT, undefined, 3), 'REFUSED'],
    ['class ANY', query(zone, A, undefined, 255), 'REFUSED'],
    ['AXFR', query(zone, AXFR), 'REFUSED'],
    ['IXFR', query(zone, IXFR), 'REFUSED'],
  ])('refuses %s without claiming authority', (_what, message, expected) => {
    const { rcode, flag_aa, answers, authorities } = answer(message)
    expect(rcode).toBe(expected)
    expect({ flag_aa, answers, authorities }).toEqual({
      flag_aa: false,
      answers: [],
      authorities: [],
    })
  })

  it('answers BADVERS, with version 0, to a later EDNS', () => {
    const { bytes, answers, additionals } = answer(query(zone, A, { ednsVersion: 1 }))
    expect(bytes.readUInt8(3) & 15).toBe(0)
    expect(answers).toEqual([])
    expect(additionals).toMatchObject([{ type: 'OPT', extendedRcode: 1, ednsVersion: 0 }])
  })

  it('sends the question back with its letter case and finds the name whatever the case', () => {
    const asked = query('mArIa.BLOGS.exAmple.Org', A)
    const { bytes, answers } = answer(asked)
    expect(bytes.subarray(12, asked.length)).toEqual(asked.subarray(12))
    expect(answers).toMatchObject([{ name: 'mArIa.BLOGS.exAmple.Org', data: '192.0.2.2', ttl: 60 }])
  })

  it('takes a dot inside a label for no border', () => {
    const dotted = Buffer.from(`\x0aedit.maria\x05blogs\x07example\x03org\0`, 'latin1')
    const ask = (labels: Buffer) =>
      Buffer.concat([maria.subarray(0, 12), labels, Buffer.from([0, 1, 0, 1])])
    expect(answer(ask(dotted)).rcode).toBe('NXDOMAIN')
    const wholly = Buffer.from(`\x17maria.${zone}\0`, 'latin1')
    expect(answer(ask(wholly)).rcode).toBe('REFUSED')
  })

  it('answers with authority, echoes RD and CD, and offers no recursion', () => {
    const { flags } = answer(withFlags(maria, 0x07b0))
    expect(flags & 0x87ff).toBe(0x0510)
  })

  it.each([
    ['nxdomain', `carla.${zone}`, A, 'NXDOMAIN'],
    ['nodata', `solo.${zone}`, 15, 'NOERROR'],
    ['an empty non-terminal', `spoke.${zone}`, A, 'NOERROR'],
    ['an empty non-terminal asked for ANY', `ns.${zone}`, ANY, 'NOERROR'],
    ['a lost blog', `lost.${zone}`, A, 'NOERROR'],
  ])('answers %s with the SOA, kept no longer than its minimum', (_what, name, type, expected) => {
    const { rcode, flag_aa, answers, authorities } = answer(query(name, type))
    expect({ rcode, flag_aa, answers }).toEqual({ rcode: expected, flag_aa: true, answers: [] })
    const { serial } = built.soa
    expect(authorities).toMatchObject([
      {
        type: 'SOA',
        name: zone,
        ttl: 30,
        data: { serial, minimum: 30, mname: `a.ns.${zone}`, rname: `hostmaster.${zone}` },
      },
    ])
  })

  it.each([
    [zone, SOA, [{ type: 'SOA', ttl: 60, data: { serial: built.soa.serial } }]],
    [zone, NS, [{ data: `a.ns.${zone}` }, { data: `authority.ns.${zone}` }]],
    [zone, AAAA, ['2001:db8::a', '2001:db8::b', '2001:db8::c'].map((data) => ({ data }))],
    [`edit.maria.${zone}`, A, ['192.0.2.1', '192.0.2.2'].map((data) => ({ data, ttl: 30 }))],
    [zone, TXT, [{ type: 'TXT', data: example.bootstrap.map((text) => Buffer.from(text)) }]],
  ])('answers %s type %i as another decoder reads it', (name, type, expected) => {
    expect(answer(query(name, type, {})).answers).toMatchObject(expected)
  })

  it('writes every IPv6 address as it is meant', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV6(), fc.constant('::'), fc.constant('::1')), (address) => {
        const from = buildZone({ ...example, spokes: [spoke('a', [address])] })
        const [set] = answer(query(zone, AAAA, {}), from).answers ?? []
        const canonical = (text: string) => new URL(`http://[${text}]/`).hostname
        expect(set).toMatchObject({ type: 'AAAA' })
        expect(canonical(String(set && 'data' in set ? set.data : ''))).toBe(canonical(address))
      }),
    )
  })

  it('adds the addresses of the name servers, as far as there is room', () => {
    const { additionals } = answer(query(zone, NS))
    expect(additionals).toMatchObject([
      { name: `a.ns.${zone}`, type: 'A', data: '192.0.2.1' },
      { name: `a.ns.${zone}`, type: 'AAAA', data: '2001:db8::a' },
      { name: `authority.ns.${zone}`, type: 'A', data: '192.0.2.9' },
    ])
    const nameservers = Array.from({ length: 20 }, (_, at) => ({
      name: `n${at}`,
      addresses: [`192.0.2.${at}`],
    }))
    const crowded = answer(query(zone, NS), buildZone({ ...example, nameservers }))
    expect(crowded).toMatchObject({ flag_tc: false, answers: { length: 20 } })
    expect(crowded.additionals?.length).toBeLessThan(20)
  })

  it('answers ANY with one record set', () => {
    expect(answer(query(`maria.${zone}`, ANY)).answers).toMatchObject([{ type: 'A' }])
    expect(answer(query(zone, ANY)).answers).toMatchObject([{ type: 'SOA' }])
  })

  it.each([
    ['no EDNS', undefined, 'udp', true],
    ['EDNS 512', { udpPayloadSize: 512 }, 'udp', true],
    ['EDNS 0, which counts as 512', { udpPayloadSize: 0 }, 'udp', true],
    ['EDNS 1232', { udpPayloadSize: 1232 }, 'udp', false],
    ['TCP', undefined, 'tcp', false],
  ] as const)('gives 40 addresses whole or not at all: %s', (_what, opt, transport, cut) => {
    const { bytes, flag_tc, answers } = answer(query(zone, A, opt), many(40), transport)
    expect({ flag_tc, answers: answers?.length }).toEqual({ flag_tc: cut, answers: cut ? 0 : 40 })
    expect(bytes.length).toBeLessThanOrEqual(cut ? 512 : 1232)
  })

  it('sends by UDP at most 1232 bytes, whatever the asker says it takes', () => {
    const bootstrap = Array.from({ length: 8 }, (_, at) => `council://${at}${'x'.repeat(180)}`)
    const long = buildZone({ ...example, bootstrap })
    const udp = answer(query(zone, TXT, { udpPayloadSize: 65_535 }), long)
    expect(udp).toMatchObject({ flag_tc: true, answers: [] })
    expect(udp.additionals).toMatchObject([{ type: 'OPT', udpPayloadSize: 1232 }])
    expect(answer(query(zone, TXT), long, 'tcp').answers).toHaveLength(8)
  })

  it('starts the addresses at another place with each answer, an edit host excepted', () => {
    const first = (name: string, random: number) =>
      answer(query(name, A), many(3), 'udp', () => random).answers?.map((one) =>
        'data' in one ? one.data : '',
      )
    expect(first(zone, 0)).toEqual(['198.51.0.0', '198.51.0.1', '198.51.0.2'])
    expect(first(zone, 0.5)).toEqual(['198.51.0.1', '198.51.0.2', '198.51.0.0'])
    expect(first(zone, 1)).toEqual(first(zone, 0))
    const edit = answer(query(`edit.maria.${zone}`, A), built, 'udp', () => 0.9)
    expect(edit.answers).toMatchObject([{ data: '192.0.2.1' }, { data: '192.0.2.2' }])
  })

  it('fits a council of 5,000 spokes into one packet and sends readers to all of them', () => {
    const from = many(5000)
    const seen = new Set<string>()
    for (let step = 0; step < 200; step++) {
      const { answers, flag_tc } = answer(query(zone, A, {}), from, 'udp', () => step / 200)
      expect(flag_tc).toBe(false)
      expect(answers).toHaveLength(64)
      for (const one of answers ?? []) if ('data' in one) seen.add(String(one.data))
    }
    expect(seen.size).toBe(5000)
  })

  it('steps over unknown EDNS options and sends DO back', () => {
    const options = Buffer.from([0xff, 0x01, 0, 2, 1, 2, 0, 10, 0, 0])
    const { answers, additionals } = answer(query(zone, A, { options, flags: 0xffff }))
    expect(answers).toHaveLength(2)
    expect(additionals).toMatchObject([{ type: 'OPT', flags: 0x8000, options: [] }])
  })

  it('answers random and damaged packets with a readable message or not at all', () => {
    const valid = [
      query(zone, A, { options: Buffer.from([0, 10, 0, 4, 1, 2, 3, 4]) }),
      query(`carla.${zone}`, AAAA, {}),
      query(zone, NS),
      query(zone, TXT),
    ]
    const damaged = fc
      .tuple(
        fc.constantFrom(...valid),
        fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 6 }),
        fc.nat(100),
        fc.uint8Array({ maxLength: 20 }),
      )
      .map(([message, changes, keep, tail]) => {
        const copy = Buffer.concat([message.subarray(0, keep), tail])
        for (const [at, byte] of changes) if (at < copy.length) copy[at] = byte
        return copy
      })
    const random = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes))
    fc.assert(
      fc.property(
        fc.oneof(damaged, random),
        fc.constantFrom('udp', 'tcp'),
        (message, transport) => {
          const bytes = answerQuery(message, built, transport, () => 0)
          if (bytes === null) {
            expect(message.length < 12 || (message.readUInt8(2) & 0x80) !== 0).toBe(true)
            return
          }
          const decoded = decode(bytes)
          expect(decoded).toMatchObject({ type: 'response', id: message.readUInt16BE(0) })
          expect(decode.bytes).toBe(bytes.length)
        },
      ),
      { numRuns: 3000 },
    )
  })

  const cases = [A, NS, SOA, TXT, AAAA, ANY, 65].flatMap((type) =>
    [
      zone,
      `maria.${zone}`,
      `edit.maria.${zone}`,
      `MaRiA.${zone}`,
      `nobody.${zone}`,
      `ns.${zone}`,
    ].map((name) => [name, type] as const),
  )
  const crowd = {
    ...example,
    spokes: Array.from({ length: 200 }, (_, at) =>
      spoke(`s${at}`, [`198.51.100.${at}`, `2001:db8::${at}`]),
    ),
    blogs: [blog('maria', ['s0', 's1', 's2', 's3'])],
  }

  it.each([
    ['few', example],
    ['many', crowd],
  ])('answers a question again as it did the first time, with %s spokes', (_how, input) => {
    const warm = buildZone(input)
    const opts = [undefined, {}, { flags: 0x8000 }, { udpPayloadSize: 600 }]
    for (const [name, type] of cases) {
      for (const transport of ['udp', 'tcp'] as const) {
        for (const opt of opts) {
          for (const random of [0, 0.37, 0.99]) {
            const asked = query(name, type, opt)
            const fresh = answerQuery(asked, buildZone(input), transport, () => random)
            for (let time = 0; time < 2; time++) {
              const again = answerQuery(asked, warm, transport, () => random)
              expect(again?.toString('hex'), `${name} ${type}`).toBe(fresh?.toString('hex'))
            }
          }
        }
      }
    }
  })

  it('answers with the new records as soon as the zone has changed', () => {
    const before = buildZone(example)
    answer(maria, before)
    const after = before.withBlogs(12, [blog('maria', ['b', 'a'], 2)])
    expect(answer(maria, after).answers).toMatchObject([{ data: '192.0.2.1' }])
    expect(answer(maria, before).answers).toMatchObject([{ data: '192.0.2.2' }])
  })

  it('keeps one question apart from another whose bytes differ in case only', () => {
    // Types 65 and 97, "A" and "a": neither exists here.
    answer(query(`maria.${zone}`, 65))
    expect(answer(query(`maria.${zone}`, 97)).answers).toEqual([])
    const lower = answer(query(`maria.${zone}`, A)).bytes
    const mixed = answer(query(`mArIa.${zone.toUpperCase()}`, A)).bytes
    expect(mixed.length).toBe(lower.length)
    expect(mixed.toString('latin1')).toContain('mArIa')
  })
})
