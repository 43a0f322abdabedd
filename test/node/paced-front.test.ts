import { describe, expect, it } from 'vitest'
import { PacedFront } from '../../src/node/paced-front.ts'
import type { CouncilPost, Coverage, Front } from '../../src/web/spoke.ts'

/** A source that can be changed, made to fail, and made to wait. */
function source() {
  const state = {
    mark: 0,
    atMs: null as number | null,
    nowMs: 1_000_000,
    made: 0,
    fails: false,
    shown: 'a',
  }
  let gate: Promise<void> = Promise.resolve()
  const paced = new PacedFront({
    look: () => ({ mark: String(state.mark), atMs: state.atMs }),
    now: () => state.nowMs,
    make: async () => {
      state.made += 1
      const { shown } = state
      await gate
      if (state.fails) throw new Error('no disk')
      const posts = [{ title: shown } as CouncilPost]
      return { posts, coverage: coverageOf(state.atMs) }
    },
  })
  const change = (shown: string) => {
    state.mark += 1
    state.shown = shown
  }
  /** From now on a front is made only when the answer is called. */
  const hold = () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    gate = promise
    return async () => {
      gate = Promise.resolve()
      resolve()
      // What waits behind the gate has its turn.
      await new Promise(setImmediate)
    }
  }
  return { state, paced, change, hold }
}
const coverageOf = (atMs: number | null): Coverage =>
  atMs === null
    ? { kind: 'own', reason: 'x' }
    : { kind: 'council', spokes: 5, of: 5, blogs: 1, by: 'b', atMs }
const titleOf = (front: Front | Promise<Front>) =>
  front instanceof Promise ? 'waits' : front.posts[0]?.title

describe('PacedFront', () => {
  it('is made once for everybody who asks first', async () => {
    const { state, paced } = source()
    const fronts = await Promise.all(Array.from({ length: 50 }, () => paced.get()))
    expect([state.made, new Set(fronts).size]).toEqual([1, 1])
    expect(titleOf(paced.get())).toBe('a')
  })

  it('is not made again while nothing changes, however long that is', async () => {
    const { state, paced } = source()
    await paced.get()
    for (let hour = 0; hour < 10; hour++) {
      state.nowMs += 3_600_000
      expect(titleOf(paced.get())).toBe('a')
    }
    expect(state.made).toBe(1)
  })

  it('is made at most every 250 ms while posts arrive, and nobody waits for it', async () => {
    const { state, paced, change } = source()
    await paced.get()
    let waited = 0
    for (let ms = 0; ms < 10_000; ms += 5) {
      state.nowMs += 5
      change(`post ${ms}`)
      if (titleOf(paced.get()) === 'waits') waited += 1
      await new Promise(setImmediate)
    }
    expect(state.made).toBeLessThanOrEqual(41)
    expect(state.made).toBeGreaterThan(35)
    expect(waited).toBe(0)
  })

  it('shows what changed with the next question after 250 ms', async () => {
    const { state, paced, change } = source()
    await paced.get()
    change('b')
    state.nowMs += 100
    expect(titleOf(paced.get())).toBe('a')
    state.nowMs += 150
    expect(titleOf(paced.get())).toBe('a')
    await new Promise(setImmediate)
    expect(titleOf(paced.get())).toBe('b')
  })

  it('lets who comes after a quiet hour wait, rather than see what was there before', async () => {
    const { state, paced, change } = source()
    await paced.get()
    change('b')
    state.nowMs += 3_600_000
    expect((await paced.get()).posts[0]?.title).toBe('b')
  })

  it('lets readers wait when making takes longer than a second, and makes one at a time', async () => {
    const { state, paced, change, hold } = source()
    await paced.get()
    const go = hold()
    change('b')
    state.nowMs += 250
    expect(titleOf(paced.get())).toBe('a')
    change('c')
    state.nowMs += 700
    expect(titleOf(paced.get())).toBe('a')
    state.nowMs += 100
    const late = paced.get()
    expect(titleOf(late)).toBe('waits')
    expect(state.made).toBe(2)
    await go()
    expect((await late).posts[0]?.title).toBe('b')
  })

  it('does not miss what changes while it is made', async () => {
    const { state, paced, change, hold } = source()
    const go = hold()
    const first = paced.get()
    change('b')
    await go()
    expect((await first).posts[0]?.title).toBe('a')
    state.nowMs += 250
    void paced.get()
    await new Promise(setImmediate)
    expect(titleOf(paced.get())).toBe('b')
  })

  it('keeps its version when what changed does not show', async () => {
    const { state, paced, change } = source()
    const before = await paced.get()
    change('a')
    state.nowMs += 10_000
    expect(await paced.get()).toBe(before)
    change('b')
    state.nowMs += 10_000
    expect((await paced.get()).version).not.toBe(before.version)
    expect(state.made).toBe(3)
  })

  it('tells when its posts were gathered last, without being made or versioned anew', async () => {
    const { state, paced, change } = source()
    const atMs = async () => {
      const { coverage } = await paced.get()
      return coverage.kind === 'council' ? coverage.atMs : null
    }
    state.atMs = 5_000
    const { version } = await paced.get()
    for (const gatheredMs of [5_000, 10_000, 15_000]) {
      state.atMs = gatheredMs
      expect(await atMs()).toBe(gatheredMs)
    }
    expect([state.made, (await paced.get()).version]).toEqual([1, version])
    // The posts in memory are those of before: the time of what has come since is not theirs.
    change('b')
    state.atMs = 20_000
    expect(await atMs()).toBe(15_000)
    state.nowMs += 250
    void paced.get()
    await new Promise(setImmediate)
    expect(await atMs()).toBe(20_000)
  })

  it('shows what it has when it cannot be made, for a second, and tries again', async () => {
    const { state, paced, change } = source()
    state.fails = true
    await expect(paced.get()).rejects.toThrow('no disk')
    state.fails = false
    expect((await paced.get()).posts[0]?.title).toBe('a')
    state.fails = true
    change('b')
    state.nowMs += 250
    expect(titleOf(paced.get())).toBe('a')
    await new Promise(setImmediate)
    state.nowMs += 1_000
    await expect(paced.get()).rejects.toThrow('no disk')
    state.fails = false
    state.nowMs += 250
    expect((await paced.get()).posts[0]?.title).toBe('b')
  })
})
