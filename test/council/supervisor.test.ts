import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { realClock } from '../../src/node/clock.ts'
import { createLogger } from '../../src/node/logger.ts'
import { Peer } from '../../src/node/peer.ts'
import { makeSigner } from '../support/author.ts'
import {
  soon,
  startCouncil,
  type TestBlog,
  type TestCouncil,
  type TestPeer,
} from '../support/council.ts'

let council: TestCouncil
let blog: TestBlog

beforeAll(async () => {
  council = await startCouncil({ spokes: 3 })
  blog = await council.claim('maria', await makeSigner(), council.peer('b'))
})
afterAll(() => council?.[Symbol.asyncDispose]())

describe('a peer that was down', () => {
  it('is found by the others when it comes up', async () => {
    const [a, b, c] = council.spokes as [TestPeer, TestPeer, TestPeer]
    await Promise.all(council.peers.map((peer) => peer.stop()))
    await Promise.all([b.start(), c.start()])
    await council.ready()

    await a.start()
    await council.ready()
    await blog.publish('after-the-night', b)
    for (const spoke of council.spokes) await blog.whenWhole(spoke)
  })

  it('admits a newcomer that had asked for it in vain', async () => {
    await council.authority.stop()
    let isAdmitted = false
    const joining = council.join('d').then((peer) => {
      isAdmitted = true
      return peer
    })
    joining.catch(() => undefined)
    const b = council.peer('b')
    await blog.publish('without-the-authority', b)
    expect(isAdmitted).toBe(false)
    await council.authority.start()
    await blog.whenWhole(await joining)
  })
})

describe('an authority that has just started', () => {
  it('gives a blog its servers only when it knows which spokes are alive', async () => {
    await Promise.all(council.peers.map((peer) => peer.stop()))
    // Two of the three holders: without them it may not write at all.
    await Promise.all([
      council.authority.start({ failover: { silenceMs: 600_000 } }),
      council.peer('b').start(),
    ])
    const ana = await council.sign('ana', await makeSigner('Ana'))
    await ana.handIn(council.authority)
    await soon(async () => {
      expect((await ana.claim(council.authority)).steps.at(-1)).toMatchObject({
        ...{ step: 'asked-authority', state: 'waiting' },
        detail: expect.stringContaining('does not know yet which spokes are alive'),
      })
    })
    await Promise.all(council.peers.slice(2).map((peer) => peer.start()))
    await ana.whenReady(council.authority)
    const { primary, secondary } = await council.roles('ana')
    expect([primary.length, secondary.length]).toEqual([1, 2])
  })
})

describe('Peer', () => {
  it('dials a wanted peer again until it is up, though that one never dials', async () => {
    await using stack = new AsyncDisposableStack()
    const startPeerIn = peersOf(stack)
    const key = await generateKeyPair('Ed25519')
    const before = await startPeerIn(key)
    const [address = ''] = before.addresses()
    await before[Symbol.asyncDispose]()

    const seeker = stack.use(await startPeerIn(await generateKeyPair('Ed25519')))
    const connected: string[] = []
    seeker.supervise(
      () => [{ peer: before.name, addresses: [address] }],
      (peer) => connected.push(peer),
    )
    await expect(seeker.dial(address)).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
    stack.use(await startPeerIn(key, address.slice(0, address.lastIndexOf('/p2p/'))))
    await soon(() => expect(connected).toEqual([before.name]))
  })
  it('tells of members that dialled in before anybody listened', async () => {
    await using stack = new AsyncDisposableStack()
    const startPeerIn = peersOf(stack)
    const called = stack.use(await startPeerIn(await generateKeyPair('Ed25519')))
    const caller = stack.use(await startPeerIn(await generateKeyPair('Ed25519')))
    await caller.dial(called.addresses()[0] as string)
    await soon(() => expect(called.network().connected()).toEqual([caller.name]))
    const connected: string[] = []
    called.supervise(
      () => [],
      (peer) => connected.push(peer),
    )
    expect(connected).toEqual([caller.name])
  })
})

/** Starts peers in folders of their own, which go with the stack. */
function peersOf(stack: AsyncDisposableStack) {
  return async (privateKey: PrivateKey, listen = '/ip4/127.0.0.1/tcp/0') => {
    const folder = await mkdtemp(join(tmpdir(), 'council-supervisor-'))
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    return Peer.start({
      ...{ folder, privateKey, listen: [listen], announce: [] },
      isMember: () => true,
      records: { validate: async () => undefined, select: () => 0 },
      ...{ clock: realClock, logger: createLogger('silent') },
    })
  }
}
