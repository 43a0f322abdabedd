import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import { visitSpoke } from '../../src/node/visit-spoke.ts'
import { makeSigner } from '../support/author.ts'
import { soon, startCouncil, type TestPeer, zone } from '../support/council.ts'

/**
 * The pages of an operator who changes what passes: a server in front of the spoke, at the address
 * that its council knows.
 */
async function lie(peer: TestPeer, change: (path: string, body: string) => string | null) {
  const { host, port } = peer.line.http as { host: string; port: number }
  const server = createServer((asked, answer) => {
    const pass = request(
      { host, port, path: asked.url, method: asked.method, headers: asked.headers, agent: false },
      (got) => {
        const parts: Buffer[] = []
        got.on('data', (part) => parts.push(part))
        got.on('end', () => {
          const body = change(asked.url ?? '', Buffer.concat(parts).toString())
          const { 'content-length': _, connection: __, ...headers } = got.headers
          answer.writeHead(body === null ? 404 : (got.statusCode ?? 500), headers)
          answer.end(body ?? '')
        })
      },
    )
    // The spoke is stopped and started behind it.
    pass.on('error', () => answer.destroy())
    asked.pipe(pass)
  })
  server.listen(0, host)
  await once(server, 'listening')
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** What the authority has about a spoke. */
const reportsOf = async (authority: TestPeer, peer: TestPeer) =>
  (await authority.reports()).find((each) => each.peer === peer.line.peerId)

describe('a spoke whose pages are not what its authors signed', () => {
  it('is seen by the others, reported with both byte strings, and cut off by policy', async () => {
    await using council = await startCouncil({
      ...{ spokes: 4, replicas: 3, cutoffReports: 2, exchange: { pullMs: 500 } },
      failover: { silenceMs: 2_000, replaceAfterMs: 1_000 },
    })
    const blog = await council.claim('maria', await makeSigner(), council.peer('b'))
    for (let n = 0; n < 3; n++) await blog.publish(`post-${n}`, council.peer('b'))
    const liar = council.peer('c')
    await using front = await lie(liar, (_path, body) =>
      body.replaceAll('This is post', 'This is not post'),
    )
    await liar.stop()
    await liar.start({ web: [front.url] })
    await vi.waitFor(
      async () => {
        const { members } = await council.authority.status()
        expect(members.find(({ name }) => name === 'c')?.cutOff).toBe(true)
      },
      { timeout: 90_000, interval: 300 },
    )
    const others = council.spokes.filter((peer) => peer !== liar)
    const acts = await (others[1] as TestPeer).acts('was cut off')
    const [path = ''] =
      /\/acts\/roster\/\d+\.txt/.exec(acts.slice(acts.indexOf('was cut off'))) ?? []
    const act = (await (others[1] as TestPeer).ask(path, zone)).body.toString()
    const base64 = [...act.matchAll(/^what (came|belongs there), in base64:\n((?:.+\n?)+)/gm)]
    const shown = base64.map(([, what, lines = '']) => [
      what,
      Buffer.from(lines, 'base64').toString(),
    ])
    expect(shown).toContainEqual(['came', expect.stringContaining('This is not post')])
    expect(shown).toContainEqual(['belongs there', expect.stringContaining('This is post')])
    // Readers elsewhere see nothing of it, and the blog goes on.
    await blog.publish('after', council.peer('b'))
    for (const peer of others) await blog.whenWhole(peer)
  })

  it('moves nothing by the word of one alone, and a right one is not reported', async () => {
    await using council = await startCouncil({ spokes: 3, replicas: 3, cutoffReports: 2 })
    const blog = await council.claim('maria', await makeSigner(), council.peer('b'))
    await blog.publish('post-0', council.peer('b'))
    for (const spoke of council.spokes) await blog.whenWhole(spoke)
    const [honest, accused] = [council.peer('b'), council.peer('c')]
    const { entry } = blog.entries[1] as { entry: { id: string } }
    for (const found of ['one', 'two', 'three'])
      honest.exchange.reports.file({
        ...{ peer: accused.line.peerId as never, kind: 'page', log: 'maria', seq: 1, found },
        ...{ id: entry.id as never, asked: '/log/1.txt', served: Buffer.from('invented') },
        ...{ answer: null, receipt: null },
      })
    await soon(async () => {
      expect(await reportsOf(council.authority, accused)).toMatchObject({ reports: 1, by: 1 })
    })
    const { members } = await council.authority.status()
    expect(members.map(({ cutOff }) => cutOff)).toEqual([false, false, false])
    expect(await reportsOf(council.authority, honest)).toBeUndefined()
  })
})

describe('visitSpoke', () => {
  it('asks nothing of a machine that does not say hello as the peer', async () => {
    const asked: string[] = []
    const other = createServer((got, answer) => {
      asked.push(got.url ?? '')
      answer.end('some device')
    })
    other.listen(0, '127.0.0.1')
    await once(other, 'listening')
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
    const wanted = {
      council: `${zone}/${'5f'.repeat(32)}`,
      peer: '12D3KooWx' as never,
      nonce: 'a'.repeat(32),
    }
    expect((await visitSpoke(url, wanted, 'maria.blogs.localhost', ['/log/0.txt'])).ok).toBe(false)
    expect(asked).toEqual([`/_council/hello?n=${'a'.repeat(32)}`])
    other.close()
  })
})
