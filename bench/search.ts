import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
// biome-ignore lint/correctness/noUnresolvedImports: Node 24 has it
import { DatabaseSync } from 'node:sqlite'
import { realClock } from '../src/node/clock.ts'
import { SearchIndex } from '../src/replication/aggregation/search-index.ts'
import type { IndexedPost } from '../src/replication/aggregation/search-writer.ts'
import { Child } from './child.ts'
import {
  addCosts,
  type Cost,
  costOf,
  formatRate,
  formatSpread,
  quantile,
  type Result,
} from './figures.ts'
import { Corpus, stretchPosts } from './search-corpus.ts'

const indexed = 20_000
const rounds = 5
const searches = 600

/** Plain inserts of title and body into a table of FTS5 as it is by default, 1,000 in a commit. */
async function fillRaw(path: string, posts: readonly IndexedPost[]): Promise<void> {
  using database = new DatabaseSync(path)
  database.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16000',
  )
  database.exec('CREATE VIRTUAL TABLE words USING fts5(title, body)')
  const insert = database.prepare('INSERT INTO words (title, body) VALUES (?, ?)')
  for (let at = 0; at < posts.length; at += 1_000) {
    database.exec('BEGIN')
    for (const { title, body } of posts.slice(at, at + 1_000)) insert.run(title, body)
    database.exec('COMMIT')
  }
}

/** The whole way: to the thread, words, both tables, grouped commits. */
async function costOfOurs(path: string, posts: readonly IndexedPost[]): Promise<Cost> {
  const report = (event: string, fields: object) => console.error(event, fields)
  await using index = await SearchIndex.open({ path, clock: realClock, report })
  // A thread that has just started finds code that has not been compiled.
  await giveAll(index, posts.slice(0, 1_000))
  await index.clear()
  return await costOf(() => giveAll(index, posts))
}

async function giveAll(index: SearchIndex, posts: readonly IndexedPost[]): Promise<void> {
  for (let at = 0; at < posts.length; at += stretchPosts) {
    const put = posts.slice(at, at + stretchPosts)
    const [first, last] = [put[0], put.at(-1)] as [IndexedPost, IndexedPost]
    await index.room()
    index.apply(first.blog, { seq: last.seq, id: last.id }, { from: first.seq, put, remove: [] })
  }
  await index.flush()
}

async function benchIndexing(folder: string): Promise<Result> {
  const corpus = await Corpus.read()
  const posts = Array.from({ length: indexed }, (_, number) => corpus.post(number))
  const [raw, ours]: [Cost[], Cost[]] = [[], []]
  for (let round = 0; round <= rounds; round += 1) {
    const [one, other] = [join(folder, `raw-${round}.db`), join(folder, `ours-${round}.db`)]
    const costs = [await costOf(() => fillRaw(one, posts)), await costOfOurs(other, posts)]
    // The first round finds code that has not been compiled.
    if (round === 0) continue
    raw.push(costs[0] as Cost)
    ours.push(costs[1] as Cost)
  }
  const ratios = raw.map(({ cpu }, round) => cpu / (ours[round] as Cost).cpu)
  return {
    name: `search, index: ${indexed} posts in eight languages, against FTS5 alone with the same text`,
    lines: [
      `ours ${formatRate(indexed * rounds, addCosts(ours))}`,
      `FTS5 ${formatRate(indexed * rounds, addCosts(raw))}`,
      `single rounds ${formatSpread(ratios)}, by CPU`,
    ],
    ...{ ratio: quantile(ratios, 0.5), wanted: 'least', target: 0.7 },
  }
}

type Searched = { took: number[]; cpu: number[]; found: number }

async function benchQueries(folder: string, posts: number, targetMs: number): Promise<Result[]> {
  await using child = new Child('./search-process.ts')
  const path = join(folder, 'queries.db')
  await child.ask('open', path)
  const cost = await child.ask<Cost>('fill', posts)
  const ask = (order: string, from: number, count: number) =>
    child.ask<Searched>('search', { order, from, count })
  await ask('newest', searches, 50)
  const newest = await ask('newest', 0, searches)
  const best = await ask('best', 0, Math.min(200, searches))
  const bytes = await child.ask<{ now: number; most: number }>('residentBytes')
  const mebibytes = (value: number) => value / 1024 ** 2
  const quantiles = (values: readonly number[]) =>
    `p50 ${quantile(values, 0.5).toFixed(2)}, p99 ${quantile(values, 0.99).toFixed(2)} ms`
  const show = ({ took, cpu }: Searched) =>
    `${quantiles(took)} by the clock, ${quantiles(cpu)} of CPU`
  return [
    {
      name: `search, ${posts} posts: 20 hits of one to three words, newest first`,
      lines: [
        `newest first: ${show(newest)}; ${newest.found} of ${searches} found something`,
        `best first: ${show(best)}`,
        `filled with ${formatRate(posts, cost)}; file ${mebibytes((await stat(path)).size).toFixed(0)} MiB`,
      ],
      ...{ ratio: quantile(newest.took, 0.99), unit: 'ms (p99)', wanted: 'most', target: targetMs },
    },
    {
      name: `search, ${posts} posts: memory of the process that fills and asks it`,
      lines: [`${mebibytes(bytes.now).toFixed(0)} MiB resident at the end`],
      ...{ ratio: mebibytes(bytes.most), unit: 'MiB at most', wanted: 'most', target: 250 },
    },
  ]
}

async function inFolder<T>(bench: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'council-bench-'))
  try {
    return await bench(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Indexing against FTS5 alone, and searches among 100,000 posts. */
export const benchSearch = (): Promise<Result[]> =>
  inFolder(async (folder) => [
    await benchIndexing(folder),
    ...(await benchQueries(folder, 100_000, 10)),
  ])

/** Searches among a million posts; some minutes. */
export const benchMillion = (): Promise<Result[]> =>
  inFolder((folder) => benchQueries(folder, 1_000_000, 25))
