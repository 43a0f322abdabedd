import type { PeerName } from '../../auth/peer-signature.ts'
import type { BlogName } from '../../replication/log/entry.ts'
import type { LogStore } from '../../replication/log/store.ts'
import type { AssignFields } from '../../replication/registry/act.ts'
import type { BusyBlog } from '../../replication/registry/heartbeat.ts'
import type { Names } from '../../replication/registry/names.ts'
import type { ComponentLog } from '../logger.ts'

/** When a blog gets more copies for its readers, and loses them; see `load` in `Config`. */
export type LoadMarks = {
  readonly busyPerMinute: number
  readonly quietPerMinute: number
  readonly growAfterMs: number
  readonly shrinkAfterMs: number
  readonly mostCopies: number
}

export const defaultLoad: LoadMarks = {
  ...{ busyPerMinute: 3_000, quietPerMinute: 1_000, mostCopies: 7 },
  ...{ growAfterMs: 120_000, shrinkAfterMs: 1_800_000 },
}

/** What the authority keeps in mind of a blog's readers. */
export type Demanded = {
  /** copies beyond those that every blog gets */
  readonly extra: number
  /** since when it has been read so much, or so little, that this should change; null: it has not */
  readonly busySinceMs: number | null
  readonly quietSinceMs: number | null
}
const usual: Demanded = { extra: 0, busySinceMs: null, quietSinceMs: null }

/**
 * Decides how many copies more than others a blog gets for its readers: one more after
 * `growAfterMs` in which each copy was read at least `busyPerMinute` times a minute, one less after
 * `shrinkAfterMs` in which those left would be read less than `quietPerMinute` times. Pure.
 *
 * @param seen.reads - per minute, of one copy
 * @param seen.readers - copies that are read
 * @param seen.copies - that the act in force names: one step is over before the next begins
 * @param wanted - copies that every blog gets
 */
export function nextDemand(
  before: Demanded,
  seen: { readonly reads: number; readonly readers: number; readonly copies: number },
  marks: LoadMarks,
  { wanted, nowMs }: { readonly wanted: number; readonly nowMs: number },
): Demanded {
  const most = Math.max(0, marks.mostCopies - wanted)
  const extra = Math.min(before.extra, most)
  const { reads, readers, copies } = seen
  const hasArrived = copies >= wanted + extra
  const isBusy = reads >= marks.busyPerMinute && extra < most && hasArrived
  // Where one alone is read, the primary takes its readers.
  const left = readers > 1 ? (reads * readers) / (readers - 1) : reads
  const isQuiet = extra > 0 && left < marks.quietPerMinute
  const busySinceMs = isBusy ? (before.busySinceMs ?? nowMs) : null
  const quietSinceMs = isQuiet ? (before.quietSinceMs ?? nowMs) : null
  if (busySinceMs !== null && nowMs - busySinceMs >= marks.growAfterMs)
    return { ...usual, extra: extra + 1 }
  if (quietSinceMs !== null && nowMs - quietSinceMs >= marks.shrinkAfterMs)
    return { ...usual, extra: extra - 1 }
  return { extra, busySinceMs, quietSinceMs }
}

/**
 * How often one copy of a blog is read, by what those say that serve it: its secondaries, or its
 * primary when there are none. The lower median, so that one that lies brings no copies, and one that
 * does not answer takes none away. Pure.
 */
export function readsOf(
  { primary, replicas }: Pick<AssignFields, 'primary' | 'replicas'>,
  readsAt: (peer: PeerName) => number | null,
): { readonly reads: number; readonly readers: number } {
  const secondaries = replicas.filter(({ peer }) => peer !== primary)
  const serving = secondaries.length > 0 ? secondaries : replicas
  const said = serving.flatMap(({ peer }) => readsAt(peer) ?? []).sort((a, b) => a - b)
  return { reads: said[Math.floor((said.length - 1) / 2)] ?? 0, readers: said.length }
}

const extraKey = (blog: string) => `extra/${blog}`

/** How many copies each blog shall have, by its readers. What was given stays over a restart. */
export class Demand {
  readonly #store: LogStore
  readonly #marks: LoadMarks
  readonly #log: ComponentLog
  readonly #demanded = new Map<BlogName, Demanded>()

  constructor(parts: {
    readonly store: LogStore
    readonly marks: LoadMarks
    readonly log: ComponentLog
  }) {
    this.#store = parts.store
    this.#marks = parts.marks
    this.#log = parts.log
  }

  /** Reads what was given before the start. */
  async load(): Promise<void> {
    for (const [key, extra] of await this.#store.values(extraKey('')))
      this.#demanded.set(key.slice(extraKey('').length) as BlogName, {
        ...usual,
        extra: extra as number,
      })
  }

  /** Copies wanted of a blog when every blog gets `wanted`. */
  wantedOf(blog: BlogName, wanted: number): number {
    return wanted + (this.#demanded.get(blog)?.extra ?? 0)
  }

  /**
   * Takes in what the spokes say now.
   *
   * @param busy - of each live spoke, what its last heartbeat says
   */
  async look(
    names: Pick<Names, 'blogs'>,
    busy: ReadonlyMap<PeerName, readonly BusyBlog[]>,
    at: { readonly wanted: number; readonly nowMs: number },
  ): Promise<void> {
    const said = new Map<BlogName, Map<PeerName, number>>()
    for (const [peer, blogs] of busy) {
      for (const { blog, reads } of blogs)
        said.set(blog, (said.get(blog) ?? new Map<PeerName, number>()).set(peer, reads))
    }
    for (const blog of new Set([...said.keys(), ...this.#demanded.keys()])) {
      const named = names.blogs.get(blog)
      if (named === undefined) continue
      const before = this.#demanded.get(blog) ?? usual
      // Who is heard and does not name the blog has few readers of it.
      const readsAt = (peer: PeerName) => (busy.has(peer) ? (said.get(blog)?.get(peer) ?? 0) : null)
      const seen = { ...readsOf(named, readsAt), copies: named.replicas.length }
      const next = nextDemand(before, seen, this.#marks, at)
      if (next.extra !== before.extra) await this.#keep(blog, next.extra, seen.reads)
      const isUsual = next.extra === 0 && next.busySinceMs === null
      if (isUsual) this.#demanded.delete(blog)
      else this.#demanded.set(blog, next)
    }
  }

  async #keep(blog: BlogName, extra: number, reads: number): Promise<void> {
    this.#log.info('demand', { blog, extra, reads })
    await this.#store.write(
      [
        extra === 0
          ? this.#store.deleteValue(extraKey(blog))
          : this.#store.putValue(extraKey(blog), extra),
      ],
      { sync: false },
    )
  }
}
