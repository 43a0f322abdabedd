import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const cli = join(import.meta.dirname, '../../src/node/cli.ts')

const configOf = (name: string, listen: string) => ({
  ...{ name, operator: 'Group', data: `./${name}`, log: { level: 'warn' } },
  peer: { listen: [listen] },
  council: { zone: 'blogs.localhost' },
  spoke: { host: '127.0.0.1', port: 0 },
  authority: {},
})

describe('start, beside a peer that runs', () => {
  let folder: string
  let address: string
  let stop: () => Promise<unknown>
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'council-start-'))
    const child = begin(await write('a', configOf('a', '/ip4/127.0.0.1/tcp/0')), '--json')
    stop = () => {
      child.kill('SIGTERM')
      return once(child, 'exit')
    }
    for await (const line of createInterface(child.stdout)) {
      address = JSON.parse(line).addresses[0]
      break
    }
  })
  afterAll(async () => {
    await stop?.()
    await rm(folder, { recursive: true })
  })

  const begin = (path: string, ...more: string[]) =>
    spawn(process.execPath, [cli, 'start', '--config', path, ...more], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
  async function write(name: string, config: object): Promise<string> {
    const path = join(folder, `${name}.json`)
    await writeFile(path, JSON.stringify(config))
    return path
  }
  async function refusalOf(path: string) {
    const child = begin(path)
    const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
    return { said, code }
  }

  it('says that this very peer runs already', async () => {
    const { said, code } = await refusalOf(join(folder, 'a.json'))
    expect(code).toBe(1)
    expect(said).toContain('This peer runs already: its data folder is in use.')
    expect(said).not.toContain(' at ')
  })

  it('says which address another program has, and what to do', async () => {
    const taken = address.replace(/\/p2p\/.*/, '')
    const { said, code } = await refusalOf(await write('b', configOf('b', taken)))
    expect(code).toBe(1)
    expect(said).toContain(`at ${taken} (peer.listen in council.json): another program listens`)
  })
})
