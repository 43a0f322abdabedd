import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Child } from '../../../src/node/demo/child.ts'
import { freePort } from '../../support/council.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'council-child-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const door = ['demo-front-door', '--host', '127.0.0.1', '--dns', '127.0.0.1:9', '--port']

function start(name: string, args: readonly string[]) {
  return new Child({ name, args, log: join(folder, name, 'log.jsonl'), stopMs: 500 }, process.env)
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('Child', () => {
  it('is a process of its own, which says when it is ready and is gone when disposed', async () => {
    const port = await freePort()
    const child = start('front door', [...door, `${port}`])
    let lost = false
    child.onLost(() => {
      lost = true
    })
    expect(await child.ready(30_000)).toEqual({ host: '127.0.0.1', port })
    expect(isRunning(child.pid)).toBe(true)
    await child[Symbol.asyncDispose]()
    expect(isRunning(child.pid)).toBe(false)
    expect(lost).toBe(false)
  })

  it('stays down when it was killed, and says so', async () => {
    await using child = start('front door', [...door, `${await freePort()}`])
    const lost = new Promise<void>((resolve) => child.onLost(resolve))
    await child.ready(30_000)
    process.kill(child.pid, 'SIGKILL')
    await lost
    expect(child.isRunning).toBe(false)
  })

  it('is killed when it cannot stop by itself', async () => {
    const child = start('front door', [...door, `${await freePort()}`])
    await child.ready(30_000)
    process.kill(child.pid, 'SIGSTOP')
    await child[Symbol.asyncDispose]()
    expect(isRunning(child.pid)).toBe(false)
  })

  it('gives its last words when it ends before it is ready', async () => {
    await using child = start('spoke a', ['start', '--config', join(folder, 'none.json')])
    await expect(child.ready(30_000)).rejects.toMatchObject({
      exit: 'failed',
      message: expect.stringMatching(/^The spoke a ended while it was starting.*There is no /s),
    })
  })
})
