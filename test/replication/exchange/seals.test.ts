import { beforeEach, describe, expect, it } from 'vitest'
import { REPLICA } from '../../../src/replication/protocol.ts'
import {
  fromSignedRow,
  proofRow,
  type SignedRow,
  signedRow,
} from '../../../src/replication/registry/proof.ts'
import { decodePromise, signSeal } from '../../../src/replication/registry/seal.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { must, peer, replica, startMs, storeOf, TestCouncil } from '../test-council.ts'
import { assign, codeIn, rowOf, TestPeer } from './test-peer.ts'

const author = await TestAuthor.make('maria')
const council = new TestCouncil().admit(1, 2, 3, 4)
const log = await (await TestLog.begin(council.council, author)).posts(4)
const act = assign(council, log)
const push = (count: number) => ({
  ...{ t: 'push', log: 'maria', act: act.act.id, proof: proofRow(act.proof) },
  ...{ head: { seq: count - 1, id: log.at(count - 1).entry.id } },
  entries: log.entries.slice(0, count).map(rowOf),
})
const fields = {
  ...{ council: council.council, log: 'maria', act: act.act.id },
  ...{ epoch: 1, round: 7, atMs: startMs },
}
const sealed = (change: Partial<typeof fields> = {}, by = 0, proof = act.proof) => ({
  t: 'seal',
  seals: [[signedRow(signSeal(peer(by), { ...fields, ...change })), proofRow(proof)]],
})
/** Keys on a peer's disk that begin so. */
async function keysBelow({ disk }: TestPeer, prefixes: readonly string[]): Promise<string[]> {
  const ranges = prefixes.map((gte) => disk.disk.iterator({ gte, lt: `${gte}\uffff` }).all())
  return (await Promise.all(ranges)).flat().map(([key]) => key)
}

type Answers = { answers: { promise: SignedRow; receipts: SignedRow[] }[] }

describe('a seal, as a replica takes it', () => {
  let self: TestPeer
  beforeEach(async () => {
    self = await TestPeer.start(2, council)
    await self.answer(1, REPLICA, push(3))
  })
  const seal = async (body = sealed(), from = 0) =>
    (await self.answer(from, REPLICA, body)) as Answers
  const codeOfSeal = async (body: ReturnType<typeof sealed>, from = 0) =>
    codeIn((await seal(body, from)).answers[0])

  it('is answered by where the log ends and the receipts it knows', async () => {
    const { promise, receipts } = (await seal()).answers[0] as Answers['answers'][0]
    expect(must(decodePromise(fromSignedRow(promise)))).toMatchObject({
      ...{ round: 7, epoch: 1, act: act.act.id, follows: 1 },
      head: { seq: 2, id: log.at(2).entry.id },
    })
    expect(receipts).toHaveLength(1)
  })

  describe('by a log that was rebuilt', () => {
    const rebuilt = async (lost: string[] = []) => {
      const gone = ['log/maria', ...(await keysBelow(self, lost))]
      await self.disk.disk.batch(
        gone.map((key) => ({ type: 'del' as const, key })),
        { sync: true },
      )
      self = await TestPeer.start(2, council, self.disk)
    }

    it('is answered with the epoch of its own receipt', async () => {
      await rebuilt()
      const { promise } = (await seal()).answers[0] as Answers['answers'][0]
      expect(must(decodePromise(fromSignedRow(promise)))).toMatchObject({
        ...{ follows: 1, head: { seq: 2 } },
      })
    })

    it('is answered again as before when its primary has been heard', async () => {
      await rebuilt(['receipt/maria/'])
      await self.answer(1, REPLICA, push(3))
      const { promise } = (await seal()).answers[0] as Answers['answers'][0]
      expect(must(decodePromise(fromSignedRow(promise)))).toMatchObject({ follows: 1 })
    })

    it('is refused where nothing says what it followed: a shorter log must not outdo it', async () => {
      await rebuilt(['receipt/maria/'])
      expect(await codeOfSeal(sealed())).toBe('LOG_DAMAGED')
    })

    it('is refused where it lacks what its receipt covers', async () => {
      await rebuilt(['entry/maria/0000000000000002'])
      expect(await codeOfSeal(sealed())).toBe('LOG_DAMAGED')
    })
  })

  it('ends receipts under its act: nothing more gets in, also after a restart', async () => {
    await seal()
    expect(codeIn(await self.answer(1, REPLICA, push(4)))).toBe('LATER_ACT')
    expect(await self.head()).toBe(2)
    self = await TestPeer.start(2, council, self.disk)
    expect(codeIn(await self.answer(1, REPLICA, push(4)))).toBe('LATER_ACT')
    expect(await self.head()).toBe(2)
  })

  it('ends writing at the primary, which says so and stores nothing', async () => {
    self = await TestPeer.start(1, council)
    const kept = await self.learn(act.proof)
    await self.replicas.take(
      kept,
      log.entries.slice(0, 3).map(({ offer }) => offer),
      {
        ...{ way: 'submit', head: { seq: 2, id: log.at(2).entry.id } },
      },
    )
    await self.replicas.lead(kept)
    await seal()
    expect(await self.replicas.write(kept, log.at(3).offer)).toMatchObject({
      ...{ ok: false, code: 'NOT_ACTIVE' },
    })
    expect(await self.head()).toBe(2)
  })

  it('lets receipts go on under the next act', async () => {
    await seal()
    const next = assign(council, log, {
      ...{ epoch: 2, ends: act.act.id, primary: peer(3).peer, via: null },
      head: { seq: 2, id: log.at(2).entry.id },
    })
    const pushed = { ...push(4), act: next.act.id, proof: proofRow(next.proof) }
    expect(await self.answer(3, REPLICA, pushed)).toMatchObject({ receipt: expect.anything() })
    expect(await self.head()).toBe(3)
  })

  it.each<[string, ReturnType<typeof sealed>, number, string]>([
    ['who is not the authority', sealed({}, 1), 1, 'SEAL_NOT_AUTHORITY'],
    ['who passes on what the authority signed', sealed(), 1, 'SEAL_NOT_AUTHORITY'],
    ['the authority, signed by another', sealed({}, 1), 0, 'PEER_SIGNATURE'],
    ['another council', sealed({ council: `x/${'0'.repeat(64)}` }), 0, 'SEAL_NOT_AUTHORITY'],
    ['another blog than its act', sealed({ log: 'ana' }), 0, 'SEAL_NOT_NAMED'],
    ['another act of its epoch', sealed({ act: log.at(0).entry.id }), 0, 'SEAL_LATER_ACT'],
    ['an epoch before', sealed({ epoch: 0 }), 0, 'SEAL_LATER_ACT'],
  ])('from %s is refused, and ends nothing', async (_, body, from, code) => {
    expect(await codeOfSeal(body, from)).toBe(code)
    expect(await self.answer(1, REPLICA, push(4))).toMatchObject({ receipt: expect.anything() })
  })

  it('is refused by a replica that knows a later act', async () => {
    const next = assign(council, log, {
      ...{ epoch: 2, ends: act.act.id, primary: peer(3).peer, via: null },
    })
    await self.learn(next.proof)
    expect(await codeOfSeal(sealed())).toBe('SEAL_LATER_ACT')
  })

  it('is refused by a peer of which the act names another store', async () => {
    const other = { peer: peer(2).peer, store: storeOf(9) }
    const moved = assign(council, log, {
      replicas: [replica(1), other],
      epoch: 2,
      ends: act.act.id,
    })
    self = await TestPeer.start(2, council)
    const body = sealed({ act: moved.act.id, epoch: 2 }, 0, moved.proof)
    expect(await codeOfSeal(body)).toBe('SEAL_NOT_NAMED')
  })

  it('is answered by a replica of an earlier act, whose word counts until a later one is active', async () => {
    const next = assign(council, log, {
      ...{ epoch: 2, ends: act.act.id, replicas: [replica(1), replica(3)], via: null },
    })
    const body = sealed({ act: next.act.id, epoch: 2 }, 0, next.proof)
    const { promise } = (await seal(body)).answers[0] as Answers['answers'][0]
    expect(must(decodePromise(fromSignedRow(promise)))).toMatchObject({
      epoch: 2,
      head: { seq: 2 },
      follows: 1,
    })
    // It gives no receipt under the act before either.
    expect(codeIn(await self.answer(1, REPLICA, push(4)))).not.toBe('answered')
  })
})
