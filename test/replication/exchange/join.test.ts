import { beforeEach, describe, expect, it } from 'vitest'
import { refuse } from '../../../src/auth/verdict.ts'
import { type Decide, Join, type Origin } from '../../../src/replication/exchange/join.ts'
import type { Handler } from '../../../src/replication/network.ts'
import { signJoin } from '../../../src/replication/registry/join-request.ts'
import { signedRow } from '../../../src/replication/registry/proof.ts'
import { noFollow } from '../no-follow.ts'
import { fakeId, member, peer, startMs, TestCouncil } from '../test-council.ts'
import { codeIn, TestPeer } from './test-peer.ts'

const council = new TestCouncil().admit(0, 1)
const newcomer = 5
const request = {
  ...{ council: council.council, member: member(newcomer), atMs: startMs, invite: null },
}
const body = (change: object = {}, asked = request) => ({
  ...{ t: 'join', request: signedRow(signJoin(peer(newcomer), asked)) },
  ...change,
})

/** `Join` of one peer; what it would ask the authority goes into `sent`. */
async function start(n: number, decide: Decide | null) {
  const { council: logs, disk } = await TestPeer.start(n, council)
  const sent: unknown[] = []
  let handler: Handler | null = null
  const join = new Join({
    ...{ store: disk.store, council: logs, decide },
    network: {
      self: peer(n).peer,
      connected: () => [],
      ...noFollow,
      handle: (_protocol, given) => {
        handler = given
      },
      request: async (to, _protocol, asked) => {
        sent.push([to, asked])
        return { state: 'pending', reason: 'Wait.' }
      },
    },
  })
  join.start()
  return { sent, ask: handler as unknown as Handler, join }
}

describe('Join', () => {
  const origins: Origin[] = []
  let authority: Awaited<ReturnType<typeof start>>

  beforeEach(async () => {
    origins.length = 0
    authority = await start(0, async (asked, signed, origin) => {
      origins.push(origin)
      expect(asked).toEqual(request)
      expect(signed.text).toEqual(signJoin(peer(newcomer), request).text)
      return { ok: true, value: { state: 'pending', reason: 'Wait.' } }
    })
  })

  it.each<[string, number, object, string]>([
    ['for another peer by a stranger', 6, body(), 'JOIN_OTHER_PEER'],
    [
      'for another council',
      newcomer,
      body({}, { ...request, council: `blogs.localhost/${fakeId('5f')}` }),
      'JOIN_COUNCIL',
    ],
    ['with a host that is no IP address', 1, body({ host: 'localhost' }), 'REQUEST_MALFORMED'],
    ['with a host of a megabyte', 1, body({ host: '1'.repeat(1e6) }), 'REQUEST_MALFORMED'],
    [
      'without a signature',
      newcomer,
      { ...body(), request: [new Uint8Array(), new Uint8Array()] },
      'PEER_TEXT_FIRST_LINE',
    ],
    ['of no form', newcomer, { t: 'join' }, 'REQUEST_MALFORMED'],
  ])('refuses a request %s', async (_, from, asked, code) => {
    const answer = await authority.ask(peer(from).peer, asked, '192.0.2.1')
    expect(codeIn(answer)).toBe(code)
    expect(origins).toEqual([])
  })

  it('knows the host of a newcomer by its connection, whatever it says itself', async () => {
    const lie = body({ host: '198.51.100.1' })
    expect(await authority.ask(peer(newcomer).peer, lie, '192.0.2.1')).toEqual({
      ...{ state: 'pending', reason: 'Wait.' },
    })
    await authority.ask(peer(newcomer).peer, body())
    expect(origins).toEqual([
      { host: '192.0.2.1', via: null },
      { host: null, via: null },
    ])
  })

  it('knows it by the member that passes the request on', async () => {
    await authority.ask(peer(1).peer, body({ host: '2001:db8::1' }), '192.0.2.1')
    await authority.ask(peer(1).peer, body(), '192.0.2.1')
    expect(origins).toEqual([
      { host: '2001:db8::1', via: peer(1).peer },
      { host: null, via: peer(1).peer },
    ])
  })

  it('passes a request on to the authority with the host it came from, and its answer back', async () => {
    const { ask, sent } = await start(1, null)
    expect(await ask(peer(newcomer).peer, body({ host: '198.51.100.1' }), '192.0.2.1')).toEqual({
      ...{ state: 'pending', reason: 'Wait.' },
    })
    expect(sent).toEqual([[peer(0).peer, body({ host: '192.0.2.1' })]])
  })

  it('hands the refusal of the authority back with its code and sentence', async () => {
    const { ask } = await start(0, async () => refuse('JOIN_REFUSED', 'No.'))
    expect(await ask(peer(newcomer).peer, body())).toEqual({
      error: { code: 'JOIN_REFUSED', reason: 'No.' },
    })
  })
})
