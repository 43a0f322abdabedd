import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freeDemoPort } from '../support/demo-port.ts'

const port = await freeDemoPort()
const cli = join(import.meta.dirname, '../../src/node/cli.ts')
const startMs = 90_000
/** A shared machine may be slow; the commands wait for a minute beyond the silence. */
const commandMs = 150_000

let folder = ''
let demo: ChildProcess
/** what the demo itself has said */
let screen = ''
let peers: readonly { readonly name: string; readonly pid: number }[] = []
let env: NodeJS.ProcessEnv

type Step = { at: number; step: string; words: string; details?: string[] }
type Said = { code: number | null; words: string; data: string }

async function run(...args: string[]): Promise<Said> {
  const child = spawn(process.execPath, [cli, 'demo', ...args], { env })
  const [data, words, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ])
  return { code, words, data }
}
const tell = (...args: string[]) => run(...args, '--port', `${port}`)

/** Tells the demo something and reads what came of it. */
async function told(...args: string[]): Promise<{ steps: Step[]; wellAfter: number }> {
  const { code, words, data } = await tell(...args, '--json')
  expect(code, words).toBe(0)
  return JSON.parse(data)
}
const stepsOf = ({ steps }: { steps: Step[] }, step: string) =>
  steps.filter((each) => each.step === step)
const wordsOf = (said: { steps: Step[] }, step: string) => stepsOf(said, step).map((s) => s.words)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'council-demo-faults-'))
  env = { ...process.env, XDG_STATE_HOME: folder }
  const args = ['--port', `${port}`, '--silence', '2', '--spokes', '4', '--json']
  demo = spawn(process.execPath, [cli, 'demo', ...args], { env })
  demo.stderr?.on('data', (part) => {
    screen += part
  })
  const ended = once(demo, 'exit').then(() => Promise.reject(new Error(`it ended:\n${screen}`)))
  ended.catch(() => undefined)
  const [line] = await Promise.race([once(demo.stdout as NodeJS.ReadableStream, 'data'), ended])
  peers = JSON.parse(String(line)).spokes
}, startMs)
afterAll(async () => {
  if (demo.exitCode === null) {
    const ended = once(demo, 'exit')
    demo.kill('SIGINT')
    await ended
  }
  await rm(folder, { recursive: true, force: true })
})

describe('demo kill', () => {
  it('only says what it would do, when asked to', async () => {
    const said = await tell('kill', 'b', '--dry-run', '--json')
    expect([said.code, JSON.parse(said.data)]).toMatchObject([
      0,
      {
        fault: 'kill',
        peer: 'b',
        state: 'up',
        done: false,
        leads: expect.toSatisfy((leads: string[]) => leads.includes('espanol')),
      },
    ])
    expect((await tell('heal', '--dry-run')).words).toContain('nothing is wrong')
  })

  it(
    'shows silence, the act with its evidence, the new primary, DNS and the next post',
    async () => {
      const said = await told('kill', 'b')
      expect(wordsOf(said, 'kill')[0]).toMatch(
        /^spoke b: kill -9 of process \d+; it leads .*espanol/,
      )
      expect(wordsOf(said, 'silence')).toEqual(['the authority hears nothing of b'])
      const [out] = stepsOf(said, 'out')
      expect(out?.words).toMatch(
        /^b: silent since .+, and nobody reaches it \(act \d+ of @roster\)$/,
      )
      expect(out?.details?.[0]).toMatch(/^authority dialled at \S+: PEER_UNREACHABLE$/)
      expect(wordsOf(said, 'moved').join('\n')).toMatch(/espanol, epoch 2: [acd] leads/)
      expect(stepsOf(said, 'dns')[0]?.details?.[0]).toMatch(/^edit\.(espanol|hindi) → 127\.0\.0\./)
      expect(wordsOf(said, 'published')[0]).toMatch(
        /"Written while b was down", kept by [acd], [acd]/,
      )
      const [copies] = stepsOf(said, 'copies')
      expect(copies?.words).toBe('as many as before, without it')
      expect(copies?.details?.every((each) => /^\w+: [acd], [acd], [acd]$/.test(each))).toBe(true)
      expect(said.wellAfter).toBeGreaterThan(0)
      const again = await tell('kill', 'b')
      expect([again.code, again.words]).toEqual([4, expect.stringContaining('b is down already')])
    },
    commandMs,
  )

  it(
    'is undone by heal: it is heard, in DNS, and all copies have all that was published',
    async () => {
      const said = await told('heal')
      expect(said.steps.map(({ step }) => step)).toEqual(['started', 'heard', 'dns', 'equal'])
      expect(wordsOf(said, 'equal')).toEqual(['18 copies of 6 blogs have all that was published'])
    },
    commandMs,
  )
})

describe('demo partition', () => {
  it(
    'moves the blogs past a spoke that still takes what nobody else has; heal shows where that is',
    async () => {
      const said = await told('partition', 'c')
      expect(wordsOf(said, 'tried')[0]).toMatch(/c takes entry \d+ of .+: stored on 1 of 3, so not/)
      expect(stepsOf(said, 'out')[0]?.details?.length).toBeGreaterThanOrEqual(2)
      expect(wordsOf(said, 'published')[0]).toContain('"Written while c was cut off"')
      const healed = await told('heal')
      expect(healed.steps.map(({ step }) => step)).toEqual([
        'mended',
        'heard',
        'dns',
        'equal',
        'tail',
      ])
      const [tail] = stepsOf(healed, 'tail')
      expect(tail?.words).toContain('another text of its author was published there')
      const [words, line = ''] = tail?.details ?? []
      expect(words).toMatch(/^c keeps it, byte for byte, aside; .*\/left, to be signed again$/)
      // The line shows it as it stands, whoever keeps the blog now.
      const { stdout } = spawnSync('sh', ['-c', line.replace('curl', 'curl -s')], {
        encoding: 'utf8',
      })
      expect(stdout).toContain('\ntitle Handed in at c while it was cut off\n')
    },
    2 * commandMs,
  )
})

describe('demo tamper', () => {
  it(
    'shows that what an administrator alters on the disk reaches nobody, and is healed',
    async () => {
      const said = await told('tamper', 'd')
      expect(said).toMatchObject({ fault: 'tamper', peer: 'd', lies: 0 })
      expect(said.steps.map(({ step }) => step)).toEqual(['altered', 'healed', 'looked'])
      expect(stepsOf(said, 'altered')[0]?.details?.[0]).toMatch(
        /^"(.+)" became "(.+)"; the signature/,
      )
    },
    commandMs,
  )

  it('is refused where there is nothing to alter', async () => {
    const said = await tell('tamper', 'authority')
    expect([said.code, said.words]).toEqual([4, expect.stringContaining('keeps no post')])
  })
})

describe('demo kill authority', () => {
  it(
    'leaves publishing and the other DNS peer as they are',
    async () => {
      const said = await told('kill', 'authority')
      expect(said.steps.map(({ step }) => step)).toEqual(['kill', 'dns', 'published', 'waits'])
      // One that ends by itself is told on the demo's own screen, and that it is back.
      process.kill(peers.find(({ name }) => name === 'c')?.pid as number, 'SIGKILL')
      await expect.poll(() => screen).toContain('✗ spoke c is down and stays down.')
      const healed = await told('heal')
      expect(wordsOf(healed, 'started')).toEqual([
        'authority again, with what it had on its disk',
        'c again, with what it had on its disk',
      ])
      await expect.poll(() => screen).toMatch(/spoke c is down[\s\S]*✓ spoke c is back$/m)
      expect(screen).not.toContain('authority is back')
    },
    2 * commandMs,
  )
})

describe('the commands of a running demo', () => {
  it('end with a sentence and a code when there is no such peer, or no such demo', async () => {
    const nobody = await tell('kill', 'z')
    expect([nobody.code, nobody.words]).toEqual([2, expect.stringContaining('It has authority, a')])
    const nowhere = await run('heal', '--port', `${port + 1}`)
    expect([nowhere.code, nowhere.words]).toEqual([
      5,
      expect.stringContaining(`Start it with: ./council demo --port ${port + 1}`),
    ])
  })
})
