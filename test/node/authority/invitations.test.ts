import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  type Invitation,
  Invitations,
  judgeInvitation,
  maxInvitations,
  maxWrongPerHost,
  maxWrongPerMember,
} from '../../../src/node/authority/invitations.ts'
import {
  invitationId,
  invitationSigner,
  parseInvitation,
  presentInvitation,
} from '../../../src/replication/registry/invitation.ts'
import type { JoinRequest } from '../../../src/replication/registry/join-request.ts'
import {
  codeOf,
  fakeId,
  member,
  must,
  peer,
  startMs,
  TestDisk,
} from '../../replication/test-council.ts'

const council = `blogs.example.org/${fakeId('5f')}`
const hourMs = 3_600_000
const seedOf = (name: string) => createHash('sha256').update(name).digest()
const secret = await invitationSigner(seedOf('one'))
const other = await invitationSigner(seedOf('other'))
const direct = { host: '192.0.2.1', via: null }
const fresh = { isRepeated: false }

const presents = (n: number, invite: string | null): JoinRequest => ({
  ...{ council, member: member(n), atMs: startMs, invite },
})
const good = (n: number) => presents(n, presentInvitation(secret, council, peer(n).peer))
const invitation = (change: Partial<Invitation> = {}): Invitation => ({
  ...{ key: secret.peer, createdMs: startMs, expiresMs: startMs + hourMs, uses: 1, usedBy: [] },
  ...{ revokedMs: null, note: null },
  ...change,
})
const usedBy = (...numbers: number[]) => numbers.map((n) => ({ peer: peer(n).peer, atMs: startMs }))

describe('judgeInvitation', () => {
  const shown = good(1).invite as string
  const [id = '', signature = ''] = shown.split(' ')
  it.each<[string, Invitation | null, JoinRequest, number, string]>([
    ['that nobody made', null, good(1), 0, 'JOIN_INVITE_UNKNOWN'],
    ['with the id alone', invitation(), presents(1, id), 0, 'JOIN_INVITE_UNKNOWN'],
    ['without id', invitation(), presents(1, ` ${signature}`), 0, 'JOIN_INVITE_UNKNOWN'],
    ['with more behind it', invitation(), presents(1, `${shown} x`), 0, 'JOIN_INVITE_UNKNOWN'],
    [
      'with a signature cut short',
      ...([invitation(), presents(1, shown.slice(0, -2)), 0, 'JOIN_INVITE_UNKNOWN'] as const),
    ],
    [
      "with another invitation's signature",
      invitation(),
      presents(1, `${id} ${presentInvitation(other, council, peer(1).peer).split(' ')[1]}`),
      ...([0, 'JOIN_INVITE_UNKNOWN'] as const),
    ],
    ["that was another peer's", invitation(), presents(2, shown), 0, 'JOIN_INVITE_UNKNOWN'],
    [
      'for another council',
      invitation(),
      presents(1, presentInvitation(secret, council.replace('5f', '6f'), peer(1).peer)),
      ...([0, 'JOIN_INVITE_UNKNOWN'] as const),
    ],
    ['after its end', invitation(), good(1), hourMs + 1, 'JOIN_INVITE_EXPIRED'],
    ['that another peer used', invitation({ usedBy: usedBy(2) }), good(1), 0, 'JOIN_INVITE_USED'],
    [
      'that two others used',
      ...([invitation({ uses: 2, usedBy: usedBy(2, 3) }), good(1), 0, 'JOIN_INVITE_USED'] as const),
    ],
    ['that was revoked', invitation({ revokedMs: startMs }), good(1), 0, 'JOIN_INVITE_REVOKED'],
    [
      'that was revoked after this peer used it',
      invitation({ revokedMs: startMs, usedBy: usedBy(1) }),
      ...([good(1), 0, 'JOIN_INVITE_REVOKED'] as const),
    ],
    [
      'that is used, to who has not its secret',
      ...([invitation({ usedBy: usedBy(2) }), presents(1, id), 0, 'JOIN_INVITE_UNKNOWN'] as const),
    ],
  ])('refuses one %s', (_, found, request, laterMs, code) => {
    const verdict = judgeInvitation(found, request, startMs + laterMs)
    expect(codeOf(verdict)).toBe(code)
    expect(verdict.ok ? '' : verdict.reason).toMatch(/\.$/)
  })

  it('takes it from as many peers as it has uses, until its last moment', () => {
    expect(must(judgeInvitation(invitation(), good(1), startMs + hourMs))).toBe('first')
    const two = invitation({ uses: 2, usedBy: usedBy(2) })
    expect(must(judgeInvitation(two, good(1), startMs))).toBe('first')
  })

  it('takes it again from the peer that used it, also later', () => {
    const used = invitation({ usedBy: usedBy(1) })
    expect(must(judgeInvitation(used, good(1), startMs + 2 * hourMs))).toBe('again')
  })
})

describe('Invitations', () => {
  const terms = { uses: 1, hours: 1, note: null }
  async function begin() {
    const disk = new TestDisk()
    const clock = { ms: startMs }
    const open = async () => {
      const invitations = new Invitations(disk.store, () => clock.ms)
      await invitations.load()
      return invitations
    }
    return { disk, clock, open, invitations: await open() }
  }

  it('keeps no secret: neither seed nor signature stand on the disk', async () => {
    const { disk, invitations } = await begin()
    const made = must(await invitations.make(seedOf('one'), terms))
    expect(parseInvitation(made.secret)).toEqual(seedOf('one'))
    must(await invitations.present(good(1), direct, fresh))
    for (const [, value] of await disk.rows()) {
      const row = Buffer.from(value)
      expect(row.includes(seedOf('one'))).toBe(false)
      expect(row.includes(made.secret)).toBe(false)
      expect(row.includes((good(1).invite as string).split(' ')[1] as string)).toBe(false)
    }
  })

  it('lets one peer in, also when two present it side by side, also after a restart', async () => {
    const { invitations, open } = await begin()
    must(await invitations.make(seedOf('one'), terms))
    const both = await Promise.all([1, 2].map((n) => invitations.present(good(n), direct, fresh)))
    expect(both.map(codeOf)).toEqual(['accepted', 'JOIN_INVITE_USED'])
    const again = await open()
    expect(codeOf(await again.present(good(2), direct, fresh))).toBe('JOIN_INVITE_USED')
    expect(codeOf(await again.present(good(1), direct, fresh))).toBe('accepted')
  })

  it('does not exist, or is not used, when the disk did not take that', async () => {
    const { disk, invitations } = await begin()
    disk.fails = true
    await expect(invitations.make(seedOf('one'), terms)).rejects.toThrow()
    expect(invitations.all()).toEqual([])
    disk.fails = false
    must(await invitations.make(seedOf('one'), terms))
    disk.fails = true
    await expect(invitations.present(good(1), direct, fresh)).rejects.toThrow()
    disk.fails = false
    expect(codeOf(await invitations.present(good(2), direct, fresh))).toBe('accepted')
  })

  it('looks at ten wrong ones of a host an hour, then at none, not even a good one', async () => {
    const { invitations } = await begin()
    must(await invitations.make(seedOf('one'), terms))
    for (let n = 0; n < maxWrongPerHost; n++) {
      const wrong = presents(2, `${invitationId(secret.peer)} guess${n}`)
      expect(codeOf(await invitations.present(wrong, direct, fresh))).toBe('JOIN_INVITE_UNKNOWN')
    }
    expect(codeOf(await invitations.present(good(1), direct, fresh))).toBe('JOIN_INVITE_TRIES')
    const elsewhere = { host: '192.0.2.2', via: null }
    expect(codeOf(await invitations.present(good(1), elsewhere, fresh))).toBe('accepted')
  })

  it('counts the same wrong one once, and a used or expired one never', async () => {
    const { clock, invitations } = await begin()
    must(await invitations.make(seedOf('one'), terms))
    must(await invitations.present(good(1), direct, fresh))
    clock.ms += 2 * hourMs
    for (let n = 0; n < 2 * maxWrongPerHost; n++) {
      expect(codeOf(await invitations.present(good(2), direct, fresh))).toBe('JOIN_INVITE_USED')
      const same = await invitations.present(presents(3, 'wrong'), direct, { isRepeated: n > 0 })
      expect(codeOf(same)).toBe('JOIN_INVITE_UNKNOWN')
    }
  })

  it('looks at a hundred wrong ones of a member, whatever hosts it names', async () => {
    const { invitations } = await begin()
    const via = peer(4).peer
    for (let n = 0; n < maxWrongPerMember; n++) {
      const from = { host: `192.0.2.${n}`, via }
      expect(codeOf(await invitations.present(presents(2, `guess${n}`), from, fresh))).toBe(
        'JOIN_INVITE_UNKNOWN',
      )
    }
    const next = await invitations.present(presents(2, 'x'), { host: '198.51.100.1', via }, fresh)
    expect(codeOf(next)).toBe('JOIN_INVITE_TRIES')
  })

  it('revokes one, and says which it does not know', async () => {
    const { invitations, open } = await begin()
    must(await invitations.make(seedOf('one'), terms))
    must(await invitations.revoke(invitationId(secret.peer)))
    expect(codeOf(await (await open()).present(good(1), direct, fresh))).toBe('JOIN_INVITE_REVOKED')
    expect(codeOf(await invitations.revoke('nothing'))).toBe('INVITE_UNKNOWN')
  })

  it('keeps two hundred, and forgets only those that are no longer good', async () => {
    const { invitations, clock } = await begin()
    must(await invitations.make(seedOf('one'), terms))
    for (let n = 1; n < maxInvitations; n++) {
      clock.ms = startMs + n
      must(await invitations.make(seedOf(`${n}`), terms))
    }
    expect(codeOf(await invitations.make(seedOf('more'), terms))).toBe('INVITE_TOO_MANY')
    must(await invitations.present(good(1), direct, fresh))
    must(await invitations.make(seedOf('more'), terms))
    expect(invitations.all()).toHaveLength(maxInvitations)
    expect(codeOf(await invitations.present(good(2), direct, fresh))).toBe('JOIN_INVITE_UNKNOWN')
  })
})
