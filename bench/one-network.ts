import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { SpokeClient } from '../src/node/blogger/client.ts'
import { DemoAuthor } from '../src/node/demo/author.ts'
import { DemoPeers } from '../src/node/demo/peers.ts'
import { type DemoPlan, type PlannedPeer, planDemo } from '../src/node/demo/plan.ts'
import { pause } from './council.ts'
import { quantile, type Result } from './figures.ts'

const spokes = 8
const blogs = 10
const posts = 80
/** After so many posts the spoke whose front page is shown is killed. */
const killAfter = 40
const startMs = 90_000
/** Between two looks at one page, ms. */
const pollMs = 50
/** Between two posts, ms. */
const pauseMs = 400
/** A post that is not everywhere after so long is missing, ms. */
const missingMs = 60_000

const status = z.object({ covers: z.object({ kind: z.string(), by: z.string().optional() }) })

/**
 * A council of eight spokes in processes of their own: from the moment at which an author hands a
 * post in, until the front page of every spoke shows it and a search at every spoke finds it. Half
 * way the spoke that makes the front page is killed.
 */
export async function benchOneNetwork(): Promise<readonly Result[]> {
  const plan = planDemo({ spokes, port: 8_780 })
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'council-bench-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const peers = stack.use(
    new DemoPeers({
      ...{ plan, folder, env: process.env, signal: new AbortController().signal },
      ...{ readyMs: startMs, lost: () => undefined },
      // Each look comes from another address, as readers do: one alone may not ask so often.
      settings: { web: { origin: `http://{host}:${plan.port}`, trustedProxies: ['127.0.0.1'] } },
    }),
  )
  await peers.relays.start()
  const { bootstrap, council } = await (await peers.start(plan.authority, null)).ready
  await Promise.all(plan.spokes.map((spoke) => peers.start(spoke, bootstrap)))
  const authors = await startAuthors(plan, folder, council)
  const gatherer = await makerOf(`http://${plan.spokes[0]?.host}:${plan.port}`)
  const seen: Seen[] = []
  const watching: Promise<void>[] = []
  let running = plan.spokes
  for (let n = 0; n < posts; n++) {
    if (n === killAfter) {
      // What is on its way is measured first: the killed one shows nothing any more.
      await Promise.all(watching)
      await peers.get(gatherer)?.kill()
      running = plan.spokes.filter(({ name }) => name !== gatherer)
    }
    const handedMs = performance.now()
    const slug = await publishNext(authors, n)
    watching.push(
      watch(plan, running, slug, handedMs).then((ms) => void seen.push({ slug, ...ms })),
    )
    await pause(pauseMs)
  }
  await Promise.all(watching)
  const missing = seen.filter(({ front, search }) => front === null || search === null)
  const figures = (of: 'front' | 'search') => seen.flatMap((each) => each[of] ?? [])
  const both = seen.map(({ front, search }) => Math.max(front ?? missingMs, search ?? missingMs))
  const line = (what: string, ms: readonly number[]) =>
    `${what} p50 ${quantile(ms, 0.5).toFixed(0)} ms, p95 ${quantile(ms, 0.95).toFixed(0)} ms, longest ${Math.max(...ms).toFixed(0)} ms`
  const name = `one network: a post handed in → everywhere, ${spokes} spokes in processes of their own, ${posts} posts of ${blogs} blogs; after ${killAfter} the one that makes the front page is killed`
  const lines = [
    line('on all front pages', figures('front')),
    line('found at all       ', figures('search')),
    `killed: ${gatherer}; missing anywhere: ${missing.length}`,
  ]
  return [
    {
      ...{ name: `${name}: p50`, lines, ratio: quantile(both, 0.5) / 1_000 },
      ...{ wanted: 'most', target: 1, unit: 'p50, s' },
    },
    {
      ...{ name: `${name}: p95`, lines: [], ratio: quantile(both, 0.95) / 1_000 },
      ...{ wanted: 'most', target: 3, unit: 'p95, s' },
    },
    {
      ...{ name: `${name}: missing`, lines: [], ratio: missing.length },
      ...{ wanted: 'most', target: 0, unit: 'posts' },
    },
  ]
}

/** ms after the hand-in; null: it did not come to all of them */
type Seen = { readonly slug: string; readonly front: number | null; readonly search: number | null }

/** Authors with a blog each, spread over the spokes of the plan. */
export async function startAuthors(
  plan: DemoPlan,
  folder: string,
  council: string,
): Promise<DemoAuthor[]> {
  const authors: DemoAuthor[] = []
  for (let n = 0; n < blogs; n++) {
    const usual = plan.spokes[n % plan.spokes.length] as PlannedPeer
    const order = [usual, ...plan.spokes.filter((each) => each !== usual)]
    const articles = Array.from({ length: posts }, (_, index) => ({
      ...{
        slug: slugOf(n, index),
        title: `About ${slugOf(n, index)}`,
        body: 'A text of no length.',
      },
    }))
    const author = await DemoAuthor.open(
      {
        blog: { name: `blog-${n}x`, lang: 'en', title: `Blog ${n}`, about: 'A blog.', articles },
        ...{ folder: join(folder, 'authors'), council },
        spokes: order.map(({ host }) => `http://${host}:${plan.port}`),
      },
      { env: process.env, now: Date.now } as Parameters<typeof DemoAuthor.open>[1],
    )
    while ((await author.claim()) === null) await pause(pollMs)
    // The profile.
    while ((await author.step()) !== 'published') await pause(pollMs)
    authors.push(author)
  }
  return authors
}

/** A word that stands in one post only. */
const slugOf = (blog: number, index: number) =>
  `word${String.fromCharCode(97 + blog)}${index.toString().padStart(3, '0')}`

/** Publishes post `n` of all. @returns its slug */
export async function publishNext(authors: readonly DemoAuthor[], n: number): Promise<string> {
  const author = authors[n % authors.length] as DemoAuthor
  const slug = slugOf(n % authors.length, author.published)
  while ((await author.step()) !== 'published') await pause(pollMs)
  return slug
}

async function makerOf(url: string): Promise<string> {
  const client = new SpokeClient(url)
  for (;;) {
    const { covers } = client.read(await client.ask({ path: '/_council/status' }), status)
    if (covers.kind === 'council' && covers.by !== undefined) return covers.by
    await pause(pollMs)
  }
}

async function watch(
  { port }: DemoPlan,
  spokes: readonly PlannedPeer[],
  slug: string,
  handedMs: number,
): Promise<{ front: number | null; search: number | null }> {
  const shown = (path: string) =>
    Promise.all(spokes.map(({ host }) => when(`http://${host}:${port}${path}`, slug, handedMs)))
  const [front, search] = await Promise.all([shown('/'), shown(`/search?q=${slug}`)])
  const last = (ms: readonly (number | null)[]) =>
    ms.includes(null) ? null : Math.max(...(ms as number[]))
  return { front: last(front), search: last(search) }
}

/** When a page first linked the post, ms after the hand-in; null: not in time. */
async function when(url: string, slug: string, handedMs: number): Promise<number | null> {
  while (performance.now() - handedMs < missingMs) {
    const page = await look(url).catch(() => '')
    if (page.includes(`/${slug}"`)) return performance.now() - handedMs
    await pause(pollMs)
  }
  return null
}

let reader = 0
/** A page as a reader gets it who has not come before. */
export async function look(url: string): Promise<string> {
  reader += 1
  const from = `10.${reader >> 16}.${(reader >> 8) & 255}.${reader & 255}`
  const answer = await fetch(url, {
    headers: { 'x-forwarded-for': from },
    signal: AbortSignal.timeout(2_000),
  })
  return answer.text()
}
