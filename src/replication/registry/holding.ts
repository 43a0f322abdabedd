import { type PeerName, type PeerSigner, verifyPeer } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../clock.ts'
import type { Ingest } from '../log/ingest.ts'
import { type Head, type LogName, rosterLog } from '../log/log.ts'
import { type Replica, sameReplica } from '../log/peer-text.ts'
import { type Receipt, signReceipt } from '../log/receipt.ts'
import type { LogStore, Write } from '../log/store.ts'
import type { EntryId, Signed } from '../log/text.ts'
import { maxActsAtOnce } from '../protocol.ts'
import { type Act, decodeAct } from './act.ts'
import { checkNamed } from './council-rules.ts'
import type { Names } from './names.ts'
import {
  authorityAt,
  foldRoster,
  type HolderTerm,
  holdersFor,
  type Roster,
  reaches,
  rosterSigner,
} from './roster.ts'

/** One run of the authority's process: runs count up, and no two have one id. */
export type Run = {
  readonly count: number
  /** 32 lower-case hex digits, random */
  readonly id: string
}

type HeldRow = { readonly text: Uint8Array; readonly signature: Uint8Array; readonly id: EntryId }
const heldKey = (log: LogName, seq: number) => `held/${log}/${seq}`
const runKey = 'run'

/** A holder's side of the council's own logs: what it gives receipts for (REPLICATION 14). */
export class Holding {
  readonly #store: LogStore
  readonly #ingest: Pick<Ingest, 'alone'>
  readonly #signer: PeerSigner
  readonly #storeId: () => Replica['store']
  readonly #clock: Clock
  readonly #roster: () => Roster | null
  readonly #names: () => Names | null

  constructor(parts: {
    readonly store: LogStore
    readonly ingest: Pick<Ingest, 'alone'>
    readonly signer: PeerSigner
    readonly storeId: () => Replica['store']
    readonly clock: Clock
    readonly roster: () => Roster | null
    readonly names: () => Names | null
  }) {
    this.#store = parts.store
    this.#ingest = parts.ingest
    this.#signer = parts.signer
    this.#storeId = parts.storeId
    this.#clock = parts.clock
    this.#roster = parts.roster
    this.#names = parts.names
  }

  /** The roster by which an act's holders are known: for `@roster` entry 0 the one it founds. */
  rosterFor(act: Act): Verdict<Roster> {
    const roster = this.#roster()
    return roster === null ? foldRoster(null, act) : accept(roster)
  }

  /**
   * Takes note that a run of the authority has begun, and refuses all runs before it from now on: of
   * an authority that is started twice only the one started last goes on (REPLICATION 14: it seals).
   * Code HOLDER_FENCED.
   */
  enter(run: Run): Promise<Verdict<void>> {
    return this.#ingest.alone('run', async () => {
      const known = await this.lastRun()
      if (known?.id === run.id && known.count === run.count) return accept(undefined)
      if (known !== null && known.count >= run.count) {
        return refuse(
          'HOLDER_FENCED',
          `Run ${known.count} of the authority has begun since; this is run ${run.count}.`,
        )
      }
      await this.#store.write([this.#store.putValue(runKey, run)])
      return accept(undefined)
    })
  }

  /** The newest run of the authority that this holder knows of. */
  async lastRun(): Promise<Run | null> {
    return ((await this.#store.value(runKey)) as Run | undefined) ?? null
  }

  /**
   * Acts from a seq on that this holder gave a receipt for, or wrote as the authority, whether they got
   * into force or not.
   */
  async heldFrom(log: LogName, from: number): Promise<Signed[]> {
    const held: Signed[] = []
    for (let seq = from; held.length < maxActsAtOnce; seq++) {
      const row = (await this.#store.value(heldKey(log, seq))) as HeldRow | undefined
      if (row === undefined) break
      held.push({ text: row.text, signature: row.signature })
    }
    return held
  }

  /** Whether this holder gave a receipt for an act of that seq. */
  async hasHeld(log: LogName, seq: number): Promise<boolean> {
    return (await this.#heldId(log, seq)) !== null
  }

  /**
   * A holder's receipts for new acts, in order: for each, one per set of holders that names this peer
   * and store. It gives one for one act per seq, ever, and only after the sync (REPLICATION 14).
   * The authority keeps its acts so also where it is no holder, without a receipt: what some holders
   * have given one for is to be finished, and no other act put in its place.
   *
   * Codes: HOLDER_FENCED (a later run of the authority has begun), HOLDER_NOT_NAMED, HOLDER_OTHER_ACT
   * (another one for that seq already), HOLDER_BEHIND (it must catch up first), ACT_SIGNATURE, ACT_LOG, ACT_PLACE and ACT_COUNCIL (it does not follow
   * the head here), those of the log's rules, and those of `decodeAct`.
   */
  async hold(log: LogName, signed: readonly Signed[], run: Run): Promise<Verdict<Receipt[]>> {
    return this.#ingest.alone(`hold ${log}`, async () => {
      const entered = await this.enter(run)
      if (!entered.ok) return entered
      const receipts: Receipt[] = []
      const writes: Write[] = []
      let behind: Act | null = null
      let other: Verdict<never> | null = null
      const blogs = new Set<string>()
      for (const each of signed) {
        const decoded = decodeAct(each.text)
        if (!decoded.ok) return decoded
        const act = decoded.value
        const sets = this.#setsHeld(log, act, each)
        if (!sets.ok) return sets
        const held = await this.#heldId(log, act.seq)
        if (held !== null && held !== act.id) {
          other ??= refuse(
            'HOLDER_OTHER_ACT',
            `This holder gave a receipt for another act as ${log} ${act.seq}.`,
          )
          // The authority keeps what else it writes all the same: what others hold is to be known.
          if (this.#writerOf(log, act) !== this.#signer.peer) return other
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
      return other ?? accept(receipts)
    })
  }

  /** The sets of holders under which this peer may give a receipt for an act. */
  #setsHeld(log: LogName, act: Act, signed: Signed): Verdict<readonly HolderTerm[]> {
    if (act.log !== log) return refuse('ACT_LOG', `The act belongs in ${act.log}, not ${log}.`)
    const roster = this.rosterFor(act)
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
    const signer = this.#writerOf(log, act)
    if (sets.length === 0 && signer !== self.peer)
      return refuse('HOLDER_NOT_NAMED', '@roster does not name this peer and store as a holder.')
    return signer !== null && verifyPeer(signer, signed.text, signed.signature)
      ? accept(sets)
      : refuse('ACT_SIGNATURE', 'The act is not signed by the authority.')
  }

  /** Who is the authority for an act, null: nobody is known. */
  #writerOf(log: LogName, act: Act): PeerName | null {
    if (log === rosterLog) return rosterSigner(this.#roster(), act)
    const roster = this.rosterFor(act)
    return roster.ok ? authorityAt(roster.value, (act.roster as Head).seq + 1) : null
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
    const [roster, names] = [this.#roster(), this.#names()]
    const before = log === rosterLog ? roster : names
    const head: Head | null = behind ?? before?.head ?? null
    if (act.seq !== (head?.seq ?? -1) + 1) {
      return refuse(
        'HOLDER_BEHIND',
        `This holder is at ${head?.seq ?? -1} of ${log}, the act is ${act.seq}.`,
      )
    }
    if ((act.prev ?? null) !== (head?.id ?? null) || act.dateMs < ((behind ?? before)?.dateMs ?? 0))
      return refuse('ACT_PLACE', `The act does not follow the head of ${log} here.`)
    if (log === rosterLog) return foldRoster(roster, act)
    if (act.council !== roster?.council)
      return refuse('ACT_COUNCIL', `The act is for the council ${act.council}.`)
    return names === null ? accept(undefined) : checkNamed(names, act)
  }

  async #heldId(log: LogName, seq: number): Promise<EntryId | null> {
    const held = (await this.#store.value(heldKey(log, seq))) as { id: EntryId } | undefined
    return held?.id ?? null
  }
}
