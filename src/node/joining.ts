import type { PeerName, PeerSigner } from '../auth/peer-signature.ts'
import type { Clock } from '../replication/clock.ts'
import type { Join } from '../replication/exchange/join.ts'
import type { MemberRecord } from '../replication/registry/act.ts'
import type { CouncilLogs } from '../replication/registry/council-logs.ts'
import { type InvitationSigner, presentInvitation } from '../replication/registry/invitation.ts'
import { signJoin } from '../replication/registry/join-request.ts'
import { authorityOf, type Member } from '../replication/registry/roster.ts'
import { sameRecord } from './authority/admission.ts'
import type { ComponentLog } from './logger.ts'

/** A pending peer asks again this often, ms; so does, after a few quicker tries, one whose record is not in `@roster` as it is. */
const askAgainMs = 30_000
/** Pauses while no bootstrap peer answers, ms: the first, twice as long each time, and the longest. */
const firstAgainMs = 500
const dialAgainMs = 4_000
/** The first pause of a pending peer, and while an own address was not reached from outside, ms; then twice as long each time. */
const firstPauseMs = 2_000

/** Refusals that asking again does not change: the operator must. */
const final = new Set([
  'COUNCIL_ID',
  'JOIN_ADDRESSES',
  'JOIN_COUNCIL',
  'JOIN_CUT_OFF',
  'JOIN_INVITE_EXPIRED',
  'JOIN_INVITE_MISSING',
  'JOIN_INVITE_REVOKED',
  'JOIN_INVITE_UNKNOWN',
  'JOIN_INVITE_USED',
  'JOIN_NAME',
  'JOIN_REFUSED',
  'JOIN_RENAME',
  'JOIN_ROLE',
])
/** Refusals that pass, but not in seconds. */
const later = new Set(['JOIN_INVITE_TRIES', 'JOIN_QUEUE_FULL'])

/** Who was cut off asks, to hear why, and when that is over. */
const isListed = (listed: Member | undefined, record: MemberRecord) =>
  listed?.cutOff === false && sameRecord(listed, record)

/** Brings a peer into its council and keeps its record in `@roster` true (DESIGN 5, Joining). */
export class Joining {
  readonly #join: Join
  readonly #council: CouncilLogs
  readonly #signer: PeerSigner
  readonly #clock: Clock
  readonly #log: ComponentLog
  readonly #record: () => MemberRecord
  readonly #invitation: InvitationSigner | null
  readonly #dialBootstrap: () => Promise<PeerName | null>
  readonly #hangUp: (peer: PeerName) => Promise<void>
  #stopped = false
  /** how often in a row this peer was told to wait, or `@roster` did not get its record as it is */
  #unlisted = 0
  #wake = () => {}
  /** why the authority does not admit this peer; null while it may still */
  refusal: string | null = null
  /** what this peer waits for before it is admitted; null when for nothing but an answer */
  pending: string | null = null

  constructor(parts: {
    readonly join: Join
    readonly council: CouncilLogs
    readonly signer: PeerSigner
    readonly clock: Clock
    readonly log: ComponentLog
    /** what `@roster` should say of this peer */
    readonly record: () => MemberRecord
    /** what it was invited with; null when it was not */
    readonly invitation: InvitationSigner | null
    /** dials one of the addresses that this peer was given, null when none answers */
    readonly dialBootstrap: () => Promise<PeerName | null>
    /** closes the connection with a member, while this peer is none itself */
    readonly hangUp: (peer: PeerName) => Promise<void>
  }) {
    this.#join = parts.join
    this.#council = parts.council
    this.#signer = parts.signer
    this.#clock = parts.clock
    this.#log = parts.log
    this.#record = parts.record
    this.#invitation = parts.invitation
    this.#dialBootstrap = parts.dialBootstrap
    this.#hangUp = parts.hangUp
  }

  /** Runs until stopped. `pending` hears what this peer waits for, each time that this changes. */
  start(on: {
    readonly admitted: () => void
    readonly refused: (reason: string) => void
    readonly pending: (reason: string) => void
  }): void {
    void this.#run(on)
  }

  /** What `@roster` should say has changed: asks at once. */
  again(): void {
    this.#wake()
  }

  stop(): void {
    this.#stopped = true
    this.#wake()
  }

  async #run(on: Parameters<Joining['start']>[0]): Promise<void> {
    let wasAdmitted = false
    let failures = 0
    let said: string | null = null
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
        this.pending = null
        on.admitted()
      }
      if (this.refusal !== null && !wasAdmitted) on.refused(this.refusal)
      if (this.pending !== null && this.pending !== said) on.pending(this.pending)
      said = this.pending
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
    if (isListed(known, this.#record())) return askAgainMs
    const isAuthority = roster !== null && authorityOf(roster) === self
    const peer = isAuthority ? self : await this.#dialBootstrap()
    if (peer === null) return null
    if (!isAuthority) {
      const pulled = await this.#join.pullRoster(peer)
      if (!pulled.ok) return this.#no(peer, pulled.code, pulled.reason)
    }
    const council = this.#council.roster()?.council
    if (council === undefined) return null
    const again = this.#council.roster()?.members.get(self)
    if (isListed(again, this.#record())) return askAgainMs
    const request = {
      council,
      member: this.#record(),
      atMs: this.#clock.now(),
      invite: this.#invitation === null ? null : presentInvitation(this.#invitation, council, self),
    }
    const answer = await this.#join.ask(peer, signJoin(this.#signer, request))
    if (!answer.ok) return this.#no(peer, answer.code, answer.reason)
    if (answer.value.state === 'pending') return this.#wait(peer, answer.value.reason)
    if (!isAuthority) await this.#join.pullRoster(peer)
    return this.#pauseAfter(this.#council.roster()?.members.get(self))
  }

  async #wait(peer: PeerName, reason: string): Promise<number> {
    if (this.pending === null) this.#log.info('join_pending', { reason })
    this.pending = reason
    await this.#leave(peer)
    return this.#nextPause()
  }

  /** Nothing is to be had on this connection, and a member has room for few strangers. */
  async #leave(peer: PeerName): Promise<void> {
    if (!this.#council.isMember(this.#signer.peer)) await this.#hangUp(peer).catch(() => undefined)
  }

  /** An address that was not reached may be in a moment: whoever was to fetch it may be starting. */
  #pauseAfter(listed: MemberRecord | undefined): number {
    if (listed !== undefined && sameRecord(listed, this.#record())) {
      this.#unlisted = 0
      return askAgainMs
    }
    return this.#nextPause()
  }

  #nextPause(): number {
    return Math.min(askAgainMs, firstPauseMs * 2 ** this.#unlisted++)
  }

  async #no(peer: PeerName, code: string, reason: string): Promise<number | null> {
    this.#log.warn('join_refused', { code, reason })
    await this.#leave(peer)
    if (later.has(code)) return askAgainMs
    if (!final.has(code)) return null
    this.refusal = reason
    return askAgainMs
  }
}
