import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PeerName } from '../src/auth/peer-signature.ts'
import { Child } from './child.ts'
import { SignedLog } from './signed-log.ts'

/** A spoke that joined just now is made a replica a little later. */
const claimWithinMs = 60_000

type Started = { readonly peer: PeerName; readonly council: string; readonly bootstrap: string }

/** Whether entries go by themselves, or only when they are asked for. */
export type Ways = { readonly gossip: boolean; readonly push: boolean; readonly pull: boolean }

/**
 * A council of spokes, each a process of its own, that all keep every blog. Disposing ends the
 * processes and removes their folders.
 */
export class Council {
  readonly primary: Child
  readonly secondaries: readonly Child[]
  readonly primaryName: PeerName
  readonly folder: string
  readonly #council: string
  readonly #stack: AsyncDisposableStack

  private constructor(parts: {
    primary: Child
    secondaries: readonly Child[]
    primaryName: PeerName
    folder: string
    council: string
    stack: AsyncDisposableStack
  }) {
    this.primary = parts.primary
    this.secondaries = parts.secondaries
    this.primaryName = parts.primaryName
    this.folder = parts.folder
    this.#council = parts.council
    this.#stack = parts.stack
  }

  /** @param names - of the spokes; the first founds the council and leads all blogs */
  static async start(ways: Ways, names: readonly [string, ...string[]]): Promise<Council> {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'council-bench-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const [founder, ...others] = names
    const primary = stack.use(new Child('./spoke-process.ts'))
    const first = await primary.ask<Started>('start', {
      config: config(founder, ways, { zone: 'bench.localhost' }, names.length),
      folder: join(folder, founder),
    })
    const secondaries: Child[] = []
    for (const name of others) {
      const secondary = stack.use(new Child('./spoke-process.ts'))
      await secondary.ask<Started>('start', {
        config: config(name, ways, { bootstrap: first.bootstrap }),
        folder: join(folder, name),
      })
      secondaries.push(secondary)
    }
    const { peer: primaryName, council } = first
    return new Council({ primary, secondaries, primaryName, council, folder, stack: stack.move() })
  }

  /** A blog with nothing in it but its genesis, which all spokes hold. */
  async claim(blog: string): Promise<SignedLog> {
    const log = await SignedLog.open(this.#council, blog)
    const [genesis] = await log.next(1)
    const id = await this.primary.ask<string>('claim', genesis)
    const deadline = Date.now() + claimWithinMs
    for (;;) {
      const held = await Promise.all(this.secondaries.map((each) => this.pull(each, blog)))
      const isReady = await this.primary.ask<boolean>('claimed', id)
      const copies = await this.primary.ask<number>('copies', blog)
      if (isReady && copies > this.secondaries.length && held.every((seq) => seq === 0)) return log
      if (Date.now() > deadline) throw new Error('the claim did not become ready in a minute')
      await pause(100)
    }
  }

  /** A secondary asks the primary for a blog. @returns how far it has come then */
  pull(secondary: Child, blog: string): Promise<number> {
    return secondary.ask('pull', { peer: this.primaryName, blog })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** @param replicas - copies wanted, where the peer founds its council */
export function config(name: string, ways: Ways, council: object, replicas = 2): object {
  return {
    name,
    operator: name,
    peer: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    council,
    web: { origin: 'http://{host}' },
    spoke: { host: '127.0.0.1', port: 0 },
    ...('zone' in council ? { authority: { replicas } } : {}),
    exchange: ways,
  }
}
