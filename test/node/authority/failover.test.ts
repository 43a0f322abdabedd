import { describe, expect, it } from 'vitest'
import { answersNeeded, isSelfSuspect, planFailover } from '../../../src/node/authority/failover.ts'
import type { SealAnswer } from '../../../src/replication/exchange/seals.ts'
import type { Head } from '../../../src/replication/log/log.ts'
import { majority } from '../../../src/replication/log/receipt.ts'
import type { NamedBlog } from '../../../src/replication/registry/names.ts'
import {
  assignFields,
  codeOf,
  fakeId,
  must,
  peer,
  replica,
  startMs,
} from '../../replication/test-council.ts'

const headAt = (seq: number): Head => ({ seq, id: fakeId(String(10 + seq)) })
const blog: NamedBlog = {
  ...assignFields({ epoch: 4, ends: fakeId('e3') }),
  ...{ id: fakeId('e4'), seq: 9, dateMs: startMs },
}
const seal = { council: 'x', log: 'maria', act: blog.id, epoch: 4, round: 1, atMs: startMs }

/** What replica n answers: the end of its log, and the receipts it knows, as `[replica, seq]`. */
function answer(
  n: number,
  { seq, follows = 4, receipts = [] }: Answered,
  store = replica(n),
): [string, SealAnswer] {
  const head = seq === null ? null : headAt(seq)
  const promise = { ...seal, replica: store, head, follows, signed: {} as never }
  const known = receipts.map(([by, at]) => ({
    ...{ log: blog.blog, replica: replica(by), head: headAt(at) },
  }))
  return [peer(n).peer, { promise, receipts: known as never }]
}
type Answered = { seq: number | null; follows?: number; receipts?: [number, number][] }
const plan = (...answers: [string, SealAnswer][]) =>
  planFailover(blog, new Map(answers) as never, { reason: 'silent', evidence: null })

describe('answersNeeded', () => {
  it.each([1, 2, 3, 4, 5, 31])('meets every majority of %i', (n) => {
    expect(answersNeeded(n) + majority(n)).toBeGreaterThan(n)
  })
})

describe('planFailover', () => {
  it('goes on from the highest seq of one epoch, with who holds it, and the same replicas', () => {
    expect(must(plan(answer(2, { seq: 5 }), answer(3, { seq: 6 })))).toMatchObject({
      ...{ kind: 'assign', epoch: 5, ends: blog.id, primary: peer(3).peer, head: headAt(6) },
      ...{ replicas: blog.replicas, genesis: blog.genesis, key: blog.key, reason: 'silent' },
    })
  })

  it('goes on from the later epoch, not from the higher seq of an earlier one', () => {
    const planned = plan(answer(2, { seq: 9, follows: 3 }), answer(3, { seq: 6, follows: 4 }))
    expect(must(planned)).toMatchObject({ primary: peer(3).peer, head: headAt(6) })
  })

  it.each<[string, [string, SealAnswer][], string]>([
    ['nobody answers', [], 'SEAL_TOO_FEW'],
    ['one of three answers', [answer(2, { seq: 6 })], 'SEAL_TOO_FEW'],
    [
      'one of two answers for another store',
      [answer(2, { seq: 6 }), answer(3, { seq: 6 }, { ...replica(3), store: replica(1).store })],
      'SEAL_TOO_FEW',
    ],
    [
      'one of two answers lies below its own receipt, which the other knows',
      [answer(2, { seq: 5 }), answer(3, { seq: 6, receipts: [[2, 6]] })],
      'SEAL_TOO_FEW',
    ],
    [
      'one who is no replica answers',
      [answer(2, { seq: 6 }), answer(4, { seq: 6 })],
      'SEAL_TOO_FEW',
    ],
    [
      'nobody but the one that is out has the genesis',
      [answer(2, { seq: null, follows: 0 }), answer(3, { seq: null, follows: 0 })],
      'SEAL_NO_HEAD',
    ],
  ])('waits when %s', (_, answers, code) => {
    expect(codeOf(plan(...answers))).toBe(code)
  })

  it('names who has not answered', () => {
    const planned = plan(answer(2, { seq: 6 }))
    expect(planned).toMatchObject({ reason: expect.stringContaining(peer(3).peer) })
    expect(planned).not.toMatchObject({ reason: expect.stringContaining(peer(2).peer) })
  })

  it('leaves the blog with its first primary while that alone has the genesis', () => {
    const nothing = { seq: null, follows: 0 }
    expect(must(plan(answer(1, nothing), answer(2, nothing)))).toMatchObject({
      ...{ epoch: 5, primary: blog.primary, head: blog.head },
    })
  })
})

describe('isSelfSuspect', () => {
  it.each([
    [0, 1, false],
    [1, 2, false],
    [2, 3, true],
    [2, 4, false],
    [3, 4, true],
  ])('%i silent of %i: %s', (silent, members, suspect) => {
    expect(isSelfSuspect(silent, members)).toBe(suspect)
  })
})
