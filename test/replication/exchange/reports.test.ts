import { beforeEach, describe, expect, it } from 'vitest'
import { type Finding, Reports } from '../../../src/replication/exchange/reports.ts'
import { decodeReport } from '../../../src/replication/registry/report.ts'
import { fakeId, must, peer, settle, TestClock, TestCouncil } from '../test-council.ts'

const council = new TestCouncil().admit(1, 2, 3)
const authority = peer(0).peer

describe('Reports', () => {
  let clock: TestClock
  let reports: Reports
  /** what the authority was handed, by `log seq` */
  let taken: string[]
  /** what it answers; null: it takes it */
  let refusal: string | null
  beforeEach(() => {
    clock = new TestClock()
    taken = []
    refusal = null
    const network = {
      request: async (
        to: string,
        _protocol: string,
        body: { report: [Uint8Array, Uint8Array] },
      ) => {
        expect(to).toBe(authority)
        if (refusal !== null) return { error: { code: refusal, reason: 'no' } }
        const [text, signature] = body.report
        const { log, seq } = must(decodeReport({ text, signature }))
        taken.push(`${log} ${seq}`)
        return { ok: true }
      },
    }
    reports = new Reports({
      ...{ network: network as never, signer: peer(1), clock, report: () => undefined },
      council: { roster: () => council.roster } as never,
    })
  })
  const file = async (seq: number, change: Partial<Finding> = {}) => {
    reports.file({
      ...{ peer: peer(2).peer, kind: 'page', log: 'maria', seq, id: fakeId('aa') },
      ...{ asked: `/log/${seq}.txt`, found: 'another text', served: Buffer.from('x') },
      ...{ answer: null, receipt: null, ...change },
    })
    await settle()
  }

  it('says the same again after ten minutes only', async () => {
    for (const ms of [0, 1_000, 598_000, 1_000]) {
      clock.ms += ms
      await file(3)
    }
    expect(taken).toEqual(['maria 3', 'maria 3'])
  })

  it('reports the first few of what it finds about one peer, so that the authority can take it all', async () => {
    for (let seq = 0; seq < 50; seq++) await file(seq)
    expect(taken).toEqual([0, 1, 2, 3, 4].map((seq) => `maria ${seq}`))
    // … of another kind, and about another one, as many.
    await file(1, { kind: 'front', log: 'joe' })
    await file(2, { peer: peer(3).peer, log: 'ana' })
    expect(taken.slice(5)).toEqual(['joe 1', 'ana 2'])
    clock.ms += 600_000
    await file(9)
    expect(taken.at(-1)).toBe('maria 9')
  })

  it('reports bytes that show something although it has said often enough that nothing came', async () => {
    for (let seq = 0; seq < 50; seq++) await file(seq, { served: null })
    await file(0)
    expect(taken).toEqual([0, 1, 2, 3, 4, 0].map((seq) => `maria ${seq}`))
  })

  it('keeps what the authority cannot take now, and drops what it refuses', async () => {
    refusal = 'RATE_LIMITED'
    await file(1)
    refusal = null
    await reports.retry()
    expect(taken).toEqual(['maria 1'])
    refusal = 'REPORT_NOTHING'
    await file(2)
    refusal = null
    await reports.retry()
    expect(taken).toEqual(['maria 1'])
  })
})
