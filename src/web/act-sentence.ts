import type { PeerName } from '../auth/peer-signature.ts'
import { describeCertificate } from '../auth/revocation.ts'
import type { Act, MemberRecord } from '../replication/registry/act.ts'
import { reasonWord } from '../replication/registry/revoked-keys.ts'
import type { Roster } from '../replication/registry/roster.ts'
import { showDay, showFingerprint } from './plain-words.ts'

/**
 * What an act decided, in one plain sentence without its full stop. Pure. Peers are called by the
 * names that `roster` has for them; the words of operators in it are theirs, so escape it.
 */
export function sentenceOf(
  { decision, dateMs }: Pick<Act, 'decision' | 'dateMs'>,
  roster: Pick<Roster, 'members'>,
): string {
  const name = (peer: PeerName) => roster.members.get(peer)?.name ?? `the peer ${peer}`
  const spoke = (peer: PeerName) => {
    const member = roster.members.get(peer)
    return member === undefined ? `The peer ${peer}` : calledMember(member)
  }
  switch (decision.kind) {
    case 'council':
      return `This council was founded: ${name(decision.authority)} is its authority, each blog gets ${decision.wanted === 1 ? 'one copy' : `${decision.wanted} copies`}`
    case 'admit':
      return `${described(decision.member)}, was admitted${howAdmitted[decision.policy]}`
    case 'change':
      return `${described(decision.member)}, changed its record: ${addressesOf(decision.member)}`
    case 'away':
      return `${spoke(decision.peer)} was taken out of DNS: ${isolated(decision.reason)}`
    case 'back':
      return `${spoke(decision.peer)} is back in DNS: ${isolated(decision.reason)}`
    case 'cutoff':
      return `${spoke(decision.peer)} was cut off: ${isolated(decision.reason)}`
    case 'reinstate':
      return `${spoke(decision.peer)} was reinstated: ${isolated(decision.reason)}`
    case 'holders':
      return `The council’s own logs are held by ${listed(decision.holders.map(({ peer }) => name(peer)))}`
    case 'authority': {
      const { authority, standby } = decision
      const standIn = standby === null ? 'nobody stands by' : `${name(standby)} stands by`
      return `${spoke(authority)} is the authority; ${standIn}`
    }
    case 'names':
      return 'The list of the council’s blogs was begun'
    case 'assign': {
      const { blog, primary, replicas, epoch, reason, unmet } = decision
      const secondaries = replicas.map(({ peer }) => peer).filter((peer) => peer !== primary)
      const keepers = listed([`${name(primary)} (takes the writes)`, ...secondaries.map(name)])
      const wish = unmet === null ? '' : ` (could not be met: ${isolated(unmet)})`
      return `${blog} is kept by ${keepers}, since ${showDay(dateMs)}, epoch ${epoch}: ${isolated(reason)}${wish}`
    }
    case 'revoke':
      return `The key ${showFingerprint(decision.key)} was revoked${whyRevoked(decision.certificate)}`
    case 'loss':
      return `Entries of ${decision.blog} were lost: ${isolated(decision.reason)}`
  }
}

function whyRevoked(certificate: string): string {
  const revocation = describeCertificate(certificate)
  return revocation === null ? '' : ` by its owner: ${reasonWord(revocation)}`
}

const howAdmitted = { open: '', approve: ' after approval', invite: ' by invitation' } as const

/** Peers that only answer DNS, or are only the authority, keep no blogs. */
const calledMember = ({ name, roles }: Pick<MemberRecord, 'name' | 'roles'>) =>
  `${roles.includes('spoke') ? 'Spoke' : 'Peer'} ${name}`

const described = (member: MemberRecord) =>
  `${calledMember(member)}, run by ${isolated(member.operator)}`

function addressesOf({ web, dns }: MemberRecord): string {
  const services = [
    ...(web.length === 0 ? [] : [`web ${listed(web)}`]),
    ...(dns.length === 0 ? [] : [`DNS ${listed(dns)}`]),
  ]
  return services.length === 0 ? 'no web or DNS address' : services.join('; ')
}

/**
 * Somebody's own words inside of a sentence: letters that run the other way must not turn around
 * what stands beside them. As characters, since the sentence also goes into feeds.
 */
function isolated(words: string): string {
  return /^[ -~]*$/.test(words) ? words : `\u2068${words}\u2069`
}

/** `a`, `a and b`, `a, b and c` */
function listed(names: readonly string[]): string {
  return names.length < 2
    ? names.join('')
    : `${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`
}
