import { describe, expect, it } from 'vitest'
import { makeSigner } from '../support/author.ts'
import { startCouncil, type TestPeer } from '../support/council.ts'

describe('a reader at any spoke', () => {
  it('gets a post that a secondary should already have, before it says 404', async () => {
    // Nothing brings entries to the secondary by itself.
    const exchange = { gossip: false, push: true, pull: false, pullMs: 600_000 }
    await using council = await startCouncil({ spokes: 2, exchange })
    const blog = await council.claim('maria', await makeSigner(), council.peer('a'))
    const secondary = council.peer('b')
    await blog.publish('one', council.peer('a'))
    await secondary.stop()
    const missed = await blog.next('two')
    expect((await council.peer('a').post(missed.submission)).status).toBe(202)
    blog.entries.push(missed)
    await council.peer('a').stop()
    for (const peer of council.peers) await peer.start({ exchange: { ...exchange, push: false } })
    await blog.whenWhole(secondary)
    expect((await secondary.status()).came).toEqual({ submit: 0, gossip: 0, push: 0, pull: 1 })
  })

  it('gets a blog that the spoke does not keep, and its newest entry within a second', async () => {
    await using council = await startCouncil({ spokes: 3, replicas: 2 })
    const blog = await council.claim('maria', await makeSigner(), council.peer('a'))
    const other = (await council.roles('maria')).none[0] as TestPeer
    await blog.publish('one', other)
    await blog.whenWhole(other)
    await blog.publish('two', other)
    await blog.whenWhole(other)
    const page = await other.ask(`/${new Date().getUTCFullYear()}/two`, blog.host)
    expect(page.status).toBe(200)
    expect(page.body.toString()).toContain('This is two.')
    expect((await other.ask('/2026/never', blog.host)).status).toBe(404)
    expect((await other.ask('/', 'nobody.blogs.localhost')).status).toBe(404)
  })
})
