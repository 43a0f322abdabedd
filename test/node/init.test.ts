import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CommandIo } from '../../src/node/blogger/io.ts'
import { processIo } from '../../src/node/blogger/io.ts'
import { readConfig } from '../../src/node/config.ts'
import { type InitOptions, init } from '../../src/node/init.ts'

const bootstrap = `council://blogs.example.org/${'5f'.repeat(32)}?peer=/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf`
const usual = { host: '127.0.0.1', port: 8380, p2pPort: 4001, dnsPort: 5353 }

let root = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'council-init-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

async function run(name: string, options: Partial<InitOptions> = {}) {
  const dir = join(root, name)
  const said: string[] = []
  const io: CommandIo = { ...processIo, say: (line) => void said.push(line) }
  await init({ ...usual, dir, ...options }, io)
  const config = await readConfig(join(dir, 'council.json'), {})
  if (!config.ok) throw new Error(config.reason)
  return { dir, said, config: config.value }
}

describe('init', () => {
  it('writes a first peer that is spoke, DNS, aggregator and authority, as in the example', async () => {
    const { dir, said, config } = await run('first', { operator: 'Group A' })
    const example = await readConfig(join(import.meta.dirname, '../../council.example.json'), {})
    expect(example.ok && { ...example.value, data: '' }).toEqual({ ...config, data: '' })
    expect(said.at(-1)).toBe(`next   ./council start --config ${join(dir, 'council.json')}`)
  })

  it('writes an Ed25519 key that only its owner reads', async () => {
    const { config } = await run('key')
    const path = join(config.data, 'peer.key')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(privateKeyFromProtobuf(await readFile(path)).type).toBe('Ed25519')
  })

  it('writes a further spoke, with DNS only when asked', async () => {
    const plain = await run('b', { join: bootstrap, name: 'b', host: '192.0.2.7', port: 80 })
    expect(plain.config).toMatchObject({
      name: 'b',
      council: { bootstrap },
      spoke: { addresses: ['http://192.0.2.7:80'] },
      web: { origin: 'http://{host}' },
    })
    expect(plain.config.dns).toBeUndefined()
    expect(plain.config.aggregator).toEqual({})
    expect(plain.config.authority).toBeUndefined()
    const withDns = await run('c', { join: bootstrap, name: 'c', host: '2001:db8::7', dns: true })
    expect(withDns.config).toMatchObject({
      dns: { addresses: ['2001:db8::7 5353'] },
      spoke: { addresses: ['http://[2001:db8::7]:8380'] },
      peer: { listen: ['/ip6/2001:db8::7/tcp/4001'] },
    })
  })

  it('lets only its owner read a config with an invitation, also when written anew', async () => {
    const invited = `${bootstrap}&invite=${'A'.repeat(43)}`
    const { dir } = await run('invited', { join: bootstrap, name: 'b' })
    const path = join(dir, 'council.json')
    expect((await stat(path)).mode & 0o077).not.toBe(0)
    await run('invited', { join: invited, name: 'b', force: true })
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it('overwrites nothing unless forced, and never the key', async () => {
    const { config } = await run('twice')
    const key = await readFile(join(config.data, 'peer.key'))
    await expect(run('twice')).rejects.toMatchObject({ exit: 'refused' })
    const { config: again } = await run('twice', { force: true, zone: 'blogs.example.org' })
    expect(again.council).toEqual({ zone: 'blogs.example.org' })
    expect(await readFile(join(config.data, 'peer.key'))).toEqual(key)
  })

  it.each<[string, Partial<InitOptions>, string]>([
    ['both ways in', { zone: 'x.org', join: bootstrap, name: 'b' }, 'either --zone'],
    ['a further spoke without a name', { join: bootstrap }, '--name'],
    ['an address that is none', { host: '0.0.0.0' }, '--host'],
    ['a bootstrap address that is none', { join: 'council://x', name: 'b' }, 'council.bootstrap:'],
    ['a wrong name', { name: 'b c' }, 'name: want'],
  ])('refuses %s, and writes nothing', async (name, options, words) => {
    await expect(run(name, options)).rejects.toMatchObject({
      exit: 'usage',
      message: expect.stringContaining(words),
    })
    await expect(stat(join(root, name))).rejects.toThrow('ENOENT')
  })
})
