import { generateKeyPair } from '@libp2p/crypto/keys'
import { beforeAll, describe, expect, it } from 'vitest'
import { type PeerSigner, peerSigner } from '../../src/auth/peer-signature.ts'
import type { Fingerprint } from '../../src/auth/public-key.ts'
import {
  maxSessionMs,
  passMs,
  readToken,
  signToken,
  type Token,
  UsedIds,
} from '../../src/auth/session.ts'

const nowMs = Date.UTC(2026, 10, 25, 12)
const council = `blogs.localhost/${'5f'.repeat(32)}`
const host = 'edit.maria.blogs.localhost'
const key = 'AB12CD34EF56AB12CD34EF56AB12CD34EF5666A8' as Fingerprint
const session = {
  ...{ council, key, host, id: '0123456789abcdef0123456789abcdef' },
  ...{ issuedMs: nowMs, expiresMs: nowMs + maxSessionMs },
}

describe('readToken', () => {
  let signer: PeerSigner
  let stranger: PeerSigner
  beforeAll(async () => {
    signer = peerSigner(await generateKeyPair('Ed25519'))
    stranger = peerSigner(await generateKeyPair('Ed25519'))
  })
  const read = (value: string, more: Partial<Parameters<typeof readToken>[2]> = {}) =>
    readToken('session', value, {
      ...{ council, host, nowMs },
      isMember: (peer) => peer === signer.peer,
      ...more,
    })
  const made = (more: Partial<Token> = {}, by = signer) =>
    signToken(by, 'session', { ...session, ...more })
  /** The token's text changed, under the signature of the unchanged one. */
  const changed = (change: (text: string) => string) => {
    const [text = '', signature = ''] = made().split('.')
    const other = change(Buffer.from(text, 'base64url').toString())
    return `${Buffer.from(other).toString('base64url')}.${signature}`
  }

  it('gives back what a member signed', () => {
    expect(read(made())).toEqual({ ok: true, value: { ...session, peer: signer.peer } })
  })

  it.each([
    ['of another host', 'SESSION_OTHER', () => made({ host: 'b.spoke.blogs.localhost' })],
    ['of another council', 'SESSION_OTHER', () => made({ council: `x.example/${'0'.repeat(64)}` })],
    ['that is over', 'SESSION_EXPIRED', () => made({ issuedMs: nowMs - 10_000, expiresMs: nowMs })],
    [
      'that lasts longer than 12 hours',
      'SESSION_EXPIRED',
      () => made({ expiresMs: nowMs + maxSessionMs + 1 }),
    ],
    ['from the future', 'SESSION_EXPIRED', () => made({ issuedMs: nowMs + 61_000 })],
    [
      'that ends before it begins',
      'SESSION_EXPIRED',
      () => made({ issuedMs: nowMs + 2, expiresMs: nowMs + 1 }),
    ],
    ['signed by a stranger', 'SESSION_SIGNER', () => made({}, stranger)],
    [
      'for another key',
      'SESSION_SIGNER',
      () => changed((text) => text.replace(key, `${key.slice(0, -1)}9`)),
    ],
    [
      'with a later end',
      'SESSION_SIGNER',
      () => changed((text) => text.replace(/expires \d+/, `expires ${nowMs + 5_000}`)),
    ],
    ['with a line more', 'SESSION_MALFORMED', () => changed((text) => `${text}\nadmin yes`)],
    [
      'with other line ends',
      'SESSION_MALFORMED',
      () => changed((text) => text.replaceAll('\n', '\r\n')),
    ],
    [
      'with a time in another form',
      'SESSION_MALFORMED',
      () => changed((text) => text.replace(/issued (\d+)/, 'issued 0$1')),
    ],
    [
      'that is a pass',
      'SESSION_MALFORMED',
      () => signToken(signer, 'enter', { ...session, expiresMs: nowMs + passMs }),
    ],
    ['without signature', 'SESSION_MALFORMED', () => made().split('.')[0] ?? ''],
    ['that is empty', 'SESSION_MALFORMED', () => ''],
    ['of ten megabytes', 'SESSION_MALFORMED', () => 'A'.repeat(10_000_000)],
    [
      'with another letter in its signature',
      'SESSION_SIGNER',
      () => made().replace(/\.(.)/, (_, first) => `.${first === 'A' ? 'B' : 'A'}`),
    ],
  ])('refuses a session %s', (_, code, make) => {
    expect(read(make())).toMatchObject({ ok: false, code })
  })

  it('refuses a session signed by a spoke that was cut off meanwhile', () => {
    const value = made()
    expect(read(value).ok).toBe(true)
    expect(read(value, { isMember: () => false })).toMatchObject({ code: 'SESSION_SIGNER' })
  })

  it('takes a pass for a minute only', () => {
    const pass = (expiresMs: number) =>
      readToken('enter', signToken(signer, 'enter', { ...session, expiresMs }), {
        ...{ council, host, nowMs, isMember: () => true },
      })
    expect(pass(nowMs + passMs).ok).toBe(true)
    expect(pass(nowMs + passMs + 1)).toMatchObject({ code: 'SESSION_EXPIRED' })
  })
})

describe('UsedIds', () => {
  it('takes an id once, until it expires by itself', () => {
    const used = new UsedIds()
    const pass = { id: 'a', expiresMs: nowMs + passMs }
    expect([used.add(pass, nowMs), used.add(pass, nowMs)]).toEqual([true, false])
    expect(used.has('a')).toBe(true)
  })

  it('holds no more than it may', () => {
    const used = new UsedIds(2)
    for (const id of ['a', 'b', 'c']) used.add({ id, expiresMs: nowMs + passMs }, nowMs)
    expect(['a', 'b', 'c'].map((id) => used.has(id))).toEqual([false, true, true])
  })
})
