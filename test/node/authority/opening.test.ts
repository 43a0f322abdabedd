import { describe, expect, it } from 'vitest'
import { Opening } from '../../../src/node/authority/opening.ts'
import type { ComponentLog } from '../../../src/node/logger.ts'
import { Holders } from '../../../src/replication/exchange/holders.ts'
import type { Network } from '../../../src/replication/network.ts'
import { TestPeer } from '../../replication/exchange/test-peer.ts'
import { noFollow } from '../../replication/no-follow.ts'
import { peer, settle, storeOf, TestCouncil } from '../../replication/test-council.ts'

/** The opening of an authority that holds its logs alone and reaches nobody. */
function openingOf({ disk, clock, sync, council }: TestPeer, { folder = 'this', silenceMs = 0 }) {
  const network: Network = {
    ...{ self: peer(0).peer, connected: () => [], handle: () => undefined, ...noFollow },
    request: () => Promise.reject(new Error('nobody is there')),
  }
  const events: string[] = []
  const note = (event: string) => void events.push(event)
  const { store } = disk
  const opening = new Opening({
    exchange: {
      ...{ council, network, store, sync, storeId: () => storeOf(0) },
      holders: new Holders({ network, council, sync }),
      renewStore: async () => undefined,
    },
    ...{ signer: peer(0), clock, silenceMs, folderMark: async () => folder },
    log: { error: note, warn: note, info: note } as unknown as ComponentLog,
  })
  return { opening, events }
}

describe('Opening.open', () => {
  it('lets a copied folder write where it is the only holder, once it has listened', async () => {
    const self = await TestPeer.start(0, new TestCouncil().admit(0, 1))
    await openingOf(self, {}).opening.open()
    const { opening, events } = openingOf(self, { folder: 'a copy', silenceMs: 5_000 })
    const opened = opening.open()
    await settle()
    expect(events).toEqual([])
    for (let n = 0; n < 12; n++) await self.clock.pass(500)
    await opened
    expect(events).toEqual(['authority_writes'])
  })

  it('tries again after a disk that took nothing', async () => {
    const self = await TestPeer.start(0, new TestCouncil().admit(0))
    const { opening, events } = openingOf(self, {})
    const { disk, clock } = self
    disk.fails = true
    const opened = opening.open()
    await settle()
    expect(events).toEqual(['opening_failed'])
    disk.fails = false
    await clock.pass(2_000)
    await opened
    expect(events).toEqual(['opening_failed', 'authority_writes'])
  })
})
