import { beforeEach, describe, expect, it } from 'vitest'
import { StuckBlogs } from '../../../src/replication/exchange/stuck-blogs.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { peer, replica, TestCouncil } from '../test-council.ts'
import { assign, TestPeer } from './test-peer.ts'

const author = await TestAuthor.make('maria')
const council = new TestCouncil().admit(1, 2)
const log = await (await TestLog.begin(council.council, author)).posts(4)
const replicas = [replica(1), replica(2)]
const first = assign(council, log, { replicas })
/** Names a head that only somebody else had. */
const second = assign(council, log, {
  ...{ replicas, epoch: 2, ends: first.act.id, primary: peer(1).peer, via: null },
  head: { seq: 3, id: log.at(3).entry.id },
})

describe('StuckBlogs.sealed', () => {
  let self: TestPeer
  let stuck: StuckBlogs
  beforeEach(async () => {
    self = await TestPeer.start(1, council)
    const { ingest, replicas: kept, clock } = self
    stuck = new StuckBlogs({ replicas: kept, ingest, clock })
    const held = log.entries.slice(0, 3).map(({ offer }) => offer)
    const head = { seq: 2, id: log.at(2).entry.id }
    await kept.take(await self.learn(first.proof), held, { way: 'submit', head })
  })
  const sealedAfter = async (ms: number) => {
    await stuck.sealed(10_000)
    await self.clock.pass(ms)
    return stuck.sealed(10_000)
  }

  it('names no blog that goes on', async () => {
    expect(await sealedAfter(20_000)).toEqual([])
  })

  it('names one whose act names a head that its primary does not get, once that lasts', async () => {
    await self.learn(second.proof)
    expect(await sealedAfter(9_000)).toEqual([])
    expect(await sealedAfter(1_000)).toEqual(['maria'])
  })

  it('names it no more when the head has come', async () => {
    const kept = await self.learn(second.proof)
    await sealedAfter(10_000)
    const head = { seq: 3, id: log.at(3).entry.id }
    await self.replicas.take(kept, [log.at(3).offer], { way: 'pull', head })
    expect(await stuck.sealed(10_000)).toEqual([])
  })
})
