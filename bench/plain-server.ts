import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decode, encode } from 'dns-packet'
import { DnsServer } from '../src/node/dns/dns-server.ts'
import { buildZone, type Zone, type ZoneInput } from '../src/node/dns/zone.ts'
import { serveParent } from './child.ts'
import { spentCpu } from './figures.ts'

// The other sides of the ratios, each in a process of its own: node:http that answers one thing,
// and a DNS server that encodes each answer with dns-packet. And ours, for the same questions.

const stack = new AsyncDisposableStack()

serveParent(
  {
    /** @returns the port; every request is answered with the same bytes */
    http: async ({ headers, body }: { headers: Record<string, string>; body: Uint8Array }) => {
      const server = createServer((_, outgoing) => {
        outgoing.writeHead(200, headers)
        outgoing.end(body)
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      stack.defer(() => server.closeAllConnections())
      return (server.address() as AddressInfo).port
    },

    dnsOurs: async (input: ZoneInput) => {
      const zone = buildZone(input)
      const init = { host: '127.0.0.1', port: 0 }
      const server = new DnsServer({ zone: () => zone, random: Math.random }, init)
      const { udpPort } = await server.start()
      stack.use(server)
      return udpPort
    },

    dnsPacket: async (input: ZoneInput) => {
      const zone = buildZone(input)
      const socket = createSocket('udp4')
      socket.on('message', (message, { port, address }) => {
        socket.send(encodeAnswer(zone, message), port, address)
      })
      socket.bind(0, '127.0.0.1')
      await once(socket, 'listening')
      stack.defer(() => closed(socket))
      return socket.address().port
    },

    cpu: async () => spentCpu(),
  },
  () => stack.disposeAsync(),
)

const closed = (socket: Socket) => new Promise<void>((resolve) => socket.close(() => resolve()))

function encodeAnswer(zone: Zone, message: Buffer): Uint8Array {
  const { id, questions = [], additionals = [] } = decode(message)
  const name = questions[0]?.name ?? ''
  const found = zone.lookup(name.toLowerCase(), 'A')
  const set = found.kind === 'records' && found.set.type === 'A' ? found.set : null
  const values = set?.values ?? []
  const start = Math.floor(Math.random() * values.length)
  const answers = [...values.slice(start), ...values.slice(0, start)].map(
    (data) => ({ type: 'A', name, ttl: set?.ttlSeconds ?? 0, data }) as const,
  )
  return encode({ id: id ?? 0, type: 'response', flags: 0x05_00, questions, answers, additionals })
}
