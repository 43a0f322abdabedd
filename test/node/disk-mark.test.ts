import { statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { describe, expect, it } from 'vitest'
import { markOf, usedPercentOf } from '../../src/node/disk-mark.ts'
import type { DiskMark } from '../../src/replication/registry/heartbeat.ts'

const marks = { newBlogsPercent: 85, copiesPercent: 92, replacePercent: 97 }

describe('markOf', () => {
  it.each<[used: number, before: DiskMark | null, mark: DiskMark | null]>([
    [0, null, null],
    [84.9, null, null],
    [85, null, 'no-new-blogs'],
    [91.9, null, 'no-new-blogs'],
    [92, null, 'no-copies'],
    [97, null, 'replace'],
    [100, null, 'replace'],
    // On the way back two points below.
    [83.1, 'no-new-blogs', 'no-new-blogs'],
    [83.1, null, null],
    [82.9, 'no-new-blogs', null],
    [90.5, 'no-copies', 'no-copies'],
    [89.9, 'no-copies', 'no-new-blogs'],
    [95.5, 'replace', 'replace'],
    [94.9, 'replace', 'no-copies'],
    [83.5, 'replace', 'no-new-blogs'],
    [10, 'replace', null],
  ])('at %s %% used, after %s, is %s', (used, before, mark) => {
    expect(markOf(used, marks, before)).toBe(mark)
  })

  it('takes the highest of marks that are the same', () => {
    const same = { newBlogsPercent: 90, copiesPercent: 90, replacePercent: 90 }
    expect(markOf(90, same, null)).toBe('replace')
    expect(markOf(89, same, null)).toBeNull()
  })
})

describe('usedPercentOf', () => {
  it('counts as df does: what only root may use is nobody’s room', () => {
    expect(usedPercentOf({ blocks: 100, bfree: 30, bavail: 20 })).toBeCloseTo((100 * 70) / 90)
    expect(usedPercentOf({ blocks: 100, bfree: 5, bavail: 0 })).toBe(100)
    expect(usedPercentOf({ blocks: 0, bfree: 0, bavail: 0 })).toBe(100)
  })

  it('reads what the system says', async () => {
    const used = usedPercentOf(await statfs(tmpdir()))
    expect(used).toBeGreaterThanOrEqual(0)
    expect(used).toBeLessThanOrEqual(100)
  })
})
