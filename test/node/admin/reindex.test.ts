import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Hono } from 'hono'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { AdminServer, adminSocketPath } from '../../../src/node/admin/admin-server.ts'
import { searchPath } from '../../../src/node/admin/reindex.ts'
import { type Searching, searchRoutes } from '../../../src/node/admin/search-routes.ts'
import { SearchStore } from '../../../src/replication/aggregation/search-store.ts'
import { operate } from '../../support/command.ts'

let root = ''
let data = ''
let config = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'council-reindex-'))
})
afterAll(() => rm(root, { recursive: true }))
beforeEach(async () => {
  const folder = await mkdtemp(join(root, 'peer-'))
  data = join(folder, 'data')
  config = join(folder, 'council.json')
  await mkdir(data)
  const council = { zone: 'blogs.localhost' }
  const written = { data: './data', name: 'a', operator: 'A', council, authority: {} }
  await writeFile(config, JSON.stringify(written))
})

const run = (...more: string[]) => operate('reindex', '--config', config, ...more)

async function listen(indexer: Searching['indexer']): Promise<AdminServer> {
  const app = new Hono()
  searchRoutes(app, { indexer })
  const server = await AdminServer.listen((asked) => app.fetch(asked), adminSocketPath(data))
  if (!server.ok) throw new Error(server.reason)
  return server.value
}

describe('council reindex', () => {
  it('lets the running peer make its index anew', async () => {
    let times = 0
    const reindex = async () => {
      times += 1
    }
    await using _ = await listen({ reindex, behind: 6 })
    expect(await run('--json')).toMatchObject({ exit: 0, out: ['{"blogs":6,"running":true}'] })
    expect((await run()).out[0]).toContain('made anew from 6 blogs')
    expect(times).toBe(2)
  })

  it('is refused at a peer that keeps no index', async () => {
    await using _ = await listen(null)
    const ran = await run()
    expect(ran).toMatchObject({ exit: 2, out: [] })
    expect(ran.err).toContain('keeps no index')
  })

  it('deletes the index of a peer that does not run, also a damaged one or none', async () => {
    SearchStore.open(searchPath(data)).close()
    expect(await run('--json')).toMatchObject({ exit: 0, out: ['{"blogs":0,"running":false}'] })
    expect(existsSync(searchPath(data))).toBe(false)
    await writeFile(searchPath(data), 'no index '.repeat(1_000))
    expect(await run()).toMatchObject({ exit: 0 })
    expect(existsSync(searchPath(data))).toBe(false)
    expect(await run()).toMatchObject({ exit: 0 })
  })

  it('leaves an index alone that is in use', async () => {
    const store = SearchStore.open(searchPath(data))
    const ran = await run()
    store.close()
    expect(ran.exit).toBe(1)
    expect(ran.err).toContain('another process uses it')
    expect(existsSync(searchPath(data))).toBe(true)
  })
})
