import type { PeerName } from '../../../src/auth/peer-signature.ts'
import { KeyRing } from '../../../src/auth/public-key.ts'
import { Answers } from '../../../src/replication/aggregation/answers.ts'
import { circleMembersOf, planCircles } from '../../../src/replication/aggregation/circle.ts'
import type { Collection } from '../../../src/replication/aggregation/collection.ts'
import type { FrontPost } from '../../../src/replication/aggregation/front-page.ts'
import { FrontPosts } from '../../../src/replication/aggregation/front-posts.ts'
import { FrontPublisher } from '../../../src/replication/aggregation/front-publisher.ts'
import { FrontWatch } from '../../../src/replication/aggregation/front-watch.ts'
import { Fronts } from '../../../src/replication/aggregation/fronts.ts'
import type { Finding } from '../../../src/replication/exchange/reports.ts'
import { VirtualNetwork } from '../../support/simulation/network.ts'
import { OffLoop } from '../../support/simulation/off-loop.ts'
import { type Random, randomOf } from '../../support/simulation/random.ts'
import { Life, VirtualClock } from '../../support/simulation/virtual-clock.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { member, peer, startMs, TestCouncil } from '../test-council.ts'
import { TestCollection } from './test-collection.ts'

const spokes = [1, 2, 3, 4, 5]
/** Two of them volunteer. */
const volunteers = [1, 2]
const council = new TestCouncil().admit(...spokes)
for (const n of volunteers)
  council.write({ kind: 'change', member: member(n, { roles: ['spoke', 'aggregator'] }) })
export const { roster } = council
const circles = planCircles(roster.councilId, circleMembersOf(roster))
const [aggregator = null, standby = null] = circles.inner

const maria = await TestAuthor.make('maria')
/** Blogs written to their ends; a run publishes them bit by bit. Blog n is led by spoke n mod 5. */
export const logs: readonly TestLog[] = await Promise.all(
  Array.from({ length: 7 }, async (_, n) => {
    const log = await TestLog.begin(council.council, maria, { blog: `blog-${n}` })
    await log.posts(8)
    await log.add({ kind: 'post', slug: 'post-2', title: 'Better' })
    await log.add({ kind: 'retract', slug: 'post-7' })
    await log.posts(60)
    return log
  }),
)
const keys = new KeyRing()

/** How often a frame of changes comes when nothing happens, and how long one counts, ms. */
const frameMs = 5_000
const coveredMs = 6_000

type Peer = {
  readonly n: number
  readonly name: PeerName
  life: Life
  readonly held: TestCollection
  readonly gathered: TestCollection
  /** what it makes its front page of; a liar's leaves something out */
  source: Collection
  lie: ((posts: readonly FrontPost[]) => readonly FrontPost[]) | null
  fronts: Fronts | null
  publisher: FrontPublisher | null
  readonly framesMs: Map<PeerName, number>
  readonly nextFrameMs: Map<PeerName, number>
  startedMs: number
}

/**
 * A council of five spokes, two of which make front pages, on virtual time: real fronts, publishers,
 * watches and answers; the streams of changes are a model of what `changes` promises.
 */
export class FrontCouncil {
  readonly clock: VirtualClock
  readonly random: Random
  readonly network: VirtualNetwork
  readonly peers = new Map<number, Peer>()
  readonly findings: (Finding & { readonly by: number; readonly atMs: number })[] = []
  readonly troubles: string[] = []
  readonly events: string[] = []
  readonly #length = new Map<number, number>()
  readonly #offLoop: OffLoop
  readonly #seed: number
  /** how late frames of changes come, ms at most */
  frameDelayMs = 200
  /** until when a peer that collects takes no frames, though it answers, ms */
  readonly stalledMs = new Map<number, number>()
  #runs = 0

  constructor(seed: number) {
    this.#seed = seed
    this.#offLoop = new OffLoop()
    this.clock = new VirtualClock(startMs, this.#offLoop)
    this.random = randomOf(seed, 'front council')
    this.network = new VirtualNetwork({
      ...{ clock: this.clock, random: randomOf(seed, 'network') },
      trouble: (what) => this.troubles.push(what),
    })
    for (const n of spokes) this.#arrive(n)
  }

  get inner(): readonly number[] {
    return circles.inner.map((name) => spokes.find((n) => peer(n).peer === name) as number)
  }

  peer(n: number): Peer {
    return this.peers.get(n) as Peer
  }

  leaderOf(blog: number): number {
    return spokes[blog % spokes.length] as number
  }

  /** Runs the council until the job is done. */
  run<T>(job: () => Promise<T>, deadlineMs = 600_000): Promise<T> {
    return this.clock.run(job, () => undefined, deadlineMs)
  }

  [Symbol.dispose](): void {
    this.#offLoop[Symbol.dispose]()
  }

  #arrive(n: number): void {
    const name = peer(n).peer
    const gathered = new TestCollection()
    const base = { n, name, held: new TestCollection(), gathered, source: gathered, lie: null }
    this.peers.set(n, {
      ...base,
      ...{ life: new Life(name), fronts: null, publisher: null, startedMs: 0 },
      ...{ framesMs: new Map(), nextFrameMs: new Map() },
    })
  }

  /** Everybody starts; blogs have their first entries. */
  async start(): Promise<void> {
    for (const [at] of logs.entries()) this.publish(at, 4 + this.random.between(0, 5))
    for (const n of spokes) await this.startPeer(n)
  }

  /** An entry, or some, are published: its leader and the next spoke hold them. */
  publish(blog: number, count = 1): void {
    const log = logs[blog] as TestLog
    const length = Math.min(log.entries.length, (this.#length.get(blog) ?? 1) + count)
    this.#length.set(blog, length)
    const nowMs = this.clock.now()
    for (const n of [this.leaderOf(blog), this.leaderOf(blog + 1)]) {
      this.peer(n).held.grow(log, nowMs, length)
      for (const to of this.inner) this.#frame(n, to)
    }
  }

  /** A frame of changes goes to a peer that collects, in order with those before it. */
  #frame(from: number, to: number): void {
    const [source, target] = [this.peer(from), this.peer(to)]
    const { life } = target
    if (source.life.isOver || life.isOver || life.isStopped) return
    if (!this.network.reaches(source.name, target.name)) return
    const heads = [...source.held.blogs()].map(
      (blog) => [blog, source.held.lengthOf(blog)] as const,
    )
    const nowMs = this.clock.now()
    const delayMs = from === to ? 1 : this.random.between(1, this.frameDelayMs)
    const dueMs = Math.max(
      nowMs + delayMs,
      target.nextFrameMs.get(source.name) ?? 0,
      this.stalledMs.get(to) ?? 0,
    )
    target.nextFrameMs.set(source.name, dueMs)
    this.clock.after(dueMs - nowMs, () =>
      life.reach(() => {
        for (const [blog, length] of heads) {
          const log = logs.find((each) => each.blog === blog) as TestLog
          target.gathered.grow(log, this.clock.now(), length)
        }
        target.framesMs.set(source.name, this.clock.now())
      }),
    )
  }

  #keepFraming(n: number): void {
    const { life } = this.peer(n)
    const next = () => {
      if (life.isOver) return
      for (const to of this.inner) life.reach(() => this.#frame(n, to))
      this.clock.after(frameMs * (0.8 + 0.2 * this.random.next()), next)
    }
    next()
  }

  /** The process of a peer ends; its collections are on disk. */
  kill(n: number): void {
    const { life, name } = this.peer(n)
    life.isOver = true
    this.network.leave(name, life)
  }

  async startPeer(n: number): Promise<void> {
    const own = this.peer(n)
    const { name, held } = own
    own.life = new Life(name)
    own.startedMs = this.clock.now()
    own.framesMs.clear()
    own.nextFrameMs.clear()
    const { life } = own
    const chance = randomOf(this.#seed, `chance of ${n} ${this.#runs}`)
    const clock = this.clock.of(life, chance, { aheadMs: 0, drift: 0 })
    const station = {
      ...{ peer: name, life, watch: () => undefined },
      ...{ isMember: () => true, onConnected: () => undefined },
    }
    const { network, pubsub } = this.network.arrive(station)
    const isInner = this.inner.includes(n)
    const file = (finding: Finding) =>
      this.findings.push({ ...finding, by: n, atMs: this.clock.now() })
    const report = (event: string, fields: Readonly<Record<string, unknown>>) => {
      this.events.push(`${n} ${event} ${JSON.stringify(fields)}`)
    }
    const common = { clock, roster: () => roster, file, report, network }
    const circle = () => ({ inner: circles.inner, aggregator, standby })
    const collection = isInner ? own.gathered : held
    const posts = new FrontPosts({ collection, report })
    await posts.start()
    const fronts = new Fronts({
      ...{ ...common, circle, collection, posts, keys, pubsub },
      genesisOf: async (blog) => logs.find((log) => log.blog === blog)?.genesis.id ?? 'unknown',
      entryAt: async (blog, seq) =>
        logs.find((log) => log.blog === blog)?.entries[seq]?.offer ?? 'none',
    })
    own.fronts = fronts
    fronts.follow()
    if (isInner) {
      const made = this.#publish(own, posts, { ...common, pubsub })
      new Answers({
        ...{ network, posts, index: () => null },
        collection: own.gathered,
        publisher: {
          newest: () => own.publisher?.newest() ?? made.newest(),
          manifestOf: (root) => own.publisher?.manifestOf(root) ?? null,
        },
      }).start()
    }
    new FrontWatch({
      ...{ ...common, fronts, circle, collection, held, posts },
      manifest: () => own.publisher?.manifest() ?? null,
    }).start()
    this.#keepFraming(n)
  }

  #publish(
    own: Peer,
    honest: FrontPosts,
    parts: Pick<
      ConstructorParameters<typeof FrontPublisher>[0],
      'clock' | 'pubsub' | 'report' | 'roster'
    >,
  ): FrontPublisher {
    own.publisher?.stop()
    this.#runs++
    const publisher = new FrontPublisher({
      ...parts,
      collection: { ...own.source, blogs: own.source.blogs },
      posts: {
        posts: () => own.lie?.(honest.posts()) ?? honest.posts(),
        onChange: (listener) => honest.onChange(listener),
      },
      ...{ signer: peer(own.n), isInner: () => true },
      newRun: () => String(++this.#runs).padStart(32, '0'),
      coverage: () => this.#coverage(own),
      onPage: (made) => own.fronts?.own(made),
    })
    own.publisher = publisher
    publisher.start()
    this.#again.set(own.n, () => this.#publish(own, honest, parts))
    return publisher
  }
  readonly #again = new Map<number, () => FrontPublisher>()

  /** A liar makes its pages of something else, in a new run of its publisher. */
  republish(n: number): void {
    this.#again.get(n)?.()
  }

  #coverage({ framesMs, startedMs }: Peer) {
    const nowMs = this.clock.now()
    const without = spokes
      .map((n) => peer(n).peer)
      .filter((name) => nowMs - (framesMs.get(name) ?? Number.NEGATIVE_INFINITY) > coveredMs)
    // Caught up, or long enough here to say who is missing.
    const isCaughtUp = without.length === 0 || nowMs - startedMs > coveredMs
    return isCaughtUp ? { of: spokes.length, without } : null
  }
}
