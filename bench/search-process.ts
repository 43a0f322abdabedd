import { realClock } from '../src/node/clock.ts'
import { SearchIndex } from '../src/replication/aggregation/search-index.ts'
import { parseQuery } from '../src/replication/aggregation/search-query.ts'
import type { Order } from '../src/replication/aggregation/search-store.ts'
import { serveParent } from './child.ts'
import { costOf, spentCpu } from './figures.ts'
import { Corpus } from './search-corpus.ts'
import { fillIndex } from './search-fill.ts'

const corpus = await Corpus.read()
let index: SearchIndex | null = null
let posts = 0

/** Sampled, since what is asked for afterwards has been given back. */
let mostBytes = 0
setInterval(() => {
  mostBytes = Math.max(mostBytes, process.memoryUsage.rss())
}, 50).unref()

serveParent(
  {
    open: async (path: string) => {
      const report = (event: string, fields: object) => console.error(event, fields)
      index = await SearchIndex.open({ path, clock: realClock, report })
    },
    fill: async (count: number) => {
      posts = count
      return costOf(() => fillIndex(index as SearchIndex, corpus, count))
    },
    /** Searches that follow each other: ms on the clock, and of this process's CPU, of each. */
    search: async ({ order, from, count }: { order: Order; from: number; count: number }) => {
      const took: number[] = []
      const cpu: number[] = []
      let found = 0
      for (let each = from; each < from + count; each += 1) {
        const query = parseQuery(corpus.query(each, posts))
        if (!query.ok) throw new Error(query.reason)
        const spent = spentCpu()
        const start = performance.now()
        const page = await (index as SearchIndex).search(query.value, {
          order,
          cursor: null,
          limit: 20,
        })
        took.push(performance.now() - start)
        cpu.push((spentCpu() - spent) * 1_000)
        if (!page.ok) throw new Error(page.reason)
        found += Math.min(1, page.value.hits.length)
      }
      return { took, cpu, found }
    },
    residentBytes: async () => ({ now: process.memoryUsage.rss(), most: mostBytes }),
  },
  async () => index?.[Symbol.asyncDispose](),
)
