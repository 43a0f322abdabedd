import { describe, expect, it } from 'vitest'
import { accept, refuse } from '../../../src/auth/verdict.ts'
import {
  type Applicant,
  checkDate,
  decideEntrance,
  decideJoin,
  sameRecord,
} from '../../../src/node/authority/admission.ts'
import type {
  AdmissionPolicy,
  Decision,
  MemberRecord,
} from '../../../src/replication/registry/act.ts'
import {
  codeOf,
  member,
  must,
  peer,
  startMs,
  storeOf,
  TestCouncil,
} from '../../replication/test-council.ts'

const about = (kind: 'away' | 'cutoff' | 'reinstate', n: number): Decision => ({
  ...{ kind, peer: peer(n).peer, reason: 'because', evidence: null },
})
const begin = () => new TestCouncil().admit(1, 2)
const decide = (
  council: TestCouncil,
  record: MemberRecord,
  {
    reached = record.web,
    policy = 'open',
  }: { reached?: readonly string[]; policy?: AdmissionPolicy } = {},
) => decideJoin(council.roster, { member: record }, reached, policy)

describe('checkDate', () => {
  it.each([
    ['15 minutes ago', 900_000, 'accepted'],
    ['over 15 minutes ago', 901_000, 'JOIN_DATE'],
    ['15 minutes from now', -900_000, 'accepted'],
    ['over 15 minutes from now', -901_000, 'JOIN_DATE'],
  ])('judges a request dated %s', (_, agoMs, code) => {
    const request = { council: '', member: member(3), atMs: startMs, invite: null }
    expect(codeOf(checkDate(request, startMs + agoMs))).toBe(code)
  })
})

describe('decideEntrance', () => {
  const used = refuse('JOIN_INVITE_USED', 'This invitation was used already.')
  const stranger: Applicant = {
    ...{ isKnown: false, isAuthority: false, refusal: null, invitation: null },
  }
  const known = { ...stranger, isKnown: true }
  const self = { ...stranger, isAuthority: true }
  const refused = { ...stranger, refusal: 'Who are you?' }
  const invited = { ...stranger, invitation: accept(undefined) }
  const late = { ...stranger, invitation: used }
  const words = (policy: AdmissionPolicy, applicant: Applicant) => {
    const verdict = decideEntrance(policy, applicant)
    if (!verdict.ok) return verdict.code
    return verdict.value.kind === 'admit' ? `admit by ${verdict.value.policy}` : 'wait'
  }

  it.each<[string, Applicant, open: string, approve: string, invite: string]>([
    ['a stranger', stranger, 'admit by open', 'wait', 'JOIN_INVITE_MISSING'],
    [
      'a stranger with a good invitation',
      invited,
      'admit by open',
      'admit by invite',
      'admit by invite',
    ],
    ['a stranger with a used invitation', late, 'admit by open', 'wait', 'JOIN_INVITE_USED'],
    ['who was refused', refused, 'JOIN_REFUSED', 'JOIN_REFUSED', 'JOIN_REFUSED'],
    [
      'who was refused, with a good invitation',
      { ...invited, refusal: 'Who are you?' },
      ...(['JOIN_REFUSED', 'JOIN_REFUSED', 'JOIN_REFUSED'] as const),
    ],
    ['the authority itself', self, 'admit by open', 'admit by approve', 'admit by approve'],
    [
      'a member with a changed record',
      known,
      'admit by open',
      'admit by approve',
      'admit by invite',
    ],
  ])('decides on %s', (_, applicant, open, approve, invite) => {
    expect(words('open', applicant)).toBe(open)
    expect(words('approve', applicant)).toBe(approve)
    expect(words('invite', applicant)).toBe(invite)
  })

  it("tells a refused peer the operator's sentence", () => {
    expect(decideEntrance('approve', refused)).toMatchObject({
      reason: "The authority's operator refused this peer: Who are you?",
    })
  })

  it('tells who waits why its invitation was not taken', () => {
    expect(must(decideEntrance('approve', late))).toMatchObject({
      reason: expect.stringContaining('used already'),
    })
  })
})

describe('decideJoin', () => {
  it.each<[string, (c: TestCouncil) => ReturnType<typeof decide>, string]>([
    [
      'of a peer that was cut off',
      (c) => {
        c.write(about('cutoff', 2))
        return decide(c, member(2))
      },
      'JOIN_CUT_OFF',
    ],
    ['for a name that another peer has', (c) => decide(c, member(3, { name: 's1' })), 'JOIN_NAME'],
    [
      'for the name of a peer that was cut off',
      (c) => {
        c.write(about('cutoff', 2))
        return decide(c, member(3, { name: 's2' }))
      },
      'JOIN_NAME',
    ],
    ['of a member for another name', (c) => decide(c, member(1, { name: 'other' })), 'JOIN_RENAME'],
    [
      'with 33 addresses',
      (c) =>
        decide(
          c,
          member(3, {
            addresses: Array.from({ length: 33 }, (_, n) => `/ip4/192.0.2.1/tcp/${n + 1}`),
          }),
        ),
      'JOIN_ADDRESSES',
    ],
    [
      'with five web addresses',
      (c) => decide(c, member(3, { web: [1, 2, 3, 4, 5].map((n) => `http://192.0.2.${n}:80`) })),
      'JOIN_ADDRESSES',
    ],
    [
      'with five DNS addresses',
      (c) => decide(c, member(3, { dns: [1, 2, 3, 4, 5].map((n) => `192.0.2.${n} 53`) })),
      'JOIN_ADDRESSES',
    ],
    [
      'of a second authority',
      (c) => decide(c, member(3, { roles: ['spoke', 'authority'] })),
      'JOIN_ROLE',
    ],
  ])('refuses a request %s', (_, run, code) => {
    const verdict = run(begin())
    expect(codeOf(verdict)).toBe(code)
    expect(verdict.ok ? '' : verdict.reason).toMatch(/\.$/)
  })

  it('admits a newcomer, with those web addresses only that answered', () => {
    const web = ['http://192.0.2.7:80', 'http://192.0.2.8:80']
    const decision = must(
      decide(begin(), member(3, { web }), { reached: [web[1] as string, 'http://10.0.0.1:80'] }),
    )
    expect(decision).toEqual({
      kind: 'admit',
      policy: 'open',
      member: member(3, { web: [web[1] as string] }),
    })
    expect(must(decide(begin(), member(3), { reached: [] }))).toMatchObject({ member: { web: [] } })
  })

  it('writes down by which policy a newcomer was admitted', () => {
    for (const policy of ['open', 'approve', 'invite'] as const) {
      expect(must(decide(begin(), member(3), { policy }))).toMatchObject({ kind: 'admit', policy })
    }
  })

  it('admits the authority itself with its role', () => {
    expect(codeOf(decide(begin(), member(0, { roles: ['spoke', 'dns', 'authority'] })))).toBe(
      'accepted',
    )
  })

  it('writes nothing when @roster says the same already', () => {
    expect(must(decide(begin(), member(1)))).toBeNull()
  })

  it('writes a change of a member, a new store above all', () => {
    expect(must(decide(begin(), member(1, { store: storeOf(9) })))).toEqual({
      kind: 'change',
      member: member(1, { store: storeOf(9) }),
    })
  })

  it('lets a peer back in once it is reinstated, and leaves one that is away so', () => {
    const council = begin()
    council.write(about('cutoff', 2))
    council.write(about('reinstate', 2))
    council.write(about('away', 1))
    expect(must(decide(council, member(2)))).toBeNull()
    expect(must(decide(council, member(1)))).toBeNull()
  })
})

describe('sameRecord', () => {
  it.each<[keyof MemberRecord, Partial<MemberRecord>]>([
    ['name', { name: 'other' }],
    ['store', { store: storeOf(9) }],
    ['roles', { roles: ['spoke', 'dns'] }],
    ['addresses', { addresses: [] }],
    ['web', { web: [] }],
    ['dns', { dns: ['192.0.2.7 53'] }],
    ['operator', { operator: 'other' }],
    ['network', { network: 'AS1' }],
    ['country', { country: 'ES' }],
  ])('sees another %s', (_, change) => {
    expect(sameRecord(member(1), member(1, change))).toBe(false)
    expect(sameRecord(member(1), { ...member(1) })).toBe(true)
  })
})
