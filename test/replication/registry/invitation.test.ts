import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatInvitation,
  invitationSigner,
  isPresentedFor,
  parseInvitation,
  presentedId,
  presentInvitation,
} from '../../../src/replication/registry/invitation.ts'
import { decodeJoin, signJoin } from '../../../src/replication/registry/join-request.ts'
import { fakeId, member, must, peer, seedOf, startMs } from '../test-council.ts'

const council = `blogs.example.org/${fakeId('5f')}`
const secret = formatInvitation(seedOf(1))

describe('parseInvitation', () => {
  it.each([
    ['nothing', ''],
    ['one character less', secret.slice(0, -1)],
    ['one more', `${secret}A`],
    ['a filler behind it', `${secret}=`],
    ['a blank', ` ${secret}`],
    ['bits behind the last byte', `${secret.slice(0, -1)}${secret.endsWith('B') ? 'C' : 'B'}`],
    ['the other alphabet', `${'+'.repeat(42)}A`],
  ])('refuses %s', (_, text) => {
    expect(parseInvitation(text)).toBeNull()
  })

  it('reads back each secret that formatInvitation writes, and nothing else', () => {
    const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 })
    fc.assert(
      fc.property(seeds, (seed) => {
        expect(parseInvitation(formatInvitation(seed))).toEqual(Buffer.from(seed))
      }),
    )
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const seed = parseInvitation(text)
        expect(seed === null || formatInvitation(seed) === text).toBe(true)
      }),
    )
  })
})

describe('presentInvitation', () => {
  it('fits the header of a join request, and holds for its peer and council only', async () => {
    const signer = await invitationSigner(seedOf(1))
    const invite = presentInvitation(signer, council, peer(1).peer)
    expect(invite).toHaveLength(99)
    expect(invite).not.toContain(secret)
    const request = { council, member: member(1), atMs: startMs, invite }
    expect(must(decodeJoin(signJoin(peer(1), request))).invite).toBe(invite)
    expect(presentedId(invite)).toBe(signer.peer.slice(-12))
    expect(isPresentedFor(invite, signer.peer, { council, peer: peer(1).peer })).toBe(true)
    expect(isPresentedFor(invite, signer.peer, { council, peer: peer(2).peer })).toBe(false)
  })
})
