import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort, soon } from '../support/council.ts'

const cli = join(import.meta.dirname, '../../src/node/cli.ts')

type Ended = { code: number; stdout: string; stderr: string }
type Running = { child: ChildProcess; said: () => string }

describe('the commands of an operator, as processes', () => {
  let root = ''
  const running: Running[] = []

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'council-operator-'))
  })
  afterAll(async () => {
    await Promise.all(running.map(({ child }) => end(child)))
    await rm(root, { recursive: true, force: true })
  })

  const env = { ...process.env, COUNCIL_AUTHORITY__ADMISSION: 'approve' }
  const config = (name: string) => join(root, name, 'council.json')

  function council(...args: string[]): Promise<Ended> {
    return new Promise((resolve) => {
      execFile(process.execPath, [cli, ...args], (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
      })
    })
  }

  /** `start` in a process; `authority`: with the policy `approve` from the environment. */
  function start(name: string, { authority = false } = {}): Running {
    const args = [cli, 'start', '--config', config(name), '--until-input-ends']
    const child = spawn(process.execPath, args, authority ? { env } : {})
    let words = ''
    child.stderr?.on('data', (part) => {
      words += part
    })
    const started = { child, said: () => words }
    running.push(started)
    return started
  }

  async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }

  async function init(name: string, ...more: string[]): Promise<void> {
    const [port, p2pPort] = [await freePort(), await freePort()]
    const ports = ['--port', `${port}`, '--p2p-port', `${p2pPort}`, '--no-dns']
    const made = await council('init', '--dir', join(root, name), '--name', name, ...ports, ...more)
    expect(made.code).toBe(0)
  }

  it('bring two newcomers in: one by approval, after a kill -9 of the authority, one by invitation', async () => {
    await init('anna')
    let anna = start('anna', { authority: true })
    await soon(() => expect(anna.said()).toContain('member of blogs.localhost/'))
    expect(anna.said()).toContain('newcomers wait until you admit them: ./council admit')
    const [, line = ''] = /--join '([^']+)'/.exec(anna.said()) ?? []

    await init('bela', '--join', line)
    const bela = start('bela')
    await soon(() => expect(bela.said()).toContain('waiting for approval by the authority'))
    const [, peer = ''] = /council admit (12D3\w+)/.exec(bela.said()) ?? []
    expect(bela.said()).toContain(`council peer ${peer} `)

    await end(anna.child)
    expect((await stat(join(root, 'anna/data/admin.sock'))).isSocket()).toBe(true)
    expect((await council('admit', '--config', config('anna'))).code).toBe(5)
    anna = start('anna', { authority: true })
    await soon(async () => {
      const { code, stdout } = await council('admit', '--config', config('anna'))
      expect([code, stdout]).toEqual([0, expect.stringContaining('bela, run by bela')])
    })

    const ambiguous = await council('admit', 'cleo', '--config', config('anna'))
    expect([ambiguous.code, ambiguous.stdout]).toEqual([1, ''])
    const admitted = await council('admit', peer, '--json', '--config', config('anna'))
    expect(admitted.code).toBe(0)
    expect(JSON.parse(admitted.stdout)).toMatchObject({ name: 'bela', peer, done: true })
    await soon(() => expect(bela.said()).toContain('member of blogs.localhost/'))

    const invited = await council('invite', '--config', config('anna'))
    expect(invited.code).toBe(0)
    const [, invitation = ''] = /--join '([^']+)'/.exec(invited.stdout) ?? []
    await init('cleo', '--join', invitation)
    // It holds a secret until it was used.
    expect((await stat(config('cleo'))).mode & 0o777).toBe(0o600)
    const cleo = start('cleo')
    await soon(() => expect(cleo.said()).toContain('member of blogs.localhost/'))
    expect(cleo.said()).not.toContain('waiting for approval')

    await end(anna.child, 'SIGTERM')
    await expect(stat(join(root, 'anna/data/admin.sock'))).rejects.toThrow('ENOENT')
  })

  it('end a newcomer that was refused with exit code 4 and the sentence', async () => {
    const anna = start('anna', { authority: true })
    await soon(() => expect(anna.said()).toContain('member of blogs.localhost/'))
    const [, line = ''] = /--join '([^']+)'/.exec(anna.said()) ?? []
    await init('dora', '--join', line)
    const dora = start('dora')
    const at = ['--config', config('anna')]
    await soon(async () => {
      const why = ['--refuse', '--reason', 'Not this year.']
      expect((await council('admit', 'dora', ...why, ...at)).code).toBe(0)
    })
    await soon(() => expect(dora.child.exitCode).toBe(4))
    expect(dora.said()).toContain("The authority's operator refused this peer: Not this year.")
  })
})
