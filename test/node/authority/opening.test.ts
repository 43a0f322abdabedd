import { describe, expect, it } from 'vitest'
import { Opening } from '../../../src/node/authority/opening.ts'
import type { ComponentLog } from '../../../src/node/logger.ts'
import { Holders } from '../../../src/replication/exchange/holders.ts'
import type { Network } from '../../../src/replication/network.ts'
import { TestPeer } from '../../replication/exchange/test-peer.ts'
import { noFollow } from '../../replication/no-follow.ts'
import { peer, settle, storeOf, TestCouncil } from '../../replication/test-council.ts'

describe('Opening.open', () => {
  it('tries again after a disk that took nothing', async () => {
    const { disk, clock, sync, council } = await TestPeer.start(0, new TestCouncil().admit(0))
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
      ...{ signer: peer(0), clock, silenceMs: 0, folderMark: async () => 'this folder' },
      log: { error: note, warn: note, info: note } as unknown as ComponentLog,
    })
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
