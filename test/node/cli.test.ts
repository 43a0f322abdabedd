import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')

function launch(...args: string[]) {
  const child = spawn(process.execPath, [join(root, 'src/node/cli.ts'), ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const output = Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]).then(
    ([stdout, stderr, [code]]) => ({ stdout, stderr, code: code as number | null }),
  )
  return { child, output }
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return typeof address === 'object' && address !== null ? address.port : 0
}

describe('./council', () => {
  const run = async (cache: string) => {
    const env = { ...process.env, NODE_COMPILE_CACHE: cache }
    const child = spawn(join(root, 'council'), ['--version'], { env })
    const [stdout] = await Promise.all([text(child.stdout), once(child, 'exit')])
    return stdout
  }

  it('keeps what its TypeScript comes down to for the next start, where it can', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'council-cli-'))
    try {
      const cache = join(folder, 'compiled')
      expect(await run(cache)).toBe('0.1.0\n')
      expect(await readdir(cache, { recursive: true })).not.toEqual([])
      const file = join(folder, 'file')
      await writeFile(file, '')
      expect(await run(join(file, 'below'))).toBe('0.1.0\n')
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('council', () => {
  it.each([
    [['frob'], "council: unknown command 'frob'"],
    [['start', '--frob'], "council: unknown option '--frob'"],
    [['demo', '--port', 'x'], 'want 1024 to 65000'],
    [['demo', '--spokes', '1'], 'want 2 to 20'],
    [['claim', 'maria'], "required option '--at <url>' not specified"],
    [['start', '--config', '/nowhere/council.json'], 'There is no /nowhere/council.json.'],
    [[], 'Usage: council'],
  ])('exits with 2 for %j and says why on stderr', async (args, words) => {
    const { stdout, stderr, code } = await launch(...args).output
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain(words)
  })

  it('says its version and its commands on stdout', async () => {
    const version = await launch('--version').output
    expect(version).toMatchObject({ code: 0, stderr: '', stdout: '0.1.0\n' })
    const help = await launch('--help').output
    expect(help.code).toBe(0)
    for (const command of [
      'demo',
      'init',
      'start',
      'admit',
      'invite',
      'status',
      'claim',
      'publish',
      'log',
      'export',
      'verify',
    ])
      expect(help.stdout).toContain(`\n  ${command} [options]`)
    expect(help.stdout).not.toContain('demo-front-door')
  })

  it.each(['SIGINT', 'SIGTERM', 'end of input'])(
    'stops in order at %s and ends by itself',
    async (how) => {
      const port = await freePort()
      const { child, output } = launch(
        ...['demo-front-door', '--host', '127.0.0.1', '--port', `${port}`, '--dns', '127.0.0.1:9'],
      )
      await once(child.stdout, 'readable')
      if (how === 'end of input') child.stdin.end()
      else child.kill(how as NodeJS.Signals)
      const ended = await output
      expect(ended).toMatchObject({ code: 0, stderr: '' })
      expect(JSON.parse(ended.stdout)).toEqual({ host: '127.0.0.1', port })
    },
  )

  it('logs a bug in one line and exits with 1', async () => {
    // A hidden command, started by the demo only: a wrong argument of it is a bug.
    const { stderr, code } = await launch(
      ...['demo-front-door', '--host', '127.0.0.1', '--port', '8380', '--dns', 'x'],
    ).output
    expect(code).toBe(1)
    expect(JSON.parse(stderr)).toMatchObject({ level: 'error', msg: 'crashed' })
  })
})
