import { encode } from 'cborg'
import { beforeEach, describe, expect, it } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import { KeyRing } from '../../../src/auth/public-key.ts'
import { Demerits, maxPoints } from '../../../src/node/demerits.ts'
import { GossipDoor } from '../../../src/node/gossip-door.ts'
import {
  buildFrontPage,
  type FrontPage,
  type FrontPost,
  signFrontPage,
} from '../../../src/replication/aggregation/front-page.ts'
import { FrontPosts } from '../../../src/replication/aggregation/front-posts.ts'
import { doubtedMs, Fronts, frontsBurst } from '../../../src/replication/aggregation/fronts.ts'
import { provedPostRow, provePost } from '../../../src/replication/aggregation/proved-post.ts'
import { ReplicationError } from '../../../src/replication/errors.ts'
import type { Finding } from '../../../src/replication/exchange/reports.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import type { EntryId, Signed } from '../../../src/replication/log/text.ts'
import type { GossipVerdict } from '../../../src/replication/network.ts'
import { frontTopic, maxFrontBytes } from '../../../src/replication/protocol.ts'
import { signedRow } from '../../../src/replication/registry/proof.ts'
import { noFollow } from '../no-follow.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { fakeId, member, peer, startMs, storeOf, TestClock, TestCouncil } from '../test-council.ts'
import { TestCollection } from './test-collection.ts'

const council = new TestCouncil().admit(1, 2, 3)
for (const n of [1, 2])
  council.write({ kind: 'change', member: member(n, { roles: ['spoke', 'aggregator'] }) })
const { roster } = council
const [aggregator, standby, self] = [1, 2, 3].map((n) => peer(n).peer) as [
  PeerName,
  PeerName,
  PeerName,
]
const maria = await TestAuthor.make('maria')
const mallory = await TestAuthor.make('mallory')
const log = await (await TestLog.begin(council.council, maria)).posts(3)
const eva = await (await TestLog.begin(council.council, maria, { blog: 'eva' })).posts(2)
/** Somebody else's under the same name. */
const stolen = await (await TestLog.begin(council.council, mallory)).posts(3)

const postOf = (of: TestLog, seq: number, seenMs = startMs - 1_000): FrontPost => ({
  ...{ blog: of.blog as BlogName, seq, id: of.at(seq).entry.id, seenMs },
})
const known = [postOf(log, 3), postOf(log, 2), postOf(eva, 2)]

let clock: TestClock
let fronts: Fronts
let judge: (from: PeerName, data: Uint8Array) => Promise<GossipVerdict>
let findings: Finding[]
let asked: [PeerName, unknown][]
/** what peers have, and whether they answer */
let collections: Map<PeerName, TestCollection>
let answer: ((peer: PeerName, body: { t: string; posts: [string, number][] }) => unknown) | null
let newest: Signed | null
let entryAt: (blog: BlogName, seq: number) => Promise<Signed | 'none' | 'unreachable'>
let genesisOf: (blog: BlogName) => Promise<EntryId | 'unknown' | 'unreachable'>
let own: TestCollection

/** how often a page was completed, or could not be now */
let finished = 0
/** What is looked at once a page came: signatures are checked on threads, in real time. */
const done = async (before: number) => {
  const deadlineMs = performance.now() + 2_000
  while (finished + clock.waiting <= before && performance.now() < deadlineMs) await settle()
}
const settle = async () => {
  for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setTimeout(resolve, 1))
}
type Change = Partial<FrontPage> & { n?: number }
const sign = ({ n = 1, posts = known, ...change }: Change = {}) =>
  signFrontPage(peer(n), {
    ...{ council: roster.council, run: storeOf(7), round: 1, atMs: clock.now(), of: 3, covered: 3 },
    ...{ without: [], roster: roster.head, blogs: 2, manifest: fakeId('ef') },
    posts: buildFrontPage(posts),
    ...change,
  })
const message = (signed: Signed) => encode({ front: signedRow(signed) })
const hear = async (change: Change = {}, from = peer(change.n ?? 1).peer) => {
  const before = finished + clock.waiting
  const verdict = await judge(from, message(sign(change)))
  if (verdict === 'accept') await done(before)
  await settle()
  return verdict
}
const shownIds = () => fronts.shown()?.posts.map(({ blog, seq }) => `${blog} ${seq}`) ?? null

beforeEach(() => {
  clock = new TestClock()
  findings = []
  asked = []
  newest = null
  own = new TestCollection()
  collections = new Map([aggregator, standby].map((name) => [name, new TestCollection(log, eva)]))
  answer = null
  genesisOf = async (blog) =>
    blog === 'maria' ? log.genesis.id : blog === 'eva' ? eva.genesis.id : 'unknown'
  entryAt = async (blog, seq) =>
    [log, eva].find((each) => each.blog === blog)?.entries[seq]?.offer ?? 'none'
  fronts = new Fronts({
    ...{ clock, keys: new KeyRing(), roster: () => roster, collection: own },
    posts: new FrontPosts({ collection: own, report: () => undefined }),
    circle: () => ({ inner: [aggregator, standby], aggregator, standby }),
    genesisOf: (blog) => genesisOf(blog),
    entryAt: (blog, seq) => entryAt(blog, seq),
    file: (finding) => findings.push(finding),
    report: (event) => {
      if (event === 'front_failed') finished += 1
    },
    pubsub: {
      subscribe: (topic, given) => {
        expect(topic).toBe(frontTopic(roster.councilId))
        judge = given
      },
      unsubscribe: () => undefined,
    },
    network: {
      ...{ ...noFollow, self, connected: () => [], handle: () => undefined },
      request: async (to, _protocol, body) => {
        asked.push([to, body])
        const given = body as { t: string; posts: [string, number][] }
        if (answer !== null) return answer(to, given)
        if (given.t === 'front') return { front: newest === null ? null : signedRow(newest) }
        const proved = await Promise.all(
          given.posts.map(([blog, seq]) =>
            provePost(collections.get(to) as TestCollection, blog as BlogName, seq),
          ),
        )
        return {
          posts: proved.flatMap((each) => (each === null ? [] : provedPostRow(each))),
          more: false,
        }
      },
    },
  })
  fronts.onChange(() => {
    finished += 1
  })
  fronts.follow()
})

describe('Fronts', () => {
  it.each<[string, () => Promise<GossipVerdict> | GossipVerdict, GossipVerdict]>([
    ['bytes that are no message', () => judge(aggregator, Buffer.from('junk')), 'reject'],
    ['an empty message', () => judge(aggregator, encode({})), 'reject'],
    [
      'a page with more bytes beside it than a page has',
      () => {
        const beside = Buffer.alloc(maxFrontBytes)
        return judge(aggregator, encode({ front: signedRow(sign()), beside }))
      },
      'reject',
    ],
    ['a page signed by another', () => hear({}, standby), 'reject'],
    [
      'a page altered on its way',
      () => {
        const signed = sign()
        return judge(
          aggregator,
          message({ ...signed, text: Buffer.concat([signed.text, Buffer.from('0')]) }),
        )
      },
      'reject',
    ],
    ['a post twice', () => hear({ posts: [postOf(log, 3), postOf(log, 3)] }), 'reject'],
    ['a page from the future', () => hear({ atMs: startMs + 700_000 }), 'reject'],
    ['a page by a member that volunteers for nothing', () => hear({ n: 3 }), 'reject'],
    ['a page of another council', () => hear({ council: `x.org/${fakeId('5f')}` }), 'reject'],
    ['a page', () => hear(), 'accept'],
  ])('judges %s', async (_what, given, verdict) => {
    expect(await given()).toBe(verdict)
    expect(fronts.shown() === null).toBe(verdict !== 'accept')
  })

  it('shows a page with posts that it fetched from its maker and checked', async () => {
    await hear()
    expect(shownIds()).toEqual(['eva 2', 'maria 3', 'maria 2'])
    expect(asked).toHaveLength(1)
    const first = fronts.shown()?.posts[0]
    expect(first?.entry.title).toBe('A post')
    expect(Buffer.from(first?.signed.signature ?? []).toString()).toContain('BEGIN PGP SIGNATURE')
  })

  it('asks for no post that it has itself or has had', async () => {
    own.grow(log)
    own.grow(eva)
    await hear()
    await hear({ n: 2 })
    expect(shownIds()).toHaveLength(3)
    expect(asked).toEqual([])
    collections.get(aggregator)?.grow(await log.branch().posts(0))
    await clock.pass(500)
    await hear({ round: 2 })
    expect(asked).toEqual([])
  })

  it('keeps the page before until all posts of the next one are there', async () => {
    await hear({ posts: [postOf(eva, 2)] })
    answer = () => {
      throw new ReplicationError('PEER_UNREACHABLE', 'stopped half-way')
    }
    await clock.pass(250)
    await hear({ round: 2 })
    expect(shownIds()).toEqual(['eva 2'])
    answer = null
    await clock.pass(1_000)
    await settle()
    expect(shownIds()).toEqual(['eva 2', 'maria 3', 'maria 2'])
  })

  it('leaves nothing behind that waits when it stops', async () => {
    genesisOf = async () => 'unreachable'
    await hear()
    expect(clock.waiting).toBe(1)
    fronts.stop()
    expect(clock.waiting).toBe(0)
  })

  it('goes on without a post that nobody can say anything about for three seconds', async () => {
    genesisOf = async (blog) => (blog === 'maria' ? 'unreachable' : eva.genesis.id)
    await hear()
    for (let second = 0; second < 5; second++) {
      expect(findings).toEqual([])
      await clock.pass(1_000)
      await settle()
    }
    expect(shownIds()).toEqual(['eva 2'])
    expect(fronts.isDoubted(aggregator)).toBe(false)
  })

  it('shows no invented post, and files who signed it', async () => {
    collections.set(aggregator, new TestCollection(stolen, eva))
    await hear({ posts: [postOf(stolen, 3), postOf(eva, 2)] })
    expect(shownIds()).toEqual(['eva 2'])
    expect(findings).toMatchObject([
      { peer: aggregator, kind: 'front', log: 'maria', seq: 3, id: log.at(3).entry.id },
    ])
    expect(findings[0]?.answer).not.toBeNull()
    expect(fronts.isDoubted(aggregator)).toBe(true)
  })

  it('shows no post that exists nowhere, nor of a blog that there is not', async () => {
    const nowhere = { ...postOf(log, 3), seq: 99, id: fakeId('99') }
    const nobody = { ...postOf(log, 3), blog: 'nobody' as BlogName, id: fakeId('98') }
    await hear({ posts: [nowhere, nobody, postOf(eva, 2)], blogs: 3 })
    expect(shownIds()).toEqual(['eva 2'])
    expect(fronts.isDoubted(aggregator)).toBe(true)
  })

  it('takes a post that its maker hands out altered from the replicas of its blog', async () => {
    answer = async (to, body) => {
      const proved = await provePost(collections.get(to) as TestCollection, 'maria' as BlogName, 3)
      if (body.t !== 'posts' || proved === null) return {}
      const row = provedPostRow(proved)
      return { posts: [{ ...row, entry: [Buffer.from('junk'), row.entry[1]] }], more: false }
    }
    await hear({ posts: [postOf(log, 3)] })
    expect(shownIds()).toEqual(['maria 3'])
    expect(findings).toEqual([])
  })

  it('shows the version that its page names of a post that its author has signed twice', async () => {
    const fork = log.branch(3)
    await fork.add({ kind: 'post' }, { body: 'Another' })
    collections.set(aggregator, new TestCollection(fork))
    await hear({ posts: [postOf(log, 3)] })
    expect(fronts.shown()?.posts.map(({ entry }) => entry.id)).toEqual([log.at(3).entry.id])
  })

  it.each<[string, unknown]>([
    ['junk', 'junk'],
    ['posts that were not asked for', { posts: [], more: true }],
    ['no end of more', { posts: [], more: true }],
  ])('is not held up by an answer with %s', async (_what, given) => {
    answer = () => given
    await hear()
    for (let second = 0; second < 5; second++) {
      await clock.pass(1_000)
      await settle()
    }
    expect(asked.length).toBeLessThan(12)
  })

  it("shows the standby's page when the aggregator is silent, and the aggregator's when it is back", async () => {
    await hear({ posts: [postOf(log, 3)] })
    await hear({ n: 2, posts: [postOf(eva, 2)] })
    expect(fronts.shown()?.peer).toBe(aggregator)
    await clock.pass(4_900)
    await hear({ n: 2, round: 2, posts: [postOf(eva, 2)] })
    await clock.pass(200)
    expect(fronts.shown()?.peer).toBe(standby)
    await hear({ round: 2, posts: [postOf(log, 3)] })
    expect(fronts.shown()?.peer).toBe(aggregator)
  })

  it('shows the newest there is when both are silent, with when it came', async () => {
    await hear()
    await clock.pass(60_000)
    expect(shownIds()).toHaveLength(3)
    expect(fronts.shown()?.receivedMs).toBe(startMs)
  })

  it('does not show who was found lying for ten minutes, while there is another', async () => {
    await hear({ posts: [postOf(log, 3)] })
    await hear({ n: 2, posts: [postOf(eva, 2)] })
    fronts.doubt(aggregator)
    expect(fronts.shown()?.peer).toBe(standby)
    await clock.pass(doubtedMs)
    await hear({ round: 2, posts: [postOf(log, 3)] })
    expect(fronts.shown()?.peer).toBe(aggregator)
  })

  it('shows a page that it asked for, to somebody who has just come', async () => {
    newest = sign()
    expect((await fronts.ask(aggregator))?.page.round).toBe(1)
    await settle()
    expect(shownIds()).toHaveLength(3)
  })

  it.each([
    ["another peer's page", () => sign({ n: 2 })],
    ['an old page', () => sign({ atMs: startMs - 700_000 })],
    ['junk', () => ({ text: Buffer.from('junk'), signature: Buffer.alloc(64) })],
  ])('takes no answer that is %s', async (_what, make) => {
    newest = make()
    expect(await fronts.ask(aggregator)).toBeNull()
    expect(fronts.shown()).toBeNull()
  })

  it('hears a run whose clock was set back once the run before it has been silent', async () => {
    await hear({ posts: [postOf(log, 3)] })
    const back = {
      run: storeOf(8),
      atMs: startMs - 300_000,
      posts: [postOf(eva, 2, startMs - 400_000)],
    }
    expect(await hear(back)).toBe('ignore')
    await clock.pass(31_000)
    expect(await hear(back)).toBe('accept')
    expect(shownIds()).toEqual(['eva 2'])
    // The old run's page is not new to anybody.
    expect(await hear({ posts: [postOf(log, 3)] })).toBe('ignore')
  })

  it('doubts who signs two pages of one round', async () => {
    await hear({ posts: [postOf(log, 3)] })
    expect(await hear({ posts: [postOf(log, 2)] })).toBe('ignore')
    expect(fronts.isDoubted(aggregator)).toBe(true)
  })

  it('lets a post be seen no later than its page came', async () => {
    await hear({ atMs: startMs + 60_000, posts: [postOf(log, 3, startMs + 60_000)] })
    expect(fronts.shown()?.posts[0]?.seenMs).toBe(startMs)
  })

  it('has the same version for the same posts and another one for others', async () => {
    await hear()
    const before = fronts.shown()?.version
    await clock.pass(2_000)
    await hear({ round: 2 })
    expect(fronts.shown()?.version).toBe(before)
    await clock.pass(2_000)
    await hear({ round: 3, posts: [postOf(log, 3)] })
    expect(fronts.shown()?.version).not.toBe(before)
  })

  it('listens to no flood: what follows too soon costs its sender, what is too much is not looked at', async () => {
    const demerits = new Demerits(clock)
    const door = new GossipDoor(clock, demerits, () => true)
    const verdicts: GossipVerdict[] = []
    for (let round = 1; round <= 60; round++) {
      const data = message(sign({ round, atMs: startMs + round }))
      const heard = { relay: standby, author: aggregator, bytes: data.length }
      verdicts.push(await door.judge(heard, (author) => judge(author, data)))
    }
    expect(verdicts[0]).toBe('accept')
    expect(verdicts.filter((verdict) => verdict === 'accept')).toHaveLength(1)
    expect(demerits.of(aggregator)).toBeGreaterThanOrEqual(maxPoints)
    // One that keeps to the pace by its own word only.
    clock.ms += 600_000
    const paced: GossipVerdict[] = []
    for (let round = 1; round <= frontsBurst + 20; round++)
      paced.push(
        await judge(standby, message(sign({ n: 2, round, atMs: clock.now() + round * 250 }))),
      )
    expect(paced.filter((verdict) => verdict === 'accept')).toHaveLength(frontsBurst)
  })
})
