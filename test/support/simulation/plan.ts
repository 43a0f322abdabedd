import type { PeerPlan } from './council.ts'
import { type Lie, lies } from './lies.ts'
import type { Weather } from './network.ts'
import { type Random, randomOf } from './random.ts'
import type { SceneName } from './scenes.ts'
import type { Reading } from './virtual-clock.ts'

/** One thing that happens, by numbers drawn beforehand: a schedule stays the same when some are left out. */
export type Step = {
  /** time since the step before, ms */
  readonly waitMs: number
  /** which kind it is */
  readonly kind: number
  /** with whom, how and how long, each 0 ≤ x < 1 */
  readonly draws: readonly [number, number, number, number]
}

/** All that follows from a seed before anything happens. */
export type RunPlan = {
  readonly seed: number
  /** the authority first */
  readonly peers: readonly PeerPlan[]
  /** how many of them found the council; the others come later */
  readonly founders: number
  /** wanted number of replicas of a blog */
  readonly replicas: number
  readonly weather: Weather
  /** how many machines may be out of reach at once */
  readonly mostOut: number
  readonly blogs: number
  /** whether two authors want one of the names */
  readonly isContested: boolean
  /** what each machine's clock shows at first, by name; left out: the time */
  readonly clocks?: Readonly<Record<string, Reading>>
  /** how far the clocks of authors are ahead, ms */
  readonly authorAheadMs: number
  /** replicas that lie, by name; left out: none, and then anything else may happen */
  readonly liars?: Readonly<Record<string, Lie>>
  readonly steps: readonly Step[]
}

/** So far from the time a clock may be: two of them then are as far apart as PROTOCOL allows. */
const mostAheadMs = 5 * 60_000 - 15_000
/** Of 100 seeds so many have machines with clocks of their own, and so many replicas that lie. */
const clocksPercent = 15
const liarsPercent = 8

const names = ['b', 'c', 'd', 'e', 'f'] as const

/**
 * Councils of 1 to 6 peers that want 2, 3 or 5 replicas, with the authority on a spoke or apart, some
 * of them growing from its one first peer; one blog mostly.
 */
export function planRun(seed: number, steps: number): RunPlan {
  const chance = randomOf(seed, 'plan')
  const replicas = chance.pick([2, 3, 3, 3, 3, 5])
  const isApart = chance.chance(0.4)
  const spokes = Math.min(replicas + chance.between(0, 1), 6) - (isApart ? 0 : 1)
  const first: PeerPlan = {
    name: 'a',
    roles: isApart
      ? ['dns', 'authority']
      : chance.chance(0.5)
        ? ['spoke', 'dns', 'authority']
        : ['spoke', 'authority'],
  }
  const others = names
    .slice(0, Math.max(1, spokes))
    .map((name): PeerPlan => ({ name, roles: ['spoke'] }))
  const own = randomOf(seed, 'clocks and lies')
  const clocks = own.chance(clocksPercent / 100) ? drawClocks([first, ...others], own) : undefined
  const liars =
    clocks === undefined && own.chance(liarsPercent / 100) ? drawLiars(others, replicas, own) : {}
  const lying = Object.keys(liars).length > 0
  const growing = chance.chance(0.15) && !lying
  const founders = growing ? (isApart ? 2 : 1) : 1 + others.length
  return {
    seed,
    replicas,
    peers: [first, ...others],
    founders,
    weather: {
      loss: chance.pick([0, 0.02, lying ? 0.02 : 0.1]) * (1 + chance.next()),
      duplicates: chance.pick([0, 0.05]),
      minMs: 1,
      maxMs: chance.pick([30, 200, 800]),
    },
    mostOut: lying ? 1 : chance.pick([1, 1, 1, 2, 2, 3]),
    blogs: chance.pick([1, 1, 1, 2]),
    isContested: chance.chance(0.1),
    authorAheadMs: clocks === undefined ? 0 : drawAhead(own),
    ...(clocks === undefined ? {} : { clocks }),
    ...(lying ? { liars } : {}),
    steps: Array.from({ length: steps }, () => drawStep(chance)),
  }
}

/**
 * A plan for directed schedules: three replicas, with one spoke to spare or not, the authority on one
 * of them or apart, no faults but those of the scenes, and fair weather or less.
 */
export function planScenes(seed: number, steps: number, scene: SceneName | null = null): RunPlan {
  const chance = randomOf(seed, 'scenes')
  const isApart = chance.chance(0.5) || scene === 'twoAuthorities'
  const spokes = 3 + chance.between(0, 1) - (isApart ? 0 : 1)
  const peers: readonly PeerPlan[] = [
    { name: 'a', roles: isApart ? ['dns', 'authority'] : ['spoke', 'authority'] },
    ...names.slice(0, spokes).map((name): PeerPlan => ({ name, roles: ['spoke'] })),
  ]
  const own = randomOf(seed, 'clocks and lies')
  const hasClocks = scene === 'ownClocks'
  return {
    ...{ seed, replicas: 3, peers },
    ...(hasClocks ? { clocks: drawClocks(peers, own) } : {}),
    authorAheadMs: hasClocks ? drawAhead(own) : 0,
    ...(scene === 'lyingReplica' ? { liars: drawLiars(peers.slice(1), 3, own) } : {}),
    founders: 1 + spokes,
    weather: {
      loss: chance.pick([0, 0.02]),
      duplicates: 0,
      minMs: 1,
      maxMs: chance.pick([30, 300]),
    },
    mostOut: 3,
    blogs: 1,
    isContested: false,
    steps: Array.from({ length: steps }, () => ({ ...drawStep(chance), waitMs: 400 })),
  }
}

/** How far a clock is ahead of the time, or, less than 0, behind; some by seconds, some by minutes. */
export const drawAhead = (chance: Pick<Random, 'next'>): number =>
  Math.round(mostAheadMs * (2 * chance.next() - 1) ** 3)

function drawClocks(peers: readonly PeerPlan[], chance: Random): Record<string, Reading> {
  const read = (): Reading => ({
    aheadMs: drawAhead(chance),
    drift: chance.pick([0, 1e-5, -1e-4, 1e-3]),
  })
  return Object.fromEntries(peers.map(({ name }) => [name, read()]))
}

/** At most w - 1 of the n replicas of a blog (REPLICATION, What it promises). */
function drawLiars(
  spokes: readonly PeerPlan[],
  replicas: number,
  chance: Random,
): Record<string, Lie> {
  const most = Math.min(Math.floor(replicas / 2), spokes.length - 1)
  const chosen = spokes.slice(-chance.between(Math.min(1, most), Math.max(0, most)))
  if (most < 1) return {}
  return Object.fromEntries(chosen.map(({ name }) => [name, chance.pick(lies)]))
}

function drawStep(chance: Random): Step {
  const isLong = chance.chance(0.02)
  return {
    waitMs: isLong ? chance.between(5_000, 25_000) : Math.floor(1_400 * chance.next() ** 2),
    kind: chance.next(),
    draws: [chance.next(), chance.next(), chance.next(), chance.next()],
  }
}
