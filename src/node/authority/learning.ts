import type { PeerName } from '../../auth/peer-signature.ts'
import type { Clock } from '../../replication/clock.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import type { BlogName } from '../../replication/log/entry.ts'
import type { Replica } from '../../replication/log/peer-text.ts'
import { maxLearntAtOnce, maxPageEntries } from '../../replication/protocol.ts'
import type { Assignment } from '../../replication/registry/assignment.ts'
import type { NamedBlog } from '../../replication/registry/names.ts'
import type { ComponentLog } from '../logger.ts'
import type { Need } from './next-set.ts'
import type { Change } from './seal.ts'
import type { Survey } from './survey.ts'

/** How long a learner that did not answer is left alone, ms. */
const deafMs = 5_000

/** Spokes that copy blogs before an act names them, as the authority asks them to (REPLICATION 11). */
export class Learning {
  readonly #learners: Pick<Exchange['learners'], 'ask'>
  readonly #survey: Survey
  readonly #clock: Clock
  readonly #log: ComponentLog
  /** learners that did not answer last, and until when they are left alone */
  readonly #deafUntilMs = new Map<PeerName, number>()

  constructor(parts: {
    readonly exchange: Pick<Exchange, 'learners'>
    readonly survey: Survey
    readonly clock: Clock
    readonly log: ComponentLog
  }) {
    this.#learners = parts.exchange.learners
    this.#survey = parts.survey
    this.#clock = parts.clock
    this.#log = parts.log
  }

  /** Lets learners copy. @returns the blogs whose learners are at most one page behind */
  async copy(
    needs: readonly (readonly [NamedBlog, Need])[],
  ): Promise<ReadonlyMap<BlogName, Change>> {
    const acts = new Map<BlogName, Assignment>()
    for (const [{ blog, seq }] of needs) {
      const act = await this.#survey.actAt(seq)
      if (act !== null) acts.set(blog, act)
    }
    const ends = await this.#survey.look([...acts.values()])
    const byLearner = new Map<PeerName, Assignment[]>()
    for (const [{ blog }, { learners }] of needs) {
      const act = acts.get(blog)
      if (act === undefined) continue
      for (const { peer } of learners) byLearner.set(peer, [...(byLearner.get(peer) ?? []), act])
    }
    const reached = new Map<string, number>()
    await Promise.all([...byLearner].map(([peer, wanted]) => this.#ask(peer, wanted, reached)))
    const ready = new Map<BlogName, Change>()
    for (const [{ blog, id }, { next, learners }] of needs) {
      const end = ends.get(blog)
      // One that did not answer, or has nothing yet, is not near however short the log is.
      const isNear = ({ peer }: Replica) => {
        const at = reached.get(`${blog} ${peer}`)
        return end !== undefined && at !== undefined && at >= end - maxPageEntries
      }
      if (end !== undefined && learners.every(isNear)) ready.set(blog, { ...next, act: id })
    }
    return ready
  }

  async #ask(
    peer: PeerName,
    acts: readonly Assignment[],
    reached: Map<string, number>,
  ): Promise<void> {
    const nowMs = this.#clock.steady()
    if ((this.#deafUntilMs.get(peer) ?? 0) > nowMs) return
    try {
      for (let at = 0; at < acts.length; at += maxLearntAtOnce) {
        const some = acts.slice(at, at + maxLearntAtOnce)
        const heads = await this.#learners.ask(
          peer,
          some.map(({ proof }) => proof),
        )
        for (const [index, { blog }] of some.entries()) {
          const head = heads[index] ?? null
          if (head !== null) reached.set(`${blog} ${peer}`, head)
        }
      }
    } catch (error) {
      this.#deafUntilMs.set(peer, nowMs + deafMs)
      this.#log.warn('learner_failed', { peer, reason: (error as Error).message })
    }
  }
}
