import { describe, expect, it } from 'vitest'
import { Admissions } from '../../../src/node/authority/admissions.ts'
import { createLogger } from '../../../src/node/logger.ts'
import type { AdmissionPolicy, MemberRecord } from '../../../src/replication/registry/act.ts'
import {
  invitationSigner,
  parseInvitation,
  presentInvitation,
} from '../../../src/replication/registry/invitation.ts'
import { type JoinRequest, signJoin } from '../../../src/replication/registry/join-request.ts'
import { TestPeer } from '../../replication/exchange/test-peer.ts'
import { codeOf, member, must, peer, TestCouncil } from '../../replication/test-council.ts'

const direct = { host: '192.0.2.1', via: null }
const terms = { uses: 1, hours: 1, note: null }

/** The admissions of a real authority; only the pages of newcomers are not fetched. */
async function begin(policy: AdmissionPolicy) {
  const council = new TestCouncil().admit(0, 1)
  const authority = await TestPeer.start(0, council)
  const { clock } = authority
  const fetched: string[] = []
  const told: number[] = []
  const admissions = new Admissions({
    ...{ council: authority.council, store: authority.disk.store, clock, policy },
    log: createLogger('silent').forComponent('council:authority'),
    reach: {
      reached: async (_roster, { name, web }) => {
        fetched.push(name)
        return [...web]
      },
    },
    self: peer(0).peer,
    tell: async () => void told.push(told.length),
  })
  await admissions.load()
  clock.ms += 60_000
  const request = (n: number, change: Partial<MemberRecord> = {}): JoinRequest => ({
    ...{ council: council.council, member: member(n, change), atMs: clock.ms, invite: null },
  })
  const ask = async (n: number, asked = request(n)) => {
    const verdict = await admissions.decideJoin(asked, signJoin(peer(n), asked), direct)
    return verdict.ok ? verdict.value.state : verdict.code
  }
  const invited = async (n: number, secret: string): Promise<JoinRequest> => {
    const signer = await invitationSigner(parseInvitation(secret) as Uint8Array)
    return { ...request(n), invite: presentInvitation(signer, council.council, peer(n).peer) }
  }
  const members = () => authority.council.roster()?.members
  return { admissions, authority, clock, request, ask, invited, fetched, told, members }
}

describe('Admissions', () => {
  it('fetches nothing for a stranger that may not come in', async () => {
    const approving = await begin('approve')
    expect(await approving.ask(2)).toBe('pending')
    const inviting = await begin('invite')
    expect(await inviting.ask(2)).toBe('JOIN_INVITE_MISSING')
    expect([approving.fetched, inviting.fetched]).toEqual([[], []])
  })

  it('admits with the newest request that the peer made while it waited, and tells the council', async () => {
    const { admissions, ask, request, told, members } = await begin('approve')
    await ask(2)
    await ask(2, request(2, { country: 'ES' }))
    expect(must(await admissions.admit('s2', false)).member.country).toBe('ES')
    expect(members()?.get(peer(2).peer)).toMatchObject({ country: 'ES' })
    expect(admissions.waiting()).toEqual([])
    expect(told).toHaveLength(1)
  })

  it('admits a peer that is switched off, however long ago it asked', async () => {
    const { admissions, ask, clock } = await begin('approve')
    await ask(2)
    clock.ms += 3_600_000
    expect(codeOf(await admissions.admit('s2', false))).toBe('accepted')
  })

  it('wants the peer id where two ask for one name', async () => {
    const { admissions, ask, request } = await begin('approve')
    await ask(2, request(2, { name: 'bela' }))
    await ask(3, request(3, { name: 'bela' }))
    expect(codeOf(await admissions.admit('bela', false))).toBe('ADMIT_AMBIGUOUS')
    expect(codeOf(await admissions.refuse('bela', 'no', false))).toBe('ADMIT_AMBIGUOUS')
    expect(codeOf(await admissions.admit(peer(3).peer, false))).toBe('accepted')
    expect(codeOf(await admissions.admit(peer(2).peer, false))).toBe('JOIN_NAME')
  })

  it('lets nobody wait for a name that is gone', async () => {
    const { admissions, ask, request } = await begin('approve')
    await ask(2, request(2, { name: 'bela' }))
    await ask(3, request(3, { name: 'bela' }))
    must(await admissions.admit(peer(3).peer, false))
    expect(await ask(2, request(2, { name: 'bela' }))).toBe('JOIN_NAME')
    expect(admissions.waiting()).toEqual([])
  })

  it('takes no older request than it has seen, whoever passes it on', async () => {
    const { admissions, ask, request, clock } = await begin('approve')
    const old = request(2, { country: 'PT' })
    clock.ms += 30_000
    await ask(2)
    expect(await ask(2, old)).toBe('JOIN_OLD')
    expect(admissions.waiting()).toMatchObject([{ request: { member: { country: null } } }])
  })

  it('changes nothing by a dry run', async () => {
    const { admissions, ask, members } = await begin('approve')
    await ask(2)
    expect(must(await admissions.admit('s2', true)).reached).toEqual(member(2).web)
    must(await admissions.refuse('s2', 'no', true))
    expect(members()?.has(peer(2).peer)).toBe(false)
    expect(admissions.waiting()).toMatchObject([{ refused: null }])
  })

  it('uses up no invitation of a peer that was refused', async () => {
    const { admissions, ask, invited } = await begin('approve')
    await ask(2)
    must(await admissions.refuse('s2', 'no', false))
    const { secret } = must(await admissions.invite(terms))
    expect(await ask(2, await invited(2, secret))).toBe('JOIN_REFUSED')
    expect(admissions.invitations()).toMatchObject([{ usedBy: [] }])
  })

  it('uses up no invitation where none is needed: under open, and of a member', async () => {
    for (const [policy, n] of [
      ['open', 2],
      ['invite', 1],
    ] as const) {
      const { admissions, ask, invited } = await begin(policy)
      const { secret } = must(await admissions.invite(terms))
      expect(await ask(n, await invited(n, secret))).toBe('admitted')
      expect(admissions.invitations()).toMatchObject([{ usedBy: [] }])
    }
  })

  it('lets a peer with a wrong invitation wait, and says why; repeating it is no further try', async () => {
    const { admissions, request, ask } = await begin('approve')
    for (let n = 0; n < 15; n++) {
      const asked = { ...request(2), invite: 'wrong' }
      const verdict = must(await admissions.decideJoin(asked, signJoin(peer(2), asked), direct))
      expect(verdict).toMatchObject({
        state: 'pending',
        reason: expect.stringContaining('does not know this invitation'),
      })
    }
    expect(await ask(3)).toBe('pending')
  })

  it('lets a peer wait on when the disk did not take its act', async () => {
    const { admissions, authority, ask } = await begin('approve')
    await ask(2)
    authority.disk.fails = true
    await expect(admissions.admit('s2', false)).rejects.toThrow()
    authority.disk.fails = false
    expect(admissions.waiting()).toHaveLength(1)
    expect(codeOf(await admissions.admit('s2', false))).toBe('accepted')
  })
})
