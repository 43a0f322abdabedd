import { describe, expect, it } from 'vitest'
import { decideJoin, sameRecord } from '../../../src/node/authority/admission.ts'
import type { Decision, MemberRecord } from '../../../src/replication/registry/act.ts'
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
  { reached = record.web, nowMs = startMs }: { reached?: readonly string[]; nowMs?: number } = {},
) =>
  decideJoin(
    council.roster,
    { council: council.council, member: record, atMs: startMs, invite: null },
    reached,
    nowMs,
  )

describe('decideJoin', () => {
  it.each<[string, (c: TestCouncil) => ReturnType<typeof decide>, string]>([
    [
      'dated over 15 minutes ago',
      (c) => decide(c, member(3), { nowMs: startMs + 901_000 }),
      'JOIN_DATE',
    ],
    [
      'dated over 15 minutes from now',
      (c) => decide(c, member(3), { nowMs: startMs - 901_000 }),
      'JOIN_DATE',
    ],
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
