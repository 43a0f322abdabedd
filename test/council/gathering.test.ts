import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import { expect, it, onTestFinished } from 'vitest'
import { KeyRing } from '../../src/auth/public-key.ts'
import { realClock } from '../../src/node/clock.ts'
import { ChangesFeed, ChangesServer } from '../../src/replication/aggregation/changes.ts'
import type { Collection } from '../../src/replication/aggregation/collection.ts'
import { Gatherer } from '../../src/replication/aggregation/gather.ts'
import { GatheredCollection } from '../../src/replication/aggregation/gathered.ts'
import type { BlogName } from '../../src/replication/log/entry.ts'
import { makeSigner } from '../support/author.ts'
import { soon, startCouncil, type TestBlog, type TestPeer } from '../support/council.ts'

/** Every entry of the blog in a collection, as it may be shown. */
async function textsIn(collection: Collection, blog: TestBlog): Promise<(string | undefined)[]> {
  const name = blog.name as BlogName
  const found: (string | undefined)[] = []
  for (let seq = 0; seq <= (collection.head(name)?.seq ?? -1); seq++) {
    const entry = await collection.entry(name, seq)
    found.push(entry === null ? undefined : Buffer.from(entry.text).toString())
  }
  return found
}
const textsOf = (blog: TestBlog) =>
  blog.entries.map(({ entry }) => Buffer.from(entry.text).toString())

const whole = (collection: Collection, blog: TestBlog) =>
  soon(async () => expect(await textsIn(collection, blog)).toEqual(textsOf(blog)))

/** Notes each seq that a collection says is new; answers those that it said twice. */
function noteSaid(collection: Collection) {
  const said = new Map<string, number>()
  collection.onChange((blog, from, head) => {
    for (let seq = from; seq <= head.seq; seq++) {
      const place = `${blog} ${seq}`
      said.set(place, (said.get(place) ?? 0) + 1)
    }
  })
  return { said, twice: () => [...said].filter(([, times]) => times > 1) }
}

it('gathers at aggregator and standby what all spokes publish, also while one of them is away', async () => {
  await using council = await startCouncil({
    ...{ spokes: 4, aggregators: ['b', 'c', 'd'] },
  })
  const [a] = council.spokes as [TestPeer]
  const maria = await council.claim('maria', await makeSigner(), a)
  const juan = await council.claim('juan', await makeSigner(), council.peer('b'))
  await maria.publish('first', a)
  await juan.publish('first', a)
  // `@roster` says who volunteers; everybody comes to the same circle.
  const inner = await soon(() => {
    const circles = council.spokes.map(({ gathering }) => gathering.circles())
    for (const each of circles) expect(each).toEqual(circles[0])
    expect(circles[0]?.inner.length).toBe(2)
    return (circles[0]?.inner ?? []).map(
      (peer) => council.spokes.find(({ line }) => line.peerId === peer) as TestPeer,
    )
  })
  const [aggregator, standby] = inner as [TestPeer, TestPeer]
  for (const { gathering } of inner) {
    await whole(gathering.collection, maria)
    await whole(gathering.collection, juan)
  }
  const { said, twice } = noteSaid(standby.gathering.collection)

  const left = council.spokes.filter((spoke) => spoke !== aggregator)
  await aggregator.stop()
  const post = await maria.next('while-it-is-away')
  await soon(async () => {
    const answer = await (left[0] as TestPeer).post(post.submission)
    expect([201, 202]).toContain(answer.status)
  })
  maria.entries.push(post)
  // The standby has gathered all along: there is nothing to hand over.
  const awayMs = performance.now()
  await whole(standby.gathering.collection, maria)
  expect(performance.now() - awayMs).toBeLessThan(10_000)

  await aggregator.start()
  await maria.publish('when-it-is-back', a === aggregator ? (left[0] as TestPeer) : a)
  for (const { gathering } of inner) {
    await whole(gathering.collection, maria)
    await whole(gathering.collection, juan)
  }
  expect(said.size).toBeGreaterThan(0)
  expect(twice()).toEqual([])
})

it('offers what it consumes: three in a row have the same entries, whatever becomes of the first', async () => {
  await using council = await startCouncil({ spokes: 4, replicas: 1, aggregators: [] })
  const [s, ...others] = council.spokes as [TestPeer, TestPeer, TestPeer, TestPeer]
  const blogs = [await council.claim('maria', await makeSigner(), s)]
  blogs.push(await council.claim('juan', await makeSigner(), s))
  const write = async (blog: TestBlog, slug: string) => {
    const signed = await blog.next(slug)
    // On one server it is stored; nothing is ever published there.
    await soon(async () => expect((await s.post(signed.submission)).status).toBe(202))
    blog.entries.push(signed)
  }
  for (const blog of blogs) await write(blog, 'first')

  const folders = new Map<TestPeer, string>()
  onTestFinished(async () => {
    for (const folder of folders.values()) await rm(folder, { recursive: true, force: true })
  })
  /** A peer gathers from another one only, on a disk of its own, and offers that and nothing else. */
  const gather = async (at: TestPeer, from: TestPeer) => {
    const folder = folders.get(at) ?? (await mkdtemp(join(tmpdir(), 'council-gathered-')))
    folders.set(at, folder)
    const disk = new Level<string, Uint8Array>(folder, { valueEncoding: 'view' })
    await disk.open()
    const { network, registry, council: logs } = at.exchange
    const gathered = await GatheredCollection.open({
      ...{ disk, keys: new KeyRing(), now: realClock.now },
      council: () => logs.roster()?.council ?? null,
    })
    const run = randomBytes(8).toString('hex')
    const feed = new ChangesFeed({ collection: gathered, clock: realClock, run })
    const noted = noteSaid(gathered)
    feed.start()
    new ChangesServer({ network, feed }).start()
    let sources = [from]
    const gatherer = new Gatherer({
      ...{ network, gathered, own: null, clock: realClock, report: () => undefined },
      sources: () => sources.map(({ line }) => line.peerId as never),
      lookUp: (blog, options) => registry.lookUp(blog, options),
    })
    gatherer.start()
    const stop = async () => {
      gatherer.stop()
      feed.stop()
      await disk.close()
    }
    onTestFinished(stop)
    const follow = (others: TestPeer[]) => {
      sources = others
      gatherer.reconsider()
    }
    return { gathered, noted, stop, gatherer, follow }
  }
  const [atA, atB, atC] = others as [TestPeer, TestPeer, TestPeer]
  let a = await gather(atA, s)
  const b = await gather(atB, atA)
  const c = await gather(atC, atB)
  for (const { gathered } of [a, b, c]) for (const blog of blogs) await whole(gathered, blog)

  // In the middle of what comes it stops, and comes back with what it had on its disk.
  await write(blogs[0] as TestBlog, 'before')
  const stopped = a
  await stopped.stop()
  await atA.stop()
  // While it starts it offers what it keeps as a spoke: whoever followed that would hear of nothing.
  b.follow([])
  for (const blog of blogs) await write(blog, 'meanwhile')
  await atA.start()
  a = await gather(atA, s)
  b.follow([atA])
  for (const blog of blogs) await write(blog, 'afterwards')
  for (const { gathered } of [a, b, c]) for (const blog of blogs) await whole(gathered, blog)

  for (const { noted } of [a, b, c]) expect(noted.twice()).toEqual([])
  // What it had before was not told, nor fetched, again.
  for (const place of stopped.noted.said.keys()) expect(a.noted.said.has(place)).toBe(false)
  expect(a.gatherer.states()).toMatchObject([{ isCurrent: true, owed: 0, mistrusted: null }])
})
