import { describe, expect, it } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import { Copies } from '../../../src/node/authority/copies.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { decodeAct } from '../../../src/replication/registry/act.ts'
import { Names } from '../../../src/replication/registry/names.ts'
import { assignFields, must, peer, replica, TestCouncil } from '../../replication/test-council.ts'

const [a, b, c] = ['a', 'b', 'c'] as PeerName[] as [PeerName, PeerName, PeerName]
const [x, y] = ['x', 'y'] as BlogName[] as [BlogName, BlogName]

describe('Copies', () => {
  const counts = (copies: Copies) => [a, b, c].map((each) => copies.of(each))
  const blogsOf = (copies: Copies, of: PeerName) =>
    [...copies.setsOf(of).values()].map(({ blogs }) => blogs)

  it('counts the copies of each peer and the blogs of each set, in whatever order it is told', () => {
    const copies = new Copies()
    copies.set(x, [a, b])
    copies.set(y, [b, a])
    copies.set('z' as BlogName, [b, c])
    expect(counts(copies)).toEqual([2, 3, 1])
    expect(blogsOf(copies, b)).toEqual([2, 1])
  })

  it('forgets where a blog was, and a set that keeps nothing any more', () => {
    const copies = new Copies()
    copies.set(x, [a, b])
    copies.set(x, [b, c])
    expect(counts(copies)).toEqual([0, 1, 1])
    expect(blogsOf(copies, a)).toEqual([])
    expect(blogsOf(copies, b)).toEqual([1])
    expect([...copies.setsOf(c).values()].map(({ peers }) => peers)).toEqual([[b, c]])
  })

  it('follows @names, by the newest act of each blog', () => {
    const council = new TestCouncil().admit(1, 2, 3)
    const names = new Names(must(decodeAct((council.namesProofs[0] as { text: Uint8Array }).text)))
    const copies = new Copies().follow(null).follow(names)
    const take = (change: Parameters<typeof assignFields>[0]) => {
      const { act } = council.write(assignFields(change))
      names.apply(act)
      return act.id
    }
    const ends = take({ replicas: [replica(1), replica(2)] })
    copies.follow(names)
    const of = (...numbers: number[]) => numbers.map((n) => copies.of(peer(n).peer))
    expect(of(1, 2, 3)).toEqual([1, 1, 0])
    copies.set('maria' as BlogName, [peer(3).peer])
    expect(of(1, 2, 3), 'what is planned counts').toEqual([0, 0, 1])
    take({ epoch: 2, ends, replicas: [replica(1), replica(3)] })
    expect(names.head.seq).toBe(council.namesProofs.length - 1)
    copies.follow(names)
    expect(of(1, 2, 3)).toEqual([1, 0, 1])
  })
})
