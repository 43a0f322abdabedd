import { beforeEach, describe, expect, it } from 'vitest'
import { untoldMs } from '../../../src/replication/aggregation/first-seen.ts'
import { type Random, randomOf } from '../../support/simulation/random.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { TestCouncil, type TestDisk } from '../test-council.ts'
import {
  changeOf,
  frameOf,
  holdsIn,
  nameOf,
  rowOf,
  type TestAggregator,
  TestRing,
  textsOf,
} from './test-ring.ts'

const author = await TestAuthor.make('maria')
const council = new TestCouncil().admit(1, 2, 3, 4, 5)

let ring: TestRing
/** what everybody has published */
let maria: TestLog
beforeEach(async () => {
  ring = new TestRing(council)
  maria = await (await TestLog.begin(council.council, author, { blog: 'maria' })).posts(3)
  ring.know(maria)
})

const holds = holdsIn(() => ring)
const hourMs = 3_600_000
const rowsAt = (log: TestLog, seenMs: number) => log.entries.map((each) => rowOf(each, seenMs))

describe('GatheredCollection', () => {
  const key = (seq: number) => `entry/maria/${String(seq).padStart(16, '0')}`

  it.each<[string, (disk: TestDisk) => Promise<void>]>([
    ['an entry is gone', (disk) => disk.level.del(key(1))],
    ['an entry is altered', (disk) => disk.level.put(key(1), Buffer.from('83416141620a', 'hex'))],
    ['the record is gone', (disk) => disk.level.del('log/maria')],
    ['the record is altered', (disk) => disk.level.put('log/maria', Buffer.from('a0', 'hex'))],
    ['all is gone', (disk) => disk.level.clear()],
  ])('is gathered anew when %s', async (_, damage) => {
    await ring.source(2, [maria])
    const before = await ring.aggregator(1, [2])
    await holds(before, maria)
    before.stop()
    await damage(before.disk)
    const a = await ring.aggregator(1, [2], before.disk)
    await ring.until(async () => expect(await a.texts(maria)).toEqual(textsOf(maria)))
    a.stop()
  })

  it('has what it had after a restart, before anybody answers', async () => {
    await ring.source(2, [maria])
    const before = await ring.aggregator(1, [2])
    await holds(before, maria)
    before.stop()
    const again = await ring.collection(before.disk)
    expect([...again.blogs()]).toEqual(['maria'])
    expect(again.head(nameOf(maria))).toEqual(maria.head)
    expect((await again.entries(nameOf(maria), 0, 9, 1e6)).length).toBe(4)
    expect(await again.keySeqs(nameOf(maria))).toEqual([0])
  })
})

describe('GatheredCollection, of when an entry was first seen', () => {
  const seenAt = async (a: TestAggregator, seq: number) =>
    (await a.collection.entry(nameOf(maria), seq))?.seenMs
  const dated = (seq: number) => maria.at(seq).entry.dateMs
  /** The blog from an entry on, each first seen a second after the one before it. */
  const told = (from: number, seenMs: number) => {
    const rows = maria.entries.slice(from).map((each, at) => rowOf(each, seenMs + at * 1_000))
    return frameOf(1, [maria.blog, maria.head.seq, maria.head.id, rows])
  }

  it('keeps the earliest that it was told, in the order of the log', async () => {
    const ms = ring.clock.now() - 50_000
    ring.liar(4, () => [told(0, ms)])
    const a = await ring.aggregator(1, [4])
    await holds(a, maria)
    ring.liar(5, () => [told(2, ms + 1_500)])
    ring.liar(3, () => [told(2, ms + 10_000)])
    a.sources = [3, 4, 5]
    a.gatherer.reconsider()
    await ring.until(async () => expect(await seenAt(a, 3)).toBe(ms + 2_500))
    expect(await seenAt(a, 2)).toBe(ms + 1_500)
    expect(await seenAt(a, 1)).toBe(ms + 1_000)
    ring.liar(2, () => [told(2, ms - 80_000)])
    a.sources = [2, 3, 4, 5]
    a.gatherer.reconsider()
    await ring.until(async () => expect(await seenAt(a, 3)).toBe(ms + 1_000))
    expect(await seenAt(a, 2)).toBe(ms + 1_000)
    a.stop()
  })

  it('is never later than its own clock, nor before an honest primary could have taken it', async () => {
    ring.liar(4, () => [frameOf(1, changeOf(maria, 0, ring.clock.now() + 86_400_000))])
    const a = await ring.aggregator(1, [4])
    await holds(a, maria)
    expect(await seenAt(a, 3)).toBeLessThanOrEqual(ring.clock.now())
    ring.liar(5, () => [frameOf(1, changeOf(maria, 0, 0))])
    a.sources = [4, 5]
    a.gatherer.reconsider()
    await ring.until(async () => expect(await seenAt(a, 3)).toBe(dated(3) - 600_000))
    a.stop()
  })

  it.each([
    ['slow', -3 * hourMs],
    ['fast', 3 * hourMs],
  ])('is as long ago as a source says whose clock is %s', async (_, aheadMs) => {
    const seenMs = ring.clock.now() - hourMs
    const at = ring.clock.now() + aheadMs
    const rows = rowsAt(maria, seenMs + aheadMs)
    ring.liar(
      4,
      () => [{ ...frameOf(1, [maria.blog, maria.head.seq, maria.head.id, []]), at }],
      ({ from, to }) => ({ at, entries: rows.slice(from, to + 1) }),
    )
    const a = await ring.aggregator(1, [4])
    await holds(a, maria)
    const tookMs = ring.clock.now() - (at - aheadMs)
    for (const seq of [0, 3]) {
      expect(await seenAt(a, seq)).toBeGreaterThanOrEqual(seenMs)
      expect(await seenAt(a, seq)).toBeLessThanOrEqual(seenMs + tookMs)
    }
    a.stop()
  })

  it('is not set back by one that adds what it had left out when it said that this was all', async () => {
    const whole = maria.head
    ring.liar(4, async function* () {
      yield frameOf(1, [maria.blog, 2, maria.at(2).entry.id, rowsAt(maria, 0).slice(0, 3)])
      await ring.clock.pass(4_000)
      yield frameOf(2, [maria.blog, whole.seq, whole.id, rowsAt(maria, 0).slice(3)])
    })
    const beganMs = ring.clock.now()
    const a = await ring.aggregator(1, [4])
    await holds(a, maria)
    // What it told at first it may have had for long.
    expect(await seenAt(a, 2)).toBe(dated(2) - 600_000)
    expect(await seenAt(a, 3)).toBeGreaterThanOrEqual(beganMs - untoldMs)
    a.stop()
  })

  it('is not set back by one that then hands it out only when it is asked again', async () => {
    const whole = maria.head
    let asked = 0
    ring.liar(
      4,
      async function* () {
        yield frameOf(1, [maria.blog, 2, maria.at(2).entry.id, rowsAt(maria, 0).slice(0, 3)])
        await ring.clock.pass(4_000)
        yield frameOf(2, [maria.blog, whole.seq, whole.id, []])
      },
      ({ from }) => (asked++ === 0 ? [] : rowsAt(maria, 0).slice(from)),
    )
    const beganMs = ring.clock.now()
    const a = await ring.aggregator(1, [4])
    await holds(a, maria)
    expect(asked).toBe(2)
    expect(await seenAt(a, 3)).toBeGreaterThanOrEqual(beganMs - untoldMs)
    a.stop()
  })
})

/** What a source's clock shows at an instant, and when it says that it saw what was published then. */
type Says = {
  readonly at: (trueMs: number, random: Random) => number
  readonly seen: (trueMs: number, random: Random) => number
}
const right = (ms: number) => ms
const ahead = (byMs: number) => (ms: number) => ms + byMs
const honest: Says = { at: right, seen: right }
const jumping = (ms: number, random: Random) => ms + random.between(-50, 50) * hourMs
const says: Readonly<Record<string, Says>> = {
  'is slow by hours': { at: ahead(-3 * hourMs), seen: ahead(-3 * hourMs) },
  'is fast by hours': { at: ahead(3 * hourMs), seen: ahead(3 * hourMs) },
  'was slow, and is set right before it tells': { at: right, seen: ahead(-3 * hourMs) },
  'was fast, and is set right before it tells': { at: right, seen: ahead(3 * hourMs) },
  jumps: { at: jumping, seen: jumping },
  'is good, but it lies': { at: right, seen: (ms, random) => random.between(0, 2 * ms) },
  'is good, but it says that all was there at the beginning of time': { at: right, seen: () => 0 },
}

describe('GatheredCollection, of three sources of which one has a bad clock', () => {
  it.each(Object.entries(says))('has a new post in its place where one %s', async (_, bad) => {
    const random = randomOf(7, 'clocks')
    const heard = (each: Teller) => expect(each.isHeard()).toBe(true)
    /** by seq, when each entry was published in truth */
    const published = maria.entries.map((_each, seq) => ring.clock.now() - (9 - seq) * hourMs)
    const tellers = [bad, honest, honest].map(
      (by, index) => new Teller({ ring, log: maria, n: index + 2, says: by, random, published }),
    )
    const a = await ring.aggregator(1, [2, 3, 4])
    for (const each of tellers) each.tell()
    await ring.until(() => tellers.map(heard))
    for (let post = 0; post < 8; post++) {
      for (let beats = random.between(0, 3); beats > 0; beats--) {
        await ring.clock.pass(5_000)
        for (const each of tellers) each.beat()
        await ring.until(() => tellers.map(heard))
      }
      const beatMs = ring.clock.now()
      await ring.clock.pass(random.between(0, 5_000))
      await maria.posts(1)
      published.push(ring.clock.now())
      for (const each of tellers.toSorted(() => random.next() - 0.5)) {
        each.tell()
        await ring.clock.pass(random.between(0, 300))
      }
      await holds(a, maria)
      await ring.until(() => tellers.map(heard))
      const seenMs = (await a.collection.entry(nameOf(maria), maria.head.seq))?.seenMs
      // Never later than the good ones say; earlier only as far as one can that has said nothing.
      expect(seenMs).toBeLessThanOrEqual(published.at(-1) as number)
      if (post > 0) expect(seenMs).toBeGreaterThanOrEqual(beatMs - untoldMs - 1_000)
    }
    a.stop()
  })
})

/** A source that tells of one blog, in the words that it is given. */
class Teller {
  readonly #with: Telling
  readonly #frames: unknown[] = []
  #n = 1
  #told = 0
  #taken = 0
  #wake = () => {}

  constructor(by: Telling) {
    this.#with = by
    const { ring: of, n, log } = by
    const next = () => this.#next()
    const frames = async function* () {
      for (;;) yield await next()
    }
    of.liar(n, frames, ({ from, to }) => {
      const rows = log.entries.map((each, seq) => rowOf(each, this.#seen(seq)))
      return { at: this.#at(), entries: rows.slice(from, to + 1) }
    })
  }

  /** The next frame, when there is one; the one before was dealt with. */
  async #next(): Promise<unknown> {
    this.#taken = this.#told - this.#frames.length
    while (this.#frames.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#frames.shift()
  }

  #at(): number {
    const { ring: of, says: by, random } = this.#with
    return Math.max(0, by.at(of.clock.now(), random))
  }

  #seen(seq: number): number {
    const { says: by, random, published } = this.#with
    return Math.max(0, by.seen(published[seq] ?? 0, random))
  }

  #send(frame: object): void {
    this.#frames.push({ ...frame, at: this.#at() })
    this.#told += 1
    this.#wake()
  }

  /** Whether all that it has said was dealt with. */
  isHeard(): boolean {
    return this.#taken === this.#told
  }

  /** Nothing new. */
  beat(): void {
    this.#send(frameOf(this.#n))
  }

  /** The blog's last entry, which was published just now. */
  tell(): void {
    const { log } = this.#with
    this.#n += 1
    this.#send(frameOf(this.#n, changeOf(log, log.head.seq, this.#seen(log.head.seq))))
  }
}

type Telling = {
  readonly ring: TestRing
  readonly log: TestLog
  readonly n: number
  readonly says: Says
  readonly random: Random
  readonly published: readonly number[]
}
