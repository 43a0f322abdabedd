import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { checkAddresses } from '../../src/node/demo/addresses.ts'
import { CouncilNames } from '../../src/node/demo/names.ts'
import { type DemoPeer, DemoPeers } from '../../src/node/demo/peers.ts'
import { type DemoPlan, planDemo } from '../../src/node/demo/plan.ts'
import { GpgHome } from '../support/gpg.ts'
import { randomOf } from '../support/simulation/random.ts'
import { check, type Found, type Place, replicasOf, unrest } from './checker.ts'
import { describeFault, type Fault, planFaults } from './faults.ts'
import { Writer } from './writer.ts'

export type TortureInit = {
  readonly faults: number
  readonly seed: number
  readonly silenceMs: number
  readonly spokes: number
  readonly writers: number
  /** TCP port of the pages; see `planDemo` for the others */
  readonly port: number
  /** where all peers' folders are; stays */
  readonly folder: string
  readonly say: (line: string) => void
}

/** One fault as it went. */
export type Felt = {
  readonly fault: Fault
  readonly victim: string
  /** longest time that an author waited for one entry, of those that waited while it lasted, ms */
  readonly pauseMs: number
}

export type Outcome = Found & {
  /** what was still not right long after everything was healed; null when all was */
  readonly unrest: string | null
  readonly published: number
  readonly felt: readonly Felt[]
  /** from signing to published, of all entries, ms */
  readonly latencies: readonly number[]
  readonly tookMs: number
}

/** How long a start, or a rest after everything was healed, may take, ms. */
const startMs = 90_000
const restMs = 120_000

/**
 * A council of real processes, authors who publish all the time, and faults, one after the other.
 * Afterwards everything is started and healed, and what the authors were told is compared with what
 * every replica holds.
 */
export async function torture(init: TortureInit): Promise<Outcome> {
  const beginMs = Date.now()
  const { seed, faults, silenceMs, say } = init
  await using stack = new AsyncDisposableStack()
  const stopping = new AbortController()
  const council = stack.use(await TortureCouncil.start(init, stopping.signal))
  const writers = await council.openWriters(stack.use(disposable(new GpgHome())))
  say(`${init.spokes} spokes and the authority run, ${writers.length} authors write`)
  const writing = writers.map((writer) => writer.write(stopping.signal))
  const failed = Promise.all(writing)
  failed.catch(() => undefined)

  const felt: Felt[] = []
  const active: Applied[] = []
  for (const [index, fault] of planFaults(seed, faults, silenceMs).entries()) {
    const fromMs = Date.now()
    const applied = await council.apply(fault, writers)
    active.push(applied)
    await Promise.race([wait(fault.lastsMs), failed])
    if (!fault.overlaps) {
      await Promise.all(active.splice(0).map((each) => each.heal()))
      await settle(writers)
    }
    const pauseMs = longestWait(writers, fromMs)
    felt.push({ fault, victim: applied.victim, pauseMs })
    const lasted = `${(fault.lastsMs / 1_000).toFixed(1)} s`.padStart(6)
    say(
      `${String(index + 1).padStart(4)}  ${describeFault(fault, applied.victim).padEnd(40)} ${lasted}${fault.overlaps ? ' +' : '  '}  longest wait ${(pauseMs / 1_000).toFixed(1)} s`,
    )
  }
  await Promise.all(active.splice(0).map((each) => each.heal()))
  await settle(writers)
  stopping.abort()
  await failed
  say('all started and healed; waiting until every replica has the same')
  const left = await atRest(writers, council.places)
  say('comparing')
  const at = { zone: council.zone, folder: join(init.folder, 'exports'), silenceMs }
  const found = await check(writers, council.places, at)
  return {
    ...found,
    unrest: left ?? (await council.strayDns(writers)),
    published: writers.reduce((sum, { published }) => sum + published.length, 0),
    felt,
    latencies: writers.flatMap(({ published }) =>
      published.map((each) => each.publishedMs - each.signedMs),
    ),
    tookMs: Date.now() - beginMs,
  }
}

type Applied = { readonly victim: string; readonly heal: () => Promise<void> }

/** The processes of a run: the authority, and spokes a, b, c …, of which a answers DNS. */
class TortureCouncil {
  readonly #plan: DemoPlan
  readonly #peers: DemoPeers
  readonly #init: TortureInit
  #id = ''

  private constructor(init: TortureInit, plan: DemoPlan, peers: DemoPeers) {
    this.#init = init
    this.#plan = plan
    this.#peers = peers
  }

  static async start(init: TortureInit, signal: AbortSignal): Promise<TortureCouncil> {
    const { spokes, port, silenceMs, folder } = init
    const plan = planDemo({ spokes, port, silenceMs })
    await checkAddresses(plan)
    await mkdir(folder, { recursive: true })
    const never = new AbortController()
    const peers = new DemoPeers({
      ...{ plan, folder, env: process.env, signal: never.signal, readyMs: startMs },
      // A process that was stopped for long may end itself; healing starts it again.
      lost: ({ name }) => {
        if (!signal.aborted) init.say(`      ${name} ended by itself`)
      },
      settings: {
        // Soon enough that some faults outlast it, and copies are made anew.
        failover: { silenceMs, replaceAfterMs: 2_000 },
        exchange: { pullMs: 2_000 },
        limits: { blogBurst: 100_000, blogHourly: 100_000, blogBytes: 1_000_000_000 },
      },
    })
    const council = new TortureCouncil(init, plan, peers)
    try {
      await council.#start()
      return council
    } catch (error) {
      await peers[Symbol.asyncDispose]()
      throw error
    }
  }

  async #start(): Promise<void> {
    const { authority, spokes } = this.#plan
    await this.#peers.relays.start()
    const { ready } = await this.#peers.start(authority, null)
    const { bootstrap, council } = await ready
    this.#id = council
    await Promise.all(spokes.map((spoke) => this.#peers.start(spoke, bootstrap)))
    // The authority gives a blog copies on spokes that it has heard.
    await wait(this.#plan.silenceMs)
  }

  get zone(): string {
    return this.#plan.zone
  }

  get places(): Place[] {
    const { spokes, port } = this.#plan
    return spokes.map(({ name, host }) => ({ name, url: `http://${host}:${port}` }))
  }

  async openWriters(gpg: GpgHome): Promise<Writer[]> {
    const { writers, seed } = this.#init
    const spokes = this.places.map(({ url }) => url)
    const signal = AbortSignal.timeout(startMs)
    return Promise.all(
      Array.from({ length: writers }, async (_, index) => {
        const name = `writer-${index + 1}`
        const random = randomOf(seed, name)
        const init = { name, council: this.#id, gpg, spokes, random, pauseMs: 400 }
        const writer = await Writer.open(init)
        await writer.claim(index + 1, signal)
        return writer
      }),
    )
  }

  async apply(fault: Fault, writers: readonly Writer[]): Promise<Applied> {
    const victim = await this.#choose(fault, writers)
    const { name } = victim
    switch (fault.kind) {
      case 'kill':
        await victim.kill()
        break
      case 'restart':
        await victim.stop()
        break
      case 'freeze':
        victim.freeze()
        break
      default:
        return { victim: name, heal: this.#cut(fault, victim) }
    }
    const heal = async () => {
      if (victim.isFrozen) victim.thaw()
      victim.start()
      await victim.ready
    }
    return { victim: name, heal }
  }

  #cut(fault: Fault, { name }: DemoPeer): () => Promise<void> {
    const { relays } = this.#peers
    const others = this.#peers.all.map((peer) => peer.name).filter((each) => each !== name)
    const from =
      fault.from === 'all' || (fault.from === 'authority' && name === 'authority')
        ? others
        : [
            fault.from === 'authority'
              ? 'authority'
              : (others[fault.from % others.length] as string),
          ]
    for (const other of from) {
      if (fault.kind !== 'deafen') relays.cut(name, other)
      if (fault.kind !== 'mute') relays.cut(other, name)
    }
    return async () => {
      for (const other of from) relays.mendBetween(name, other)
    }
  }

  /** Whom a fault meets: one that runs, if there is one of that kind. */
  async #choose(fault: Fault, writers: readonly Writer[]): Promise<DemoPeer> {
    const named = await this.#candidates(fault, writers)
    const up = named.filter((peer) => peer.isRunning && !peer.isFrozen)
    const all = this.#peers.all.filter((peer) => peer.isRunning && !peer.isFrozen)
    const from = up.length > 0 ? up : all
    return from[fault.which % from.length] as DemoPeer
  }

  async #candidates(fault: Fault, writers: readonly Writer[]): Promise<DemoPeer[]> {
    const peers = this.#peers.all
    if (fault.target === 'authority') return peers.filter(({ isAuthority }) => isAuthority)
    if (fault.target === 'dns')
      return peers.filter(({ hasDns, isAuthority }) => hasDns && !isAuthority)
    const { name } = writers[fault.blog % writers.length] as Writer
    const replicas = await replicasOf(name, this.places)
    return replicas
      .filter(({ role }) => role === fault.target)
      .flatMap(({ place }) => this.#peers.get(place.name) ?? [])
  }

  /** Once all is well, `edit.<blog>` leads to the primary by every DNS peer. Null: it does. */
  async strayDns(writers: readonly Writer[]): Promise<string | null> {
    const { dnsPort, zone } = this.#plan
    for (const { name } of writers) {
      const [primary] = (await replicasOf(name, this.places)).filter(
        ({ role }) => role === 'primary',
      )
      const host = primary === undefined ? '' : new URL(primary.place.url).hostname
      for (const peer of this.#peers.all.filter(({ hasDns }) => hasDns)) {
        const names = new CouncilNames([`${peer.host}:${dnsPort}`], Date.now)
        const found = await names.lookup(`edit.${name}.${zone}`)
        const addresses = found.kind === 'found' ? found.addresses : []
        if (!addresses.includes(host))
          return `DNS of ${peer.name} says ${addresses} for edit.${name}, its primary is ${host}`
      }
    }
    return null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#peers[Symbol.asyncDispose]()
  }
}

/** Until each author has something published that she began after now; or until it is too late. */
async function settle(writers: readonly Writer[]): Promise<void> {
  const fromMs = Date.now()
  const isDone = () => writers.every(({ published }) => (published.at(-1)?.signedMs ?? 0) >= fromMs)
  while (!isDone() && Date.now() - fromMs < restMs) await wait(100)
}

/** The longest that an author has waited for one entry, of those that were under way since then, ms. */
function longestWait(writers: readonly Writer[], fromMs: number): number {
  const waits = writers.flatMap(({ published, waitsSinceMs }) => [
    ...published
      .filter((each) => each.publishedMs >= fromMs)
      .map((each) => each.publishedMs - each.signedMs),
    waitsSinceMs === null ? 0 : Date.now() - waitsSinceMs,
  ])
  return Math.max(0, ...waits)
}

async function atRest(
  writers: readonly Writer[],
  places: readonly Place[],
): Promise<string | null> {
  const endMs = Date.now() + restMs
  for (;;) {
    const left = await unrest(writers, places)
    if (left === null || Date.now() > endMs) return left
    await wait(500)
  }
}

const disposable = (gpg: GpgHome): GpgHome & AsyncDisposable =>
  Object.assign(gpg, { [Symbol.asyncDispose]: async () => gpg[Symbol.dispose]() })
