import { beforeEach, describe, expect, it } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import { readActs } from '../../../src/replication/exchange/act-pull.ts'
import { Losses } from '../../../src/replication/exchange/losses.ts'
import { namesLog, rosterLog } from '../../../src/replication/log/log.ts'
import { SYNC } from '../../../src/replication/protocol.ts'
import type { Decision } from '../../../src/replication/registry/act.ts'
import { writeLoss } from '../../../src/replication/registry/loss.ts'
import { type ProofOfAct, proofRow } from '../../../src/replication/registry/proof.ts'
import { noFollow } from '../no-follow.ts'
import {
  assignFields,
  codeOf,
  fakeId,
  forge,
  peer,
  replica,
  TestCouncil,
  TestDisk,
} from '../test-council.ts'
import { maria, TestPeer } from './test-peer.ts'

const head = (seq: number) => ({ seq, id: fakeId('ab') })
const evidence = writeLoss([{ replica: replica(1), answers: false, head: head(7) }], head(3))
const loss = (reason: string): Decision => ({
  ...{ kind: 'loss', blog: maria, assign: fakeId('ee'), reason, evidence },
})
const council = new TestCouncil().admit(1, 2, 3)
council.write(assignFields())
const lost = council.write(loss('fire'))
const end = lost.act.seq + 1
const two = peer(2).peer

let at: TestPeer
let losses: Losses
let asked: number[]
/** A spoke that does not carry @names, and another one that does. */
beforeEach(async () => {
  asked = []
  await start(new TestDisk())
})
async function start(disk: TestDisk): Promise<void> {
  const { councilId } = council.roster
  at = new TestPeer(1, { councilId, council: council.council }, disk)
  await at.council.start()
  await at.council.take(rosterLog, council.rosterProofs, 'pull')
  const network = {
    ...noFollow,
    self: peer(1).peer,
    connected: () => [two],
    handle: () => undefined,
    request: async (to: PeerName, protocol: string, body: unknown) =>
      at.remotes.get(to)?.(protocol, body as never),
  }
  losses = new Losses({
    ...{ network, store: disk.store, council: at.council },
    pullRoster: async () => undefined,
  })
  await losses.start()
}
const answer = (proofs: readonly ProofOfAct[]) =>
  at.remotes.set(two, (protocol, body: { t: string; from: number }) => {
    expect([protocol, body.t]).toEqual([SYNC, 'losses'])
    asked.push(body.from)
    const next = Math.max(body.from, end)
    return { proofs: body.from < end ? proofs.map(proofRow) : [], next }
  })

describe('Losses.pull', () => {
  it.each<[string, () => ProofOfAct]>([
    ['an act that is not in force', () => council.draft(loss('flood'), { givers: [] }).proof],
    ['an act by a member', () => council.draft(loss('flood'), { signer: peer(2) }).proof],
    ['an assignment', () => council.draft(assignFields({ blog: 'third' as never })).proof],
    ['an altered reason', () => ({ ...lost.proof, text: forge(lost.proof.text, 'fire', 'flood') })],
  ])('does not believe %s', async (_, make) => {
    answer([make()])
    await expect(losses.pull(two)).rejects.toThrow('with an act that does not hold')
    expect([losses.of(maria), losses.count]).toEqual([[], 0])
  })

  it('learns what was given up, once, and knows it after a start anew', async () => {
    answer([lost.proof])
    await losses.pull(two)
    await losses.pull(two)
    const known = [{ blog: maria, reason: 'fire', lost: { from: 4, last: head(7) } }]
    expect(losses.of(maria)).toMatchObject(known)
    expect([losses.count, asked]).toEqual([1, [0, end, end]])
    await start(at.disk)
    expect(losses.of(maria)).toMatchObject(known)
    expect(losses.of('other' as never)).toEqual([])
  })

  it('asks nothing where nothing is new', async () => {
    answer([lost.proof])
    await losses.pull(two)
    await losses.pull(two, end - 1)
    expect(asked).toEqual([0, end])
  })

  it('counts an act once that came by message, and by @names later', async () => {
    expect(codeOf(await losses.take(lost.proof))).toBe('accepted')
    expect(codeOf(await losses.take(council.draft(assignFields()).proof))).toBe('ACT_NOT_LOSS')
    await at.council.take(namesLog, council.namesProofs, 'pull')
    expect(losses.of(maria)).toHaveLength(1)
  })
})

describe('readActs', () => {
  it('hands out the acts of one kind from a seq on, where @names is carried', async () => {
    expect(await readActs(at.council, 'losses', 0)).toBeNull()
    await at.council.take(namesLog, council.namesProofs, 'pull')
    const page = await readActs(at.council, 'losses', 0)
    expect([page?.proofs.length, page?.next]).toEqual([1, end])
    expect(await readActs(at.council, 'losses', end)).toEqual({ proofs: [], next: end })
    expect((await readActs(at.council, 'revocations', 0))?.proofs).toEqual([])
  })
})
