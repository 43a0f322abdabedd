import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { realClock } from '../../../src/node/clock.ts'
import { Indexer } from '../../../src/replication/aggregation/indexer.ts'
import { SearchIndex } from '../../../src/replication/aggregation/search-index.ts'
import { parseQuery } from '../../../src/replication/aggregation/search-query.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { must, startMs } from '../test-council.ts'
import { TestCollection } from './test-collection.ts'

const council = `blogs.example.org/${'5f'.repeat(32)}`
const author = await TestAuthor.make('maria')
const begin = (blog: string) => TestLog.begin(council, author, { blog })

const folder = await mkdtemp(join(tmpdir(), 'council-indexer-'))
afterAll(() => rm(folder, { recursive: true }))

async function started(collection: TestCollection, path = '') {
  const said: string[] = []
  const report = (event: string) => said.push(event)
  const index = await SearchIndex.open({ path, clock: realClock, report })
  const indexer = new Indexer({ collection, index, report })
  indexer.start()
  const quiet = async () => {
    await expect.poll(() => indexer.behind).toBe(0)
    await index.flush()
  }
  const find = async (text: string) => {
    await quiet()
    const page = { order: 'newest', cursor: null, limit: 50 } as const
    const { hits } = must(await index.search(must(parseQuery(text)), page))
    return hits.map(({ blog, seq }) => `${blog} ${seq}`)
  }
  const stop = async () => {
    await indexer.stop()
    await index[Symbol.asyncDispose]()
  }
  return { index, indexer, find, quiet, said, stop, [Symbol.asyncDispose]: stop }
}

describe('Indexer', () => {
  it('takes in what is there and what comes: posts, revisions, retractions, profiles', async () => {
    const log = await begin('maria')
    await log.add({ kind: 'profile', title: 'Maria writes' })
    await log.add({ kind: 'post', slug: 'a', title: 'One' }, { body: 'first body' })
    const collection = new TestCollection(log)
    await using peer = await started(collection)
    expect(await peer.find('first')).toEqual(['maria 2'])
    expect(must(await peer.index.blogs(null, 9))).toMatchObject([
      { title: 'Maria writes', posts: 1 },
    ])

    await log.add({ kind: 'post', slug: 'b', title: 'Two' }, { body: 'second' })
    await log.add({ kind: 'post', slug: 'a', title: 'One' }, { body: 'changed body' })
    collection.grow(log, startMs + 60_000)
    expect(await peer.find('first')).toEqual([])
    expect(await peer.find('blog:maria')).toEqual(['maria 3', 'maria 4'])

    await log.add({ kind: 'retract', slug: 'b' })
    collection.grow(log)
    expect(await peer.find('blog:maria')).toEqual(['maria 4'])
    expect(peer.said).toEqual([])
  })

  it('goes on after a restart where it ended, and reads nothing twice', async () => {
    const log = await begin('maria')
    await log.posts(20)
    const collection = new TestCollection(log)
    const first = await started(collection, join(folder, 'index.db'))
    await first.quiet()
    await first.stop()
    const read = collection.entriesRead
    await log.posts(2)
    collection.grow(log)
    await using second = await started(collection, join(folder, 'index.db'))
    expect(await second.find('blog:maria')).toHaveLength(22)
    expect(collection.entriesRead - read).toBe(2)
  })

  it('finds after a restart that the log is another one now, longer or as long', async () => {
    const log = await begin('maria')
    await log.posts(3)
    const path = join(folder, 'other.db')
    const first = await started(new TestCollection(log), path)
    await first.quiet()
    await first.stop()
    const other = log.branch(2)
    await other.add({ kind: 'post', slug: 'other', title: 'Other' }, { body: 'another history' })
    await other.add({ kind: 'post', slug: 'more', title: 'More' }, { body: 'of it' })
    const second = await started(new TestCollection(other), path)
    expect(await second.find('history')).toEqual(['maria 2'])
    await second.stop()
    const longer = other.branch(3)
    await longer.posts(2)
    await using third = await started(new TestCollection(longer), path)
    expect(await third.find('blog:maria')).toHaveLength(4)
    expect(await third.find('more')).toEqual([])
  })

  it('indexes a blog anew that was fetched anew, and one that went on differently', async () => {
    const log = await begin('maria')
    await log.posts(3)
    const other = log.branch(2)
    await other.add({ kind: 'post', slug: 'other', title: 'Other' }, { body: 'another history' })
    await other.add({ kind: 'post', slug: 'more', title: 'More' }, { body: 'of it' })
    const collection = new TestCollection(log)
    await using peer = await started(collection)
    expect(await peer.find('blog:maria')).toHaveLength(3)
    collection.grow(other)
    expect(await peer.find('history')).toEqual(['maria 2'])
    // All were first seen at once.
    expect((await peer.find('blog:maria')).toSorted()).toEqual(['maria 1', 'maria 2', 'maria 3'])
  })

  it('takes out a blog that is gone, and keeps the others when one cannot be read', async () => {
    const logs = await Promise.all(['anna', 'maria', 'paula'].map((blog) => begin(blog)))
    for (const log of logs) await log.posts(1)
    const collection = new TestCollection(...logs)
    collection.breaks('maria')
    await using peer = await started(collection)
    expect(await peer.find('title')).toHaveLength(0)
    expect((await peer.find('blog:anna')).length + (await peer.find('blog:paula')).length).toBe(2)
    expect(peer.said).toEqual(['index_failed'])
    collection.forget('paula')
    await peer.indexer.reindex()
    expect(await peer.find('blog:paula')).toEqual([])
    expect(await peer.find('blog:anna')).toEqual(['anna 1'])
  })

  it('fills an index that was emptied while it was being filled', async () => {
    const logs = await Promise.all(
      Array.from({ length: 6 }, async (_, n) => {
        const log = await begin(`blog-${String.fromCharCode(97 + n)}`)
        await log.posts(30)
        return log
      }),
    )
    await using peer = await started(new TestCollection(...logs))
    for (let times = 0; times < 3; times += 1) await peer.indexer.reindex()
    await peer.quiet()
    const blogs = must(await peer.index.blogs(null, 50))
    expect(blogs.map(({ posts }) => posts)).toEqual(Array(6).fill(30))
    for (const { blog } of blogs) expect(peer.index.head(blog as BlogName)?.seq).toBe(30)
  })
})
