import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { stuckMs } from '../../src/node/watchdog.ts'

const script = join(import.meta.dirname, '../support/stuck-process.ts')
const cli = join(import.meta.dirname, '../../src/node/cli.ts')
/** Long enough for a machine that gives this process nothing for a second. */
const afterMs = 2_000

class Process {
  readonly child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly ended: Promise<unknown[]>
  words = ''

  constructor(args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.child = spawn(process.execPath, args, { env })
    this.ended = once(this.child, 'exit')
    this.child.stdin?.on('error', () => undefined)
    this.child.stderr?.on('data', (part) => {
      this.words += part
    })
    const input = this.child.stdout
    if (input === null) throw new Error('no stdout')
    this.#lines = createInterface({ input })[Symbol.asyncIterator]()
  }

  async line(): Promise<unknown> {
    return (await this.#lines.next()).value
  }

  /** Blocks its loop for so long. */
  block(ms: number): void {
    this.child.stdin?.write(`${ms}\n`)
  }

  get lastWords(): unknown {
    return JSON.parse(this.words.trim().split('\n').at(-1) ?? '')
  }
}

describe('Watchdog', () => {
  const running: Process[] = []
  const start = async (...given: ConstructorParameters<typeof Process>) => {
    const started = new Process(...given)
    running.push(started)
    return started
  }
  const watched = async () => {
    const started = await start([script, String(afterMs)])
    expect(await started.line()).toBe('watched')
    return started
  }
  afterEach(async () => {
    for (const { child, ended } of running.splice(0)) {
      child.kill('SIGKILL')
      await ended
    }
  })

  it('ends a process whose event loop is stuck, with a last line on stderr', async () => {
    const stuck = await watched()
    stuck.block(60_000)
    expect(await stuck.ended).toEqual([null, 'SIGKILL'])
    expect(stuck.lastWords).toMatchObject({
      ...{ level: 'fatal', component: 'council:watchdog', msg: 'stuck', stuckMs: afterMs },
    })
  })

  it('lets a loop be that is slow, also again and again', async () => {
    const slow = await watched()
    for (let n = 0; n < 4; n++) {
      slow.block(afterMs * 0.5)
      expect(await slow.line()).toBe(String(afterMs * 0.5))
    }
    slow.child.stdin?.end()
    expect(await slow.ended).toEqual([0, null])
    expect(slow.words).toBe('')
  })

  it('lets a process be that was stopped for long, as a machine that slept, and watches on', async () => {
    const stopped = await watched()
    for (let n = 0; n < 3; n++) {
      stopped.child.kill('SIGSTOP')
      await wait(afterMs * 1.5)
      stopped.child.kill('SIGCONT')
      stopped.block(0)
      expect(await stopped.line()).toBe('0')
    }
    stopped.block(60_000)
    expect(await stopped.ended).toEqual([null, 'SIGKILL'])
  })

  it('ends a peer within some seconds more than it may be stuck', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'council-stuck-'))
    try {
      // Only this test's process has a way to block: what is imported before the program.
      const block = join(folder, 'block.mjs')
      await writeFile(block, `process.on('SIGUSR2', () => { for (;;); })`)
      const config = join(folder, 'council.json')
      const peer = {
        ...{ name: 'a', operator: 'A', council: { zone: 'blogs.localhost' }, authority: {} },
        ...{ peer: { listen: ['/ip4/127.0.0.1/tcp/0'] }, disk: { reserveMiB: 0 } },
        ...{ spoke: { host: '127.0.0.1', port: 0 }, log: { level: 'warn' } },
      }
      await writeFile(config, JSON.stringify(peer))
      const env = { ...process.env, NODE_OPTIONS: `--import=${block}` }
      const started = await start([cli, 'start', '--config', config, '--json'], env)
      await started.line()
      const fromMs = performance.now()
      started.child.kill('SIGUSR2')
      expect(await started.ended).toEqual([null, 'SIGKILL'])
      expect(performance.now() - fromMs).toBeGreaterThan(stuckMs * 0.9)
      expect(started.lastWords).toMatchObject({ msg: 'stuck', stuckMs })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
