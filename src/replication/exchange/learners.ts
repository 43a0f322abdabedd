import { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import { refuse } from '../../auth/verdict.ts'
import { type Clock, within } from '../clock.ts'
import type { BlogName } from '../log/entry.ts'
import type { Ingest } from '../log/ingest.ts'
import { ask, type Network, proofShape, refusalAnswer } from '../network.ts'
import { maxLearntAtOnce, REPLICA } from '../protocol.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import { type ProofOfAct, type ProofRow, proofRow } from '../registry/proof.ts'
import { authorityOf } from '../registry/roster.ts'
import type { Kept } from './replica.ts'
import type { Sync } from './sync.ts'

export const learnShape = z.object({
  t: z.literal('learn'),
  acts: z.array(proofShape).max(maxLearntAtOnce),
})
const learnAnswer = z.object({
  /** where the learner's copy of each ends; null: it has none that follows the act */
  heads: z.array(z.number().int().min(0).nullable()).max(maxLearntAtOnce),
})

/** How long a learner copies before it answers how far it is, ms; it goes on behind the answer. */
const copyMs = 1_000

/**
 * A learner copies a blog before any act names it, and counts nowhere (REPLICATION 11): so a new
 * replica has almost everything when it becomes one. The authority asks again until it has.
 */
export class Learners {
  readonly #network: Network
  readonly #council: CouncilLogs
  readonly #ingest: Pick<Ingest, 'record'>
  readonly #sync: Pick<Sync, 'learn' | 'pull'>
  readonly #clock: Clock

  constructor(parts: {
    readonly network: Network
    readonly council: CouncilLogs
    readonly ingest: Pick<Ingest, 'record'>
    readonly sync: Pick<Sync, 'learn' | 'pull'>
    readonly clock: Clock
  }) {
    this.#network = parts.network
    this.#council = parts.council
    this.#ingest = parts.ingest
    this.#sync = parts.sync
    this.#clock = parts.clock
  }

  /** A learner's side: takes the acts in force, copies, and says how far it has come. */
  async answer(from: PeerName, acts: readonly ProofRow[]): Promise<unknown> {
    const roster = this.#council.roster()
    if (roster === null || from !== authorityOf(roster))
      return refusalAnswer(refuse('LEARN_NOT_AUTHORITY', 'Only the authority names learners.'))
    const learnt: (Kept | null)[] = []
    for (const act of acts) learnt.push(await this.#sync.learn(from, act))
    const kept = learnt.filter((each) => each !== null)
    await within(this.#clock, copyMs, this.#copy(kept), undefined)
    const heads = learnt.map((each) => (each === null ? null : this.#reached(each.assignment)))
    return { heads: await Promise.all(heads) }
  }

  /** From the primary, and what it does not give from another replica. */
  async #copy(kept: readonly Kept[]): Promise<void> {
    const sources = new Map<PeerName, BlogName[]>()
    for (const { assignment } of kept) {
      const { primary, blog } = assignment
      sources.set(primary, [...(sources.get(primary) ?? []), blog])
    }
    await Promise.all(
      [...sources].map(([peer, blogs]) => this.#sync.pull(peer, blogs).catch(() => undefined)),
    )
    for (const { assignment } of kept) {
      const others = assignment.replicas.filter(({ peer }) => peer !== assignment.primary)
      for (const { peer } of others) {
        if ((await this.#reached(assignment)) !== null) break
        if (peer === this.#network.self) continue
        await this.#sync.pull(peer, [assignment.blog]).catch(() => undefined)
      }
    }
  }

  async #reached({ blog, epoch }: Kept['assignment']): Promise<number | null> {
    const record = await this.#ingest.record(blog)
    return record?.follows === epoch ? record.head.seq : null
  }

  /**
   * Asks a peer to copy blogs, and how far it has come; for the authority. Throws as `ask` does.
   *
   * @returns where each copy ends, in the order of `acts`; null: nothing yet
   */
  async ask(peer: PeerName, acts: readonly ProofOfAct[]): Promise<readonly (number | null)[]> {
    const rows = acts.map(proofRow)
    if (peer === this.#network.self) return learnAnswer.parse(await this.answer(peer, rows)).heads
    const asked = { t: 'learn', acts: rows }
    return (await ask(this.#network, peer, REPLICA, asked, learnAnswer)).heads
  }
}
