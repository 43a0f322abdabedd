import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { AdmissionPolicy, Decision, MemberRecord } from '../../replication/registry/act.ts'
import type { JoinRequest } from '../../replication/registry/join-request.ts'
import { authorityOf, type Roster } from '../../replication/registry/roster.ts'

/** How far a request's date may lie from the authority's clock, ms: an old one is not handed in again. */
export const maxRequestAgeMs = 15 * 60_000
/** Addresses of one peer: each web address is fetched twice, and every peer dials and stores the others. */
const maxAddresses = 32
const maxWeb = 4
const maxDns = 4

/** Refuses a request dated long ago, which somebody may have kept, or far ahead. Pure. Code JOIN_DATE. */
export function checkDate(request: JoinRequest, nowMs: number): Verdict<void> {
  return Math.abs(nowMs - request.atMs) > maxRequestAgeMs
    ? refuse(
        'JOIN_DATE',
        'The request is dated more than 15 minutes from now. Set the clock of that machine.',
      )
    : accept(undefined)
}

/** What the authority knows of a peer that asks, beside its request. */
export type Applicant = {
  /** `@roster` has it already: it asks for a change of its record */
  readonly isKnown: boolean
  /** it is the authority itself */
  readonly isAuthority: boolean
  /** why the operator refused it before; null when that did not happen */
  readonly refusal: string | null
  /** the verdict on the invitation that it brings; null when it brings none */
  readonly invitation: Verdict<unknown> | null
}

/** `admit`: it may come in, now, and why; `wait`: for the operator's word. */
export type Entrance =
  | { readonly kind: 'admit'; readonly policy: AdmissionPolicy }
  | { readonly kind: 'wait'; readonly reason: string }

/**
 * Decides whether a peer may come in under the authority's policy. Pure. Members may change their
 * own records under each policy.
 *
 * Codes: JOIN_REFUSED, JOIN_INVITE_MISSING, and that of the verdict on its invitation.
 */
export function decideEntrance(policy: AdmissionPolicy, applicant: Applicant): Verdict<Entrance> {
  const { isKnown, isAuthority, refusal, invitation } = applicant
  if (isKnown) return accept({ kind: 'admit', policy })
  // Who runs the authority has approved of its own machine.
  if (isAuthority) return accept({ kind: 'admit', policy: policy === 'open' ? 'open' : 'approve' })
  if (refusal !== null) {
    return refuse('JOIN_REFUSED', `The authority's operator refused this peer: ${refusal}`)
  }
  if (policy === 'open') return accept({ kind: 'admit', policy })
  if (invitation?.ok) return accept({ kind: 'admit', policy: 'invite' })
  if (policy === 'approve') {
    const waits = "This council's authority admits peers once its operator has approved of them."
    return accept({
      kind: 'wait',
      reason: invitation === null ? waits : `${waits} ${invitation.reason}`,
    })
  }
  return (
    invitation ??
    refuse(
      'JOIN_INVITE_MISSING',
      'This council admits peers by invitation only. Ask its operator for the join line of one, and write council.json anew with it.',
    )
  )
}

/**
 * Decides what to write for a peer that may come in, or for a member's changed record. Pure.
 *
 * Codes: JOIN_CUT_OFF, JOIN_NAME (taken by another peer), JOIN_RENAME, JOIN_ROLE, JOIN_ADDRESSES.
 *
 * @param reached - those of the request's web addresses that answered with this peer's hello
 * @param policy - by which a newcomer is admitted
 * @returns the act to write, or null when `@roster` says the same already
 */
export function decideJoin(
  roster: Roster,
  { member }: Pick<JoinRequest, 'member'>,
  reached: readonly string[],
  policy: AdmissionPolicy,
): Verdict<Decision | null> {
  const before = roster.members.get(member.peer)
  if (
    member.addresses.length > maxAddresses ||
    member.web.length > maxWeb ||
    member.dns.length > maxDns
  ) {
    return refuse(
      'JOIN_ADDRESSES',
      `A peer has at most ${maxAddresses} addresses, ${maxWeb} for its pages and ${maxDns} for DNS. Name fewer in council.json.`,
    )
  }
  if (before?.cutOff) {
    return refuse(
      'JOIN_CUT_OFF',
      `${member.peer} was cut off from this council. Ask the authority's operator.`,
    )
  }
  for (const other of roster.members.values()) {
    if (other.name === member.name && other.peer !== member.peer) {
      return refuse(
        'JOIN_NAME',
        `The name ${member.name} belongs to another peer of this council. Choose another in council.json.`,
      )
    }
  }
  if (before !== undefined && before.name !== member.name) {
    return refuse('JOIN_RENAME', `This peer is ${before.name} in @roster; names do not change.`)
  }
  if (member.roles.includes('authority') && member.peer !== authorityOf(roster)) {
    return refuse(
      'JOIN_ROLE',
      'A council has one authority; remove that section from council.json.',
    )
  }
  // Web addresses stand in @roster only once they were fetched (DESIGN 5).
  const record: MemberRecord = { ...member, web: member.web.filter((url) => reached.includes(url)) }
  if (before === undefined) return accept({ kind: 'admit', member: record, policy })
  return accept(sameRecord(before, record) ? null : { kind: 'change', member: record })
}

export function sameRecord(a: MemberRecord, b: MemberRecord): boolean {
  return JSON.stringify(fieldsOf(a)) === JSON.stringify(fieldsOf(b))
}

const fieldsOf = (record: MemberRecord) => [
  record.peer,
  record.name,
  record.store,
  record.roles,
  record.addresses,
  record.web,
  record.dns,
  record.operator,
  record.network,
  record.country,
]
