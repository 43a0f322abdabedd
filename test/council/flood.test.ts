import { randomBytes } from 'node:crypto'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, it } from 'vitest'
import { soon } from '../support/council.ts'
import { type Host, startHost, startMember } from '../support/member.ts'
import { workedMs } from '../support/worked.ts'

const topic = '/council/1/flood'
const junk = 5_000

/** Peers to which a host may send in full: gossipsub's mesh, as that host sees it. */
const meshOf = ({ services: { pubsub } }: Host): readonly string[] =>
  (pubsub as unknown as { getMeshPeers: (topic: string) => string[] }).getMeshPeers(topic)

it('judges few of 5,000 junk messages at every peer, puts the sender out of every mesh, and hears all of an honest one in time', async () => {
  await using stack = new AsyncDisposableStack()
  const honest = await Promise.all([1, 2, 3].map(() => startMember(stack)))
  const [publisher, ...receivers] = honest as [(typeof honest)[number]]
  const attacker = await startHost(stack)
  const judged = honest.map(() => 0)
  const heard = honest.map(() => new Map<string, number>())
  for (const [index, peer] of honest.entries()) {
    peer.pubsub().subscribe(topic, async (_from, data) => {
      const words = Buffer.from(data).toString()
      if (words.startsWith('good')) {
        heard[index]?.set(words, workedMs())
        return 'accept'
      }
      judged[index] = (judged[index] as number) + 1
      return 'reject'
    })
  }
  attacker.services.pubsub.subscribe(topic)
  for (const [index, peer] of honest.entries()) {
    for (const other of honest.slice(index + 1)) await peer.dial(other.addresses()[0] as string)
    await attacker.dial(multiaddr(peer.addresses()[0] as string))
  }
  // The flood begins when all are in each other's mesh, and the honest one is heard everywhere.
  await soon(() => expect(meshOf(attacker)).toHaveLength(3))
  await soon(async () => {
    await publisher.pubsub().publish(topic, Buffer.from(`good ${randomBytes(4).toString('hex')}`))
    for (const [index] of receivers.entries()) expect(heard[index + 1]?.size).toBeGreaterThan(0)
  })

  /**
   * Publishes 100 messages, each after `between`; how late the latest but one came at each receiver,
   * ms of this process's own work: what others do on the machine does not count.
   */
  const latestMs = async (name: string, between: () => Promise<void>): Promise<number[]> => {
    const sentMs = new Map<string, number>()
    for (let count = 0; count < 100; count++) {
      await between()
      const words = `good ${name} ${count}`
      sentMs.set(words, workedMs())
      await publisher.pubsub().publish(topic, Buffer.from(words))
    }
    return Promise.all(
      receivers.map(async (_, index) => {
        const at = heard[index + 1] as Map<string, number>
        await soon(() => expect([...at.keys()]).toEqual(expect.arrayContaining([...sentMs.keys()])))
        const delays = [...sentMs].map(([words, ms]) => (at.get(words) as number) - ms)
        return delays.toSorted((a, b) => a - b)[98] as number
      }),
    )
  }
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
  const quiet = await latestMs('quiet', turn)
  const flooded = await latestMs('flooded', async () => {
    for (let count = 0; count < junk / 100; count++) {
      await attacker.services.pubsub.publish(topic, randomBytes(200))
      // Elsewhere it has a processor of its own: here the others must get theirs in between.
      await turn()
    }
  })
  // Half a second, but on a machine that is too slow for that without any flood.
  for (const [index, ms] of flooded.entries())
    expect(ms).toBeLessThan(Math.max(500, 4 * (quiet[index] as number)))
  for (const count of judged) {
    expect(count).toBeGreaterThan(0)
    expect(count).toBeLessThan(400)
  }
  // Each of them has told it so: PRUNE, at its next heartbeat.
  await soon(() => expect(meshOf(attacker)).toEqual([]))
})
