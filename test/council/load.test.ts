import { describe, expect, it } from 'vitest'
import { makeSigner } from '../support/author.ts'
import { soon, startCouncil } from '../support/council.ts'

const load = {
  ...{ busyPerMinute: 100, quietPerMinute: 50, mostCopies: 4 },
  ...{ growAfterMs: 1_000, shrinkAfterMs: 1_000 },
}

describe('a blog that is read a lot', () => {
  it('gets one more copy, and loses it when it is read no more', async () => {
    await using council = await startCouncil({ spokes: 5, failover: { silenceMs: 3_000 }, load })
    const blog = await council.claim('maria', await makeSigner())
    await blog.publish('one', council.peer('b'))
    const copies = async () => {
      const { primary, secondary } = await council.roles('maria')
      return primary.length + secondary.length
    }
    expect(await copies()).toBe(3)

    const readers = (await council.roles('maria')).secondary
    await soon(async () => {
      for (const spoke of readers)
        for (let n = 0; n < 60; n++) expect((await spoke.ask('/', blog.host)).status).toBe(200)
      expect(await copies()).toBe(4)
    })
    for (const spoke of (await council.roles('maria')).secondary) await blog.whenWhole(spoke)
    await council.peer('c').acts('keeps a copy from now on')
    await blog.publish('two', council.peer('b'))

    // What a spoke has counted it forgets with its end.
    for (const spoke of readers) {
      await spoke.stop()
      await spoke.start()
      await council.ready()
    }
    await soon(async () => expect(await copies()).toBe(3))
    await blog.publish('three', council.peer('b'))
  })
})
