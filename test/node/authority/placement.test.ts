import { describe, expect, it } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import { Copies } from '../../../src/node/authority/copies.ts'
import {
  candidatesOf,
  fillSet,
  leaveSet,
  placeBlog,
  placeClaim,
} from '../../../src/node/authority/placement.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import type { MemberRecord } from '../../../src/replication/registry/act.ts'
import type { DiskMark } from '../../../src/replication/registry/heartbeat.ts'
import type { Member } from '../../../src/replication/registry/roster.ts'
import { member } from '../../replication/test-council.ts'
import { type Random, randomOf } from '../../support/simulation/random.ts'

type Change = Partial<MemberRecord & Member>
const spoke = (n: number, change: Change = {}): Member => ({
  ...member(0, { web: [`http://10.${n}.0.1:80`] }),
  ...{ peer: `peer${String(n).padStart(4, '0')}` as PeerName, name: `s${n}`, operator: `o${n}` },
  ...{ away: false, cutOff: false, ...change },
})
const namesOf = (members: readonly Member[]) => members.map(({ name }) => name)
const place = (primary: Member, others: Member[], n = 3, copies = new Copies()) => {
  const { replicas, unmet } = placeBlog(primary, others, n, copies)
  return { names: namesOf(replicas), unmet }
}
const peersOf = (members: readonly Member[]) => members.map(({ peer }) => peer)
let blogs = 0
const blogOf = () => `blog-${blogs++}` as BlogName
/** `count` blogs on each of these sets */
const kept = (...sets: [count: number, ...members: Member[]][]) => {
  const copies = new Copies()
  for (const [count, ...members] of sets)
    for (let n = 0; n < count; n++) copies.set(blogOf(), peersOf(members))
  return copies
}

describe('placeBlog', () => {
  it('names the primary first, never twice, and as many as were wanted', () => {
    const { names } = place(spoke(1), [spoke(1), spoke(2), spoke(3), spoke(4)])
    expect(names[0]).toBe('s1')
    expect(new Set(names).size).toBe(3)
  })

  it('names fewer where there are fewer', () => {
    expect(place(spoke(1), []).names).toEqual(['s1'])
    expect(place(spoke(1), [spoke(2)]).names).toEqual(['s1', 's2'])
  })

  it('gives the same answer for the same roster in any order', () => {
    const others = [2, 3, 4, 5, 6].map((n) => spoke(n))
    expect(place(spoke(1), others)).toEqual(place(spoke(1), others.toReversed()))
  })

  it.each<[string, Change, Change]>([
    ['another operator', { operator: 'one' }, { operator: 'one' }],
    ['another /16', { web: ['http://10.1.0.9:80'] }, { web: ['http://10.1.7.9:80'] }],
    [
      'another /48',
      { web: ['http://[2001:db8:1::1]:80'] },
      { web: ['http://[2001:db8:1:9::1]:80'] },
    ],
    ['another network by its own word', { network: 'AS1' }, { network: 'AS1' }],
    ['another country', { country: 'ES' }, { country: 'ES' }],
  ])('prefers a spoke with %s', (_, primary, alike) => {
    const others = [spoke(2, alike), spoke(3), spoke(4)]
    const { names, unmet } = place(spoke(1, primary), others)
    expect(new Set(names)).toEqual(new Set(['s1', 's3', 's4']))
    expect(unmet).toBeNull()
  })

  it('says which wishes could not be met', () => {
    const same = { operator: 'one', country: 'ES' }
    const { names, unmet } = place(spoke(1, same), [spoke(2, same)])
    expect(names).toEqual(['s1', 's2'])
    expect(unmet).toBe('not all different: operator, country')
  })

  it('takes two spokes of no known country for no wish unmet', () => {
    expect(place(spoke(1), [spoke(2)]).unmet).toBeNull()
  })

  it('gives up the country before the network, and the network before the operator', () => {
    const primary = spoke(1, { operator: 'one', network: 'AS1', country: 'ES' })
    const operator = spoke(2, { operator: 'one' })
    const network = spoke(3, { network: 'AS1' })
    const country = spoke(4, { country: 'ES' })
    expect(place(primary, [operator, network, country], 2).names).toEqual(['s1', 's4'])
    expect(place(primary, [operator, network], 2).names).toEqual(['s1', 's3'])
  })

  it('prefers spokes with fewer copies among equals', () => {
    const copies = kept([90, spoke(2)], [2, spoke(3)])
    expect(place(spoke(1), [spoke(2), spoke(3)], 2, copies).names).toEqual(['s1', 's3'])
  })

  it('takes a set again that keeps blogs already', () => {
    const spokes = [1, 2, 3, 4, 5].map((n) => spoke(n))
    const [first, , , fourth, fifth] = spokes as [Member, Member, Member, Member, Member]
    const copies = kept([1, first, fourth, fifth])
    expect(new Set(place(first, spokes, 3, copies).names)).toEqual(new Set(['s1', 's4', 's5']))
  })

  it('makes a new set when the known one keeps much more than others, or one of it is no candidate', () => {
    const spokes = [1, 2, 3, 4, 5].map((n) => spoke(n))
    const [first, second, third, fourth, fifth] = spokes as [Member, Member, Member, Member, Member]
    const full = kept([40, first, fourth, fifth])
    expect(new Set(place(first, spokes, 3, full).names)).toEqual(new Set(['s1', 's2', 's3']))
    const few = kept([1, first, fourth, fifth])
    const { names } = place(first, [second, third, fourth], 3, few)
    expect(names).not.toContain('s5')
    expect(names).toHaveLength(3)
  })

  it('does not take a known set again that meets fewer wishes than another one would', () => {
    const alike = spoke(2, { operator: 'o1' })
    const known = kept([1, spoke(1), alike, spoke(3)])
    const { names } = place(spoke(1), [alike, spoke(3), spoke(4)], 3, known)
    expect(new Set(names)).toEqual(new Set(['s1', 's3', 's4']))
  })

  it('meets all wishes whenever some set does, though not by taking the best one by one', () => {
    const primary = spoke(1)
    const dead = spoke(2, { operator: 'b', network: 'X' })
    const others = [dead, spoke(3, { operator: 'c', network: 'X' }), spoke(4, { operator: 'b' })]
    const { names, unmet } = place(primary, others)
    expect(new Set(names)).toEqual(new Set(['s1', 's3', 's4']))
    expect(unmet).toBeNull()
  })

  it('meets all wishes whenever some set does: 400 small rosters, each set looked at', () => {
    const random = randomOf(1, 'small rosters')
    let met = 0
    for (let run = 0; run < 400; run++) {
      const spokes = Array.from({ length: random.between(3, 9) }, (_, n) => varied(n, random, 4))
      const primary = spokes[0] as Member
      const isPossible = pairsOf(spokes.slice(1)).some((pair) => areDifferent([primary, ...pair]))
      if (isPossible) met++
      expect(place(primary, spokes).unmet === null).toBe(isPossible)
    }
    expect(met).toBeGreaterThan(50)
    expect(met).toBeLessThan(350)
  })
})

describe('placeClaim', () => {
  const spokes = [1, 2, 3, 4, 5].map((n) => spoke(n))
  const claim = (
    marks: Readonly<Record<string, DiskMark>>,
    { live = spokes, copies = new Copies() } = {},
  ) => {
    const mark = (peer: PeerName) =>
      marks[spokes.find((each) => each.peer === peer)?.name ?? ''] ?? null
    const placed = placeClaim({ via: spokes[0] as Member, live, mark, n: 3, copies })
    return placed === null ? null : namesOf(placed.replicas)
  }

  it('lets the spoke lead the blog at which it was claimed', () => {
    expect(claim({})?.[0]).toBe('s1')
    expect(claim({}, { live: [] })).toEqual(['s1'])
  })

  it.each<DiskMark>(['no-new-blogs', 'no-copies', 'replace'])(
    'gives a blog claimed at a spoke that is over the mark %s to the emptiest with room',
    (mark) => {
      const [, second, third] = spokes as [Member, Member, Member]
      const copies = kept([5, second], [2, third], [3, ...spokes.slice(3)])
      const placed = claim({ s1: mark }, { copies })
      expect(placed?.[0]).toBe('s3')
      expect(placed).toHaveLength(3)
      expect(placed).not.toContain('s1')
    },
  )

  it('places no copy of a new blog over a mark while there are others', () => {
    expect(claim({ s2: 'no-new-blogs', s3: 'no-copies' })?.toSorted()).toEqual(['s1', 's4', 's5'])
  })

  it('takes spokes over the first mark for copies when there are too few others, and no more', () => {
    const marks = {
      s1: 'no-new-blogs',
      s2: 'no-copies',
      s3: 'replace',
      s4: 'no-new-blogs',
    } as const
    const placed = claim(marks)
    expect(placed?.[0]).toBe('s5')
    expect(placed?.toSorted()).toEqual(['s1', 's4', 's5'])
  })

  it('places nothing when no spoke has room', () => {
    const marks = { s1: 'no-new-blogs', s2: 'no-new-blogs', s3: 'replace' } as const
    expect(claim(marks, { live: spokes.slice(0, 3) })).toBeNull()
  })
})

describe('fillSet', () => {
  const spokes = [1, 2, 3, 4, 5, 6].map((n) => spoke(n))
  const [first, second, third] = spokes as [Member, Member, Member]
  const copies = new Copies()

  it('adds as many as are missing to those that stay, and none that is among them', () => {
    const { added } = fillSet({ stay: [first, second], candidates: spokes, n: 5, copies })
    expect(namesOf(added)).toHaveLength(3)
    expect(namesOf(added)).not.toContain('s1')
    expect(namesOf(added)).not.toContain('s2')
  })

  it('adds nobody where nobody is missing, or there is no candidate', () => {
    const stay = [first, second, third]
    expect(fillSet({ stay, candidates: spokes, n: 3, copies }).added).toEqual([])
    expect(fillSet({ stay, candidates: spokes, n: 1, copies }).added).toEqual([])
    expect(fillSet({ stay, candidates: [first, second], n: 5, copies }).added).toEqual([])
  })

  it('keeps those that stay though they are no candidates, and minds what they have in common', () => {
    const stay = [spoke(7, { country: 'ES' }), spoke(8)]
    const candidates = [spoke(9, { country: 'ES' }), spoke(10)]
    const { added, unmet } = fillSet({ stay, candidates, n: 3, copies })
    expect(namesOf(added)).toEqual(['s10'])
    expect(unmet).toBeNull()
  })

  it('tells of a wish that those who stay do not meet', () => {
    const stay = [spoke(7, { country: 'ES' }), spoke(8, { country: 'ES' })]
    expect(fillSet({ stay, candidates: [spoke(9)], n: 3, copies }).unmet).toBe(
      'not all different: country',
    )
  })

  it('fills to a set that keeps blogs already', () => {
    const known = kept([1, first, second, spokes[5] as Member])
    const { added } = fillSet({ stay: [second, first], candidates: spokes, n: 3, copies: known })
    expect(namesOf(added)).toEqual(['s6'])
  })
})

describe('leaveSet', () => {
  const spokes = [1, 2, 3, 4, 5].map((n) => spoke(n))
  const [first, second, third, fourth] = spokes as [Member, Member, Member, Member]
  const leave = (replicas: readonly Member[], n: number, change: { candidates?: Member[] } = {}) =>
    namesOf(
      leaveSet({
        ...{ replicas, primary: first.peer, candidates: spokes, n, copies: kept([5, third]) },
        ...change,
      }),
    )

  it('lets nobody leave while there are not too many, and never the primary', () => {
    expect(leave([first, second, third], 3)).toEqual([])
    expect(leave([first, second, third], 0).sort()).toEqual(['s2', 's3'])
  })

  it('lets go first who is no candidate any more', () => {
    expect(leave([first, second, third], 2, { candidates: [first, third] })).toEqual(['s2'])
  })

  it('lets go who has something in common with another', () => {
    const alike = spoke(9, { operator: fourth.operator })
    expect(leave([first, third, alike, fourth], 3)).not.toEqual(['s3'])
  })

  it('lets go who keeps most copies among equals', () => {
    expect(leave([first, second, third, fourth], 3)).toEqual(['s3'])
  })
})

const rosters: [string, (n: number) => Member][] = [
  ['all different', (n) => spoke(n)],
  ['one operator with 16 of 50', (n) => spoke(n, n < 16 ? { operator: 'one' } : {})],
  [
    'ten operators, seven networks, four countries',
    (n) =>
      spoke(n, {
        operator: `o${n % 10}`,
        web: [`http://10.${n % 7}.0.1:80`],
        country: ['ES', 'DE', 'FR', 'IT'][n % 4] as string,
      }),
  ],
  ['all of one operator and country', (n) => spoke(n, { operator: 'one', country: 'ES' })],
]

describe.each(rosters)('placement of 1,000 blogs on 50 spokes, %s', (_, make) => {
  /** a council in which blogs are claimed at spokes chosen by chance */
  const council = (seed: number) => {
    const random = randomOf(seed, 'claims')
    const copies = new Copies()
    let spokes = Array.from({ length: 50 }, (_each, n) => make(n))
    const kept = new Map<BlogName, readonly Member[]>()
    const keep = (blog: BlogName, members: readonly Member[]) => {
      kept.set(blog, members)
      copies.set(blog, peersOf(members))
    }
    return {
      claim(count: number) {
        for (let n = 0; n < count; n++)
          keep(blogOf(), placeBlog(random.pick(spokes), spokes, 3, copies).replicas)
      },
      leave(count: number) {
        const gone = new Set(spokes.slice(0, count))
        spokes = spokes.slice(count)
        for (const [blog, replicas] of kept) {
          const stay = replicas.filter((each) => !gone.has(each))
          if (stay.length === 3 || stay.length === 0) continue
          keep(blog, [...stay, ...fillSet({ stay, candidates: spokes, n: 3, copies }).added])
        }
      },
      join(count: number) {
        spokes = [...spokes, ...Array.from({ length: count }, (_each, n) => make(100 + n))]
      },
      /** least and most copies of a spoke, as parts of the mean */
      spread() {
        const counts = spokes.map(({ peer }) => copies.of(peer))
        const mean = counts.reduce((sum, each) => sum + each, 0) / counts.length
        return { least: Math.min(...counts) / mean, most: Math.max(...counts) / mean }
      },
      /** share of all triples that hold all copies of some blog */
      triples() {
        const sets = new Set([...kept.values()].map((each) => namesOf(each).sort().join(' ')))
        const n = spokes.length
        return sets.size / ((n * (n - 1) * (n - 2)) / 6)
      },
    }
  }
  const expectBalanced = ({ least, most }: { least: number; most: number }) => {
    expect(least).toBeGreaterThan(0.8)
    expect(most).toBeLessThan(1.2)
  }

  it('keeps each spoke within 20 % of the mean, also after spokes left and joined', () => {
    for (const seed of [1, 2, 3]) {
      const { claim, leave, join, spread } = council(seed)
      claim(1_000)
      expectBalanced(spread())
      leave(5)
      expectBalanced(spread())
      join(5)
      claim(1_000)
      expectBalanced(spread())
    }
  })

  it('lets less than 1 of 100 losses of three spokes at once take all copies of a blog', () => {
    const { claim, leave, join, triples } = council(4)
    claim(1_000)
    expect(triples()).toBeLessThan(0.006)
    leave(5)
    join(5)
    claim(1_000)
    expect(triples()).toBeLessThan(0.01)
  })
})

describe('candidatesOf', () => {
  it('leaves out who is cut off, away, may not take more, or is no spoke', () => {
    const members = [
      spoke(1),
      spoke(2, { cutOff: true }),
      spoke(3, { away: true }),
      spoke(4),
      spoke(5, { roles: ['dns', 'authority'] }),
      spoke(6, { web: [] }),
    ]
    const given = candidatesOf(members, ({ peer }) => peer !== spoke(4).peer)
    expect(namesOf(given)).toEqual(['s1', 's6'])
  })
})

/** A spoke with some operator, network and country of `kinds` each. */
const varied = (n: number, random: Random, kinds: number): Member =>
  spoke(n, {
    operator: `o${random.between(1, kinds)}`,
    web: random.chance(0.2) ? [] : [`http://10.${random.between(1, kinds)}.0.1:80`],
    country: random.chance(0.3) ? null : `C${random.between(1, kinds)}`,
  })

function pairsOf(members: readonly Member[]): [Member, Member][] {
  return members.flatMap((a, at) => members.slice(at + 1).map((b): [Member, Member] => [a, b]))
}

/** By the words of the design, written down once more: all operators, networks and countries differ. */
function areDifferent(members: readonly Member[]): boolean {
  const traits = [
    members.map(({ operator }) => operator),
    members.flatMap(({ web }) => web.map((url) => url.split('.').slice(0, 2).join('.'))),
    members.flatMap(({ country }) => (country === null ? [] : [country])),
  ]
  return traits.every((values) => new Set(values).size === values.length)
}
