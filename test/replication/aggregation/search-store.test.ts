import { describe, expect, it } from 'vitest'
import { parseQuery } from '../../../src/replication/aggregation/search-query.ts'
import { SearchStore } from '../../../src/replication/aggregation/search-store.ts'
import type { BlogChange } from '../../../src/replication/aggregation/search-writer.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { workedMs } from '../../support/worked.ts'
import { fakeId, must, startMs } from '../test-council.ts'

const count = 6_000

/** All posts of a blog, each first seen so long after the one before it. */
const blogOf = (blog: string, stepMs: number): BlogChange => ({
  ...{ blog: blog as BlogName, head: { seq: count, id: fakeId('ab') }, restart: false },
  ...{ remove: [], profile: { title: blog, lang: 'en' } },
  put: Array.from({ length: count }, (_, at) => ({
    ...{ blog: blog as BlogName, slug: `post-${at}`, seq: at + 1, id: fakeId('cd'), year: 2026 },
    ...{ title: `Post ${at}`, body: 'assembly', lang: 'en', tags: [] },
    seenMs: startMs + at * stepMs,
  })),
})

describe('SearchStore', () => {
  it('takes a blog that comes all in one ms about as fast as one that came by and by', () => {
    using stack = new DisposableStack()
    const fill = (stepMs: number) => {
      const store = stack.adopt(SearchStore.open(''), (each) => each.close())
      const before = workedMs()
      store.apply([blogOf('maria', stepMs)])
      return { store, worked: workedMs() - before }
    }
    fill(1)
    const spread = fill(1)
    const atOnce = fill(0)
    expect(atOnce.worked / spread.worked).toBeLessThan(4)
    const newest = atOnce.store.newest(must(parseQuery('assembly')), null, count)
    expect(newest.map(({ seq }) => seq)).toEqual(
      Array.from({ length: count }, (_, at) => count - at),
    )
    expect(newest.at(-1)?.at).toBe(startMs)
    expect(newest[0]?.at).toBe(startMs + count - 1)
  })

  it('gives the same places again to a blog that is taken in anew', () => {
    using stack = new DisposableStack()
    const store = stack.adopt(SearchStore.open(''), (each) => each.close())
    store.apply([blogOf('maria', 0)])
    store.apply([{ ...blogOf('maria', 0), restart: true }])
    const [newest] = store.newest(must(parseQuery('assembly')), null, 1)
    expect(newest?.at).toBe(startMs + count - 1)
  })
})
