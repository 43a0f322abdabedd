import { describe, expect, it } from 'vitest'
import type { PeerName } from '../../src/auth/peer-signature.ts'
import type { BlogName } from '../../src/replication/log/entry.ts'
import { namesLog } from '../../src/replication/log/log.ts'
import { makeSigner } from '../support/author.ts'
import {
  soon,
  startCouncil,
  type TestBlog,
  type TestCouncil,
  type TestPeer,
} from '../support/council.ts'

/**
 * The authority writes an assignment of epoch 2 by hand: what the fail-over will write, without
 * sealing, so while nobody publishes.
 */
async function assignNext(council: TestCouncil, blog: TestBlog, primary: TestPeer) {
  const { exchange } = council.authority
  const name = blog.name as BlogName
  const written = await exchange.council.write(namesLog, council.id, () => {
    const before = exchange.council.names()?.blogs.get(name)
    if (before === undefined) return null
    const { genesis, key, replicas } = before
    const { seq, id } = blog.head
    return {
      ...{ kind: 'assign' as const, blog: name, genesis, key, replicas },
      ...{ epoch: before.epoch + 1, ends: before.id, primary: primary.line.peerId as PeerName },
      ...{ head: { seq, id }, via: null, reason: 'a test', unmet: null, evidence: null },
    }
  })
  if (!written.ok || written.value === null) throw new Error('the act was not written')
  const { act, proof } = written.value
  if (act.decision.kind !== 'assign') throw new Error('the act is no assignment')
  await exchange.tell(
    namesLog,
    proof,
    act.decision.replicas.map((replica) => replica.peer),
  )
}

describe('an assignment of a later epoch', () => {
  it('moves the writes to its primary, and every replica follows it', async () => {
    await using council = await startCouncil({ spokes: 4, replicas: 3 })
    const blog = await council.claim('maria', await makeSigner(), council.peer('b'))
    for (const slug of ['one', 'two', 'three']) await blog.publish(slug, council.peer('d'))
    const before = await council.roles('maria')
    const next = before.secondary[0] as TestPeer
    await assignNext(council, blog, next)
    await soon(async () => {
      expect((await council.roles('maria')).primary.map((peer) => peer.name)).toEqual([next.name])
    })
    for (const [slug, peer] of [
      ['four', council.peer('a')],
      ['five', council.peer('b')],
      ['six', council.peer('d')],
    ] as const) {
      await blog.publish(slug, peer)
    }
    for (const peer of council.peers) await blog.whenWhole(peer)
    const after = await soon(async () => {
      const roles = await council.roles('maria')
      expect(roles.secondary).toContain(before.primary[0])
      expect(roles.secondary).toHaveLength(2)
      return roles
    })
    // Secondaries hear of each other's receipts a moment later.
    await soon(async () => {
      for (const peer of [...after.primary, ...after.secondary]) {
        const { blogs } = await peer.status()
        const maria = blogs.find((each) => each.blog === 'maria')
        expect(maria).toMatchObject({ epoch: 2, active: true })
      }
    })
  })

  it('is led by a replica that lacks the head: it takes it from one that has it', async () => {
    await using council = await startCouncil({ spokes: 3, authority: 'apart' })
    const blog = await council.claim('maria', await makeSigner(), council.peer('b'))
    await blog.publish('one', council.peer('b'))
    const late = council.peer('c')
    await late.stop()
    for (const slug of ['two', 'three']) await blog.publish(slug, council.peer('a'))
    // No replica is there when the act is written: they learn of it from a peer with `@names`.
    for (const name of ['a', 'b']) await council.peer(name).stop()
    await assignNext(council, blog, late)
    for (const peer of [council.peer('a'), late]) await peer.start()
    await blog.publish('four', council.peer('a'))
    for (const peer of [council.peer('a'), late]) await blog.whenWhole(peer)
  })

  it('moves an unpublished tail of the old primary aside, where nothing is deleted', async () => {
    await using council = await startCouncil({ spokes: 3, authority: 'apart' })
    const blog = await council.claim('maria', await makeSigner(), council.peer('b'))
    await blog.publish('one', council.peer('b'))
    const old = council.peer('b')
    for (const name of ['a', 'c']) await council.peer(name).stop()
    const tail = await blog.next('tail')
    expect((await old.post(tail.submission)).status).toBe(202)
    await old.stop()
    for (const name of ['a', 'c']) await council.peer(name).start()
    await assignNext(council, blog, council.peer('a'))
    await blog.publish('two', council.peer('c'))
    await old.start()
    await soon(async () => {
      expect((await old.exchange.headOf('maria'))?.id).toBe(blog.head.id)
    })
    const aside = await old.exchange.store.aside('maria')
    expect(aside.map(({ text }) => Buffer.from(text).toString())).toContain(
      Buffer.from(tail.entry.text).toString(),
    )
    for (const peer of council.spokes) await blog.whenWhole(peer)
    const byId = await old.ask(`/log/${tail.entry.seq}.txt?id=${tail.entry.id}`, blog.host)
    expect(byId.body.equals(tail.entry.text)).toBe(true)
    const unknown = await old.ask(`/log/${tail.entry.seq}.txt?id=${'0'.repeat(64)}`, blog.host)
    expect(unknown.status).toBe(404)
    // Her edit host shows it at any spoke; what the blog has is not there.
    for (const peer of council.spokes) {
      const { exchange } = peer
      await soon(async () => {
        const visit = await exchange.visits.open('maria' as BlogName)
        if (typeof visit === 'string') throw new Error(visit)
        const left = await exchange.reader.leftOver('maria' as BlogName, visit)
        expect(left.map(({ text }) => Buffer.from(text).toString())).toEqual([
          Buffer.from(tail.entry.text).toString(),
        ])
      })
    }
  })

  it('publishes the unpublished tail of the old primary after all, where it still fits', async () => {
    await using council = await startCouncil({ spokes: 3, authority: 'apart' })
    const blog = await council.claim('maria', await makeSigner(), council.peer('b'))
    await blog.publish('one', council.peer('b'))
    const old = council.peer('b')
    for (const name of ['a', 'c']) await council.peer(name).stop()
    const tail = await blog.next('two')
    expect((await old.post(tail.submission)).status).toBe(202)
    await old.stop()
    for (const name of ['a', 'c']) await council.peer(name).start()
    await assignNext(council, blog, council.peer('a'))
    await old.start()
    for (const peer of council.spokes) {
      await soon(async () => expect((await peer.exchange.headOf('maria'))?.id).toBe(tail.entry.id))
    }
  })
})
