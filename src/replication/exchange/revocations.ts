import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Entry } from '../log/entry.ts'
import type { LogStore } from '../log/store.ts'
import type { EntryId } from '../log/text.ts'
import type { Network } from '../network.ts'
import { type Act, decodeAct } from '../registry/act.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import { fromProofRow, type ProofOfAct, type ProofRow, proofRow } from '../registry/proof.ts'
import {
  checkRevokeAct,
  isRevokeAct,
  type RevokedKey,
  RevokedKeys,
  reasonWord,
  strongest,
} from '../registry/revoked-keys.ts'
import { ActPull } from './act-pull.ts'

const revokedKey = (key: string, at: number) => `revoked/${key}/${String(at).padStart(16, '0')}`

/**
 * Which keys are revoked, at every peer alike: from `@names` where it is carried, elsewhere from
 * its acts `revoke`, pulled with their proofs from the peers that carry it and kept on disk
 * (DESIGN 3.2).
 */
export class Revocations {
  readonly #store: LogStore
  readonly #council: Pick<CouncilLogs, 'names' | 'checkProof'>
  readonly #pullRoster: (peer: PeerName) => Promise<void>
  readonly #own = new RevokedKeys()
  readonly #kept = new Set<EntryId>()
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
      ...{ network: parts.network, store: parts.store, kind: 'revocations' },
      cursorKey: (peer) => `revoked-from/${peer}`,
      take: (peer, proof) => this.takeFrom(peer, proof),
    })
  }

  /** Reads what was learnt before; each act was checked when it came. */
  async start(): Promise<void> {
    for (const [, row] of await this.#store.values('revoked/')) {
      const act = decodeAct(fromProofRow(row as ProofRow).text)
      if (act.ok) this.#apply(act.value)
    }
  }

  /** What the council knows of a key, as far as it has come here; null: not revoked. */
  readonly of = (key: string): RevokedKey | null =>
    strongest(this.#council.names()?.revoked.of(key) ?? null, this.#own.of(key))

  /** How many acts `revoke` are known here: it rises whenever one more is. */
  get count(): number {
    return (this.#council.names()?.revoked.seqs.length ?? 0) + this.#own.seqs.length
  }

  /**
   * Takes an act `revoke` in force, with its proof. Codes: those of `checkProof` (ROSTER_BEHIND
   * among them), ACT_NOT_REVOKE, and those of `checkRevokeAct`.
   */
  async take(proof: ProofOfAct): Promise<Verdict<RevokedKey>> {
    const act = this.#council.checkProof(proof)
    if (!act.ok) return act
    if (!isRevokeAct(act.value)) return refuse('ACT_NOT_REVOKE', 'The act revokes no key.')
    const revocation = await checkRevokeAct(act.value)
    if (!revocation.ok) return revocation
    const { key } = revocation.value
    if (!this.#kept.has(act.value.id)) {
      await this.#store.write([
        this.#store.putValue(revokedKey(key, act.value.seq), proofRow(proof)),
      ])
      this.#apply(act.value)
    }
    return accept(this.of(key) as RevokedKey)
  }

  /** The same, with what is missing of `@roster` pulled from whoever sent it. */
  async takeFrom(peer: PeerName, proof: ProofOfAct): Promise<Verdict<RevokedKey>> {
    const taken = await this.take(proof)
    if (taken.ok || taken.code !== 'ROSTER_BEHIND') return taken
    await this.#pullRoster(peer).catch(() => undefined)
    return this.take(proof)
  }

  #apply(act: Act): void {
    if (!isRevokeAct(act) || this.#kept.has(act.id)) return
    this.#kept.add(act.id)
    this.#own.apply(act)
  }

  /** See `ActPull.pull`. */
  pull(peer: PeerName, headSeq?: number): Promise<void> {
    return this.#acts.pull(peer, headSeq)
  }
}

/**
 * Whether the keys of an entry may still write, judged once by whoever takes it from its author:
 * the primary, and for a genesis also the authority (DESIGN 3.2). A revoked key signs nothing any
 * more, and no blog goes over to one. One thing stays: with a key revoked softly (superseded,
 * retired) its owner may hand the blog over to her next key, by a rekey.
 *
 * Code KEY_REVOKED.
 */
export function checkRevoked(
  entry: Entry,
  revoked: (key: string) => RevokedKey | null,
): Verdict<void> {
  const signer = revoked(entry.key)
  if (signer !== null) {
    const handsOver = entry.kind === 'rekey' && entry.next !== entry.key && !signer.isHard
    if (!handsOver) return keyRevoked(signer, whatNow(signer))
  }
  const further =
    entry.kind === 'rekey' ? entry.next : entry.kind === 'genesis' ? entry.recovery : null
  const next = further === null ? null : revoked(further)
  return next === null ? accept(undefined) : keyRevoked(next, 'Take another key.')
}

const whatNow = ({ isHard }: RevokedKey) =>
  isHard
    ? 'What was published stays. The blog goes on when the recovery key of its genesis, if it has one, signs a rekey to a new key.'
    : 'What was published stays. To go on with the blog, sign a rekey to your new key.'

/** The refusal that all doors give for a revoked key. */
export function keyRevoked(revoked: RevokedKey, advice: string) {
  const day = new Date(revoked.dateMs).toISOString().slice(0, 10)
  return refuse(
    'KEY_REVOKED',
    `The key ${revoked.key} was revoked on ${day} (${reasonWord(revoked)}; act ${revoked.seq} of @names) and cannot sign here any more. ${advice}`,
  )
}
