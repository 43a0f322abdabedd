import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { clientAddress, groupOf, parseNetwork, trustedProxies } from '../../src/web/client.ts'

const isTrusted = trustedProxies(['127.0.0.1', '10.0.0.0/8', '2001:db8:1::/48'])

describe('clientAddress', () => {
  it.each([
    ['a stranger who forges the header', '192.0.2.7', '198.51.100.1', '192.0.2.7'],
    ['a stranger who names a proxy', '192.0.2.7', '10.0.0.1', '192.0.2.7'],
    ['a stranger on IPv6', '2001:db8:2::7', '198.51.100.1', '2001:db8:2::7'],
    ['a proxy without the header', '127.0.0.1', undefined, '127.0.0.1'],
    ['a proxy with an empty header', '127.0.0.1', '', '127.0.0.1'],
    ['a proxy that names nobody', '127.0.0.1', 'unknown', '127.0.0.1'],
    ['a proxy that names nonsense behind an address', '127.0.0.1', '192.0.2.7, _x', '127.0.0.1'],
    ['a proxy with one hop', '127.0.0.1', '192.0.2.7', '192.0.2.7'],
    ['a client that forges hops before a proxy', '127.0.0.1', '1.1.1.1, 192.0.2.7', '192.0.2.7'],
    ['two proxies', '127.0.0.1', '1.1.1.1, 192.0.2.7, 10.1.2.3', '192.0.2.7'],
    ['proxies only', '127.0.0.1', '10.9.9.9, 10.1.2.3', '10.9.9.9'],
    ['a proxy in IPv6 form', '::ffff:127.0.0.1', '192.0.2.7', '192.0.2.7'],
    ['a proxy on IPv6', '2001:db8:1::3', '2001:db8:9::4', '2001:db8:9::4'],
    ['hops with ports', '127.0.0.1', '192.0.2.7:4711, 10.0.0.1:80', '192.0.2.7'],
    ['a hop in brackets', '127.0.0.1', '[2001:db8:9::4]:443', '2001:db8:9::4'],
    ['a hop in IPv6 form', '127.0.0.1', '::ffff:192.0.2.7', '192.0.2.7'],
  ])('of %s', (_who, remote, forwardedFor, address) => {
    expect(clientAddress(remote, forwardedFor, isTrusted)).toBe(address)
  })

  it('looks at so many hops only', () => {
    const hops = ['192.0.2.7', ...Array<string>(50).fill('10.0.0.1')].join(', ')
    expect(clientAddress('127.0.0.1', hops, isTrusted)).toBe('10.0.0.1')
  })

  it('is the address of the connection, whatever a stranger sends', () => {
    fc.assert(
      fc.property(fc.string(), (header) => {
        expect(clientAddress('192.0.2.7', header, isTrusted)).toBe('192.0.2.7')
        clientAddress('127.0.0.1', header, isTrusted)
      }),
    )
  })
})

describe('groupOf', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['2001:db8:0:7:1:2:3:4', '2001:db8:0:7::/64'],
    ['2001:db8:0:7::1', '2001:db8:0:7::/64'],
    ['2001:0DB8:0000:0007::', '2001:db8:0:7::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['1:2:3::', '1:2:3:0::/64'],
    ['1:2:3::192.0.2.7', '1:2:3:0::/64'],
    ['unknown', 'unknown'],
  ])('of %s is %s', (address, group) => {
    expect(groupOf(address)).toBe(group)
  })

  it('is one for all addresses of a /64, and another for the next', () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        expect(groupOf(address)).toMatch(/^[0-9a-f]{1,4}(:[0-9a-f]{1,4}){3}::\/64$/)
      }),
    )
  })
})

describe('parseNetwork', () => {
  it.each(['', 'x', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/08', '10.0.0/8', '::/129', '::1%lo'])(
    'refuses %j',
    (text) => {
      expect(parseNetwork(text)).toBeNull()
    },
  )

  it('trusts exactly the addresses of a network', () => {
    const isProxy = trustedProxies(['10.1.0.0/16', '::1', '0.0.0.0/32'])
    for (const address of ['10.1.0.0', '10.1.255.255', '::1', '0.0.0.0']) {
      expect(isProxy(address)).toBe(true)
    }
    for (const address of ['10.2.0.0', '10.0.255.255', '::2', '0.0.0.1', 'x', '']) {
      expect(isProxy(address)).toBe(false)
    }
  })
})
