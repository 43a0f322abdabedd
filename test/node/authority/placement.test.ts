import { describe, expect, it } from 'vitest'
import { candidatesOf, placeBlog } from '../../../src/node/authority/placement.ts'
import type { MemberRecord } from '../../../src/replication/registry/act.ts'
import type { Member } from '../../../src/replication/registry/roster.ts'
import { member, peer } from '../../replication/test-council.ts'

const spoke = (n: number, change: Partial<MemberRecord & Member> = {}): Member => ({
  ...member(n, { web: [`http://10.${n}.0.1:80`] }),
  ...{ away: false, cutOff: false, ...change },
})
const candidates = (...members: Member[]) => members.map((each) => ({ member: each, copies: 0 }))
const place = (primary: Member, others: Member[], n = 3) => {
  const { replicas, unmet } = placeBlog(primary, candidates(...others), n)
  return { names: replicas.map(({ name }) => name), unmet }
}

describe('placeBlog', () => {
  it('names the primary first, never twice, and as many as were wanted', () => {
    const { names } = place(spoke(1), [spoke(1), spoke(2), spoke(3), spoke(4)])
    expect(names[0]).toBe('s1')
    expect(new Set(names).size).toBe(3)
  })

  it('names fewer where there are fewer', () => {
    expect(place(spoke(1), []).names).toEqual(['s1'])
    expect(place(spoke(1), [spoke(2)]).names).toEqual(['s1', 's2'])
  })

  it('gives the same answer for the same roster in any order', () => {
    const others = [2, 3, 4, 5, 6].map((n) => spoke(n))
    expect(place(spoke(1), others)).toEqual(place(spoke(1), others.toReversed()))
  })

  it.each<[string, Partial<MemberRecord>, Partial<MemberRecord>]>([
    ['another operator', { operator: 'one' }, { operator: 'one' }],
    ['another /16', { web: ['http://10.1.0.9:80'] }, { web: ['http://10.1.7.9:80'] }],
    [
      'another /48',
      { web: ['http://[2001:db8:1::1]:80'] },
      { web: ['http://[2001:db8:1:9::1]:80'] },
    ],
    ['another network by its own word', { network: 'AS1' }, { network: 'AS1' }],
    ['another country', { country: 'ES' }, { country: 'ES' }],
  ])('prefers a spoke with %s', (_, primary, alike) => {
    const others = [spoke(2, alike), spoke(3), spoke(4)]
    const { names, unmet } = place(spoke(1, primary), others)
    expect(new Set(names)).toEqual(new Set(['s1', 's3', 's4']))
    expect(unmet).toBeNull()
  })

  it('says which wishes could not be met', () => {
    const same = { operator: 'one', country: 'ES' }
    const { names, unmet } = place(spoke(1, same), [spoke(2, same)])
    expect(names).toEqual(['s1', 's2'])
    expect(unmet).toBe('not all different: operator, country')
  })

  it('takes two spokes of no known country for no wish unmet', () => {
    expect(place(spoke(1), [spoke(2)]).unmet).toBeNull()
  })

  it('prefers spokes with fewer copies among equals', () => {
    const [full, empty] = [spoke(2), spoke(3)]
    const others = [
      { member: full, copies: 90 },
      { member: empty, copies: 2 },
    ]
    expect(placeBlog(spoke(1), others, 2).replicas.map(({ name }) => name)).toEqual(['s1', 's3'])
  })
})

describe('candidatesOf', () => {
  it('leaves out who is cut off, away, silent, or no spoke', () => {
    const members = [
      spoke(1),
      spoke(2, { cutOff: true }),
      spoke(3, { away: true }),
      spoke(4),
      spoke(5, { roles: ['dns', 'authority'] }),
      spoke(6, { web: [] }),
    ]
    const given = candidatesOf(
      members,
      (each) => each !== peer(4).peer,
      (each) => (each === peer(6).peer ? 7 : 0),
    )
    expect(given.map(({ member: { name }, copies }) => [name, copies])).toEqual([
      ['s1', 0],
      ['s6', 7],
    ])
  })
})
