import type { PeerName } from '../../../src/auth/peer-signature.ts'
import { type Replica, sameReplica } from '../../../src/replication/log/peer-text.ts'
import { majority } from '../../../src/replication/log/receipt.ts'
import type { EntryId } from '../../../src/replication/log/text.ts'
import type { Act, AssignFields } from '../../../src/replication/registry/act.ts'
import type { Breach } from './breach.ts'

/** One assignment, and who gave receipts under it. */
type Term = AssignFields & {
  readonly id: EntryId
  /** ids by seq that a replica's receipts cover */
  readonly covered: Map<PeerName, EntryId[]>
  /** ids by seq of its log when w replicas held its head, and what was published since; null before */
  active: EntryId[] | null
}
type Published = { readonly id: EntryId; readonly epoch: number }

/**
 * What the acts in force and the receipts that were given come to, known before any peer knows it:
 * at the moment at which the last receipt that was needed leaves its replica. Holds against it what
 * REPLICATION promises of published entries.
 */
export class Ledger {
  readonly #broken: Breach
  readonly #terms = new Map<EntryId, Term>()
  readonly #byEpoch = new Map<string, EntryId>()
  readonly #bySeq = new Map<string, EntryId>()
  readonly #owners = new Map<string, EntryId>()
  /** who holds the council's own logs, and since which entry */
  #holders: { readonly seq: number; readonly replicas: readonly Replica[] } | null = null
  /** by blog and seq */
  readonly #published = new Map<string, Published[]>()

  constructor(broken: Breach) {
    this.#broken = broken
  }

  /** An act that a peer wrote into its log: it is in force. */
  inForce({ log, seq, id, decision }: Act): void {
    const place = `${log} ${seq}`
    const before = this.#bySeq.get(place)
    if (before === id) return
    if (before !== undefined)
      this.#broken('acts', `two acts in force are ${place}: ${before}, ${id}`)
    this.#bySeq.set(place, id)
    if (decision.kind === 'assign') this.#assigned(id, decision)
    if (decision.kind === 'council') this.#holders = { seq, replicas: [decision.holder] }
    if (decision.kind === 'holders' && seq > (this.#holders?.seq ?? -1))
      this.#holders = { seq, replicas: decision.holders }
  }

  #assigned(id: EntryId, fields: AssignFields): void {
    const { blog, epoch, genesis } = fields
    const key = `${blog} ${epoch}`
    const other = this.#byEpoch.get(key)
    if (other !== undefined && other !== id)
      this.#broken('acts', `two acts in force for epoch ${epoch} of ${blog}: ${other}, ${id}`)
    this.#byEpoch.set(key, id)
    const owner = this.#owners.get(blog) ?? genesis
    if (owner !== genesis) this.#broken('acts', `${blog} has two owners: ${owner}, ${genesis}`)
    this.#owners.set(blog, owner)
    this.#terms.set(id, { ...fields, id, covered: new Map(), active: null })
  }

  /** The newest act in force of a blog, whether anybody who runs knows it or not. */
  newest(blog: string): (AssignFields & { readonly id: EntryId }) | null {
    let newest: Term | null = null
    for (const term of this.#terms.values())
      if (term.blog === blog && term.epoch > (newest?.epoch ?? 0)) newest = term
    return newest
  }

  /** A blog's act of this epoch; null when none is in force. */
  actOf(blog: string, epoch: number): (AssignFields & { readonly id: EntryId }) | null {
    return this.#terms.get(this.#byEpoch.get(`${blog} ${epoch}`) as EntryId) ?? null
  }

  replicasOf(act: EntryId): readonly Replica[] {
    return this.#terms.get(act)?.replicas ?? []
  }

  /** Whether w replicas hold the head that the act names (REPLICATION 9). */
  isActive(act: EntryId): boolean {
    return this.#terms.get(act)?.active != null
  }

  /** Whether any act of a blog was ever active: only then is it anybody's to write. */
  isEstablished(blog: string): boolean {
    return [...this.#terms.values()].some((term) => term.blog === blog && term.active !== null)
  }

  /** Ids of the entries of a blog that w replicas gave receipts for, by seq. */
  published(blog: string): readonly (Published | undefined)[] {
    return this.#published.get(blog) ?? []
  }

  /** Id of the published entry at `seq`, if a receipt of this replica is one of those by which it is; else null. */
  publishedBy(replica: Replica, blog: string, seq: number): EntryId | null {
    const published = this.published(blog)[seq]
    const term = this.#terms.get(this.#byEpoch.get(`${blog} ${published?.epoch}`) as EntryId)
    if (published === undefined || !term?.replicas.some((each) => sameReplica(each, replica)))
      return null
    return term.covered.get(replica.peer)?.[seq] === published.id ? published.id : null
  }

  /** How many entries were published, of all blogs. */
  count(): number {
    return [...this.#published.values()].reduce((sum, ids) => sum + ids.length, 0)
  }

  /** Who holds the council's own logs. */
  get holders(): readonly Replica[] {
    return this.#holders?.replicas ?? []
  }

  /**
   * A blog's acts in force, the newest first, back to the last that is active, and known to be: all
   * their sets count (REPLICATION 9).
   *
   * @param known - the act of the blog that the authority has seen to be active
   */
  line(blog: string, known: EntryId | null): AssignFields[] {
    const terms = [...this.#terms.values()].filter((term) => term.blog === blog)
    terms.sort((a, b) => b.epoch - a.epoch)
    const last = terms.findIndex(({ id, active }) => active !== null && id === known)
    return last < 0 ? terms : terms.slice(0, last + 1)
  }

  /** Acts of later epochs, and those of them that name other replicas than the act before. */
  changes(): { failovers: number; replacements: number } {
    const later = [...this.#terms.values()].filter(({ epoch }) => epoch > 1)
    const replaced = later.filter((term) => {
      const before = this.replicasOf(term.ends as EntryId)
      return !term.replicas.every((each) => before.some((other) => sameReplica(each, other)))
    })
    return { failovers: later.length, replacements: replaced.length }
  }

  /** A replica gave a receipt that covers these entries. */
  given(act: EntryId, replica: Replica, chain: readonly EntryId[]): void {
    const term = this.#terms.get(act)
    if (term === undefined || !term.replicas.some((each) => sameReplica(each, replica))) {
      this.#broken('receipt', `${replica.peer} gave a receipt under an act that does not name it`)
      return
    }
    const covered = term.covered.get(replica.peer) ?? []
    term.covered.set(replica.peer, covered)
    const from = covered.length
    const last = Math.min(from, chain.length) - 1
    if (last >= 0 && covered[last] !== chain[last])
      this.#broken(
        'receipt',
        `${replica.peer} gave receipts for two ${term.blog} ${last} in one epoch`,
      )
    for (let seq = from; seq < chain.length; seq++) covered.push(chain[seq] as EntryId)
    if (term.active === null && this.#givers(term, term.head.seq, term.head.id) >= need(term))
      this.#activate(term, covered)
    if (term.replicas.length === 1) return
    for (let seq = from; seq < covered.length; seq++) {
      const id = covered[seq] as EntryId
      if (this.#givers(term, seq, id) === need(term)) this.#publish(term, seq, id)
    }
  }

  #givers(term: Term, seq: number, id: EntryId): number {
    let givers = 0
    for (const covered of term.covered.values()) if (covered[seq] === id) givers++
    return givers
  }

  #activate(term: Term, covered: readonly EntryId[]): void {
    term.active = covered.slice(0, term.head.seq + 1)
    for (const [seq, entry] of this.published(term.blog).entries()) {
      if (entry === undefined || entry.epoch >= term.epoch) continue
      if (term.active[seq] !== entry.id)
        this.#broken(
          'published',
          `${term.blog} ${seq}, published in epoch ${entry.epoch}, is not in the log of epoch ${term.epoch}, which is active`,
        )
    }
  }

  #publish(term: Term, seq: number, id: EntryId): void {
    const { blog, epoch } = term
    const entries = this.#published.get(blog) ?? []
    this.#published.set(blog, entries)
    const before = entries[seq]
    if (before !== undefined && before.id !== id)
      this.#broken(
        'published',
        `${blog} ${seq} is published twice: ${before.id} in epoch ${before.epoch}, ${id} in epoch ${epoch}`,
      )
    for (const later of this.#terms.values()) {
      if (later.blog !== blog || later.active === null) continue
      if (later.epoch > epoch && later.active[seq] !== id)
        this.#broken(
          'published',
          `${blog} ${seq} gets enough receipts in epoch ${epoch} while epoch ${later.epoch} is active without it`,
        )
    }
    if (before === undefined) entries[seq] = { id, epoch }
    if (term.active !== null) term.active[seq] = id
  }
}

const need = (term: Term) => majority(term.replicas.length)
