import type { Machine } from './council.ts'
import type { Run } from './run.ts'

/** Past the silence and its leeway, and the dials and seals that follow, ms. */
const failoverMs = 60_000

/**
 * Directed schedules: each leads to a moment that chance hardly reaches, in which one rule alone
 * keeps a published entry. They ask for a blog with three replicas or more, and give up, leaving
 * nothing behind but faults that end by themselves, when something else got in the way.
 */
export const scenes = {
  figureEight,
  emptied,
  staleLeader,
  sealedLeader,
  movedLeader,
  olderState,
  twoAuthorities,
  ownClocks,
  lyingReplica,
} as const
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
  // Another disk may have been lost meanwhile.
  if (!run.mayLose(second)) return
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

/**
 * The authority comes back from a backup that lacks an act, without reaching those that have it, and
 * is asked for another (REPLICATION 14).
 */
async function olderState(run: Run, blog: string): Promise<void> {
  const parts = await cast(run, blog)
  if (parts === null) return
  const { authority, machines } = run.council
  if (run.faults.isOut(authority)) return
  const [, second, third] = parts
  await run.hope(() => run.backUp(), 20_000)
  const epoch = epochOf(run, blog)
  if (!run.move(blog, second) || !(await run.hope(() => epochOf(run, blog) > epoch, 20_000))) return
  const holders = authority.exchange?.council.roster()?.terms.at(-1)?.holders ?? []
  const others = machines.filter(
    (each) => each !== authority && holders.some(({ peer }) => peer === each.signer.peer),
  )
  if (!run.setBack(500)) return
  for (const other of others) run.faults.part(authority, other, 'in', 25_000)
  await run.hope(() => authority.authority !== null, 10_000)
  run.move(blog, third)
  await run.hope(() => false, 30_000)
}

/**
 * A second process with the authority's key runs on a copy of its folder, and both are asked for
 * another act at the same moment, when the second one may write; so some times (REPLICATION 14).
 */
async function twoAuthorities(run: Run, blog: string): Promise<void> {
  const { authority } = run.council
  if (!(await run.hope(() => run.holders >= 3, 20_000))) return
  for (let round = 0; round < 3; round++) {
    const parts = await cast(run, blog)
    if (parts === null || run.faults.isOut(authority)) return
    const [, second, third] = parts
    if (!run.startTwice(20_000, round % 2 === 0)) return
    const { copy } = run.council
    // So that some holders hear one of the two first, and some the other.
    run.faults.delay(authority, 60, 20_000)
    await run.hope(() => copy?.exchange?.council.mayWrite() === true, 5_000)
    // Until both have heard who lives.
    await run.hope(() => false, 9_000)
    run.move(blog, second, authority)
    run.move(blog, third, copy)
    await write(run, blog, second, 1, 3_000)
    const isBack = () => run.council.copy === null && authority.authority !== null
    await run.hope(isBack, 20_000)
  }
}

/**
 * Machines have clocks of their own, that of the authority is set by minutes, and right then the
 * primary is lost: it is replaced as quickly as else, and what was published stays.
 */
async function ownClocks(run: Run, blog: string): Promise<void> {
  const parts = await cast(run, blog)
  if (parts === null) return
  const [old, second] = parts
  const { authority } = run.council
  if (run.faults.isOut(authority)) return
  const epoch = epochOf(run, blog)
  await write(run, blog, old, 2, 6_000)
  const isAhead = authority.reading.aheadMs > 0
  run.faults.cutOff(old, 'both', failoverMs)
  // By the most that is allowed, when the silence is half over; both ways in turn.
  await run.hope(() => false, 8_000)
  run.faults.setClock(authority, isAhead ? -280_000 : 280_000)
  run.faults.setClock(second, isAhead ? 270_000 : -270_000)
  if (!(await run.hope(() => epochOf(run, blog) > epoch, failoverMs))) return
  await run.hope(() => isActive(run, blog) && writerOf(run, blog)?.isIdle === true, 20_000)
  const next = run.replicasOf(blog)[0]
  if (next !== undefined) await write(run, blog, next, 2, 6_000)
}

/**
 * A replica lies, and another one is cut off now and then, so that what is published is so by the
 * liar's word: as long as the primary lives, nothing of it is lost, and nothing else gets in. One
 * that keeps nothing is reported (REPLICATION, What it promises).
 */
async function lyingReplica(run: Run, blog: string): Promise<void> {
  const parts = await cast(run, blog)
  if (parts === null) return
  const [primary, ...others] = parts
  const honest = others.flat().filter(({ seat }) => !seat.lies)
  for (const other of honest) run.faults.part(primary, other, 'both', 9_000)
  await write(run, blog, primary, 2, 3_000)
  // They start without the primary, and ask the liar for what they lack.
  for (const other of honest) run.faults.crash(other, 'power loss', 300)
  await write(run, blog, primary, 1, 3_000)
  await run.hope(() => false, 8_000)
}
