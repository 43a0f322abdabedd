import { describe, expect, it } from 'vitest'
import { BlogFolds } from '../../src/node/blog-folds.ts'
import { OwnBlogs } from '../../src/node/own-blogs.ts'
import type { BlogName } from '../../src/replication/log/entry.ts'
import { blogIngest, TestAuthor, TestLog } from '../replication/test-author.ts'
import { replica, startMs, TestCouncil, TestDisk } from '../replication/test-council.ts'

const { council } = new TestCouncil().admit(1)
const author = await TestAuthor.make('maria')

/** A spoke that keeps one blog, all of it published; which entries were read to be shown. */
async function keeping() {
  const log = await TestLog.begin(council, author)
  const { store } = new TestDisk()
  const ingest = blogIngest(store, council)
  const read: number[] = []
  const counting = new Proxy(ingest, {
    get: (of, name) => {
      const value = Reflect.get(of, name, of)
      if (name === 'read')
        return (blog: string, seq: number) => {
          read.push(seq)
          return of.read(blog, seq)
        }
      return typeof value === 'function' ? value.bind(of) : value
    },
  })
  let revoked = 0
  const folds = new BlogFolds()
  const own = new OwnBlogs({
    replicas: {
      all: () => [
        { role: 'primary', assignment: { blog: log.blog, replicas: [replica(1), replica(2)] } },
      ],
      changes: () => log.entries.length,
      published: { ms: async (_blog: string, seq: number) => startMs + seq },
    } as never,
    ...{ ingest: counting, store, fold: (name: BlogName) => folds.fold(name, { ingest, store }) },
    revocations: {
      count: 0,
      of: () => (revoked > 0 ? { reason: 2, isHard: true, dateMs: startMs, seq: 1 } : null),
    } as never,
  })
  const take = async () => {
    const following = { epoch: 1, head: log.head }
    await ingest.offer(log.blog, log.offers, { way: 'push', following })
  }
  return { log, own, read, take, revoke: () => revoked++ }
}

describe('OwnBlogs', () => {
  it('reads a post once, however often the list is made', async () => {
    const { log, own, read, take } = await keeping()
    for (const slug of ['one', 'two', 'three']) await log.add({ kind: 'post', slug, title: slug })
    await take()
    const titles = async () => (await own.newest()).map(({ title }) => title)
    expect(await titles()).toEqual(['three', 'two', 'one'])
    expect(await titles()).toEqual(['three', 'two', 'one'])
    expect(read.toSorted((a, b) => a - b)).toEqual([1, 2, 3])
    await log.add({ kind: 'post', slug: 'two', title: 'two again' })
    await log.add({ kind: 'post', slug: 'four', title: 'four' })
    await take()
    // At most three of one blog, each in its place by its first version.
    expect(await titles()).toEqual(['four', 'three', 'two again'])
    expect(read.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5])
  })

  it('says that a key was revoked of posts that it has read before', async () => {
    const { log, own, take, revoke } = await keeping()
    await log.add({ kind: 'post', slug: 'one', title: 'one' })
    await take()
    expect((await own.newest())[0]?.mark).toBeNull()
    revoke()
    expect((await own.newest())[0]?.mark).not.toBeNull()
  })
})
