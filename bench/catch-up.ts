import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Signed } from '../src/replication/log/text.ts'
import { maxPageBytes } from '../src/replication/protocol.ts'
import { Child } from './child.ts'
import { Council, pause } from './council.ts'
import { addCosts, type Cost, formatRate, quantile, type Result } from './figures.ts'

const count = 10_000
const rounds = 5
/** A blog for each round, and some more; the first finds processes that have not done it before. */
const blogs = ['anna', 'bruno', 'carla', 'dario', 'elena', 'fabio', 'greta', 'hanna', 'ivano']
/**
 * A spoke that uses less than this part of a core has done what follows from its new entries, but
 * for their signatures: of these it checks a hundred a second, for as long as that takes.
 */
const idle = 0.3
const lookMs = 300
const idleWithinMs = 60_000

/**
 * Catch-up of a new secondary, which holds only the genesis, of a blog that its primary and another
 * secondary hold and have published; against the same bytes over a bare libp2p stream with chain
 * check and synced batches. Both between two processes that are connected already, in turns; the
 * middle round counts.
 */
export async function benchCatchUp(): Promise<Result> {
  const ours: Cost[] = []
  const bare: Cost[] = []
  const ways = { gossip: false, push: false, pull: false }
  await using council = await Council.start(ways, ['a', 'b', 'c'])
  const { primary } = council
  const [older, newest] = council.secondaries as [Child, Child]
  await using bareStream = await BareStream.start()
  for (const blog of blogs) {
    if (ours.length === rounds) break
    const log = await council.claim(blog)
    const entries = await log.next(count)
    try {
      await primary.ask('fill', { blog, entries })
      await council.pull(older, blog)
    } catch {
      // The authority has just moved the blog: not what is measured here.
      continue
    }
    for (const each of [primary, older, newest]) await untilIdle(each)
    // Spokes look at each other's pages now and then, and a secondary that lacks what is asked for
    // pulls it: then there is nothing left to measure.
    if ((await newest.ask('head', blog)) !== 0) continue
    let head = 0
    const cost = await costOfBoth(primary, newest, async () => {
      head = await council.pull(newest, blog)
    })
    if (head !== count) continue
    ours.push(cost)
    await bareStream.hold(entries)
    bare.push(await bareStream.catchUp())
  }
  if (ours.length < rounds) throw new Error(`only ${ours.length} rounds were undisturbed`)
  const ratios = ours.map(({ wall }, round) => (bare[round] as Cost).wall / wall)
  const [allOurs, allBare] = [addCosts(ours), addCosts(bare)]
  const entries = count * rounds
  return {
    name: `catch-up: a new secondary, ${count} published entries of 1 KB, two processes (CPU of both)`,
    lines: [
      `ours        ${formatRate(entries, allOurs)}`,
      `bare stream ${formatRate(entries, allBare)}`,
      `ratio by wall in single rounds ${ratios.map((ratio) => ratio.toFixed(2)).join(' ')}`,
      `ratio by CPU, all rounds ${(allBare.cpu / allOurs.cpu).toFixed(2)}`,
    ],
    ratio: quantile(ratios, 0.5),
    wanted: 'least',
    target: 0.5,
  }
}

/** The other side: two processes with a bare stream between them. */
class BareStream {
  readonly #server: Child
  readonly #client: Child
  readonly #address: string
  readonly #stack: AsyncDisposableStack
  #prev = ''

  private constructor(parts: {
    server: Child
    client: Child
    address: string
    stack: AsyncDisposableStack
  }) {
    this.#server = parts.server
    this.#client = parts.client
    this.#address = parts.address
    this.#stack = parts.stack
  }

  static async start(): Promise<BareStream> {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'council-bench-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const server = stack.use(new Child('./bare-process.ts'))
    const client = stack.use(new Child('./bare-process.ts'))
    const address = await server.ask<string>('start', join(folder, 'a'))
    await client.ask('start', join(folder, 'b'))
    await client.ask('connect', address)
    return new BareStream({ server, client, address, stack: stack.move() })
  }

  /** What the server sends from now on. */
  async hold(entries: readonly Signed[]): Promise<void> {
    await this.#server.ask('hold', toPages(entries))
    const first = Buffer.from(entries[0]?.text ?? []).toString()
    this.#prev = /\nprev ([0-9a-f]{64})\n/.exec(first)?.[1] ?? ''
  }

  catchUp(): Promise<Cost> {
    return costOfBoth(this.#server, this.#client, async () => {
      const asked = { address: this.#address, count, prev: this.#prev }
      const held = await this.#client.ask<number>('fetch', asked)
      if (held !== count) throw new Error(`the bare client stopped at ${held}`)
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync()
  }
}

/** Pages of the size that a sync answer has. */
function toPages(entries: readonly Signed[]): Buffer[] {
  const pages: Buffer[] = []
  let parts: Uint8Array[] = []
  let size = 0
  for (const { text, signature } of entries) {
    const bytes = text.length + signature.length
    if (size + bytes > maxPageBytes) {
      pages.push(Buffer.concat(parts))
      parts = []
      size = 0
    }
    size += bytes
    parts.push(lengthOf(text), text, lengthOf(signature), signature)
  }
  return [...pages, Buffer.concat(parts)]
}

function lengthOf(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return length
}

/** Waits until a process has nothing to do any more: its index has taken what came in. */
async function untilIdle(child: Child): Promise<void> {
  const latest = performance.now() + idleWithinMs
  for (let before = await child.ask<number>('cpu'); ; ) {
    await pause(lookMs)
    const now = await child.ask<number>('cpu')
    if (now - before < (idle * lookMs) / 1_000) return
    if (performance.now() > latest) throw new Error('a spoke does not come to rest')
    before = now
  }
}

async function costOfBoth(first: Child, second: Child, job: () => Promise<void>): Promise<Cost> {
  const before = await Promise.all([first.ask<number>('cpu'), second.ask<number>('cpu')])
  const start = process.hrtime.bigint()
  await job()
  const wall = Number(process.hrtime.bigint() - start) / 1e9
  const after = await Promise.all([first.ask<number>('cpu'), second.ask<number>('cpu')])
  return { wall, cpu: after[0] + after[1] - before[0] - before[1] }
}
