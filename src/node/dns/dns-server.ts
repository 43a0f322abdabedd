import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, isIPv6, type Server, type Socket } from 'node:net'
import type { ComponentLog, Logger } from '../logger.ts'
import { answerQuery } from './answer.ts'
import type { Zone } from './zone.ts'

export type DnsServerComponents = {
  /** The newest zone; asked for once per question. null: not known yet, so nothing is answered. */
  readonly zone: () => Zone | null
  readonly logger?: Logger
  /** 0 to 1; where the rotation of addresses starts. */
  readonly random: () => number
}
export type DnsServerInit = {
  /** An IPv4 or IPv6 literal. */
  readonly host: string
  /** The same for UDP and TCP; 0 takes a free one. */
  readonly port: number
  /** How long a TCP connection may be silent, ms. */
  readonly idleMs?: number
  /** TCP connections at once; more are closed. */
  readonly maxConnections?: number
}

/** With port 0 the system picks a UDP port; some other program may hold the TCP port of its number. */
const freePortAttempts = 20

/**
 * Answers DNS for the council's zone by UDP and TCP, without recursion. What it says is decided by
 * `answerQuery`; here are the sockets, of which no error ends the process.
 */
export class DnsServer {
  private readonly components: DnsServerComponents
  private readonly init: DnsServerInit
  private readonly log: ComponentLog | undefined
  private readonly connections = new Set<Socket>()
  private udp: UdpSocket | undefined
  private tcp: Server | undefined

  constructor(components: DnsServerComponents, init: DnsServerInit) {
    this.components = components
    this.init = init
    this.log = components.logger?.forComponent('council:dns')
  }

  /**
   * Throws the system's error (`EADDRINUSE`, `EACCES` …) when host and port cannot be had, and then
   * holds nothing.
   */
  async start(): Promise<{ udpPort: number; tcpPort: number }> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.listen()
      } catch (error) {
        await this[Symbol.asyncDispose]()
        const another = this.init.port === 0 && attempt < freePortAttempts
        if (!another || !isAddressInUse(error)) throw error
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { udp, tcp } = this
    this.udp = undefined
    this.tcp = undefined
    if (udp !== undefined) await new Promise<void>((done) => udp.close(() => done()))
    for (const connection of this.connections) connection.destroy()
    if (tcp?.listening === true) await new Promise<void>((done) => tcp.close(() => done()))
  }

  private async listen(): Promise<{ udpPort: number; tcpPort: number }> {
    const { host, port, maxConnections = 100 } = this.init
    const udp = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
    this.udp = udp
    udp.bind(port, host)
    await once(udp, 'listening')
    const udpPort = udp.address().port
    udp.on('message', (message, from) => this.onDatagram(udp, message, from))
    udp.on('error', (error) => this.log?.error('socket_failed', { transport: 'udp', error }))

    const tcp = createServer((connection) => this.onConnection(connection))
    this.tcp = tcp
    tcp.maxConnections = maxConnections
    tcp.listen(udpPort, host)
    await once(tcp, 'listening')
    tcp.on('error', (error) => this.log?.error('socket_failed', { transport: 'tcp', error }))
    this.log?.info('listening', { host, port: udpPort })
    return { udpPort, tcpPort: udpPort }
  }

  private readonly onSent = (error: Error | null): void => {
    if (error !== null) this.log?.trace('not_sent udp %s', error.message)
  }

  private answer(message: Buffer, transport: 'udp' | 'tcp'): Buffer | null {
    const zone = this.components.zone()
    return zone === null ? null : answerQuery(message, zone, transport, this.components.random)
  }

  private onDatagram(udp: UdpSocket, message: Buffer, from: RemoteInfo): void {
    // Anybody can forge port 0 as a sender, and sending there throws.
    if (from.port === 0) return
    const answer = this.answer(message, 'udp')
    if (answer !== null) udp.send(answer, from.port, from.address, this.onSent)
  }

  private onConnection(connection: Socket): void {
    this.connections.add(connection)
    connection.setNoDelay(true)
    connection.setTimeout(this.init.idleMs ?? 10_000, () => connection.destroy())
    connection.on('close', () => this.connections.delete(connection))
    connection.on('error', (error) => this.log?.trace('closed tcp %s', error.message))

    let waiting: Buffer = Buffer.alloc(0)
    const answerAll = () => {
      for (;;) {
        const end = waiting.length < 2 ? Number.POSITIVE_INFINITY : 2 + waiting.readUInt16BE(0)
        if (waiting.length < end || connection.destroyed) break
        const message = waiting.subarray(2, end)
        waiting = waiting.subarray(end)
        const answer = this.answer(message, 'tcp')
        // Who sends what deserves no answer is no resolver, and would only hold the connection.
        if (answer === null) return connection.destroy()
        const length = Buffer.alloc(2)
        length.writeUInt16BE(answer.length)
        if (!connection.write(Buffer.concat([length, answer]))) {
          // A client that asks without reading waits with its questions; answers don't pile up here.
          connection.pause()
          connection.once('drain', () => {
            connection.resume()
            answerAll()
          })
          break
        }
      }
    }
    connection.on('data', (bytes) => {
      waiting = Buffer.concat([waiting, bytes])
      answerAll()
    })
  }
}

function isAddressInUse(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
}
