import { describe, expect, it, vi } from 'vitest'
import type { PeerName } from '../../src/auth/peer-signature.ts'
import type { BlogName } from '../../src/replication/log/entry.ts'
import { makeSigner } from '../support/author.ts'
import { soon, startCouncil, type TestPeer, zone } from '../support/council.ts'

/** The program of an operator who signs receipts and keeps nothing. */
function keepNothing({ exchange }: TestPeer, blog: string): void {
  const { store, ingest } = exchange
  const write = store.write.bind(store)
  store.write = (operations, options) =>
    write(
      operations.filter(({ key, type }) => type === 'del' || !key.startsWith(`entry/${blog}/`)),
      options,
    )
  ingest.damage.of = () => []
}

describe('a secondary that gives receipts without storing', () => {
  it('is found by surprise questions within 60 s, cut off by policy, and replaced; nothing is lost', async () => {
    await using council = await startCouncil({
      ...{ spokes: 5, replicas: 3, cutoffReports: 2 },
      failover: { silenceMs: 2_000, replaceAfterMs: 1_000 },
    })
    const blog = await council.claim('maria', await makeSigner(), council.peer('b'))
    const { secondary } = await council.roles('maria')
    const liar = secondary.find((peer) => peer !== council.authority) as TestPeer
    keepNothing(liar, 'maria')
    const { store } = liar.exchange
    await store.write([store.deleteEntry('maria', 0)])
    for (let n = 0; n < 4; n++) await blog.publish(`post-${n}`, council.peer('b'))
    const sinceMs = Date.now()
    // It has signed that it holds all of it.
    await soon(() => {
      const given = council.peer('b').exchange.replicas.get('maria' as BlogName)?.receipts
      expect(given?.of(liar.line.peerId as PeerName)?.head.seq).toBe(blog.head.seq)
    })
    await vi.waitFor(
      async () => {
        const { members } = await council.authority.status()
        expect(members.find(({ name }) => name === liar.name)?.cutOff).toBe(true)
      },
      { timeout: 60_000, interval: 200 },
    )
    expect(Date.now() - sinceMs).toBeLessThan(60_000)
    const others = council.spokes.filter((peer) => peer !== liar)
    await blog.publish('after', others[1] as TestPeer)
    await vi.waitFor(
      async () => {
        const kept = await Promise.all(
          others.map(async (peer) =>
            (await peer.status()).blogs.find(
              (each) => each.blog === 'maria' && each.role !== 'none',
            ),
          ),
        )
        const replicas = kept.filter((each) => each !== undefined)
        expect(replicas).toHaveLength(3)
        for (const each of replicas)
          expect(each).toMatchObject({ replicas: 3, published: blog.head.seq })
      },
      { timeout: 30_000, interval: 200 },
    )
    for (const peer of others) await blog.whenWhole(peer)
    // In public: what it signed, and what it answered.
    const acts = await (others[0] as TestPeer).acts(
      `Spoke ${liar.name} was cut off: 2 spokes of different operators report`,
    )
    const [path = ''] =
      /\/acts\/roster\/\d+\.txt/.exec(acts.slice(acts.indexOf('was cut off'))) ?? []
    const act = (await (others[0] as TestPeer).ask(path, zone)).body.toString()
    expect(act).toContain('council-report 1')
    expect(act).toContain('it says that it does not have the entry')
    expect(act).toContain('its receipt, in base64:')
  })
})
