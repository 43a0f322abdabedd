import { decode, encode } from 'cborg'
import { expect } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import { KeyRing } from '../../../src/auth/public-key.ts'
import {
  type Change,
  ChangesFeed,
  type ChangesFrame,
  ChangesServer,
  type CollectedRow,
} from '../../../src/replication/aggregation/changes.ts'
import type { Collection } from '../../../src/replication/aggregation/collection.ts'
import { Gatherer } from '../../../src/replication/aggregation/gather.ts'
import { GatheredCollection } from '../../../src/replication/aggregation/gathered.ts'
import { ReplicationError } from '../../../src/replication/errors.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import type { FollowHandler, Handler, Network } from '../../../src/replication/network.ts'
import { type Assignment, toAssignment } from '../../../src/replication/registry/assignment.ts'
import { assign } from '../exchange/test-peer.ts'
import type { TestEntry, TestLog } from '../test-author.ts'
import { peer, startMs, TestClock, type TestCouncil, TestDisk } from '../test-council.ts'

export const nameOf = (log: TestLog) => log.blog as BlogName

/** An entry as it stands in a frame. */
export const rowOf = ({ entry, offer }: TestEntry, seenMs = entry.dateMs): CollectedRow => [
  ...([offer.text, offer.signature] as const),
  seenMs,
]
/** "The log ends here", with the entries from `from` on, or none. */
export function changeOf(log: TestLog, from = log.entries.length, seenMs?: number): Change {
  const rows = log.entries.slice(from).map((each) => rowOf(each, seenMs))
  return [log.blog, log.head.seq, log.head.id, rows]
}
export const frameOf = (n: number, ...changes: Change[]): ChangesFrame => ({
  ...{ run: 'ab', n, newest: n, changes },
})

type Page = readonly CollectedRow[] | { at: number; entries: readonly CollectedRow[] }
type Reported = [event: string, fields: Readonly<Record<string, unknown>>]

/** Peers of one ring, whose frames go from one to the other as real bytes, on one clock. */
export class TestRing {
  readonly clock = new TestClock(startMs + 3_600_000_000)
  readonly council: TestCouncil
  /** requests and follows: who asked whom for what */
  readonly asked: [from: number, to: PeerName, body: { t: string }][] = []
  readonly down = new Set<PeerName>()
  /** assignments that everybody's registry knows */
  readonly #assignments = new Map<string, Assignment>()
  readonly #handlers = new Map<PeerName, Handler>()
  readonly #follows = new Map<PeerName, FollowHandler>()
  /** streams that are open, by who follows whom */
  readonly #streams = new Map<string, AbortController>()

  constructor(council: TestCouncil) {
    this.council = council
  }

  network(n: number): Network {
    const self = peer(n).peer
    return {
      self,
      connected: () => [],
      handle: (_protocol, handler) => this.#handlers.set(self, handler),
      handleFollow: (_protocol, handler) => this.#follows.set(self, handler),
      request: async (to, _protocol, body) => {
        this.asked.push([n, to, body as { t: string }])
        const handler = this.#reach(self, to, this.#handlers)
        return decode(encode(await handler(self, decode(encode(body)))))
      },
      follow: (to, _protocol, body, { signal }) => {
        this.asked.push([n, to, body as { t: string }])
        return this.#frames(self, to, body, signal)
      },
    }
  }

  #reach<T>(from: PeerName, to: PeerName, served: Map<PeerName, T>): T {
    const handler = served.get(to)
    if (handler === undefined || this.down.has(to) || this.down.has(from))
      throw new ReplicationError('PEER_UNREACHABLE', `${to} is down`)
    return handler
  }

  async *#frames(
    from: PeerName,
    to: PeerName,
    body: unknown,
    signal: AbortSignal,
  ): AsyncGenerator<unknown> {
    const handler = this.#reach(from, to, this.#follows)
    const cut = new AbortController()
    this.#streams.set(`${from} ${to}`, cut)
    const either = AbortSignal.any([cut.signal, signal])
    for await (const frame of handler(from, decode(encode(body)), either)) {
      if (signal.aborted) return
      if (cut.signal.aborted) break
      yield decode(encode(frame))
    }
    if (cut.signal.aborted) throw new ReplicationError('PEER_UNREACHABLE', 'the stream broke')
  }

  /** How a peer serves who follows it. */
  served(n: number): FollowHandler {
    return this.#follows.get(peer(n).peer) as FollowHandler
  }

  /** Breaks the stream by which one peer follows another. */
  cut(from: number, to: number): void {
    this.#streams.get(`${peer(from).peer} ${peer(to).peer}`)?.abort()
  }

  /** A peer goes down, and what is open to and from it breaks. */
  kill(n: number): void {
    this.down.add(peer(n).peer)
    for (const [ends, stream] of this.#streams) {
      if (ends.split(' ').includes(peer(n).peer)) stream.abort()
    }
  }

  /** Everybody knows of an act; `replicas` of the blog are 1, 2 and 3 unless it says otherwise. */
  know(log: TestLog, change: Parameters<typeof assign>[2] = {}): Assignment {
    const { act, proof } = assign(this.council, log, { blog: nameOf(log), ...change })
    const assignment = toAssignment(act, proof) as Assignment
    this.#assignments.set(log.blog, assignment)
    return assignment
  }

  collection(disk: TestDisk): Promise<GatheredCollection> {
    return GatheredCollection.open({
      ...{ disk: disk.disk, council: () => this.council.council },
      ...{ keys: new KeyRing(), now: this.clock.now },
    })
  }

  /** A peer with blogs of its own, which others follow. */
  async source(n: number, logs: readonly TestLog[] = []): Promise<TestSource> {
    const collection = await this.collection(new TestDisk())
    const source = new TestSource(this, n, collection)
    for (const log of logs) await source.publish(log)
    source.serve()
    return source
  }

  /** A peer that gathers from others, and offers what it gathers. */
  async aggregator(
    n: number,
    sources: readonly number[],
    disk = new TestDisk(),
    own: ChangesFeed | null = null,
  ): Promise<TestAggregator> {
    const collection = await this.collection(disk)
    return new TestAggregator(this, n, { collection, disk, sources, own })
  }

  /** A peer of somebody's own making: it says what it likes. */
  liar(
    n: number,
    frames: (after: unknown) => Iterable<unknown> | AsyncIterable<unknown>,
    entries: (asked: { blog: string; from: number; to: number }) => Page | Promise<Page> = () => [],
  ): void {
    this.#handlers.set(peer(n).peer, async (_from, body) => {
      const page = await entries(body as never)
      return Array.isArray(page) ? { entries: page } : page
    })
    this.#follows.set(peer(n).peer, async function* (_from, body, signal) {
      yield* frames((body as { after: unknown }).after)
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    })
  }

  readonly lookUp = async (blog: BlogName) => this.#assignments.get(blog) ?? 'free'

  /** Lets time pass until `check` throws no more. Signatures are checked on threads, in real time. */
  async until<T>(check: () => T | Promise<T>, stepMs = 100): Promise<T> {
    const deadlineMs = performance.now() + 20_000
    for (let turn = 0; performance.now() < deadlineMs; turn++) {
      try {
        return await check()
      } catch {
        await this.clock.pass(stepMs)
        if (turn > 20) await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
    return check()
  }
}

export class TestSource {
  readonly ring: TestRing
  readonly n: number
  readonly collection: GatheredCollection
  readonly feed: ChangesFeed
  readonly server: ChangesServer

  constructor(ring: TestRing, n: number, collection: GatheredCollection) {
    this.ring = ring
    this.n = n
    this.collection = collection
    this.feed = feedOf(ring, collection)
    this.server = new ChangesServer({ network: ring.network(n), feed: this.feed })
  }

  serve(): void {
    this.feed.start()
    this.server.start()
  }

  /** What the log has more is published here now. */
  async publish(log: TestLog, to = log.entries.length - 1): Promise<void> {
    const have = this.collection.head(nameOf(log))?.seq ?? -1
    const entries = log.entries.slice(have + 1, to + 1).map(({ entry, offer }) => ({
      ...{ entry, signed: offer, seenMs: this.ring.clock.now() },
    }))
    const { seq, id } = log.at(to).entry
    const outcome = await this.collection.take(nameOf(log), entries, {
      ...{ head: { seq, id }, holds: [] },
    })
    if (outcome.kind !== 'held') throw new Error(JSON.stringify(outcome))
  }
}

let runs = 0xa0
export const feedOf = (ring: TestRing, collection: Collection) =>
  new ChangesFeed({ collection, clock: ring.clock, run: (runs++).toString(16) })

export class TestAggregator {
  readonly ring: TestRing
  readonly n: number
  readonly disk: TestDisk
  readonly collection: GatheredCollection
  readonly gatherer: Gatherer
  readonly feed: ChangesFeed
  readonly reported: Reported[] = []
  /** what the collection said: blog, first new seq, head */
  readonly said: [blog: string, from: number, seq: number][] = []
  sources: readonly number[]

  constructor(
    ring: TestRing,
    n: number,
    parts: {
      collection: GatheredCollection
      disk: TestDisk
      sources: readonly number[]
      own: ChangesFeed | null
    },
  ) {
    this.ring = ring
    this.n = n
    this.disk = parts.disk
    this.collection = parts.collection
    this.sources = parts.sources
    this.feed = feedOf(ring, parts.collection)
    const network = ring.network(n)
    this.gatherer = new Gatherer({
      ...{ network, gathered: parts.collection, own: parts.own, clock: ring.clock },
      sources: () => this.sources.map((each) => peer(each).peer),
      lookUp: ring.lookUp,
      report: (event, fields) => this.reported.push([event, fields]),
    })
    parts.collection.onChange((blog, from, head) => this.said.push([blog, from, head.seq]))
    this.feed.start()
    new ChangesServer({ network, feed: this.feed }).start()
    this.gatherer.start()
  }

  stop(): void {
    this.gatherer.stop()
    this.feed.stop()
  }

  head(log: TestLog): number {
    return this.collection.head(nameOf(log))?.seq ?? -1
  }

  /** Exactly the entries of the log, byte for byte, each as it may be shown. */
  async texts(log: TestLog): Promise<string[]> {
    const { seq } = log.head
    const shown: string[] = []
    for (let at = 0; at <= seq; at++) {
      const entry = await this.collection.entry(nameOf(log), at)
      if (entry !== null) shown.push(Buffer.from(entry.text).toString())
    }
    return shown
  }

  lies(): unknown[] {
    return this.reported
      .filter(([event]) => event === 'source_lied')
      .map(([, fields]) => [fields.peer, fields.code])
  }

  state(n: number) {
    return this.gatherer.states().find((each) => each.peer === peer(n).peer)
  }
}

export const textsOf = (log: TestLog) =>
  log.entries.map(({ offer }) => Buffer.from(offer.text).toString())

/** Waits until an aggregator of the ring has exactly the entries of a log. */
export const holdsIn = (ring: () => TestRing) => async (of: TestAggregator, log: TestLog) => {
  await ring().until(() => expect(of.head(log)).toBe(log.head.seq))
  expect(await of.texts(log)).toEqual(textsOf(log))
}
