import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PeerName } from '../../src/auth/peer-signature.ts'
import { parseConfig } from '../../src/node/config.ts'
import { fetchHello } from '../../src/node/fetch-hello.ts'
import { createLogger } from '../../src/node/logger.ts'
import { type RunningPeer, startPeer } from '../../src/node/spoke.ts'
import type { Head } from '../../src/replication/log/log.ts'
import { checkHello } from '../../src/replication/registry/hello.ts'
import { genesis, makeSigner, post, type Signer } from '../support/author.ts'
import { Caddy } from '../support/caddy.ts'
import { freePort, soon, zone } from '../support/council.ts'
import { has } from '../support/debian.ts'

describe('docs/Caddyfile', () => {
  it('is shorter than 15 lines', () => {
    const file = readFileSync(new URL('../../docs/Caddyfile', import.meta.url), 'utf8')
    expect(file.trimEnd().split('\n').length).toBeLessThan(15)
  })
})

describe.skipIf(!has('caddy'))('a spoke behind Caddy', () => {
  let folder: string
  let peer: RunningPeer
  let caddy: Caddy
  let signer: Signer
  let head: Head
  let ports: { http: number; https: number }
  let origin: (host: string) => string
  const blog = `maria.${zone}`
  const edit = `edit.maria.${zone}`
  const own = `a.spoke.${zone}`
  const postPath = `/${new Date().getUTCFullYear()}/hello`

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'council-proxy-'))
    const port = await freePort()
    ports = { http: await freePort(), https: await freePort() }
    origin = (host) => `https://${host}:${ports.https}`
    caddy = await Caddy.start(`127.0.0.1:${port}`, ports)
    const config = parseConfig({
      ...{ name: 'a', operator: 'Group A', data: join(folder, 'data') },
      peer: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      council: { zone },
      web: { origin: `https://{host}:${ports.https}`, trustedProxies: ['127.0.0.1'] },
      spoke: { host: '127.0.0.1', port, addresses: [`http://127.0.0.1:${ports.http}`] },
      authority: { replicas: 1 },
    })
    if (!config.ok) throw new Error(config.reason)
    peer = await startPeer(config.value, createLogger('silent'))
    await peer.whenAdmitted
    const council = peer.council() as string
    signer = await makeSigner()
    const first = await genesis(signer, { council, blog: 'maria' })
    expect((await hand(own, first.submission)).status).toBe(202)
    await soon(async () => {
      const claim = await caddy.ask({
        ...{ host: own, path: `/claim/${first.entry.id}` },
        headers: { accept: 'application/json' },
      })
      expect(JSON.parse(claim.text)).toMatchObject({ state: 'ready' })
    })
    const next = await post(signer, { council, blog: 'maria', head: first.entry, slug: 'hello' })
    expect((await hand(edit, next.submission)).status).toBe(202)
    head = next.entry
  })
  afterAll(async () => {
    await peer?.[Symbol.asyncDispose]()
    await caddy?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const hand = (host: string, body: Uint8Array) =>
    caddy.ask({ host, path: '/log', method: 'POST', body })

  it.each([
    ['the zone', zone, '/'],
    ['its own name', own, '/acts'],
    ['a blog', blog, '/'],
    ['a post', blog, postPath],
    ['an edit host', edit, '/revoke'],
  ])('serves %s by https, with a certificate for it and HSTS', async (_what, host, path) => {
    const answer = await caddy.ask({ host, path })
    expect(answer.status).toBe(200)
    expect(answer.headers['strict-transport-security']).toBe('max-age=31536000')
    const links = [...answer.text.matchAll(/(?:href|action|content)="(http[^"]*)"/g)]
    expect(links.length).toBeGreaterThan(0)
    for (const [, link] of links)
      expect(link).toMatch(new RegExp(`^https://[a-z.]*${zone}:${ports.https}/`))
  })

  it('sends pages from memory, gzipped, and 304', async () => {
    const headers = { 'accept-encoding': 'gzip' }
    const answer = await caddy.ask({ host: blog, path: postPath, headers })
    expect(answer.headers['content-encoding']).toBe('gzip')
    const tag = String(answer.headers.etag)
    const again = { host: blog, path: postPath, headers: { ...headers, 'if-none-match': tag } }
    expect((await caddy.ask(again)).status).toBe(304)
  })

  it('shows a new post at once on its blog, and soon on the front page, which were in memory', async () => {
    const list = async () => (await caddy.ask({ host: blog, path: '/' })).text
    const front = async () => (await caddy.ask({ host: zone, path: '/' })).text
    for (const page of [list, front]) expect(await page()).not.toContain('/second')
    const council = peer.council() as string
    const of = { council, blog: 'maria', head, slug: 'second' }
    expect((await hand(edit, (await post(signer, of)).submission)).status).toBe(202)
    expect(await list()).toContain('/second')
    await soon(async () => expect(await front()).toContain('/second'))
  })

  it('links to itself, whatever a request says of host and protocol', async () => {
    const forged = { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' }
    const answer = await caddy.ask({ host: blog, path: '/feed.json', headers: forged })
    expect(JSON.parse(answer.text)).toMatchObject({ home_page_url: `${origin(blog)}/` })
    expect(answer.text).not.toContain('evil')
  })

  it('says hello at its bare IP address, by http and https, as the authority asks it', async () => {
    const nonce = randomBytes(16).toString('hex')
    const wanted = { council: peer.council() as string, peer: peer.peerId as PeerName, nonce }
    for (const url of [`http://127.0.0.1:${ports.http}`, `https://127.0.0.1:${ports.https}`]) {
      const hello = await fetchHello(url, nonce)
      if (!hello.ok) throw new Error(`${hello.code} ${hello.reason}`)
      expect(checkHello(hello.value, wanted)).toMatchObject({ ok: true })
    }
    const { status } = await caddy.ask({ host: '127.0.0.1', path: `/_council/hello?n=${nonce}` })
    expect(status).toBe(200)
    // So it stands in DNS.
    const roster = peer.exchange.council.roster()
    expect([...(roster?.members.values() ?? [])]).toMatchObject([
      { web: [`http://127.0.0.1:${ports.http}`] },
    ])
  })

  it('gets no certificate for a name that does not lead to this spoke', async () => {
    for (const host of [`nobody.${zone}`, `b.spoke.${zone}`, 'evil.example']) {
      await expect(caddy.ask({ host, path: '/' })).rejects.toThrow()
    }
  })

  it('sends browsers that come by http to https', async () => {
    const answer = await caddy.askPlain({ host: blog, path: postPath })
    expect([answer.status, answer.headers.location]).toEqual([
      308,
      expect.stringMatching(new RegExp(`^https://${blog}`)),
    ])
  })

  it('counts clients by what the proxy saw, and not by what they say', async () => {
    const knock = (from: string, forged?: string) =>
      caddy.ask({
        ...{ host: zone, path: '/log', method: 'POST', body: 'nothing', from },
        headers: forged === undefined ? {} : { 'x-forwarded-for': forged },
      })
    await expect
      .poll(
        async () =>
          (await Promise.all(Array.from({ length: 50 }, () => knock('127.0.0.2')))).at(-1)?.status,
        {
          timeout: 30_000,
          interval: 1,
        },
      )
      .toBe(429)
    expect((await knock('127.0.0.2', '198.51.100.1')).status).toBe(429)
    const other = await knock('127.0.0.3', '127.0.0.2')
    expect([other.status, JSON.parse(other.text).error.code]).toEqual([400, 'SUBMIT_NO_SIGNATURE'])
  })
})
