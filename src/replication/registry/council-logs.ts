import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../clock.ts'
import type { Ingest, Outcome, Way } from '../log/ingest.ts'
import { type Head, type LogName, namesLog, rosterLog } from '../log/log.ts'
import { type Replica, sameReplica } from '../log/peer-text.ts'
import { decodeReceipt, majority, type Receipt } from '../log/receipt.ts'
import type { LogStore } from '../log/store.ts'
import { type EntryId, prevOf, type Signed } from '../log/text.ts'
import { type Act, type Decision, decodeAct } from './act.ts'
import { Holding, type Run } from './holding.ts'
import type { Names } from './names.ts'
import { checkProof, type ProofOfAct } from './proof.ts'
import { type HolderTerm, holdersFor, isMember, type Roster } from './roster.ts'
import { signAct } from './sign-act.ts'

/**
 * Asks another holder for its receipts for new acts, one per act and set that names it; none when it
 * does not answer, `fenced` when it knows of a later run of the authority, `other` when it gave one for
 * another act of that place before.
 */
export type AskHolder = (
  holder: PeerName,
  log: LogName,
  acts: readonly Signed[],
  run: Run,
) => Promise<readonly Signed[] | 'fenced' | 'other'>

/** What an act shall say; or what it shall say of the act before it in the same batch, by its id. */
export type NextDecision = Decision | ((before: EntryId) => Decision)

/** An act that has come into force, and what shows it. */
export type WrittenAct = { readonly act: Act; readonly proof: ProofOfAct }

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
  #run: Run | null = null
  /** the holder's side */
  readonly holding: Holding
  readonly #listeners = new Set<(log: LogName, acts: readonly Act[]) => void>()
  #contradicted = () => {}

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
    this.holding = new Holding({
      ...parts,
      roster: () => this.#roster,
      names: () => this.#names,
    })
  }

  /** Lets this peer write, as the authority's run that the holders know of. */
  begin(run: Run): void {
    this.#run = run
  }

  /** Whether this peer is the authority and may write: its holders know of no later run. */
  mayWrite(): boolean {
    return this.#run !== null
  }

  /** Called when an act did not get into force, as a holder has another one in its place. */
  onContradicted(listener: () => void): void {
    this.#contradicted = listener
  }

  /** Reads both logs from disk. */
  async start(): Promise<void> {
    await this.#refresh(rosterLog)
    await this.#refresh(namesLog)
  }

  /**
   * Called when acts came into force here, after `roster()` and `names()` show them; until the answer
   * is called.
   */
  onChange(listener: (log: LogName, acts: readonly Act[]) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** This peer's name. */
  get self(): PeerName {
    return this.#signer.peer
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
   * Codes: NOT_READY (it may not write, see `begin`), ACT_NOT_IN_FORCE (too few holders answered: it
   * is offered to them again by the next write), and those of the log's rules.
   */
  async write(
    log: LogName,
    council: string,
    decide: () => Decision | null,
  ): Promise<Verdict<WrittenAct | null>> {
    const written = await this.writeAll(log, council, () => {
      const decision = decide()
      return decision === null ? [] : [decision]
    })
    return written.ok ? accept(written.value[0] ?? null) : written
  }

  /**
   * The same for several acts of `@names` at once, no two of them assignments of one blog: one sync,
   * and one question to each holder. All come into force, or none does, also when this process ends
   * in the middle.
   *
   * @param decide - at most `maxActsAtOnce` decisions, made when all earlier acts are in the log
   */
  writeAll(
    log: LogName,
    council: string,
    decide: () => readonly NextDecision[],
  ): Promise<Verdict<readonly WrittenAct[]>> {
    const run = this.#writing.then(() => this.#writeAll(log, council, decide))
    this.#writing = run.catch(() => undefined)
    return run
  }

  async #writeAll(
    log: LogName,
    council: string,
    decide: () => readonly NextDecision[],
  ): Promise<Verdict<readonly WrittenAct[]>> {
    if (this.#run === null) return mayNotWrite
    for (;;) {
      const waiting = await this.waiting(log)
      if (waiting.length === 0) break
      const finished = await this.#putInForce(log, waiting)
      if (!finished.ok) return finished
    }
    const before = log === rosterLog ? this.#roster : this.#names
    // Dates never fall within a log, whatever the clock does.
    const dateMs = Math.max(this.#clock.now(), before?.dateMs ?? 0)
    const roster = this.#roster?.head ?? null
    let head = before?.head ?? null
    const signed: Signed[] = []
    for (const each of decide()) {
      const decision = typeof each === 'function' ? each((head as Head).id) : each
      const next = signAct(this.#signer, { council, log, head, roster, dateMs }, decision)
      if (!next.ok) return next
      signed.push(next.value.signed)
      head = { seq: next.value.act.seq, id: next.value.act.id }
    }
    return signed.length === 0 ? accept([]) : this.#putInForce(log, signed)
  }

  /** Acts that this peer keeps, and that are to get into force behind the log's head. */
  async waiting(log: LogName): Promise<readonly Signed[]> {
    const head = this.head(log)
    const held = await this.holding.heldFrom(log, (head?.seq ?? -1) + 1)
    const [first] = held
    // Behind another act than the one in force none of them ever does.
    return first === undefined || prevOf(first.text) !== (head?.id ?? null) ? [] : held
  }

  /** Puts acts into force that some holder gave a receipt for, this peer or another one. */
  adopt(log: LogName, signed: readonly Signed[]): Promise<Verdict<readonly WrittenAct[]>> {
    const run = this.#writing.then(() => this.#putInForce(log, signed))
    this.#writing = run.catch(() => undefined)
    return run
  }

  async #putInForce(
    log: LogName,
    signed: readonly Signed[],
  ): Promise<Verdict<readonly WrittenAct[]>> {
    const acts: Act[] = []
    for (const each of signed) {
      const act = decodeAct(each.text)
      if (!act.ok) return act
      acts.push(act.value)
    }
    const first = acts[0] as Act
    const roster = this.holding.rosterFor(first)
    const run = this.#run
    if (!roster.ok) return roster
    if (run === null) return mayNotWrite
    const sets = holdersFor(roster.value, first)
    const held = await this.holding.hold(log, signed, run)
    if (!held.ok && held.code === 'HOLDER_FENCED') this.#fenced(run)
    // It gave one for another act of that place: the others may still be enough.
    const own = !held.ok && held.code === 'HOLDER_OTHER_ACT' ? accept([]) : held
    if (!own.ok) return own
    // Each is read once: it is a signature to check, and a hundred acts have hundreds.
    const given = new Map<EntryId, Receipt[]>(acts.map(({ id }) => [id, []]))
    const note = (receipts: readonly Receipt[]) => {
      for (const receipt of receipts) given.get(receipt.head.id)?.push(receipt)
      return acts.every((act) => sets.every((set) => isCovered(set, given.get(act.id) ?? [])))
    }
    note(own.value)
    const isContradicted = await this.#askOthers(log, { signed, sets, run }, (answered) =>
      note(readReceipts(answered)),
    )
    if (this.#run !== run) return mayNotWrite
    const proofs = signed.map((each, at) => ({
      ...each,
      receipts: (given.get((acts[at] as Act).id) ?? []).map((receipt) => receipt.signed),
    }))
    const outcome = await this.take(log, proofs, 'submit')
    if (outcome.kind === 'held')
      return accept(proofs.map((proof, at) => ({ act: acts[at] as Act, proof })))
    if (isContradicted) this.#contradicted()
    return outcome.kind === 'refused'
      ? outcome.refusal
      : refuse('ACT_PLACE', `The act does not fit behind the head of ${log} (${outcome.kind}).`)
  }

  /** A run is over; another one of this peer may have begun since. */
  #fenced(run: Run): void {
    if (this.#run === run) this.#run = null
  }

  /**
   * Asks all holders but this one side by side, until `isEnough` says so or all have answered.
   * @returns whether one gave a receipt for another act before
   */
  async #askOthers(
    log: LogName,
    asked: {
      readonly signed: readonly Signed[]
      readonly sets: readonly HolderTerm[]
      readonly run: Run
    },
    isEnough: (given: readonly Signed[]) => boolean,
  ): Promise<boolean> {
    const { signed, sets, run } = asked
    const holders = new Set(sets.flatMap((set) => set.holders.map((holder) => holder.peer)))
    holders.delete(this.#signer.peer)
    if (isEnough([])) return false
    let isContradicted = false
    const { promise, resolve } = Promise.withResolvers<void>()
    const asking = [...holders].map(async (holder) => {
      const given = await this.#askHolder(holder, log, signed, run)
      if (given === 'other') isContradicted = true
      else if (given === 'fenced') this.#fenced(run)
      if (given === 'fenced' || (given !== 'other' && isEnough(given))) resolve()
    })
    void Promise.allSettled(asking).then(() => resolve())
    await promise
    return isContradicted
  }

  /** Whether `peer` may be spoken with as a member of the council. */
  isMember(peer: PeerName): boolean {
    return isMember(this.#roster, peer)
  }

  isCutOff(peer: PeerName): boolean {
    return this.#roster?.members.get(peer)?.cutOff === true
  }

  checkProof(proof: ProofOfAct): Verdict<Act> {
    return checkProof(proof, this.#roster)
  }
}

const mayNotWrite = refuse(
  'NOT_READY',
  'This authority may not write now: it has just started and asks the other holders, or it was started a second time elsewhere.',
)

const readReceipts = (signed: readonly Signed[]): Receipt[] =>
  signed.flatMap((each) => {
    const receipt = decodeReceipt(each)
    return receipt.ok ? [receipt.value] : []
  })

/** Whether a majority of a set of holders gave these receipts, all for one act. */
function isCovered(set: HolderTerm, receipts: readonly Receipt[]): boolean {
  const given = new Set<PeerName>()
  for (const { act, replica } of receipts) {
    const isHolder = set.holders.some((holder) => sameReplica(holder, replica))
    if (act === set.act && isHolder) given.add(replica.peer)
  }
  return given.size >= majority(set.holders.length)
}
