import { Resolver } from 'node:dns/promises'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { SpokeClient } from '../src/node/blogger/client.ts'
import { DemoAuthor } from '../src/node/demo/author.ts'
import { DemoPeers } from '../src/node/demo/peers.ts'
import { type DemoPlan, planDemo } from '../src/node/demo/plan.ts'
import { pause } from './council.ts'
import { quantile, type Result } from './figures.ts'

const kills = 12
const name = 'maria'
const startMs = 90_000
/** Between two tries of the author, and between two questions to DNS, ms. */
const pollMs = 20

/** What a kill came to, ms after it; null: the authority's log does not say when the act was written. */
type Killed = { readonly publishedMs: number; readonly dnsAfterActMs: number | null }

/**
 * kill -9 of a primary, until an author who goes on trying at other spokes has published her next
 * post; and from the act that names the new primary until the authority's DNS answers with it. With
 * a silence of 3 s and with the default of 15 s, in a council of five spokes, one kill after the
 * other, the killed spoke started again each time.
 */
export async function benchFailOver(): Promise<readonly Result[]> {
  const results: Result[] = []
  for (const { silenceMs, target } of [
    { silenceMs: 3_000, target: 8 },
    { silenceMs: 15_000, target: 25 },
  ])
    results.push(...(await measure(silenceMs, target)))
  return results
}

async function measure(silenceMs: number, target: number): Promise<Result[]> {
  const plan = planDemo({ spokes: 5, port: 8_680, silenceMs })
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'council-bench-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const peers = stack.use(
    new DemoPeers({
      ...{ plan, folder, env: process.env, signal: new AbortController().signal },
      ...{ readyMs: startMs, lost: () => undefined },
    }),
  )
  await peers.relays.start()
  const { bootstrap, council } = await (await peers.start(plan.authority, null)).ready
  await Promise.all(plan.spokes.map((spoke) => peers.start(spoke, bootstrap)))
  await pause(silenceMs)
  const articles = Array.from({ length: 1_000 }, (_, index) => ({
    ...{ slug: `post-${index}`, title: `Post ${index}`, body: 'A text.' },
  }))
  const author = await DemoAuthor.open(
    {
      blog: { name, lang: 'en', title: 'Maria', about: 'A blog.', articles },
      ...{ folder: join(folder, 'authors'), council },
      spokes: plan.spokes.map(({ host }) => `http://${host}:${plan.port}`),
    },
    { env: process.env, now: Date.now } as Parameters<typeof DemoAuthor.open>[1],
  )
  while ((await author.claim()) === null) await pause(pollMs)
  const found: Killed[] = []
  for (let index = 0; index < kills; index++) found.push(await killOnce(plan, peers, author))
  const seconds = found.map(({ publishedMs }) => publishedMs / 1_000)
  const dns = found.flatMap(({ dnsAfterActMs }) => dnsAfterActMs ?? [])
  const of = `${kills} kills, silence ${silenceMs / 1_000} s`
  const spread = (values: readonly number[], unit: string) =>
    `p50 ${quantile(values, 0.5).toFixed(2)} ${unit}, p95 ${quantile(values, 0.95).toFixed(2)} ${unit}`
  return [
    {
      name: `fail-over: kill -9 of a primary → next published post; ${of}`,
      lines: [spread(seconds, 's')],
      ...{ ratio: quantile(seconds, 0.95), wanted: 'most', target, unit: 'p95, s' },
    },
    {
      name: `fail-over: the act → the authority's DNS answers with the new primary; ${of}`,
      lines: [`${spread(dns, 'ms')}, of ${dns.length}`],
      ...{ ratio: Math.max(...dns), wanted: 'most', target: 1_000, unit: 'longest, ms' },
    },
  ]
}

async function killOnce(plan: DemoPlan, peers: DemoPeers, author: DemoAuthor): Promise<Killed> {
  // All is well before: three copies of what was published last, and a primary that all know.
  await publish(author)
  const { primary, epoch } = await whenWhole(plan)
  const victim = peers.get(primary)
  if (victim === null) throw new Error(`there is no ${primary}`)
  const killedMs = Date.now()
  await victim.kill()
  const dns = whenDns(plan, epoch)
  await publish(author)
  const publishedMs = Date.now() - killedMs
  const actMs = await whenActed(peers, epoch)
  const dnsMs = await dns
  victim.start()
  await victim.ready
  return { publishedMs, dnsAfterActMs: actMs === null ? null : Math.max(0, dnsMs - actMs) }
}

async function publish(author: DemoAuthor): Promise<void> {
  while ((await author.step()) !== 'published') await pause(pollMs)
}

const statusAnswer = z.object({
  blogs: z.array(
    z.object({
      ...{ blog: z.string(), role: z.string(), epoch: z.number(), active: z.boolean() },
      ...{ published: z.number(), replicas: z.number() },
      head: z.object({ seq: z.number() }).nullable(),
    }),
  ),
})

/** Waits until three spokes hold the blog up to one head, under one act. */
async function whenWhole(plan: DemoPlan): Promise<{ primary: string; epoch: number }> {
  for (;;) {
    const kept = await Promise.all(
      plan.spokes.map(async (spoke) => {
        const client = new SpokeClient(`http://${spoke.host}:${plan.port}`, 1_000)
        const answer = await client.ask({ path: '/_council/status' }).catch(() => null)
        const blogs = answer === null ? [] : client.read(answer, statusAnswer).blogs
        const found = blogs.filter((each) => each.blog === name && each.role !== 'none')
        return found.map((each) => ({ ...each, spoke: spoke.name }))
      }),
    )
    const replicas = kept.flat()
    const [first] = replicas
    const primaries = replicas.filter(({ role }) => role === 'primary')
    const isWhole = replicas.every(
      ({ epoch, head, active, published }) =>
        active &&
        epoch === first?.epoch &&
        head?.seq === published &&
        published === first.published,
    )
    if (replicas.length === 3 && primaries.length === 1 && isWhole)
      return {
        primary: (primaries[0] as { spoke: string }).spoke,
        epoch: (first as { epoch: number }).epoch,
      }
    await pause(100)
  }
}

/** When the authority's DNS first knew a later epoch than this one. */
async function whenDns(plan: DemoPlan, epoch: number): Promise<number> {
  const resolver = new Resolver({ timeout: 500, tries: 1 })
  resolver.setServers([`${plan.authority.host}:${plan.dnsPort}`])
  for (;;) {
    const texts = await resolver.resolveTxt(`${name}.${plan.zone}`).catch(() => [])
    const [, found = '0'] = / epoch=([0-9]+)/.exec(texts.flat().join(' ')) ?? []
    if (Number(found) > epoch) return Date.now()
    await pause(pollMs)
  }
}

/** When the authority wrote the first act of the blog with a later epoch, by its own log. */
async function whenActed(peers: DemoPeers, epoch: number): Promise<number | null> {
  const { dir } = peers.get('authority') ?? { dir: '' }
  const lines = (await readFile(join(dir, 'log.jsonl'), 'utf8')).trimEnd().split('\n')
  for (const line of lines) {
    const said = JSON.parse(line) as { time?: string; blog?: string; epoch?: number }
    if (said.blog === name && (said.epoch ?? 0) > epoch) return Date.parse(said.time ?? '')
  }
  return null
}
