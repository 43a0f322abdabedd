import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatBootstrap, parseBootstrap } from '../../../src/replication/registry/bootstrap.ts'
import { codeOf, fakeId, peer } from '../test-council.ts'

const council = `blogs.example.org/${fakeId('5f')}`
const at = `/ip4/192.0.2.7/tcp/4001/p2p/${peer(1).peer}`
const good = `council://${council}?peer=${at}`

describe('parseBootstrap', () => {
  it.each([
    ['another scheme', good.replace('council:', 'https:'), 'BOOTSTRAP_SCHEME'],
    ['a bare multiaddr', at, 'BOOTSTRAP_SCHEME'],
    ['a scheme in upper case', good.replace('council', 'COUNCIL'), 'BOOTSTRAP_SCHEME'],
    ['no council id', `council://blogs.example.org?peer=${at}`, 'BOOTSTRAP_COUNCIL'],
    ['a short council id', good.replace('5f5f?', '5f?'), 'BOOTSTRAP_COUNCIL'],
    ['a council id in upper case', good.replace(fakeId('5f'), fakeId('5F')), 'BOOTSTRAP_COUNCIL'],
    ['no zone', good.replace('blogs.example.org', ''), 'BOOTSTRAP_COUNCIL'],
    ['no peer', `council://${council}`, 'BOOTSTRAP_PEER'],
    [
      'a peer without its id',
      `council://${council}?peer=/ip4/192.0.2.7/tcp/4001`,
      'BOOTSTRAP_PEER',
    ],
    ['a second peer that is none', `${good}&peer=x`, 'BOOTSTRAP_PEER'],
    ['a peer with an RSA id', good.replace('12D3Koo', 'QmYwAPJ'), 'BOOTSTRAP_PEER'],
    ['an unknown parameter', `${good}&key=1`, 'BOOTSTRAP_QUERY'],
    ['two invites', `${good}&invite=a&invite=b`, 'BOOTSTRAP_QUERY'],
    ['a second question mark', `${good}?peer=${at}`, 'BOOTSTRAP_PEER'],
  ])('refuses %s', (_, address, code) => {
    expect(codeOf(parseBootstrap(address))).toBe(code)
  })

  it('reads back every address that formatBootstrap writes', () => {
    const addresses = fc.record({
      peers: fc.array(
        fc
          .tuple(fc.ipV4(), fc.integer({ min: 1, max: 65_535 }), fc.nat(9))
          .map(([ip, port, n]) => `/ip4/${ip}/tcp/${port}/p2p/${peer(n).peer}`),
        { minLength: 1, maxLength: 4 },
      ),
      invite: fc.option(fc.string({ unit: 'grapheme', maxLength: 20 })),
    })
    fc.assert(
      fc.property(addresses, (given) => {
        const bootstrap = { council, ...given }
        expect(parseBootstrap(formatBootstrap(bootstrap))).toEqual({ ok: true, value: bootstrap })
      }),
    )
  })

  it('never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(parseBootstrap(`council://${text}`).ok).toBe(false)
      }),
    )
  })
})
