import { execFile } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { promisify } from 'node:util'
import { type DecodedPacket, decode, encode } from 'dns-packet'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DnsServer, type DnsServerInit } from '../../../src/node/dns/dns-server.ts'
import { buildZone, type ZoneInput } from '../../../src/node/dns/zone.ts'
import { has } from '../../support/debian.ts'
import { blog, example, spoke, zone } from './example-zone.ts'

const host = '127.0.0.1'

async function startServer(input: ZoneInput = example, init: Partial<DnsServerInit> = {}) {
  let current = buildZone(input)
  let turn = 0
  // Steps of an irrational number: spreads evenly and is the same in every run.
  const random = () => (turn++ * 0.618034) % 1
  const server = new DnsServer({ zone: () => current, random }, { host, port: 0, ...init })
  const { udpPort, tcpPort } = await server.start()
  return {
    port: udpPort,
    tcpPort,
    setInput: (next: ZoneInput) => {
      current = buildZone(next)
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

function queryBytes(name: string, id = 1): Buffer {
  return encode({ type: 'query', id, questions: [{ type: 'A', name }] })
}

function framed(message: Buffer): Buffer {
  return Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message])
}

/** Reads until so many framed answers came; rejects when the connection ends before. */
async function readAnswers(socket: Socket, count: number) {
  const answers: DecodedPacket[] = []
  let bytes: Buffer = Buffer.alloc(0)
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    bytes = Buffer.concat([bytes, chunk])
    while (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0)) {
      const end = 2 + bytes.readUInt16BE(0)
      answers.push(decode(bytes.subarray(2, end)))
      bytes = bytes.subarray(end)
    }
    if (answers.length >= count) return answers
  }
  throw new Error(`the connection ended after ${answers.length} of ${count} answers`)
}

async function connected(port: number): Promise<Socket> {
  const socket = connect(port, host)
  await once(socket, 'connect')
  return socket
}

describe('DnsServer', () => {
  it('serves UDP and TCP on one number, also when the system chooses it', async () => {
    await using server = await startServer()
    expect(server.port).toBeGreaterThan(0)
    expect(server.tcpPort).toBe(server.port)
  })

  it('says why it cannot start, and then holds nothing', async () => {
    const other = createServer().listen(0, host)
    await once(other, 'listening')
    const address = other.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    await expect(startServer(example, { port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await new Promise((done) => other.close(done))
    await using server = await startServer(example, { port })
    expect(server.port).toBe(port)
  })

  it('answers several questions on one connection, however the bytes are cut', async () => {
    await using server = await startServer()
    const socket = await connected(server.port)
    const names = ['maria', 'carla', 'solo'].map((name) => `${name}.${zone}`)
    const bytes = Buffer.concat(names.map((name, id) => framed(queryBytes(name, id))))
    for (const byte of bytes) socket.write(Buffer.from([byte]))
    const answers = await readAnswers(socket, 3)
    expect(answers).toMatchObject([
      { id: 0, rcode: 'NOERROR' },
      { id: 1, rcode: 'NXDOMAIN' },
      { id: 2, rcode: 'NOERROR' },
    ])
    socket.destroy()
  })

  it('answers every one of thousands of questions that come at once', async () => {
    const spokes = Array.from({ length: 64 }, (_, at) => spoke(`s${at}`, [`198.51.100.${at}`]))
    await using server = await startServer({ ...example, spokes })
    const socket = await connected(server.port)
    const count = 6000
    socket.write(Buffer.concat(Array.from({ length: count }, () => framed(queryBytes(zone)))))
    expect(await readAnswers(socket, count)).toHaveLength(count)
    socket.destroy()
  })

  it('closes a TCP connection that is silent, and one that sends what is no question', async () => {
    await using server = await startServer(example, { idleMs: 50 })
    const silent = await connected(server.port)
    silent.write(Buffer.from([0, 40, 1]))
    silent.resume()
    await once(silent, 'close')

    await using patient = await startServer()
    const wrong = await connected(patient.port)
    wrong.write(framed(Buffer.from('hello')))
    wrong.resume()
    await once(wrong, 'close')
  })

  it('closes TCP connections over the limit and still answers by UDP', async () => {
    await using server = await startServer(example, { maxConnections: 2 })
    const [one, two] = [await connected(server.port), await connected(server.port)]
    one.write(framed(queryBytes(zone)))
    two.write(framed(queryBytes(zone)))
    await Promise.all([readAnswers(one, 1), readAnswers(two, 1)])
    const third = connect(server.port, host).on('error', () => undefined)
    third.resume()
    await once(third, 'close')
    expect(await askUdp(server.port, queryBytes(zone, 7))).toMatchObject({ id: 7 })
    one.destroy()
    two.destroy()
  })

  it('goes on after random packets by UDP and TCP, and after connections torn down', async () => {
    await using server = await startServer()
    const udp = createSocket('udp4')
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), async (bytes) => {
        await new Promise((done) => udp.send(bytes, server.port, host, done))
      }),
      { numRuns: 500 },
    )
    udp.close()
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), async (bytes) => {
        const socket = (await connected(server.port)).on('error', () => undefined)
        await new Promise((done) => socket.write(bytes, done))
        socket.resetAndDestroy()
      }),
      { numRuns: 50 },
    )
    expect(await askUdp(server.port, queryBytes(`maria.${zone}`, 9))).toMatchObject({ id: 9 })
    const socket = await connected(server.port)
    socket.write(framed(queryBytes(`maria.${zone}`, 8)))
    expect(await readAnswers(socket, 1)).toMatchObject([{ id: 8, rcode: 'NOERROR' }])
    socket.destroy()
  })

  it('answers from the newest zone', async () => {
    await using server = await startServer()
    const carla = queryBytes(`carla.${zone}`)
    expect(await askUdp(server.port, carla)).toMatchObject({ rcode: 'NXDOMAIN' })
    server.setInput({ ...example, namesSeq: 12, blogs: [blog('carla', ['a', 'b'])] })
    expect(await askUdp(server.port, carla)).toMatchObject({
      rcode: 'NOERROR',
      answers: [{ data: '192.0.2.2' }],
    })
  })
})

/** Asks again until an answer comes: a UDP packet may be lost while the machine is busy. */
async function askUdp(port: number, message: Buffer): Promise<DecodedPacket> {
  const socket = createSocket('udp4')
  const answers: DecodedPacket[] = []
  socket.on('message', (bytes) => answers.push(decode(bytes)))
  try {
    return await expect
      .poll(
        () => {
          if (answers.length === 0) socket.send(message, port, host)
          return answers[0]
        },
        { timeout: 10_000 },
      )
      .toBeDefined()
      .then(() => answers[0] as DecodedPacket)
  } finally {
    socket.close()
  }
}

const run = promisify(execFile)

/** What dig prints, and the parts that tests look at. */
async function dig(port: number, ...args: string[]) {
  const options = ['+noidnin', '+time=5', '+tries=2', '+noedns', '+ignore']
  const { stdout } = await run('dig', [`@${host}`, '-p', String(port), ...options, ...args])
  const [, status] = /status: (\w+)/.exec(stdout) ?? []
  const [, flags] = /;; flags: ([\w ]*);/.exec(stdout) ?? []
  const section = (name: string) =>
    (new RegExp(`;; ${name} SECTION:\\n((?:.+\\n)*)`).exec(stdout)?.[1] ?? '')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(/\s+/).join(' '))
  return {
    stdout,
    status,
    flags: flags?.split(' ') ?? [],
    answer: section('ANSWER'),
    authority: section('AUTHORITY'),
    question: section('QUESTION'),
  }
}

describe.skipIf(!has('dig'))('DnsServer asked by dig (apt-get install bind9-dnsutils)', () => {
  const soa = `${zone}. 30 IN SOA a.ns.${zone}. hostmaster.${zone}. 21 60 30 604800 30`

  describe.each([
    ['udp', '+notcp'],
    ['tcp', '+tcp'],
  ] as const)('over %s', (transport, flag) => {
    it.each([
      ['NOERROR', ['maria.blogs.example.org', 'A'], 1],
      ['NOERROR', [zone, 'AAAA'], 3],
      ['NOERROR', [zone, 'NS'], 2],
      ['NOERROR', [zone, 'SOA'], 1],
      ['NOERROR', [zone, 'TXT'], 1],
      ['NOERROR', [`maria.${zone}`, 'TXT'], 1],
      ['NOERROR', [`maria.${zone}`, 'ANY'], 1],
      ['NOERROR', [zone, 'A', '+edns=0', '+ednsopt=65001:abcd'], 2],
      ['NOTIMP', [zone, 'A', '+opcode=15'], 0],
      ['FORMERR', ['+header-only', '+edns=0'], 0],
      ['BADVERS', [zone, 'A', '+edns=1', '+noednsnegotiation'], 0],
      ['REFUSED', ['example.net', 'A'], 0],
      ['REFUSED', ['version.bind', 'TXT', 'CH'], 0],
    ])('answers %s to %j', async (expected, args, count) => {
      await using server = await startServer()
      const { status, answer, flags, stdout } = await dig(server.port, flag, ...args)
      expect({ status, answers: answer.length }).toEqual({ status: expected, answers: count })
      expect(flags.includes('aa')).toBe(expected === 'NOERROR')
      expect(stdout).not.toMatch(/mismatch|malformed|WARNING: Message|extra bytes/i)
    })

    it.each([
      ['NXDOMAIN', `carla.${zone}`],
      ['NOERROR', `spoke.${zone}`],
      ['NOERROR', `lost.${zone}`],
    ])('answers %s to %s, with the SOA as authority', async (expected, name) => {
      await using server = await startServer()
      const { status, flags, answer, authority } = await dig(server.port, flag, name, 'A')
      expect({ status, answer, authority }).toEqual({
        status: expected,
        answer: [],
        authority: [soa],
      })
      expect(flags).toContain('aa')
    })

    it('keeps the letter case of the question', async () => {
      await using server = await startServer()
      const { question, answer } = await dig(server.port, flag, `MaRiA.${zone}`, 'A')
      expect(question).toEqual([`;MaRiA.${zone}. IN A`])
      expect(answer).toEqual([`MaRiA.${zone}. 60 IN A 192.0.2.2`])
    })

    it('cuts 40 addresses without EDNS by UDP only', async () => {
      const spokes = Array.from({ length: 40 }, (_, at) => spoke(`s${at}`, [`198.51.100.${at}`]))
      await using server = await startServer({ ...example, spokes })
      const plain = await dig(server.port, flag, zone, 'A')
      expect(plain.flags.includes('tc')).toBe(transport === 'udp')
      expect(plain.answer).toHaveLength(transport === 'udp' ? 0 : 40)
      const large = await dig(server.port, flag, zone, 'A', '+edns=0', '+bufsize=1232')
      expect(large.answer).toHaveLength(40)
      const retried = await dig(server.port, flag, '+noignore', zone, 'A')
      expect(retried.answer).toHaveLength(40)
    })

    it('sends readers to every spoke in turn', async () => {
      await using server = await startServer()
      const first = new Set<string | undefined>()
      for (let asked = 0; asked < 6; asked++) {
        first.add((await dig(server.port, flag, zone, 'A')).answer[0])
      }
      expect(first.size).toBe(2)
    })
  })

  it.each(['AXFR', 'IXFR=1'])('refuses a transfer of the zone by %s', async (type) => {
    await using server = await startServer()
    const { stdout } = await dig(server.port, zone, type)
    expect(stdout).toContain('Transfer failed')
  })
})
