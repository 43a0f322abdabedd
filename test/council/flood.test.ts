import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { expect, it } from 'vitest'
import { realClock } from '../../src/node/clock.ts'
import { createLogger } from '../../src/node/logger.ts'
import { Peer } from '../../src/node/peer.ts'
import { soon } from '../support/council.ts'

const topic = '/council/1/flood'

async function startMember(stack: AsyncDisposableStack): Promise<Peer> {
  const folder = await mkdtemp(join(tmpdir(), 'council-flood-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const peer = await Peer.start({
    ...{ folder, privateKey: await generateKeyPair('Ed25519') },
    ...{ listen: ['/ip4/127.0.0.1/tcp/0'], announce: [] },
    isMember: () => true,
    records: { validate: async () => undefined, select: () => 0 },
    ...{ clock: realClock, logger: createLogger('silent') },
  })
  return stack.use(peer)
}

it('judges few of 5,000 junk messages of a member, and hears all of an honest one', async () => {
  await using stack = new AsyncDisposableStack()
  const [receiver, honest, attacker] = [
    await startMember(stack),
    await startMember(stack),
    await startMember(stack),
  ]
  const heard = new Set<string>()
  let judgedJunk = 0
  for (const peer of [receiver, honest]) {
    peer.pubsub().subscribe(topic, async (_from, data) => {
      const words = Buffer.from(data).toString()
      if (words.startsWith('good')) {
        if (peer === receiver) heard.add(words)
        return 'accept'
      }
      if (peer === receiver) judgedJunk++
      return 'reject'
    })
  }
  for (const peer of [honest, attacker]) await peer.dial(receiver.addresses()[0] as string)
  await attacker.dial(honest.addresses()[0] as string)
  // Both are heard before the flood begins.
  await soon(async () => {
    for (const [name, peer] of Object.entries({ honest, attacker }))
      await peer
        .pubsub()
        .publish(topic, Buffer.from(`good ${name} ${randomBytes(4).toString('hex')}`))
    const names = [...heard].map((words) => words.split(' ')[1])
    expect(names).toEqual(expect.arrayContaining(['honest', 'attacker']))
  })
  const wanted: string[] = []
  for (let count = 0; count < 5_000; count++) {
    await attacker.pubsub().publish(topic, randomBytes(200))
    if (count % 100 !== 0) continue
    wanted.push(`good news ${count}`)
    await honest.pubsub().publish(topic, Buffer.from(`good news ${count}`))
  }
  await soon(() => expect([...heard]).toEqual(expect.arrayContaining(wanted)))
  expect(judgedJunk).toBeGreaterThan(0)
  expect(judgedJunk).toBeLessThan(400)
})
