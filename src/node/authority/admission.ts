import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Decision, MemberRecord } from '../../replication/registry/act.ts'
import type { JoinRequest } from '../../replication/registry/join-request.ts'
import { authorityOf, type Roster } from '../../replication/registry/roster.ts'

/** How far a request's date may lie from the authority's clock, ms: an old one is not handed in again. */
export const maxRequestAgeMs = 15 * 60_000
/** Addresses of one peer: each web address is fetched twice, and every peer dials and stores the others. */
const maxAddresses = 32
const maxWeb = 4
const maxDns = 4

/**
 * Decides a request to join, or a member's changed record, under the policy `open`. Pure.
 *
 * Codes: JOIN_CUT_OFF, JOIN_NAME (taken by another peer), JOIN_RENAME, JOIN_DATE, JOIN_ROLE,
 * JOIN_ADDRESSES.
 *
 * @param reached - those of the request's web addresses that answered with this peer's hello
 * @returns the act to write, or null when `@roster` says the same already
 */
export function decideJoin(
  roster: Roster,
  request: JoinRequest,
  reached: readonly string[],
  nowMs: number,
): Verdict<Decision | null> {
  const { member } = request
  const before = roster.members.get(member.peer)
  if (Math.abs(nowMs - request.atMs) > maxRequestAgeMs) {
    return refuse(
      'JOIN_DATE',
      'The request is dated more than 15 minutes from now. Set the clock of that machine.',
    )
  }
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
  if (before === undefined) return accept({ kind: 'admit', member: record, policy: 'open' })
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
