import { describe, expect, it } from 'vitest'
import {
  type LookedAt,
  maxUnanswered,
  Unanswering,
  unansweredMs,
} from '../../src/node/unanswering.ts'
import { peer } from '../replication/test-council.ts'

const [one, other] = [peer(1).peer, peer(2).peer]
const minuteMs = 60_000

/** Looks at one spoke, a minute apart unless it says otherwise: in which minutes something is said. */
function said(looks: readonly LookedAt[], stepMs = minuteMs, seen = new Unanswering()): number[] {
  return looks.flatMap((looked, at) => (seen.note(one, looked, at * stepMs) === null ? [] : [at]))
}
const times = (count: number, looked: LookedAt) => Array.from({ length: count }, () => looked)

describe('Unanswering', () => {
  it.each<[string, readonly LookedAt[], number]>([
    ['one busy answer', ['answered', 'busy', 'answered'], 20 * minuteMs],
    ['four in twenty minutes', ['answered', ...times(4, 'busy')], 5 * minuteMs],
    ['a hundred within ten minutes', times(100, 'busy'), 6_000],
    [
      'busy answers for an hour, with one that was none each nine minutes',
      Array.from({ length: 60 }, (_, at) => (at % 9 === 8 ? 'answered' : 'busy')),
      minuteMs,
    ],
    ['an hour without anything while nobody else is reached either', times(60, 'silent'), minuteMs],
  ])('says nothing of %s', (_, looks, stepMs) => {
    expect(said(looks, stepMs)).toEqual([])
  })

  it('says it of one that is always busy after ten minutes, and again after as many', () => {
    expect(said(times(25, 'busy'))).toEqual([10, 21])
    expect(unansweredMs).toBe(10 * minuteMs)
  })

  it('says for how long', () => {
    const seen = new Unanswering()
    for (let at = 0; at < maxUnanswered - 1; at++) expect(seen.note(one, 'busy', at)).toBeNull()
    expect(seen.note(one, 'busy', unansweredMs + 123)).toBe(unansweredMs + 123)
  })

  it('says it of a silent one when another one has answered since', () => {
    const seen = new Unanswering()
    seen.note(other, 'answered', -minuteMs)
    expect(said(times(20, 'silent'), minuteMs, seen)).toEqual([])
    seen.note(other, 'answered', 20 * minuteMs)
    expect(seen.note(one, 'silent', 21 * minuteMs)).toBe(21 * minuteMs)
  })

  it('ends a silent run by a look that says nothing, not a busy one', () => {
    const seen = new Unanswering()
    const run = (looked: LookedAt) => {
      for (let at = 0; at < 9; at++) seen.note(one, looked, at * minuteMs)
      seen.note(other, 'answered', 9 * minuteMs)
      expect(seen.note(one, null, 9 * minuteMs)).toBeNull()
      return seen.note(one, looked, 10 * minuteMs)
    }
    expect(run('silent')).toBeNull()
    seen.keepOnly(new Set())
    expect(run('busy')).toBe(10 * minuteMs)
  })

  it('begins anew with one that was away', () => {
    const seen = new Unanswering()
    for (let at = 0; at < 10; at++) expect(seen.note(one, 'busy', at * minuteMs)).toBeNull()
    seen.forget(one)
    expect(seen.note(one, 'busy', 30 * minuteMs)).toBeNull()
  })
})
