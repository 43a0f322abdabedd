import { RateLimiterMemory } from 'rate-limiter-flexible'
import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, type Refusal, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Origin } from '../../replication/exchange/join.ts'
import type { LogStore } from '../../replication/log/store.ts'
import {
  formatInvitation,
  invitationId,
  invitationSigner,
  isPresentedFor,
  presentedId,
} from '../../replication/registry/invitation.ts'
import type { JoinRequest } from '../../replication/registry/join-request.ts'
import { hostGroup } from './waiting.ts'

/** Invitations kept, those no longer good included; beyond it the oldest of these are forgotten. */
export const maxInvitations = 200
/** Wrong invitations of one host in an hour; beyond it none is looked at. */
export const maxWrongPerHost = 10
/** … that one member passed on in an hour: it could lie about their hosts. */
export const maxWrongPerMember = 100
const wrongSeconds = 3_600

/** One invitation as the authority keeps it: the public key of its secret, and who used it. */
export type Invitation = {
  readonly key: PeerName
  readonly createdMs: number
  readonly expiresMs: number
  /** how many peers may use it */
  readonly uses: number
  /** the peers that presented it: each of them may do so again, and no other in its place */
  readonly usedBy: readonly { readonly peer: PeerName; readonly atMs: number }[]
  readonly revokedMs: number | null
  /** whom it is for, in the operator's words */
  readonly note: string | null
}

/** Why an invitation admits nobody new any more; null while it does. Pure. */
export function whyNotGood(
  { expiresMs, revokedMs, uses, usedBy }: Invitation,
  nowMs: number,
): Refusal | null {
  if (revokedMs !== null) {
    return refuse(
      'JOIN_INVITE_REVOKED',
      "This invitation was revoked. Ask the council's operator for another.",
    )
  }
  if (usedBy.length >= uses) {
    return refuse(
      'JOIN_INVITE_USED',
      "This invitation was used already, by another peer. Ask the council's operator for another.",
    )
  }
  if (nowMs > expiresMs) {
    return refuse(
      'JOIN_INVITE_EXPIRED',
      `This invitation ended on ${new Date(expiresMs).toISOString().slice(0, 16).replace('T', ' ')} UTC. Ask the council's operator for another.`,
    )
  }
  return null
}

/**
 * Judges the invitation in a request. Pure. A peer that presented it in time stays invited, so that
 * a request whose answer was lost can be repeated.
 *
 * Codes: JOIN_INVITE_UNKNOWN (no such one, or not made with its secret for this peer),
 * JOIN_INVITE_REVOKED, JOIN_INVITE_USED, JOIN_INVITE_EXPIRED.
 *
 * @param found - the invitation with the id that the request names
 */
export function judgeInvitation(
  found: Invitation | null,
  request: JoinRequest,
  nowMs: number,
): Verdict<'first' | 'again'> {
  const { council, member, invite } = request
  // What it is worth is said only to who has the secret.
  if (found === null || !isPresentedFor(invite ?? '', found.key, { council, peer: member.peer })) {
    return refuse(
      'JOIN_INVITE_UNKNOWN',
      'The authority does not know this invitation. Copy its whole join line once more, or ask for another.',
    )
  }
  const isHis = found.usedBy.some(({ peer }) => peer === member.peer)
  if (isHis && found.revokedMs === null) return accept('again')
  return whyNotGood(found, nowMs) ?? accept('first')
}

const prefix = 'invitation/'

/** The authority's invitations, on disk. */
export class Invitations {
  readonly #store: LogStore
  readonly #now: () => number
  readonly #byId = new Map<string, Invitation>()
  readonly #ofHost = new RateLimiterMemory({ points: maxWrongPerHost, duration: wrongSeconds })
  readonly #ofMember = new RateLimiterMemory({ points: maxWrongPerMember, duration: wrongSeconds })

  constructor(store: LogStore, now: () => number) {
    this.#store = store
    this.#now = now
  }

  async load(): Promise<void> {
    for (const [, value] of await this.#store.values(prefix)) {
      const invitation = value as Invitation
      this.#byId.set(invitationId(invitation.key), invitation)
    }
  }

  /** The newest first. */
  all(): Invitation[] {
    return [...this.#byId.values()].toSorted((a, b) => b.createdMs - a.createdMs)
  }

  /**
   * Makes an invitation. Code INVITE_TOO_MANY.
   *
   * @param seed - 32 random bytes; they are in the answer, and nowhere else
   */
  async make(
    seed: Uint8Array,
    { uses, hours, note }: { uses: number; hours: number; note: string | null },
  ): Promise<Verdict<{ secret: string; invitation: Invitation }>> {
    const createdMs = this.#now()
    const over = this.#byId.size - maxInvitations + 1
    const old = over > 0 ? this.all().filter((each) => whyNotGood(each, createdMs) !== null) : []
    if (over > old.length) {
      return refuse(
        'INVITE_TOO_MANY',
        `There are ${maxInvitations} invitations that are still good. Revoke some: ./council invite --list`,
      )
    }
    const gone = over > 0 ? old.slice(-over) : []
    for (const each of gone) this.#byId.delete(invitationId(each.key))
    const invitation: Invitation = {
      key: (await invitationSigner(seed)).peer,
      createdMs,
      expiresMs: createdMs + hours * 3_600_000,
      uses,
      usedBy: [],
      revokedMs: null,
      note,
    }
    await this.#store.write(
      gone.map((each) => ({ type: 'del', key: `${prefix}${invitationId(each.key)}` })),
    )
    await this.#put(invitation)
    return accept({ secret: formatInvitation(seed), invitation })
  }

  /** Code INVITE_UNKNOWN. Who used it stays a member. */
  async revoke(id: string): Promise<Verdict<Invitation>> {
    const found = this.#byId.get(id)
    if (found === undefined) {
      return refuse('INVITE_UNKNOWN', `There is no invitation ${id}. See ./council invite --list`)
    }
    const revoked = { ...found, revokedMs: found.revokedMs ?? this.#now() }
    await this.#put(revoked)
    return accept(revoked)
  }

  /**
   * A peer presents an invitation; a good one counts as used by it from now on. Codes: those of
   * `judgeInvitation`, and JOIN_INVITE_TRIES.
   *
   * @param isRepeated - the peer has shown the very same before: a wrong one counts once
   */
  async present(
    request: JoinRequest,
    origin: Origin,
    { isRepeated }: { isRepeated: boolean },
  ): Promise<Verdict<void>> {
    const host = hostGroup(origin.host)
    const left = [await this.#ofHost.get(host)]
    if (origin.via !== null) left.push(await this.#ofMember.get(origin.via))
    if (left.some((each) => each !== null && each.remainingPoints <= 0)) {
      return refuse(
        'JOIN_INVITE_TRIES',
        'Too many wrong invitations came from there. None is looked at for up to an hour; the peer asks again by itself.',
      )
    }
    const found = this.#byId.get(presentedId(request.invite ?? '')) ?? null
    const judged = judgeInvitation(found, request, this.#now())
    if (!judged.ok) {
      if (judged.code === 'JOIN_INVITE_UNKNOWN' && !isRepeated) {
        await this.#ofHost.penalty(host)
        if (origin.via !== null) await this.#ofMember.penalty(origin.via)
      }
      return judged
    }
    if (judged.value === 'first' && found !== null) {
      const use = { peer: request.member.peer, atMs: this.#now() }
      await this.#put({ ...found, usedBy: [...found.usedBy, use] })
    }
    return accept(undefined)
  }

  /** In memory at once: of two peers that present it side by side, one is first. */
  async #put(invitation: Invitation): Promise<void> {
    const id = invitationId(invitation.key)
    const before = this.#byId.get(id)
    this.#byId.set(id, invitation)
    try {
      await this.#store.write([this.#store.putValue(`${prefix}${id}`, invitation)])
    } catch (error) {
      // What the disk did not take did not happen.
      if (before === undefined) this.#byId.delete(id)
      else this.#byId.set(id, before)
      throw error
    }
  }
}
