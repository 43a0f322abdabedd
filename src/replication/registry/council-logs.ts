import { type PeerName, type PeerSigner, verifyPeer } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../clock.ts'
import type { Ingest, Outcome, Way } from '../log/ingest.ts'
import { type Head, type LogName, namesLog, rosterLog } from '../log/log.ts'
import type { Replica } from '../log/peer-text.ts'
import { decodeReceipt, majority, type Receipt, signReceipt } from '../log/receipt.ts'
import type { LogStore } from '../log/store.ts'
import type { EntryId, Signed } from '../log/text.ts'
import { type Act, type Decision, decodeAct } from './act.ts'
import { checkNamed } from './council-rules.ts'
import type { Names } from './names.ts'
import { checkProof, type ProofOfAct } from './proof.ts'
import {
  authorityAt,
  foldRoster,
  type HolderTerm,
  holdersFor,
  isMember,
  type Roster,
  reaches,
  rosterSigner,
} from './roster.ts'
import { signAct } from './sign-act.ts'

/** Asks another holder for its receipts for a new act, one per set that names it; none when it does not answer. */
export type AskHolder = (holder: PeerName, log: LogName, act: Signed) => Promise<readonly Signed[]>

/**
 * `@roster` and `@names` at one peer: what they say, writing them (the authority), and giving
 * receipts for them (holders). An act is in the log, and obeyed, only when it is in force.
 */
export class CouncilLogs {
  readonly #store: LogStore
  readonly #ingest: Ingest
  readonly #signer: PeerSigner
  readonly #storeId: () => Replica['store']
  readonly #clock: Clock
  readonly #askHolder: AskHolder
  #roster: Roster | null = null
  #names: Names | null = null
  #writing: Promise<unknown> = Promise.resolve()
  readonly #listeners: ((log: LogName, acts: readonly Act[]) => void)[] = []

  constructor(parts: {
    readonly store: LogStore
    readonly ingest: Ingest
    readonly signer: PeerSigner
    readonly storeId: () => Replica['store']
    readonly clock: Clock
    readonly askHolder: AskHolder
  }) {
    this.#store = parts.store
    this.#ingest = parts.ingest
    this.#signer = parts.signer
    this.#storeId = parts.storeId
    this.#clock = parts.clock
    this.#askHolder = parts.askHolder
  }

  /** Reads both logs from disk. */
  async start(): Promise<void> {
    await this.#refresh(rosterLog)
    await this.#refresh(namesLog)
  }

  /** Called when acts came into force here, after `roster()` and `names()` show them. */
  onChange(listener: (log: LogName, acts: readonly Act[]) => void): void {
    this.#listeners.push(listener)
  }

  roster(): Roster | null {
    return this.#roster
  }

  /** null when this peer does not carry `@names`. */
  names(): Names | null {
    return this.#names
  }

  head(log: LogName): Head | null {
    return log === rosterLog ? (this.#roster?.head ?? null) : (this.#names?.head ?? null)
  }

  /** Takes acts in force, each with its proof, in order. */
  async take(log: LogName, proofs: readonly ProofOfAct[], way: Way): Promise<Outcome> {
    const last = proofs.at(-1)
    const act = last === undefined ? null : decodeAct(last.text)
    if (act === null) return { kind: 'gap', have: this.head(log)?.seq ?? -1 }
    if (!act.ok) return { kind: 'refused', refusal: act }
    const head = { seq: act.value.seq, id: act.value.id }
    let outcome: Outcome
    try {
      outcome = await this.#ingest.offer(log, proofs, { way, following: { epoch: 0, head } })
    } finally {
      // After a failed write too: `@names` grows in place, and must not show what is not on disk.
      await this.#refresh(log)
    }
    if (outcome.kind === 'held' && outcome.added.length > 0) {
      for (const listener of this.#listeners) listener(log, outcome.added as readonly Act[])
    }
    return outcome
  }

  async #refresh(log: LogName): Promise<void> {
    if (log === rosterLog) this.#roster = (await this.#ingest.state(log)) as Roster | null
    else this.#names = (await this.#ingest.state(log)) as Names | null
  }

  /** The proof of the act at `seq`, null when it is not held. */
  async proof(log: LogName, seq: number): Promise<ProofOfAct | null> {
    return this.#store.entry(log, seq)
  }

  /** Proofs of acts from `from` on, at most `limit`, in order. */
  proofs(log: LogName, from: number, limit: number): Promise<ProofOfAct[]> {
    return this.#store.entries(log, from, limit)
  }

  /**
   * Writes an act at the head of its log, once the holders put it in force. One at a time. For the
   * authority only.
   *
   * Codes: ACT_NOT_IN_FORCE (too few holders answered: it is offered to them again by the next
   * write), and those of the log's rules.
   */
  write(
    log: LogName,
    council: string,
    decide: () => Decision | null,
  ): Promise<Verdict<{ act: Act; proof: ProofOfAct } | null>> {
    const run = this.#writing.then(() => this.#write(log, council, decide))
    this.#writing = run.catch(() => undefined)
    return run
  }

  async #write(
    log: LogName,
    council: string,
    decide: () => Decision | null,
  ): Promise<Verdict<{ act: Act; proof: ProofOfAct } | null>> {
    const waiting = await this.#waiting(log)
    if (waiting !== null) {
      const finished = await this.#putInForce(log, waiting)
      if (!finished.ok) return finished
    }
    const decision = decide()
    if (decision === null) return accept(null)
    const before = log === rosterLog ? this.#roster : this.#names
    const written = signAct(
      this.#signer,
      {
        council,
        log,
        head: before?.head ?? null,
        roster: this.#roster?.head ?? null,
        // Dates never fall within a log, whatever the clock does.
        dateMs: Math.max(this.#clock.now(), before?.dateMs ?? 0),
      },
      decision,
    )
    if (!written.ok) return written
    const proof = await this.#putInForce(log, written.value.signed)
    return proof.ok ? accept({ act: written.value.act, proof: proof.value }) : proof
  }

  /** An act that this holder gave a receipt for, and that did not get into force yet. */
  async #waiting(log: LogName): Promise<Signed | null> {
    const next = (this.head(log)?.seq ?? -1) + 1
    const row = (await this.#store.value(heldKey(log, next))) as
      | { text: Uint8Array; signature: Uint8Array }
      | undefined
    return row === undefined ? null : { text: row.text, signature: row.signature }
  }

  async #putInForce(log: LogName, signed: Signed): Promise<Verdict<ProofOfAct>> {
    const act = decodeAct(signed.text)
    if (!act.ok) return act
    const roster = this.#rosterFor(act.value)
    if (!roster.ok) return roster
    const receipts: Signed[] = []
    const sets = holdersFor(roster.value, act.value)
    const holders = new Set(sets.flatMap((set) => set.holders.map((holder) => holder.peer)))
    for (const holder of holders) {
      if (holder === this.#signer.peer) {
        const own = await this.hold(log, signed)
        if (!own.ok) return own
        receipts.push(...own.value.map((receipt) => receipt.signed))
      } else {
        receipts.push(...(await this.#askHolder(holder, log, signed)))
      }
      if (sets.every((set) => covered(set, act.value, receipts))) break
    }
    const proof = { ...signed, receipts }
    const outcome = await this.take(log, [proof], 'submit')
    if (outcome.kind === 'held') return accept(proof)
    return outcome.kind === 'refused'
      ? outcome.refusal
      : refuse('ACT_PLACE', `The act does not fit behind the head of ${log} (${outcome.kind}).`)
  }

  /** The roster by which an act's holders are known: for `@roster` entry 0 the one it founds. */
  #rosterFor(act: Act): Verdict<Roster> {
    return this.#roster === null ? foldRoster(null, act) : accept(this.#roster)
  }

  /**
   * A holder's receipts for a new act, one per set of holders that names this peer and store. It
   * gives one for one act per seq, ever, and only after the sync (REPLICATION 14).
   *
   * Codes: HOLDER_NOT_NAMED, HOLDER_OTHER_ACT (another one for that seq already), HOLDER_BEHIND
   * (it must catch up first), ACT_SIGNATURE, ACT_LOG, ACT_PLACE and ACT_COUNCIL (it does not follow
   * the head here), those of the log's rules, and those of `decodeAct`.
   */
  async hold(log: LogName, signed: Signed): Promise<Verdict<Receipt[]>> {
    return this.#ingest.alone(`hold ${log}`, async () => {
      const decoded = decodeAct(signed.text)
      if (!decoded.ok) return decoded
      const act = decoded.value
      if (act.log !== log) return refuse('ACT_LOG', `The act belongs in ${act.log}, not ${log}.`)
      const roster = this.#rosterFor(act)
      if (!roster.ok) return roster
      if (act.roster !== null && reaches(roster.value, act.roster) !== 'yes') {
        return refuse(
          'HOLDER_BEHIND',
          `This holder's @roster does not have the entry ${act.roster.seq} that the act names.`,
        )
      }
      const self = { peer: this.#signer.peer, store: this.#storeId() }
      const sets = holdersFor(roster.value, act).filter((set) =>
        set.holders.some((holder) => holder.peer === self.peer && holder.store === self.store),
      )
      if (sets.length === 0)
        return refuse('HOLDER_NOT_NAMED', '@roster does not name this peer and store as a holder.')
      const signer =
        log === rosterLog
          ? rosterSigner(this.#roster, act)
          : authorityAt(roster.value, (act.roster as Head).seq + 1)
      if (signer === null || !verifyPeer(signer, signed.text, signed.signature)) {
        return refuse('ACT_SIGNATURE', 'The act is not signed by the authority.')
      }
      const held = await this.#heldId(log, act.seq)
      if (held === null && act.seq !== (this.head(log)?.seq ?? -1) + 1) {
        return refuse(
          'HOLDER_BEHIND',
          `This holder is at ${this.head(log)?.seq ?? -1} of ${log}, the act is ${act.seq}.`,
        )
      }
      if (held !== null && held !== act.id) {
        return refuse(
          'HOLDER_OTHER_ACT',
          `This holder gave a receipt for another act as ${log} ${act.seq}.`,
        )
      }
      if (held === null) {
        const fits = await this.#fits(log, act)
        if (!fits.ok) return fits
        await this.#store.write([
          this.#store.putValue(heldKey(log, act.seq), { ...signed, id: act.id }),
        ])
      }
      const at = this.#clock.now()
      return accept(
        sets.map((set) =>
          signReceipt(this.#signer, {
            council: roster.value.council,
            log,
            head: { seq: act.seq, id: act.id },
            act: set.act,
            epoch: set.epoch,
            replica: self,
            sinceMs: at,
            atMs: at,
          }),
        ),
      )
    })
  }

  /** Whether the act may follow this peer's head: a receipt for one that may not would block the log. */
  async #fits(log: LogName, act: Act): Promise<Verdict<unknown>> {
    const before = log === rosterLog ? this.#roster : this.#names
    if ((act.prev ?? null) !== (before?.head.id ?? null) || act.dateMs < (before?.dateMs ?? 0))
      return refuse('ACT_PLACE', `The act does not follow the head of ${log} here.`)
    if (log === rosterLog) return foldRoster(this.#roster, act)
    if (act.council !== this.#roster?.council)
      return refuse('ACT_COUNCIL', `The act is for the council ${act.council}.`)
    return this.#names === null ? accept(undefined) : checkNamed(this.#names, act)
  }

  async #heldId(log: LogName, seq: number): Promise<EntryId | null> {
    const held = (await this.#store.value(heldKey(log, seq))) as { id: EntryId } | undefined
    return held?.id ?? null
  }

  /** Whether `peer` may be spoken with as a member of the council. */
  isMember(peer: PeerName): boolean {
    return isMember(this.#roster, peer)
  }

  checkProof(proof: ProofOfAct): Verdict<Act> {
    return checkProof(proof, this.#roster)
  }
}

const heldKey = (log: LogName, seq: number) => `held/${log}/${seq}`

function covered(set: HolderTerm, act: Act, receipts: readonly Signed[]): boolean {
  let given = 0
  for (const signed of receipts) {
    const receipt = decodeReceipt(signed)
    if (receipt.ok && receipt.value.act === set.act && receipt.value.head.id === act.id) given++
  }
  return given >= majority(set.holders.length)
}
