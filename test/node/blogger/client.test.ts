import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { SpokeClient } from '../../../src/node/blogger/client.ts'

/** Answers each path in its own bad way; says which Host was asked for. */
async function serve(host: '127.0.0.1' | '::1' = '127.0.0.1'): Promise<number> {
  const server = createServer((request, response) => {
    switch (request.url) {
      case '/silent':
        return
      case '/stalls':
        response.write('begin')
        return
      case '/endless': {
        const more = () => response.write(Buffer.alloc(65_536), more)
        more()
        return
      }
      case '/cut':
        response.writeHead(200, { 'content-length': 100 }).write('half', () => response.destroy())
        return
      default:
        response.end(request.headers.host)
    }
  })
  const { promise, resolve } = Promise.withResolvers<void>()
  server.listen(0, host, resolve)
  await promise
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

describe('SpokeClient', () => {
  const folder = mkdtempSync(join(tmpdir(), 'council-client-'))
  const path = join(folder, 'download')
  afterAll(() => rmSync(folder, { recursive: true }))

  it.each(['/silent', '/stalls', '/cut'])(
    'says that a spoke is unreachable when %s',
    async (bad) => {
      const client = new SpokeClient(`http://127.0.0.1:${await serve()}`, 200)
      await expect(client.ask({ path: bad })).rejects.toMatchObject({ exit: 'unreachable' })
      await expect(client.download({ path: bad }, path, 1000)).rejects.toMatchObject({
        exit: 'unreachable',
      })
    },
  )

  it('ends an answer that never ends', async () => {
    const client = new SpokeClient(`http://127.0.0.1:${await serve()}`)
    await expect(client.ask({ path: '/endless' })).rejects.toMatchObject({ exit: 'failed' })
    const download = client.download({ path: '/endless' }, path, 1_000_000)
    await expect(download).rejects.toMatchObject({ exit: 'failed' })
  })

  it('finds names under .localhost at 127.0.0.1 and keeps them as Host', async () => {
    const port = await serve()
    const client = new SpokeClient(`http://b.spoke.blogs.localhost:${port}/some/page`)
    expect((await client.ask({ path: '/' })).body.toString()).toBe(
      `b.spoke.blogs.localhost:${port}`,
    )
    const blog = await client.ask({ path: '/', host: 'maria.blogs.localhost' })
    expect(blog.body.toString()).toBe(`maria.blogs.localhost:${port}`)
    await client.download({ path: '/', host: 'maria.blogs.localhost' }, path, 1000)
    expect(readFileSync(path, 'utf8')).toBe(`maria.blogs.localhost:${port}`)
  })

  it('takes IPv6 literals', async () => {
    const port = await serve('::1')
    const client = new SpokeClient(`http://[::1]:${port}`)
    expect((await client.ask({ path: '/' })).body.toString()).toBe(`[::1]:${port}`)
  })

  it.each([
    '',
    'blogs.example.org',
    'blogs.localhost:8380',
    'ftp://blogs.example.org',
    'http://me@x.org',
  ])('refuses "%s" as an address', (at) => {
    expect(() => new SpokeClient(at)).toThrow(/--at wants/)
  })
})
