import { describe, expect, it } from 'vitest'
import { checkHello, signHello } from '../../../src/replication/registry/hello.ts'
import { codeOf, fakeId, forge, must, peer } from '../test-council.ts'

const council = `blogs.example.org/${fakeId('5f')}`
const nonce = 'AbCdEf0123456789_-'
const want = { council, peer: peer(1).peer, nonce }
const hello = must(signHello(peer(1), council, nonce))

describe('signHello', () => {
  it.each([
    '',
    'short',
    'x'.repeat(65),
    'with a blank in it',
    'with\na line 0123456789',
    'ümlaut0123456789',
  ])('repeats no nonce like %j, so that it signs nothing a stranger wrote', (bad) =>
    expect(codeOf(signHello(peer(1), council, bad))).toBe('HELLO_NONCE'),
  )
})

describe('checkHello', () => {
  it.each([
    ['another peer', must(signHello(peer(2), council, nonce)), 'HELLO_OTHER'],
    ['another council', must(signHello(peer(1), `x.org/${fakeId('5f')}`, nonce)), 'HELLO_OTHER'],
    ['another nonce', must(signHello(peer(1), council, 'a'.repeat(16))), 'HELLO_OTHER'],
    [
      'a signature by another peer',
      { ...hello, signature: peer(2).sign(hello.text) },
      'PEER_SIGNATURE',
    ],
    ['a page of HTML', { ...hello, text: Buffer.from('<html>') }, 'PEER_TEXT_FIRST_LINE'],
    [
      'an unknown header',
      { ...hello, text: forge(hello.text, /$/, '\nmood good') },
      'HEADER_UNKNOWN',
    ],
  ])('refuses %s', (_, signed, code) => {
    expect(codeOf(checkHello(signed, want))).toBe(code)
  })

  it('accepts what this peer signed for this council and nonce', () => {
    expect(codeOf(checkHello(hello, want))).toBe('accepted')
  })
})
