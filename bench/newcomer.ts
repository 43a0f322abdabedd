import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DemoPeers } from '../src/node/demo/peers.ts'
import { planDemo } from '../src/node/demo/plan.ts'
import { pause } from './council.ts'
import { quantile, type Result } from './figures.ts'
import { look, publishNext, startAuthors } from './one-network.ts'

const spokes = 4
const newcomers = 5
/** As many as the front page shows. */
const posts = 20
const startMs = 90_000
const pollMs = 20
/** A newcomer that shows no front page after so long shows none, ms. */
const missingMs = 60_000

/**
 * From the moment at which a newcomer hears that it is admitted until its front page has every post
 * of the council's, which it keeps none of. All peers are processes of their own.
 */
export async function benchNewcomer(): Promise<Result> {
  const plan = planDemo({ spokes: spokes + newcomers, port: 8_780 })
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'council-bench-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const peers = stack.use(
    new DemoPeers({
      ...{ plan, folder, env: process.env, signal: new AbortController().signal },
      ...{ readyMs: startMs, lost: () => undefined },
      settings: { web: { origin: `http://{host}:${plan.port}`, trustedProxies: ['127.0.0.1'] } },
    }),
  )
  await peers.relays.start()
  const { bootstrap, council } = await (await peers.start(plan.authority, null)).ready
  const first = plan.spokes.slice(0, spokes)
  await Promise.all(first.map((spoke) => peers.start(spoke, bootstrap)))
  const authors = await startAuthors({ ...plan, spokes: first }, folder, council)
  const slugs: string[] = []
  for (let n = 0; n < posts; n++) slugs.push(await publishNext(authors, n))
  const pageOf = (host: string) => look(`http://${host}:${plan.port}/`).catch(() => '')
  const isWhole = (page: string) => slugs.every((slug) => page.includes(`/${slug}"`))
  for (const { host } of first) while (!isWhole(await pageOf(host))) await pause(pollMs)
  const ms: number[] = []
  for (const newcomer of plan.spokes.slice(spokes)) {
    await peers.start(newcomer, bootstrap)
    const admittedMs = performance.now()
    const since = () => performance.now() - admittedMs
    while (!isWhole(await pageOf(newcomer.host)) && since() < missingMs) await pause(pollMs)
    ms.push(since())
  }
  return {
    name: `a newcomer is admitted → its front page has all ${posts} posts of ${spokes} spokes in processes of their own`,
    lines: [
      `${newcomers} newcomers: ${ms.map((each) => `${each.toFixed(0)} ms`).join(', ')}`,
      `p50 ${quantile(ms, 0.5).toFixed(0)} ms`,
    ],
    ...{ ratio: Math.max(...ms) / 1_000, unit: 'longest, s', wanted: 'most', target: 5 },
  }
}
