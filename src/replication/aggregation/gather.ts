import type { PeerName } from '../../auth/peer-signature.ts'
import { type Clock, repeat } from '../clock.ts'
import { ReplicationError } from '../errors.ts'
import { Buckets } from '../exchange/rates.ts'
import { type BlogName, decodeEntry } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import { ask, follow, type Network } from '../network.ts'
import { CHANGES } from '../protocol.ts'
import { type Assignment, namedEntries } from '../registry/assignment.ts'
import {
  type ChangesFeed,
  type ChangesFrame,
  type CollectedRow,
  type Cursor,
  changesFrame,
  entriesPage,
  headOfChange,
} from './changes.ts'
import type { Gathered, GatheredCollection } from './gathered.ts'

/** Waits before a source that does not answer is followed again, ms; the last one goes on. */
const followAgainMs = [1_000, 3_000, 10_000] as const
/** How long a source that lied is left alone, ms. */
const mistrustMs = 600_000
/** Blogs of one source that are gathered side by side: most of the time they wait for pages. */
const atOnce = 8
/** Changes of one source that are looked at at once, and per second; the next frame waits. */
const changesBurst = 20_000
const changesPerSecond = 2_000
/** Blogs of one source that are looked up, at once and per second: each look may ask others. */
const lookUpsBurst = 5_000
const lookUpsPerSecond = 500
/** Blogs of one source that could not be taken yet; beyond it, it is asked for all again later, ms. */
const maxOwed = 1_000
const allAgainMs = 60_000
/** How often what is owed is looked at, and the longest wait of one blog between two tries, ms. */
const owedMs = 2_000
const maxOwedWaitMs = 300_000

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

type Owed = { readonly head: Head; readonly tries: number; readonly dueMs: number }

type Source = {
  readonly peer: PeerName
  readonly ended: AbortController
  readonly owed: Map<BlogName, Owed>
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
  mistrusted: string | null
}

/** What an honest peer, which checks all that it offers, would never have sent. */
class Lie extends Error {
  readonly code: string

  constructor(code: string, reason: string) {
    super(reason)
    this.code = code
  }
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
  readonly #lookUp: LookUp
  readonly #clock: Clock
  readonly #report: (event: string, fields: Readonly<Record<string, unknown>>) => void
  readonly #sources = new Map<PeerName, Source>()
  /** one source at a time brings a blog forward; the others then find it there */
  readonly #queues = new Map<BlogName, Promise<unknown>>()
  /** who brought a blog to where it is */
  readonly #givenBy = new Map<BlogName, PeerName>()
  readonly #changes: Buckets
  readonly #lookUps: Buckets
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
    this.#lookUp = parts.lookUp
    this.#clock = parts.clock
    this.#report = parts.report
    const { now } = parts.clock
    this.#changes = new Buckets({ burst: changesBurst, perSecond: changesPerSecond }, now)
    this.#lookUps = new Buckets({ burst: lookUpsBurst, perSecond: lookUpsPerSecond }, now)
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
      const source: Source = {
        ...{ peer, ended: new AbortController(), owed: new Map(), cursor: null },
        ...{
          following: new AbortController(),
          lie: null,
          isHeard: false,
          isTaking: false,
          restMs: 0,
        },
        ...{ isCurrent: false, heardMs: null, mistrusted: null },
      }
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
        } else if (!(error instanceof ReplicationError) || !isAway(error)) {
          // Our own trouble, a full disk say: the cursor has not moved, so nothing is missed.
          this.#report('gather_failed', { from: source.peer, reason: (error as Error).message })
        }
      }
      source.isCurrent = false
      source.isHeard = false
      const againMs = followAgainMs[Math.min(tries++, followAgainMs.length - 1)] ?? 0
      await this.#pause(signal, Math.max(waitMs, againMs, source.restMs))
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

  #mistrust(source: Source, error: Lie | ReplicationError): void {
    source.mistrusted = error.code
    source.cursor = null
    source.owed.clear()
    this.#report('source_lied', { peer: source.peer, code: error.code, reason: error.message })
  }

  async #takeFrame(source: Source, frame: ChangesFrame): Promise<void> {
    const { signal } = source.following
    if (frame.n > frame.newest) throw new Lie('CHANGES_ORDER', 'A frame goes beyond its end.')
    const rows = frame.changes.reduce((sum, [, , , entries]) => sum + entries.length, 0)
    await this.#pace(this.#changes, source, 1 + frame.changes.length + rows)
    await side(frame.changes, async (change) => {
      // It owed too much: all of this comes again.
      if (signal.aborted) return
      const named = headOfChange(change)
      if (named === null) throw new Lie('CHANGES_BLOG', `"${change[0]}" is no blog's name.`)
      await this.#advance(source, named.blog, named.head, change[3])
    })
    if (signal.aborted) return
    source.cursor = { run: frame.run, n: frame.n }
    source.heardMs = this.#clock.now()
    source.isCurrent = frame.n === frame.newest
  }

  /** A source that wants more than its share waits, and holds up nobody but itself. */
  async #pace(buckets: Buckets, { peer, ended }: Source, count: number): Promise<void> {
    for (let each = 0; each < count; each++) buckets.take(peer)
    const waitMs = buckets.waitMs(peer)
    if (waitMs > 0) await this.#pause(ended.signal, waitMs)
  }

  /** Brings a blog to where a source has it. What is there already costs no look at a signature. */
  async #advance(
    source: Source,
    blog: BlogName,
    head: Head,
    rows: readonly CollectedRow[],
  ): Promise<void> {
    const isHere = async () => (await this.#gathered.idAt(blog, head.seq)) === head.id
    if (await isHere()) return this.#noteSeen(blog, rows)
    await this.#alone(blog, async () => {
      if (await isHere()) return this.#noteSeen(blog, rows)
      const filled = await this.#fill(source, blog, head, rows)
      if (filled !== 'differs') return
      if (!(await this.#makeWay(source, blog))) return
      const again = await this.#fill(source, blog, head, [])
      if (again === 'differs') this.#owe(source, blog, head)
    })
  }

  async #noteSeen(blog: BlogName, rows: readonly CollectedRow[]): Promise<void> {
    for (const each of readRows(blog, rows)) await this.#gathered.seenEarlier(blog, each)
  }

  /**
   * Takes what is missing of a blog up to a source's head: of what came with the change what fits,
   * the rest by pages. `differs`: another version of the blog is here, or the act has another.
   */
  async #fill(
    source: Source,
    blog: BlogName,
    head: Head,
    rows: readonly CollectedRow[],
  ): Promise<'done' | 'differs'> {
    const have = this.#gathered.head(blog)
    if (have !== null && have.seq >= head.seq) return 'differs'
    const holds = have === null ? await this.#holdsOf(source, blog) : []
    if (holds === null) {
      this.#owe(source, blog, head)
      return 'done'
    }
    let next = (have?.seq ?? -1) + 1
    let page = readRows(blog, rows).filter(({ entry: { seq } }) => seq >= next && seq <= head.seq)
    while (next <= head.seq) {
      if (page[0]?.entry.seq !== next) page = await this.#page(source, blog, next, head.seq)
      if (page.length === 0) {
        // It has lost the blog meanwhile, or finds it damaged: it may have it again.
        this.#owe(source, blog, head)
        return 'done'
      }
      const outcome = await this.#gathered.take(blog, page, { head, holds })
      if (outcome.kind === 'fork') return 'differs'
      if (outcome.kind === 'refused') {
        const [genesis] = holds
        const isOther = page[0]?.entry.seq === 0 && page[0].entry.id !== genesis?.id
        if (outcome.refusal.code === 'OTHER_HEAD' && !isOther) return 'differs'
        if (outcome.refusal.code === 'LOG_DAMAGED') {
          await this.#gathered.forget(blog)
          this.#owe(source, blog, head)
          return 'done'
        }
        throw new Lie(outcome.refusal.code, `An entry of ${blog}: ${outcome.refusal.reason}`)
      }
      if (outcome.kind !== 'held') throw new Lie('CHANGES_ORDER', `Entries of ${blog} are missing.`)
      this.#givenBy.set(blog, source.peer)
      next = outcome.head.seq + 1
      page = []
    }
    if ((await this.#gathered.idAt(blog, head.seq)) !== head.id)
      throw new Lie('CHANGES_HEAD', `Entry ${head.seq} of ${blog} is another one than it said.`)
    return 'done'
  }

  async #page(source: Source, blog: BlogName, from: number, to: number): Promise<Gathered[]> {
    const rows =
      source.peer === this.#network.self && this.#own !== null
        ? await this.#own.entries(blog, from, to)
        : (
            await ask(
              this.#network,
              source.peer,
              CHANGES,
              { t: 'entries', blog, from, to },
              entriesPage,
            )
          ).entries
    const page = readRows(blog, rows)
    const isAsked = page.every(({ entry }, index) => entry.seq === from + index && entry.seq <= to)
    if (!isAsked) throw new Lie('CHANGES_PAGE', `A page of ${blog} has other entries than asked.`)
    return page
  }

  /** Genesis and head that the registry names for a blog that is new here; null: not known yet. */
  async #holdsOf(source: Source, blog: BlogName): Promise<readonly Head[] | null> {
    await this.#pace(this.#lookUps, source, 1)
    const found = await this.#lookUp(blog)
    return typeof found === 'string' ? null : namedEntries(found)
  }

  /**
   * A source has another version of a blog than is here. Drops the one here if the newest act
   * contradicts it, or if the source has more to say about the blog than who brought it: the primary
   * before other replicas, these before others. A primary that brought it itself may have lost its
   * disk since, and leads again with less.
   * @returns whether it was dropped
   */
  async #makeWay(source: Source, blog: BlogName): Promise<boolean> {
    if (this.#gathered.head(blog) === null) return false
    await this.#pace(this.#lookUps, source, 1)
    const newest = await this.#lookUp(blog, { maxAgeMs: 0 })
    if (typeof newest === 'string') return false
    const isWrong = await this.#contradicts(blog, newest)
    const by = this.#givenBy.get(blog) ?? null
    const isOwnWord = source.peer === by && by === newest.primary
    if (!isWrong && !isOwnWord && rankOf(source.peer, newest) <= rankOf(by, newest)) return false
    this.#report('gathered_other_version', { blog, from: source.peer, by, isWrong })
    await this.#gathered.forget(blog)
    return true
  }

  async #contradicts(blog: BlogName, assignment: Assignment): Promise<boolean> {
    const last = this.#gathered.head(blog)?.seq ?? -1
    for (const { seq, id } of namedEntries(assignment)) {
      if (seq <= last && (await this.#gathered.idAt(blog, seq)) !== id) return true
    }
    return false
  }

  #owe(source: Source, blog: BlogName, head: Head): void {
    const tries = source.owed.get(blog)?.tries ?? 0
    const waitMs = Math.min(maxOwedWaitMs, owedMs * 2 ** tries)
    source.owed.delete(blog)
    source.owed.set(blog, { head, tries: tries + 1, dueMs: this.#clock.now() + waitMs })
    if (source.owed.size <= maxOwed) return
    source.owed.clear()
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
    const due = [...source.owed].filter(([, { dueMs }]) => dueMs <= this.#clock.now())
    try {
      await side(due, async ([blog, owed]) => {
        // It is asked for when the source is heard again.
        if (!source.isHeard || source.owed.get(blog) !== owed) return
        try {
          await this.#advance(source, blog, owed.head, [])
        } catch (error) {
          if (isLie(error)) throw error
          this.#owe(source, blog, owed.head)
        }
        // What it still owes was put down anew.
        if (source.owed.get(blog) === owed) source.owed.delete(blog)
      })
    } catch (error) {
      source.lie = error as Error
      source.following.abort()
    }
  }

  #alone<T>(blog: BlogName, job: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(blog) ?? Promise.resolve()
    const run = before.then(job, job)
    const settled = run.catch(() => undefined)
    this.#queues.set(blog, settled)
    void settled.then(() => {
      if (this.#queues.get(blog) === settled) this.#queues.delete(blog)
    })
    return run
  }

  #pause(signal: AbortSignal, ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const done = () => {
        cancel()
        signal.removeEventListener('abort', done)
        resolve()
      }
      const cancel = this.#clock.after(ms, done)
      signal.addEventListener('abort', done)
    })
  }
}

type LookUp = (
  blog: BlogName,
  options?: { maxAgeMs?: number },
) => Promise<Assignment | 'free' | 'unreachable'>

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

/** Entries of one blog without a hole. */
function readRows(blog: BlogName, rows: readonly CollectedRow[]): Gathered[] {
  const read: Gathered[] = []
  for (const [text, signature, seenMs] of rows) {
    const entry = decodeEntry(text)
    if (!entry.ok) throw new Lie(entry.code, `An entry of ${blog}: ${entry.reason}`)
    const { log, seq } = entry.value
    if (log !== blog) throw new Lie('ITEM_OTHER_LOG', `An entry of ${log} among those of ${blog}.`)
    const before = read.at(-1)?.entry.seq ?? seq - 1
    if (seq !== before + 1) throw new Lie('CHANGES_ORDER', `Entries of ${blog} are not in order.`)
    read.push({ entry: entry.value, signed: { text, signature }, seenMs })
  }
  return read
}

const rankOf = (peer: PeerName | null, { primary, replicas }: Assignment): number =>
  peer === primary ? 2 : replicas.some((replica) => replica.peer === peer) ? 1 : 0

const isLie = (error: unknown): error is Lie | ReplicationError =>
  error instanceof Lie ||
  (error instanceof ReplicationError && error.code === 'PEER_ANSWER_MALFORMED')

const isAway = (error: ReplicationError) =>
  error.code === 'PEER_UNREACHABLE' || error.code === 'PEER_REFUSED'
