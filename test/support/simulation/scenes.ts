import type { Machine } from './council.ts'
import type { Run } from './run.ts'

/** Past the silence and its leeway, and the dials and seals that follow, ms. */
const failoverMs = 60_000

/**
 * Directed schedules: each leads to a moment that chance hardly reaches, in which one rule alone
 * keeps a published entry. They ask for a blog with three replicas or more, and give up, leaving
 * nothing behind but faults that end by themselves, when something else got in the way.
 */
export const scenes = { figureEight, emptied, staleLeader, sealedLeader, movedLeader } as const
export type SceneName = keyof typeof scenes

const epochOf = (run: Run, blog: string) => run.named(blog)?.epoch ?? 0

function isActive(run: Run, blog: string) {
  const act = run.named(blog)
  return act !== null && run.council.witness.ledger.isActive(act.id)
}

function writerOf(run: Run, blog: string) {
  return run.writers.find((each) => each.author.blog === blog && each.isReady)
}

/** A number of entries, one after the other, at one spoke. */
async function write(run: Run, blog: string, at: Machine, count: number, ms: number) {
  const writer = writerOf(run, blog)
  for (let done = 0; done < count; done++) {
    writer?.write(at)
    await run.hope(() => writer?.isIdle ?? true, ms)
  }
}

/** The replicas of a blog that can play a part: a primary that is not the authority, and two others. */
async function cast(
  run: Run,
  blog: string,
): Promise<[Machine, Machine, Machine, Machine[]] | null> {
  const isReady = () => isActive(run, blog) && writerOf(run, blog)?.isIdle === true
  if (!(await run.hope(isReady, 30_000))) return null
  const [primary, ...others] = run.replicasOf(blog)
  const { authority } = run.council
  const free = others.filter((each) => each !== authority && !run.faults.isOut(each))
  const second = free[0]
  const third = others.find((each) => each !== second && !run.faults.isOut(each))
  if (primary === undefined || second === undefined || third === undefined) return null
  if (primary === authority || run.faults.isOut(primary)) return null
  return [primary, second, third, others.filter((each) => each !== second && each !== third)]
}

/**
 * Raft's figure 8 (REPLICATION 8): a primary writes what nobody else gets; the next epoch publishes
 * less; when that one is sealed the old primary answers with a log that is longer, and older.
 */
async function figureEight(run: Run, blog: string): Promise<void> {
  const parts = await cast(run, blog)
  if (parts === null) return
  const [old] = parts
  const { machines } = run.council
  const epoch = epochOf(run, blog)
  const others = run.replicasOf(blog).filter((each) => each !== old)
  for (const other of others) run.faults.part(old, other, 'both', failoverMs)
  await write(run, blog, old, 3, 6_000)
  run.faults.cutOff(old, 'both', failoverMs)
  if (!(await run.hope(() => epochOf(run, blog) > epoch, failoverMs))) return
  const next = run.replicasOf(blog)[0]
  if (next === undefined || next === run.council.authority) return
  await run.hope(() => isActive(run, blog) && writerOf(run, blog)?.isIdle === true, 20_000)
  writerOf(run, blog)?.switchMachine()
  await write(run, blog, next, 1, 12_000)
  // The old one is heard again, by the authority alone, and the next one by nobody.
  run.faults.cutOff(next, 'both', failoverMs, machines)
  run.faults.goBack(old)
  for (const other of others) {
    if (other !== run.council.authority) run.faults.part(old, other, 'both', 30_000)
  }
  await run.hope(() => epochOf(run, blog) > epoch + 1, failoverMs)
}

/**
 * A replica that alone has what the primary has published loses its disk, the primary is cut off,
 * and only one that never heard of it is left (REPLICATION, Words: store).
 */
async function emptied(run: Run, blog: string): Promise<void> {
  const parts = await cast(run, blog)
  if (parts === null) return
  const [primary, second, third, more] = parts
  if (!run.mayLose(second)) return
  const epoch = epochOf(run, blog)
  for (const other of [third, ...more]) {
    for (const one of [primary, second]) run.faults.part(one, other, 'both', 25_000)
  }
  await write(run, blog, primary, 2, 6_000)
  run.faults.lose(second, 500)
  run.faults.cutOff(primary, 'both', failoverMs)
  await run.hope(() => epochOf(run, blog) > epoch, failoverMs)
}

/**
 * A primary that the authority has given up is reached again by its secondaries, and by authors,
 * between their answers to the seal and the next act, which is long on its way (REPLICATION 7).
 */
async function staleLeader(run: Run, blog: string): Promise<void> {
  const parts = await cast(run, blog)
  if (parts === null) return
  const [old] = parts
  const { authority, witness } = run.council
  if (run.faults.isOut(authority)) return
  let promises = 0
  witness.onPromise(() => promises++)
  run.faults.cutOff(old, 'both', failoverMs)
  if (!(await run.hope(() => promises > 0, failoverMs))) return
  // What the authority does next takes long, and the old primary does not hear from it.
  run.faults.busy(authority, 6_000, 15_000)
  run.faults.part(authority, old, 'both', 20_000)
  run.faults.goBack(old)
  await write(run, blog, old, 3, 5_000)
}

/**
 * A primary that the authority has given up is back when the seal goes out, promises like the others,
 * and is asked to write on while the next act is long on its way (REPLICATION 3 and 7).
 */
async function sealedLeader(run: Run, blog: string): Promise<void> {
  const parts = await cast(run, blog)
  if (parts === null) return
  const [old] = parts
  const { authority } = run.council
  if (run.faults.isOut(authority)) return
  run.faults.cutOff(old, 'both', failoverMs)
  run.faults.busy(authority, 2_500, failoverMs)
  const isAway = () =>
    authority.exchange?.council.roster()?.members.get(old.signer.peer)?.away === true
  if (!(await run.hope(isAway, failoverMs))) return
  run.faults.goBack(old)
  await write(run, blog, old, 12, 1_500)
}

/**
 * A blog is moved away from a primary that lives: it promises, and one secondary that has not heard
 * of the seal would still take what it writes (REPLICATION 3).
 */
async function movedLeader(run: Run, blog: string): Promise<void> {
  const parts = await cast(run, blog)
  if (parts === null) return
  const [old, deaf, next] = parts
  const { authority, witness } = run.council
  if (run.faults.isOut(authority)) return
  let hasPromised = false
  witness.onPromise((from) => {
    if (from === old.signer.peer) hasPromised = true
  })
  run.faults.part(authority, deaf, 'both', 30_000)
  run.faults.part(next, deaf, 'both', 30_000)
  run.faults.busy(authority, 1_500, 20_000)
  if (!run.move(blog, next) || !(await run.hope(() => hasPromised, 30_000))) return
  run.faults.part(authority, old, 'both', 10_000)
  run.faults.part(next, old, 'both', 10_000)
  await write(run, blog, old, 4, 2_500)
}
