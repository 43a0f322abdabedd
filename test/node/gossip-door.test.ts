import { beforeEach, describe, expect, it } from 'vitest'
import { Demerits } from '../../src/node/demerits.ts'
import { authorBurst, GossipDoor, maxJudging } from '../../src/node/gossip-door.ts'
import type { GossipVerdict } from '../../src/replication/network.ts'
import { maxGossipBytes } from '../../src/replication/protocol.ts'
import { peer, TestClock } from '../replication/test-council.ts'

const name = (n: number) => peer(n).peer
let clock: TestClock
let demerits: Demerits
let door: GossipDoor
let looked: number
beforeEach(() => {
  clock = new TestClock()
  demerits = new Demerits(clock)
  // Number 9 is in no roster.
  door = new GossipDoor(clock, demerits, (who) => who !== name(9))
  looked = 0
})

const hear = (
  {
    relay = 1,
    author = 2,
    bytes = 100,
  }: { relay?: number; author?: number | null; bytes?: number },
  verdict: GossipVerdict = 'accept',
) =>
  door.judge(
    { relay: name(relay), author: author === null ? null : name(author), bytes },
    async () => {
      looked++
      return verdict
    },
  )

describe('GossipDoor', () => {
  it.each([
    ['without an author that a council could admit', { author: null }],
    ['over 96 KiB', { bytes: maxGossipBytes + 1 }],
  ])('rejects a message %s unseen, and counts it against who passed it on', async (_, heard) => {
    expect(await hear(heard)).toBe('reject')
    expect(looked).toBe(0)
    expect(demerits.of(name(1))).toBeGreaterThan(0)
    expect(demerits.of(name(2))).toBe(0)
  })

  it('ignores unseen what no member signed, at no cost for who passed it on', async () => {
    expect(await hear({ author: 9 })).toBe('ignore')
    expect(looked).toBe(0)
    expect(demerits.of(name(1))).toBe(0)
  })

  it('looks at eight bad messages of one author, whoever passes them on', async () => {
    for (let n = 0; n < 50; n++) expect(await hear({ relay: 3 + (n % 5) }, 'reject')).toBe('reject')
    expect(looked).toBe(8)
  })

  it('looks at what an honest author signed, though who passes it on first sends junk', async () => {
    for (let n = 0; n < 50; n++) await hear({ relay: 1, author: 1 }, 'reject')
    expect(demerits.isOver(name(1))).toBe(true)
    expect(await hear({ relay: 1, author: 2 })).toBe('accept')
  })

  it('ignores an author’s messages beyond 200 at once and 20 a second, and nobody else’s', async () => {
    for (let n = 0; n < authorBurst; n++) expect(await hear({})).toBe('accept')
    expect(await hear({})).toBe('ignore')
    expect(await hear({ author: 3 })).toBe('accept')
    clock.ms += 1_000
    for (let n = 0; n < 20; n++) expect(await hear({})).toBe('accept')
    expect(await hear({})).toBe('ignore')
    expect(demerits.of(name(1))).toBe(0)
  })

  it('ignores what comes while 2,000 are being judged', async () => {
    const wide = new GossipDoor(clock, demerits, () => true)
    const { promise, resolve } = Promise.withResolvers<GossipVerdict>()
    const authors = Array.from({ length: maxJudging + 1 }, (_, n) => `12D3KooW${n}` as never)
    const verdicts = authors.map((author) =>
      wide.judge({ relay: name(1), author, bytes: 1 }, () => promise),
    )
    expect(await verdicts.at(-1)).toBe('ignore')
    resolve('accept')
    expect(await verdicts[0]).toBe('accept')
    expect(
      await wide.judge({ relay: name(1), author: name(5), bytes: 1 }, async () => 'accept'),
    ).toBe('accept')
  })
})
