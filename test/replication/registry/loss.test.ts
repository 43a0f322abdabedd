import { describe, expect, it } from 'vitest'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { decodeAct } from '../../../src/replication/registry/act.ts'
import {
  type Had,
  KnownLosses,
  type LossAct,
  lostEntries,
  silentReplicas,
  writeLoss,
} from '../../../src/replication/registry/loss.ts'
import { assignFields, fakeId, must, peer, replica, storeOf, TestCouncil } from '../test-council.ts'

const head = (seq: number) => ({ seq, id: fakeId('ab') })
const had = (n: number, answers: boolean, seq: number | null): Had => ({
  ...{ replica: replica(n), answers, head: seq === null ? null : head(seq) },
})

describe('lostEntries', () => {
  it.each<[string, Had[], number | null, [number, number] | null]>([
    ['a silent one had more', [had(1, false, 7), had(2, true, 3)], 3, [4, 7]],
    ['of two silent ones the one that had most', [had(1, false, 5), had(3, false, 9)], 3, [4, 9]],
    ['one more', [had(1, false, 4), had(2, true, 3)], 3, [4, 4]],
    ['all but the genesis', [had(1, false, 2), had(2, true, null)], null, [1, 2]],
    ['a silent one had the same', [had(1, false, 3), had(2, true, 3)], 3, null],
    ['nothing is known of the silent one', [had(1, false, null), had(2, true, 3)], 3, null],
  ])('reads what was written: %s', (_, replicas, goesOn, expected) => {
    const lost = lostEntries(writeLoss(replicas, goesOn === null ? null : head(goesOn)))
    expect(lost === null ? null : [lost.from, lost.last.seq]).toEqual(expected)
  })

  it.each([
    '',
    'Both disks burnt.',
    `${peer(1).peer} ${storeOf(1)} does not answer; gave a receipt for 7 ${fakeId('ab')}`,
    'goes on from 3 x',
    `goes on from 3 ${fakeId('ab')}\n${peer(1).peer} ${storeOf(1)} does not answer; gave a receipt for many`,
  ])('says nothing where the evidence has another form: %j', (evidence) => {
    expect(lostEntries(evidence)).toBeNull()
  })
})

describe('silentReplicas', () => {
  it('names who did not answer, with the store that it had then', () => {
    const evidence = writeLoss([had(1, false, 7), had(2, true, 3), had(3, false, null)], head(3))
    expect(silentReplicas(evidence)).toEqual([
      had(1, false, 7).replica,
      had(3, false, null).replica,
    ])
  })

  it.each(['', 'Both disks burnt.', 'nobody does not answer; no receipt of it is known'])(
    'names nobody where the evidence has another form: %j',
    (evidence) => expect(silentReplicas(evidence)).toEqual([]),
  )
})

describe('KnownLosses', () => {
  it('keeps each act once, the newest first, by blog', () => {
    const council = new TestCouncil()
    const lose = (blog: string, reason: string) => {
      const decision = { ...assignFields(), blog: blog as BlogName }
      const { act } = council.write({
        ...{ kind: 'loss', blog: decision.blog, assign: fakeId('ee'), reason },
        evidence: writeLoss([had(1, false, 7)], head(3)),
      })
      return must(decodeAct(act.text)) as LossAct
    }
    const acts = [lose('maria', 'fire'), lose('maria', 'flood'), lose('noor', 'fire')]
    const losses = new KnownLosses()
    for (const act of [...acts.toReversed(), ...acts]) losses.apply(act)
    expect(losses.seqs).toHaveLength(3)
    expect(losses.of('maria' as BlogName).map(({ reason }) => reason)).toEqual(['flood', 'fire'])
    expect(losses.of('noor' as BlogName)[0]?.lost).toEqual({ from: 4, last: head(7) })
    expect(losses.of('nobody' as BlogName)).toEqual([])
  })
})
