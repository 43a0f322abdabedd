import { describe, expect, it } from 'vitest'
import { BucketTurns, maxOthers } from '../../../src/replication/aggregation/bucket-turns.ts'
import { manifestBuckets } from '../../../src/replication/aggregation/manifest.ts'
import { peer } from '../test-council.ts'

const [first, second] = [peer(1).peer, peer(2).peer]
const all = Array.from({ length: manifestBuckets }, (_, at) => at)

describe('BucketTurns', () => {
  it('gives each bucket its turn at each peer, though others are looked at between', () => {
    const turns = new BucketTurns()
    const taken = new Set<number>()
    for (let look = 0; look < manifestBuckets / maxOthers; look++) {
      for (const at of turns.take(first, all)) taken.add(at)
      turns.take(second, all.slice(0, 3))
    }
    expect([...taken].sort((a, b) => a - b)).toEqual(all)
  })

  it('gives all at once that fit in one look', () => {
    const turns = new BucketTurns()
    turns.take(first, all)
    const few = all.slice(10, 10 + maxOthers)
    expect(new Set(turns.take(first, few))).toEqual(new Set(few))
  })

  it('goes round, and begins anew with one that it has forgotten', () => {
    const turns = new BucketTurns()
    const some = all.slice(0, maxOthers + 1)
    expect(turns.take(first, some)).toEqual(some.slice(0, -1))
    expect(turns.take(first, some)).toEqual([maxOthers, ...some.slice(0, maxOthers - 1)])
    turns.forget(first)
    expect(turns.take(first, some)).toEqual(some.slice(0, -1))
  })
})
