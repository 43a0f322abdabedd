import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { makeSigner } from '../support/author.ts'
import { soon, startCouncil, type TestPeer } from '../support/council.ts'

describe('the DHT', () => {
  it('leads a spoke to a blog that it does not hold while the authority and DNS are stopped', async () => {
    await using council = await startCouncil({ spokes: 4, authority: 'apart' })
    const blog = await council.claim('maria', await makeSigner())
    const [first] = council.spokes
    await blog.publish('hello', first as TestPeer)
    const { none } = await council.roles('maria')
    expect(none).toHaveLength(1)
    const [reader] = none as [TestPeer]

    // Whatever it was told or asked to keep for others is gone, and nobody who carries @names is left.
    await Promise.all([reader.stop(), council.authority.stop()])
    await rm(join(reader.folder, 'data', 'libp2p'), { recursive: true })
    await reader.start()

    await blog.whenWhole(reader)
    expect((await reader.ask('/', blog.host)).body.toString()).toContain('About hello')
    for (const spoke of council.spokes) {
      const { logs, members } = await spoke.status()
      expect(logs['@names']).toBeNull()
      expect(members).toContainEqual(
        expect.objectContaining({ name: 'authority', connected: false }),
      )
    }
    expect((await reader.status()).blogs).toEqual([])
    // A name that no record answers for is not free: nobody is left who could say so.
    await soon(async () => {
      expect((await reader.ask('/', 'nobody.blogs.localhost')).status).toBe(503)
    })
  })
})
