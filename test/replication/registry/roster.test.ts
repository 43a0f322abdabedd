import { describe, expect, it } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import { zoneInput } from '../../../src/node/dns/zone-keeper.ts'
import type { EntryId } from '../../../src/replication/log/text.ts'
import type { Decision } from '../../../src/replication/registry/act.ts'
import { decodeAct } from '../../../src/replication/registry/act.ts'
import {
  authorityAt,
  authorityOf,
  checkInForce,
  foldRoster,
  isMember,
  liveMembers,
  type Roster,
  reaches,
  rosterSigner,
  termAt,
  voteText,
} from '../../../src/replication/registry/roster.ts'
import {
  assignFields,
  codeOf,
  fakeId,
  forge,
  member,
  must,
  peer,
  replica,
  storeOf,
  TestCouncil,
} from '../test-council.ts'

const begin = () => new TestCouncil().admit(1, 2, 3, 4)
const about = (kind: 'away' | 'back' | 'cutoff' | 'reinstate', n: number): Decision => ({
  ...{ kind, peer: peer(n).peer, reason: 'because', evidence: null },
})
const fold = (council: TestCouncil, decision: Decision, under: Roster = council.roster) =>
  foldRoster(council.roster, council.draft(decision, { under }).act)

describe('foldRoster', () => {
  const other = new TestCouncil({ zone: 'other.localhost' })
  const admit = (n: number, change = {}): Decision => ({
    ...{ kind: 'admit', policy: 'open', member: member(n, change) },
  })
  const change = (n: number, fields = {}): Decision => ({
    kind: 'change',
    member: member(n, fields),
  })

  it.each<[string, (c: TestCouncil) => ReturnType<typeof foldRoster>, string]>([
    ['a log that begins otherwise', (c) => foldRoster(null, c.draft(admit(5)).act), 'ROSTER_LINE'],
    [
      'a second founding',
      (c) => foldRoster(c.roster, must(decodeAct(c.rosterProofs[0]?.text as Uint8Array))),
      'ROSTER_LINE',
    ],
    [
      'an act of another council',
      (c) => foldRoster(c.roster, other.draft(admit(5)).act),
      'ROSTER_LINE',
    ],
    ['an act under an older line', (c) => fold(c, admit(5), c.rosters[2]), 'ROSTER_LINE'],
    ['a peer admitted twice', (c) => fold(c, admit(1)), 'ROSTER_MEMBER'],
    ['a change of a stranger', (c) => fold(c, change(7)), 'ROSTER_MEMBER'],
    ['a name that is taken', (c) => fold(c, admit(5, { name: 's1' })), 'ROSTER_NAME'],
    ['a change to a name that is taken', (c) => fold(c, change(2, { name: 's1' })), 'ROSTER_NAME'],
    ['a stranger away', (c) => fold(c, about('away', 7)), 'ROSTER_MEMBER'],
    ['a stranger cut off', (c) => fold(c, about('cutoff', 7)), 'ROSTER_MEMBER'],
    [
      'an act of @names',
      (c) => foldRoster(c.roster, { ...c.draft(admit(5)).act, decision: { kind: 'names' } }),
      'ROSTER_LINE',
    ],
  ])('refuses %s', (_, run, code) => {
    expect(codeOf(run(begin()))).toBe(code)
  })

  it('refuses a first holder that is not the authority', () => {
    const council = begin()
    const act = must(decodeAct(council.rosterProofs[0]?.text as Uint8Array))
    if (act.decision.kind !== 'council') throw new Error('no council')
    const decision = { ...act.decision, holder: replica(1) }
    expect(codeOf(foldRoster(null, { ...act, decision }))).toBe('ROSTER_LINE')
  })

  it('admits a peer, and changes its record', () => {
    const council = begin()
    council.write(change(2, { store: storeOf(9), web: [] }))
    expect(council.roster.members.get(peer(2).peer)).toMatchObject({ store: storeOf(9), web: [] })
    expect(isMember(council.roster, peer(2).peer)).toBe(true)
    expect(isMember(council.roster, peer(7).peer)).toBe(false)
    expect(isMember(null, peer(2).peer)).toBe(false)
  })

  it('takes a peer that is away out of DNS, and back in, over a change', () => {
    const council = begin()
    const listed = () =>
      zoneInput(council.roster, null)
        .spokes.filter((each) => each.listed)
        .map((each) => each.name)
    council.write(about('away', 2))
    council.write(change(2, { operator: 'another' }))
    expect(listed()).toEqual(['s1', 's3', 's4'])
    expect(isMember(council.roster, peer(2).peer)).toBe(true)
    council.write(about('back', 2))
    expect(listed()).toEqual(['s1', 's2', 's3', 's4'])
  })

  it('takes a spoke without a fetched address out of DNS', () => {
    const council = begin()
    council.write(change(2, { web: [] }))
    expect(zoneInput(council.roster, null).spokes[1]).toMatchObject({ name: 's2', listed: false })
  })

  it('ends membership by a cut-off, until the peer is reinstated', () => {
    const council = begin()
    council.write(change(2, { roles: ['spoke', 'dns'], dns: ['127.0.0.12 5300'] }))
    const servers = () => zoneInput(council.roster, null).nameservers.map(({ name }) => name)
    expect(servers()).toEqual(['s2'])
    council.write(about('cutoff', 2))
    expect(isMember(council.roster, peer(2).peer)).toBe(false)
    expect(liveMembers(council.roster).map(({ name }) => name)).toEqual(['s1', 's3', 's4'])
    expect(servers()).toEqual([])
    expect(zoneInput(council.roster, null).spokes[1]).toMatchObject({ name: 's2', listed: false })
    expect(codeOf(fold(council, change(2)))).toBe('ROSTER_MEMBER')
    expect(codeOf(fold(council, admit(2)))).toBe('ROSTER_MEMBER')
    expect(codeOf(fold(council, admit(5, { name: 's2' })))).toBe('ROSTER_NAME')
    council.write(about('reinstate', 2))
    expect(isMember(council.roster, peer(2).peer)).toBe(true)
    expect(servers()).toEqual(['s2'])
  })

  it('counts the terms of holders', () => {
    const council = begin()
    const { act } = council.write({ kind: 'holders', holders: [0, 1, 2].map(replica) })
    council.admit(5)
    expect(termAt(council.roster, act.seq - 1)).toMatchObject({ epoch: 1, holders: [replica(0)] })
    expect(termAt(council.roster, act.seq)).toMatchObject({ epoch: 2, act: act.id })
    expect(termAt(council.roster, act.seq + 1).holders).toHaveLength(3)
  })
})

describe('a change of authority', () => {
  const takeOver = (
    council: TestCouncil,
    voters: readonly number[],
    {
      forged = false,
      authority = 1,
      votes = '',
    }: { forged?: boolean; authority?: number; votes?: string } = {},
  ): Decision => {
    const { seq, id: prev } = council.roster.head
    const lines = voters.map((n) => {
      const at = {
        seq: seq + 1,
        prev,
        authority: peer(forged ? 3 : authority).peer,
        voter: peer(n).peer,
      }
      return `${peer(n).peer} ${Buffer.from(peer(n).sign(voteText(council.council, at))).toString('base64')}`
    })
    const body = [...lines, ...(votes === '' ? [] : [votes])].join('\n')
    return {
      kind: 'authority',
      authority: peer(authority).peer,
      standby: null,
      votes: body || null,
    }
  }
  /** Members 1 to 4, of whom 1 is the standby. */
  const withStandby = () => {
    const council = begin()
    council.write({
      kind: 'authority',
      authority: peer(0).peer,
      standby: peer(1).peer,
      votes: null,
    })
    return council
  }
  const judge = (council: TestCouncil, decision: Decision) =>
    codeOf(foldRoster(council.roster, council.draft(decision, { signer: peer(1) }).act))

  it.each<[string, (c: TestCouncil) => Decision]>([
    ['no votes', (c) => takeOver(c, [])],
    ['votes of half of the members', (c) => takeOver(c, [1, 2])],
    ['the same vote three times', (c) => takeOver(c, [1, 1, 1])],
    ['votes of strangers', (c) => takeOver(c, [1, 2, 7, 8])],
    ['votes for another peer', (c) => takeOver(c, [1, 2, 3], { forged: true })],
    ['lines that are no votes', (c) => takeOver(c, [1, 2], { votes: `${peer(3).peer} AAAA` })],
  ])('is refused to the standby with %s', (_, decide) => {
    const council = withStandby()
    expect(judge(council, decide(council))).toBe('ROSTER_VOTES')
  })

  it('is refused to the standby with votes of peers cut off since', () => {
    const council = withStandby()
    council.write(about('cutoff', 4))
    expect(judge(council, takeOver(council, [1, 4]))).toBe('ROSTER_VOTES')
    expect(judge(council, takeOver(council, [1, 2]))).toBe('accepted')
  })

  it('is refused with votes for another line of @roster', () => {
    const council = withStandby()
    const decision = takeOver(council, [1, 2, 3])
    council.admit(5)
    expect(judge(council, decision)).toBe('ROSTER_VOTES')
  })

  it('is accepted from the standby with votes of a majority, from the next act on', () => {
    const council = withStandby()
    const decision = takeOver(council, [1, 2, 3])
    const { act } = council.draft(decision, { signer: peer(1) })
    expect(rosterSigner(council.roster, act)).toBe(peer(1).peer)
    council.write(decision, { signer: peer(1) })
    expect(authorityOf(council.roster)).toBe(peer(1).peer)
    expect(authorityAt(council.roster, act.seq)).toBe(peer(0).peer)
    expect(authorityAt(council.roster, act.seq + 1)).toBe(peer(1).peer)
  })

  it("needs no votes when the authority hands on; others' acts are the authority's to sign", () => {
    const council = withStandby()
    const decision = takeOver(council, [], { authority: 2 })
    expect(rosterSigner(council.roster, council.draft(decision).act)).toBe(peer(0).peer)
    council.write(decision)
    expect(authorityOf(council.roster)).toBe(peer(2).peer)
  })
})

describe('checkInForce', () => {
  const three = () => {
    const council = begin()
    council.write({ kind: 'holders', holders: [0, 1, 2].map(replica) })
    return council
  }
  const by = (...numbers: number[]): PeerName[] => numbers.map((n) => peer(n).peer)
  const judge = (council: TestCouncil, decision: Decision, givers: PeerName[], receipt = {}) => {
    const { act, proof } = council.draft(decision, { givers, receipt })
    return codeOf(checkInForce(council.roster, act, proof.receipts))
  }

  it.each<[string, (c: TestCouncil) => string]>([
    ['without receipts', (c) => judge(c, assignFields(), [])],
    ['with receipts of fewer than most holders', (c) => judge(c, assignFields(), by(1))],
    [
      'with receipts for another act',
      (c) => judge(c, assignFields(), by(0, 1, 2), { head: { seq: 1, id: fakeId('ab') } }),
    ],
    [
      'with receipts for the other log',
      (c) => judge(c, assignFields(), by(0, 1, 2), { log: '@roster' }),
    ],
    [
      'with receipts of another council',
      (c) => judge(c, assignFields(), by(0, 1, 2), { council: `x.org/${fakeId('a')}` }),
    ],
    [
      'with receipts of an older set of holders',
      (c) => judge(c, assignFields(), by(0, 1, 2), { act: c.roster.terms[0]?.act as EntryId }),
    ],
    [
      "with receipts of a holder's other store",
      (c) =>
        judge(c, assignFields(), by(1), { replica: { peer: peer(1).peer, store: storeOf(9) } }),
    ],
  ])('does not hold an act in force %s', (_, run) => {
    expect(run(three())).toBe('ACT_NOT_IN_FORCE')
  })

  it('does not count receipts of peers that are no holders, nor forged ones', () => {
    const council = three()
    const { act, proof } = council.draft(assignFields(), { givers: by(0) })
    const own = proof.receipts[0]
    if (own === undefined) throw new Error('no receipt')
    const foreign = forge(own.text, peer(0).peer, peer(4).peer)
    const forged = forge(
      own.text,
      `${peer(0).peer}\nstore ${storeOf(0)}`,
      `${peer(1).peer}\nstore ${storeOf(1)}`,
    )
    const receipts = [
      own,
      own,
      { text: foreign, signature: peer(4).sign(foreign) },
      { text: forged, signature: peer(0).sign(forged) },
    ]
    expect(codeOf(checkInForce(council.roster, act, receipts))).toBe('ACT_NOT_IN_FORCE')
  })

  it('holds an act in force with receipts of most holders', () => {
    expect(judge(three(), assignFields(), by(0, 2))).toBe('accepted')
    expect(judge(begin(), assignFields(), by(0))).toBe('accepted')
  })

  it('wants a majority of the old and of the new holders for an act that sets them', () => {
    const council = three()
    const decision: Decision = { kind: 'holders', holders: [0, 3, 4].map(replica) }
    expect(judge(council, decision, by(0, 1))).toBe('ACT_NOT_IN_FORCE')
    expect(judge(council, decision, by(3, 4))).toBe('ACT_NOT_IN_FORCE')
    expect(judge(council, decision, by(0, 3))).toBe('ACT_NOT_IN_FORCE')
    expect(judge(council, decision, by(0, 1, 3))).toBe('accepted')
  })

  it('goes by the holders of the line under which the act was written', () => {
    const council = begin()
    const before = council.roster
    const { act, proof } = council.draft(assignFields(), { under: before })
    council.write({ kind: 'holders', holders: [2, 3, 4].map(replica) })
    expect(codeOf(checkInForce(council.roster, act, proof.receipts))).toBe('accepted')
    const late = council.draft(assignFields(), { givers: by(0) })
    expect(codeOf(checkInForce(council.roster, late.act, late.proof.receipts))).toBe(
      'ACT_NOT_IN_FORCE',
    )
  })
})

describe('reaches', () => {
  it('tells a line that is known from one to come and from another @roster', () => {
    const council = begin()
    const { head } = council.roster
    expect(reaches(null, head)).toBe('behind')
    expect(reaches(council.rosters[1] as Roster, head)).toBe('behind')
    expect(reaches(council.roster, { seq: 1, id: council.roster.ids[1] as EntryId })).toBe('yes')
    expect(reaches(council.roster, { seq: 1, id: fakeId('ab') })).toBe('fork')
  })
})

describe('voteText', () => {
  it('names everything that the vote is for', () => {
    const at = { seq: 7, prev: fakeId('ab'), authority: peer(1).peer, voter: peer(2).peer }
    expect(Buffer.from(voteText('c/id', at)).toString()).toBe(
      `council-vote 1\ncouncil c/id\nseq 7\nprev ${fakeId('ab')}\nauthority ${peer(1).peer}\nvoter ${peer(2).peer}`,
    )
  })
})
