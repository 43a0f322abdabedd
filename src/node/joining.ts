import type { PeerName, PeerSigner } from '../auth/peer-signature.ts'
import type { Clock } from '../replication/clock.ts'
import type { Join } from '../replication/exchange/join.ts'
import type { MemberRecord } from '../replication/registry/act.ts'
import type { CouncilLogs } from '../replication/registry/council-logs.ts'
import { signJoin } from '../replication/registry/join-request.ts'
import { authorityOf } from '../replication/registry/roster.ts'
import { sameRecord } from './authority/admission.ts'
import type { ComponentLog } from './logger.ts'

/** A pending peer asks again this often, ms; so does, after a few quicker tries, one whose record is not in `@roster` as it is. */
const askAgainMs = 30_000
/** Pauses while no bootstrap peer answers, ms: the first, twice as long each time, and the longest. */
const firstAgainMs = 500
const dialAgainMs = 4_000
/** The first pause while an own address was not reached from outside, ms; then twice as long each time. */
const unlistedAgainMs = 2_000

/** Refusals that asking again does not change: the operator must. */
const final = new Set([
  'COUNCIL_ID',
  'JOIN_ADDRESSES',
  'JOIN_CUT_OFF',
  'JOIN_NAME',
  'JOIN_RENAME',
  'JOIN_ROLE',
  'JOIN_COUNCIL',
])

/** Brings a peer into its council and keeps its record in `@roster` true (DESIGN 5, Joining). */
export class Joining {
  readonly #join: Join
  readonly #council: CouncilLogs
  readonly #signer: PeerSigner
  readonly #clock: Clock
  readonly #log: ComponentLog
  readonly #record: () => MemberRecord
  readonly #invite: string | null
  readonly #dialBootstrap: () => Promise<PeerName | null>
  #stopped = false
  /** how often in a row `@roster` did not get this peer's record as it is */
  #unlisted = 0
  #wake = () => {}
  /** why the authority does not admit this peer; null while it may still */
  refusal: string | null = null

  constructor(parts: {
    readonly join: Join
    readonly council: CouncilLogs
    readonly signer: PeerSigner
    readonly clock: Clock
    readonly log: ComponentLog
    /** what `@roster` should say of this peer */
    readonly record: () => MemberRecord
    readonly invite: string | null
    /** dials one of the addresses that this peer was given, null when none answers */
    readonly dialBootstrap: () => Promise<PeerName | null>
  }) {
    this.#join = parts.join
    this.#council = parts.council
    this.#signer = parts.signer
    this.#clock = parts.clock
    this.#log = parts.log
    this.#record = parts.record
    this.#invite = parts.invite
    this.#dialBootstrap = parts.dialBootstrap
  }

  /** Runs until stopped. Resolves `admitted` once this peer is in `@roster`, or throws why it never will be. */
  start(onAdmitted: () => void, onRefused: (reason: string) => void): void {
    void this.#run(onAdmitted, onRefused)
  }

  stop(): void {
    this.#stopped = true
    this.#wake()
  }

  async #run(onAdmitted: () => void, onRefused: (reason: string) => void): Promise<void> {
    let wasAdmitted = false
    let failures = 0
    while (!this.#stopped) {
      const step = await this.#step().catch((error: Error) => {
        this.#log.warn('join_failed', { reason: error.message })
        return null
      })
      failures = step === null ? failures + 1 : 0
      const pauseMs = step ?? Math.min(dialAgainMs, firstAgainMs * 2 ** (failures - 1))
      if (!wasAdmitted && this.#council.isMember(this.#signer.peer)) {
        wasAdmitted = true
        this.refusal = null
        onAdmitted()
      }
      if (this.refusal !== null && !wasAdmitted) onRefused(this.refusal)
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.after(pauseMs, resolve)
        this.#wake = () => {
          cancel()
          resolve()
        }
      })
    }
  }

  /** One try; @returns how long to wait for the next, ms, null when nothing came of it. */
  async #step(): Promise<number | null> {
    const self = this.#signer.peer
    const roster = this.#council.roster()
    const known = roster?.members.get(self)
    if (known !== undefined && sameRecord(known, this.#record())) return askAgainMs
    const isAuthority = roster !== null && authorityOf(roster) === self
    const peer = isAuthority ? self : await this.#dialBootstrap()
    if (peer === null) return null
    if (!isAuthority) {
      const pulled = await this.#join.pullRoster(peer)
      if (!pulled.ok) return this.#no(pulled.code, pulled.reason)
    }
    const council = this.#council.roster()?.council
    if (council === undefined) return null
    const again = this.#council.roster()?.members.get(self)
    if (again !== undefined && sameRecord(again, this.#record())) return askAgainMs
    const request = {
      council,
      member: this.#record(),
      atMs: this.#clock.now(),
      invite: this.#invite,
    }
    const answer = await this.#join.ask(peer, signJoin(this.#signer, request))
    if (!answer.ok) return this.#no(answer.code, answer.reason)
    if (answer.value !== 'admitted') return askAgainMs
    if (!isAuthority) await this.#join.pullRoster(peer)
    return this.#pauseAfter(this.#council.roster()?.members.get(self))
  }

  /** An address that was not reached may be in a moment: whoever was to fetch it may be starting. */
  #pauseAfter(listed: MemberRecord | undefined): number {
    if (listed !== undefined && sameRecord(listed, this.#record())) {
      this.#unlisted = 0
      return askAgainMs
    }
    return Math.min(askAgainMs, unlistedAgainMs * 2 ** this.#unlisted++)
  }

  #no(code: string, reason: string): number | null {
    this.#log.warn('join_refused', { code, reason })
    if (!final.has(code)) return null
    this.refusal = reason
    return askAgainMs
  }
}
