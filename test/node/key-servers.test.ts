import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createHttp, type RequestListener } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { createServer as createTcp, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Fingerprint } from '../../src/auth/public-key.ts'
import { fetchKey } from '../../src/node/fetch-key.ts'
import { hkpUrl, KeyServers, weigh } from '../../src/node/key-servers.ts'
import type { KeyServerWord } from '../../src/web/spoke.ts'
import { TestAuthor } from '../replication/test-author.ts'
import { startMs, TestDisk } from '../replication/test-council.ts'
import { has } from '../support/debian.ts'
import { GpgHome } from '../support/gpg.ts'
import { KeyServer } from '../support/sks.ts'

const [author, other] = [await TestAuthor.make('maria'), await TestAuthor.make('other')]
const key = author.fingerprint as Fingerprint
const revoked = await author.revoke(2)

let servers: Server[]
let disk: TestDisk
let nowMs: number
let ours: Set<string>

beforeEach(() => {
  servers = []
  disk = new TestDisk()
  nowMs = startMs
  ours = new Set()
})
afterEach(async () => {
  for (const server of servers) {
    server.close()
    if ('closeAllConnections' in server)
      (server as { closeAllConnections(): void }).closeAllConnections()
  }
})

async function listen(server: Server): Promise<string> {
  servers.push(server.listen(0, '127.0.0.1'))
  await once(server, 'listening')
  return `hkp://127.0.0.1:${(server.address() as { port: number }).port}`
}
const http = (answer: RequestListener) => listen(createHttp(answer))
const text = (body: string | Uint8Array, headers = {}) =>
  http((_, response) => response.writeHead(200, headers).end(body))
const tcp = (talk: (socket: Socket) => void) =>
  listen(createTcp((socket) => talk(socket.on('error', () => undefined))))

function keyServers(urls: readonly string[], more: { allowPrivate?: boolean; wkd?: boolean } = {}) {
  return new KeyServers({
    ...{ servers: urls, wkd: false, allowPrivate: true, store: disk.store, ...more },
    isOurs: async (each) => ours.has(each),
    now: () => nowMs,
  })
}
const ask = (urls: readonly string[], more = {}) => keyServers(urls, more).ask(key, null, 0)

describe('a key server', () => {
  it.each<[string, () => Promise<string>, KeyServerWord['kind'], RegExp]>([
    ['has the key', () => text(author.block), 'not-revoked', /^Not revoked, as hkp/],
    ['has its revocation', () => text(revoked), 'revoked', /^Revoked on .* \(compromised\)/],
    [
      'does not know it',
      () => http((_, it) => it.writeHead(404).end()),
      'not-known',
      /says nothing/,
    ],
    ['gives another key', () => text(other.block), 'unreachable', /with something else/],
    [
      'gives the revocation of another key',
      async () => text(await other.revoke(2)),
      'unreachable',
      /with something else/,
    ],
    [
      'adds another key’s revocation to this one',
      async () => text(`${author.block}\n${await other.revoke(2)}`),
      'not-revoked',
      /^Not revoked/,
    ],
    ['gives a page', () => text('<html>revoked</html>'), 'unreachable', /with something else/],
    ['gives nothing', () => text(''), 'unreachable', /with something else/],
    ['fails', () => http((_, it) => it.writeHead(500).end()), 'unreachable', /status 500/],
    [
      'sends elsewhere',
      () => http((_, it) => it.writeHead(302, { location: 'http://169.254.169.254/' }).end()),
      'unreachable',
      /sends elsewhere/,
    ],
    [
      'answers 10 MB',
      () => text(Buffer.alloc(10 * 1024 * 1024, 'x')),
      'unreachable',
      /longer than 256 KiB/,
    ],
    [
      'answers a gzip bomb',
      () => text(gzipSync(Buffer.alloc(50 * 1024 * 1024)), { 'content-encoding': 'gzip' }),
      'unreachable',
      /compressed/,
    ],
    [
      'closes early',
      () => tcp((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n-----BEGIN')),
      'unreachable',
      /connection failed|ends early/,
    ],
    ['closes at once', () => tcp((socket) => socket.destroy()), 'unreachable', /connection failed/],
    [
      'talks no HTTP',
      () => tcp((socket) => socket.end('SSH-2.0-x\r\n')),
      'unreachable',
      /connection failed/,
    ],
    [
      'sends headers without end',
      () => tcp((socket) => socket.end(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}`)),
      'unreachable',
      /connection failed/,
    ],
  ])('that %s changes what its answer proves, and no more', async (_, start, kind, detail) => {
    const { word, revocation } = await ask([await start()])
    expect(word).toMatchObject({ kind, atMs: startMs, detail: expect.stringMatching(detail) })
    expect(revocation?.certificate).toBe(kind === 'revoked' ? revoked : undefined)
  })

  it.each<[string, (socket: Socket) => void]>([
    ['hangs', () => undefined],
    [
      'trickles',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        const timer = setInterval(() => socket.write('x'), 100)
        socket.on('close', () => clearInterval(timer))
      },
    ],
  ])('that %s holds nobody up for ever', async (_, talk) => {
    const { word } = await ask([await tcp(talk)])
    expect(word).toMatchObject({ kind: 'unreachable' })
  })

  it('is asked for the key alone, uncompressed, on one connection', async () => {
    const asked: string[] = []
    const url = await http((request, response) => {
      asked.push(`${request.method} ${request.url} ${request.headers['accept-encoding']}`)
      response.end(author.block)
    })
    await ask([url])
    expect(asked).toEqual([`GET /pks/lookup?op=get&options=mr&search=0x${key} identity`])
  })
})

describe('without leave for private addresses', () => {
  it.each([
    'hkps://127.0.0.1',
    'hkps://[::1]',
    'hkps://169.254.169.254',
    'hkps://10.0.0.1:8443',
    'https://2130706433',
    'https://0x7f000001',
  ])('%s is not asked', async (url) => {
    expect((await ask([url], { allowPrivate: false })).word).toMatchObject({
      ...{ kind: 'unreachable', detail: expect.stringContaining('not a public one') },
    })
  })

  it('plain http is not spoken', async () => {
    let came = 0
    const url = await http((_, response) => {
      came++
      response.end(author.block)
    })
    expect((await ask([url], { allowPrivate: false })).word).toMatchObject({
      ...{ kind: 'unreachable', detail: expect.stringContaining('not asked by https') },
    })
    expect(came).toBe(0)
  })

  it.each<[string, string[]]>([
    ['a private address', ['192.168.1.7']],
    ['addresses of this machine', ['127.0.0.1', '::1', '::ffff:127.0.0.1']],
    ['no address', []],
  ])('a name that leads to %s is not asked', async (_, addresses) => {
    const answer = await fetchKey(new URL('https://keys.example.org/'), {
      ...{ allowPrivate: false, resolve: async () => addresses },
    })
    expect(answer).toEqual({ kind: 'failed', reason: 'its address is not a public one' })
  })

  it('a name that cannot be resolved is no address', async () => {
    const resolve = async () => {
      throw new Error('ENOTFOUND')
    }
    const answer = await fetchKey(new URL('https://keys.example.org/'), {
      allowPrivate: false,
      resolve,
    })
    expect(answer).toEqual({ kind: 'failed', reason: 'its name has no address' })
  })
})

it('goes to the address that was checked, asking DNS once', async () => {
  const url = await http((request, response) => response.end(`${request.headers.host}`))
  const { port } = new URL(url.replace('hkp', 'http'))
  // A name server of the attacker's: public at first, then this machine.
  const answers = [['127.0.0.1'], ['127.0.0.66']]
  let asked = 0
  const answer = await fetchKey(new URL(`http://rebind.example.org:${port}/`), {
    ...{ allowPrivate: true, resolve: async () => answers[asked++] as string[] },
  })
  expect(asked).toBe(1)
  expect(answer.kind === 'bytes' && Buffer.from(answer.bytes).toString()).toBe(
    `rebind.example.org:${port}`,
  )
})

it.skipIf(!has('openssl'))('trusts no server whose certificate is not for its name', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'council-tls-'))
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const line = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1'
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const files = ['-keyout', keyFile, '-out', certFile]
  execFileSync('openssl', [...line.split(' '), ...names, ...files], { stdio: 'ignore' })
  const pair = { key: readFileSync(keyFile), cert: readFileSync(certFile) }
  rmSync(folder, { recursive: true })
  const url = await listen(createHttps(pair, (_, response) => response.end(author.block)))
  const answer = await fetchKey(new URL(url.replace('hkp', 'https')), { allowPrivate: true })
  expect(answer).toMatchObject({ kind: 'failed', reason: expect.stringContaining('certificate') })
})

describe('KeyServers.ask', () => {
  it('asks all servers: one checked revocation decides, whatever the others say', async () => {
    const urls = [
      await text(author.block),
      await tcp((socket) => socket.destroy()),
      await text(revoked),
      await http((_, response) => response.writeHead(404).end()),
    ]
    expect((await ask(urls)).word).toMatchObject({ kind: 'revoked', reason: 2, isHard: true })
    expect((await ask(urls.toSpliced(2, 1))).word).toMatchObject({
      kind: 'not-revoked',
      detail: expect.stringMatching(/^Not revoked, as hkp.* could not be asked: /),
    })
  })

  it('asks nobody when no server is configured', async () => {
    expect((await ask([])).word).toMatchObject({ kind: 'none-configured' })
  })

  it('asks again only when the last word is too old, and keeps that of a blog’s key on disk', async () => {
    let came = 0
    const url = await http((_, response) => {
      came++
      response.end(author.block)
    })
    const dayMs = 24 * 3_600_000
    const first = keyServers([url])
    const both = await Promise.all([first.ask(key, null, dayMs), first.ask(key, null, dayMs)])
    expect(both[0]).toEqual(both[1])
    expect(came).toBe(1)
    nowMs += dayMs - 1
    expect(await first.ask(key, null, dayMs)).toMatchObject({ isNew: false })
    expect(came).toBe(1)
    nowMs += 1
    await first.ask(key, null, dayMs)
    expect(came).toBe(2)
    expect(await keyServers([url]).last(key)).toBeNull()
    ours.add(key)
    nowMs += dayMs
    await first.ask(key, null, dayMs)
    expect(await keyServers([url]).last(key)).toMatchObject({ kind: 'not-revoked', atMs: nowMs })
    expect(await keyServers([url]).ask(key, null, dayMs)).toMatchObject({ isNew: false })
  })

  it('asks again after a minute where nobody could be asked', async () => {
    let came = 0
    const url = await http((_, response) => {
      came++
      response.writeHead(503).end()
    })
    const asker = keyServers([url])
    for (const passMs of [0, 59_000, 1_000]) {
      nowMs += passMs
      expect((await asker.ask(key, null, 86_400_000)).word.kind).toBe('unreachable')
    }
    expect(came).toBe(2)
  })

  it('asks about 16 keys at once at most', async () => {
    const waiting: (() => void)[] = []
    const url = await http((_, response) => {
      waiting.push(() => response.end(author.block))
    })
    const asker = keyServers([url])
    const keyOf = (n: number) => n.toString(16).toUpperCase().padStart(40, '0') as Fingerprint
    const all = Array.from({ length: 16 }, (_, n) => asker.ask(keyOf(n), null, 0))
    expect((await asker.ask(key, null, 0)).word).toMatchObject({
      ...{ kind: 'unreachable', detail: expect.stringContaining('Too many') },
    })
    await expect.poll(() => waiting.length).toBe(16)
    for (const answer of waiting) answer()
    await Promise.all(all)
    const again = asker.ask(key, null, 0)
    await expect.poll(() => waiting.length).toBe(17)
    waiting[16]?.()
    expect((await again).word.kind).toBe('not-revoked')
  })
})

describe('weigh', () => {
  it('takes silence, ignorance and lies for no evidence', () => {
    const kindOf = (...said: Parameters<typeof weigh>[0]) => weigh(said, 0).word.kind
    const [good, absent] = [
      { kind: 'not-revoked', server: 'a' } as const,
      { kind: 'not-known', server: 'b' } as const,
    ]
    const bad = { kind: 'failed', server: 'c', reason: 'no answer' } as const
    expect(kindOf(bad, absent, good)).toBe('not-revoked')
    expect(kindOf(bad, absent)).toBe('not-known')
    expect(kindOf(bad)).toBe('unreachable')
    expect(kindOf()).toBe('not-known')
  })
})

describe('hkpUrl', () => {
  it.each([
    ['hkps://keys.example.org', 'https://keys.example.org'],
    ['hkps://keys.example.org:8443', 'https://keys.example.org:8443'],
    ['https://keys.example.org', 'https://keys.example.org'],
    ['hkp://127.0.0.1', 'http://127.0.0.1:11371'],
    ['hkp://127.0.0.1:8080', 'http://127.0.0.1:8080'],
    ['hkps://[2001:db8::1]', 'https://[2001:db8::1]'],
  ])('%s is %s', (server, origin) => {
    expect(hkpUrl(server, key).href).toBe(`${origin}/pks/lookup?op=get&options=mr&search=0x${key}`)
  })
})

describe.skipIf(!has('sks') || !has('gpg'))('a real key server', () => {
  let gpg: GpgHome
  let sks: KeyServer
  beforeAll(async () => {
    gpg = new GpgHome()
    sks = await KeyServer.start()
    return async () => {
      gpg[Symbol.dispose]()
      await sks[Symbol.asyncDispose]()
    }
  })

  it.each(['ed25519', 'rsa2048'])(
    'tells of an %s key: unknown, good, revoked, silent',
    async (kind) => {
      const made = gpg.makeKey(`Maria <${kind}@example.org>`, kind) as Fingerprint
      const asker = keyServers([sks.url])
      const wordOf = async () => (await asker.ask(made, null, 0)).word
      expect(await wordOf()).toMatchObject({ kind: 'not-known' })
      await sks.add(gpg.exportKey(made))
      expect(await wordOf()).toMatchObject({ kind: 'not-revoked' })
      gpg.importKey(gpg.makeRevocation(made, 'superseded'))
      await sks.add(gpg.exportKey(made))
      const { word, revocation } = await asker.ask(made, null, 0)
      expect(word).toMatchObject({ kind: 'revoked', reason: 1, isHard: false })
      expect(revocation).toMatchObject({ key: made, reason: 1 })
      await sks.stop()
      nowMs += 60_000
      expect(await wordOf()).toMatchObject({ kind: 'unreachable' })
      await sks.resume()
      nowMs += 60_000
      expect(await wordOf()).toMatchObject({ kind: 'revoked' })
    },
  )
})
