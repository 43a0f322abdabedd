import type { Stream } from '@libp2p/interface'
import { lpStream, streamPair } from '@libp2p/utils'
import { decode, encode } from 'cborg'
import { beforeEach, describe, expect, it } from 'vitest'
import { serveStream } from '../../src/node/streams.ts'
import type { Handler } from '../../src/replication/network.ts'
import { peer } from '../replication/test-council.ts'

const patience = { readMs: 300, writeMs: 300 }
let far: Stream
let near: Stream
beforeEach(async () => {
  ;[far, near] = await streamPair()
})

const serve = (handler: Handler = async (_from, body) => ({ heard: body })) =>
  serveStream(near, { from: peer(1).peer, handler, maxBytes: 4 * 1024 * 1024, patience })

describe('serveStream', () => {
  it('answers one request after the other until the other side closes', async () => {
    const served = serve()
    const frames = lpStream(far)
    for (const question of ['a', 'b']) {
      await frames.write(encode(question))
      expect(decode((await frames.read()).subarray())).toEqual({ heard: question })
    }
    await far.close()
    await served
  })

  it.each<[string, Buffer]>([
    ['half a frame', Buffer.from([100, 1, 2, 3])],
    ['half of the length of one', Buffer.from([0x80])],
    ['nothing', Buffer.alloc(0)],
  ])('cuts a peer that sends %s and stops', async (_, bytes) => {
    const served = serve()
    if (bytes.length > 0) far.send(bytes)
    await served
    expect(near.status).not.toBe('open')
  })

  it('cuts a peer that sends a frame byte by byte for longer than one may take', async () => {
    const served = serve()
    far.send(Buffer.from([100]))
    const drip = setInterval(() => far.status === 'open' && far.send(Buffer.from([0])), 50)
    await served.finally(() => clearInterval(drip))
    expect(near.status).not.toBe('open')
  })

  it('tells a handler nothing of a frame that is no CBOR: its own check of the form answers', async () => {
    const heard: unknown[] = []
    void serve(async (_from, body) => {
      heard.push(body)
      return { error: { code: 'REQUEST_MALFORMED', reason: '' } }
    })
    const frames = lpStream(far)
    await frames.write(Buffer.from('9f01ff', 'hex'))
    expect(decode((await frames.read()).subarray()).error.code).toBe('REQUEST_MALFORMED')
    expect(heard).toEqual([null])
  })
})
