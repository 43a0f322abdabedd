import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { refuse } from '../../../src/auth/verdict.ts'
import { createAdminApp } from '../../../src/node/admin/admin-app.ts'
import { AdminServer, adminSocketPath } from '../../../src/node/admin/admin-server.ts'
import { codeOf, peer } from '../../replication/test-council.ts'
import { operate } from '../../support/command.ts'

const cli = join(import.meta.dirname, '../../../src/node/cli.ts')
let root = ''
let folder = ''
let config = ''
let path = ''
let count = 0

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'council-admin-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))
beforeEach(async () => {
  folder = join(root, `${count++}`)
  config = join(folder, 'council.json')
  path = adminSocketPath(join(folder, 'data'))
  await mkdir(join(folder, 'data'), { recursive: true })
  await write()
})

const write = (data = './data') =>
  writeFile(
    config,
    JSON.stringify({
      ...{ data, name: 'a', operator: 'A', council: { zone: 'blogs.localhost' } },
      authority: {},
    }),
  )

/** A peer that answers on the socket, and is no authority. */
async function listen(fetch = app().fetch): Promise<AdminServer> {
  const server = await AdminServer.listen((asked) => fetch(asked), path)
  if (!server.ok) throw new Error(server.reason)
  onTestFinished(() => server.value[Symbol.asyncDispose]())
  return server.value
}

const elsewhere = {
  ...{
    admissions: null,
    cutOffs: null,
    reports: null,
    moves: null,
    indexer: null,
    now: () => 0,
    bootstrap: () => null,
    nameOf: () => null,
    otherPort: () => null,
  },
  self: peer(1).peer,
  copiesOf: async () => refuse('BLOG_UNKNOWN', 'There is no such blog.'),
  drainSelf: async () => refuse('AUTHORITY_UNREACHABLE', 'It does not answer.'),
}
const app = () =>
  createAdminApp({ ...elsewhere, status: async () => ({ fine: true }) }, () => undefined)
const say =
  (answer: object, status = 200) =>
  async () =>
    Response.json(answer, { status })
const admit = () => operate('admit', '--config', config)

describe('AdminServer', () => {
  it('makes a socket that only its owner may open, and takes it away at the end', async () => {
    const server = await listen()
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(process.umask()).not.toBe(0o177)
    await server[Symbol.asyncDispose]()
    await expect(stat(path)).rejects.toThrow('ENOENT')
  })

  it('takes the place of a socket that a killed peer left', async () => {
    const child = spawn(process.execPath, [
      '-e',
      `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`,
    ])
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect((await stat(path)).isSocket()).toBe(true)
    await listen()
    expect((await operate('admit', '--config', config)).err).toContain(
      "not the council's authority",
    )
  })

  it('leaves a file alone that is no socket', async () => {
    await writeFile(path, 'mine')
    const refused = await AdminServer.listen(() => new Response(), path)
    expect(refused).toMatchObject({ code: 'ADMIN_PATH_TAKEN' })
    expect((await stat(path)).size).toBe(4)
  })

  it('says which path is too long for a socket, and which folder is missing', async () => {
    const fits = join(root, 'x'.repeat(107 - Buffer.byteLength(root) - 1))
    const deep = await AdminServer.listen(() => new Response(), `${fits}x`)
    expect(deep).toMatchObject({ code: 'ADMIN_PATH_LONG', reason: /has 108 bytes/ })
    const good = await AdminServer.listen(() => new Response(), fits)
    expect(codeOf(good)).toBe('accepted')
    if (good.ok) await good.value[Symbol.asyncDispose]()
    const nowhere = await AdminServer.listen(() => new Response(), '/nowhere/admin.sock')
    expect(nowhere).toMatchObject({ code: 'ADMIN_NO_SOCKET' })
  })
})

describe('createAdminApp', () => {
  const post = (where: string, body: string) =>
    app().fetch(new Request(`http://council${where}`, { method: 'POST', body }))

  it('answers a failure, an unknown command and a huge request without ending', async () => {
    expect((await app().fetch(new Request('http://council/what'))).status).toBe(404)
    expect((await post('/admit', 'x'.repeat(65 * 1024))).status).toBe(413)
    const failing = createAdminApp(
      { ...elsewhere, status: () => Promise.reject(new Error('the disk is full')) },
      () => undefined,
    )
    const failed = await failing.fetch(new Request('http://council/status'))
    expect([failed.status, await failed.json()]).toEqual([
      500,
      { error: { code: 'ADMIN_FAILED', reason: 'The peer failed: the disk is full.' } },
    ])
  })
})

describe('AdminClient', () => {
  it('says that no peer runs, whether it left a socket or not: exit code 5', async () => {
    const words = `No peer runs on ${path}. Start it with: ./council start --config ${config}`
    expect(await admit()).toMatchObject({ exit: 5, err: `council admit: ${words}\n` })
    const child = spawn(process.execPath, [
      '-e',
      `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`,
    ])
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(await admit()).toMatchObject({ exit: 5, err: `council admit: ${words}\n` })
    await rm(path)
    await writeFile(path, 'no socket')
    expect(await admit()).toMatchObject({ exit: 5 })
  })

  it('says that the folder lies too deep, or that the config is none: exit code 2', async () => {
    await write(`./${'deep/'.repeat(30)}`)
    expect(await admit()).toMatchObject({ exit: 2, err: expect.stringContaining('may have 107') })
    await writeFile(config, '{')
    expect(await admit()).toMatchObject({ exit: 2, err: expect.stringContaining('is not JSON') })
  })

  it('says to who may not open it whose it is: exit code 1', async () => {
    await listen()
    const isRoot = process.getuid?.() === 0
    // root may open everything, so another user tries; whoever is not root locks itself out.
    if (isRoot) for (const each of [root, folder, join(folder, 'data')]) await chmod(each, 0o755)
    else await chmod(path, 0o000)
    const child = spawn(process.execPath, [cli, 'admit', '--config', config], {
      ...(isRoot ? { uid: 65_534, gid: 65_534 } : {}),
      env: { ...process.env, NODE_COMPILE_CACHE: undefined, HOME: '/nonexistent' },
    })
    const [words, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
    expect([code, words]).toEqual([1, expect.stringContaining('only the user who runs the peer')])
  })

  it.each<[number, number]>([
    [400, 2],
    [403, 4],
    [404, 1],
    [409, 2],
    [500, 1],
    [503, 3],
  ])('ends an answer of status %i with exit code %i and its sentence', async (status, exit) => {
    await listen(say({ error: { code: 'X', reason: 'Not so.' } }, status))
    expect(await admit()).toMatchObject({ exit, err: 'council admit: Not so.\n', out: [] })
  })

  it.each<[string, () => Promise<Response>]>([
    ['another form', say({ policy: 'open' })],
    ['no JSON', async () => new Response('<html>')],
    ['an error without a sentence', say({}, 500)],
  ])('ends an answer of %s with exit code 1', async (_, answer) => {
    await listen(answer)
    expect(await admit()).toMatchObject({ exit: 1, out: [], err: expect.stringMatching(/\.\n$/) })
  })

  it('ends a peer that goes away in the middle of its answer with exit code 1', async () => {
    const server = createServer((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{'))
    })
    server.listen(path)
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    expect(await admit()).toMatchObject({ exit: 1, out: [] })
  })

  it('writes nothing of a stranger to the terminal that could rewrite it', async () => {
    const stranger = {
      ...{ peer: 'p', name: 'b', operator: 'x\u001b[2Jy', roles: [], addresses: [], web: [] },
      ...{ dns: [], network: null, country: null, host: null, via: null, refused: null },
      ...{ since: '2026-11-23T03:40:00Z', asked: '2026-11-23T03:40:00Z' },
    }
    await listen(say({ policy: 'approve', waiting: [stranger] }))
    const { out } = await admit()
    expect(out[0]).toBe('b, run by x\ufffd[2Jy')
  })
})

describe('the socket', () => {
  it('answers plain HTTP, as curl --unix-socket asks it', async () => {
    await listen()
    const asked = request({ socketPath: path, path: '/status', headers: { host: 'x' } }).end()
    const [answer] = await once(asked, 'response')
    expect(JSON.parse(await text(answer))).toEqual({ fine: true })
  })
})
