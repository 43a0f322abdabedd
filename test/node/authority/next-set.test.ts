import { describe, expect, it } from 'vitest'
import type { NextSet } from '../../../src/node/authority/next-act.ts'
import {
  finishOf,
  type Need,
  needOf,
  type Order,
  type Standing,
  type View,
} from '../../../src/node/authority/next-set.ts'
import type { Replica } from '../../../src/replication/log/peer-text.ts'
import { signAct } from '../../../src/replication/registry/sign-act.ts'
import {
  assignFields,
  fakeId,
  must,
  peer,
  replica,
  startMs,
} from '../../replication/test-council.ts'

/** A council of spokes 1 to `spokes`, all live but those named otherwise. */
function view(
  standing: Partial<Record<number, Standing>> = {},
  { spokes = 4, wanted = 3, order = null }: Partial<Council> = {},
): View {
  const all = Array.from({ length: spokes }, (_, at) => replica(at + 1))
  const standingOf = ({ peer: name, store }: Replica): Standing => {
    const at = all.findIndex((each) => each.peer === name)
    if (at < 0 || all[at]?.store !== store) return 'gone'
    return standing[at + 1] ?? 'live'
  }
  return {
    ...{ standingOf, wanted, order, nameOf: (name) => `s${numberOf(name)}` },
    leave: (replicas, primary, n) =>
      replicas
        .map(({ peer: name }) => name)
        .filter((name) => name !== primary)
        .slice(Math.max(n, 1) - 1),
    fill: (stay, n) => {
      const free = all.filter(
        (each, at) =>
          (standing[at + 1] ?? 'live') === 'live' && !stay.some(({ peer: p }) => p === each.peer),
      )
      return { added: free.slice(0, Math.max(0, n - stay.length)), unmet: null }
    },
  }
}
type Council = { spokes: number; wanted: number; order: Order | null }
const numberOf = (name: string) => [0, 1, 2, 3, 4, 5].find((n) => peer(n).peer === name)

const blogOn = (...numbers: number[]) =>
  assignFields({ replicas: numbers.map(replica), primary: peer(numbers[0] as number).peer })
/** The next set in numbers, the learners, and who leads; null: whoever holds most. */
function stepOf(...[blog, council]: Parameters<typeof needOf>) {
  const need = needOf(blog, council)
  if (need === null) return null
  const numbers = (some: readonly Replica[]) => some.map(({ peer: name }) => numberOf(name))
  const { replicas, primary } = need.next
  const lead = primary === null ? null : numberOf(primary)
  return { set: numbers(replicas), lead, learn: numbers(need.learners), planned: need.isPlanned }
}
const orderTo = (n: number): Order => ({
  ...{ primary: replica(n), reason: 'the operator asked for it', evidence: null },
})

describe('needOf', () => {
  it.each<[string, ReturnType<typeof blogOn>, View]>([
    ['all live', blogOn(1, 2, 3), view()],
    ['the primary is silent, not given up', blogOn(1, 2, 3), view({ 1: 'silent' })],
    ['a secondary is silent', blogOn(1, 2, 3), view({ 2: 'silent' })],
    ['a secondary went out of DNS a moment ago', blogOn(1, 2, 3), view({ 2: 'away' })],
    [
      'a secondary is gone, and nobody can take its place',
      blogOn(1, 2, 3),
      view({ 2: 'gone' }, { spokes: 3 }),
    ],
    ['the only replica is gone', blogOn(1), view({ 1: 'gone' })],
    ['too few live to end the act', blogOn(1, 2, 3), view({ 2: 'gone', 3: 'gone' })],
    ['there is no further spoke', blogOn(1, 2), view({}, { spokes: 2 })],
    ['a drained spoke cannot be done without', blogOn(1, 2), view({ 2: 'leaving' }, { spokes: 2 })],
    ['the only replica is drained', blogOn(1), view({ 1: 'leaving' }, { spokes: 1, wanted: 1 })],
    ['the order is carried out', blogOn(1, 2, 3), view({}, { order: orderTo(1) })],
  ])('asks for nothing: %s', (_, blog, council) => {
    expect(stepOf(blog, council)).toBeNull()
  })

  it('lets another replica lead when the primary is out, with the same replicas', () => {
    const step = { set: [1, 2, 3], lead: null, learn: [], planned: false }
    expect(stepOf(blogOn(1, 2, 3), view({ 1: 'away' }))).toEqual(step)
    expect(stepOf(blogOn(1, 2, 3), view({ 1: 'gone' }))).toEqual(step)
  })

  it('goes on with one of two, whichever of them is lost', () => {
    const alone = { spokes: 2 }
    expect(stepOf(blogOn(1, 2), view({ 1: 'away' }, alone))).toMatchObject({ set: [2], lead: null })
    expect(stepOf(blogOn(1, 2), view({ 2: 'away' }, alone))).toMatchObject({ set: [1], lead: 1 })
  })

  it('replaces at once the one without which nothing is published', () => {
    const step = { set: [1, 3, 4], lead: 1, learn: [3, 4], planned: false }
    expect(stepOf(blogOn(1, 2), view({ 2: 'away' }))).toEqual(step)
  })

  it('replaces one that is gone by one that has copied first', () => {
    const step = { set: [1, 3, 4], lead: 1, learn: [4], planned: false }
    expect(stepOf(blogOn(1, 2, 3), view({ 2: 'gone' }))).toEqual(step)
  })

  it('takes a spoke that lost its disk as a new replica', () => {
    const blog = assignFields({
      replicas: [replica(1), { ...replica(2), store: replica(5).store }],
    })
    expect(stepOf(blog, view({}, { spokes: 2 }))).toMatchObject({ set: [1, 2], learn: [2] })
  })

  it('adds copies up to the wanted number', () => {
    expect(stepOf(blogOn(1), view({}, { spokes: 2 }))).toEqual({
      ...{ set: [1, 2], lead: 1, learn: [2], planned: true },
    })
    expect(stepOf(blogOn(1, 2), view())).toMatchObject({ set: [1, 2, 3], learn: [3] })
  })

  it('leaves out copies beyond the wanted number, never the primary', () => {
    expect(stepOf(blogOn(3, 1, 2, 4), view())).toMatchObject({ set: [3, 1, 2], lead: 3, learn: [] })
  })

  it('moves everything away from a drained spoke', () => {
    expect(stepOf(blogOn(1, 2, 3), view({ 2: 'leaving' }))).toMatchObject({
      ...{ set: [1, 3, 4], lead: 1, learn: [4], planned: true },
    })
    expect(stepOf(blogOn(1, 2, 3), view({ 1: 'leaving' }))).toMatchObject({
      ...{ set: [2, 3, 4], lead: null, learn: [4] },
    })
    expect(stepOf(blogOn(1, 2, 3), view({ 1: 'leaving' }, { spokes: 3 }))).toMatchObject({
      ...{ set: [2, 3], lead: null, learn: [] },
    })
  })

  it('replaces a full spoke where another has room, and else keeps it', () => {
    expect(stepOf(blogOn(1, 2, 3), view({ 2: 'full' }))).toEqual({
      ...{ set: [1, 3, 4], lead: 1, learn: [4], planned: true },
    })
    expect(stepOf(blogOn(1, 2, 3), view({ 2: 'full' }, { spokes: 3 }))).toBeNull()
    expect(stepOf(blogOn(1, 2, 3), view({ 2: 'full', 3: 'full' }))).toMatchObject({
      ...{ set: [1, 3, 4], learn: [4] },
    })
    // A drained one goes all the same.
    expect(stepOf(blogOn(1, 2, 3), view({ 1: 'full', 2: 'leaving' }, { spokes: 3 }))).toMatchObject(
      {
        set: [1, 3],
      },
    )
  })

  it('lets lead whom an order names, a replica or a spoke that copies first', () => {
    expect(stepOf(blogOn(1, 2, 3), view({}, { order: orderTo(3) }))).toEqual({
      ...{ set: [1, 2, 3], lead: 3, learn: [], planned: true },
    })
    expect(stepOf(blogOn(1, 2, 3), view({}, { order: orderTo(4) }))).toEqual({
      ...{ set: [2, 3, 4], lead: 4, learn: [4], planned: true },
    })
  })

  it('says in the act why', () => {
    const reasonOf = (...args: Parameters<typeof needOf>) => needOf(...args)?.next.reason
    expect(reasonOf(blogOn(1, 2, 3), view({ 1: 'away' }))).toBe('s1, which took the writes, is out')
    expect(reasonOf(blogOn(1, 2, 3), view({ 2: 'gone' }))).toBe(
      's2, which is gone, is replaced by s4',
    )
    expect(reasonOf(blogOn(1, 2), view())).toBe('s3 keeps a copy from now on')
  })

  it.each([296, 297, 298, 299, 300])(
    'says it in words that an act can carry, also where a character of two units is cut: at %i',
    (length) => {
      const order = { ...orderTo(4), reason: `${'a'.repeat(length)}😀😀` }
      const { next } = needOf(blogOn(1, 2, 3), view({}, { order })) as Need
      const head = { seq: 4, id: fakeId('ab') }
      const council = `blogs.localhost/${fakeId('5f')}`
      const position = { council, log: '@names', head, roster: head }
      const decision = { ...assignFields(), reason: next.reason }
      const { act } = must(signAct(peer(0), { ...position, dateMs: startMs }, decision as never))
      expect((act.decision as { reason: string }).reason).toBe(next.reason)
      expect(next.reason.startsWith('a'.repeat(length))).toBe(true)
    },
  )
})

describe('finishOf', () => {
  const wanted: NextSet = {
    ...{ replicas: [replica(1), replica(3), replica(4)], primary: peer(1).peer },
    ...{ reason: 's2 is drained', unmet: null, evidence: null },
  }

  it('goes on with what was wanted when it was sealed', () => {
    expect(finishOf(blogOn(1, 2, 3), wanted, view({ 2: 'leaving' }))).toEqual(wanted)
  })

  it.each<[string, View, number[]]>([
    ['the primary', view({ 1: 'away' }), [1, 2, 3]],
    ['the spoke that copied', view({ 4: 'silent' }), [1, 2, 3]],
  ])('takes the same replicas when it lost %s meanwhile', (_, council, set) => {
    expect(finishOf(blogOn(1, 2, 3), wanted, council)).toMatchObject({
      ...{ replicas: set.map(replica), primary: null, reason: wanted.reason },
    })
  })

  it('takes those of two that live', () => {
    const both = { ...wanted, replicas: [replica(1), replica(2)], primary: peer(1).peer }
    expect(finishOf(blogOn(1, 2), both, view({ 1: 'away' })).replicas).toEqual([replica(2)])
  })
  it('takes who is back where the only one that was wanted has lost its store since', () => {
    const alone = { ...wanted, replicas: [replica(2)], primary: null }
    const both = blogOn(1, 2)
    expect(finishOf(both, alone, view({ 1: 'away' }))).toEqual(alone)
    expect(finishOf(both, alone, view({ 2: 'gone' })).replicas).toEqual([replica(1)])
  })
})
