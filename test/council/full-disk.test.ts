import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CouncilNames } from '../../src/node/demo/names.ts'
import { makeSigner } from '../support/author.ts'
import { json, soon, startCouncil, type TestBlog, type TestCouncil } from '../support/council.ts'
import { mayMount } from '../support/small-disk.ts'

describe.skipIf(!mayMount())('a spoke whose disk is full', () => {
  let council: TestCouncil
  let blog: TestBlog
  let other: TestBlog
  const spoke = () => council.peer('b')
  beforeAll(async () => {
    council = await startCouncil({
      ...{ spokes: 3, processes: true, smallDisks: { b: 64 }, dns: ['b'] },
      disk: { newBlogsPercent: 100, copiesPercent: 100, replacePercent: 100, reserveMiB: 8 },
      // Heartbeats carry the mark of the disk.
      failover: { silenceMs: 6_000 },
    })
    blog = await council.claim('maria', await makeSigner(), spoke())
    other = await council.claim('ana', await makeSigner(), council.peer('a'))
    await blog.publish('one', spoke())
    await blog.whenWhole(spoke())
    spoke().disk.fill()
  })
  afterAll(() => council?.[Symbol.asyncDispose]())

  it('refuses what is to be stored in the blogs that it leads, and says so at every spoke', async () => {
    // Long ones: what room is left in a page of the disk would do for short ones.
    const body = 'A long text. '.repeat(1_000).trim()
    let fill = await blog.next('two', { body })
    await soon(async () => {
      const answer = await spoke().post(fill.submission)
      if (answer.status === 201) {
        blog.entries.push(fill)
        fill = await blog.next('two', { body })
      }
      expect(answer.status).toBe(507)
    })
    for (const at of council.spokes) {
      const answer = await at.post(fill.submission)
      const { error } = json<{ error: { code: string; reason: string } }>(answer)
      expect([answer.status, error.code, at.name]).toEqual([507, 'DISK_FULL', at.name])
      expect(error.reason).toContain('Nothing was stored')
    }
  })

  it('goes on to be read, and to answer DNS', async () => {
    await blog.whenWhole(spoke())
    const page = await spoke().ask('/', blog.host)
    expect([page.status, page.body.toString()]).toEqual([200, expect.stringContaining('one')])
    for (const path of ['/feed.atom', '/export.tar', '/log.json'])
      expect((await spoke().ask(path, blog.host)).status, path).toBe(200)
    const { host, port } = spoke().dns
    const found = await new CouncilNames([`${host}:${port}`], Date.now).lookup(
      'maria.blogs.localhost',
    )
    expect(found.kind).toBe('found')
    await soon(async () => expect(await spoke().status()).toMatchObject({ mark: 'replace' }))
  })

  it('holds up no blog of which it is one of three copies', async () => {
    await other.publish('meanwhile', council.peer('a'))
    await other.whenWhole(council.peer('c'))
  })

  it('stays connected with peers that come and go', async () => {
    for (const name of ['c', 'a']) {
      await council.peer(name).kill()
      await council.peer(name).start()
      await council.ready()
    }
  })

  it('writes again by itself when there is room, and has lost nothing', async () => {
    spoke().disk.empty()
    await blog.publish('three', council.peer('c'))
    await other.whenWhole(spoke())
    await spoke().kill()
    await spoke().start()
    await blog.publish('four', spoke())
    for (const at of council.spokes) {
      await blog.whenWhole(at)
      await other.whenWhole(at)
    }
    await soon(async () => expect(await spoke().status()).toMatchObject({ mark: null }))
  })
})
