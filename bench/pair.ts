import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PeerName } from '../src/auth/peer-signature.ts'
import { Child } from './child.ts'
import { SignedLog } from './signed-log.ts'

type Started = { readonly peer: PeerName; readonly council: string; readonly bootstrap: string }

/** Whether entries go by themselves, or only when they are asked for. */
export type Ways = { readonly gossip: boolean; readonly push: boolean; readonly pull: boolean }

/**
 * A council of two spokes, each a process of its own, that both keep every blog. Disposing ends
 * the processes and removes their folders.
 */
export class Pair {
  readonly primary: Child
  readonly secondary: Child
  readonly primaryName: PeerName
  readonly folder: string
  readonly #council: string
  readonly #stack: AsyncDisposableStack

  private constructor(parts: {
    primary: Child
    secondary: Child
    primaryName: PeerName
    folder: string
    council: string
    stack: AsyncDisposableStack
  }) {
    this.primary = parts.primary
    this.secondary = parts.secondary
    this.primaryName = parts.primaryName
    this.folder = parts.folder
    this.#council = parts.council
    this.#stack = parts.stack
  }

  static async start(ways: Ways): Promise<Pair> {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'council-bench-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const primary = stack.use(new Child('./spoke-process.ts'))
    const secondary = stack.use(new Child('./spoke-process.ts'))
    const first = await primary.ask<Started>('start', {
      config: config('a', ways, { zone: 'bench.localhost' }),
      folder: join(folder, 'a'),
    })
    await secondary.ask<Started>('start', {
      config: config('b', ways, { bootstrap: first.bootstrap }),
      folder: join(folder, 'b'),
    })
    const { peer: primaryName, council } = first
    return new Pair({ primary, secondary, primaryName, council, folder, stack: stack.move() })
  }

  /** A blog with nothing in it but its genesis, which both spokes hold. */
  async claim(blog: string): Promise<SignedLog> {
    const log = await SignedLog.open(this.#council, blog)
    const [genesis] = await log.next(1)
    const id = await this.primary.ask<string>('claim', genesis)
    const deadline = Date.now() + 20_000
    while (!(await this.primary.ask<boolean>('claimed', id))) {
      if (Date.now() > deadline) throw new Error('the claim did not become ready in 20 s')
      await this.pull(blog)
      await pause(100)
    }
    return log
  }

  /** The secondary asks the primary for a blog. @returns how far it has come then */
  pull(blog: string): Promise<number> {
    return this.secondary.ask('pull', { peer: this.primaryName, blog })
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
