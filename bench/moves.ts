import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Signed } from '../src/replication/log/text.ts'
import type { ProofRow } from '../src/replication/registry/proof.ts'
import { Child } from './child.ts'
import { config, pause } from './council.ts'
import { quantile, type Result } from './figures.ts'
import { SignedLog } from './signed-log.ts'

const blogs = 1_000
const perBatch = 100
const names = ['a', 'b', 'c', 'd'] as const
const ways = { gossip: true, push: true, pull: true }
const failover = { silenceMs: 3_000, replaceAfterMs: 600_000 }
/** Entries of the blog that is moved by an order. */
const entries = 1_000
/** Posts that its author publishes when it has been moved, one after the other as all before. */
const postsAfter = 20
const deadlineMs = 120_000

type Started = { readonly council: string; readonly bootstrap: string }
type Council = { readonly id: string; readonly of: (name: string) => Child }

/**
 * A council of four spokes in processes of their own: one that leads a thousand blogs is killed, and a
 * blog with a thousand entries is moved to the spoke that had no copy, while its author writes.
 */
export async function benchMoves(): Promise<readonly Result[]> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'council-bench-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const children = new Map(
    names.map((name) => [name as string, stack.use(new Child('./spoke-process.ts'))]),
  )
  const of = (name: string) => children.get(name) as Child
  const start = (name: string, council: object) =>
    of(name).ask<Started>('start', {
      config: { ...config(name, ways, council, 3), failover, limits: { blogBurst: 100_000 } },
      folder: join(folder, name),
    })
  const { bootstrap, council: id } = await start('a', { zone: 'bench.localhost' })
  for (const name of names.slice(1)) await start(name, { bootstrap })
  // Until the authority has listened for a whole silence, and the holders are three.
  await pause(3 * failover.silenceMs)
  const moved = await benchTransfer({ id, of })
  return [moved, await benchManyBlogs({ id, of })]
}

async function benchTransfer({ id, of }: Council): Promise<Result> {
  const log = await SignedLog.open(id, 'maria')
  const [genesis] = (await log.next(1)) as [Signed]
  const [proof] = await of('a').ask<ProofRow[]>('assign', {
    genesis: [genesis],
    replicas: ['b', 'a', 'c'],
  })
  await of('b').ask('lead', [{ genesis, proof }])
  await of('b').ask('fill', { blog: 'maria', entries: await log.next(entries) })
  const publish = async () => of('a').ask<number>('publish', (await log.next(1))[0])
  // The first waits until everybody has all before it; nothing is moved yet.
  await publish()
  await of('a').ask('transfer', { blog: 'maria', spoke: 'd' })
  const during: number[] = []
  const latest = performance.now() + deadlineMs
  for (let after = 0; after < postsAfter; ) {
    during.push(await publish())
    if ((await of('d').ask<number>('led')) === 1) after++
    if (performance.now() > latest) throw new Error('the blog was not moved')
  }
  return {
    name: `transfer: a blog of ${entries} entries to a spoke without a copy, while its author publishes ${during.length} posts`,
    lines: [
      `a post takes p50 ${quantile(during, 0.5).toFixed(0)} ms, p99 ${quantile(during, 0.99).toFixed(0)} ms`,
      `the longest, which is the pause: ${Math.max(...during).toFixed(0)} ms`,
    ],
    ...{ ratio: Math.max(...during) / 1_000, wanted: 'most', target: 2, unit: 'the pause, s' },
  }
}

async function benchManyBlogs({ id, of }: Council): Promise<Result> {
  for (let at = 0; at < blogs; at += perBatch) {
    const genesis: Signed[] = []
    for (let n = at; n < at + perBatch; n++) {
      const log = await SignedLog.open(id, `blog-${String(n).padStart(4, '0')}x`)
      genesis.push(...(await log.next(1)))
    }
    const proofs = await of('a').ask<ProofRow[]>('assign', { genesis, replicas: ['b', 'c', 'd'] })
    const given = genesis.map((each, index) => ({ genesis: each, proof: proofs[index] }))
    await of('b').ask('lead', given)
    for (const name of ['c', 'd']) await of(name).ask('keep', proofs)
  }
  // On a busy machine some may have been given to others before: all lead, most of them `b`.
  const ledBy = (spokes: readonly string[]) =>
    Promise.all(spokes.map((name) => of(name).ask<number>('led'))).then((each) =>
      each.reduce((sum, count) => sum + count, 0),
    )
  await until(async () => (await ledBy(['b', 'c', 'd'])) >= blogs)
  const lost = await ledBy(['b'])
  const killed = performance.now()
  await of('b').kill()
  await until(() => of('a').ask<boolean>('isAway', 'b'))
  const detected = performance.now()
  const before = await ledBy(['c', 'd'])
  await until(async () => (await ledBy(['c', 'd'])) >= blogs)
  const done = performance.now()
  const seconds = (done - detected) / 1_000
  return {
    name: `fail-over of ${lost} blogs that one spoke led, of ${blogs}`,
    lines: [
      `kill -9 → its silence is an act: ${((detected - killed) / 1_000).toFixed(1)} s (silence ${failover.silenceMs / 1_000} s)`,
      `the act → all ${blogs} take writes at the others: ${seconds.toFixed(1)} s; ${before} did at the first look`,
    ],
    ...{ ratio: seconds, wanted: 'most', target: 10, unit: 's' },
  }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const latest = performance.now() + deadlineMs
  while (!(await isSo())) {
    if (performance.now() > latest) throw new Error('it took too long')
    await pause(20)
  }
}
