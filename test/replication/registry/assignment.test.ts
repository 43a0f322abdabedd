import { describe, expect, it } from 'vitest'
import type { StoreId } from '../../../src/replication/log/peer-text.ts'
import {
  names,
  publishedFrom,
  readAssignment,
} from '../../../src/replication/registry/assignment.ts'
import { assignFields, must, peer, replica, TestCouncil } from '../test-council.ts'

const council = new TestCouncil().admit(1, 2, 3)
const { act, proof } = council.draft(assignFields())

describe('readAssignment', () => {
  it('refuses an act of another kind, and one that is not in force', () => {
    const revocation = council.draft({ kind: 'revoke', key: 'A'.repeat(40), certificate: 'x' })
    expect(readAssignment(revocation.proof, council.roster)).toMatchObject({
      code: 'ACT_NOT_ASSIGN',
    })
    const alone = { ...proof, receipts: [] }
    expect(readAssignment(alone, council.roster)).toMatchObject({ code: 'ACT_NOT_IN_FORCE' })
  })

  it('reads what the act says, and its id', () => {
    const { kind: _, ...fields } = assignFields()
    expect(must(readAssignment(proof, council.roster))).toMatchObject({
      ...fields,
      id: act.id,
      seq: act.seq,
    })
  })
})

describe('publishedFrom', () => {
  it('is a majority of the replicas, and never with one', () => {
    const from = (n: number) =>
      publishedFrom({
        ...assignFields(),
        replicas: Array.from({ length: n }, (_, i) => replica(i)),
      })
    expect([1, 2, 3, 4, 5].map(from)).toEqual([null, 2, 2, 3, 3])
  })
})

describe('names', () => {
  it('means a peer with the store that the act names', () => {
    expect(names(assignFields(), replica(2))).toBe(true)
    expect(names(assignFields(), replica(4))).toBe(false)
    expect(names(assignFields(), { peer: peer(2).peer, store: '9'.repeat(32) as StoreId })).toBe(
      false,
    )
  })
})
