import { describe, expect, it } from 'vitest'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import type { Decision } from '../../../src/replication/registry/act.ts'
import { Names } from '../../../src/replication/registry/names.ts'
import { actOf, assignFields, codeOf, fakeId, replica, TestCouncil } from '../test-council.ts'

const maria = 'maria' as BlogName
const begin = () => {
  const council = new TestCouncil().admit(1, 2, 3)
  const names = new Names(actOf(council.namesProofs[0] as never))
  const write = (decision: Decision) => {
    const { act } = council.write(decision)
    names.apply(act)
    return act
  }
  const judge = (decision: Decision) => codeOf(names.check(council.draft(decision).act))
  return { council, names, write, judge }
}

describe('Names.check', () => {
  it('never gives a name to another genesis', () => {
    const { write, judge } = begin()
    const { id } = write(assignFields())
    expect(judge(assignFields({ genesis: fakeId('2b') }))).toBe('NAME_TAKEN')
    expect(judge(assignFields({ genesis: fakeId('2b'), epoch: 2, ends: id }))).toBe('NAME_TAKEN')
  })

  it('wants epochs in order, each ending the one before', () => {
    const { write, judge } = begin()
    expect(judge(assignFields({ epoch: 2, ends: fakeId('ee') }))).toBe('NAME_EPOCH')
    const { id } = write(assignFields())
    expect(judge(assignFields())).toBe('NAME_EPOCH')
    expect(judge(assignFields({ epoch: 3, ends: id }))).toBe('NAME_EPOCH')
    expect(judge(assignFields({ epoch: 2, ends: fakeId('ee') }))).toBe('NAME_EPOCH')
    expect(judge(assignFields({ epoch: 2, ends: id }))).toBe('accepted')
  })

  it('begins once', () => {
    const { council, names } = begin()
    expect(codeOf(names.check(actOf(council.namesProofs[0] as never)))).toBe('NAME_EPOCH')
  })
})

describe('Names.apply', () => {
  it('keeps the newest assignment, and who had the name first', () => {
    const { names, write } = begin()
    const first = write(assignFields())
    const second = write(
      assignFields({
        epoch: 2,
        ends: first.id,
        replicas: [replica(2), replica(3)],
        primary: replica(2).peer,
        via: null,
      }),
    )
    expect(names.blogs.get(maria)).toMatchObject({ epoch: 2, id: second.id, seq: 2 })
    expect(names.byGenesis.get(fakeId('1a'))).toBe('maria')
    expect(names.byKey.get('A'.repeat(40))).toEqual(['maria'])
    expect(names.head).toEqual({ seq: 2, id: second.id })
  })

  it('keeps all keys that assignments ever named', () => {
    const { names, write } = begin()
    const { id } = write(assignFields())
    write(assignFields({ epoch: 2, ends: id, key: 'B'.repeat(40), via: null }))
    expect(names.writtenWith.get('A'.repeat(40))).toBe('maria')
    expect(names.writtenWith.get('B'.repeat(40))).toBe('maria')
  })

  it('goes on over a loss', () => {
    const { names, write } = begin()
    const { id } = write(assignFields())
    write({ kind: 'loss', blog: maria, assign: id, reason: 'fire', evidence: 'seqs 3 to 5' })
    expect(names.blogs.get(maria)?.id).toBe(id)
    expect(names.head.seq).toBe(2)
  })
})
