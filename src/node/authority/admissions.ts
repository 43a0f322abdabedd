import { randomBytes } from 'node:crypto'
import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, type Refusal, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../../replication/clock.ts'
import type { Admission, Origin } from '../../replication/exchange/join.ts'
import { type LogName, rosterLog } from '../../replication/log/log.ts'
import type { LogStore } from '../../replication/log/store.ts'
import type { Signed } from '../../replication/log/text.ts'
import type { AdmissionPolicy, MemberRecord } from '../../replication/registry/act.ts'
import type { CouncilLogs } from '../../replication/registry/council-logs.ts'
import type { JoinRequest } from '../../replication/registry/join-request.ts'
import type { ProofOfAct } from '../../replication/registry/proof.ts'
import type { Roster } from '../../replication/registry/roster.ts'
import type { ComponentLog } from '../logger.ts'
import { checkDate, decideEntrance, decideJoin, maxRequestAgeMs } from './admission.ts'
import { type Invitation, Invitations, whyNotGood } from './invitations.ts'
import type { Reach } from './reach.ts'
import { type Waiting, WaitingList } from './waiting.ts'

/** Refusals after which a waiting request can never be admitted as it stands. */
const hopeless = new Set(['JOIN_ADDRESSES', 'JOIN_CUT_OFF', 'JOIN_NAME', 'JOIN_ROLE'])

/** Whom the operator admits, and with what record. */
export type Approval = {
  readonly member: MemberRecord
  /** the web addresses that answered; the others enter DNS when they do */
  readonly reached: readonly string[]
}

/**
 * Who comes into the council: requests to join, those that wait for the operator's word, and
 * invitations. What is decided is decided in admission.ts; here it is asked, written and told.
 */
export class Admissions {
  readonly #parts: Parts
  readonly #waiting: WaitingList
  readonly #invitations: Invitations
  /** date of each peer's newest request: an older one, sent by somebody else, changes nothing back */
  readonly #askedMs = new Map<PeerName, number>()

  constructor(parts: Parts) {
    this.#parts = parts
    this.#waiting = new WaitingList(parts.store)
    this.#invitations = new Invitations(parts.store, parts.clock.now)
  }

  get policy(): AdmissionPolicy {
    return this.#parts.policy
  }

  /** Reads who waits, and the invitations; before the first request. */
  async load(): Promise<void> {
    await this.#waiting.load(this.#parts.clock.now())
    await this.#invitations.load()
  }

  #roster(): Roster {
    return this.#parts.council.roster() as Roster
  }

  /**
   * Decides a request to join, or for a member's changed record. A member whose web addresses did
   * not all answer asks again. Codes: JOIN_DATE, JOIN_OLD, those of `decideEntrance`,
   * `Invitations.present`, `planPlace` and `decideJoin`, ACT_NOT_IN_FORCE when the holders do not
   * answer.
   */
  async decideJoin(
    request: JoinRequest,
    signed: Signed,
    origin: Origin,
  ): Promise<Verdict<Admission>> {
    const { peer } = request.member
    const early = this.#judgeEarly(request)
    if (!early.ok) {
      if (hopeless.has(early.code)) await this.#waiting.remove(peer)
      return early
    }
    const entrance = decideEntrance(this.policy, {
      isKnown: this.#roster().members.has(peer),
      isAuthority: peer === this.#parts.self,
      refusal: this.#waiting.get(peer)?.refused?.reason ?? null,
      invitation: await this.#judgeInvitation(request, origin),
    })
    if (!entrance.ok) return entrance
    if (entrance.value.kind === 'wait') {
      return this.#wait(request, signed, origin, entrance.value.reason)
    }
    const written = await this.#write(request, entrance.value.policy)
    return written.ok ? accept({ state: 'admitted' }) : written
  }

  /** What is wrong with a request is said before anything is fetched for it. Code JOIN_OLD. */
  #judgeEarly(request: JoinRequest): Verdict<unknown> {
    const nowMs = this.#parts.clock.now()
    const dated = checkDate(request, nowMs)
    if (!dated.ok) return dated
    const judged = decideJoin(this.#roster(), request, [], this.policy)
    if (!judged.ok) return judged
    const { peer } = request.member
    if (request.atMs < (this.#askedMs.get(peer) ?? 0)) {
      return refuse('JOIN_OLD', 'This peer has sent a newer request, which was handled already.')
    }
    this.#askedMs.delete(peer)
    this.#askedMs.set(peer, request.atMs)
    for (const [other, atMs] of this.#askedMs) {
      if (nowMs - atMs <= maxRequestAgeMs) break
      this.#askedMs.delete(other)
    }
    return accept(undefined)
  }

  /** Looked at only where it decides: an invitation presented is an invitation used. */
  async #judgeInvitation(request: JoinRequest, origin: Origin): Promise<Verdict<void> | null> {
    const { peer } = request.member
    const before = this.#waiting.get(peer)
    const isOfUse = this.policy !== 'open' && !this.#roster().members.has(peer)
    if (request.invite === null || !isOfUse || before?.refused) return null
    return this.#invitations.present(request, origin, {
      // Who waits with a wrong one shows it with each request; that is no further try.
      isRepeated: before?.request.invite === request.invite,
    })
  }

  async #wait(
    request: JoinRequest,
    signed: Signed,
    origin: Origin,
    reason: string,
  ): Promise<Verdict<Admission>> {
    const { peer, name, operator } = request.member
    const isNew = this.#waiting.get(peer) === null
    const kept = await this.#waiting.ask(request, signed, origin, this.#parts.clock.now())
    if (!kept.ok) return kept
    if (isNew) this.#parts.log.info('waits_for_approval', { peer, name, operator, ...origin })
    return accept({ state: 'pending', reason })
  }

  /** Fetches the peer's pages and writes the act, if one is needed. */
  async #write(request: JoinRequest, policy: AdmissionPolicy): Promise<Verdict<Approval>> {
    const { council, log, reach, tell } = this.#parts
    const { member } = request
    const reached = await reach.reached(this.#roster(), member)
    let refusal: Refusal | null = null
    const written = await council.write(rosterLog, this.#roster().council, () => {
      const decision = decideJoin(this.#roster(), request, reached, policy)
      if (decision.ok) return decision.value
      refusal = decision
      return null
    })
    if (refusal !== null) return refusal
    if (!written.ok) return written
    await this.#waiting.remove(member.peer)
    if (written.value !== null) {
      const { act, proof } = written.value
      log.info('roster', {
        kind: act.decision.kind,
        peer: member.peer,
        name: member.name,
        web: reached,
      })
      await tell(rosterLog, proof, [])
    }
    return accept({ member, reached })
  }

  /** Who waits for the operator's word, and who was refused; the first that asked first. */
  waiting(): Waiting[] {
    return this.#waiting.all()
  }

  /** For `status`: how many wait, and how many invitations are good. */
  counts(): { policy: AdmissionPolicy; waiting: number; invitations: number } {
    const nowMs = this.#parts.clock.now()
    return {
      policy: this.policy,
      waiting: this.waiting().filter(({ refused }) => refused === null).length,
      invitations: this.invitations().filter((each) => whyNotGood(each, nowMs) === null).length,
    }
  }

  /**
   * The operator admits a peer that waits, or was refused before, with its newest request.
   * Codes: ADMIT_UNKNOWN, ADMIT_AMBIGUOUS, those of `decideJoin`, ACT_NOT_IN_FORCE.
   *
   * @param which - its name or its peer id
   * @param isDry - only looks whether it could be admitted
   */
  async admit(which: string, isDry: boolean): Promise<Verdict<Approval>> {
    const found = this.#find(which)
    if (!found.ok) return found
    const { request } = found.value
    const judged = decideJoin(this.#roster(), request, [], 'approve')
    if (!judged.ok) return judged
    if (!isDry) return this.#write(request, 'approve')
    const { member } = request
    return accept({ member, reached: await this.#parts.reach.reached(this.#roster(), member) })
  }

  /** The operator refuses a peer that waits; it is told `reason`. Codes as of `admit`. */
  async refuse(which: string, reason: string, isDry: boolean): Promise<Verdict<MemberRecord>> {
    const found = this.#find(which)
    if (!found.ok) return found
    const { member } = found.value.request
    if (!isDry) {
      await this.#waiting.refuse(member.peer, reason, this.#parts.clock.now())
      const { peer, name } = member
      this.#parts.log.info('refused_by_operator', { peer, name, reason })
    }
    return accept(member)
  }

  #find(which: string): Verdict<Waiting> {
    const all = this.waiting()
    const ofPeer = all.find(({ request }) => request.member.peer === which)
    if (ofPeer !== undefined) return accept(ofPeer)
    const ofName = all.filter(({ request }) => request.member.name === which)
    const open = ofName.filter(({ refused }) => refused === null)
    const [found, other] = open.length > 0 ? open : ofName
    if (found !== undefined && other === undefined) return accept(found)
    if (found !== undefined) {
      return refuse(
        'ADMIT_AMBIGUOUS',
        `${ofName.length} peers ask for the name ${which}. Ask their operators for the peer ids, and give one of these instead.`,
      )
    }
    const isMember = [...this.#roster().members.values()].some(
      ({ name, peer }) => name === which || peer === which,
    )
    return refuse(
      'ADMIT_UNKNOWN',
      isMember
        ? `${which} is in @roster already: it was admitted. To end that: ./council cutoff`
        : `No peer called ${which} waits. Who does: ./council admit`,
    )
  }

  /** The newest first. */
  invitations(): Invitation[] {
    return this.#invitations.all()
  }

  /** Makes an invitation; its secret is in the answer only. Code INVITE_TOO_MANY. */
  invite(terms: {
    readonly uses: number
    readonly hours: number
    readonly note: string | null
  }): Promise<Verdict<{ secret: string; invitation: Invitation }>> {
    return this.#invitations.make(randomBytes(32), terms)
  }

  /** Code INVITE_UNKNOWN. */
  revoke(id: string): Promise<Verdict<Invitation>> {
    return this.#invitations.revoke(id)
  }
}

type Parts = {
  readonly council: CouncilLogs
  readonly store: LogStore
  readonly clock: Clock
  readonly log: ComponentLog
  readonly reach: Pick<Reach, 'reached'>
  readonly self: PeerName
  readonly policy: AdmissionPolicy
  /** announces an act in force; resolves soon */
  readonly tell: (log: LogName, proof: ProofOfAct, replicas: readonly PeerName[]) => Promise<void>
}
