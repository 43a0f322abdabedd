import { type PeerName, type PeerSigner, verifyPeer } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../clock.ts'
import type { Ingest, Outcome, Way } from '../log/ingest.ts'
import { type Head, type LogName, namesLog, rosterLog } from '../log/log.ts'
import { type Replica, sameReplica } from '../log/peer-text.ts'
import { decodeReceipt, majority, type Receipt, signReceipt } from '../log/receipt.ts'
import type { LogStore, Write } from '../log/store.ts'
import type { EntryId, Signed } from '../log/text.ts'
import { maxActsAtOnce } from '../protocol.ts'
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

/** Asks another holder for its receipts for new acts, one per act and set that names it; none when it does not answer. */
export type AskHolder = (
  holder: PeerName,
  log: LogName,
  acts: readonly Signed[],
) => Promise<readonly Signed[]>

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
   * Codes: ACT_NOT_IN_FORCE (too few holders answered: it is offered to them again by the next
   * write), and those of the log's rules.
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
   * The same for several acts of `@names` at once, each about another blog: one sync, and one
   * question to each holder. All come into force, or none is shown.
   *
   * @param decide - at most `maxActsAtOnce` decisions, made when all earlier acts are in the log
   */
  writeAll(
    log: LogName,
    council: string,
    decide: () => readonly Decision[],
  ): Promise<Verdict<readonly WrittenAct[]>> {
    const run = this.#writing.then(() => this.#writeAll(log, council, decide))
    this.#writing = run.catch(() => undefined)
    return run
  }

  async #writeAll(
    log: LogName,
    council: string,
    decide: () => readonly Decision[],
  ): Promise<Verdict<readonly WrittenAct[]>> {
    for (;;) {
      const waiting = await this.#waiting(log)
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
    for (const decision of decide()) {
      const next = signAct(this.#signer, { council, log, head, roster, dateMs }, decision)
      if (!next.ok) return next
      signed.push(next.value.signed)
      head = { seq: next.value.act.seq, id: next.value.act.id }
    }
    return signed.length === 0 ? accept([]) : this.#putInForce(log, signed)
  }

  /** Acts that this holder gave a receipt for, and that did not get into force yet. */
  async #waiting(log: LogName): Promise<Signed[]> {
    const waiting: Signed[] = []
    for (let seq = (this.head(log)?.seq ?? -1) + 1; waiting.length < maxActsAtOnce; seq++) {
      const row = (await this.#store.value(heldKey(log, seq))) as HeldRow | undefined
      if (row === undefined) break
      waiting.push({ text: row.text, signature: row.signature })
    }
    return waiting
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
    const roster = this.#rosterFor(first)
    if (!roster.ok) return roster
    const sets = holdersFor(roster.value, first)
    const own = await this.hold(log, signed)
    if (!own.ok && own.code !== 'HOLDER_NOT_NAMED') return own
    const receipts = own.ok ? own.value.map((receipt) => receipt.signed) : []
    const isCovered = () => acts.every((act) => sets.every((set) => covered(set, act, receipts)))
    await this.#askOthers(log, signed, sets, (given) => {
      receipts.push(...given)
      return isCovered()
    })
    const proofs = signed.map((each, at) => ({
      ...each,
      receipts: receipts.filter((receipt) => isFor(receipt, acts[at] as Act)),
    }))
    const outcome = await this.take(log, proofs, 'submit')
    if (outcome.kind === 'held')
      return accept(proofs.map((proof, at) => ({ act: acts[at] as Act, proof })))
    return outcome.kind === 'refused'
      ? outcome.refusal
      : refuse('ACT_PLACE', `The act does not fit behind the head of ${log} (${outcome.kind}).`)
  }

  /** Asks all holders but this one side by side, until `isEnough` says so or all have answered. */
  async #askOthers(
    log: LogName,
    signed: readonly Signed[],
    sets: readonly HolderTerm[],
    isEnough: (given: readonly Signed[]) => boolean,
  ): Promise<void> {
    const holders = new Set(sets.flatMap((set) => set.holders.map((holder) => holder.peer)))
    holders.delete(this.#signer.peer)
    if (isEnough([])) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const asked = [...holders].map(async (holder) => {
      if (isEnough(await this.#askHolder(holder, log, signed))) resolve()
    })
    void Promise.allSettled(asked).then(() => resolve())
    await promise
  }

  /** The roster by which an act's holders are known: for `@roster` entry 0 the one it founds. */
  #rosterFor(act: Act): Verdict<Roster> {
    return this.#roster === null ? foldRoster(null, act) : accept(this.#roster)
  }

  /**
   * A holder's receipts for new acts, in order: for each, one per set of holders that names this peer
   * and store. It gives one for one act per seq, ever, and only after the sync (REPLICATION 14).
   *
   * Codes: HOLDER_NOT_NAMED, HOLDER_OTHER_ACT (another one for that seq already), HOLDER_BEHIND
   * (it must catch up first), ACT_SIGNATURE, ACT_LOG, ACT_PLACE and ACT_COUNCIL (it does not follow
   * the head here), those of the log's rules, and those of `decodeAct`.
   */
  async hold(log: LogName, signed: readonly Signed[]): Promise<Verdict<Receipt[]>> {
    return this.#ingest.alone(`hold ${log}`, async () => {
      const receipts: Receipt[] = []
      const writes: Write[] = []
      let behind: Act | null = null
      const blogs = new Set<string>()
      for (const each of signed) {
        const decoded = decodeAct(each.text)
        if (!decoded.ok) return decoded
        const act = decoded.value
        const sets = this.#setsHeld(log, act, each)
        if (!sets.ok) return sets
        const held = await this.#heldId(log, act.seq)
        if (held !== null && held !== act.id) {
          return refuse(
            'HOLDER_OTHER_ACT',
            `This holder gave a receipt for another act as ${log} ${act.seq}.`,
          )
        }
        if (held === null) {
          const fits = await this.#fits(log, act, behind)
          if (!fits.ok) return fits
          writes.push(this.#store.putValue(heldKey(log, act.seq), { ...each, id: act.id }))
        }
        // What one act of a message says of a blog, the rules of the next one do not know yet.
        if (act.decision.kind === 'assign') {
          if (blogs.has(act.decision.blog))
            return refuse('ACT_PLACE', 'Two acts of one message are about the same blog.')
          blogs.add(act.decision.blog)
        }
        behind = act
        receipts.push(...this.#receiptsFor(act, sets.value))
      }
      if (writes.length > 0) await this.#store.write(writes)
      return accept(receipts)
    })
  }

  /** The sets of holders under which this peer may give a receipt for an act. */
  #setsHeld(log: LogName, act: Act, signed: Signed): Verdict<readonly HolderTerm[]> {
    if (act.log !== log) return refuse('ACT_LOG', `The act belongs in ${act.log}, not ${log}.`)
    const roster = this.#rosterFor(act)
    if (!roster.ok) return roster
    if (act.roster !== null && reaches(roster.value, act.roster) !== 'yes') {
      return refuse(
        'HOLDER_BEHIND',
        `This holder's @roster does not have the entry ${act.roster.seq} that the act names.`,
      )
    }
    const self = this.#self()
    const sets = holdersFor(roster.value, act).filter((set) =>
      set.holders.some((holder) => sameReplica(holder, self)),
    )
    if (sets.length === 0)
      return refuse('HOLDER_NOT_NAMED', '@roster does not name this peer and store as a holder.')
    const signer =
      log === rosterLog
        ? rosterSigner(this.#roster, act)
        : authorityAt(roster.value, (act.roster as Head).seq + 1)
    return signer !== null && verifyPeer(signer, signed.text, signed.signature)
      ? accept(sets)
      : refuse('ACT_SIGNATURE', 'The act is not signed by the authority.')
  }

  #receiptsFor({ council, log, seq, id }: Act, sets: readonly HolderTerm[]): Receipt[] {
    const at = this.#clock.now()
    return sets.map((set) =>
      signReceipt(this.#signer, {
        ...{ council, log, head: { seq, id }, act: set.act, epoch: set.epoch },
        ...{ replica: this.#self(), sinceMs: at, atMs: at },
      }),
    )
  }

  #self(): Replica {
    return { peer: this.#signer.peer, store: this.#storeId() }
  }

  /**
   * Whether the act may follow this peer's head, or `behind`, the act before it in the same message:
   * a receipt for one that may not would block the log.
   */
  async #fits(log: LogName, act: Act, behind: Act | null): Promise<Verdict<unknown>> {
    const before = log === rosterLog ? this.#roster : this.#names
    const head: Head | null = behind ?? before?.head ?? null
    if (act.seq !== (head?.seq ?? -1) + 1) {
      return refuse(
        'HOLDER_BEHIND',
        `This holder is at ${head?.seq ?? -1} of ${log}, the act is ${act.seq}.`,
      )
    }
    if ((act.prev ?? null) !== (head?.id ?? null) || act.dateMs < ((behind ?? before)?.dateMs ?? 0))
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

  isCutOff(peer: PeerName): boolean {
    return this.#roster?.members.get(peer)?.cutOff === true
  }

  checkProof(proof: ProofOfAct): Verdict<Act> {
    return checkProof(proof, this.#roster)
  }
}

type HeldRow = { readonly text: Uint8Array; readonly signature: Uint8Array; readonly id: EntryId }
const heldKey = (log: LogName, seq: number) => `held/${log}/${seq}`

function isFor(signed: Signed, { id }: Act): boolean {
  const receipt = decodeReceipt(signed)
  return receipt.ok && receipt.value.head.id === id
}

function covered(set: HolderTerm, act: Act, receipts: readonly Signed[]): boolean {
  const given = new Set<PeerName>()
  for (const signed of receipts) {
    const receipt = decodeReceipt(signed)
    if (!receipt.ok || receipt.value.act !== set.act || receipt.value.head.id !== act.id) continue
    if (set.holders.some((holder) => sameReplica(holder, receipt.value.replica)))
      given.add(receipt.value.replica.peer)
  }
  return given.size >= majority(set.holders.length)
}
