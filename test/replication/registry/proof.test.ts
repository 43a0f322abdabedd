import { decode, encode } from 'cborg'
import { describe, expect, it } from 'vitest'
import { proofShape } from '../../../src/replication/network.ts'
import type { Decision } from '../../../src/replication/registry/act.ts'
import {
  checkProof,
  fromProofRow,
  type ProofOfAct,
  proofRow,
} from '../../../src/replication/registry/proof.ts'
import type { Roster } from '../../../src/replication/registry/roster.ts'
import { assignFields, codeOf, fakeId, forge, peer, replica, TestCouncil } from '../test-council.ts'

const begin = () => new TestCouncil().admit(1, 2, 3)
const three: Decision = { kind: 'holders', holders: [0, 1, 2].map(replica) }
const handOver: Decision = {
  kind: 'authority',
  authority: peer(1).peer,
  standby: null,
  votes: null,
}

const founding = (council: TestCouncil) => council.rosterProofs[0] as ProofOfAct

describe('checkProof', () => {
  it.each<[string, (c: TestCouncil) => { proof: ProofOfAct; roster?: Roster | null }, string]>([
    [
      'random bytes',
      (c) => ({ proof: { ...c.draft(assignFields()).proof, text: Buffer.from([7, 200]) } }),
      'TEXT_NOT_UTF8',
    ],
    ['a founding act', (c) => ({ proof: founding(c) }), 'ACT_LOG'],
    ['a founding act, without @roster', (c) => ({ proof: founding(c), roster: null }), 'ACT_LOG'],
    [
      'an act under a line to come',
      (c) => ({ proof: c.draft(assignFields()).proof, roster: c.rosters[1] as Roster }),
      'ROSTER_BEHIND',
    ],
    [
      'any act, without @roster',
      (c) => ({ proof: c.draft(assignFields()).proof, roster: null }),
      'ROSTER_BEHIND',
    ],
    [
      'an act under a line of another @roster',
      () => ({ proof: new TestCouncil({ wanted: 5 }).admit(1, 2).draft(assignFields()).proof }),
      'ROSTER_FORK',
    ],
    [
      'an act for another council under this line',
      (c) => ({ proof: c.draft(assignFields(), { council: `x.org/${fakeId('ab')}` }).proof }),
      'ACT_COUNCIL',
    ],
    [
      'an act signed by another member',
      (c) => ({ proof: c.draft(assignFields(), { signer: peer(1) }).proof }),
      'ACT_SIGNATURE',
    ],
    [
      'a text changed after signing',
      (c) => {
        const { proof } = c.draft(assignFields())
        return { proof: { ...proof, text: forge(proof.text, 'reason claimed', 'reason because') } }
      },
      'ACT_SIGNATURE',
    ],
    [
      'an act without receipts',
      (c) => ({ proof: c.draft(assignFields(), { givers: [] }).proof }),
      'ACT_NOT_IN_FORCE',
    ],
    [
      'receipts of another act',
      (c) => ({
        proof: {
          ...c.draft(assignFields()).proof,
          receipts: c.draft(assignFields()).proof.receipts,
        },
      }),
      'ACT_NOT_IN_FORCE',
    ],
  ])('refuses %s', (_, make, code) => {
    const council = begin()
    const { proof, roster = council.roster } = make(council)
    expect(codeOf(checkProof(proof, roster))).toBe(code)
  })

  it('accepts an act in force by the holders and the authority of its line, whoever came after', () => {
    const council = begin()
    const old = council.draft(assignFields())
    council.write(three)
    const middle = council.draft(assignFields())
    council.write(handOver)
    const { proof } = council.draft(assignFields(), { signer: peer(1) })
    for (const each of [old.proof, middle.proof, proof])
      expect(codeOf(checkProof(each, council.roster))).toBe('accepted')
  })

  it('refuses an act of the former authority under a line behind its end', () => {
    const council = begin()
    council.write(handOver)
    expect(codeOf(checkProof(council.draft(assignFields()).proof, council.roster))).toBe(
      'ACT_SIGNATURE',
    )
  })

  it('refuses an act of the new authority under a line before its beginning', () => {
    const council = begin()
    const before = council.roster
    council.write(handOver)
    const { proof } = council.draft(assignFields(), { signer: peer(1), under: before })
    expect(codeOf(checkProof(proof, council.roster))).toBe('ACT_SIGNATURE')
  })

  it('refuses receipts of the former holders under a line behind their end', () => {
    const council = begin()
    council.write(three)
    const { proof } = council.draft(assignFields(), { givers: [peer(0).peer] })
    expect(codeOf(checkProof(proof, council.roster))).toBe('ACT_NOT_IN_FORCE')
  })
})

describe('proofRow', () => {
  it('travels as CBOR and comes back the same', () => {
    const { proof } = begin().write(three)
    const row = proofShape.parse(decode(encode(proofRow(proof))))
    expect(encode(proofRow(fromProofRow(row)))).toEqual(encode(proofRow(proof)))
  })
})
