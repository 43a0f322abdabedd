import { beforeEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../../src/replication/clock.ts'
import { Audits } from '../../../src/replication/exchange/audits.ts'
import type { Finding } from '../../../src/replication/exchange/reports.ts'
import { REPLICA } from '../../../src/replication/protocol.ts'
import { auditHash, signAnswer } from '../../../src/replication/registry/audit-answer.ts'
import { proofRow, signedRow } from '../../../src/replication/registry/proof.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { peer, storeOf, TestCouncil } from '../test-council.ts'
import { assign, rowOf, TestPeer } from './test-peer.ts'

const council = new TestCouncil().admit(1, 2, 3)
const log = await (await TestLog.begin(council.council, await TestAuthor.make('maria'))).posts(6)
const act = assign(council, log)

type Question = { log: string; seq: number; nonce: string }
/** How the replica answers: rightly, not at all, or signed without the entry. */
type Way = 'right' | 'silent' | 'none'

/** Chance that comes to every entry in turn. */
function ticking(clock: Clock): Clock {
  let at = 0
  return Object.assign(Object.create(clock), {
    random: () => {
      at = (at + 0.37) % 1
      return at
    },
  })
}

describe('Audits', () => {
  let self: TestPeer
  let audits: Audits
  let filed: Finding[]
  let asked: number[]
  let way: (question: Question) => Way
  beforeEach(async () => {
    self = await TestPeer.start(2, council)
    const kept = await self.learn(act.proof)
    await self.answer(1, REPLICA, {
      ...{ t: 'push', log: 'maria', act: act.act.id, proof: proofRow(act.proof) },
      ...{ entries: log.entries.map(rowOf), head: log.head },
    })
    await self.replicas.receive(council.receipt(3, act.act, { head: log.head }).signed)
    expect(kept.receipts.of(peer(3).peer)?.head).toEqual(log.head)
    filed = []
    asked = []
    self.remotes.set(peer(3).peer, (_, body: never) => {
      const question = body as Question
      asked.push(question.seq)
      const how = way(question)
      if (how === 'silent') return null
      const text = log.at(question.seq).offer.text
      const signed = signAnswer(peer(3), {
        ...{ council: council.council, store: storeOf(3), log: question.log },
        ...{ seq: question.seq, nonce: question.nonce, atMs: self.clock.now() },
        hash: how === 'none' ? null : auditHash(question.nonce, text),
      })
      return { answer: signedRow(signed) }
    })
    let count = 0
    audits = new Audits({
      network: {
        self: peer(2).peer,
        connected: () => [peer(3).peer],
        request: async (_to: unknown, _protocol: unknown, body: unknown) => {
          const answer = await self.remotes.get(peer(3).peer)?.('', body as never)
          if (answer === null) throw new Error('no answer')
          return answer
        },
      } as never,
      ...{ ingest: self.ingest, replicas: self.replicas, council: self.council },
      ...{ signer: peer(2), storeId: () => storeOf(2), clock: ticking(self.clock) },
      nonce: () => String(++count).padStart(64, '0'),
      reports: { file: async (finding: Finding) => void filed.push(finding) } as never,
      report: () => undefined,
    })
  })
  const rounds = async (count: number) => {
    for (let n = 0; n < count; n++) await audits.run()
  }

  it('asks of random entries, and reports nobody who answers', async () => {
    way = () => 'right'
    await rounds(20)
    expect(new Set(asked).size).toBeGreaterThan(3)
    expect(filed).toEqual([])
  })

  it.each<Way>(['silent', 'none'])(
    'reports who gives no good answer (%s) to one question three times',
    async (bad) => {
      way = () => bad
      await rounds(2)
      expect(filed).toEqual([])
      await rounds(1)
      expect(new Set(asked).size).toBe(1)
      expect(filed).toMatchObject([{ kind: 'audit', peer: peer(3).peer, seq: asked[0] }])
    },
  )

  it('asks again what was not answered, and reports nobody who was slow now and then', async () => {
    // Each question gets its answer at the second time.
    const seen = new Set<number>()
    way = ({ seq }) => {
      const isAgain = seen.has(seq)
      seen.add(seq)
      return isAgain ? 'right' : 'silent'
    }
    await rounds(40)
    expect(filed).toEqual([])
    expect(audits.counts.failed).toBeGreaterThan(3)
  })

  it('finds who keeps most and lacks one entry', async () => {
    way = ({ seq }) => (seq === 4 ? 'silent' : 'right')
    await rounds(40)
    expect(filed[0]).toMatchObject({ log: 'maria', seq: 4 })
  })
})
