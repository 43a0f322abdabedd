import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import { type Clock, wait } from '../../replication/clock.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import type { Entered } from '../../replication/exchange/holders.ts'
import { type LogName, namesLog, rosterLog } from '../../replication/log/log.ts'
import { sameReplica } from '../../replication/log/peer-text.ts'
import { decodeAct } from '../../replication/registry/act.ts'
import type { Run } from '../../replication/registry/holding.ts'
import { liveMembers, type Roster, termAt } from '../../replication/registry/roster.ts'
import type { ComponentLog } from '../logger.ts'

/** Pause between tries to reach enough holders, ms. */
const againMs = 2_000
/** Members that a sole holder asks for what they have of both logs. */
const maxAsked = 20
/** Acts that are looked back on for receipts that this folder should have given. */
const maxLookedBack = 100
const runKey = 'authority-run'
const markKey = 'authority-folder'

/**
 * The start of an authority (REPLICATION 14): before it writes anything, ⌈h/2⌉ of the h holders of
 * the council's logs promise to give no receipt to a run before this one, and say what they have; it
 * takes over the longest, and what only got some receipts. So neither a folder that is older than the
 * logs nor a second process with the same key does harm.
 */
export class Opening {
  readonly #exchange: Parts['exchange']
  readonly #signer: PeerSigner
  readonly #clock: Clock
  readonly #log: ComponentLog
  readonly #silenceMs: number
  readonly #folderMark: () => Promise<string>
  #stopped = false
  #isOpening = false
  /** the highest number of a run that a holder knows of */
  #seen = 0

  constructor(parts: Parts) {
    this.#exchange = parts.exchange
    this.#signer = parts.signer
    this.#clock = parts.clock
    this.#log = parts.log
    this.#silenceMs = parts.silenceMs
    this.#folderMark = parts.folderMark
  }

  stop(): void {
    this.#stopped = true
  }

  /** The first run of all: there is no council yet, and nobody to ask. */
  async found(): Promise<void> {
    this.#exchange.council.begin(await this.#nextRun(0))
    await this.#keepMark()
  }

  /**
   * Tries until enough holders have answered; then this peer may write. Called again it begins a new
   * run, and asks all anew; while it tries, nothing.
   */
  async open(): Promise<void> {
    if (this.#isOpening) return
    this.#isOpening = true
    try {
      await this.#open()
    } finally {
      this.#isOpening = false
    }
  }

  async #open(): Promise<void> {
    const startMs = this.#clock.steady()
    for (let tries = 0; !this.#stopped; tries++) {
      const isSole = this.#holders().length === 1
      try {
        if (await this.#isOpened(startMs, tries === 0)) return
      } catch (error) {
        // A disk that takes nothing now may do so later.
        this.#log.error('opening_failed', { error: error as Error })
      }
      await wait(this.#clock, isSole ? againMs / 4 : againMs)
    }
  }

  #holders() {
    return (this.#exchange.council.roster() as Roster).terms.at(-1)?.holders ?? []
  }

  /** One try. */
  async #isOpened(startMs: number, isFirst: boolean): Promise<boolean> {
    const { council } = this.#exchange
    const run = await this.#nextRun(this.#seen)
    const roster = council.roster() as Roster
    const holders = this.#holders()
    const answers = await this.#enterAll(run, roster)
    const later = [...answers.values()].map((each) => each.run.count)
    this.#seen = Math.max(run.count, ...later)
    const isSole = holders.length === 1
    const isWaited = this.#clock.steady() - startMs >= this.#silenceMs
    if (answers.size > 0) await this.#takeOver(answers)
    else if (isSole) await this.#askMembers(roster)
    const entered = [...answers].filter(([, each]) => each.run.id === run.id).map(([peer]) => peer)
    const self = { peer: this.#signer.peer, store: this.#exchange.storeId() }
    const isOwn = holders.some((holder) => sameReplica(holder, self))
    // A folder that was copied may have forgotten what it gave receipts for, or give a second one where
    // the other has given one: it has no say, but where nobody else has one; then it takes over what
    // any member knows.
    const isCopy = isOwn && !isSole && !(await this.#isSameFolder())
    const own = isOwn && !isCopy ? [self.peer] : []
    const needed = Math.ceil(holders.length / 2)
    const isOpen = this.#seen === run.count && own.length + entered.length >= needed
    if (isOpen && (!isSole || isWaited || (await this.#isCaughtUp(roster)))) {
      if (isCopy)
        await this.#exchange.renewStore('this folder is a copy of the one that the last run wrote')
      council.begin(run)
      await this.#adopt(answers)
      await this.#keepMark()
      this.#log.info('authority_writes', { run: run.count, holders: holders.length })
      return true
    }
    if (isFirst && !isSole)
      this.#log.warn('holders_silent', { answered: own.length + entered.length, needed })
    return false
  }

  /** Whether this is the very folder that the last run wrote, not a copy of it. */
  async #isSameFolder(): Promise<boolean> {
    const kept = await this.#exchange.store.value(markKey)
    return kept === undefined || kept === (await this.#folderMark())
  }

  async #keepMark(): Promise<void> {
    const { store } = this.#exchange
    await store.write([store.putValue(markKey, await this.#folderMark())])
  }

  /** A run with a number that nobody has seen; kept before anybody is asked. */
  async #nextRun(seen: number): Promise<Run> {
    const { store, council } = this.#exchange
    const kept = ((await store.value(runKey)) as number | undefined) ?? 0
    const known = (await council.holding.lastRun())?.count ?? 0
    const count = Math.max(kept, known, seen) + 1
    await store.write([store.putValue(runKey, count)])
    const id = Array.from({ length: 32 }, () => Math.floor(this.#clock.random() * 16).toString(16))
    const run = { count, id: id.join('') }
    await council.holding.enter(run)
    return run
  }

  async #enterAll(run: Run, { terms }: Roster): Promise<Map<PeerName, Entered>> {
    const others = (terms.at(-1)?.holders ?? []).filter(({ peer }) => peer !== this.#signer.peer)
    const answers = new Map<PeerName, Entered>()
    await Promise.all(
      others.map(async ({ peer }) => {
        const entered = await this.#exchange.holders.askEnter(peer, run).catch(() => null)
        if (entered !== null) answers.set(peer, entered)
      }),
    )
    return answers
  }

  /** Pulls what others have more; when this folder turns out to be an older state, it is a new store. */
  async #takeOver(answers: ReadonlyMap<PeerName, Entered>): Promise<void> {
    const { sync } = this.#exchange
    for (const peer of answers.keys())
      await sync.pull(peer, [rosterLog, namesLog]).catch(() => undefined)
    if (await this.#isOlder(answers)) {
      const why = 'the other holders have acts that this folder has forgotten'
      await this.#exchange.renewStore(why)
    }
  }

  /**
   * Whether this folder lacks a receipt that it must have given: an authority gives its own first,
   * and keeps it (REPLICATION, Words: a store that has forgotten what others count on is over).
   */
  async #isOlder(answers: ReadonlyMap<PeerName, Entered>): Promise<boolean> {
    const { council } = this.#exchange
    const roster = council.roster() as Roster
    const self = { peer: this.#signer.peer, store: this.#exchange.storeId() }
    const isHolder = (line: number) =>
      termAt(roster, line).holders.some((holder) => sameReplica(holder, self))
    for (const log of [rosterLog, namesLog]) {
      const head = council.head(log)?.seq ?? -1
      const from = Math.max(1, head - maxLookedBack)
      for (const [at, proof] of (await council.proofs(log, from, maxLookedBack + 1)).entries()) {
        const act = decodeAct(proof.text)
        const line = act.ok ? (act.value.roster?.seq ?? 0) : 0
        if (isHolder(line) && !(await council.holding.hasHeld(log, from + at))) return true
      }
      for (const { logs } of answers.values()) {
        const there = logs.get(log)
        const first = (there?.head?.seq ?? -1) + 1
        for (const at of there?.held.keys() ?? []) {
          const isNext = first + at > head
          if (
            isNext &&
            isHolder(roster.head.seq) &&
            !(await council.holding.hasHeld(log, first + at))
          )
            return true
        }
      }
    }
    return false
  }

  /**
   * What some holders gave receipts for and that never got into force goes on from here. Where a second
   * process wrote another act in the place of one of this peer's own, one of the two can: a holder gives
   * one receipt for each place.
   */
  async #adopt(answers: ReadonlyMap<PeerName, Entered>): Promise<void> {
    const { council } = this.#exchange
    for (const log of [rosterLog, namesLog] as LogName[]) {
      for (const { logs } of answers.values()) {
        const { head = null, held = [] } = logs.get(log) ?? {}
        const from = (head?.seq ?? -1) + 1
        const next = (council.head(log)?.seq ?? -1) + 1
        const [left, ...others] = held.slice(Math.max(0, next - from))
        if (left === undefined || next < from) continue
        const own = await council.waiting(log)
        const isOwn = own[0] !== undefined && Buffer.compare(own[0].text, left.text) === 0
        // Acts of its own that wait are finished by the next write.
        if (isOwn || (own.length > 0 && (await council.adopt(log, own)).ok)) continue
        const adopted = await council.adopt(log, [left, ...others])
        if (!adopted.ok) this.#log.warn('act_waits', { code: adopted.code, reason: adopted.reason })
      }
    }
  }

  /** A sole holder has nobody to answer for its logs but whoever has copies of them. */
  async #askMembers(roster: Roster): Promise<void> {
    const { network, sync } = this.#exchange
    const members = new Set(liveMembers(roster).map(({ peer }) => peer))
    const asked = network.connected().filter((peer) => members.has(peer))
    await Promise.all(
      asked
        .slice(0, maxAsked)
        .map((peer) => sync.pull(peer, [rosterLog, namesLog]).catch(() => undefined)),
    )
  }

  /** Whether somebody was asked, or there is nobody to ask. */
  async #isCaughtUp(roster: Roster): Promise<boolean> {
    const others = liveMembers(roster).filter(({ peer }) => peer !== this.#signer.peer)
    return others.length === 0 || this.#exchange.network.connected().length > 0
  }
}

type Parts = {
  readonly exchange: Pick<
    Exchange,
    'council' | 'holders' | 'network' | 'renewStore' | 'store' | 'storeId' | 'sync'
  >
  readonly signer: PeerSigner
  readonly clock: Clock
  readonly log: ComponentLog
  readonly silenceMs: number
  /** the same as long as it is the same folder on the same disk; a copy has another one */
  readonly folderMark: () => Promise<string>
}
