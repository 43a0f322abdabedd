import { describe, expect, it } from 'vitest'
import {
  type Collection,
  type HeadListener,
  HeldCollection,
  unhurried,
} from '../../../src/replication/aggregation/collection.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import type { Head } from '../../../src/replication/log/log.ts'
import { signReceipt } from '../../../src/replication/log/receipt.ts'
import type { Act, AssignFields } from '../../../src/replication/registry/act.ts'
import { assign, maria, TestPeer } from '../exchange/test-peer.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { fakeId, must, peer, replica, settle, startMs, TestCouncil } from '../test-council.ts'

const author = await TestAuthor.make('maria')
const council = new TestCouncil().admit(1, 2, 3, 4)

type Step = [blog: BlogName, from: number, seq: number]

/** A replica of the blog with its collection, and what the collection said. */
async function start(posts: number, change: Partial<AssignFields> = {}) {
  const log = await TestLog.begin(council.council, author)
  await log.posts(posts)
  const { act, proof } = assign(council, log, change)
  const at = await TestPeer.start(2, council)
  const kept = await at.learn(proof)
  const { replicas, ingest } = at
  const collection = new HeldCollection({
    ...{ replicas, ingest, store: at.disk.store, report: () => undefined },
  })
  const said: Step[] = []
  const note: HeadListener = (blog, from, head) => said.push([blog, from, head.seq])
  collection.onChange(note)
  await collection.start()
  const take = async (to: number) => {
    await replicas.take(kept, log.offers.slice(0, to + 1), { way: 'push', head: headAt(log, to) })
    await settle()
  }
  /** another replica says that it holds the log up to `to` */
  const receive = async (n: number, to: number, under: Act = act) => {
    const { epoch } = under.decision as AssignFields
    const fields = { council: council.council, log: maria, act: under.id, epoch }
    const receipt = signReceipt(peer(n), {
      ...{ ...fields, head: headAt(log, to), replica: replica(n) },
      ...{ sinceMs: at.clock.now(), atMs: at.clock.now() },
    })
    must(await replicas.receive(receipt.signed))
    await settle()
  }
  return { log, at, act, kept, collection, said, take, receive, note }
}

const headAt = (log: TestLog, seq: number): Head => {
  const { id } = log.at(seq).entry
  return { seq, id }
}
const seqsOf = (entries: readonly { text: Uint8Array }[]) =>
  entries.map(({ text }) => Number(/^seq (\d+)$/m.exec(Buffer.from(text).toString())?.[1]))

describe('HeldCollection', () => {
  it('offers nothing of a blog before w replicas have given receipts, then up to there', async () => {
    const { log, collection, said, take, receive } = await start(4)
    await take(4)
    expect(collection.head(maria)).toBeNull()
    expect([...collection.blogs()]).toEqual([])
    expect(await collection.entry(maria, 0)).toBeNull()

    await receive(1, 2)
    expect(collection.head(maria)).toEqual(headAt(log, 2))
    expect([...collection.blogs()]).toEqual([maria])
    expect(seqsOf(await collection.entries(maria, 0, 9, 1e6))).toEqual([0, 1, 2])
    expect(await collection.entry(maria, 3)).toBeNull()

    await receive(1, 4)
    expect(collection.head(maria)).toEqual(headAt(log, 4))
    expect(said).toEqual([
      [maria, 0, 2],
      [maria, 3, 4],
    ])
  })

  it('offers what one replica has stored where there is only one', async () => {
    const only = { replicas: [replica(2)], primary: peer(2).peer }
    const { collection, said, take } = await start(2, only)
    await take(2)
    await settle()
    expect(collection.head(maria)?.seq).toBe(2)
    expect(said).toEqual([[maria, 0, 2]])
  })

  it('says when each entry was first seen published, and of none that lies before the start', async () => {
    const { at, collection, take, receive } = await start(3)
    await take(3)
    await at.clock.pass(1_000)
    await receive(1, 1)
    await at.clock.pass(1_000)
    await receive(3, 3)
    const seen = (await collection.entries(maria, 0, 3, 1e6)).map((entry) => entry.seenMs)
    expect(seen).toEqual([1_000, 1_000, 2_000, 2_000].map((ms) => startMs + ms))
    expect((await collection.entry(maria, 2))?.seenMs).toBe(startMs + 2_000)
  })

  it('keeps what was published under an act while the receipts of the next are still to come', async () => {
    const { log, at, act, collection, said, take, receive, note } = await start(3)
    await take(3)
    await receive(1, 3)
    const next = assign(council, log, {
      ...{ epoch: 2, ends: act.id, primary: peer(3).peer, head: headAt(log, 3) },
    })
    await at.learn(next.proof)
    await settle()
    expect(collection.head(maria)?.seq).toBe(3)

    const again = new HeldCollection({
      ...{ replicas: at.replicas, ingest: at.ingest, store: at.disk.store },
      report: () => undefined,
    })
    again.onChange(note)
    await again.start()
    expect(again.head(maria)?.seq).toBe(3)
    expect(said).toEqual([
      [maria, 0, 3],
      [maria, 0, 3],
    ])
  })

  it('begins the blog anew when an accepted loss has cut it below what was published', async () => {
    const { log, at, act, collection, said, take, receive } = await start(3)
    await take(3)
    await receive(1, 3)
    const lost = assign(council, log, {
      ...{ epoch: 2, ends: act.id, primary: peer(3).peer, head: headAt(log, 1) },
    })
    const kept = await at.learn(lost.proof)
    const other = log.branch(2)
    await other.add({ kind: 'post', title: 'Written anew' })
    await at.replicas.take(kept, other.offers, { way: 'push', head: other.head })
    await receive(3, 1, lost.act)
    expect(collection.head(maria)).toEqual(headAt(log, 1))
    expect(said.at(-1)).toEqual([maria, 0, 1])
  })

  it('offers no blog of which it is no replica any more, and none that is damaged', async () => {
    const { log, at, act, collection, take, receive } = await start(3)
    await take(3)
    await receive(1, 3)
    await at.disk.level.del(`entry/maria/${String(2).padStart(16, '0')}`)
    await at.ingest.damage.examine(maria, 0, 10, () => false)
    expect(collection.head(maria)).toBeNull()
    expect([...collection.blogs()]).toEqual([])
    await at.ingest.damage.restore(maria, log.offers)
    await settle()
    expect(collection.head(maria)?.seq).toBe(3)

    const moved = assign(council, log, {
      ...{ epoch: 2, ends: act.id, head: headAt(log, 3) },
      ...{ replicas: [replica(1), replica(3), replica(4)], primary: peer(1).peer },
    })
    await at.learn(moved.proof)
    expect(collection.head(maria)).toBeNull()
    expect([...collection.blogs()]).toEqual([])
  })

  it('answers at least one entry and no more than fit, and where the keys are', async () => {
    const { log, collection, take, receive } = await start(4)
    await log.rekey(author)
    await take(5)
    await receive(1, 5)
    expect(seqsOf(await collection.entries(maria, 1, 5, 1))).toEqual([1])
    const sizeOf = (seq: number) => {
      const { text, signature } = log.at(seq).offer
      return text.length + signature.length
    }
    const two = sizeOf(1) + sizeOf(2) + 100
    expect(seqsOf(await collection.entries(maria, 1, 5, two))).toEqual([1, 2])
    expect(await collection.entries(maria, 6, 9, 1e6)).toEqual([])
    expect(await collection.keySeqs(maria)).toEqual([0, 5])
  })

  it('tells nobody who has stopped listening', async () => {
    const { collection, said, take, receive } = await start(2)
    const stop = collection.onChange(() => {
      throw new Error('told')
    })
    stop()
    await take(2)
    await receive(1, 2)
    expect(said.length).toBe(1)
    collection.stop()
  })

  it('hears of nothing any more when it is stopped', async () => {
    const { at, collection, take, receive } = await start(2)
    await take(2)
    await receive(1, 2)
    expect(collection.head(maria)?.seq).toBe(2)
    collection.stop()
    at.ingest.damage.rebuilt(maria, null)
    expect(collection.head(maria)?.seq).toBe(2)
  })
})

describe('unhurried', () => {
  it('tells changes together: of each blog the newest head and the first seq that is new', () => {
    let tell: HeadListener = () => undefined
    const due: (() => void)[] = []
    const collection = {
      onChange: (listener: HeadListener) => {
        tell = listener
        return () => undefined
      },
    } as Collection
    const clock = {
      after: (_ms: number, job: () => void) => {
        due.push(job)
        return () => undefined
      },
    }
    const told: unknown[] = []
    unhurried(collection, clock, 100).onChange((...each) => told.push(each))
    const head = (seq: number) => ({ seq, id: fakeId('ab') })
    tell('ana' as BlogName, 4, head(4))
    tell('bea' as BlogName, 0, head(2))
    tell('ana' as BlogName, 5, head(7))
    tell('bea' as BlogName, 3, head(3))
    expect([told, due.length]).toEqual([[], 1])
    due.pop()?.()
    expect(told).toEqual([
      ['ana', 4, head(7)],
      ['bea', 0, head(3)],
    ])
    tell('ana' as BlogName, 8, head(8))
    due.pop()?.()
    expect(told.slice(2)).toEqual([['ana', 8, head(8)]])
  })
})
