import { beforeEach, describe, expect, it } from 'vitest'
import type { FrontPost } from '../../../src/replication/aggregation/front-page.ts'
import { FrontPosts } from '../../../src/replication/aggregation/front-posts.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { startMs } from '../test-council.ts'
import { TestCollection } from './test-collection.ts'

const council = `blogs.example.org/${'5f'.repeat(32)}`
const maria = await TestAuthor.make('maria')
const begin = async (blog: string, posts: number): Promise<TestLog> =>
  (await TestLog.begin(council, maria, { blog })).posts(posts)
const written = await Promise.all(
  Array.from({ length: 30 }, async (_, at) => begin(`blog-${at}`, 2)),
)

let collection: TestCollection
let front: FrontPosts
const names = (posts: readonly FrontPost[]) => posts.map(({ blog, seq }) => `${blog} ${seq}`)
const shown = async () => {
  await front.settled()
  return names(front.posts())
}
const start = async () => {
  front = new FrontPosts({ collection, report: () => undefined })
  await front.start()
}

beforeEach(() => {
  collection = new TestCollection()
})

describe('FrontPosts', () => {
  it('shows at start what a page of all posts would show, and does not read the other blogs', async () => {
    for (const [at, log] of written.entries()) collection.grow(log, startMs + at)
    await start()
    expect(await shown()).toHaveLength(20)
    expect(names(front.posts())[0]).toBe('blog-29 2')
    expect(collection.wasRead('blog-25')).toBe(true)
    expect(collection.wasRead('blog-3')).toBe(false)
  })

  it('places a post by when its first revision was seen, and shows the newest', async () => {
    const [a, b] = [(written[0] as TestLog).branch(), (written[1] as TestLog).branch()]
    collection.grow(a, startMs)
    collection.grow(b, startMs + 1)
    await start()
    await a.add({ kind: 'post', slug: 'post-1', title: 'Better' })
    collection.grow(a, startMs + 2)
    expect(await shown()).toEqual(['blog-1 2', 'blog-1 1', 'blog-0 3', 'blog-0 2'])
  })

  it('knows the year in which a post came first, which stands in its address', async () => {
    const log = (written[0] as TestLog).branch()
    await log.add(
      { kind: 'post', slug: 'post-1', title: 'Better' },
      { date: '2031-02-03T00:00:00Z' },
    )
    collection.grow(log)
    await start()
    const year = new Date(startMs).getUTCFullYear()
    expect(await front.yearOf('blog-0' as BlogName, 3)).toBe(year)
    expect(await front.yearOf('blog-0' as BlogName, 0)).toBeNull()
    expect(await front.yearOf('nobody' as BlogName, 1)).toBeNull()
  })

  it('drops a retracted post at once and shows the one behind it', async () => {
    const log = await begin('maria', 4)
    collection.grow(log)
    await start()
    expect(await shown()).toEqual(['maria 4', 'maria 3', 'maria 2'])
    await log.add({ kind: 'retract', slug: 'post-4' })
    collection.grow(log, startMs + 5)
    expect(await shown()).toEqual(['maria 3', 'maria 2', 'maria 1'])
  })

  it('shows a post that comes back after a retraction where it stood', async () => {
    const log = await begin('maria', 2)
    collection.grow(log)
    await start()
    await log.add({ kind: 'retract', slug: 'post-1' })
    await log.add({ kind: 'post', slug: 'post-1' })
    collection.grow(log, startMs + 5)
    expect(await shown()).toEqual(['maria 4', 'maria 2'])
    expect(front.posts()[0]?.seenMs).toBe(startMs)
  })

  it('fills the page from blogs that it had not read when posts are taken back', async () => {
    for (const [at, log] of written.entries()) collection.grow(log, startMs + at)
    await start()
    await front.settled()
    expect(collection.wasRead('blog-19')).toBe(false)
    const taken = (written[29] as TestLog).branch()
    await taken.add({ kind: 'retract', slug: 'post-1' })
    await taken.add({ kind: 'retract', slug: 'post-2' })
    collection.grow(taken, startMs + 99)
    expect(await shown()).toHaveLength(20)
    expect(names(front.posts()).at(-1)).toBe('blog-19 1')
  })

  it('finds a new post behind blogs in which only something old was written to last', async () => {
    for (let n = 0; n < 8; n++) {
      const log = await begin(`old-${n}`, 3)
      collection.grow(log, startMs)
      await log.add({ kind: 'profile', title: 'Another title' })
      collection.grow(log, startMs + 100 + n)
    }
    collection.grow(await begin('fresh', 1), startMs + 50)
    await start()
    expect((await shown())[0]).toBe('fresh 1')
    expect(front.posts()).toHaveLength(20)
  })

  it('reads anew a blog that was fetched anew', async () => {
    const log = await begin('maria', 3)
    collection.grow(log)
    await start()
    const other = log.branch(2)
    await other.add({ kind: 'post', title: 'Another' })
    collection.grow(other, startMs + 1)
    await front.settled()
    expect(front.posts().map(({ id }) => id)).toContain(other.head.id)
    expect(front.posts().map(({ id }) => id)).not.toContain(log.head.id)
  })

  it('forgets a blog that is not in the collection any more', async () => {
    for (const log of written.slice(0, 2)) collection.grow(log)
    await start()
    collection.forget('blog-0')
    collection.grow(await begin('maria', 1))
    expect(await shown()).toEqual(['blog-1 2', 'blog-1 1', 'maria 1'])
  })

  it('goes on with the others when a blog cannot be read', async () => {
    for (const log of written.slice(0, 2)) collection.grow(log)
    await start()
    collection.breaks('blog-0')
    const log = await begin('maria', 1)
    collection.grow(log, startMs + 1)
    const more = (written[0] as TestLog).branch()
    await more.posts(1)
    collection.grow(more, startMs + 2)
    expect(await shown()).toContain('maria 1')
  })

  it('tells of a change once, and of none that does not show', async () => {
    for (const [at, log] of written.entries()) collection.grow(log, startMs + at)
    await start()
    let told = 0
    front.onChange(() => told++)
    collection.grow(await begin('old', 3), startMs - 1_000)
    await front.settled()
    expect(told).toBe(0)
    collection.grow(await begin('new', 3), startMs + 1_000)
    await front.settled()
    expect(told).toBe(1)
  })

  it('says what became of a post', async () => {
    const log = await begin('maria', 2)
    await log.add({ kind: 'retract', slug: 'post-1' })
    collection.grow(log)
    await start()
    const blog = 'maria' as BlogName
    expect(await front.slug(blog, 'post-1')).toMatchObject({ seq: 1, last: { seq: 3 } })
    expect(await front.slug(blog, 'post-2')).toMatchObject({ seq: 2, last: { seq: 2 } })
    expect(await front.slug(blog, 'nothing')).toBeNull()
  })

  it('reads of a blog only what is new', async () => {
    const log = await begin('maria', 5)
    collection.grow(log)
    await start()
    await front.settled()
    const before = collection.entriesRead
    await log.posts(1)
    collection.grow(log, startMs + 1)
    await front.settled()
    expect(collection.entriesRead - before).toBe(1)
  })
})
