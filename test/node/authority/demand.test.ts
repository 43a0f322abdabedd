import { describe, expect, it } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import {
  Demand,
  type Demanded,
  type LoadMarks,
  nextDemand,
  readsOf,
} from '../../../src/node/authority/demand.ts'
import { createLogger } from '../../../src/node/logger.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import type { BusyBlog } from '../../../src/replication/registry/heartbeat.ts'
import type { NamedBlog } from '../../../src/replication/registry/names.ts'
import { assignFields, fakeId, peer, replica, TestDisk } from '../../replication/test-council.ts'

const marks: LoadMarks = {
  ...{ busyPerMinute: 1_000, quietPerMinute: 400, mostCopies: 5 },
  ...{ growAfterMs: 10_000, shrinkAfterMs: 60_000 },
}
const wanted = 3
const usual: Demanded = { extra: 0, busySinceMs: null, quietSinceMs: null }

/** Looks a second apart at a blog whose copies come and go at once, as it is wanted. */
function watch(reads: (n: number, second: number) => number, seconds: number, start = usual) {
  let state = start
  const extras: number[] = []
  for (let second = 0; second <= seconds; second++) {
    const copies = wanted + state.extra
    const seen = { reads: reads(copies, second), readers: copies - 1, copies }
    state = nextDemand(state, seen, marks, { wanted, nowMs: second * 1_000 })
    extras.push(state.extra)
  }
  return extras
}

describe('nextDemand', () => {
  it('gives one more copy when each is read so much for so long', () => {
    const extras = watch(() => 1_000, 10)
    expect(extras.slice(0, 10)).toEqual(new Array(10).fill(0))
    expect(extras[10]).toBe(1)
    expect(watch(() => 999, 100).at(-1)).toBe(0)
  })

  it('forgets a rush that is over sooner', () => {
    expect(watch((_, second) => (second % 10 === 9 ? 0 : 5_000), 100).at(-1)).toBe(0)
  })

  it('goes on to the most copies, and no further', () => {
    expect(watch(() => 9_000, 200).at(-1)).toBe(2)
    expect(watch(() => 9_000, 200, { ...usual, extra: 9 })[0], 'set lower since').toBe(2)
  })

  it('waits for a copy that was given before it gives another', () => {
    const state = { ...usual, extra: 1 }
    const seen = { reads: 9_000, readers: 2, copies: 3 }
    expect(nextDemand(state, seen, marks, { wanted, nowMs: 0 }).busySinceMs).toBeNull()
  })

  it('takes one when those left would be read so little for so long, and never below the usual', () => {
    const one = { ...usual, extra: 1 }
    // 3 read copies of 4: at 266 each, the two left would have 399.
    const extras = watch(() => 266, 60, one)
    expect(extras.slice(0, 60)).toEqual(new Array(60).fill(1))
    expect(extras[60]).toBe(0)
    expect(watch(() => 267, 200, one).at(-1)).toBe(1)
    expect(watch(() => 0, 500).at(-1)).toBe(0)
  })

  it('settles: what a blog is read in all never makes it gain and lose copies by turns', () => {
    for (let all = 0; all < 12_000; all += 100) {
      const extras = watch((copies) => all / (copies - 1), 1_000)
      const changes = extras.filter((extra, at) => at > 0 && extra !== extras[at - 1])
      expect(changes.length, `${all} reads`).toBeLessThanOrEqual(2)
      expect(
        extras.toSorted((a, b) => a - b),
        `${all} reads`,
      ).toEqual(extras)
    }
  })

  it('takes the second of two copies, where one alone is read', () => {
    const state = { ...usual, extra: 1, quietSinceMs: 0 }
    const at = { wanted: 1, nowMs: 60_000 }
    const seen = { reads: 399, readers: 1, copies: 2 }
    expect(nextDemand(state, seen, marks, at).extra).toBe(0)
    expect(nextDemand(state, { ...seen, reads: 400 }, marks, at).extra).toBe(1)
  })

  it('takes what nobody is heard to read', () => {
    const state = { ...usual, extra: 1, quietSinceMs: 0 }
    const seen = { reads: 0, readers: 0, copies: 4 }
    expect(nextDemand(state, seen, marks, { wanted, nowMs: 60_000 }).extra).toBe(0)
  })
})

describe('readsOf', () => {
  const reads = (said: Partial<Record<number, number>>, replicas = [1, 2, 3, 4, 5]) =>
    readsOf(
      { primary: peer(replicas[0] as number).peer, replicas: replicas.map(replica) },
      (name) => said[[0, 1, 2, 3, 4, 5].find((n) => peer(n).peer === name) as number] ?? null,
    )

  it('goes by the secondaries, which serve readers, and by the primary where there are none', () => {
    expect(reads({ 1: 9_000, 2: 5, 3: 5, 4: 5, 5: 5 })).toEqual({ reads: 5, readers: 4 })
    expect(reads({ 1: 9_000 }, [1])).toEqual({ reads: 9_000, readers: 1 })
  })

  it('believes nobody who says much more than the others', () => {
    expect(reads({ 2: 1e12, 3: 7, 4: 7, 5: 7 }).reads).toBe(7)
    expect(reads({ 2: 1e12, 3: 7 }, [1, 2, 3]).reads).toBe(7)
  })

  it('leaves out who is not heard', () => {
    expect(reads({ 2: 800, 4: 900, 5: 1_000 })).toEqual({ reads: 900, readers: 3 })
    expect(reads({})).toEqual({ reads: 0, readers: 0 })
  })
})

describe('Demand', () => {
  const maria = 'maria' as BlogName
  const blogs = (n: number) => {
    const replicas = Array.from({ length: n }, (_, at) => replica(at + 1))
    const { kind: _, ...fields } = assignFields({ replicas })
    const named = { ...fields, id: fakeId('ab'), seq: 1, dateMs: 0, acts: [1] } as NamedBlog
    return { blogs: new Map([[maria, named]]) }
  }
  const said = (reads: number, ...peers: number[]) =>
    new Map<PeerName, readonly BusyBlog[]>(
      [1, 2, 3, 4].map((n) => [
        peer(n).peer,
        peers.includes(n)
          ? [
              { blog: maria, reads },
              { blog: 'gone' as BlogName, reads },
            ]
          : [],
      ]),
    )
  const start = async (disk = new TestDisk()) => {
    const log = createLogger('silent').forComponent('council:authority')
    const demand = new Demand({ store: disk.store, marks, log })
    await demand.load()
    return demand
  }
  const at = (seconds: number) => ({ wanted, nowMs: seconds * 1_000 })

  it('wants as many copies as of every blog until spokes say otherwise', async () => {
    const demand = await start()
    expect(demand.wantedOf(maria, 3)).toBe(3)
    for (const second of [0, 5, 10]) await demand.look(blogs(3), said(2_000, 2, 3), at(second))
    expect(demand.wantedOf(maria, 3)).toBe(4)
    expect(demand.wantedOf('other' as BlogName, 3)).toBe(3)
  })

  it('needs the word of more than one of two', async () => {
    const demand = await start()
    for (const second of [0, 20, 40]) await demand.look(blogs(3), said(1e9, 2), at(second))
    expect(demand.wantedOf(maria, 3)).toBe(3)
  })

  it('keeps what it gave over a restart, and takes it back when nobody names the blog any more', async () => {
    const disk = new TestDisk()
    const first = await start(disk)
    for (const second of [0, 10]) await first.look(blogs(3), said(2_000, 2, 3), at(second))
    const second = await start(disk)
    expect(second.wantedOf(maria, 3)).toBe(4)
    for (const later of [100, 159]) await second.look(blogs(4), said(0), at(later))
    expect(second.wantedOf(maria, 3)).toBe(4)
    await second.look(blogs(4), said(0), at(160))
    expect(second.wantedOf(maria, 3)).toBe(3)
    expect((await start(disk)).wantedOf(maria, 3)).toBe(3)
    expect(await disk.rows()).toEqual([])
  })
})
