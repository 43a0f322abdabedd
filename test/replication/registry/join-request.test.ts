import { describe, expect, it } from 'vitest'
import {
  decodeJoin,
  type JoinRequest,
  signJoin,
} from '../../../src/replication/registry/join-request.ts'
import { codeOf, fakeId, forge, member, must, peer, startMs } from '../test-council.ts'

const request: JoinRequest = {
  council: `blogs.example.org/${fakeId('5f')}`,
  member: member(1, {
    ...{
      roles: ['spoke', 'dns'],
      addresses: ['/ip4/192.0.2.7/tcp/4001', '/dns4/a.example.org/tcp/4001'],
    },
    ...{
      web: ['http://192.0.2.7:80', 'http://[2001:db8::1]:80'],
      dns: ['192.0.2.7 53', '2001:db8::1 53'],
    },
    ...{ operator: 'Collectif Été', network: 'AS64496', country: 'ES' },
  }),
  atMs: startMs,
  invite: 'secret',
}
const good = signJoin(peer(1), request)

describe('decodeJoin', () => {
  const changed = (part: string | RegExp, by: string) => {
    const text = forge(good.text, part, by)
    return { text, signature: peer(1).sign(text) }
  }
  it.each([
    ['another text', changed('council-join 1', 'council-join 2'), 'PEER_TEXT_FIRST_LINE'],
    ['no name', changed(/name .*\n/, ''), 'HEADER_MISSING'],
    ['a name that is no label', changed(/name .*/, 'name S1'), 'HEADER_VALUE'],
    ['no roles', changed(/roles .*\n/, ''), 'HEADER_MISSING'],
    [
      'a web address by name',
      changed('http://192.0.2.7:80', 'http://localhost:80'),
      'HEADER_VALUE',
    ],
    [
      'an operator of 101 characters',
      changed(/operator .*/, `operator ${'x'.repeat(101)}`),
      'HEADER_VALUE',
    ],
    [
      'writing direction in a name',
      changed(/operator .*/, 'operator a\u202eb'),
      'TEXT_BIDI_IN_HEADER',
    ],
    ['a signature by another peer', signJoin(peer(2), request), 'PEER_SIGNATURE'],
    ['a changed text', { ...good, text: forge(good.text, 'AS64496', 'AS64497') }, 'PEER_SIGNATURE'],
  ])('refuses %s', (_, signed, code) => {
    expect(codeOf(decodeJoin(signed))).toBe(code)
  })

  it('reads what a newcomer signed', () => {
    expect(must(decodeJoin(good))).toEqual(request)
    const plain = { ...request, member: member(2), invite: null }
    expect(must(decodeJoin(signJoin(peer(2), plain)))).toEqual(plain)
  })
})
