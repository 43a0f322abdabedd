import { describe, expect, it } from 'vitest'
import {
  isByPolicy,
  type Misdeed,
  misdeedOf,
  planCutOff,
  planRoom,
  policyReason,
} from '../../../src/node/authority/report-policy.ts'
import type { Worth } from '../../../src/node/authority/report-worth.ts'
import type { Report } from '../../../src/replication/registry/report.ts'
import type { Roster } from '../../../src/replication/registry/roster.ts'
import { fakeId, member, peer, startMs } from '../../replication/test-council.ts'

const accused = peer(2).peer
const hourMs = 3_600_000

type Change = Partial<Omit<Report, 'by'>> & { readonly worth?: Worth }
/** A report by peer n; about an altered text unless it says something else. */
const by = (n: number, { worth = 'checked', ...change }: Change = {}) => ({
  report: {
    ...{ council: 'c', by: peer(n).peer, peer: accused, kind: 'page', log: 'maria', seq: 3 },
    ...{ id: fakeId('aa'), asked: '/log/3.txt', found: 'another text', served: fakeId('bb') },
    ...{ atMs: startMs, ...change },
  } as Report,
  worth,
})
type Kept = ReturnType<typeof by>

const audit = { kind: 'audit', asked: fakeId('0f'), served: null, worth: 'proof' } as const
const list = { asked: '/log.json?limit=1' } as const
const front = { kind: 'front', asked: 'front 7 3' } as const

const rosterOf = (change: Readonly<Record<number, object>> = {}) =>
  ({
    members: new Map(
      [0, 1, 2, 3, 4, 5].map((n) => [
        peer(n).peer,
        { ...member(n), away: false, cutOff: false, operator: `Group ${n}`, ...change[n] },
      ]),
    ),
  }) as unknown as Roster

describe('misdeedOf', () => {
  it.each<[string, Kept, Misdeed]>([
    ['a surprise question', by(1, audit), 'keeps'],
    ['a text', by(1), 'shows'],
    ['a signature', by(1, { asked: '/log/3.txt.asc' }), 'shows'],
    ['a page', by(1, { asked: '/2026/hello' }), 'shows'],
    ['a list', by(1, list), 'lists'],
    ['a list of another length', by(1, { asked: '/log.json' }), 'lists'],
    ['a front page', by(1, front), 'gathers'],
    ['a question that looks like a path', by(1, { ...audit, asked: '/log.json' }), 'keeps'],
  ])('reads it from what was asked: %s', (_, { report }, misdeed) => {
    expect(misdeedOf(report)).toBe(misdeed)
  })
})

describe('planCutOff', () => {
  const plan = (kept: readonly Kept[], roster = rosterOf(), needed: number | null = 2) =>
    planCutOff(kept, roster, { peer: accused, nowMs: startMs + 1_000, needed })

  // Forged and odd ones first: none of these is "k of different operators report the same".
  it.each<[string, readonly Kept[], object?]>([
    ['nothing', []],
    ['one spoke that reports again and again', [by(1), by(1, { seq: 4 }), by(1, { log: 'joe' })]],
    ['what is only a word', [by(1), by(3, { worth: 'word' })]],
    ['words of all', [1, 3, 4, 5].map((n) => by(n, { worth: 'word' }))],
    ['what is a day old', [by(1), by(3, { atMs: startMs - 24 * hourMs })]],
    ['a report about another peer', [by(1), by(3, { peer: peer(4).peer })]],
    ['another spoke of the same operator', [by(1), by(3)], { 3: { operator: ' group  1' } }],
    ['an operator in wide letters', [by(1), by(3)], { 3: { operator: 'Ｇｒｏｕｐ 1' } }],
    ['a spoke of the accused one’s operator', [by(1), by(3)], { 3: { operator: 'GROUP 2' } }],
    ['the accused one itself', [by(1), by(2)]],
    ['who was cut off', [by(1), by(3)], { 3: { cutOff: true } }],
    ['who is no spoke', [by(1), by(3)], { 3: { roles: ['dns', 'authority'] } }],
    ['who is no member', [by(1), by(9)]],
    ['a wrong text and a lost entry', [by(1), by(3, audit)]],
    ['a wrong text and an old list', [by(1), by(3, list)]],
    ['a wrong text and a front page', [by(1), by(3, front)]],
    ['an old list and a front page', [by(1, list), by(3, front)]],
    ['a lost entry and a front page', [by(1, audit), by(3, front)]],
    ['of each misdeed one', [by(1), by(3, audit), by(4, list), by(5, front)]],
    ['all misdeeds by one, and nothing by others', [by(1), by(1, audit), by(1, list)]],
    [
      'what would be the same, were not one of them a word',
      [by(1, audit), by(3, { ...audit, worth: 'word' }), by(4)],
    ],
  ])('does not take for the same of two operators: %s', (_, kept, change = {}) => {
    expect(plan(kept, rosterOf(change as never))).toBeNull()
  })

  it.each<[string, readonly Kept[], Misdeed]>([
    ['the same entry', [by(1), by(3)], 'shows'],
    ['another entry each', [by(1), by(3, { seq: 9, asked: '/log/9.txt' })], 'shows'],
    ['another blog each', [by(1), by(3, { log: 'joe', asked: '/2026/joe' })], 'shows'],
    ['a text and the page of it', [by(1), by(3, { asked: '/2026/hello' })], 'shows'],
    ['lost entries', [by(1, audit), by(3, { ...audit, log: 'joe', seq: 7 })], 'keeps'],
    ['old lists', [by(1, list), by(3, list)], 'lists'],
    ['front pages', [by(1, front), by(3, { ...front, asked: 'front 8 1' })], 'gathers'],
    ['a proof and what is checked', [by(1, { worth: 'proof' }), by(3)], 'shows'],
    [
      'a last one a day ago all but a moment',
      [by(1), by(3, { atMs: startMs - 23 * hourMs })],
      'shows',
    ],
    ['one whose clock is ahead', [by(1), by(3, { atMs: startMs + 9 * 60_000 })], 'shows'],
  ])('takes for the same of two operators: %s', (_, kept, misdeed) => {
    expect(plan(kept)).toMatchObject({ misdeed })
    expect(plan(kept)?.reports).toHaveLength(2)
    expect(plan(kept, rosterOf(), 3)).toBeNull()
  })

  it('counts the misdeed that most operators report, and an operator for each', () => {
    const kept = [by(1), by(3), by(1, audit), by(3, audit), by(4, audit)]
    expect(plan(kept)?.misdeed).toBe('keeps')
    expect(plan(kept)?.reports.map(({ report }) => report.by)).toEqual(
      [1, 3, 4].map((n) => peer(n).peer),
    )
    expect(plan(kept, rosterOf(), 4)).toBeNull()
  })

  it('names of each operator the report that shows most, however late a weaker one comes', () => {
    const proof = by(1, audit)
    const later = by(1, { ...audit, worth: 'checked', atMs: startMs + 500 })
    expect(plan([proof, later, by(3, audit)])?.reports).toContain(proof)
  })

  it('never does it by itself unless the config says so, nor twice', () => {
    expect(plan([by(1), by(3)], rosterOf(), null)).toBeNull()
    expect(plan([by(1), by(3)], rosterOf({ 2: { cutOff: true } }))).toBeNull()
    expect(plan([by(1), by(3)], { members: new Map() } as never)).toBeNull()
  })
})

describe('policyReason', () => {
  it('is told from what an operator writes', () => {
    for (const misdeed of ['keeps', 'shows', 'lists', 'gathers'] as const)
      expect(isByPolicy(policyReason(2, misdeed))).toBe(true)
    expect(isByPolicy('2 friends asked for it')).toBe(false)
  })
})

describe('planRoom', () => {
  const gone = (kept: readonly Kept[], next: Kept) => planRoom(kept, next)

  it('asks nobody to go while there is room', () => {
    expect(
      gone(
        [1, 2, 3, 4].map((seq) => by(1, { seq })),
        by(1),
      ),
    ).toEqual([])
    // What it has said of others, and what others have said, counts for itself.
    const others = [1, 2, 3, 4, 5].map((seq) => by(1, { seq, peer: peer(4).peer }))
    expect(gone([...others, ...[1, 2, 3, 4, 5].map((seq) => by(3, { seq }))], by(1))).toEqual([])
  })

  it('lets of one peer about another the oldest of what shows least go', () => {
    const proof = by(1, { ...audit, atMs: startMs - 9_000 })
    const words = [1, 2].map((seq) => by(1, { seq, worth: 'word', atMs: startMs - seq }))
    const checked = [3, 4].map((seq) => by(1, { seq, atMs: startMs - 5_000 }))
    expect(gone([proof, ...words, ...checked], by(1))).toEqual([words[1]])
    expect(gone([proof, ...checked, by(1), by(1)], by(1))).toEqual([checked[0]])
  })

  it('lets go first what counts no more, a proof too', () => {
    const old = by(1, { ...audit, atMs: startMs - 25 * hourMs })
    const words = [1, 2, 3, 4].map((seq) => by(1, { seq, worth: 'word' }))
    expect(gone([...words, old], by(1))).toEqual([old])
  })

  it('takes no place from others for one that floods it, whatever that one says', () => {
    const names = Array.from({ length: 100 }, (_, n) => `12D3KooW${n}` as Report['peer'])
    const flood = names.flatMap((about) =>
      [1, 2, 3, 4, 5].map((seq) => by(1, { peer: about, seq, worth: 'proof' })),
    )
    const honest = by(3, { worth: 'word', atMs: startMs - hourMs })
    const kept = [honest, ...flood.slice(1)]
    expect(kept).toHaveLength(500)
    for (const next of [by(1, { peer: peer(4).peer }), by(4)])
      expect(gone(kept, next).map(({ report }) => report.by)).toEqual([peer(1).peer])
  })
})
