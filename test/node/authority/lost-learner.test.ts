import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { namesLog } from '../../../src/replication/log/log.ts'
import type { Replica, StoreId } from '../../../src/replication/log/peer-text.ts'
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

/** A blog with three replicas, and the spoke that has none of it. */
async function begin(run: Run) {
  const blog = run.blogs[0] as string
  const [writer] = run.writers
  const { authority, machines } = run.council
  const roster = () => authority.exchange?.council.roster()
  const isReady = () =>
    writer?.isReady === true && writer.isIdle && roster()?.terms.at(-1)?.holders.length === 5
  expect(await run.hope(isReady, 2 * minuteMs)).toBe(true)
  const named = run.replicasOf(blog)
  const learner = machines.find((each) => each !== authority && !named.includes(each))
  if (learner === undefined) throw new Error('all spokes keep the blog')
  const { peer } = learner.signer
  const before = { peer, store: learner.storeOnDisk() as StoreId }
  const isListed = () => roster()?.members.get(peer)?.store === before.store
  const isMoved = () => (run.named(blog)?.epoch ?? 0) > 1
  return { blog, authority, learner, before, isListed, isMoved }
}

/** The blog is ordered to the spoke, which loses its disk once the blog is being sealed for it. */
async function loseWhileSealed(run: Run) {
  const { blog, authority, learner, before, isMoved } = await begin(run)
  // So that the intent is being written when the spoke comes back, and the act comes behind its change.
  run.faults.busy(authority, 2_000, 20_000)
  run.move(blog, learner)
  expect(await run.hope(() => authority.disk.isWriting(`sealing/${blog}`), minuteMs)).toBe(true)
  run.faults.lose(learner, 100)
  expect(await run.hope(isMoved, minuteMs)).toBe(true)
  return { sets: await setsOf(run, blog), before }
}

/** The blog is ordered to the spoke when that is heard with a new store, and `@roster` has the old one. */
async function loseBefore(run: Run) {
  const { blog, authority, learner, before, isListed, isMoved } = await begin(run)
  // Meanwhile the authority writes nothing, not even that the spoke has a new store.
  run.faults.full(authority, 1, 20_000)
  run.faults.lose(learner, 100)
  const isHeard = () => authority.exchange?.alive.heard(before.peer)?.replica.store
  const isNew = () => ![undefined, before.store].includes(isHeard())
  expect(await run.hope(isNew, minuteMs)).toBe(true)
  await run.hope(() => authority.disk.failing === 0, minuteMs)
  expect(isListed()).toBe(true)
  run.move(blog, learner)
  // Refused as long as it is not listed: then it is ordered again.
  await run.hope(isMoved, 10_000)
  await run.hope(() => !isListed(), minuteMs)
  run.move(blog, learner)
  expect(await run.hope(isMoved, minuteMs)).toBe(true)
  return { sets: await setsOf(run, blog), before }
}

describe('a spoke that loses its disk before a blog is moved to it', () => {
  let cheap: CheapSignatures
  beforeAll(() => {
    cheap = new CheapSignatures()
  })
  afterAll(() => cheap[Symbol.dispose]())

  it.each([
    ['while the blog is sealed', loseWhileSealed],
    ['and is not listed with its new store yet', loseBefore],
  ])('is not named with the store that it had: %s', async (_, schedule) => {
    using council = await VirtualCouncil.open(plan)
    const run = new Run(plan, council, 'node')
    const told: Awaited<ReturnType<typeof schedule>>[] = []
    const losing = async () => {
      told.push(await schedule(run))
    }
    await council.run(() => run.go([...plan.steps.entries()], losing), 60 * minuteMs)
    const [{ sets, before }] = told as [(typeof told)[number]]
    expect(sets.length).toBeGreaterThan(1)
    expect(sets.flat()).not.toContainEqual(before)
  })
})
