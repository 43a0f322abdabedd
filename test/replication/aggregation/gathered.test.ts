import { beforeEach, describe, expect, it } from 'vitest'
import { TestAuthor, TestLog } from '../test-author.ts'
import { TestCouncil, type TestDisk } from '../test-council.ts'
import {
  changeOf,
  frameOf,
  holdsIn,
  nameOf,
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

  it('keeps the earliest that it was told', async () => {
    const told = ring.clock.now() - 50_000
    ring.liar(4, () => [frameOf(1, changeOf(maria, 0, told))])
    const a = await ring.aggregator(1, [4])
    await holds(a, maria)
    ring.liar(5, () => [frameOf(1, changeOf(maria, 2, told - 10_000))])
    ring.liar(3, () => [frameOf(1, changeOf(maria, 2, told + 10_000))])
    a.sources = [3, 4, 5]
    a.gatherer.reconsider()
    await ring.until(async () => expect(await seenAt(a, 3)).toBe(told - 10_000))
    expect(await seenAt(a, 2)).toBe(told - 10_000)
    expect(await seenAt(a, 1)).toBe(told)
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
})
