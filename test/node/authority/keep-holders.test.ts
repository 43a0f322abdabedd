import { describe, expect, it } from 'vitest'
import { nextHolders } from '../../../src/node/authority/keep-holders.ts'
import type { Member } from '../../../src/replication/registry/roster.ts'
import { member, peer, replica, storeOf, TestCouncil } from '../../replication/test-council.ts'

/** The authority is peer 0; the others are admitted in order. */
function councilOf(others: number, holders: readonly number[] = [0]): TestCouncil {
  const council = new TestCouncil().admit(0)
  for (let n = 1; n <= others; n++) council.admit(n)
  if (holders.length > 1) council.write({ kind: 'holders', holders: holders.map(replica) })
  return council
}
const isOneOf = (numbers: readonly number[]) => (each: Member) =>
  numbers.some((n) => peer(n).peer === each.peer)
function next(
  council: TestCouncil,
  { silent = [], gone = [] }: { silent?: readonly number[]; gone?: readonly number[] } = {},
): number[] | null {
  const holders = nextHolders(council.roster, peer(0).peer, {
    isLive: (each) => !isOneOf([...silent, ...gone])(each),
    isGone: isOneOf(gone),
  })
  const all = Array.from({ length: 8 }, (_, n) => n)
  return holders?.map(({ peer: name }) => all.find((n) => peer(n).peer === name) as number) ?? null
}

describe('nextHolders', () => {
  it.each([
    ['alone', councilOf(0), null],
    ['with one other, which would double the risk', councilOf(1), null],
    ['three of three already', councilOf(2, [0, 1, 2]), null],
    ['three of four', councilOf(3, [0, 1, 2]), null],
    ['five of seven', councilOf(6, [0, 1, 2, 3, 4]), null],
  ])('leaves them as they are: %s', (_, council, wanted) => {
    expect(next(council)).toEqual(wanted)
  })

  it('makes three of the authority and two others, then five', () => {
    expect(next(councilOf(2))?.toSorted()).toEqual([0, 1, 2])
    expect(next(councilOf(3))).toHaveLength(3)
    const five = next(councilOf(4, [0, 1, 2]))
    expect(five?.toSorted()).toEqual([0, 1, 2, 3, 4])
    // Who holds them goes on.
    expect(five?.slice(0, 3)).toEqual([0, 1, 2])
  })

  it('counts only who is heard', () => {
    expect(next(councilOf(2), { silent: [2] })).toBeNull()
    expect(next(councilOf(4, [0, 1, 2]), { silent: [4] })).toBeNull()
  })

  it('gives the place of one that is gone to another, and never makes them fewer', () => {
    expect(next(councilOf(3, [0, 1, 2]), { gone: [2] })).toEqual([0, 1, 3])
    expect(next(councilOf(3, [0, 1, 2]), { silent: [2] })).toBeNull()
    expect(next(councilOf(2, [0, 1, 2]), { gone: [2] })).toBeNull()
    expect(next(councilOf(5, [0, 1, 2, 3, 4]), { gone: [3, 4] })).toBeNull()
  })

  it('takes a holder that came back with another store as a new one', () => {
    const council = councilOf(2, [0, 1, 2])
    council.write({ kind: 'change', member: member(2, { store: storeOf(9) }) })
    expect(next(council)?.toSorted()).toEqual([0, 1, 2])
    council.write({ kind: 'cutoff', peer: peer(2).peer, reason: 'it lied', evidence: null })
    expect(next(council)).toBeNull()
  })

  it('prefers who answers DNS, then other operators', () => {
    const council = councilOf(0)
    council.write({ kind: 'admit', policy: 'open', member: member(1, { operator: 'same' }) })
    council.write({ kind: 'admit', policy: 'open', member: member(2, { operator: 'same' }) })
    council.write({ kind: 'admit', policy: 'open', member: member(3) })
    council.write({
      ...{ kind: 'admit', policy: 'open' },
      member: member(4, { operator: 'same', roles: ['spoke', 'dns'], dns: ['127.0.0.4 53'] }),
    })
    const [, first, second] = next(councilOf(0)) ?? next(council) ?? []
    expect([first, second]).toEqual([4, 3])
  })
})
