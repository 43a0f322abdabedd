import { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import { maxSignatureBytes } from '../../auth/signature.ts'
import { refuse } from '../../auth/verdict.ts'
import type { Clock } from '../clock.ts'
import { type BlogName, parseBlogName } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import { answer, bytes, type Network, refusalAnswer } from '../network.ts'
import {
  CHANGES,
  followBeatMs,
  maxChangesPerFrame,
  maxFollows,
  maxFollowsPerPeer,
  maxPageBytes,
  maxPageEntries,
  maxTextBytes,
} from '../protocol.ts'
import type { CollectedEntry, Collection } from './collection.ts'

/** How far a follower has been told: all changes of a run of the source up to number `n`. */
export type Cursor = { readonly run: string; readonly n: number }

/** An entry's text, its signature, and when it was first seen published, ms since the Unix epoch. */
export type CollectedRow = readonly [text: Uint8Array, signature: Uint8Array, seenMs: number]

/** "The blog ends here at seq, id now", and the entries before it that may be new, as far as they fit. */
export type Change = readonly [
  blog: string,
  seq: number,
  id: string,
  entries: readonly CollectedRow[],
]

/**
 * `n`: up to where this brings the follower; `newest`: how far there is to go now; `at`: what the
 * source's clock shows, ms, by which its times can be read.
 */
export type ChangesFrame = {
  readonly run: string
  readonly at?: number | undefined
  readonly n: number
  readonly newest: number
  readonly changes: readonly Change[]
}

const seq = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const cursor: z.ZodType<Cursor> = z.object({ run: z.string().regex(/^[0-9a-f]{1,64}$/), n: seq })
const blogName = z.string().min(1).max(40)
const instant = z.number().int().min(0).max(8.64e15)
const collectedRow: z.ZodType<CollectedRow> = z.tuple([
  bytes.refine((text) => text.length <= maxTextBytes, 'a text is too long'),
  bytes.refine((signature) => signature.length <= maxSignatureBytes, 'a signature is too long'),
  instant,
])
const entriesShape = z.array(collectedRow).max(maxPageEntries)

export const changesFrame: z.ZodType<ChangesFrame> = z.object({
  run: z.string().regex(/^[0-9a-f]{1,64}$/),
  at: instant.optional(),
  n: seq,
  newest: seq,
  changes: z
    .array(z.tuple([blogName, seq, z.string().regex(/^[0-9a-f]{64}$/), entriesShape]))
    .max(maxChangesPerFrame),
})
export const entriesPage = z.object({ at: instant.optional(), entries: entriesShape })
export type EntriesPage = z.infer<typeof entriesPage>

const followRequest = z.object({ t: z.literal('follow'), after: cursor.nullable() })
const entriesRequest = z.object({ t: z.literal('entries'), blog: blogName, from: seq, to: seq })

/** How long changes gather before they go out together, ms. */
const gatherMs = 50

/** What one follower has not been told: for each blog the first seq, null where only the head is told. */
type Follower = {
  readonly lacks: Map<BlogName, number | null>
  /** a blog that did not fit into the last frame, with the number that it had then */
  carried: Taken | null
  /** number up to which it has been told */
  told: number
  wake: () => void
}
/** What still fits into a frame. */
type Room = { bytes: number; entries: number }
type Taken = { readonly blog: BlogName; readonly number: number; readonly from: number | null }

/**
 * A collection as others follow it: each change has a number that rises, and of each blog only the
 * newest counts. So what is kept for a follower is bounded by the number of blogs, however slowly it
 * reads, and one that comes back with its cursor is told what has moved since.
 */
export class ChangesFeed {
  readonly #collection: Collection
  readonly #clock: Clock
  readonly #run: string
  /** blog → number of its newest change; in order of the numbers */
  readonly #numbers = new Map<BlogName, number>()
  readonly #followers = new Set<Follower>()
  #newest = 0
  #stop = () => {}

  /** @param run - hex digits that no run of this peer before had */
  constructor(parts: {
    readonly collection: Collection
    readonly clock: Clock
    readonly run: string
  }) {
    this.#collection = parts.collection
    this.#clock = parts.clock
    this.#run = parts.run
  }

  start(): void {
    this.#stop = this.#collection.onChange((blog, from) => this.#moved(blog, from))
    for (const blog of this.#collection.blogs()) this.#number(blog)
  }

  stop(): void {
    this.#stop()
  }

  /** Blogs that followers have not been told of, all together: what this keeps for them. */
  get queued(): number {
    let sum = 0
    for (const { lacks } of this.#followers) sum += lacks.size
    return sum
  }

  #number(blog: BlogName): void {
    this.#newest += 1
    this.#numbers.delete(blog)
    this.#numbers.set(blog, this.#newest)
  }

  #moved(blog: BlogName, from: number): void {
    this.#number(blog)
    for (const { lacks, wake } of this.#followers) {
      const before = lacks.get(blog)
      lacks.delete(blog)
      lacks.set(blog, before === undefined ? from : before === null ? null : Math.min(before, from))
      wake()
    }
  }

  /**
   * Frames for a follower until `signal` ends: at once what it lacks, then what changes, and one at
   * least every five seconds. An unknown run, or no cursor, is told all heads.
   */
  async *follow(after: Cursor | null, signal: AbortSignal): AsyncGenerator<ChangesFrame> {
    const told = after?.run === this.#run ? after.n : 0
    const lacks = new Map<BlogName, number | null>()
    for (const [blog, number] of this.#numbers) {
      if (number > told) lacks.set(blog, null)
    }
    const follower: Follower = { lacks, carried: null, told, wake: () => undefined }
    this.#followers.add(follower)
    // At once: a stream that nobody reads may take its time to end.
    const leave = () => {
      this.#followers.delete(follower)
      lacks.clear()
      follower.carried = null
      follower.wake()
    }
    signal.addEventListener('abort', leave)
    try {
      while (!signal.aborted) {
        yield await this.#frame(follower)
        if (follower.carried !== null || lacks.size > 0) continue
        await this.#pause(follower, followBeatMs, () => lacks.size > 0 || signal.aborted)
        // What comes together goes together.
        if (lacks.size > 0 && !signal.aborted)
          await this.#pause(follower, gatherMs, () => signal.aborted)
      }
    } finally {
      this.#followers.delete(follower)
      signal.removeEventListener('abort', leave)
    }
  }

  /** Resolves when `isTrue`, or after `ms`. */
  #pause(follower: Follower, ms: number, isTrue: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel()
        follower.wake = () => undefined
        resolve()
      }
      const cancel = this.#clock.after(ms, done)
      follower.wake = () => {
        if (isTrue()) done()
      }
      follower.wake()
    })
  }

  async #frame(follower: Follower): Promise<ChangesFrame> {
    const changes: Change[] = []
    const room: Room = { bytes: maxPageBytes, entries: maxPageEntries }
    while (changes.length < maxChangesPerFrame) {
      const next = follower.carried ?? this.#take(follower)
      if (next === null) break
      const change = await this.#change(next, room)
      // Its entries may fit into a frame where it comes first; if not, they are asked for.
      follower.carried = change === 'full' && changes.length > 0 ? next : null
      if (follower.carried !== null) break
      const told = change === 'full' ? this.#headOnly(next.blog) : change
      if (told !== null) changes.push(told)
      follower.told = Math.max(follower.told, next.number)
    }
    if (follower.carried === null && follower.lacks.size === 0) follower.told = this.#newest
    const at = this.#clock.now()
    return { run: this.#run, at, n: follower.told, newest: this.#newest, changes }
  }

  #take({ lacks }: Follower): Taken | null {
    for (const [blog, from] of lacks) {
      lacks.delete(blog)
      return { blog, from, number: this.#numbers.get(blog) ?? 0 }
    }
    return null
  }

  #headOnly(blog: BlogName): Change | null {
    const head = this.#collection.head(blog)
    return head === null ? null : [blog, head.seq, head.id, []]
  }

  /** null: the blog is not offered any more. */
  async #change({ blog, from }: Taken, room: Room): Promise<Change | null | 'full'> {
    const head = this.#collection.head(blog)
    const count = head === null || from === null ? 0 : head.seq - from + 1
    if (head === null || from === null || count <= 0) return this.#headOnly(blog)
    if (count > room.entries) return 'full'
    const found = await this.#collection.entries(blog, from, head.seq, room.bytes)
    const size = found.reduce((sum, each) => sum + each.text.length + each.signature.length, 0)
    if (found.length < count || size > room.bytes) return 'full'
    room.entries -= found.length
    room.bytes -= size
    return [blog, head.seq, head.id, found.map(collectedRowOf)]
  }

  /** Entries of a blog from `from` to `to`, as many as fit in a page; empty where there are none. */
  async entries(blog: BlogName, from: number, to: number): Promise<EntriesPage> {
    const last = Math.min(to, from + maxPageEntries - 1)
    const found = await this.#collection.entries(blog, from, last, maxPageBytes)
    return { at: this.#clock.now(), entries: found.map(collectedRowOf) }
  }
}

const collectedRowOf = ({ text, signature, seenMs }: CollectedEntry): CollectedRow => [
  text,
  signature,
  seenMs,
]

/** Serves a feed to other peers: `/council/changes/1`. */
export class ChangesServer {
  readonly #network: Network
  readonly #feed: ChangesFeed
  /** what ends each stream on which a peer is served, the oldest first */
  readonly #following = new Map<PeerName, readonly AbortController[]>()

  constructor(parts: { readonly network: Network; readonly feed: ChangesFeed }) {
    this.#network = parts.network
    this.#feed = parts.feed
  }

  start(): void {
    this.#network.handle(
      CHANGES,
      answer(entriesRequest, async (_from, { blog, from, to }) => {
        const name = parseBlogName(blog)
        return name === null ? { entries: [] } : this.#feed.entries(name, from, to)
      }),
    )
    this.#network.handleFollow(CHANGES, (from, body, signal) => this.#serve(from, body, signal))
  }

  /** Followers at the moment. */
  get following(): number {
    return [...this.#following.values()].reduce((sum, { length }) => sum + length, 0)
  }

  async *#serve(from: PeerName, body: unknown, signal: AbortSignal): AsyncGenerator<unknown> {
    const read = followRequest.safeParse(body)
    if (!read.success) {
      const reason = `The request has another form: ${z.prettifyError(read.error)}`
      yield refusalAnswer({ code: 'REQUEST_MALFORMED', reason })
      return
    }
    const own = this.#following.get(from) ?? []
    // Who was cut off without a word comes back to where it was; what it left behind may not know yet.
    if (own.length >= maxFollowsPerPeer) this.#end(from, own[0] as AbortController)
    if (this.following >= maxFollows) {
      yield refusalAnswer(
        refuse(
          'TOO_MANY_FOLLOWERS',
          'This peer has as many followers as it may. Try again later, or follow another one.',
        ),
      )
      return
    }
    const ended = new AbortController()
    this.#following.set(from, [...(this.#following.get(from) ?? []), ended])
    try {
      yield* this.#feed.follow(read.data.after, AbortSignal.any([signal, ended.signal]))
    } finally {
      this.#end(from, ended)
    }
  }

  /** Makes room at once, also where the stream itself takes its time to end. */
  #end(from: PeerName, ended: AbortController): void {
    ended.abort()
    const left = (this.#following.get(from) ?? []).filter((each) => each !== ended)
    if (left.length === 0) this.#following.delete(from)
    else this.#following.set(from, left)
  }
}

/** A head as a change names it; null when its blog's name is none. */
export function headOfChange([blog, seqSaid, id]: Change): {
  readonly blog: BlogName
  readonly head: Head
} | null {
  const name = parseBlogName(blog)
  return name === null ? null : { blog: name, head: { seq: seqSaid, id: id as Head['id'] } }
}
