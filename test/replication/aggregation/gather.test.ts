import { beforeEach, describe, expect, it } from 'vitest'
import type { Change, CollectedRow } from '../../../src/replication/aggregation/changes.ts'
import { ReplicationError } from '../../../src/replication/errors.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { peer, TestCouncil, TestDisk } from '../test-council.ts'
import { changeOf, feedOf, frameOf, holdsIn, nameOf, rowOf, TestRing } from './test-ring.ts'

const author = await TestAuthor.make('maria')
const thief = await TestAuthor.make('thief')
const council = new TestCouncil().admit(1, 2, 3, 4, 5)
const begin = (blog = 'maria', by = author, of = council.council) => TestLog.begin(of, by, { blog })

let ring: TestRing
/** what everybody has published */
let maria: TestLog
beforeEach(async () => {
  ring = new TestRing(council)
  maria = await begin()
  await maria.posts(3)
  ring.know(maria)
})

const holds = holdsIn(() => ring)
const rowsFrom = (log: TestLog, from: number) => log.entries.slice(from).map((each) => rowOf(each))
const settled = () => ring.clock.pass(3_000)

/** A row of the log with a part of it replaced. */
const altered = (row: CollectedRow, part: string, by: string): CollectedRow => [
  Buffer.from(Buffer.from(row[0]).toString().replace(part, by)),
  row[1],
  row[2],
]

describe('Gatherer, of a source that lies', () => {
  type Forged = { change: Change; entries?: (from: number) => readonly CollectedRow[] }
  const rows = (from = 0) => rowsFrom(maria, from)
  const head = () => [maria.blog, maria.head.seq, maria.head.id] as const

  it.each<[string, string, () => Forged | Promise<Forged>]>([
    [
      'alters a text by one letter',
      'SIGNATURE_BAD',
      () => {
        const last = altered(rows(3)[0] as CollectedRow, 'Text', 'Test')
        return { change: [...head(), [...rows().slice(0, 3), last]] }
      },
    ],
    [
      'signs with a key that is not the blog’s',
      'ENTRY_OTHER_KEY',
      async () => {
        const forged = maria.branch()
        await forged.add({ kind: 'post' }, { by: thief })
        return { change: changeOf(forged, 0) }
      },
    ],
    [
      'signs a text in the author’s name with another key',
      'SIGNATURE_OTHER_KEY',
      async () => {
        const forged = maria.branch()
        await forged.sign({ ...forged.next(), kind: 'post', slug: 'x', title: 'x' } as never, thief)
        return { change: changeOf(forged, 0) }
      },
    ],
    [
      'sends a signature that is none',
      'ARMOR_MISSING',
      () => {
        const [first, ...others] = rows()
        return {
          change: [...head(), [[(first as CollectedRow)[0], Buffer.from('no'), 0], ...others]],
        }
      },
    ],
    [
      'sends the signature of another entry',
      'SIGNATURE_BAD',
      () => {
        const [a, b, c, d] = rows() as [CollectedRow, CollectedRow, CollectedRow, CollectedRow]
        return { change: [...head(), [a, b, [c[0], b[1], 0], d]] }
      },
    ],
    [
      'has a genesis of its own for a name that belongs to somebody else',
      'OTHER_HEAD',
      async () => ({ change: changeOf(await begin('maria', thief), 0) }),
    ],
    [
      'brings a blog of another council',
      'ENTRY_COUNCIL',
      async () => {
        const other = new TestCouncil({ zone: 'other.localhost' })
        const log = await begin('maria', author, other.council)
        ring.know(log)
        return { change: changeOf(log, 0) }
      },
    ],
    [
      'sends no text',
      'ENTRY_FIRST_LINE',
      () => ({ change: [...head(), [[Buffer.from('x'), Buffer.from('y'), 0]]] }),
    ],
    [
      'puts another blog’s entries under a name',
      'ITEM_OTHER_LOG',
      async () => {
        const juan = await begin('juan')
        return { change: [...head(), [rowOf(juan.at(0))]] }
      },
    ],
    [
      'leaves an entry out',
      'CHANGES_ORDER',
      () => ({ change: [...head(), [...rows().slice(0, 1), ...rows(2)]] }),
    ],
    [
      'says another id than its entry has',
      'CHANGES_HEAD',
      () => ({ change: [maria.blog, 3, 'ab'.repeat(32), rows()] }),
    ],
    [
      'answers with other entries than asked for',
      'CHANGES_PAGE',
      () => ({ change: [...head(), []], entries: () => rows(1) }),
    ],
    [
      'answers with more than asked for',
      'CHANGES_PAGE',
      () => ({ change: [maria.blog, 1, maria.at(1).entry.id, []], entries: () => rows() }),
    ],
    [
      'answers with a page that is too long',
      'PEER_ANSWER_MALFORMED',
      () => ({
        change: [...head(), []],
        entries: () => Array.from({ length: 2_001 }, () => rows()[0] as CollectedRow),
      }),
    ],
    [
      'sends a text that is too long',
      'PEER_ANSWER_MALFORMED',
      () => ({ change: [...head(), [[Buffer.alloc(65_537, 'x'), Buffer.from('y'), 0]]] }),
    ],
    ['names what is no blog', 'CHANGES_BLOG', () => ({ change: ['-no-', 0, 'ab'.repeat(32), []] })],
    [
      'names a log of the council’s',
      'CHANGES_BLOG',
      () => ({ change: ['@names', 0, 'ab'.repeat(32), []] }),
    ],
    [
      'says an id that is none',
      'PEER_ANSWER_MALFORMED',
      () => ({ change: ['maria', 0, 'ab', []] }),
    ],
    [
      'has seen an entry before there was time',
      'PEER_ANSWER_MALFORMED',
      () => ({
        change: [
          ...head(),
          [[...(rows()[0] as CollectedRow)].with(2, -1) as unknown as CollectedRow],
        ],
      }),
    ],
  ])('says so of one that %s, and takes the truth from another', async (_, code, forge) => {
    const { change, entries = () => [] } = await forge()
    ring.liar(
      4,
      () => [frameOf(1, change)],
      ({ from }) => entries(from),
    )
    const a = await ring.aggregator(1, [4])
    await ring.until(() => expect(a.lies()).toEqual([[peer(4).peer, code]]))
    expect(a.state(4)).toMatchObject({ mistrusted: code, isCurrent: false })

    ring.know(maria)
    await ring.source(2, [maria])
    a.sources = [2, 4]
    a.gatherer.reconsider()
    await holds(a, maria)
    // It is left alone for ten minutes, then asked again.
    const asked = () => ring.asked.filter(([, to, { t }]) => to === peer(4).peer && t === 'follow')
    expect(asked().length).toBe(1)
    await ring.clock.pass(610_000)
    expect(asked().length).toBe(2)
    a.stop()
  })

  it.each<[string, unknown]>([
    ['no frame', null],
    ['a frame without run', { n: 1, newest: 1, changes: [] }],
    ['a number beyond the newest', frameOf(2) && { ...frameOf(2), newest: 1 }],
    [
      'too many changes',
      frameOf(
        1,
        ...Array.from({ length: 1_001 }, () => ['maria', 0, 'ab'.repeat(32), []] as Change),
      ),
    ],
  ])('leaves one alone that sends %s', async (_, frame) => {
    ring.liar(4, () => [frame])
    const a = await ring.aggregator(1, [4])
    await ring.until(() => expect(a.lies().length).toBe(1))
    a.stop()
  })

  it('takes a blog that nobody has claimed from no one, and asks again until it is in the registry', async () => {
    const late = await begin('later')
    await late.posts(1)
    await ring.source(2, [late])
    const a = await ring.aggregator(1, [2])
    await settled()
    expect(a.head(late)).toBe(-1)
    expect(a.lies()).toEqual([])
    expect(a.state(2)?.owed).toBe(1)
    ring.know(late)
    await holds(a, late)
    await ring.until(() => expect(a.state(2)?.owed).toBe(0))
    a.stop()
  })

  it('keeps little of one that invents a thousand names and more, and goes on with the others', async () => {
    const invented = Array.from(
      { length: 1_000 },
      (_, n) => [`name-${n}x`, 0, 'ab'.repeat(32), []] as Change,
    )
    ring.liar(4, () =>
      [1, 2, 3].map((n) =>
        frameOf(n, ...invented.map(([name, ...rest]) => [`${name}${n}`, ...rest] as Change)),
      ),
    )
    await ring.source(2, [maria])
    const a = await ring.aggregator(1, [2, 4])
    await holds(a, maria)
    expect(a.state(4)?.owed).toBeLessThanOrEqual(1_000)
    a.stop()
  })

  it('asks for all again after a minute, not at once, where more is owed than it keeps', async () => {
    let follows = 0
    const names = (of: number) => Array.from({ length: 500 }, (_, n) => `name-${n}-${of}`)
    ring.liar(4, () => {
      follows += 1
      return [1, 2, 3].map((n) =>
        frameOf(n, ...names(n).map((name): Change => [name, 0, 'ab'.repeat(32), []])),
      )
    })
    const a = await ring.aggregator(1, [4])
    await ring.until(() => expect(follows).toBe(1))
    await ring.clock.pass(40_000)
    expect(follows).toBe(1)
    expect(a.state(4)).toMatchObject({ isCurrent: false, mistrusted: null })
    await ring.clock.pass(40_000)
    expect(follows).toBe(2)
    a.stop()
  })

  it('waits for no source with what others owe', async () => {
    const late = await begin('later')
    await late.posts(1)
    // One names blogs that it then hands out nothing of.
    const dead = await begin('dead')
    ring.liar(
      4,
      () => [frameOf(1, changeOf(dead))],
      () => new Promise(() => undefined),
    )
    await ring.source(2, [late])
    const a = await ring.aggregator(1, [4, 2])
    await ring.until(() => expect([a.state(4)?.owed, a.state(2)?.owed]).toEqual([1, 1]))
    ring.know(dead)
    await ring.until(() =>
      expect(ring.asked.some(([, to, { t }]) => to === peer(4).peer && t === 'entries')).toBe(true),
    )
    ring.know(late)
    await holds(a, late)
    await ring.until(() => expect(a.state(2)?.owed).toBe(0))
    a.stop()
  })

  it('asks one that fails less and less often', async () => {
    const dead = await begin('dead')
    ring.liar(
      4,
      () => [frameOf(1, changeOf(dead))],
      () => {
        throw new ReplicationError('PEER_UNREACHABLE', 'no answer')
      },
    )
    const a = await ring.aggregator(1, [4])
    await ring.until(() => expect(a.state(4)?.owed).toBe(1))
    ring.know(dead)
    await ring.clock.pass(120_000)
    const asked = ring.asked.filter(([, , { t }]) => t === 'entries').length
    expect(asked).toBeGreaterThanOrEqual(3)
    expect(asked).toBeLessThanOrEqual(8)
    a.stop()
  })

  it('does no work for one that repeats itself but to see that it is known', async () => {
    const again = Array.from({ length: 500 }, (_, n) => frameOf(n + 1, changeOf(maria, 0)))
    ring.liar(4, () => again)
    const a = await ring.aggregator(1, [4])
    await holds(a, maria)
    await ring.until(() => expect(a.state(4)?.isCurrent).toBe(true))
    expect(a.said).toEqual([['maria', 0, 3]])
    expect(a.lies()).toEqual([])
    a.stop()
  })

  it('lets a flood wait, and nobody else', async () => {
    let frames = 0
    const flood = function* () {
      for (;;) yield frameOf(++frames, ...Array.from({ length: 1_000 }, () => changeOf(maria)))
    }
    ring.liar(4, flood, ({ from }) => rowsFrom(maria, from))
    const juan = await begin('juan')
    ring.know(juan)
    await ring.source(2, [juan])
    const startMs = ring.clock.now()
    const a = await ring.aggregator(1, [2, 4])
    await holds(a, juan)
    await holds(a, maria)
    await ring.clock.pass(10_000)
    // 20,000 changes at once, then 2,000 a second of the clock.
    const seconds = (ring.clock.now() - startMs) / 1_000
    expect(frames).toBeLessThanOrEqual(20 + 2 * seconds + 2)
    expect(frames).toBeGreaterThan(20)
    a.stop()
  })

  it('is not set back by old heads', async () => {
    await ring.source(2, [maria])
    const a = await ring.aggregator(1, [2])
    await holds(a, maria)
    const old = [0, 1, 2].map((seq) => frameOf(seq + 1, changeOf(maria.branch(seq + 1))))
    ring.liar(4, () => old)
    a.sources = [2, 4]
    a.gatherer.reconsider()
    await ring.until(() => expect(a.state(4)?.isCurrent).toBe(true))
    expect(a.head(maria)).toBe(3)
    expect(a.lies()).toEqual([])
    a.stop()
  })
})

describe('Gatherer', () => {
  it('gathers what all its sources have, each entry once, and then what comes new', async () => {
    const juan = await begin('juan')
    ring.know(juan)
    const s2 = await ring.source(2, [maria, juan])
    const s3 = await ring.source(3, [maria])
    const a = await ring.aggregator(1, [2, 3])
    await holds(a, maria)
    await holds(a, juan)
    await maria.posts(2)
    await s2.publish(maria)
    await s3.publish(maria)
    await holds(a, maria)
    expect(a.said.filter(([blog]) => blog === 'maria')).toEqual([
      ['maria', 0, 3],
      ['maria', 4, 5],
    ])
    expect(a.gatherer.states().map(({ isCurrent, owed }) => [isCurrent, owed])).toEqual([
      [true, 0],
      [true, 0],
    ])
    a.stop()
  })

  it('offers what it consumes: three in a row end with exactly the same entries, one restarted between', async () => {
    const juan = await begin('juan')
    ring.know(juan)
    const s = await ring.source(2, [maria, juan])
    let a = await ring.aggregator(1, [2])
    const b = await ring.aggregator(3, [1])
    const c = await ring.aggregator(4, [3])
    await holds(c, maria)

    await juan.posts(2)
    await s.publish(juan, 1)
    ring.kill(1)
    a.stop()
    await s.publish(juan)
    await maria.posts(3)
    await s.publish(maria)
    await settled()
    ring.down.clear()
    const asked = ring.asked.length
    a = await ring.aggregator(1, [2], a.disk)
    for (const aggregator of [a, b, c]) {
      await holds(aggregator, maria)
      await holds(aggregator, juan)
    }
    // It came back with what it had: only what was new was asked for.
    const pages = ring.asked.slice(asked).filter(([from, , { t }]) => from === 1 && t === 'entries')
    for (const [, , body] of pages)
      expect((body as unknown as { from: number }).from).toBeGreaterThan(0)
    for (const { said } of [a, b, c]) {
      const told = said.flatMap(([blog, from, seq]) =>
        Array.from({ length: seq - from + 1 }, (_, n) => `${blog} ${from + n}`),
      )
      expect(new Set(told).size).toBe(told.length)
    }
    for (const each of [a, b, c]) each.stop()
  })

  it('gathers what this peer keeps itself, without asking anybody', async () => {
    const own = await ring.collection(new TestDisk())
    const feed = feedOf(ring, own)
    feed.start()
    const a = await ring.aggregator(1, [], undefined, feed)
    const entries = maria.entries.map(({ entry, offer }) => ({ entry, signed: offer, seenMs: 0 }))
    await own.take(nameOf(maria), entries, { head: maria.head, holds: [] })
    await holds(a, maria)
    expect(ring.asked).toEqual([])
    expect(a.state(1)).toMatchObject({ isCurrent: true, owed: 0 })
    a.stop()
  })

  it('follows a source again after 1, 3 and 10 s, from where it was', async () => {
    const s = await ring.source(2, [maria])
    const a = await ring.aggregator(1, [2])
    await holds(a, maria)
    ring.asked.length = 0
    const follows = () => ring.asked.filter(([, , { t }]) => t === 'follow')
    ring.kill(2)
    await ring.clock.pass(5_500)
    const atMs = ring.clock.now()
    await ring.clock.pass(20_000)
    expect(ring.clock.now()).toBe(atMs + 20_000)
    expect(follows().length).toBeGreaterThanOrEqual(3)
    expect(follows().length).toBeLessThanOrEqual(5)
    expect(a.state(2)).toMatchObject({ isCurrent: false, mistrusted: null })
    await maria.posts(1)
    await s.publish(maria)
    ring.down.clear()
    await holds(a, maria)
    const [, , last] = follows().at(-1) ?? []
    expect(last).toMatchObject({ after: { n: expect.any(Number) } })
    a.stop()
  })

  it('goes on with the others when a source stops half-way', async () => {
    await maria.posts(4)
    ring.know(maria)
    let pages = 0
    ring.liar(
      4,
      () => [frameOf(1, changeOf(maria))],
      ({ from }) => {
        if (pages++ > 0) throw new Error('gone')
        return [rowOf(maria.at(from)), rowOf(maria.at(from + 1))]
      },
    )
    const a = await ring.aggregator(1, [4])
    await ring.until(() => expect(a.head(maria)).toBe(1))
    await ring.source(2, [maria])
    a.sources = [2, 4]
    a.gatherer.reconsider()
    await holds(a, maria)
    expect(a.said).toEqual([
      ['maria', 0, 1],
      ['maria', 2, 7],
    ])
    a.stop()
  })

  it('follows only those whom it should, when that changes', async () => {
    const s2 = await ring.source(2, [maria])
    const s3 = await ring.source(3, [maria])
    const a = await ring.aggregator(1, [2, 3])
    await holds(a, maria)
    a.sources = [3]
    a.gatherer.reconsider()
    await settled()
    expect(s2.server.following).toBe(0)
    expect(s3.server.following).toBe(1)
    a.stop()
    await settled()
    expect(s3.server.following).toBe(0)
  })
})
