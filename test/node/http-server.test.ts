import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { type HttpLimits, HttpServer } from '../../src/node/http-server.ts'
import { createApp } from '../../src/web/app.ts'
import { memorySpoke, zone } from '../web/memory-spoke.ts'

const big = 64 * 1024 * 1024
const piece = new Uint8Array(64 * 1024)
/** How much of the endless archive was asked for by whoever sends it. */
let pulled = 0

/** An answer that is made until the test has it made. */
let slow = { begun: Promise.withResolvers<void>(), made: Promise.withResolvers<void>() }

/** What a spoke may be asked for, as far as it matters here. */
async function fetch(request: Request, { remoteAddress }: { remoteAddress?: string | undefined }) {
  const { pathname } = new URL(request.url)
  if (pathname === '/log') return new Response(String((await request.arrayBuffer()).byteLength))
  if (pathname === '/slow') {
    slow.begun.resolve()
    await slow.made.promise
    return new Response('made at last')
  }
  if (pathname === '/whole') return new Response(new Uint8Array(big))
  if (pathname !== '/export.tar') return new Response(`hello ${remoteAddress}`)
  const body = new ReadableStream({
    pull: (controller) => {
      pulled += piece.length
      controller.enqueue(piece)
    },
  })
  return new Response(body)
}

const quick: Partial<HttpLimits> = {
  ...{ requestMs: 500, headersMs: 300, lookMs: 50, keepAliveMs: 200, stallMs: 300, pieceMs: 1_000 },
}
const stack: (() => unknown)[] = []
afterEach(async () => {
  for (const end of stack.splice(0).reverse()) await end()
})

async function listen(limits: Partial<HttpLimits> = quick, trusted: readonly string[] = []) {
  const server = await HttpServer.listen(fetch, {
    ...{ host: '127.0.0.1', port: 0, limits },
    isTrustedProxy: (address) => trusted.includes(address),
  })
  stack.push(() => server[Symbol.asyncDispose]())
  return server
}

/** A client that sends what it is told and reads only when it is told. */
async function client(server: HttpServer, first = ''): Promise<Socket> {
  const socket = connect({ host: server.host, port: server.port })
  stack.push(() => socket.destroy())
  socket.on('error', () => undefined)
  socket.pause()
  await once(socket, 'connect')
  socket.write(first)
  return socket
}

/** Sends one byte of `text` after the other, for ever the last one. */
function drip(socket: Socket, text: string): void {
  let at = 0
  const timer = setInterval(() => {
    socket.write(text[Math.min(at++, text.length - 1)] as string)
  }, 20)
  stack.push(() => clearInterval(timer))
  socket.once('close', () => clearInterval(timer))
}

/** Waits until the server has as many connections as that: a paused client hears of no end. */
const left = (server: HttpServer, count: number) =>
  expect.poll(() => server.connections(), { interval: 20 }).toBe(count)

function get(server: HttpServer, path = '/', headers: Record<string, string> = {}) {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>()
  const asked = request({
    ...{ host: server.host, port: server.port },
    path,
    headers,
    agent: false,
  })
  asked.on('error', reject)
  asked.on('response', async (answer) => {
    const parts: Buffer[] = []
    for await (const part of answer) parts.push(part as Buffer)
    resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString() })
  })
  asked.end()
  return promise
}
/** Others are served. With limits this short a busy machine may cut one of them as well. */
const others = (server: HttpServer) =>
  expect.poll(() => get(server).catch(String)).toEqual({ status: 200, text: 'hello 127.0.0.1' })

describe('HttpServer', () => {
  it('cuts who sends headers by the byte, and serves the others meanwhile', async () => {
    const server = await listen()
    const slow = await client(server)
    slow.resume()
    drip(slow, 'GET / HTTP/1.1\r\nHost: x\r\nX-Slow: aaaa')
    await others(server)
    await left(server, 0)
    await others(server)
  })

  it('cuts who sends a body by the byte, and serves the others meanwhile', async () => {
    const server = await listen()
    const slow = await client(
      server,
      'POST /log HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n',
    )
    slow.resume()
    drip(slow, 'a')
    await others(server)
    await left(server, 0)
    await others(server)
  })

  it('cuts who connects and says nothing', async () => {
    const server = await listen()
    const silent = await client(server)
    silent.resume()
    await left(server, 0)
    await others(server)
  })

  it.each(['/export.tar', '/whole'])(
    'cuts who asks for %s and takes nothing, and holds little of it meanwhile',
    async (path) => {
      const server = await listen()
      pulled = 0
      await client(server, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
      await others(server)
      await left(server, 0)
      expect(pulled).toBeLessThan(big)
      await others(server)
    },
  )

  it('cuts who takes an answer by the byte', async () => {
    const server = await listen({ ...quick, stallMs: 60_000, pieceMs: 600 })
    const slow = await client(server, 'GET /whole HTTP/1.1\r\nHost: x\r\n\r\n')
    const timer = setInterval(() => slow.read(1), 20)
    stack.push(() => clearInterval(timer))
    await others(server)
    await left(server, 0)
  })

  it('lets the app take its time for an answer', async () => {
    const patient = { requestMs: 60_000, headersMs: 60_000 }
    const server = await listen({ ...quick, ...patient, stallMs: 200 })
    slow = { begun: Promise.withResolvers(), made: Promise.withResolvers() }
    const answer = get(server, '/slow')
    await slow.begun.promise
    // One that came later, and for which nothing is made, has been silent for too long by now.
    const silent = await client(server)
    await expect.poll(() => server.connections()).toBe(1)
    silent.destroy()
    slow.made.resolve()
    expect(await answer).toEqual({ status: 200, text: 'made at last' })
  })

  it('lets who reads have all of it, however long it takes', async () => {
    const server = await listen({ ...quick, stallMs: 60_000, pieceMs: 60_000 })
    const reader = await client(server, 'GET /whole HTTP/1.1\r\nHost: x\r\n\r\n')
    let bytes = 0
    reader.on('data', (part) => {
      bytes += part.length
      reader.pause()
    })
    reader.resume()
    await expect.poll(() => bytes).toBeGreaterThan(0)
    // Whoever is later with what it asks for is cut by now.
    await client(server, 'GET / HTTP/1.1\r\n')
    await left(server, 1)
    reader.removeAllListeners('data').on('data', (part) => {
      bytes += part.length
    })
    reader.resume()
    await expect.poll(() => bytes).toBeGreaterThan(big)
  })

  it.each(['keep-alive', 'close'])(
    'lets who sends all of a refused request first read the answer: %s',
    async (connection) => {
      const server = await listen({
        ...quick,
        requestMs: 8_000,
        stallMs: 4_000,
        keepAliveMs: 4_000,
      })
      const socket = await client(server)
      const errors: Error[] = []
      const said: Buffer[] = []
      socket.on('error', (error) => errors.push(error)).on('data', (part) => said.push(part))
      socket.pause()
      const bytes = 3_000_000
      socket.write(
        `POST / HTTP/1.1\r\nHost: x\r\nConnection: ${connection}\r\nContent-Length: ${bytes}\r\n\r\n`,
      )
      // For more than a second, so that it was answered long before the end.
      for (let piece = 0; piece < 30; piece++) {
        socket.write(Buffer.alloc(bytes / 30))
        await pause(40)
      }
      await expect.poll(() => socket.writableLength).toBe(0)
      socket.resume()
      await expect.poll(() => Buffer.concat(said).toString()).toContain('hello 127.0.0.1')
      expect(errors).toEqual([])
      if (connection === 'close') return left(server, 0)
      // And the connection is as good as before.
      socket.write('GET /again HTTP/1.1\r\nHost: x\r\n\r\n')
      await expect.poll(() => Buffer.concat(said).toString().split('hello').length).toBe(3)
    },
  )

  it('closes who goes on sending what nobody reads, after 16 MiB', async () => {
    const server = await listen({ ...quick, requestMs: 8_000, stallMs: 4_000 })
    const socket = await client(server)
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n')
    socket.resume().write(Buffer.alloc(17_000_000))
    await left(server, 0)
    await others(server)
  })

  it('closes a connection that nobody uses', async () => {
    const server = await listen()
    const idle = await client(server, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    idle.resume()
    await left(server, 0)
  })

  it('leaves it to a trusted proxy to close its connections', async () => {
    const server = await listen(quick, ['127.0.0.1'])
    const hello = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
    const proxy = await client(server, hello)
    const stranger = connect({ host: server.host, port: server.port, localAddress: '127.0.0.2' })
    stack.push(() => stranger.destroy())
    proxy.resume()
    stranger.resume()
    stranger.write(hello)
    await expect.poll(() => stranger.destroyed).toBe(true)
    const again = once(proxy, 'data')
    proxy.write(hello)
    expect(String(await again)).toContain('200 OK')
  })

  const withCookie = (bytes: number) =>
    `GET / HTTP/1.1\r\nHost: x\r\nCookie: ${'a'.repeat(bytes)}\r\n\r\n`
  it.each([
    [
      'headers over 16 KiB',
      withCookie(17_000),
      /^HTTP\/1\.1 431 [\s\S]*\nClear-Site-Data: "cookies"\r\n[\s\S]*are removed/,
    ],
    [
      'headers far over it',
      withCookie(60_000),
      /^HTTP\/1\.1 431 [\s\S]*\nClear-Site-Data: "cookies"\r\n[\s\S]*are removed/,
    ],
    [
      'headers over it that are no cookies',
      `GET / HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(17_000)}\r\n\r\n`,
      /^HTTP\/1\.1 431 (?![\s\S]*Clear-Site-Data)[\s\S]*headers of the request are longer/,
    ],
    [
      'an address of 20,000 characters, and logs nobody out',
      `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\nCookie: a=1\r\n\r\n`,
      /^HTTP\/1\.1 414 (?![\s\S]*Clear-Site-Data)[\s\S]*The address is longer/,
    ],
    [
      'an address of 200,000 characters',
      `GET /${'a'.repeat(200_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
      /^HTTP\/1\.1 414 (?![\s\S]*Clear-Site-Data)[\s\S]*The address is longer/,
    ],
    [
      'words as they are typed, by leading on to what they mean',
      'GET /search?q=人人 HTTP/1.1\r\nHost: x\r\n\r\n',
      /^HTTP\/1\.1 308 [\s\S]*\nLocation: \/search\?q=%E4%BA%BA%E4%BA%BA\r\n/,
    ],
    [
      'an address that is none',
      'GET /\u0007 HTTP/1.1\r\nHost: x\r\n\r\n',
      /^HTTP\/1\.1 400 [\s\S]*percent signs/,
    ],
    ['what is no HTTP', 'hello\r\n\r\n', /^HTTP\/1\.1 400 [\s\S]*This is no request/],
    [
      'an unknown method',
      'FROB / HTTP/1.1\r\nHost: x\r\n\r\n',
      /^HTTP\/1\.1 400 [\s\S]*asked for by GET/,
    ],
    [
      'a length that is none',
      'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n',
      /^HTTP\/1\.1 400 [\s\S]*RFC 9112/,
    ],
    ['a header without a name', 'GET / HTTP/1.1\r\nHost: x\r\n: x\r\n\r\n', /^HTTP\/1\.1 400 /],
  ])('answers %s, and closes', async (_, bytes, answer) => {
    const server = await listen()
    const socket = await client(server)
    const said: Buffer[] = []
    socket.on('data', (part) => said.push(part)).resume()
    socket.write(bytes)
    await left(server, 0)
    await expect.poll(() => Buffer.concat(said).toString()).toMatch(answer)
    await others(server)
  })

  it('takes an upload that is broken off for no failure', async () => {
    const failures: unknown[] = []
    const app = createApp(memorySpoke({}), (error) => failures.push(error))
    const answered = Promise.withResolvers<number>()
    const answer = async (request: Request) => {
      const { status } = await app.fetch(request)
      answered.resolve(status)
      return new Response(null, { status })
    }
    const server = await HttpServer.listen(answer, { host: '127.0.0.1', port: 0 })
    stack.push(() => server[Symbol.asyncDispose]())
    const head = `POST /log HTTP/1.1\r\nHost: ${zone}\r\nContent-Length: 5000\r\n\r\nhalf`
    const socket = await client(server, head)
    await expect.poll(() => server.connections()).toBe(1)
    socket.destroy()
    expect(await answered.promise).toBe(500)
    expect(failures).toEqual([])
  })

  it('closes more connections of one client than it may have, and keeps those there are', async () => {
    const server = await listen({ maxConnectionsPerClient: 3 })
    const first = await Promise.all([client(server), client(server), client(server)])
    await client(server)
    await left(server, 3)
    for (const each of first) expect(each.destroyed).toBe(false)
    first[0]?.destroy()
    await left(server, 2)
    await expect.poll(() => get(server).then(({ status }) => status, String)).toBe(200)
  })

  it('lets a trusted proxy have as many as it needs', async () => {
    const server = await listen({ maxConnectionsPerClient: 3 }, ['127.0.0.1'])
    for (let count = 0; count < 10; count++) await client(server)
    await others(server)
  })

  it('closes more connections than it may have in all', async () => {
    const server = await listen({ maxConnections: 3 })
    for (let count = 0; count < 3; count++) await client(server)
    const more = await client(server)
    more.resume()
    await expect.poll(() => more.destroyed).toBe(true)
  })

  it('answers what is in memory without the app, and everything else with it', async () => {
    const server = await HttpServer.listen(fetch, {
      ...{ host: '127.0.0.1', port: 0 },
      findKept: async ({ target, host, header, method }) => {
        if (target === '/fails') throw new Error('broken')
        if (target !== '/kept?x=1') return null
        const text = `${method} ${host} ${header('if-none-match')}`
        return { status: 200, headers: { etag: '"1"' }, body: new Uint8Array(Buffer.from(text)) }
      },
    })
    stack.push(() => server[Symbol.asyncDispose]())
    const headers = { host: 'maria.blogs.localhost', 'if-none-match': '"2"' }
    expect(await get(server, '/kept?x=1', headers)).toEqual({
      status: 200,
      text: 'GET maria.blogs.localhost "2"',
    })
    await others(server)
    expect((await get(server, '/fails')).status).toBe(200)
  })
})
