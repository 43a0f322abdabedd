import { describe, expect, it } from 'vitest'
import type { Verdict } from '../../../src/auth/verdict.ts'
import {
  type ActInForce,
  answersNeeded,
  type NextAct,
  type NextSet,
  planNextAct,
} from '../../../src/node/authority/next-act.ts'
import type { SealAnswer } from '../../../src/replication/exchange/seals.ts'
import type { Head } from '../../../src/replication/log/log.ts'
import { majority } from '../../../src/replication/log/receipt.ts'
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
const blog: ActInForce = { ...assignFields({ epoch: 4, ends: fakeId('e3') }), id: fakeId('e4') }
const same: NextSet = {
  ...{ replicas: blog.replicas, primary: null, reason: 'silent', unmet: null, evidence: null },
}
/** `s1` for replica 1, as in `@roster` */
const nameOf = (name: string) => `s${[1, 2, 3, 4].find((n) => peer(n).peer === name)}`
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
  planNextAct([blog], new Map(answers) as never, same, nameOf)

/** What the next act says, when it gives nothing up. */
function assignOf(verdict: Verdict<NextAct>) {
  const { assign, isLoss } = must(verdict)
  expect(isLoss).toBe(false)
  return assign
}

describe('answersNeeded', () => {
  it.each([1, 2, 3, 4, 5, 31])('meets every majority of %i', (n) => {
    expect(answersNeeded(n) + majority(n)).toBeGreaterThan(n)
  })
})

describe('planNextAct', () => {
  it('goes on from the highest seq of one epoch, with who holds it, and the same replicas', () => {
    expect(assignOf(plan(answer(2, { seq: 5 }), answer(3, { seq: 6 })))).toMatchObject({
      ...{ kind: 'assign', epoch: 5, ends: blog.id, primary: peer(3).peer, head: headAt(6) },
      ...{ replicas: blog.replicas, genesis: blog.genesis, key: blog.key, reason: 'silent' },
    })
  })

  it('goes on from the later epoch, not from the higher seq of an earlier one', () => {
    const planned = plan(answer(2, { seq: 9, follows: 3 }), answer(3, { seq: 6, follows: 4 }))
    expect(assignOf(planned)).toMatchObject({ primary: peer(3).peer, head: headAt(6) })
  })

  it('of two heads that the author has signed for one seq takes the one with more receipts', () => {
    const other = { seq: 6, id: fakeId('77') }
    const [by, given] = answer(2, { seq: 6 })
    const forked = {
      promise: { ...given.promise, head: other },
      receipts: [{ log: blog.blog, replica: replica(2), head: other }],
    }
    const fine = answer(3, {
      seq: 6,
      receipts: [
        [1, 6],
        [3, 6],
      ],
    })
    for (const answers of [
      [[by, forked], fine],
      [fine, [by, forked]],
    ] as never[][])
      expect(assignOf(plan(...answers))).toMatchObject({ primary: peer(3).peer, head: headAt(6) })
  })

  it('names who is silent as people call them, also of an act before the one in force', () => {
    const before = { ...blog, epoch: 3, replicas: [replica(2), replica(3), replica(4)] }
    const answers = new Map([answer(1, { seq: 6 }), answer(2, { seq: 6 })])
    const refused = [
      plan(answer(2, { seq: 6 })),
      planNextAct([blog, before], answers as never, same, nameOf),
    ]
    expect(refused.map((each) => (each.ok ? '' : each.reason))).toEqual([
      '1 of 3 replicas of maria have answered, 2 are needed; silent: s1, s3.',
      '1 of 3 replicas of maria have answered, 2 are needed; silent: s3, s4.',
    ])
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
      'nobody who answers holds anything of an act that was active',
      [answer(2, { seq: null, follows: 0 }), answer(3, { seq: null, follows: 0 })],
      'SEAL_NO_HEAD',
    ],
  ])('waits when %s', (_, answers, code) => {
    expect(codeOf(plan(...answers))).toBe(code)
  })

  it('starts the blog at another replica when the one at which it was claimed is out', () => {
    const nothing = { seq: null, follows: 0 }
    const first = { ...blog, ...assignFields(), id: fakeId('e1') }
    const answers = new Map([answer(2, nothing), answer(3, nothing)])
    const next = { ...same, replicas: [replica(2), replica(3)] }
    expect(assignOf(planNextAct([first], answers as never, next, nameOf))).toMatchObject({
      ...{ epoch: 2, primary: peer(2).peer, head: first.head, replicas: next.replicas },
    })
  })

  it('leaves the blog with its first primary while that alone has the genesis', () => {
    const nothing = { seq: null, follows: 0 }
    const first = { ...blog, ...assignFields(), id: fakeId('e1') }
    const second = { ...blog, epoch: 2, ends: first.id, primary: peer(2).peer, id: fakeId('e2') }
    const answers = new Map([answer(1, nothing), answer(2, nothing)])
    expect(assignOf(planNextAct([second, first], answers as never, same, nameOf))).toMatchObject({
      ...{ epoch: 3, primary: first.primary, head: second.head },
    })
  })

  describe('with an act that is not known to be active', () => {
    const before = { ...blog, ...assignFields({ epoch: 3, ends: fakeId('e2') }), id: fakeId('e3') }
    const now = { ...blog, replicas: [replica(3), replica(4)], primary: peer(4).peer }
    const planOf = (...answers: [string, SealAnswer][]) =>
      planNextAct(
        [now, before],
        new Map(answers) as never,
        { ...same, replicas: now.replicas },
        nameOf,
      )

    it('waits for r replicas of the act before it too', () => {
      expect(codeOf(planOf(answer(3, { seq: 5 }), answer(4, { seq: 9 })))).toBe('SEAL_TOO_FEW')
    })

    it('goes on from what a replica of the act before it holds', () => {
      const planned = planOf(
        answer(1, { seq: 7, follows: 3 }),
        answer(2, { seq: 6, follows: 3 }),
        answer(4, { seq: 6, follows: 3 }),
      )
      expect(assignOf(planned)).toMatchObject({ head: headAt(7), primary: peer(4).peer })
    })
  })

  it('lets lead whom it is told to, if that one has answered', () => {
    const wish = { ...same, primary: peer(2).peer }
    const both = [answer(2, { seq: 5 }), answer(3, { seq: 6 })] as const
    const wanted = planNextAct([blog], new Map(both) as never, wish, nameOf)
    expect(assignOf(wanted)).toMatchObject({ primary: peer(2).peer, head: headAt(6) })
    const without = [answer(1, { seq: 6 }), answer(3, { seq: 6 })] as const
    const other = planNextAct([blog], new Map(without) as never, wish, nameOf)
    expect(assignOf(other)).toMatchObject({ primary: peer(1).peer })
  })

  it('lets a learner lead, which no seal asks', () => {
    const next = { ...same, replicas: [replica(2), replica(4)], primary: peer(4).peer }
    const both = [answer(1, { seq: 5 }), answer(2, { seq: 5 })] as const
    expect(assignOf(planNextAct([blog], new Map(both) as never, next, nameOf))).toMatchObject({
      ...{ primary: peer(4).peer, replicas: next.replicas },
    })
  })

  it('goes on without the one that the others do not reach, where they are enough', () => {
    const next = { ...same, avoid: peer(1).peer }
    const three = [answer(1, { seq: 9 }), answer(2, { seq: 5 }), answer(3, { seq: 6 })] as const
    expect(assignOf(planNextAct([blog], new Map(three) as never, next, nameOf))).toMatchObject({
      ...{ head: headAt(6), primary: peer(3).peer },
    })
    const two = [answer(1, { seq: 9 }), answer(2, { seq: 5 })] as const
    expect(assignOf(planNextAct([blog], new Map(two) as never, next, nameOf))).toMatchObject({
      ...{ head: headAt(9), primary: peer(2).peer },
    })
  })

  it('gives up what only the silent hold when that is accepted, and goes on with who answered', () => {
    const accepted = { ...same, acceptsLoss: true }
    const one = new Map([answer(2, { seq: 6, receipts: [[3, 7]] })]) as never
    const { assign, isLoss } = must(planNextAct([blog], one, accepted, nameOf))
    expect(isLoss).toBe(true)
    expect(assign).toMatchObject({ head: headAt(6), primary: peer(2).peer, replicas: [replica(2)] })
    const [who, second, third] = [1, 2, 3].map((n) => `${peer(n).peer} ${replica(n).store}`)
    expect(assign.evidence?.split('\n')).toEqual([
      `${who} does not answer; no receipt of it is known`,
      `${second} holds 6 ${headAt(6).id}`,
      `${third} does not answer; gave a receipt for 7 ${headAt(7).id}`,
      `goes on from 6 ${headAt(6).id}`,
    ])
    expect(codeOf(planNextAct([blog], new Map(), accepted, nameOf))).toBe('SEAL_TOO_FEW')
  })

  it('gives nothing up where enough have answered, whatever is accepted', () => {
    const accepted = { ...same, acceptsLoss: true }
    const two = new Map([answer(2, { seq: 6 }), answer(3, { seq: 6 })]) as never
    expect(assignOf(planNextAct([blog], two, accepted, nameOf))).toMatchObject({
      ...{ replicas: same.replicas, evidence: same.evidence },
    })
  })

  it('waits when nobody of the next set has answered', () => {
    const next = { ...same, replicas: [replica(1), replica(4)] }
    const both = [answer(2, { seq: 5 }), answer(3, { seq: 5 })] as const
    expect(codeOf(planNextAct([blog], new Map(both) as never, next, nameOf))).toBe(
      'SEAL_NO_PRIMARY',
    )
  })
})
