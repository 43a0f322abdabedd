import { describe, expect, it } from 'vitest'
import type { Decision } from '../../src/replication/registry/act.ts'
import { sentenceOf } from '../../src/web/act-sentence.ts'
import { TestAuthor } from '../replication/test-author.ts'
import {
  assignFields,
  fakeId,
  member,
  peer,
  replica,
  startMs,
  TestCouncil,
} from '../replication/test-council.ts'

const maria = await TestAuthor.make('maria')
const compromised = await maria.revoke(2, '<b>stolen</b>')
const council = new TestCouncil()
for (const n of [0, 1, 2, 3]) {
  const roles = n === 3 ? (['dns'] as const) : (['spoke'] as const)
  council.write({ kind: 'admit', policy: 'open', member: member(n, { roles }) })
}
const sentence = (decision: Decision) => sentenceOf({ decision, dateMs: startMs }, council.roster)
const about = { reason: 'served an altered post', evidence: null }

describe('sentenceOf', () => {
  const founding = (wanted: number): Decision => ({
    ...{ kind: 'council', edit: 'dotted', authority: peer(0).peer, wanted, holder: replica(0) },
  })
  it.each<[string, Decision, string]>([
    [
      'the founding',
      founding(3),
      'This council was founded: s0 is its authority, each blog gets 3 copies',
    ],
    [
      'the founding with one copy',
      founding(1),
      'This council was founded: s0 is its authority, each blog gets one copy',
    ],
    [
      'a spoke admitted',
      { kind: 'admit', policy: 'open', member: member(4, { name: 'b', operator: 'Group B' }) },
      'Spoke b, run by Group B, was admitted',
    ],
    [
      'one admitted after approval',
      { kind: 'admit', policy: 'approve', member: member(4) },
      'Spoke s4, run by operator 4, was admitted after approval',
    ],
    [
      'a peer without blogs admitted by invitation',
      { kind: 'admit', policy: 'invite', member: member(4, { roles: ['dns'] }) },
      'Peer s4, run by operator 4, was admitted by invitation',
    ],
    [
      'a changed record',
      {
        kind: 'change',
        member: member(2, {
          web: ['http://192.0.2.2:80', 'http://[2001:db8::2]:80'],
          dns: ['192.0.2.2 53'],
        }),
      },
      'Spoke s2, run by operator 2, changed its record: web http://192.0.2.2:80 and http://[2001:db8::2]:80; DNS 192.0.2.2 53',
    ],
    [
      'a changed record without addresses',
      { kind: 'change', member: member(2, { web: [] }) },
      'Spoke s2, run by operator 2, changed its record: no web or DNS address',
    ],
    [
      'words that run the other way, apart from what stands beside them',
      { kind: 'admit', policy: 'open', member: member(1, { operator: 'مجموعة' }) },
      'Spoke s1, run by \u2068مجموعة\u2069, was admitted',
    ],
    [
      'away',
      { kind: 'away', peer: peer(2).peer, ...about, reason: 'silent for a day' },
      'Spoke s2 was taken out of DNS: silent for a day',
    ],
    [
      'back',
      { kind: 'back', peer: peer(3).peer, ...about, reason: 'answers again' },
      'Peer s3 is back in DNS: answers again',
    ],
    [
      'cut off',
      { kind: 'cutoff', peer: peer(2).peer, ...about },
      'Spoke s2 was cut off: served an altered post',
    ],
    [
      'a peer that @roster does not know',
      { kind: 'cutoff', peer: peer(9).peer, ...about },
      `The peer ${peer(9).peer} was cut off: served an altered post`,
    ],
    [
      'reinstated',
      { kind: 'reinstate', peer: peer(2).peer, ...about, reason: 'it was a disk' },
      'Spoke s2 was reinstated: it was a disk',
    ],
    [
      'one holder',
      { kind: 'holders', holders: [replica(1)] },
      'The council’s own logs are held by s1',
    ],
    [
      'three holders',
      { kind: 'holders', holders: [replica(0), replica(1), replica(8)] },
      `The council’s own logs are held by s0, s1 and the peer ${peer(8).peer}`,
    ],
    [
      'another authority',
      { kind: 'authority', authority: peer(1).peer, standby: peer(2).peer, votes: null },
      'Spoke s1 is the authority; s2 stands by',
    ],
    [
      'an authority without standby',
      { kind: 'authority', authority: peer(3).peer, standby: null, votes: null },
      'Peer s3 is the authority; nobody stands by',
    ],
    ['the first of @names', { kind: 'names' }, 'The list of the council’s blogs was begun'],
    [
      'an assignment',
      assignFields({ primary: peer(2).peer }),
      'maria is kept by s2 (takes the writes), s1 and s3, since 23 November 2026, epoch 1: claimed',
    ],
    [
      'one to a single spoke, with a wish that could not be met',
      assignFields({
        ...{ epoch: 7, ends: fakeId('ee'), via: null, replicas: [replica(1)] },
        ...{ reason: 'b was silent', unmet: 'another country' },
      }),
      'maria is kept by s1 (takes the writes), since 23 November 2026, epoch 7: b was silent (could not be met: another country)',
    ],
    [
      'a revocation',
      { kind: 'revoke', key: 'AB12'.repeat(10), certificate: 'x' },
      `The key ${Array(10).fill('AB12').join(' ')} was revoked`,
    ],
    [
      'a revocation with its reason',
      {
        ...{ kind: 'revoke', key: maria.fingerprint },
        certificate: compromised,
      },
      `The key ${maria.fingerprint.replace(/.{4}(?!$)/g, '$& ')} was revoked by its owner: compromised`,
    ],
    [
      'a loss',
      {
        ...{ kind: 'loss', blog: assignFields().blog, assign: fakeId('ee'), evidence: 'ids' },
        reason: 'two disks failed',
      },
      'Entries of maria were lost: two disks failed',
    ],
  ])('says in a sentence: %s', (_, decision, words) => {
    expect(sentence(decision)).toBe(words)
  })
})
