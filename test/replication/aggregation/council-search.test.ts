import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import { KeyRing } from '../../../src/auth/public-key.ts'
import { realClock } from '../../../src/node/clock.ts'
import { maxAtOncePerPeer } from '../../../src/replication/aggregation/answers.ts'
import {
  CouncilSearch,
  indexForAnswers,
  maxCouncilSearches,
} from '../../../src/replication/aggregation/council-search.ts'
import { Indexer } from '../../../src/replication/aggregation/indexer.ts'
import { InnerAsking } from '../../../src/replication/aggregation/inner-asking.ts'
import { provedPostRow, provePost } from '../../../src/replication/aggregation/proved-post.ts'
import { SearchIndex } from '../../../src/replication/aggregation/search-index.ts'
import { parseQuery } from '../../../src/replication/aggregation/search-query.ts'
import { ReplicationError } from '../../../src/replication/errors.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import type { Network } from '../../../src/replication/network.ts'
import { refusalAnswer } from '../../../src/replication/network.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { codeOf, must, peer } from '../test-council.ts'
import { TestCollection } from './test-collection.ts'

const council = `blogs.example.org/${'5f'.repeat(32)}`
const [self, first, second] = [peer(1).peer, peer(2).peer, peer(3).peer]
const maria = await TestLog.begin(council, await TestAuthor.make('maria'), { blog: 'maria' })
for (let n = 0; n < 12; n += 1) {
  await maria.add({ kind: 'post', slug: `p-${n}`, title: `Word ${n}` }, { body: 'of the assembly' })
}
await maria.add({ kind: 'post', slug: 'other', title: 'Other' }, { body: 'nothing of it' })
const anna = await TestLog.begin(council, await TestAuthor.make('anna'), { blog: 'anna' })
await anna.add({ kind: 'post', slug: 'one', title: 'Anna' }, { body: 'the assembly of anna' })
const mallory = await TestLog.begin(council, await TestAuthor.make('mallory'), { blog: 'maria' })
await mallory.add({ kind: 'post', slug: 'fake', title: 'Fake' }, { body: 'a fake assembly' })

const stack = new AsyncDisposableStack()
afterAll(() => stack.disposeAsync())

async function indexed(collection: TestCollection): Promise<SearchIndex> {
  const report = () => undefined
  const index = stack.use(await SearchIndex.open({ path: '', clock: realClock, report }))
  const indexer = new Indexer({ collection, index, report })
  stack.defer(() => indexer.stop())
  indexer.start()
  await vi.waitFor(() => expect(indexer.behind).toBe(0), { timeout: 30_000 })
  await index.flush()
  return index
}

type Asked = { query: string; order: 'newest'; cursor: string | null; limit: number }
type Answering = (asked: Asked) => Promise<unknown>
const coverage = { spokes: 2, of: 2, blogs: 2, at: 1_000 }
const all = new TestCollection(maria, anna)
const held = new TestCollection(anna)
let allIndex: SearchIndex
let ownIndex: SearchIndex
beforeAll(async () => {
  allIndex = await indexed(all)
  ownIndex = await indexed(held)
})

const row = async (collection: TestCollection, blog: string, seq: number) => {
  const proved = await provePost(collection, blog as BlogName, seq)
  if (proved === null) throw new Error(`no ${blog} ${seq}`)
  return provedPostRow(proved)
}

/** A peer that has everything and answers as it should. */
const honest: Answering = async ({ query, ...page }) => {
  const found = await indexForAnswers(allIndex).search(query, page)
  if (!found.ok) return refusalAnswer(found)
  const { hits, next } = found.value
  return {
    posts: await Promise.all(hits.map(({ blog, seq }) => row(all, blog, seq))),
    ...{ next, coverage },
  }
}
const silent: Answering = async () => {
  throw new ReplicationError('PEER_UNREACHABLE', 'no answer')
}

/** A peer that works on so many questions of one asker at once, as `Answers` does. */
function bounded(answering: Answering, most = maxAtOncePerPeer): Answering {
  let atWork = 0
  return async (asked) => {
    if (atWork >= most) {
      return refusalAnswer({ code: 'RATE_LIMITED', reason: 'Too many.', retryMs: 20 })
    }
    atWork += 1
    await new Promise((resolve) => setImmediate(resolve))
    return answering(asked).finally(() => {
      atWork -= 1
    })
  }
}

function searchWith(peers: Readonly<Record<string, Answering>>, inner = Object.keys(peers)) {
  const asked: string[] = []
  const said: { event: string; what?: unknown }[] = []
  const network = {
    self,
    request: async (to: PeerName, _: string, body: unknown) => {
      asked.push(to)
      return await (peers[to] ?? silent)(body as Asked)
    },
    handle: () => undefined,
    connected: () => [],
  } as unknown as Network
  const genesis = new Map([
    ['maria', maria.genesis.id],
    ['anna', anna.genesis.id],
  ])
  const parts = { network, clock: realClock, inner: () => inner as PeerName[] }
  const report = (event: string, fields: object) => void said.push({ event, ...fields })
  const search = new CouncilSearch({
    ...{ ...parts, self, asking: new InnerAsking({ ...parts, report }) },
    ...{ keys: new KeyRing(), council: () => council },
    genesisOf: async (blog) => genesis.get(blog) ?? 'unknown',
    own: { index: ownIndex, collection: held, coverage: () => null },
  })
  const find = async (text: string, cursor: string | null = null, limit = 5) =>
    must(await search.search(text, { order: 'newest', cursor, limit }))
  return { search, find, asked, said }
}
const slugs = (page: { posts: readonly { entry: { log: string; slug: string } }[] }) =>
  page.posts.map(({ entry }) => `${entry.log}/${entry.slug}`)

describe('CouncilSearch, asking peers that lie', () => {
  const lies: [string, Answering][] = [
    ['junk', async () => ({ posts: 'all', next: 7 })],
    ['nothing at all', async () => undefined],
    ['a refusal', async () => refusalAnswer({ code: 'SEARCH_CURSOR', reason: 'No.' })],
    [
      'a post that its author never signed',
      async () => {
        const { entry, ...rest } = await row(all, 'anna', 1)
        const [text, signature] = entry as [Uint8Array, Uint8Array]
        const forged = Buffer.from(text).toString().replace('of anna', 'of ANNA')
        return {
          posts: [{ ...rest, entry: [Buffer.from(forged), signature] }],
          next: null,
          coverage,
        }
      },
    ],
    [
      "somebody else's post in her name",
      async () => ({
        posts: [await row(new TestCollection(mallory), 'maria', 1)],
        ...{ next: null, coverage },
      }),
    ],
    [
      'a post without the words',
      async () => ({ posts: [await row(all, 'maria', 13)], next: null, coverage }),
    ],
    [
      'one post twice',
      async () => {
        const one = await row(all, 'anna', 1)
        return { posts: [one, one], next: null, coverage }
      },
    ],
    [
      'more than was asked for',
      async () => ({
        posts: await Promise.all(Array.from({ length: 9 }, (_, n) => row(all, 'maria', n + 1))),
        ...{ next: null, coverage },
      }),
    ],
    ['a thousand posts', async () => ({ posts: Array(1_000).fill(await row(all, 'anna', 1)) })],
  ]

  it.each(lies)('takes nothing of one that answers with %s, and asks the next', async (_, lie) => {
    const { find, asked } = searchWith({ [first]: lie, [second]: honest })
    const page = await find('assembly anna')
    expect(slugs(page)).toEqual(['anna/one'])
    expect(page.coverage).toMatchObject({ kind: 'council', by: second, spokes: 2 })
    expect(asked).toEqual([first, second])
  })

  it('asks last who was found lying, and says what was wrong', async () => {
    const [, lie] = lies[5] as [string, Answering]
    const { find, asked, said } = searchWith({ [first]: lie, [second]: honest })
    await find('assembly')
    await find('assembly')
    expect(asked).toEqual([first, second, second])
    expect(said).toMatchObject([{ event: 'search_lie', peer: first }])
    expect(String(said[0]?.what)).toContain('has other words')
  })

  it('does not go round in one page', async () => {
    const once: Answering = async (asked) => ({
      ...((await honest(asked)) as object),
      next: asked.cursor ?? ((await honest(asked)) as { next: string }).next,
    })
    const { find, asked } = searchWith({ [first]: once, [second]: honest })
    const page = await find('assembly')
    await find('assembly', page.next)
    expect(asked).toEqual([first, first, second])
  })
})

describe('CouncilSearch', () => {
  it('goes through all pages, also when the peer of the first one is gone', async () => {
    const peers: Record<string, Answering> = { [first]: honest, [second]: honest }
    const { find, asked } = searchWith(peers)
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const page: Awaited<ReturnType<typeof find>> = await find('assembly', cursor)
      seen.push(...slugs(page))
      cursor = page.next
      peers[first] = silent
    } while (cursor !== null)
    expect(seen).toHaveLength(13)
    expect(new Set(seen).size).toBe(13)
    expect(asked).toEqual([first, first, second, second])
  })

  it('falls back to the own index and says so, and stays with it', async () => {
    const peers: Record<string, Answering> = { [first]: silent, [second]: silent }
    const { find, asked } = searchWith(peers)
    const page = await find('assembly')
    expect(slugs(page)).toEqual(['anna/one'])
    expect(page.coverage).toEqual({
      kind: 'own',
      reason: 'none of the servers that gather the posts of all has answered in time',
    })
    expect(asked).toEqual([first, second])
    const { next } = must(
      await ownIndex.search(must(parseQuery('assembly')), {
        order: 'newest',
        cursor: null,
        limit: 1,
      }),
    )
    expect(next).toBeNull()
    expect((await searchWith({}).find('assembly')).coverage).toMatchObject({
      reason: 'nobody in this council gathers the posts of all',
    })
  })

  it('refuses a bad query or cursor before anybody is asked', async () => {
    const { search, find, asked } = searchWith({ [first]: honest })
    const page = { order: 'newest', cursor: null, limit: 5 } as const
    expect(codeOf(await search.search('x'.repeat(10_000), page))).toBe('QUERY_TOO_LONG')
    for (const cursor of ['', 'x', 'own~x', `${first}~1.0.0.aaaaaaaaaaaa`]) {
      expect(codeOf(await search.search('assembly', { ...page, cursor }))).toBe('SEARCH_CURSOR')
    }
    expect(asked).toEqual([])
    const { next } = await find('assembly')
    expect(codeOf(await search.search('other', { ...page, cursor: next }))).toBe('SEARCH_CURSOR')
  })

  it('goes on with the own index, and does not say that nobody answered', async () => {
    const all = { [first]: honest }
    const { find, asked } = searchWith(all)
    const { next } = await find('assembly')
    const page = await find('assembly', (next as string).replace(first, 'own'))
    expect(page.coverage).toEqual({
      kind: 'own',
      reason: 'the results before these came from it alone',
    })
    expect(asked).toEqual([first])
  })

  it.each([
    ['answer what does not hold', async () => ({ posts: 'all' }), 'answered does not hold'],
    [
      'have no index yet',
      async () => refusalAnswer({ code: 'NO_INDEX', reason: 'No.' }),
      'have only just begun to',
    ],
    [
      'have gathered nothing yet',
      async () => ({ posts: [], next: null, coverage: null }),
      'have only just begun to',
    ],
  ] satisfies [string, Answering, string][])(
    'says so where those that gather %s',
    async (_, answering, words) => {
      const { coverage } = await searchWith({ [first]: answering }).find('assembly')
      expect(coverage).toMatchObject({ kind: 'own', reason: expect.stringContaining(words) })
    },
  )

  it('answers fifty different searches at once from peers that work on a few of each asker', async () => {
    const { search, asked } = searchWith({ [first]: bounded(honest), [second]: bounded(honest) })
    const answers = Array.from({ length: 50 }, (_, n) =>
      search.search('assembly', { order: 'newest', cursor: null, limit: n + 1 }),
    )
    const kinds = (await Promise.all(answers)).map((each) => must(each).coverage.kind)
    expect(kinds).toEqual(Array(50).fill('council'))
    const ofFirst = asked.filter((peer) => peer === first).length
    expect(ofFirst).toBe(asked.length / 2)
  })

  it('asks again a peer that others keep busy', async () => {
    const { search } = searchWith({ [first]: bounded(honest, 1) })
    const answers = Array.from({ length: 8 }, (_, n) =>
      search.search('assembly', { order: 'newest', cursor: null, limit: n + 1 }),
    )
    const kinds = (await Promise.all(answers)).map((each) => must(each).coverage.kind)
    expect(kinds).toEqual(Array(8).fill('council'))
  })

  it('tells a reader to come back, and shows no part for the whole, where all are busy', async () => {
    const { search } = searchWith({ [first]: bounded(honest, 0), [second]: silent })
    const answer = await search.search('assembly', { order: 'newest', cursor: null, limit: 5 })
    expect(answer).toMatchObject({ ok: false, code: 'SEARCH_BUSY', retryMs: 1_000 })
  })

  it('asks once for what many look for at the same time', async () => {
    const { search, asked } = searchWith({ [first]: honest })
    const page = { order: 'newest', cursor: null, limit: 5 } as const
    const answers = Array.from({ length: 1_000 }, () => search.search('assembly', page))
    const pages = await Promise.all(answers)
    expect(new Set(pages.map((each) => slugs(must(each)).join(' '))).size).toBe(1)
    expect(asked).toEqual([first])
    await search.search('assembly', page)
    expect(asked).toEqual([first, first])
  })

  it('has so many searches under way at once, and tells the others to come back', async () => {
    const { promise, resolve } = Promise.withResolvers<unknown>()
    const { search } = searchWith({ [first]: () => promise })
    const answers = Array.from({ length: 1_000 }, (_, n) =>
      search.search(`assembly ${n}`, { order: 'newest', cursor: null, limit: 5 }),
    )
    resolve({ posts: [], next: null, coverage })
    const codes = (await Promise.all(answers)).map((answer) => (answer.ok ? 'ok' : answer.code))
    expect(codes.filter((code) => code === 'ok')).toHaveLength(maxCouncilSearches)
    expect(codes.filter((code) => code === 'SEARCH_BUSY')).toHaveLength(1_000 - maxCouncilSearches)
  })
})
