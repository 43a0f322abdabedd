import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { logAnswer } from '../../src/node/blogger/answers.ts'
import { SpokeClient } from '../../src/node/blogger/client.ts'
import { askZone } from '../../src/node/demo/checks.ts'
import { soon } from '../support/council.ts'
import { freeDemoPort } from '../support/demo-port.ts'

const port = await freeDemoPort()
const zone = 'blogs.localhost'
const cli = join(import.meta.dirname, '../../src/node/cli.ts')
/** A shared machine may be slow; the demo itself is to be seen within 10 s. */
const startMs = 90_000

const peer = z.strictObject({
  peerId: z.string(),
  pid: z.number(),
  multiaddr: z.string(),
  dir: z.string(),
})
const demoLine = z.strictObject({
  zone: z.literal(zone),
  council: z.string().regex(/^blogs\.localhost\/[0-9a-f]{64}$/),
  front: z.literal(`http://${zone}:${port}`),
  dns: z.array(z.strictObject({ host: z.string(), port: z.number() })).length(2),
  authority: peer,
  spokes: z.array(peer.extend({ name: z.string(), http: z.url(), config: z.string() })).length(5),
})
type DemoLine = z.infer<typeof demoLine>
type Demo = {
  readonly process: ChildProcess
  readonly line: DemoLine
  readonly words: () => string
}

async function startDemo(...args: string[]): Promise<Demo> {
  const command = [cli, 'demo', '--port', `${port}`, '--json', ...args]
  const env = { ...process.env, XDG_STATE_HOME: folder }
  const child = spawn(process.execPath, command, { env })
  let words = ''
  child.stderr.on('data', (part) => {
    words += part
  })
  const ended = once(child, 'exit').then(() => Promise.reject(new Error(`it ended:\n${words}`)))
  ended.catch(() => undefined)
  const [line] = await Promise.race([once(child.stdout, 'data'), ended])
  return {
    process: child,
    line: demoLine.parse(JSON.parse(String(line))),
    words: () => words,
  }
}

/** Ctrl-C, and every process of the demo is gone. */
async function stopDemo({ process: child, line }: Demo): Promise<number | null> {
  const ended = once(child, 'exit')
  child.kill('SIGINT')
  const [code] = await ended
  for (const { pid } of [line.authority, ...line.spokes]) expect(isRunning(pid)).toBe(false)
  return code
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const door = new SpokeClient(`http://127.0.0.1:${port}`)
async function readLog(blog: string) {
  return door.read(await door.ask({ path: '/log.json', host: `${blog}.${zone}` }), logAnswer)
}
const blogs = ['english', 'espanol', 'arabic', 'chinese', 'francais', 'hindi']

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'council-demo-test-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('demo', () => {
  it(
    'publishes six blogs, read by everybody through DNS; what is killed stays down; a folder keeps it all',
    async () => {
      const demo = await startDemo('--dir', folder)
      const { line, words } = demo
      let genesis: readonly string[] = []
      try {
        expect(words()).toContain(`Open      http://${zone}:${port}`)

        await soon(async () => {
          const [first, second] = await Promise.all(
            line.dns.map(({ host, port: dnsPort }) => askZone(`${host}:${dnsPort}`, zone, zone)),
          )
          expect(first?.addresses).toHaveLength(5)
          expect(second).toEqual(first)
        })

        // A secondary learns a moment later than the author that an entry is published.
        for (const blog of blogs) {
          await soon(async () => expect((await readLog(blog)).published).toBeGreaterThanOrEqual(2))
        }
        genesis = await Promise.all(blogs.map(async (blog) => (await readLog(blog)).genesis))
        expect((await door.ask({ path: '/', host: zone })).status).toBe(200)

        const victim = line.spokes[4] as DemoLine['spokes'][number]
        process.kill(victim.pid, 'SIGKILL')
        await soon(() => expect(words()).toContain(`spoke ${victim.name} is down and stays down`))
        for (const blog of blogs) expect((await readLog(blog)).blog).toBe(blog)
      } finally {
        expect(await stopDemo(demo)).toBe(0)
      }

      const again = await startDemo('--dir', folder)
      try {
        const who = ({ authority, spokes }: DemoLine) =>
          [authority, ...spokes].map(({ peerId }) => peerId)
        expect(who(again.line)).toEqual(who(line))
        expect(again.line.council).toBe(line.council)
        const logs = await Promise.all(blogs.map(readLog))
        expect(logs.map((log) => log.genesis)).toEqual(genesis)
      } finally {
        expect(await stopDemo(again)).toBe(0)
      }
      await access(join(folder, 'a', 'log.jsonl'))
    },
    3 * startMs,
  )

  it(
    'says which DNS servers do not answer when both are stopped, and leaves nothing behind',
    async () => {
      const demo = await startDemo()
      const { line } = demo
      try {
        for (const { pid } of [line.authority, line.spokes[0] as DemoLine['authority']]) {
          process.kill(pid, 'SIGKILL')
        }
        await soon(async () => {
          const page = await door.ask({ path: '/', host: zone })
          expect(page.body.toString()).toContain('do not answer')
        })
      } finally {
        expect(await stopDemo(demo)).toBe(0)
      }
      await expect(access(line.authority.dir)).rejects.toThrow('ENOENT')
    },
    2 * startMs,
  )

  it('ends with exit code 1 and a sentence when its port is taken', async () => {
    const holder = createServer()
    holder.listen(port, '127.0.0.1')
    await once(holder, 'listening')
    const child = spawn(process.execPath, [cli, 'demo', '--port', `${port}`])
    const [words, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
    holder.close()
    expect(code).toBe(1)
    expect(words).toContain(`127.0.0.1:${port} is taken by another program`)
  })
})
