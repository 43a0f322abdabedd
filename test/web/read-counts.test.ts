import { beforeEach, describe, expect, it } from 'vitest'
import type { BlogName } from '../../src/replication/log/entry.ts'
import type { Place } from '../../src/web/host.ts'
import { ReadCounts } from '../../src/web/read-counts.ts'

const at = (blog: string): Place => ({ kind: 'blog', blog: blog as BlogName })

describe('ReadCounts', () => {
  let nowMs: number
  let kept: Set<string> | null
  let counts: ReadCounts
  const read = (blog: string, times: number) => {
    for (let n = 0; n < times; n++) counts.count(at(blog))
  }
  beforeEach(() => {
    nowMs = 1_000_000
    kept = null
    counts = new ReadCounts({ isKept: (blog) => kept?.has(blog) ?? true, now: () => nowMs })
  })

  it('names blogs that are read at least so often, the most first, and not too many', () => {
    read('few', 9)
    read('some', 10)
    read('many', 30)
    read('ana', 10)
    expect(counts.busiest(10, 5)).toEqual([
      { blog: 'many', reads: 30 },
      { blog: 'ana', reads: 10 },
      { blog: 'some', reads: 10 },
    ])
    expect(counts.busiest(10, 1)).toEqual([{ blog: 'many', reads: 30 }])
  })

  it('tells reads per minute when they come steadily', () => {
    for (let second = 0; second < 600; second++) {
      read('maria', 10)
      nowMs += 1_000
    }
    const [busiest] = counts.busiest(1, 1)
    expect(busiest?.reads).toBeGreaterThan(570)
    expect(busiest?.reads).toBeLessThan(630)
  })

  it('forgets what was read long ago', () => {
    read('maria', 1_000)
    nowMs += 10 * 60_000
    expect(counts.busiest(1, 1)).toEqual([])
  })

  it('counts reads of blogs that this spoke keeps, and of no other host', () => {
    kept = new Set(['ours'])
    read('ours', 3)
    read('theirs', 3)
    for (const place of [
      { kind: 'council' },
      { kind: 'unknown' },
      { kind: 'edit', blog: 'ours' as BlogName, canonical: true },
    ] as const)
      counts.count(place)
    expect(counts.busiest(1, 5)).toEqual([{ blog: 'ours', reads: 3 }])
    kept = new Set()
    expect(counts.busiest(1, 5), 'nor of one that it keeps no more').toEqual([])
  })

  it('counts a bounded number of blogs, and lets those go that nobody reads any more', () => {
    for (let n = 0; n < 1_100; n++) read(`blog-${n}`, 2)
    expect(counts.busiest(1, 2_000)).toHaveLength(1_000)
    nowMs += 5 * 60_000
    read('later', 2)
    expect(counts.busiest(1, 2_000)).toEqual([{ blog: 'later', reads: 2 }])
  })
})
