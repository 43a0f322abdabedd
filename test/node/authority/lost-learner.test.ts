import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { namesLog } from '../../../src/replication/log/log.ts'
import type { Replica } from '../../../src/replication/log/peer-text.ts'
import { decodeAct } from '../../../src/replication/registry/act.ts'
import { CheapSignatures } from '../../support/simulation/cheap-signatures.ts'
import { type PeerPlan, VirtualCouncil } from '../../support/simulation/council.ts'
import { planScenes, type RunPlan } from '../../support/simulation/plan.ts'
import { Run } from '../../support/simulation/run.ts'

const minuteMs = 60_000
const spokes = ['b', 'c', 'd', 'e'].map((name): PeerPlan => ({ name, roles: ['spoke'] }))

/** Three copies of one blog on four spokes, and an authority apart. */
const plan: RunPlan = {
  ...planScenes(1, 1),
  peers: [{ name: 'a', roles: ['dns', 'authority'] }, ...spokes],
  founders: 1 + spokes.length,
  weather: { loss: 0, duplicates: 0, minMs: 1, maxMs: 30 },
}

/** The sets that were named for a blog, in order. */
async function setsOf(run: Run, blog: string): Promise<(readonly Replica[])[]> {
  const proofs = await run.council.authority.exchange?.council.proofs(namesLog, 0, 1_000)
  return (proofs ?? []).flatMap(({ text }) => {
    const act = decodeAct(text)
    const decision = act.ok ? act.value.decision : null
    return decision?.kind === 'assign' && decision.blog === blog ? [decision.replicas] : []
  })
}

/** A blog is ordered to a fourth spoke, which loses its disk once the blog is being sealed for it. */
async function loseLearner(run: Run) {
  const blog = run.blogs[0] as string
  const [writer] = run.writers
  const { authority, machines } = run.council
  const holders = () => authority.exchange?.council.roster()?.terms.at(-1)?.holders.length
  const isReady = () => writer?.isReady === true && writer.isIdle && holders() === 5
  expect(await run.hope(isReady, 2 * minuteMs)).toBe(true)
  const named = run.replicasOf(blog)
  const learner = machines.find((each) => each !== authority && !named.includes(each))
  if (learner === undefined) throw new Error('all spokes keep the blog')
  const before = learner.storeOnDisk()
  // So that the intent is being written when the spoke comes back, and the act comes behind its change.
  run.faults.busy(authority, 2_000, 20_000)
  const isIntended = () => authority.disk.isWriting(`sealing/${blog}`)
  run.move(blog, learner)
  expect(await run.hope(isIntended, minuteMs)).toBe(true)
  run.faults.lose(learner, 100)
  const isMoved = () => (run.named(blog)?.epoch ?? 0) > 1
  expect(await run.hope(isMoved, minuteMs)).toBe(true)
  return { sets: await setsOf(run, blog), learner: learner.signer.peer, before }
}

describe('a spoke that loses its disk while a blog is sealed to be moved to it', () => {
  let cheap: CheapSignatures
  beforeAll(() => {
    cheap = new CheapSignatures()
  })
  afterAll(() => cheap[Symbol.dispose]())

  it('is not named with the store that it had', async () => {
    using council = await VirtualCouncil.open(plan)
    const run = new Run(plan, council, 'node')
    let lost: Awaited<ReturnType<typeof loseLearner>> | null = null
    const losing = async () => {
      lost = await loseLearner(run)
    }
    await council.run(() => run.go([...plan.steps.entries()], losing), 60 * minuteMs)
    const { sets, learner, before } = lost as unknown as Awaited<ReturnType<typeof loseLearner>>
    expect(before).not.toBeNull()
    expect(sets.length).toBeGreaterThan(1)
    expect(sets.flat()).not.toContainEqual({ peer: learner, store: before })
  })
})
