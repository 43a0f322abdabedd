import type { Machine } from './council.ts'
import type { End } from './disk.ts'
import type { Ways } from './faults.ts'
import { drawAhead, type Step } from './plan.ts'
import type { Run } from './run.ts'
import { scenes } from './scenes.ts'

/** What a step may be, and how often of 1,000. */
const kinds: readonly (readonly [share: number, act: (run: Run, draws: Step['draws']) => void])[] =
  [
    [50, crash],
    [35, trap],
    [8, lose],
    [35, cutOff],
    [25, part],
    [20, stop],
    [10, lateAuthority],
    [10, busyAuthority],
    [8, full],
    [15, arrive],
    [12, transfer],
    [12, backUp],
    [6, setBack],
    [5, startTwice],
    [6, setClock],
    [6, drain],
    [6, scene],
    // The rest.
    [1_000, write],
  ]

/** What may happen where replicas lie: short faults of those that are needed least, see `weakest`. */
const beside: ReadonlySet<(run: Run, draws: Step['draws']) => void> = new Set([
  ...[crash, trap, cutOff, part, stop, full, write],
])

/** Does what a step of a random schedule says. Where that is not possible now, an author writes. */
export function perform(run: Run, { kind, draws }: Step): void {
  let left = kind * 1_000
  for (const [share, act] of kinds) {
    if (left < share) {
      if (run.plan.liars === undefined || beside.has(act)) act(run, draws)
      else write(run, draws)
      return
    }
    left -= share
  }
}

const pick = <T>(items: readonly T[], draw: number): T | undefined =>
  items[Math.floor(draw * items.length)]

/** Mostly short, sometimes longer than a silence and its leeway; never that long beside liars. */
const howLong = (run: Run, draw: number) =>
  draw < 0.75 || run.plan.liars !== undefined
    ? 100 + (5_000 * Math.min(draw, 0.75)) / 0.75
    : 20_000 + 40_000 * ((draw - 0.75) / 0.25)

const ends: readonly End[] = ['stop', 'kill', 'power loss', 'power loss']
const ways: readonly Ways[] = ['both', 'both', 'out', 'in']

const running = (run: Run) => weakest(run).filter((each) => !run.faults.isOut(each))

/**
 * Machines that faults may meet. Published survives crashed replicas, or lying ones, not both at once
 * (REPLICATION): beside liars the primary lives, and nobody moves a blog away from it.
 */
function weakest(run: Run): readonly Machine[] {
  const { machines, authority } = run.council
  if (run.plan.liars === undefined) return machines
  const needed = new Set([authority, ...run.blogs.map((blog) => run.replicasOf(blog)[0])])
  return machines.filter((each) => !needed.has(each))
}

function write(run: Run, [a, b]: Step['draws']): void {
  const ready = run.writers.filter(({ isReady }) => isReady)
  pick(ready, a)?.write(null, b < 0.05)
}

function crash(run: Run, draws: Step['draws']): void {
  const [a, b, c] = draws
  const machine = pick(running(run), a)
  const how = pick(ends, b) as End
  if (machine === undefined || !run.faults.crash(machine, how, howLong(run, c))) write(run, draws)
}

/** Often at the authority, which writes in the middle of what it does. */
function trap(run: Run, draws: Step['draws']): void {
  const [a, b, c, d] = draws
  const others = running(run)
  const isAuthority = a < 0.4 && run.plan.liars === undefined
  const machine = isAuthority ? run.council.authority : pick(others, a < 0.4 ? a : (a - 0.4) / 0.6)
  const how = pick(ends.slice(1), b) as End
  if (
    machine === undefined ||
    !run.faults.trap(machine, 1 + Math.floor(c * 6), how, howLong(run, d))
  )
    write(run, draws)
}

/** One that no log would lose a published entry by (REPLICATION, What it promises). */
function lose(run: Run, draws: Step['draws']): void {
  const [a, , c] = draws
  const machine = pick(
    running(run).filter((each) => run.mayLose(each)),
    a,
  )
  if (machine === undefined || !run.faults.lose(machine, howLong(run, c))) write(run, draws)
}

function cutOff(run: Run, draws: Step['draws']): void {
  const [a, b, c] = draws
  const machine = pick(running(run), a)
  if (machine === undefined || !run.faults.cutOff(machine, pick(ways, b) as Ways, howLong(run, c)))
    write(run, draws)
}

function part(run: Run, [a, b, c, d]: Step['draws']): void {
  const one = pick(weakest(run), a)
  const other = pick(weakest(run), b)
  if (one !== undefined && other !== undefined)
    run.faults.part(one, other, pick(ways, c) as Ways, howLong(run, d))
}

function stop(run: Run, draws: Step['draws']): void {
  const [a, b] = draws
  const machine = pick(running(run), a)
  if (machine === undefined || !run.faults.stop(machine, howLong(run, b))) write(run, draws)
}

function lateAuthority(run: Run, [a, b]: Step['draws']): void {
  run.faults.delay(run.council.authority, 1_000 + 9_000 * a, howLong(run, b))
}

function busyAuthority(run: Run, [a, b]: Step['draws']): void {
  run.faults.busy(run.council.authority, 500 + 5_000 * a, howLong(run, b))
}

function full(run: Run, [a, b, c]: Step['draws']): void {
  const machine = pick(weakest(run), a)
  if (machine !== undefined) run.faults.full(machine, b < 0.5 ? 0.05 : 0.5, howLong(run, c))
}

/** One more spoke starts and asks to be admitted. */
function arrive(run: Run, draws: Step['draws']): void {
  const next = run.council.machines.find(({ hasStarted }) => !hasStarted)
  if (next === undefined) write(run, draws)
  else run.council.launch(next)
}

/** An operator lets another spoke lead a blog; what the authority says to it does not matter here. */
function transfer(run: Run, draws: Step['draws']): void {
  const [a, b] = draws
  const blog = pick(run.blogs, a)
  const spoke = pick(run.council.spokes, b)
  if (blog === undefined || spoke === undefined || !run.move(blog, spoke)) write(run, draws)
}

/** An operator lets everything move away from a spoke, and later lets it keep copies again. */
function drain(run: Run, draws: Step['draws']): void {
  const [a, , c] = draws
  const spoke = pick(run.council.spokes, a)
  if (spoke === undefined || !run.drain(spoke, 10_000 + howLong(run, c))) write(run, draws)
}

function backUp(run: Run, draws: Step['draws']): void {
  if (!run.backUp()) write(run, draws)
}

function setBack(run: Run, draws: Step['draws']): void {
  if (!run.setBack(howLong(run, draws[0]))) write(run, draws)
}

function startTwice(run: Run, draws: Step['draws']): void {
  const [a, b, c] = draws
  if (!run.startTwice(5_000 + 40_000 * a * b, c < 0.5)) write(run, draws)
}

/** A machine's clock is set, where they are not all right anyway. */
function setClock(run: Run, draws: Step['draws']): void {
  const [a, b] = draws
  const machine = pick(run.council.machines, a)
  if (run.plan.clocks === undefined || machine === undefined) write(run, draws)
  else run.faults.setClock(machine, drawAhead({ next: () => b }))
}

/** One of the directed schedules, while everything else goes on. */
function scene(run: Run, [a, b]: Step['draws']): void {
  const wanted = pick(Object.values(scenes), a)
  const blog = pick(run.blogs, b)
  if (wanted !== undefined && blog !== undefined)
    wanted(run, blog).catch((error: Error) => run.council.breach('conduct', `${error.stack}`))
}
