import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { namesLog, rosterLog } from '../../../src/replication/log/log.ts'
import { type Act, decodeAct } from '../../../src/replication/registry/act.ts'
import { CheapSignatures } from '../../support/simulation/cheap-signatures.ts'
import { type Machine, type PeerPlan, VirtualCouncil } from '../../support/simulation/council.ts'
import type { End, VirtualDisk } from '../../support/simulation/disk.ts'
import { planScenes } from '../../support/simulation/plan.ts'
import { Run } from '../../support/simulation/run.ts'

const minuteMs = 60_000
const spokes = ['b', 'c', 'd', 'e'].map((name): PeerPlan => ({ name, roles: ['spoke'] }))

/** What is done with a blog, and how one sees that it is done. */
type Work = {
  readonly begin: (run: Run, blog: string) => void
  /** what an operator does who sees after a minute that nothing came of it; null: nobody asked */
  readonly again: ((run: Run, blog: string) => void) | null
  readonly isDone: (run: Run, blog: string, primary: Machine) => boolean
  /** the acts that must stand in the logs once, whatever happened */
  readonly once: readonly string[]
}

const decide = (run: Run, kind: 'cutoff' | 'reinstate', { name }: Machine) => {
  const asked = { kind, reason: 'it lied', evidence: null }
  // It may end with the process, or have been done.
  void run.council.authority.authority?.cutOffs.decide(name, asked, false).catch(() => undefined)
}
const isKept = (run: Run, blog: string, by: Machine) => run.replicasOf(blog).includes(by)
/** The spoke that keeps no copy. */
const sparedBy = (run: Run, blog: string) =>
  run.council.spokes.find((each) => !isKept(run, blog, each)) as Machine
const memberOf = ({ council }: Run, { signer }: Machine) =>
  council.authority.exchange?.council.roster()?.members.get(signer.peer)

const works = {
  'a fail-over': {
    begin: (run, blog) => {
      run.faults.cutOff(run.replicasOf(blog)[0] as Machine, 'both', 30 * minuteMs)
    },
    again: null,
    isDone: (run, blog, lost) => !isKept(run, blog, lost),
    once: ['away'],
  },
  'a transfer': {
    begin: (run, blog) => {
      run.move(blog, sparedBy(run, blog))
    },
    again: (run, blog) => {
      run.move(blog, sparedBy(run, blog))
    },
    isDone: (run, blog, primary) => !isKept(run, blog, primary),
    once: [],
  },
  'a cut-off': {
    begin: (run, blog) => decide(run, 'cutoff', run.replicasOf(blog)[0] as Machine),
    again: (run, blog) => decide(run, 'cutoff', run.replicasOf(blog)[0] as Machine),
    isDone: (run, blog, liar) => memberOf(run, liar)?.cutOff === true && !isKept(run, blog, liar),
    once: ['cutoff'],
  },
} as const satisfies Record<string, Work>

/** Calls `spring` when the disk is given its nth batch from the time on that it is `set`: nothing of it is written. */
class Tripwire {
  #left = 0
  #spring = () => {}

  constructor(disk: VirtualDisk) {
    const open = disk.open.bind(disk)
    disk.open = (life) => {
      const opened = open(life)
      return {
        ...opened,
        batch: (operations, options) => {
          if (this.#left === 0 || --this.#left > 0) return opened.batch(operations, options)
          this.#spring()
          return new Promise(() => undefined)
        },
      }
    }
  }

  set(batches: number, spring: () => void): void {
    this.#left = batches
    this.#spring = spring
  }
}

/** When the authority's process ends: with its power behind a write, or killed when it begins one. */
type Moment = { readonly how: End; readonly when: 'before' | 'behind' }

async function actsOf({ council }: Run): Promise<readonly Act[]> {
  const { exchange } = council.authority
  const proofs = await Promise.all(
    [rosterLog, namesLog].map((log) => exchange?.council.proofs(log, 0, 1_000) ?? []),
  )
  return proofs.flat().flatMap(({ text }) => {
    const act = decodeAct(text)
    return act.ok ? [act.value] : []
  })
}

/**
 * Does some work while the authority ends at its nth write since the work began, and starts again a
 * second later. @returns whether it came that far; the run itself holds every promise against it
 */
async function doIt(run: Run, wire: Tripwire, work: Work, { how, when }: Moment, nth: number) {
  const blog = run.blogs[0] as string
  const [writer] = run.writers
  const { authority, clock } = run.council
  const isReady = () => writer?.isReady === true && writer.isIdle && run.holders === 5
  expect(await run.hope(isReady, 3 * minuteMs)).toBe(true)
  writer?.write(null)
  await run.hope(() => writer?.isIdle === true, minuteMs)
  await clock.wait(5_000)
  const before = await actsOf(run)
  const primary = run.replicasOf(blog)[0] as Machine
  let crashes = 0
  const crash = () => {
    crashes++
    return run.faults.crash(authority, how, 1_000)
  }
  if (when === 'behind') authority.disk.trap(nth, crash)
  else wire.set(nth, crash)
  work.begin(run, blog)
  const isDone = () =>
    authority.authority !== null &&
    run.replicasOf(blog).length === 3 &&
    work.isDone(run, blog, primary)
  for (let tries = 0; tries < 4 && !(await run.hope(isDone, 1.5 * minuteMs)); tries++)
    work.again?.(run, blog)
  expect(isDone()).toBe(true)
  // It goes on: published under the act in force, by a primary that takes writes.
  const { size } = run.told.published
  const isPublished = () => run.told.published.size > size
  for (let tries = 0; tries < 10 && !isPublished(); tries++) {
    writer?.write(run.replicasOf(blog)[0] as Machine)
    await run.hope(isPublished, 15_000)
  }
  expect(isPublished()).toBe(true)
  const news = (await actsOf(run)).filter(({ id }) => before.every((each) => each.id !== id))
  const kinds = news.map(({ decision }) => decision.kind)
  for (const kind of work.once) expect(kinds.filter((each) => each === kind)).toEqual([kind])
  // Each assignment ends the one before it, and none lets one lead who was cut off by then.
  const assigned = (await actsOf(run)).flatMap(({ decision, roster }) =>
    decision.kind === 'assign' ? [{ ...decision, under: roster?.seq ?? 0 }] : [],
  )
  expect(assigned.map(({ epoch }) => epoch)).toEqual(assigned.map((_, at) => at + 1))
  const cutOff = news.find(({ decision }) => decision.kind === 'cutoff')
  const after = assigned.filter(({ under }) => under >= (cutOff?.seq ?? Number.POSITIVE_INFINITY))
  for (const { primary: leads } of after) expect(leads).not.toBe(primary.signer.peer)
  for (let tries = 0; tries < 3 && memberOf(run, primary)?.cutOff !== false; tries++) {
    decide(run, 'reinstate', primary)
    await run.hope(() => memberOf(run, primary)?.cutOff === false, minuteMs)
  }
  return crashes
}

describe('an authority that ends at any step of what it does, and starts again', () => {
  let cheap: CheapSignatures
  beforeAll(() => {
    cheap = new CheapSignatures()
  })
  afterAll(() => cheap[Symbol.dispose]())

  const moments: readonly Moment[] = [
    { how: 'power loss', when: 'behind' },
    { how: 'kill', when: 'before' },
  ]
  const all = (Object.keys(works) as (keyof typeof works)[]).flatMap((name) =>
    moments.map((moment) => [name, moment.how, moment.when, moment] as const),
  )

  it.each(all)('goes on with %s: %s %s any of its writes', async (name, _how, _when, moment) => {
    let [nth, crashes] = [0, 1]
    // Until it has written all that it writes before it would end.
    while (crashes > 0) {
      nth++
      const plan = {
        ...planScenes(nth, 1),
        peers: [{ name: 'a', roles: ['dns', 'authority'] } as const, ...spokes],
        founders: 1 + spokes.length,
        weather: { loss: 0, duplicates: 0, minMs: 1, maxMs: 30 },
      }
      using council = await VirtualCouncil.open(plan)
      const wire = new Tripwire(council.authority.disk)
      const run = new Run(plan, council, 'node')
      const doing = async () => {
        crashes = await doIt(run, wire, works[name], moment, nth)
      }
      try {
        await council.run(() => run.go([...plan.steps.entries()], doing), 120 * minuteMs)
      } catch (error) {
        throw new Error(`at write ${nth}: ${(error as Error).message}`, { cause: error })
      }
    }
    expect(nth).toBeGreaterThan(5)
  })
})
