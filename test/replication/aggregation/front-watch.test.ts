import { describe, expect, it } from 'vitest'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { FrontCouncil, logs } from './front-council.ts'

const cycleMs = 10_000
const seeds = (count: number) => Array.from({ length: count }, (_, seed) => seed + 1)
const nameOf = (blog: number) => `blog-${blog}` as BlogName

/** Entries come now and then, on any blog, for so long. */
async function write(council: FrontCouncil, forMs: number, everyMs: number): Promise<void> {
  const untilMs = council.clock.now() + forMs
  while (council.clock.now() < untilMs) {
    council.publish(council.random.between(0, logs.length - 1))
    await council.clock.wait(council.random.between(1, 2 * everyMs))
  }
}

/** What happens to a council of honest peers in one run. */
const weathers = {
  'while much is written': async (council: FrontCouncil) => {
    await write(council, 30_000, 100)
  },
  'while streams and messages are late': async (council: FrontCouncil) => {
    council.frameDelayMs = 4_000
    council.network.weather = { loss: 0.05, duplicates: 0.05, minMs: 5, maxMs: 1_500 }
    await write(council, 40_000, 500)
  },
  'while changes take up to eleven seconds': async (council: FrontCouncil) => {
    council.frameDelayMs = 11_000
    await write(council, 40_000, 200)
  },
  'while an aggregator cannot keep up and says so': async (council: FrontCouncil) => {
    for (let round = 0; round < 2; round++) {
      const n = council.random.pick(council.inner)
      council.stalledMs.set(n, council.clock.now() + council.random.between(15_000, 25_000))
      await write(council, 30_000, 200)
    }
  },
  'while aggregators are killed and come back': async (council: FrontCouncil) => {
    for (let round = 0; round < 2; round++) {
      const n = council.random.pick(council.inner)
      council.kill(n)
      await write(council, council.random.between(1_000, 15_000), 200)
      await council.startPeer(n)
      await write(council, 10_000, 200)
    }
  },
  'while aggregators are stopped and go on': async (council: FrontCouncil) => {
    for (let round = 0; round < 2; round++) {
      const { life } = council.peer(council.random.pick(council.inner))
      life.stop()
      await write(council, council.random.between(1_000, 20_000), 200)
      life.goOn((job) => council.clock.after(1, job))
      await write(council, 5_000, 200)
    }
  },
  'while spokes are cut off from aggregators': async (council: FrontCouncil) => {
    for (let round = 0; round < 2; round++) {
      const [a, b] = [council.random.between(1, 5), council.random.pick(council.inner)]
      const [from, to] = [council.peer(a).name, council.peer(b).name]
      const ends = [council.network.cut(from, to)]
      if (council.random.chance(0.5)) ends.push(council.network.cut(to, from))
      await write(council, council.random.between(1_000, 20_000), 200)
      for (const end of ends) end()
      await write(council, 5_000, 200)
    }
  },
}

type Lie =
  | 'leaves a blog out'
  | 'lets a blog end early'
  | 'leaves a post off the page'
  | 'shows what was taken back'
const lies: readonly Lie[] = [
  'leaves a blog out',
  'lets a blog end early',
  'leaves a post off the page',
  'shows what was taken back',
]

/** One run: an aggregator begins to lie at some moment. @returns ms until it was named, or null */
async function timeToName(
  seed: number,
  lie: Lie,
): Promise<{ ms: number | null; others: number; troubles: string[] }> {
  using council = new FrontCouncil(seed)
  return council.run(async () => {
    await council.start()
    const { random, clock } = council
    await clock.wait(12_000 + random.between(0, 5_000))
    const liar = council.peer(random.pick(council.inner))
    const blog = random.between(0, logs.length - 1)
    const name = nameOf(blog)
    const { gathered } = liar
    let sinceMs = clock.now()
    if (lie === 'leaves a blog out') {
      liar.source = {
        ...gathered,
        blogs: () => [...gathered.blogs()].filter((each) => each !== name),
        onChange: (listener) =>
          gathered.onChange((each, from, head) => {
            if (each !== name) listener(each, from, head)
          }),
      }
      liar.lie = (posts) => posts.filter((post) => post.blog !== name)
      council.republish(liar.n)
    } else if (lie === 'lets a blog end early') {
      const { head } = gathered
      const frozen = head(name)
      liar.source = {
        ...gathered,
        head: (each) => (each === name ? frozen : head(each)),
        onChange: (listener) =>
          gathered.onChange((each, from, at) => {
            if (each !== name) listener(each, from, at)
          }),
      }
      council.republish(liar.n)
      council.publish(blog, 2)
      // Only from then on somebody can say that it should be there.
      sinceMs = clock.now() + cycleMs
    } else if (lie === 'leaves a post off the page') {
      const newest = liar.publisher?.newest()?.page.posts ?? []
      const hidden = random.pick(newest.filter((_, at) => at < 15))
      liar.lie = (posts) => posts.filter(({ id }) => id !== hidden.id)
    } else {
      const shown = liar.publisher?.newest()?.page.posts ?? []
      const own = shown.filter((post) => post.blog === shown[0]?.blog)
      const target = logs.findIndex((log) => log.blog === own[0]?.blog)
      liar.lie = () => shown
      // Ten entries on, one of them has been revised, or was taken back.
      council.publish(target, 12)
      sinceMs = clock.now() + cycleMs
    }
    const isNamed = () => council.findings.find(({ peer: about }) => about === liar.name)
    const untilMs = clock.now() + 4 * cycleMs
    while (isNamed() === undefined && clock.now() < untilMs) await clock.wait(50)
    const found = isNamed()
    const others = council.findings.filter(({ peer: about }) => about !== liar.name).length
    return {
      ms: found === undefined ? null : found.atMs - sinceMs,
      ...{ others, troubles: council.troubles },
    }
  })
}

describe('FrontWatch', () => {
  it.each(Object.entries(weathers))(
    'names no honest peer %s',
    async (_what, happen) => {
      for (const seed of seeds(2)) {
        using council = new FrontCouncil(seed)
        await council.run(async () => {
          await council.start()
          await happen(council)
          await council.clock.wait(15_000)
        })
        expect(council.findings, `seed ${seed}`).toEqual([])
        expect(council.troubles, `seed ${seed}`).toEqual([])
        expect(council.events, `seed ${seed}`).toEqual([])
        const rounds = council.inner.map(
          (n) => council.peer(n).publisher?.newest()?.page.posts.length,
        )
        expect(rounds).toEqual([20, 20])
      }
    },
    120_000,
  )

  it.each(lies)(
    'names an aggregator that %s within one cycle, every time',
    async (lie) => {
      const times: (number | null)[] = []
      for (const seed of seeds(25)) {
        const { ms, others, troubles } = await timeToName(seed, lie)
        times.push(ms)
        expect(others, `seed ${seed}: about honest peers`).toBe(0)
        expect(troubles).toEqual([])
      }
      const late = times.flatMap((ms, at) =>
        ms === null || ms > cycleMs ? [`${at + 1}: ${ms}`] : [],
      )
      expect(late).toEqual([])
    },
    120_000,
  )
})
