import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Gatherer } from '../../src/replication/aggregation/gather.ts'
import { formatDate } from '../../src/replication/log/text.ts'
import { makeSigner, signEntry } from '../support/author.ts'
import {
  json,
  soon,
  startCouncil,
  type TestCouncil,
  type TestPeer,
  zone,
} from '../support/council.ts'

type Covers = { readonly kind: string; readonly spokes: number; readonly by: string }

const pageAt = async (spoke: TestPeer, path = '/') =>
  (await spoke.ask(path, zone)).body.toString().replace(/<\/?mark>/g, '')
const coversOf = async (spoke: TestPeer): Promise<Covers> =>
  json<{ covers: Covers }>(await spoke.ask('/_council/status', zone)).covers
/** Waits until a page of a spoke has all of these. */
const shows = (spoke: TestPeer, path: string, ...parts: readonly string[]) =>
  soon(async () => {
    const page = await pageAt(spoke, path)
    expect([spoke.name, parts.filter((part) => !page.includes(part))]).toEqual([spoke.name, []])
  })
const runningOf = (council: TestCouncil) => council.spokes.filter((spoke) => spoke.isRunning)

describe('the front page and the search of a council', () => {
  it('are the same at every spoke, whoever keeps the blogs', async () => {
    await using council = await startCouncil({ spokes: 4, replicas: 2, aggregators: ['b', 'c'] })
    const signer = await makeSigner()
    const maria = await council.claim('maria', signer, council.peer('a'))
    const jorge = await council.claim('jorge', signer, council.peer('d'))
    await maria.publish('assembly', council.peer('a'))
    await jorge.publish('square', council.peer('d'))
    for (const spoke of council.spokes) {
      await shows(spoke, '/', '/assembly"', '/square"')
      await soon(async () => {
        const whole = { kind: 'council', spokes: 4, of: 4, blogs: 2 }
        expect(await coversOf(spoke)).toMatchObject(whole)
      })
      await shows(spoke, '/search?q=about+blog:jorge', '/square"')
      await shows(spoke, '/blogs', '>maria', '>jorge')
    }
  })

  it('are those of a spoke that has just come, too, which has fetched no blog for it', async () => {
    await using council = await startCouncil({ spokes: 3, replicas: 2, aggregators: ['b', 'c'] })
    const slugs: string[] = []
    for (const [name, at] of [
      ['maria', 'a'],
      ['jorge', 'b'],
      ['noor', 'c'],
    ] as const) {
      const blog = await council.claim(name, await makeSigner(), council.peer(at))
      for (const slug of [`${name}-first`, `${name}-second`]) {
        await blog.publish(slug, council.peer(at))
        slugs.push(`/${slug}"`)
      }
    }
    await shows(council.peer('a'), '/', ...slugs)
    const late = await council.join('d')
    await shows(late, '/', ...slugs)
    await soon(async () => {
      const whole = { kind: 'council', spokes: 4, of: 4, blogs: 3 }
      expect(await coversOf(late)).toMatchObject(whole)
    })
    expect(await pageAt(late)).toMatch(
      /gathered by [bc] <time id="age" datetime="PT[0-9]+S">[0-9]+ seconds? ago</,
    )
    await shows(late, '/search?q=about', ...slugs)
    // It keeps no blog, no entry of one came to its door, and it gathers nothing.
    const { blogs, came, logs } = await late.status()
    expect(blogs.filter(({ role }) => role !== 'none')).toEqual([])
    expect(came).toEqual({ submit: 0, gossip: 0, push: 0, pull: 0 })
    expect(Object.keys(logs).filter((log) => !log.startsWith('@'))).toEqual([])
    expect(late.gathering.gathered).toBeNull()
  })

  it('answer many readers at once from all blogs, or tell them to come back', async () => {
    await using council = await startCouncil({ spokes: 4, replicas: 2, aggregators: ['b', 'c'] })
    const maria = await council.claim('maria', await makeSigner(), council.peer('a'))
    for (let n = 0; n < 12; n++) await maria.publish(`assembly-${n}`, council.peer('a'))
    const asker = council.peer('d')
    // Searches would be counted: one client has 60 a minute.
    for (const spoke of ['b', 'c', 'd']) {
      await shows(council.peer(spoke), '/blogs', '>maria', 'From all 4 servers')
    }
    const searches = Array.from({ length: 50 }, (_, n) => `/search?q=about+-+${'-'.repeat(n)}`)
    const lists = Array.from({ length: 20 }, (_, n) => `/blogs?after=a${n}`)
    const answers = await Promise.all([...searches, ...lists].map((path) => asker.ask(path, zone)))
    for (const { status, retryMs, body } of answers) {
      if (status === 503) expect(retryMs).toBe(1_000)
      else
        expect([status, body.toString()]).toEqual([
          200,
          expect.stringContaining('From all 4 servers'),
        ])
    }
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThan(20)
  })

  it('follow a new version, and a post that is taken back', async () => {
    await using council = await startCouncil({ spokes: 3, replicas: 2, aggregators: ['b', 'c'] })
    const signer = await makeSigner()
    const a = council.peer('a')
    const blog = await council.claim('maria', signer, a)
    await blog.publish('assembly', a)
    await blog.publish('square', a)
    for (const spoke of council.spokes) await shows(spoke, '/search?q=about', '/assembly"')
    const { seq, id } = blog.head
    const taken = await signEntry(signer, {
      ...{ kind: 'retract', council: council.id, blog: 'maria', seq: seq + 1, prev: id },
      ...{ date: formatDate(Date.now()), key: signer.fingerprint, slug: 'assembly', body: '' },
    })
    await soon(async () => expect((await a.post(taken.submission)).status).toBe(201))
    for (const spoke of council.spokes) {
      await soon(async () => {
        expect(await pageAt(spoke)).not.toContain('/assembly"')
        expect(await pageAt(spoke, '/search?q=about')).not.toContain('/assembly"')
        expect(await pageAt(spoke)).toContain('/square"')
      })
    }
  })

  it('go on at all others while the one that gathers is dead: nothing is missing, nothing is there twice', async () => {
    await using council = await startCouncil({
      ...{ spokes: 5, replicas: 3, aggregators: ['b', 'c', 'd'], processes: true },
      failover: { silenceMs: 4_000, replaceAfterMs: 600_000 },
    })
    const [a] = council.spokes as [TestPeer]
    const signer = await makeSigner()
    const blogs = [await council.claim('maria', signer, a), await council.claim('jorge', signer, a)]
    const [maria, jorge] = blogs as [(typeof blogs)[0], (typeof blogs)[0]]
    await maria.publish('before', a)
    for (const spoke of council.spokes) await shows(spoke, '/', '/before"')
    const { by } = await soon(async () => {
      const covers = await coversOf(a)
      expect(covers.kind).toBe('council')
      return covers
    })
    await council.peer(by).kill()
    await jorge.publish('meanwhile', a)
    await maria.publish('still', a)
    for (const spoke of runningOf(council)) {
      await shows(spoke, '/', '/before"', '/meanwhile"', '/still"')
      await shows(spoke, '/search?q=about', '/before"', '/meanwhile"', '/still"')
    }
    const other = await soon(async () => {
      const covers = await coversOf(a)
      expect(covers.by).not.toBe(by)
      return covers
    })
    expect(other.kind).toBe('council')
    for (const spoke of runningOf(council)) {
      const page = await pageAt(spoke)
      for (const slug of ['before', 'meanwhile', 'still'])
        expect(page.split(`/${slug}"`).length - 1, slug).toBe(1)
    }
  })

  it('keep no reader waiting for one that stands still: another answers, or the own index says why', async () => {
    await using council = await startCouncil({
      ...{ spokes: 4, replicas: 2, aggregators: ['b', 'c'], processes: true },
      failover: { silenceMs: 10_000, replaceAfterMs: 600_000 },
    })
    const maria = await council.claim('maria', await makeSigner(), council.peer('a'))
    await maria.publish('assembly', council.peer('a'))
    const asker = council.peer('d')
    for (const spoke of ['b', 'c', 'd'])
      await shows(council.peer(spoke), '/search?q=about', '/assembly"', 'From all 4 servers')
    /** Searches of several readers at once, and a list, as they are answered. */
    const ask = async () => {
      const begunMs = performance.now()
      const searches = Array.from({ length: 6 }, (_, n) => `/search?q=about+-+${'-'.repeat(n)}`)
      const answers = await Promise.all(
        [...searches, '/blogs'].map((path) => asker.ask(path, zone)),
      )
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
      // A second and a half, and as much again for a machine that has other things to do.
      expect(performance.now() - begunMs).toBeLessThan(3_000)
      return answers.map(({ body }) => body.toString())
    }
    council.peer('b').signal('SIGSTOP')
    for (let round = 0; round < 3; round++) {
      for (const page of await ask()) expect(page).toContain('From all 4 servers')
    }
    council.peer('c').signal('SIGSTOP')
    for (let round = 0; round < 3; round++) {
      for (const page of await ask()) expect(page).toContain('has answered in time')
    }
  })

  it('are found again by a spoke whose index of words was damaged', async () => {
    await using council = await startCouncil({ spokes: 2, replicas: 2, aggregators: ['a', 'b'] })
    const b = council.peer('b')
    const blog = await council.claim('maria', await makeSigner(), b)
    await blog.publish('assembly', b)
    await shows(b, '/search?q=about', '/assembly"')
    await b.stop()
    const path = join(b.folder, 'data', 'search.db')
    for (const tail of ['-wal', '-shm']) await rm(`${path}${tail}`, { force: true })
    const file = await open(path, 'r+')
    await file.write(Buffer.alloc(8_192, 0xa5), 0, 8_192, 0)
    await file.close()
    await b.start()
    await shows(b, '/search?q=about', '/assembly"')
  })
})

describe('an aggregator that leaves a blog out', () => {
  it('is reported by the spokes that keep the blog, and what it left out is shown by the other one', async () => {
    await using council = await startCouncil({ spokes: 4, replicas: 2, aggregators: ['c', 'd'] })
    const a = council.peer('a')
    const { by } = await soon(async () => {
      const covers = await coversOf(a)
      expect(covers).toMatchObject({ kind: 'council', spokes: 4 })
      return covers
    })
    const liar = council.peer(by)
    const { gathered } = liar.gathering
    if (gathered === null) throw new Error(`${by} gathers nothing`)
    // It gathers nothing of one blog, and says that it has all of everybody.
    const head = gathered.head.bind(gathered)
    gathered.head = (blog) =>
      blog === 'maria' ? { seq: 1_000_000, id: 'ab'.repeat(32) as never } : head(blog)
    const gatherer = liar.gathering.gatherer as Gatherer
    const states = gatherer.states.bind(gatherer)
    gatherer.states = () => states().map((state) => ({ ...state, owed: 0 }))
    const signer = await makeSigner()
    const jorge = await council.claim('jorge', signer, a)
    const maria = await council.claim('maria', signer, a)
    await jorge.publish('square', a)
    await maria.publish('hidden', a)
    await soon(async () => {
      const report = (await council.authority.reports()).find(
        ({ peer }) => peer === liar.line.peerId,
      )
      expect(report?.by).toBeGreaterThan(0)
    })
    for (const spoke of council.spokes.filter((each) => each !== liar))
      await shows(spoke, '/', '/hidden"', '/square"')
    const others = council.spokes.filter((each) => each !== liar).map(({ line }) => line.peerId)
    const reports = await council.authority.reports()
    expect(reports.filter(({ peer }) => others.includes(peer))).toEqual([])
  })
})
