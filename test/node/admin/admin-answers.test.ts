import { describe, expect, it } from 'vitest'
import { copiesAnswer, decidedAnswer } from '../../../src/node/admin/admin-answers.ts'

const now = '2026-11-23T03:40:01Z'

describe('what a peer of an earlier version answers', () => {
  it('is read after an admission', () => {
    const decided = { name: 'b', peer: 'p', done: true, web: [], notReached: [] }
    expect(decidedAnswer.safeParse(decided).error).toBeUndefined()
  })

  it('is read for the copies of a blog', () => {
    const replica = {
      ...{ name: 'b', peer: 'p', store: 's', role: 'primary', answers: true, epoch: 1, head: 3 },
      ...{ lag: 0, receipt: now, heard: now, away: false, cutOff: false },
    }
    const copies = {
      ...{ blog: 'maria', epoch: 1, act: 'a', reason: 'claim', unmet: null, active: true },
      ...{ published: 3, head: 3, replicas: [replica], waits: null },
    }
    expect(copiesAnswer.safeParse(copies).error).toBeUndefined()
  })
})
