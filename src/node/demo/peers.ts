import { join } from 'node:path'
import { z } from 'zod'
import { writePeer } from '../init.ts'
import { Child } from './child.ts'
import { type DemoPlan, type PlannedPeer, peerConfig } from './plan.ts'
import { type RelayedPeer, Relays } from './relays.ts'

/** What `start --json` says. */
const readyLine = z.object({
  peerId: z.string(),
  council: z.string(),
  bootstrap: z.string(),
  addresses: z.array(z.string()).min(1),
})
export type ReadyLine = z.infer<typeof readyLine>

export type DemoPeersInit = {
  readonly plan: DemoPlan
  /** each peer has a folder of its name in it */
  readonly folder: string
  readonly env: NodeJS.ProcessEnv
  /** aborted: no process is started any more */
  readonly signal: AbortSignal
  /** how long a peer may take until its council has admitted it, ms */
  readonly readyMs: number
  /** hears of a process that ended without having been asked to */
  readonly lost: (peer: DemoPeer) => void
  /** hears when one that was lost is a member again */
  readonly back?: (peer: DemoPeer) => void
  /** what every config has besides that of the plan */
  readonly settings?: object
}

/**
 * The peers of a council on this machine, each a process of its own behind a relay: they can be
 * killed, stopped, started again, and cut off from each other. Disposing it ends all of them.
 */
export class DemoPeers {
  readonly relays: Relays
  readonly #init: DemoPeersInit
  readonly #peers = new Map<string, DemoPeer>()

  constructor(init: DemoPeersInit) {
    this.#init = init
    const { authority, spokes } = init.plan
    this.relays = new Relays([authority, ...spokes].map((peer) => relayed(init.plan, peer)))
  }

  /** All that were started once, in the order of the plan. */
  get all(): readonly DemoPeer[] {
    const { authority, spokes } = this.#init.plan
    return [authority, ...spokes].flatMap(({ name }) => this.#peers.get(name) ?? [])
  }

  get(name: string): DemoPeer | null {
    return this.#peers.get(name) ?? null
  }

  /** Writes its config and starts it. Resolves when its council has admitted it. */
  async start(planned: PlannedPeer, bootstrap: string | null): Promise<DemoPeer> {
    const { plan, folder, env, signal, readyMs, lost, back, settings } = this.#init
    const dir = join(folder, planned.name)
    const { config } = await writePeer(dir, {
      ...peerConfig(plan, planned, bootstrap),
      ...settings,
    })
    let isLost = false
    const peer = new DemoPeer({ ...planned, dir, config }, () => {
      signal.throwIfAborted()
      const title = titleOf(planned)
      const args = ['start', '--config', config, '--json', '--until-input-ends']
      const child = new Child({ name: title, args, log: join(dir, 'log.jsonl') }, env)
      child.onLost(() => {
        isLost = true
        lost(peer)
      })
      const ready = child.ready(readyMs).then((line) => {
        if (isLost) back?.(peer)
        isLost = false
        return readyLine.parse(line)
      })
      return { child, ready }
    })
    this.#peers.set(planned.name, peer)
    await peer.ready
    return peer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map((peer) => peer[Symbol.asyncDispose]()))
    await this.relays[Symbol.asyncDispose]()
  }
}

type Started = { readonly child: Child; readonly ready: Promise<ReadyLine> }

/** One peer: its place in the plan, and the process that runs it now. */
export class DemoPeer {
  readonly name: string
  readonly host: string
  readonly isAuthority: boolean
  readonly hasDns: boolean
  readonly dir: string
  /** its council.json */
  readonly config: string
  readonly #begin: () => Started
  #started: Started
  #isFrozen = false

  constructor(
    place: PlannedPeer & { readonly dir: string; readonly config: string },
    begin: () => Started,
  ) {
    this.name = place.name
    this.host = place.host
    this.isAuthority = place.isAuthority
    this.hasDns = place.hasDns
    this.dir = place.dir
    this.config = place.config
    this.#begin = begin
    this.#started = begin()
    this.ready.catch(() => undefined)
  }

  get pid(): number {
    return this.#started.child.pid
  }

  /** Whether it has a process, which may stand still. */
  get isRunning(): boolean {
    return this.#started.child.isRunning
  }

  get isFrozen(): boolean {
    return this.#isFrozen && this.isRunning
  }

  /** What the process that runs now says when it is a member. Rejects with its last log lines. */
  get ready(): Promise<ReadyLine> {
    return this.#started.ready
  }

  /** Starts the process again, unless it runs. `ready` says when it is a member. */
  start(): void {
    if (this.isRunning) return
    this.#isFrozen = false
    this.#started = this.#begin()
    this.ready.catch(() => undefined)
  }

  /** kill -9. */
  kill(): Promise<void> {
    return this.#started.child.kill()
  }

  /** Stops it in order. */
  stop(): Promise<void> {
    return this.#started.child[Symbol.asyncDispose]()
  }

  freeze(): void {
    this.#isFrozen = true
    this.#started.child.signal('SIGSTOP')
  }

  thaw(): void {
    this.#isFrozen = false
    this.#started.child.signal('SIGCONT')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isFrozen) await this.kill()
    else await this.stop()
  }
}

/** What a peer is called on the screen. */
export const titleOf = ({ name, isAuthority }: Pick<PlannedPeer, 'name' | 'isAuthority'>) =>
  isAuthority ? 'authority' : `spoke ${name}`

const relayed = (plan: DemoPlan, { name, host }: PlannedPeer): RelayedPeer => ({
  ...{ name, host, port: plan.p2pPort, innerPort: plan.innerPort },
})
