import type { PeerName } from '../../auth/peer-signature.ts'
import type { Clock } from '../clock.ts'
import { type BlogName, decodeEntry } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import { ask, type Network } from '../network.ts'
import { CHANGES } from '../protocol.ts'
import { type Assignment, namedEntries } from '../registry/assignment.ts'
import { type ChangesFeed, type CollectedRow, entriesPage } from './changes.ts'
import { afterAllTold, byClockHere } from './first-seen.ts'
import type { Gathered, GatheredCollection } from './gathered.ts'
import { SourceLie } from './source-lie.ts'
import { SourcePace } from './source-pace.ts'

/** Blogs of one source that are looked up, at once and per second: each look may ask others. */
const lookUpsBurst = 5_000
const lookUpsPerSecond = 500

/** What the act in force says of a blog; with `maxAgeMs: 0` somebody is asked anew. */
export type LookUp = (
  blog: BlogName,
  options?: { maxAgeMs?: number },
) => Promise<Assignment | 'free' | 'unreachable'>

/** Whom a blog is taken from, and until when anybody wants it. */
export type BlogSource = {
  readonly peer: PeerName
  readonly ended: Pick<AbortController, 'signal'>
}

/**
 * What came with a source's word on a blog. `rows`: entries of it, any or none; `atMs`: what the
 * source's clock showed, null where it does not tell; `receivedMs`: when it came, by the clock here;
 * `allToldMs`: when the source had said before that it had told all, null: never.
 */
export type Told = {
  readonly rows: readonly CollectedRow[]
  readonly atMs: number | null
  readonly receivedMs: number
  readonly allToldMs: number | null
}
export const nothingTold: Told = { rows: [], atMs: null, receivedMs: 0, allToldMs: null }

type Parts = {
  readonly network: Network
  readonly gathered: GatheredCollection
  /** what this peer keeps itself; null: nothing */
  readonly own: ChangesFeed | null
  readonly lookUp: LookUp
  readonly clock: Clock
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/**
 * Brings one blog of the gathered collection to where a source has it: fetches what is missing, finds
 * out whose the name is, and decides which of two versions stays.
 */
export class BlogGatherer {
  readonly #parts: Parts
  /** one source at a time brings a blog forward; the others then find it there */
  readonly #queues = new Map<BlogName, Promise<unknown>>()
  /** who brought a blog to where it is */
  readonly #givenBy = new Map<BlogName, PeerName>()
  readonly #lookUps: SourcePace

  constructor(parts: Parts) {
    this.#parts = parts
    const rate = { burst: lookUpsBurst, perSecond: lookUpsPerSecond }
    this.#lookUps = new SourcePace(rate, parts.clock)
  }

  /**
   * What is here already costs no look at a signature. Throws SourceLie for what no honest source
   * sends, and as `ask` does.
   *
   * @returns `owed`: it cannot be taken yet
   */
  async advance(
    source: BlogSource,
    blog: BlogName,
    head: Head,
    told: Told,
  ): Promise<'done' | 'owed'> {
    const isHere = async () => (await this.#parts.gathered.idAt(blog, head.seq)) === head.id
    if (await isHere()) return this.#noteSeen(blog, told)
    return this.#alone(blog, async () => {
      if (await isHere()) return this.#noteSeen(blog, told)
      const filled = await this.#fill(source, blog, head, told)
      if (filled !== 'differs') return filled
      if (!(await this.#makeWay(source, blog))) return 'done'
      const again = await this.#fill(source, blog, head, nothingTold)
      return again === 'differs' ? 'owed' : again
    })
  }

  async #noteSeen(blog: BlogName, told: Told): Promise<'done'> {
    for (const each of readRows(blog, told)) await this.#parts.gathered.seenEarlier(blog, each)
    return 'done'
  }

  /**
   * Takes what is missing of a blog up to a source's head: of what came with the change what fits,
   * the rest by pages. `differs`: another version of the blog is here, or the act has another.
   */
  async #fill(
    source: BlogSource,
    blog: BlogName,
    head: Head,
    told: Told,
  ): Promise<'done' | 'owed' | 'differs'> {
    const { gathered } = this.#parts
    const have = gathered.head(blog)
    if (have !== null && have.seq >= head.seq) return 'differs'
    const holds = have === null ? await this.#holdsOf(source, blog) : []
    if (holds === null) return 'owed'
    // Of a blog that is new here it may tell what it has had for long.
    const allToldMs = have === null ? null : told.allToldMs
    let next = (have?.seq ?? -1) + 1
    let page = readRows(blog, { ...told, allToldMs }).filter(
      ({ entry: { seq } }) => seq >= next && seq <= head.seq,
    )
    while (next <= head.seq) {
      if (page[0]?.entry.seq !== next)
        page = await this.#page(source, blog, { from: next, to: head.seq, allToldMs })
      // It has lost the blog meanwhile, or finds it damaged: it may have it again.
      if (page.length === 0) return 'owed'
      const outcome = await gathered.take(blog, page, { head, holds })
      if (outcome.kind === 'fork') return 'differs'
      if (outcome.kind === 'refused') {
        const [genesis] = holds
        const isOther = page[0]?.entry.seq === 0 && page[0].entry.id !== genesis?.id
        if (outcome.refusal.code === 'OTHER_HEAD' && !isOther) return 'differs'
        if (outcome.refusal.code === 'LOG_DAMAGED') {
          await gathered.forget(blog)
          return 'owed'
        }
        throw new SourceLie(outcome.refusal.code, `An entry of ${blog}: ${outcome.refusal.reason}`)
      }
      if (outcome.kind !== 'held')
        throw new SourceLie('CHANGES_ORDER', `Entries of ${blog} are missing.`)
      this.#givenBy.set(blog, source.peer)
      next = outcome.head.seq + 1
      page = []
    }
    if ((await gathered.idAt(blog, head.seq)) !== head.id)
      throw new SourceLie(
        'CHANGES_HEAD',
        `Entry ${head.seq} of ${blog} is another one than it said.`,
      )
    return 'done'
  }

  async #page(
    { peer }: BlogSource,
    blog: BlogName,
    { from, to, allToldMs }: { from: number; to: number; allToldMs: number | null },
  ): Promise<Gathered[]> {
    const { network, own, clock } = this.#parts
    const { at = null, entries } =
      peer === network.self && own !== null
        ? await own.entries(blog, from, to)
        : await ask(network, peer, CHANGES, { t: 'entries', blog, from, to }, entriesPage)
    const told = { rows: entries, atMs: at, receivedMs: clock.now(), allToldMs }
    const page = readRows(blog, told)
    const isAsked = page.every(({ entry }, index) => entry.seq === from + index && entry.seq <= to)
    if (!isAsked)
      throw new SourceLie('CHANGES_PAGE', `A page of ${blog} has other entries than asked.`)
    return page
  }

  /** Genesis and head that the registry names for a blog that is new here; null: not known yet. */
  async #holdsOf({ peer, ended }: BlogSource, blog: BlogName): Promise<readonly Head[] | null> {
    await this.#lookUps.take(peer, 1, ended.signal)
    const found = await this.#parts.lookUp(blog)
    return typeof found === 'string' ? null : namedEntries(found)
  }

  /**
   * A source has another version of a blog than is here. Drops the one here if the newest act
   * contradicts it, or if the source has more to say about the blog than who brought it: the primary
   * before other replicas, these before others. A primary that brought it itself may have lost its
   * disk since, and leads again with less.
   *
   * @returns whether it was dropped
   */
  async #makeWay({ peer, ended }: BlogSource, blog: BlogName): Promise<boolean> {
    const { gathered, lookUp, report } = this.#parts
    if (gathered.head(blog) === null) return false
    await this.#lookUps.take(peer, 1, ended.signal)
    const newest = await lookUp(blog, { maxAgeMs: 0 })
    if (typeof newest === 'string') return false
    const isWrong = await this.#contradicts(blog, newest)
    const by = this.#givenBy.get(blog) ?? null
    const isOwnWord = peer === by && by === newest.primary
    if (!isWrong && !isOwnWord && rankOf(peer, newest) <= rankOf(by, newest)) return false
    report('gathered_other_version', { blog, from: peer, by, isWrong })
    await gathered.forget(blog)
    return true
  }

  async #contradicts(blog: BlogName, assignment: Assignment): Promise<boolean> {
    const { gathered } = this.#parts
    const last = gathered.head(blog)?.seq ?? -1
    for (const { seq, id } of namedEntries(assignment)) {
      if (seq <= last && (await gathered.idAt(blog, seq)) !== id) return true
    }
    return false
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
}

/** Entries of one blog without a hole, with when the source saw each first by the clock here. */
function readRows(blog: BlogName, told: Told): Gathered[] {
  const read: Gathered[] = []
  for (const [text, signature, saidMs] of told.rows) {
    const entry = decodeEntry(text)
    if (!entry.ok) throw new SourceLie(entry.code, `An entry of ${blog}: ${entry.reason}`)
    const { log, seq } = entry.value
    if (log !== blog)
      throw new SourceLie('ITEM_OTHER_LOG', `An entry of ${log} among those of ${blog}.`)
    const before = read.at(-1)?.entry.seq ?? seq - 1
    if (seq !== before + 1)
      throw new SourceLie('CHANGES_ORDER', `Entries of ${blog} are not in order.`)
    const seenMs = afterAllTold(byClockHere(saidMs, told), told.allToldMs)
    read.push({ entry: entry.value, signed: { text, signature }, seenMs })
  }
  return read
}

const rankOf = (peer: PeerName | null, { primary, replicas }: Assignment): number =>
  peer === primary ? 2 : replicas.some((replica) => replica.peer === peer) ? 1 : 0
