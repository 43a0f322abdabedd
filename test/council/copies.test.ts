import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { makeSigner } from '../support/author.ts'
import {
  json,
  soon,
  startCouncil,
  type TestBlog,
  type TestCouncil,
  type TestPeer,
} from '../support/council.ts'

const failover = { silenceMs: 2_000, replaceAfterMs: 1_000 }

/** Waits until every one of these spokes is a replica under the same act, and nobody else. */
async function whenOn(council: TestCouncil, blog: TestBlog, spokes: readonly TestPeer[]) {
  await soon(async () => {
    const running = council.spokes.filter((peer) => peer.isRunning)
    const kept = await Promise.all(
      running.map(async (peer) => {
        const { blogs } = await peer.status()
        const found = blogs.find((each) => each.blog === blog.name)
        return found === undefined || found.role === 'none' ? [] : [{ peer, ...found }]
      }),
    )
    const names = kept.flat().map(({ peer }) => peer.name)
    expect(names.sort()).toEqual(spokes.map(({ name }) => name).sort())
    for (const { replicas, published } of kept.flat()) {
      expect(replicas).toBe(spokes.length)
      if (spokes.length > 1) expect(published).toBe(blog.head.seq)
    }
  })
  for (const spoke of spokes) await blog.whenWhole(spoke)
}

describe('a blog that has fewer copies than are wanted', () => {
  it('gets the next spokes that join: what was stored becomes published', async () => {
    await using council = await startCouncil({ spokes: 1, failover })
    const a = council.peer('a')
    const blog = await council.claim('maria', await makeSigner(), a)
    const first = await blog.next('alone')
    expect((await a.post(first.submission)).status).toBe(202)
    blog.entries.push(first)
    const b = await council.join('b')
    await whenOn(council, blog, [a, b])
    expect((await b.post(first.submission)).status).toBe(201)
    const c = await council.join('c')
    await whenOn(council, blog, [a, b, c])
    await blog.publish('three', c)
    // More than wanted: the fourth keeps nothing.
    await council.join('d')
    await blog.publish('four', c)
    await whenOn(council, blog, [a, b, c])
  })

  it('with one of two lost says "stored on 1 server", and heals when a spoke joins', async () => {
    await using council = await startCouncil({ spokes: 2, processes: true, failover })
    const [a, b] = [council.peer('a'), council.peer('b')]
    const blog = await council.claim('maria', await makeSigner(), b)
    await blog.publish('both', a)
    await b.kill()
    const alone = await blog.next('alone')
    await soon(async () => {
      const answer = await a.post(alone.submission)
      expect(answer.status).toBe(202)
      expect(json(answer)).toMatchObject({
        reason: 'stored on 1 server: this council has no second one yet',
      })
    })
    blog.entries.push(alone)
    const c = await council.join('c')
    await whenOn(council, blog, [a, c])
    const again = await c.post(alone.submission)
    expect([again.status, again.body.toString()]).toEqual([201, expect.anything()])
    // The one that was lost is the third.
    await b.start()
    await whenOn(council, blog, [a, b, c])
  })
})

describe('a secondary that is lost', () => {
  it('is replaced by a spoke that fills itself, and keeps nothing when it comes back', async () => {
    await using council = await startCouncil({
      ...{ spokes: 4, authority: 'first', processes: true, failover },
    })
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => council.peer(name)) as [
      ...[TestPeer, TestPeer, TestPeer, TestPeer],
    ]
    const blog = await council.claim('maria', await makeSigner(), a)
    for (const slug of ['one', 'two', 'three']) await blog.publish(slug, a)
    const { secondary, none } = await council.roles('maria')
    const [lost, kept] = secondary as [TestPeer, TestPeer]
    const [free] = none as [TestPeer]
    await lost.kill()
    await blog.publish('without', d === lost ? b : d)
    await whenOn(council, blog, [a, kept, free])
    await lost.start()
    await blog.publish('again', c === lost ? b : c)
    await whenOn(council, blog, [a, kept, free])
  })

  it('with its disk comes back as a new store, and is filled', async () => {
    await using council = await startCouncil({ spokes: 3, processes: true, failover })
    const [a, b, c] = ['a', 'b', 'c'].map((name) => council.peer(name)) as [
      ...[TestPeer, TestPeer, TestPeer],
    ]
    const blog = await council.claim('maria', await makeSigner(), a)
    for (const slug of ['one', 'two']) await blog.publish(slug, b)
    await b.kill()
    await rm(join(b.folder, 'data', 'store'), { recursive: true })
    await b.start()
    await whenOn(council, blog, [a, b, c])
    await blog.publish('three', b)
    await whenOn(council, blog, [a, b, c])
  })
})
