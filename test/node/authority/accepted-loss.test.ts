import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { namesLog } from '../../../src/replication/log/log.ts'
import { decodeAct } from '../../../src/replication/registry/act.ts'
import { CheapSignatures } from '../../support/simulation/cheap-signatures.ts'
import { type PeerPlan, VirtualCouncil } from '../../support/simulation/council.ts'
import { planScenes, type RunPlan } from '../../support/simulation/plan.ts'
import { Run } from '../../support/simulation/run.ts'

const minuteMs = 60_000
const spokes = ['b', 'c', 'd', 'e', 'f'].map((name): PeerPlan => ({ name, roles: ['spoke'] }))

/** Three copies of one blog on five spokes, and an authority apart. */
const planOf = (seed: number): RunPlan => ({
  ...planScenes(seed, 1),
  peers: [{ name: 'a', roles: ['dns', 'authority'] }, ...spokes],
  founders: 1 + spokes.length,
  weather: { loss: 0, duplicates: 0, minMs: 1, maxMs: 30 },
})

/** What stands in `@names` of a blog, in order: the epoch of an assignment, or the epoch that a loss is about. */
async function actsOf(run: Run, blog: string): Promise<string[]> {
  const proofs = await run.council.authority.exchange?.council.proofs(namesLog, 0, 1_000)
  const epochs = new Map<string, number>()
  return (proofs ?? []).flatMap(({ text }) => {
    const act = decodeAct(text)
    if (!act.ok) return []
    const { id, decision } = act.value
    if (decision.kind === 'loss' && decision.blog === blog)
      return [`loss of ${epochs.get(decision.assign)}`]
    if (decision.kind !== 'assign' || decision.blog !== blog) return []
    epochs.set(id, decision.epoch)
    const isGivenUp = decision.evidence?.includes('goes on from') === true
    return [`${decision.epoch}${isGivenUp ? ', a loss accepted' : ''}`]
  })
}

/** Two of three replicas are gone for good, and the authority loses its power behind its nth write. */
async function giveUp(run: Run, writes: number) {
  const blog = run.blogs[0] as string
  const [writer] = run.writers
  const { authority } = run.council
  const holders = () => authority.exchange?.council.roster()?.terms.at(-1)?.holders.length
  const isReady = () => writer?.isReady === true && writer.isIdle && holders() === 5
  await run.hope(isReady, 2 * minuteMs)
  writer?.write(null)
  await run.hope(() => writer?.isIdle === true, minuteMs)
  const replicas = run.replicasOf(blog)
  const whole = () =>
    replicas.every(({ signer }) => run.council.witness.idsOf(signer.peer, blog).length === 2)
  expect(await run.hope(whole, minuteMs)).toBe(true)
  for (const lost of replicas.slice(0, 2)) run.faults.cutOff(lost, 'both', 30 * minuteMs)
  const isStuck = () => authority.authority?.stuck(blog)?.code === 'SEAL_TOO_FEW'
  expect(await run.hope(isStuck, 5 * minuteMs)).toBe(true)

  const asked = { blog, spoke: null, reason: 'both disks burnt', acceptLoss: true, dryRun: false }
  let isAnswered = false
  const order = async () => {
    await authority.authority?.moves.promote(asked).catch(() => undefined)
    isAnswered = true
  }
  let crashes = 0
  authority.disk.trap(writes, () => {
    crashes++
    return run.faults.crash(authority, 'power loss', 1_000)
  })
  void order()
  const isDone = () => (run.named(blog)?.epoch ?? 0) > 1 && authority.authority !== null
  // Where it ended before it had kept what it was asked for, its operator asks again.
  for (let tries = 0; tries < 5 && !(await run.hope(isDone, minuteMs)); tries++) void order()
  expect(isDone()).toBe(true)
  // The act `loss` comes with the act that it is about, or by what the authority does next.
  const isSaid = () => authority.exchange?.council.names()?.losses.of(blog as never).length === 1
  await run.hope(isSaid, minuteMs)
  // The power may also be lost behind the last write, when all has been said.
  await run.hope(() => isAnswered || crashes > 0, minuteMs)
  await run.hope(() => authority.authority !== null && isSaid(), minuteMs)
  return { crashes, acts: await actsOf(run, blog) }
}

describe('a loss that an operator accepted', () => {
  let cheap: CheapSignatures
  beforeAll(() => {
    cheap = new CheapSignatures()
  })
  afterAll(() => cheap[Symbol.dispose]())

  it('is said in an act of its own, behind whichever write the authority loses its power', async () => {
    let crashes = 1
    let writes = 0
    // Until it has written all before it would lose its power.
    while (crashes > 0) {
      writes++
      const plan = planOf(writes)
      using council = await VirtualCouncil.open(plan)
      const run = new Run(plan, council, 'node')
      let acts: string[] = []
      const giving = async () => {
        const given = await giveUp(run, writes)
        acts = given.acts
        crashes = given.crashes
      }
      await council.run(() => run.go([...plan.steps.entries()], giving), 60 * minuteMs)
      expect(acts.slice(0, 3), `write ${writes}`).toEqual(['1', '2, a loss accepted', 'loss of 2'])
      expect(acts.filter((each) => each.startsWith('loss'))).toHaveLength(1)
    }
    // What was asked for, the acts at the holder, the acts in the log.
    expect(writes).toBeGreaterThan(3)
  })
})
