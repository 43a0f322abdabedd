import { type PeerName, parsePeerName, verifyPeer } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Head } from '../log/log.ts'
import type { Replica } from '../log/peer-text.ts'
import { countReceipts, decodeReceipt, majority, type Receipt } from '../log/receipt.ts'
import { type EntryId, encodeText, type Signed } from '../log/text.ts'
import type { Act, EditForm, MemberRecord } from './act.ts'

/** A peer in `@roster`. Cut-off peers stay listed, so that their story stays readable. */
export type Member = MemberRecord & {
  /** out of DNS by the act `away`, until `back` */
  readonly away: boolean
  readonly cutOff: boolean
}

/** Who holds the council's logs, from one entry on (REPLICATION 14). */
export type HolderTerm = {
  readonly fromSeq: number
  /** the "act" that receipts for `@roster` and `@names` name */
  readonly act: EntryId
  /** number of entries that set the holders, so far */
  readonly epoch: number
  readonly holders: readonly Replica[]
}

/** What `@roster` says, up to its head. Immutable. */
export type Roster = {
  /** `zone/council id` */
  readonly council: string
  readonly zone: string
  readonly councilId: EntryId
  readonly edit: EditForm
  /** wanted number of replicas of a blog */
  readonly wanted: number
  readonly head: Head
  readonly dateMs: number
  readonly standby: PeerName | null
  readonly authorities: readonly { readonly fromSeq: number; readonly peer: PeerName }[]
  readonly terms: readonly HolderTerm[]
  readonly members: ReadonlyMap<PeerName, Member>
  /** id of each entry, by seq */
  readonly ids: readonly EntryId[]
}

export const authorityOf = (roster: Roster): PeerName =>
  (roster.authorities.at(-1) as { peer: PeerName }).peer

/** Admitted and not cut off: may speak with other members. */
export const isMember = (roster: Roster | null, peer: PeerName): boolean =>
  roster?.members.get(peer)?.cutOff === false

export const liveMembers = (roster: Roster): Member[] =>
  [...roster.members.values()].filter((member) => !member.cutOff)

/** A member by its name or peer id; null when there is none. */
export const findMember = ({ members }: Roster, which: string): Member | null =>
  [...members.values()].find(({ peer, name }) => peer === which || name === which) ?? null

export const termAt = (roster: Roster, seq: number): HolderTerm =>
  roster.terms.findLast((term) => term.fromSeq <= seq) as HolderTerm

export const authorityAt = (roster: Roster, seq: number): PeerName =>
  (roster.authorities.findLast((each) => each.fromSeq <= seq) as { peer: PeerName }).peer

/** Who must sign the next act of `@roster`: the authority, or the standby that takes over. */
export function rosterSigner(roster: Roster | null, act: Act): PeerName | null {
  const { decision } = act
  if (roster === null) return decision.kind === 'council' ? decision.authority : null
  const takesOver = decision.kind === 'authority' && decision.authority === roster.standby
  return takesOver ? decision.authority : authorityOf(roster)
}

/**
 * Folds the next act of `@roster`, already placed by seq and prev. Pure; signature and receipts
 * are checked at the door.
 *
 * Codes: ROSTER_LINE, ROSTER_MEMBER (admitted twice, unknown, or in the wrong state), ROSTER_NAME
 * (taken), ROSTER_VOTES.
 */
export function foldRoster(roster: Roster | null, act: Act): Verdict<Roster> {
  const { decision } = act
  if (roster === null) {
    if (decision.kind !== 'council')
      return refuse('ROSTER_LINE', '@roster begins with an act of kind "council".')
    if (decision.holder.peer !== decision.authority) {
      return refuse('ROSTER_LINE', 'The first holder is the authority itself.')
    }
    return accept({
      council: act.council,
      zone: act.council.slice(0, act.council.indexOf('/')),
      councilId: act.id,
      edit: decision.edit,
      wanted: decision.wanted,
      head: { seq: 0, id: act.id },
      dateMs: act.dateMs,
      standby: null,
      authorities: [{ fromSeq: 0, peer: decision.authority }],
      terms: [{ fromSeq: 0, act: act.id, epoch: 1, holders: [decision.holder] }],
      members: new Map(),
      ids: [act.id],
    })
  }
  if (act.council !== roster.council)
    return refuse('ROSTER_LINE', `The act is for the council ${act.council}.`)
  if (act.roster?.seq !== roster.head.seq || act.roster.id !== roster.head.id) {
    return refuse(
      'ROSTER_LINE',
      'The header "roster" of an act in @roster names the act before it.',
    )
  }
  const next = applyDecision(roster, act)
  return next.ok
    ? accept({
        ...next.value,
        head: { seq: act.seq, id: act.id },
        dateMs: act.dateMs,
        ids: [...roster.ids, act.id],
      })
    : next
}

function applyDecision(roster: Roster, act: Act): Verdict<Roster> {
  const { decision } = act
  switch (decision.kind) {
    case 'admit':
    case 'change': {
      const { member } = decision
      const before = roster.members.get(member.peer)
      if ((decision.kind === 'admit') !== (before === undefined) || before?.cutOff) {
        return refuse(
          'ROSTER_MEMBER',
          `${member.peer} is ${before === undefined ? 'not' : 'already'} in @roster, or cut off.`,
        )
      }
      for (const other of roster.members.values()) {
        if (other.name === member.name && other.peer !== member.peer) {
          return refuse('ROSTER_NAME', `The name ${member.name} belongs to ${other.peer}.`)
        }
      }
      return accept(withMember(roster, { ...member, away: before?.away ?? false, cutOff: false }))
    }
    case 'away':
    case 'back':
    case 'cutoff':
    case 'reinstate': {
      const member = roster.members.get(decision.peer)
      if (member === undefined)
        return refuse('ROSTER_MEMBER', `${decision.peer} is not in @roster.`)
      const change =
        decision.kind === 'away' || decision.kind === 'back'
          ? { away: decision.kind === 'away' }
          : { cutOff: decision.kind === 'cutoff' }
      return accept(withMember(roster, { ...member, ...change }))
    }
    case 'holders': {
      const term = {
        fromSeq: act.seq,
        act: act.id,
        epoch: roster.terms.length + 1,
        holders: decision.holders,
      }
      return accept({ ...roster, terms: [...roster.terms, term] })
    }
    case 'authority': {
      const { authority, standby, votes } = decision
      if (authority === roster.standby && authority !== authorityOf(roster)) {
        const counted = countVotes(roster, act, votes ?? '')
        const needed = majority(liveMembers(roster).length)
        if (counted < needed) {
          return refuse(
            'ROSTER_VOTES',
            `${counted} members voted for the new authority; ${needed} are needed.`,
          )
        }
      }
      const authorities = [...roster.authorities, { fromSeq: act.seq + 1, peer: authority }]
      return accept({ ...roster, authorities, standby })
    }
    default:
      return refuse('ROSTER_LINE', `An act of kind "${decision.kind}" has no place here.`)
  }
}

function withMember(roster: Roster, member: Member): Roster {
  return { ...roster, members: new Map(roster.members).set(member.peer, member) }
}

/** What a member signs to vote for a standby taking over as act `seq` behind `prev`. */
export function voteText(
  council: string,
  at: { seq: number; prev: EntryId; authority: PeerName; voter: PeerName },
): Uint8Array {
  return encodeText({
    first: 'council-vote 1',
    headers: [
      ['council', council],
      ['seq', String(at.seq)],
      ['prev', at.prev],
      ['authority', at.authority],
      ['voter', at.voter],
    ],
    body: null,
  })
}

/** Votes stand in the act's body, a line each: peer id, blank, base64 of the signature. */
function countVotes(roster: Roster, act: Act, votes: string): number {
  const voters = new Set<PeerName>()
  for (const line of votes.split('\n')) {
    const [name = '', signature = ''] = line.split(' ')
    const voter = parsePeerName(name)
    if (voter === null || !isMember(roster, voter) || act.decision.kind !== 'authority') continue
    const text = voteText(roster.council, {
      seq: act.seq,
      prev: act.prev as EntryId,
      authority: act.decision.authority,
      voter,
    })
    if (verifyPeer(voter, text, Buffer.from(signature, 'base64'))) voters.add(voter)
  }
  return voters.size
}

/** Sets of holders of which each must give a majority of receipts for `act` to be in force. */
export function holdersFor(roster: Roster, act: Act): HolderTerm[] {
  const line = act.roster?.seq ?? 0
  const sets = [termAt(roster, line)]
  if (act.decision.kind === 'holders') {
    const own = {
      fromSeq: act.seq,
      act: act.id,
      epoch: (sets[0] as HolderTerm).epoch + 1,
      holders: act.decision.holders,
    }
    sets.push(own)
  }
  return sets
}

/**
 * Whether an act is in force: receipts for exactly this act by a majority of the holders that
 * `@roster` names at the act's `roster` line, of an act that sets holders also of the new ones.
 * `roster` reaches at least to that line; for `@roster` entry 0 it is the roster after it.
 */
export function checkInForce(
  roster: Roster,
  act: Act,
  receipts: readonly Signed[],
): Verdict<readonly Receipt[]> {
  const good: Receipt[] = []
  for (const signed of receipts) {
    const receipt = decodeReceipt(signed)
    if (!receipt.ok) continue
    const { log, head, council } = receipt.value
    if (
      log === act.log &&
      head.seq === act.seq &&
      head.id === act.id &&
      council === roster.council
    ) {
      good.push(receipt.value)
    }
  }
  for (const set of holdersFor(roster, act)) {
    const given = countReceipts(good, set.act, set.holders, act.seq)
    const needed = majority(set.holders.length)
    if (given < needed) {
      return refuse(
        'ACT_NOT_IN_FORCE',
        `${given} of ${set.holders.length} holders gave a receipt for this act; ${needed} are needed.`,
      )
    }
  }
  return accept(good)
}

/** Whether this roster has reached the line under which an act was written. */
export function reaches(roster: Roster | null, line: Head): 'yes' | 'behind' | 'fork' {
  if (roster === null || roster.head.seq < line.seq) return 'behind'
  return roster.ids[line.seq] === line.id ? 'yes' : 'fork'
}
