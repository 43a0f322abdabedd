import type { PeerName } from '../../auth/peer-signature.ts'
import { type Clock, pause, repeat } from '../clock.ts'
import type { ReplicationError } from '../errors.ts'
import type { BlogName } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import { follow, type Network } from '../network.ts'
import { CHANGES } from '../protocol.ts'
import {
  type ChangesFeed,
  type ChangesFrame,
  type Cursor,
  changesFrame,
  headOfChange,
} from './changes.ts'
import { BlogGatherer, type LookUp, nothingTold, type Told } from './gather-blog.ts'
import type { GatheredCollection } from './gathered.ts'
import { OwedBlogs, owedMs } from './owed-blogs.ts'
import { isAway, isLie, SourceLie } from './source-lie.ts'
import { SourcePace } from './source-pace.ts'

/** Waits before a source that does not answer is followed again, ms; the last one goes on. */
const followAgainMs = [1_000, 3_000, 10_000] as const
/** How long a source that lied is left alone, ms. */
const mistrustMs = 600_000
/** Blogs of one source that are gathered side by side: most of the time they wait for pages. */
const atOnce = 8
/** Changes of one source that are looked at at once, and per second; the next frame waits. */
const changesBurst = 20_000
const changesPerSecond = 2_000
/** A source that owes too many blogs to remember is asked for all again after this time, ms. */
const allAgainMs = 60_000

/** What is known of a source, for `status` and for what a front page covers. */
export type SourceState = {
  readonly peer: PeerName
  /** whether all that it had when it was last heard is here, but for what is owed */
  readonly isCurrent: boolean
  /** when it was heard last, ms; null: never */
  readonly heardMs: number | null
  /** blogs of which it has more than is here */
  readonly owed: number
  /** why it is not believed at the moment */
  readonly mistrusted: string | null
}

type Source = {
  readonly peer: PeerName
  readonly ended: AbortController
  readonly owed: OwedBlogs
  /** ends the stream that is followed now, and no more */
  following: AbortController
  /** found by another way than its stream */
  lie: Error | null
  /** whether it answers: a frame of the stream that is followed now has come */
  isHeard: boolean
  /** whether what it owes is asked for now */
  isTaking: boolean
  /** how long it is left alone after the stream that is followed now, ms */
  restMs: number
  cursor: Cursor | null
  isCurrent: boolean
  heardMs: number | null
  /** when it said last that it had told all, ms; what it adds later it has published since */
  allToldMs: number | null
  mistrusted: string | null
}

/**
 * Gathers what the peers of a circle have published into one collection, and goes on doing so. Each
 * source is followed by itself, from where it was last heard; its word counts for nothing but what
 * exists: entries pass the door of the gathered collection. One that sends what does not hold is
 * left alone for a while, and the others go on.
 */
export class Gatherer {
  readonly #network: Network
  readonly #gathered: GatheredCollection
  readonly #own: ChangesFeed | null
  readonly #wanted: () => readonly PeerName[]
  readonly #clock: Clock
  readonly #report: (event: string, fields: Readonly<Record<string, unknown>>) => void
  readonly #sources = new Map<PeerName, Source>()
  readonly #blogs: BlogGatherer
  readonly #changes: SourcePace
  #cancel: (() => void)[] = []

  constructor(parts: {
    readonly network: Network
    readonly gathered: GatheredCollection
    /** what this peer keeps itself; null: nothing */
    readonly own: ChangesFeed | null
    /** peers to gather from; this peer itself is always one when it has something */
    readonly sources: () => readonly PeerName[]
    readonly lookUp: LookUp
    readonly clock: Clock
    readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
  }) {
    this.#network = parts.network
    this.#gathered = parts.gathered
    this.#own = parts.own
    this.#wanted = parts.sources
    this.#clock = parts.clock
    this.#report = parts.report
    this.#blogs = new BlogGatherer(parts)
    this.#changes = new SourcePace(
      { burst: changesBurst, perSecond: changesPerSecond },
      parts.clock,
    )
  }

  start(): void {
    this.#cancel = [
      repeat(this.#clock, owedMs, async () => this.#takeAllOwed()),
      this.#gathered.onLost((blog) => {
        this.#report('gathered_damaged', { blog })
        // Whoever has it tells of it again.
        for (const peer of [...this.#sources.keys()]) this.#drop(peer)
        this.reconsider()
      }),
    ]
    this.reconsider()
  }

  stop(): void {
    for (const cancel of this.#cancel) cancel()
    for (const peer of [...this.#sources.keys()]) this.#drop(peer)
  }

  /** Follows whom it should follow now, and nobody else; to be called when `@roster` has changed. */
  reconsider(): void {
    const wanted = new Set(this.#wanted())
    if (this.#own === null) wanted.delete(this.#network.self)
    else wanted.add(this.#network.self)
    for (const peer of [...this.#sources.keys()]) if (!wanted.has(peer)) this.#drop(peer)
    for (const peer of wanted) {
      if (this.#sources.has(peer)) continue
      const source = newSource(peer, this.#clock)
      this.#sources.set(peer, source)
      void this.#run(source)
    }
  }

  #drop(peer: PeerName): void {
    const source = this.#sources.get(peer)
    source?.ended.abort()
    source?.following.abort()
    this.#sources.delete(peer)
  }

  states(): SourceState[] {
    return [...this.#sources.values()].map(({ peer, isCurrent, heardMs, owed, mistrusted }) => ({
      ...{ peer, isCurrent, heardMs, owed: owed.size, mistrusted },
    }))
  }

  async #run(source: Source): Promise<void> {
    const { signal } = source.ended
    let tries = 0
    while (!signal.aborted) {
      let waitMs = 0
      try {
        source.following = new AbortController()
        for await (const frame of this.#frames(source)) {
          source.isHeard = true
          await this.#takeFrame(source, frame)
          tries = 0
          if (source.following.signal.aborted) break
        }
        if (source.lie !== null) throw source.lie
      } catch (error) {
        if (signal.aborted) return
        if (isLie(error)) {
          this.#mistrust(source, error)
          waitMs = mistrustMs
        } else if (!isAway(error)) {
          // Our own trouble, a full disk say: the cursor has not moved, so nothing is missed.
          this.#report('gather_failed', { from: source.peer, reason: (error as Error).message })
        }
      }
      source.isCurrent = false
      source.isHeard = false
      const againMs = followAgainMs[Math.min(tries++, followAgainMs.length - 1)] ?? 0
      await pause(this.#clock, Math.max(waitMs, againMs, source.restMs), signal)
      source.restMs = 0
      source.mistrusted = null
      source.lie = null
    }
  }

  #frames({ peer, cursor, following }: Source): AsyncIterable<ChangesFrame> {
    if (peer === this.#network.self && this.#own !== null)
      return this.#own.follow(cursor, following.signal)
    const request = { t: 'follow', after: cursor }
    return follow(this.#network, peer, CHANGES, request, changesFrame, following.signal)
  }

  #mistrust(source: Source, error: SourceLie | ReplicationError): void {
    source.mistrusted = error.code
    source.cursor = null
    source.owed.clear()
    this.#report('source_lied', { peer: source.peer, code: error.code, reason: error.message })
  }

  async #takeFrame(source: Source, frame: ChangesFrame): Promise<void> {
    const { signal } = source.following
    const receivedMs = this.#clock.now()
    const { allToldMs } = source
    const at = { atMs: frame.at ?? null, receivedMs, allToldMs }
    if (frame.n > frame.newest) throw new SourceLie('CHANGES_ORDER', 'A frame goes beyond its end.')
    const rows = frame.changes.reduce((sum, [, , , entries]) => sum + entries.length, 0)
    await this.#changes.take(source.peer, 1 + frame.changes.length + rows, source.ended.signal)
    await side(frame.changes, async (change) => {
      // It owed too much: all of this comes again.
      if (signal.aborted) return
      const named = headOfChange(change)
      if (named === null) throw new SourceLie('CHANGES_BLOG', `"${change[0]}" is no blog's name.`)
      await this.#advance(source, named.blog, named.head, { ...at, rows: change[3] })
    })
    if (signal.aborted) return
    source.cursor = { run: frame.run, n: frame.n }
    source.heardMs = this.#clock.now()
    source.isCurrent = frame.n === frame.newest
    if (source.isCurrent) source.allToldMs = receivedMs
  }

  async #advance(source: Source, blog: BlogName, head: Head, told: Told): Promise<void> {
    const done = await this.#blogs.advance(source, blog, head, told)
    if (done === 'owed') this.#owe(source, blog, head, told.allToldMs)
  }

  #owe(source: Source, blog: BlogName, head: Head, allToldMs: number | null): void {
    if (source.owed.put(blog, head, allToldMs)) return
    source.cursor = null
    source.restMs = allAgainMs
    source.following.abort()
  }

  /** Of each source by itself: one that does not answer holds up nobody else. */
  #takeAllOwed(): void {
    for (const source of this.#sources.values()) {
      if (source.isTaking || !source.isHeard) continue
      source.isTaking = true
      void this.#takeOwed(source).finally(() => {
        source.isTaking = false
      })
    }
  }

  async #takeOwed(source: Source): Promise<void> {
    try {
      await side(source.owed.due(), async ([blog, owed]) => {
        // It is asked for when the source is heard again.
        if (!source.isHeard || !source.owed.has(blog, owed)) return
        const { allToldMs } = owed
        try {
          await this.#advance(source, blog, owed.head, { ...nothingTold, allToldMs })
        } catch (error) {
          if (isLie(error)) throw error
          this.#owe(source, blog, owed.head, allToldMs)
        }
        source.owed.done(blog, owed)
      })
    } catch (error) {
      source.lie = error as Error
      source.following.abort()
    }
  }
}

const newSource = (peer: PeerName, clock: Clock): Source => ({
  ...{ peer, ended: new AbortController(), owed: new OwedBlogs(clock), cursor: null },
  ...{ following: new AbortController(), lie: null, isHeard: false, isTaking: false, restMs: 0 },
  ...{ isCurrent: false, heardMs: null, allToldMs: null, mistrusted: null },
})

/** Runs `job` for each, a few side by side; throws the first failure when all are done. */
async function side<T>(each: readonly T[], job: (one: T) => Promise<void>): Promise<void> {
  const waiting = each.values()
  const workers = Array.from({ length: atOnce }, async () => {
    for (const one of waiting) await job(one)
  })
  const failed = (await Promise.allSettled(workers)).filter((done) => done.status === 'rejected')
  const worst = failed.find(({ reason }) => isLie(reason)) ?? failed[0]
  if (worst !== undefined) throw worst.reason
}
