import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { BlogName } from '../log/entry.ts'
import type { LogStore } from '../log/store.ts'
import type { Network } from '../network.ts'
import { decodeAct } from '../registry/act.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import { isLossAct, KnownLosses, type Loss } from '../registry/loss.ts'
import { fromProofRow, type ProofOfAct, type ProofRow, proofRow } from '../registry/proof.ts'
import { ActPull } from './act-pull.ts'

const lossKey = (blog: string, at: number) => `lost/${blog}/${String(at).padStart(16, '0')}`

/**
 * What was given up of which blog, at every peer alike: from `@names` where it is carried, elsewhere
 * from its acts `loss`, pulled with their proofs and kept on disk. So any spoke can say it.
 */
export class Losses {
  readonly #store: LogStore
  readonly #council: Pick<CouncilLogs, 'names' | 'checkProof'>
  readonly #pullRoster: (peer: PeerName) => Promise<void>
  readonly #own = new KnownLosses()
  readonly #acts: ActPull

  constructor(parts: {
    readonly network: Network
    readonly store: LogStore
    readonly council: Pick<CouncilLogs, 'names' | 'checkProof'>
    readonly pullRoster: (peer: PeerName) => Promise<void>
  }) {
    this.#store = parts.store
    this.#council = parts.council
    this.#pullRoster = parts.pullRoster
    this.#acts = new ActPull({
      ...{ network: parts.network, store: parts.store, kind: 'losses' },
      cursorKey: (peer) => `lost-from/${peer}`,
      take: (peer, proof) => this.#takeFrom(peer, proof),
    })
  }

  /** Reads what was learnt before; each act was checked when it came. */
  async start(): Promise<void> {
    for (const [, row] of await this.#store.values('lost/')) {
      const act = decodeAct(fromProofRow(row as ProofRow).text)
      if (act.ok && isLossAct(act.value)) this.#own.apply(act.value)
    }
  }

  /** What was given up of a blog, as far as that is known here; the newest first. */
  of(blog: BlogName): readonly Loss[] {
    const named = this.#council.names()?.losses.of(blog) ?? []
    const own = this.#own.of(blog).filter(({ seq }) => !named.some((each) => each.seq === seq))
    return [...named, ...own].sort((a, b) => b.seq - a.seq)
  }

  /** It rises whenever one more is known here. */
  get count(): number {
    return (this.#council.names()?.losses.seqs.length ?? 0) + this.#own.seqs.length
  }

  /** Takes an act `loss` in force, with its proof. Codes: those of `checkProof`, ACT_NOT_LOSS. */
  async take(proof: ProofOfAct): Promise<Verdict<void>> {
    const act = this.#council.checkProof(proof)
    if (!act.ok) return act
    if (!isLossAct(act.value)) return refuse('ACT_NOT_LOSS', 'The act gives up no entries.')
    const { seq, decision } = act.value
    if (!this.#own.seqs.includes(seq)) {
      const row = this.#store.putValue(lossKey(decision.blog, seq), proofRow(proof))
      await this.#store.write([row])
      this.#own.apply(act.value)
    }
    return accept(undefined)
  }

  async #takeFrom(peer: PeerName, proof: ProofOfAct): Promise<Verdict<void>> {
    const taken = await this.take(proof)
    if (taken.ok || taken.code !== 'ROSTER_BEHIND') return taken
    await this.#pullRoster(peer).catch(() => undefined)
    return this.take(proof)
  }

  /** See `ActPull.pull`. */
  pull(peer: PeerName, headSeq?: number): Promise<void> {
    return this.#acts.pull(peer, headSeq)
  }
}
