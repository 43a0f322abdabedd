import type { KeyRing } from '../../auth/public-key.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { type Clock, wait } from '../clock.ts'
import { type BlogName, decodeEntry, type Entry, type Genesis } from '../log/entry.ts'
import type { Ingest } from '../log/ingest.ts'
import { majority } from '../log/receipt.ts'
import type { LogStore } from '../log/store.ts'
import type { Signed } from '../log/text.ts'
import { type Assignment, publishedFrom } from '../registry/assignment.ts'
import type { ClaimRecord, ClaimStep } from '../registry/claim-record.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import type { ProofRow } from '../registry/proof.ts'
import type { RevokedKey } from '../registry/revoked-keys.ts'
import { checkGenesis } from './check-genesis.ts'
import { type ClaimRow, ClaimRows } from './claim-rows.ts'
import type { ToAuthority } from './decisions.ts'
import type { Push } from './push.ts'
import { refuseRate } from './rates.ts'
import type { Kept, Replicas } from './replica.ts'
import { checkRevoked } from './revocations.ts'
import type { Submit } from './submit.ts'

/** The zone's servers' answer to "does this name exist?", by a real DNS query. */
export type NameInDns = 'free' | 'taken' | 'no answer'

/** Pause before the authority is asked again, ms: doubles up to the last. */
const retryMs = [1_000, 2_000, 5_000, 10_000, 30_000] as const

/** Claims under way at one spoke: it holds the genesis of each, up to 68 KiB, until it is decided. */
export const maxPendingClaims = 100
/** The authority's own word on when to come again is believed up to this, ms. */
const maxToldMs = 600_000

/**
 * Claims that came in at this spoke: from the signed genesis to a blog that takes writes
 * (DESIGN 5, REPLICATION 9). Each step is written down, so a restart goes on where it was.
 */
export class Claims {
  readonly #ingest: Ingest
  readonly #council: CouncilLogs
  readonly #replicas: Replicas
  readonly #push: Push
  readonly #submit: Pick<Submit, 'handOver'>
  readonly #toAuthority: Pick<ToAuthority, 'claim'>
  readonly #keys: KeyRing
  readonly #clock: Clock
  readonly #askDns: (blog: BlogName) => Promise<NameInDns>
  readonly #revoked: (key: string) => RevokedKey | null
  readonly #rows: ClaimRows
  /** ids of claims that are under way */
  readonly #running = new Set<string>()
  /** claims whose genesis is being checked */
  #checking = 0
  #stopped = false

  constructor(parts: {
    readonly store: LogStore
    readonly ingest: Ingest
    readonly council: CouncilLogs
    readonly replicas: Replicas
    readonly push: Push
    readonly submit: Pick<Submit, 'handOver'>
    readonly toAuthority: Pick<ToAuthority, 'claim'>
    readonly keys: KeyRing
    readonly clock: Clock
    readonly askDns: (blog: BlogName) => Promise<NameInDns>
    /** what the council knows of a key */
    readonly revoked: (key: string) => RevokedKey | null
  }) {
    this.#rows = new ClaimRows(parts.store)
    this.#ingest = parts.ingest
    this.#council = parts.council
    this.#replicas = parts.replicas
    this.#push = parts.push
    this.#submit = parts.submit
    this.#toAuthority = parts.toAuthority
    this.#keys = parts.keys
    this.#clock = parts.clock
    this.#askDns = parts.askDns
    this.#revoked = parts.revoked
  }

  /** Goes on with what was pending when the process ended. */
  async start(): Promise<void> {
    await this.#rows.load()
    for (const row of this.#rows.pending()) this.#start(row)
    await this.#rows.forget()
  }

  stop(): void {
    this.#stopped = true
  }

  async record(id: string): Promise<ClaimRecord | null> {
    return this.#rows.get(id)?.record ?? null
  }

  /**
   * Takes a signed genesis as the claim of its name. What is wrong with it by itself is refused at
   * once; the rest shows in the claim's record.
   * Codes: RATE_LIMITED (as many as this spoke may have are pending), NOT_READY, DATE_IN_FUTURE,
   * KEY_REVOKED, those of keys, signatures and entries.
   */
  async claim(genesis: Genesis, offer: Signed): Promise<Verdict<ClaimRecord>> {
    const known = this.#rows.get(genesis.id)
    if (this.#stands(known)) return accept(known.record)
    if (this.#running.size + this.#checking >= maxPendingClaims) {
      const words = `${maxPendingClaims} claims are waiting for the authority at this spoke already.`
      return refuseRate(words, retryMs.at(-1) as number)
    }
    const roster = this.#council.roster()
    if (roster === null)
      return refuse(
        'NOT_READY',
        'This spoke has not joined its council yet; try again in a minute.',
      )
    this.#checking++
    const checked = await checkGenesis(genesis, offer, {
      council: roster.council,
      keys: this.#keys,
      nowMs: this.#clock.now(),
    }).finally(() => this.#checking--)
    if (!checked.ok) return checked
    const standing = checkRevoked(genesis, this.#revoked)
    if (!standing.ok) return standing
    // The same one may have come twice, side by side.
    const meanwhile = this.#rows.get(genesis.id)
    if (this.#stands(meanwhile)) return accept(meanwhile.record)
    const row: ClaimRow = {
      text: offer.text,
      signature: checked.value,
      record: {
        id: genesis.id,
        blog: genesis.log,
        state: 'pending',
        steps: [this.#step('checked', 'done', 'the genesis entry and its signature are good')],
        code: null,
        reason: null,
      },
    }
    this.#running.add(genesis.id)
    try {
      await this.#rows.save(row)
    } catch (error) {
      this.#running.delete(genesis.id)
      this.#rows.drop(genesis.id)
      throw error
    }
    this.#start(row)
    return accept(row.record)
  }

  /** Whether a claim is ready or under way: the same one again changes nothing. */
  #stands(row: ClaimRow | undefined): row is ClaimRow {
    return row !== undefined && (row.record.state === 'ready' || this.#running.has(row.record.id))
  }

  #start(row: ClaimRow): void {
    const { id } = row.record
    this.#running.add(id)
    void this.#goOn(row)
      .finally(() => this.#running.delete(id))
      .then(() => this.#rows.forget())
      // Forgotten with the next one.
      .catch(() => undefined)
  }

  /** Until it is decided, also over times in which the disk takes no write. */
  async #goOn(start: ClaimRow): Promise<void> {
    for (let row = start; ; row = this.#rows.get(start.record.id) ?? row) {
      await this.#run(row)
      const { state } = this.#rows.get(start.record.id)?.record ?? row.record
      if (this.#stopped || state !== 'pending') return
      await wait(this.#clock, retryMs.at(-1) as number)
    }
  }

  #step(step: ClaimStep['step'], state: ClaimStep['state'], detail: string): ClaimStep {
    return { step, state, atMs: state === 'waiting' ? null : this.#clock.now(), detail }
  }

  async #run(start: ClaimRow): Promise<void> {
    const decoded = decodeEntry(start.text)
    if (!decoded.ok || decoded.value.kind !== 'genesis') return
    const genesis = decoded.value
    try {
      const asked = await this.#ask(start, genesis)
      if (asked === null) return
      const assigned = await this.#assigned(asked)
      if (assigned !== null) await this.#establish(assigned.row, assigned.kept, genesis)
    } catch {
      // The disk took no write, or the peer is stopping: it goes on from its record later.
    }
  }

  /** DNS first, as the essay has it; its answer "taken" ends the claim, no answer does not. */
  async #ask(row: ClaimRow, genesis: Genesis): Promise<ClaimRow | null> {
    if (
      row.record.steps.some((each) => each.step === 'asked-dns') ||
      this.#replicas.get(genesis.log) !== null
    )
      return row
    const inDns = await this.#askDns(genesis.log)
    if (inDns !== 'taken') {
      const detail =
        inDns === 'free'
          ? 'the name is free in DNS'
          : 'no DNS server of the zone answered; the authority decides'
      return this.#rows.setStep(
        row,
        this.#step('asked-dns', inDns === 'free' ? 'done' : 'failed', detail),
      )
    }
    // The name may be this very claim's, handed in at another spoke before.
    return this.#rows.setStep(
      row,
      this.#step('asked-dns', 'done', 'the name is in DNS already; asking whose it is'),
    )
  }

  async #assigned(row: ClaimRow): Promise<{ row: ClaimRow; kept: Kept | null } | null> {
    let now = row
    for (let tries = 0; !this.#stopped; tries++) {
      const given = await this.#toAuthority.claim({ text: row.text, signature: row.signature })
      if (given.ok) {
        const kept = await this.#replicas.learn(given.value)
        if (!kept.ok && kept.code !== 'ROSTER_BEHIND') {
          await this.#refused(now, kept.code, kept.reason)
          return null
        }
        if (kept.ok) {
          now = await this.#rows.setStep(
            now,
            this.#step('asked-authority', 'done', 'the authority wrote the name into @names'),
          )
          const detail = this.#placeOf(kept.value.assignment)
          now = await this.#rows.setStep(now, this.#step('assigned', 'done', detail))
          return { row: now, kept: kept.value }
        }
      } else if (!isTransient(given.code)) {
        await this.#refused(now, given.code, given.reason)
        return null
      } else {
        now = await this.#rows.setStep(now, this.#step('asked-authority', 'waiting', given.reason))
      }
      const pauseMs = retryMs[Math.min(tries, retryMs.length - 1)] as number
      const toldMs = given.ok ? 0 : Math.min(given.retryMs ?? 0, maxToldMs)
      await wait(this.#clock, Math.max(pauseMs, toldMs))
    }
    return null
  }

  /** Where a blog is kept, in words for its claim. */
  #placeOf({ replicas, via, primary, epoch }: Assignment): string {
    const copies =
      replicas.length === 1
        ? 'one server: this council has no second one yet'
        : `${replicas.length} servers`
    const { peer: self } = this.#replicas.self()
    const isElsewhere = epoch === 1 && via === self && primary !== self
    const name = this.#council.roster()?.members.get(primary)?.name ?? primary
    return isElsewhere
      ? `kept by ${copies}; this server has no room for new blogs, so ${name} takes what is written`
      : `kept by ${copies}`
  }

  /**
   * As the spoke that took a claim whose blog another one leads, in whatever epoch: hands it the
   * genesis until enough of the blog's servers have it. The name is given already, so it goes on over
   * restarts.
   * @returns null when this peer stops
   */
  async #handOver(start: ClaimRow, blog: BlogName, genesis: Genesis): Promise<ClaimRow | null> {
    let row = start
    for (let tries = 0; !this.#stopped; tries++) {
      const now = this.#replicas.get(blog)
      if (now === null || now.role === 'primary') return row
      if (now.receipts.isActive()) return row
      const offer = { text: row.text, signature: row.signature }
      const { assignment } = now
      const done = await this.#submit.handOver(assignment, genesis, offer)
      const copies = done.ok && done.value.kind === 'held' ? done.value.copies : 0
      if (copies >= majority(assignment.replicas.length)) return row
      const detail = done.ok ? 'copying to the other servers' : done.reason
      row = await this.#rows.setStep(row, this.#step('copied', 'waiting', detail))
      await wait(this.#clock, retryMs[Math.min(tries, retryMs.length - 1)] as number)
      // Meanwhile another one may lead it, or a later act be in force.
      if (copies === 0) await this.#learnAgain(offer)
    }
    return null
  }

  async #learnAgain(offer: Signed): Promise<void> {
    const given = await this.#toAuthority.claim(offer)
    if (given.ok) await this.#replicas.learn(given.value)
  }

  /**
   * Takes the genesis of a blog that this spoke leads from the one at which it was claimed.
   * Codes: those of `Replicas.learn` and of the log's rules, NOT_PRIMARY, OTHER_GENESIS.
   */
  async handedOver(genesis: Entry, offer: Signed, proof: ProofRow): Promise<Verdict<Kept>> {
    const learnt = await this.#replicas.learn(proof)
    if (!learnt.ok) return learnt
    const kept = learnt.value
    const { blog } = kept.assignment
    if (kept.role !== 'primary')
      return refuse('NOT_PRIMARY', `This spoke is not the primary of ${blog}.`)
    if (kept.assignment.genesis !== genesis.id)
      return refuse('OTHER_GENESIS', `${blog} has another genesis.`)
    // Once there is a log it knows better than a genesis what follows.
    if ((await this.#ingest.record(blog)) === null) {
      const head = { seq: 0, id: genesis.id }
      const outcome = await this.#replicas.take(kept, [offer], { way: 'submit', head })
      if (outcome.kind === 'refused') return outcome.refusal
    }
    await this.#replicas.lead(kept)
    this.#push.toAll(kept)
    return accept(kept)
  }

  async #refused(row: ClaimRow, code: string, reason: string): Promise<void> {
    await this.#rows.setStep(row, this.#step('asked-authority', 'failed', reason), {
      state: 'refused',
      code,
      reason,
    })
  }

  /**
   * As the primary, also of a later act: the genesis, kept aside while pending, enters the log, gets
   * this replica's receipt, and goes to the others with the act. The blog is ready when the act is active.
   */
  async #establish(start: ClaimRow, kept: Kept | null, genesis: Genesis): Promise<void> {
    if (kept === null) return
    const blog = genesis.log
    let row = start
    let now = kept
    for (;;) {
      const handed = await this.#handOver(row, blog, genesis)
      if (handed === null) return
      row = handed
      now = this.#replicas.get(blog) ?? kept
      if (now.role !== 'primary' || now.receipts.isActive()) break
      const { epoch } = now.assignment
      const head = { seq: 0, id: genesis.id }
      const offer = { text: row.text, signature: row.signature }
      await this.#replicas.take(now, [offer], { way: 'submit', head })
      await this.#replicas.lead(now)
      this.#push.toAll(now)
      const waiting = this.#step('copied', 'waiting', 'copying to the other servers')
      if (!now.receipts.isActive()) row = await this.#rows.setStep(row, waiting)
      const isOver = ({ assignment, receipts }: Kept) =>
        receipts.isActive() || assignment.epoch !== epoch
      await this.#replicas.until(blog, isOver, 60_000)
      if (this.#stopped) return
    }
    const n = now.assignment.replicas.length
    const detail =
      publishedFrom(now.assignment) === null
        ? 'stored on 1 server: this council has no second one yet'
        : now.role === 'primary'
          ? `on ${now.receipts.copies(0)} of ${n} servers`
          : `its ${n} servers have it already`
    await this.#rows.setStep(row, this.#step('copied', 'done', detail), { state: 'ready' })
  }
}

const isTransient = (code: string) =>
  [
    'RATE_LIMITED',
    'AUTHORITY_UNREACHABLE',
    'NOT_READY',
    'ACT_NOT_IN_FORCE',
    'NOT_A_MEMBER',
    'NOT_THE_AUTHORITY',
    'NO_ROOM',
    'ROSTER_BEHIND',
  ].includes(code)
