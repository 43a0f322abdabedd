import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type LogName, namesLog, rosterLog } from '../../../src/replication/log/log.ts'
import { type Act, decodeAct } from '../../../src/replication/registry/act.ts'
import { CheapSignatures } from '../../support/simulation/cheap-signatures.ts'
import { type Machine, type PeerPlan, VirtualCouncil } from '../../support/simulation/council.ts'
import type { Ways } from '../../support/simulation/faults.ts'
import { planScenes } from '../../support/simulation/plan.ts'
import { Run } from '../../support/simulation/run.ts'

const minuteMs = 60_000
/** The silence of these councils, and what a flap may last beyond it, ms (REPLICATION, Silence). */
const [silenceMs, flapMs] = [15_000, 5_000]
const boundMs = silenceMs + flapMs
/** A dial takes 3 s; a helper's comes a moment later, ms. */
const dialledMs = 4_000

const spokes = ['b', 'c', 'd', 'e', 'f'].map((name): PeerPlan => ({ name, roles: ['spoke'] }))

let cheap: CheapSignatures
beforeAll(() => {
  cheap = new CheapSignatures()
})
afterAll(() => cheap[Symbol.dispose]())

/**
 * Three copies of one blog on five spokes, an authority apart, five holders, fair weather, on the
 * virtual clock; `job` begins when nothing is left to be done.
 */
async function inCouncil(seed: number, job: (run: Run) => Promise<void>): Promise<void> {
  const plan = {
    ...planScenes(seed, 1),
    peers: [{ name: 'a', roles: ['dns', 'authority'] } as const, ...spokes],
    founders: 1 + spokes.length,
    weather: { loss: 0, duplicates: 0, minMs: 1, maxMs: 30 },
  }
  using council = await VirtualCouncil.open(plan)
  const run = new Run(plan, council, 'node')
  const begin = async () => {
    const isReady = () => run.writers[0]?.isReady === true && run.holders === 5
    expect(await run.hope(isReady, 2 * minuteMs)).toBe(true)
    await council.clock.wait(5_000)
    await job(run)
  }
  await council.run(() => run.go([...plan.steps.entries()], begin), 240 * minuteMs)
}

/** The acts of both logs. */
async function actsOf({ council }: Run): Promise<Act[]> {
  const logs: readonly LogName[] = [rosterLog, namesLog]
  const proofs = await Promise.all(
    logs.map((log) => council.authority.exchange?.council.proofs(log, 0, 10_000)),
  )
  return proofs.flat().flatMap((proof) => {
    const act = decodeAct(proof?.text ?? new Uint8Array())
    return act.ok ? [act.value] : []
  })
}
const kindsOf = (acts: readonly Act[]) =>
  acts.map(({ log, seq, decision }) => `${log} ${seq} ${decision.kind}`)

/** When the authority heard a machine last, ms. */
const heardMs = ({ council: { authority, clock } }: Run, { signer }: Machine) =>
  clock.now() - (authority.exchange?.alive.silentMs(signer.peer) ?? clock.now())

/** Waits until right after a heartbeat of a machine. @returns when that came, ms */
async function nextBeat(run: Run, machine: Machine, ms = boundMs): Promise<number> {
  const beforeMs = heardMs(run, machine)
  expect(await run.hope(() => heardMs(run, machine) > beforeMs, ms)).toBe(true)
  return heardMs(run, machine)
}

/** How a machine falls silent until a moment, ms. */
const flaps = {
  'a cut': (run: Run, machine: Machine, ms: number) => run.faults.cutOff(machine, 'both', ms),
  'one that lets nothing out': (run: Run, machine: Machine, ms: number) =>
    run.faults.cutOff(machine, 'out', ms),
  'a stop (SIGSTOP)': (run: Run, machine: Machine, ms: number) => run.faults.stop(machine, ms),
  'a crash (kill -9)': (run: Run, machine: Machine, ms: number) =>
    run.faults.crash(machine, 'kill', ms),
} as const
type Flap = keyof typeof flaps
const allFlaps = Object.keys(flaps) as Flap[]

/** A primary is silent from right after a heartbeat until `lastsMs` after it. @returns the acts that follow */
async function flap(run: Run, kind: Flap, lastsMs: number) {
  const blog = run.blogs[0] as string
  const primary = run.replicasOf(blog)[0] as Machine
  const before = await actsOf(run)
  const lastMs = await nextBeat(run, primary)
  const { clock } = run.council
  expect(flaps[kind](run, primary, lastMs + lastsMs - clock.now())).toBe(true)
  await clock.wait(lastsMs + boundMs)
  const acts = (await actsOf(run)).slice()
  const news = acts.filter(({ id }) => !before.some((each) => each.id === id))
  return { primary, lastMs, news }
}

describe('a silence', () => {
  it.each(allFlaps)(
    'that is shorter than silence + 5 s, counted from the last heartbeat heard, moves nothing: %s',
    (kind) =>
      inCouncil(1, async (run) => {
        for (const lastsMs of [1_000, 6_000, 14_000, 15_100, 17_000, 19_000, 19_700, 19_900]) {
          const { news } = await flap(run, kind, lastsMs)
          expect(kindsOf(news), `${lastsMs} ms`).toEqual([])
        }
      }),
  )

  it.each(allFlaps)(
    'that is longer takes a spoke out of DNS, dialled when silence + 5 s were over, and its blogs go on: %s',
    (kind) =>
      inCouncil(2, async (run) => {
        const blog = run.blogs[0] as string
        for (const lastsMs of [boundMs + dialledMs, boundMs + dialledMs + 700, 33_000]) {
          const epoch = run.named(blog)?.epoch ?? 0
          const { primary, lastMs, news } = await flap(run, kind, lastsMs)
          const [away, ...others] = news
            .filter(({ decision }) => decision.kind === 'away')
            .map(({ decision }) => decision as { peer: string; evidence: string })
          expect(away?.peer, `${lastsMs} ms`).toBe(primary.signer.peer)
          expect(others).toEqual([])
          // Who dialled, when, what failed: the authority and two others, no sooner and no later.
          const lines = away?.evidence.split('\n') ?? []
          expect(lines).toHaveLength(3)
          expect(lines[0]).toMatch(/^a dialled at /)
          for (const line of lines) {
            const [, by, date = ''] =
              /^([a-f]) dialled at (\S+Z): PEER_UNREACHABLE$/.exec(line) ?? []
            expect([primary.name, undefined]).not.toContain(by)
            const afterMs = Date.parse(date) - lastMs
            // Dates have no parts of a second.
            expect(afterMs, line).toBeGreaterThan(boundMs - 1_000)
            expect(afterMs, line).toBeLessThanOrEqual(boundMs + 200)
          }
          expect(run.named(blog)?.epoch).toBeGreaterThan(epoch)
          expect(run.named(blog)?.primary).not.toBe(primary.signer.peer)
          // All is as it was before the next one.
          const isWhole = () => run.replicasOf(blog).length === 3 && !run.faults.isOut(primary)
          expect(await run.hope(isWhole, minuteMs)).toBe(true)
          await run.council.clock.wait(minuteMs)
        }
      }),
  )
})

describe('a spoke that is heard while it is being dialled', () => {
  it('stays where it is, although the dials fail', () =>
    inCouncil(4, async (run) => {
      let heard = 0
      for (let lastsMs = boundMs + 100; lastsMs < boundMs + 2_500; lastsMs += 300) {
        const before = await actsOf(run)
        const primary = run.replicasOf(run.blogs[0] as string)[0] as Machine
        const lastMs = await nextBeat(run, primary)
        const { clock } = run.council
        run.faults.crash(primary, 'kill', lastMs + lastsMs - clock.now())
        const againMs = await nextBeat(run, primary, 2 * boundMs)
        await clock.wait(minuteMs)
        const [first] = (await actsOf(run)).filter(({ id }) =>
          before.every((each) => each.id !== id),
        )
        // Where all were refused at once it was out before.
        if (first !== undefined) expect(first.dateMs, `${lastsMs} ms`).toBeLessThan(againMs)
        else if (againMs < lastMs + boundMs + 2_900) heard++
        await clock.wait(minuteMs)
      }
      expect(heard).toBeGreaterThan(1)
    }))
})

describe('an authority that hears few', () => {
  /** It is cut off from so many of the five spokes for far longer than any silence. @returns what follows */
  async function cutFrom(run: Run, count: number, ways: Ways) {
    const { authority, machines, clock } = run.council
    const before = await actsOf(run)
    const from = machines.filter((each) => each !== authority).slice(0, count)
    const linesBefore = run.council.trace().length
    expect(run.faults.cutOff(authority, ways, 2 * minuteMs, from)).toBe(true)
    const [writer] = run.writers
    const head = run.told.published.size
    await clock.wait(minuteMs)
    // Meanwhile authors publish: no blog is being moved.
    writer?.write(run.replicasOf(run.blogs[0] as string)[0] as Machine)
    await run.hope(() => run.told.published.size > head, 20_000)
    expect(run.told.published.size).toBeGreaterThan(head)
    await clock.wait(2 * minuteMs)
    expect(run.faults.isOut(authority)).toBe(false)
    const lines = run.council.trace().slice(linesBefore)
    const news = (await actsOf(run)).filter(({ id }) => !before.some((each) => each.id === id))
    return {
      news: kindsOf(news),
      suspects: lines.filter((line) => line.includes('self_suspected')),
    }
  }

  it.each<Ways>(['both', 'in', 'out'])(
    'takes nobody for gone whom others reach, whether it is alone or hears some: cut %s',
    (ways) =>
      inCouncil(3, async (run) => {
        for (const count of [5, 4, 3, 2, 1]) {
          const { news, suspects } = await cutFrom(run, count, ways)
          expect(news, `${count} of 5`).toEqual([])
          // Six members: four silent ones are most. Said once; what it cannot say is heard still.
          expect(suspects, `${count} of 5`).toHaveLength(ways !== 'out' && count >= 4 ? 1 : 0)
        }
      }),
  )
})
