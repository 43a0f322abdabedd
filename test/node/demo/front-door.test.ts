import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { decode, encode } from 'dns-packet'
import { afterEach, describe, expect, it } from 'vitest'
import { FrontDoor } from '../../../src/node/demo/front-door.ts'
import { CouncilNames } from '../../../src/node/demo/names.ts'

const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo()
})

type Zone = Record<string, readonly string[]>

/** A real DNS server for names of `zone`, which may change; what it does not know is NXDOMAIN. */
async function startDns(zone: Zone) {
  const socket = createSocket('udp4')
  const asked: string[] = []
  socket.on('message', (message, from) => {
    const { id, questions } = decode(message)
    const name = questions?.[0]?.name ?? ''
    asked.push(name)
    const isForeign = !name.endsWith('blogs.localhost')
    const rcode = isForeign ? 5 : zone[name] === undefined ? 3 : 0
    const answers = (zone[name] ?? []).map((data) => ({ type: 'A', name, ttl: 300, data }) as const)
    const flags = 0x0400 | rcode
    socket.send(
      encode({ type: 'response', id: id ?? 0, flags, questions: questions ?? [], answers }),
      from.port,
      from.address,
    )
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  let open = true
  const stop = () => {
    if (open) socket.close()
    open = false
  }
  cleanup.push(stop)
  return { address: `127.0.0.1:${socket.address().port}`, asked, stop }
}

/** A UDP port on which nobody answers, though it is taken: what a stopped server is like. */
async function startSilentDns() {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  cleanup.push(() => socket.close())
  return `127.0.0.1:${socket.address().port}`
}

async function listen(server: Server, host: string, port: number): Promise<number> {
  server.listen(port, host)
  await once(server, 'listening')
  cleanup.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** A spoke's place: answers with where it stands and what it was asked. */
function startSpoke(host: string, port: number) {
  const server = createServer((incoming, outgoing) => {
    const { method, url, headers } = incoming
    let bytes = 0
    incoming.on('data', (part: Buffer) => {
      bytes += part.length
    })
    incoming.on('end', () => {
      outgoing.setHeader('X-Spoke', host)
      outgoing.setHeader('Keep-Alive', 'timeout=99')
      outgoing.end(JSON.stringify({ method, url, headers, bytes }))
    })
  })
  return listen(server, host, port)
}

/** What the door waits for a silent server, ms: a busy machine may stand still for a part of it. */
const patienceMs = 1_500

async function startDoor(
  servers: readonly string[],
  targetPort: number,
  now: () => number = Date.now,
) {
  const names = new CouncilNames(servers, now, { timeoutMs: patienceMs })
  const init = { host: '127.0.0.1', port: 0, targetPort, silenceMs: patienceMs }
  const door = new FrontDoor({ names }, init)
  const { port } = await door.start()
  cleanup.push(() => door[Symbol.asyncDispose]())
  return port
}

async function fetchFrom(
  port: number,
  host: string,
  { method = 'GET', headers = {}, body = '', path = '/' } = {},
) {
  const onward = request({
    host: '127.0.0.1',
    port,
    method,
    path,
    headers: { host, ...headers },
    agent: false,
  })
  onward.end(body)
  const [answer] = (await once(onward, 'response')) as [IncomingMessage]
  const parts: Buffer[] = []
  for await (const part of answer) parts.push(part as Buffer)
  return {
    status: answer.statusCode,
    headers: answer.headers,
    text: Buffer.concat(parts).toString(),
  }
}

describe('FrontDoor', () => {
  it('passes a request to the address that DNS gives for its name, Host kept', async () => {
    const port = await startSpoke('127.0.0.12', 0)
    const dns = await startDns({ 'maria.blogs.localhost': ['127.0.0.12'] })
    const door = await startDoor([dns.address], port)
    const answer = await fetchFrom(door, 'Maria.blogs.localhost:8380', {
      path: '/2026/x?a=1',
      headers: { connection: 'x-private', 'x-private': '1', te: 'trailers', 'x-kept': '1' },
    })
    expect(answer.status).toBe(200)
    expect(answer.headers['x-spoke']).toBe('127.0.0.12')
    expect(answer.headers['keep-alive']).not.toBe('timeout=99')
    const asked = JSON.parse(answer.text)
    expect(asked).toMatchObject({
      method: 'GET',
      url: '/2026/x?a=1',
      headers: { host: 'Maria.blogs.localhost:8380', 'x-kept': '1' },
    })
    expect(asked.headers).not.toHaveProperty('x-private')
    expect(asked.headers).not.toHaveProperty('te')
  })

  it('passes bodies on, with and without a length', async () => {
    const port = await startSpoke('127.0.0.12', 0)
    const dns = await startDns({ 'blogs.localhost': ['127.0.0.12'] })
    const door = await startDoor([dns.address], port)
    const body = 'x'.repeat(200_000)
    for (const headers of [{ 'content-length': '200000' }, { 'transfer-encoding': 'chunked' }]) {
      const answer = await fetchFrom(door, 'blogs.localhost', { method: 'POST', headers, body })
      expect(JSON.parse(answer.text)).toMatchObject({ method: 'POST', bytes: 200_000 })
    }
  })

  it('tries the next address when one refuses or stays silent', async () => {
    const port = await startSpoke('127.0.0.13', 0)
    const silent = createTcpServer()
    silent.listen(port, '127.0.0.12')
    await once(silent, 'listening')
    cleanup.push(() => silent.close())
    const dns = await startDns({
      'maria.blogs.localhost': ['127.0.0.11', '127.0.0.12', '127.0.0.13'],
      'ana.blogs.localhost': ['127.0.0.11', '127.0.0.13'],
      'eva.blogs.localhost': ['127.0.0.11'],
    })
    const door = await startDoor([dns.address], port)
    expect((await fetchFrom(door, 'maria.blogs.localhost')).headers['x-spoke']).toBe('127.0.0.13')
    const posted = await fetchFrom(door, 'ana.blogs.localhost', { method: 'POST', body: 'text' })
    expect(JSON.parse(posted.text)).toMatchObject({ bytes: 4 })
    const failed = await fetchFrom(door, 'eva.blogs.localhost')
    expect(failed.status).toBe(502)
    expect(failed.text).toContain('127.0.0.11: ECONNREFUSED')
  })

  it('never sends a body to a second address', async () => {
    const port = await startSpoke('127.0.0.13', 0)
    const breaking = createTcpServer((socket) => socket.once('data', () => socket.destroy()))
    breaking.listen(port, '127.0.0.12')
    await once(breaking, 'listening')
    cleanup.push(() => breaking.close())
    const dns = await startDns({ 'maria.blogs.localhost': ['127.0.0.12', '127.0.0.13'] })
    const door = await startDoor([dns.address], port)
    const answer = await fetchFrom(door, 'maria.blogs.localhost', { method: 'POST', body: 'text' })
    expect(answer.status).toBe(502)
    expect(answer.text).toContain('127.0.0.12: ECONNRESET')
    expect(answer.text).not.toContain('127.0.0.13:')
  })

  it('asks the second DNS server when the first is silent, and says so when all are', async () => {
    const port = await startSpoke('127.0.0.12', 0)
    const silent = await startSilentDns()
    const dns = await startDns({ 'maria.blogs.localhost': ['127.0.0.12'] })
    let nowMs = 0
    const door = await startDoor([silent, dns.address], port, () => nowMs)
    expect((await fetchFrom(door, 'maria.blogs.localhost')).status).toBe(200)
    dns.stop()
    nowMs = 1_001
    const answer = await fetchFrom(door, 'maria.blogs.localhost')
    expect(answer.status).toBe(502)
    expect(answer.text).toContain(silent)
    expect(answer.text).toContain(dns.address)
    expect(answer.text).toContain('do not answer')
  })

  it('uses an answer of DNS for one second and no longer, whatever its time to live', async () => {
    const port = await startSpoke('127.0.0.12', 0)
    await startSpoke('127.0.0.13', port)
    const zone: Zone = { 'maria.blogs.localhost': ['127.0.0.12'] }
    const dns = await startDns(zone)
    let nowMs = 0
    const door = await startDoor([dns.address], port, () => nowMs)
    const spoke = async () => (await fetchFrom(door, 'maria.blogs.localhost')).headers['x-spoke']
    expect(await spoke()).toBe('127.0.0.12')
    zone['maria.blogs.localhost'] = ['127.0.0.13']
    nowMs = 999
    expect(await spoke()).toBe('127.0.0.12')
    nowMs = 1_000
    expect(await spoke()).toBe('127.0.0.13')
    expect(dns.asked).toHaveLength(2)
  })

  it.each([
    ['nobody.blogs.localhost', 404, 'there is no nobody.blogs.localhost'],
    ['example.org', 421, 'example.org is no name of this council'],
    ['127.0.0.1:8380', 421, 'finds pages by name'],
    ['<b>', 421, 'finds pages by name'],
  ])('answers %s with %i', async (host, status, words) => {
    const dns = await startDns({})
    const door = await startDoor([dns.address], 9)
    const answer = await fetchFrom(door, host)
    expect(answer.status).toBe(status)
    expect(answer.text).toContain(words)
    expect(answer.text).toContain("made by the demo's front door, not by a spoke")
  })

  it('goes on after a reader that leaves in the middle', async () => {
    const port = await startSpoke('127.0.0.12', 0)
    const dns = await startDns({ 'maria.blogs.localhost': ['127.0.0.12'] })
    const door = await startDoor([dns.address], port)
    const reader = connect(door, '127.0.0.1')
    reader.write('POST /log HTTP/1.1\r\nHost: maria.blogs.localhost\r\nContent-Length: 9\r\n\r\nab')
    await expect.poll(() => dns.asked.length).toBe(1)
    reader.destroy()
    expect((await fetchFrom(door, 'maria.blogs.localhost')).status).toBe(200)
  })
})
