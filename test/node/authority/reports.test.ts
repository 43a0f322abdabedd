import { beforeEach, describe, expect, it } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import { CutOffs } from '../../../src/node/authority/cutoffs.ts'
import { writeEvidence } from '../../../src/node/authority/report-evidence.ts'
import { judgeReport, type Worth } from '../../../src/node/authority/report-worth.ts'
import { ReportDesk } from '../../../src/node/authority/reports.ts'
import { createLogger } from '../../../src/node/logger.ts'
import { packManifest } from '../../../src/replication/aggregation/front-evidence.ts'
import { signFrontPage } from '../../../src/replication/aggregation/front-page.ts'
import { bucketOf, Manifest } from '../../../src/replication/aggregation/manifest.ts'
import { judgeAnswer } from '../../../src/replication/exchange/audits.ts'
import type { HandedReport } from '../../../src/replication/exchange/reports.ts'
import { type BlogName, decodeEntry, encodeEntry } from '../../../src/replication/log/entry.ts'
import { type Head, rosterLog } from '../../../src/replication/log/log.ts'
import { signReceipt } from '../../../src/replication/log/receipt.ts'
import { idOf } from '../../../src/replication/log/text.ts'
import { type Decision, decodeAct } from '../../../src/replication/registry/act.ts'
import { auditHash, signAnswer } from '../../../src/replication/registry/audit-answer.ts'
import { decodeReport, type Report, signReport } from '../../../src/replication/registry/report.ts'
import { signAct } from '../../../src/replication/registry/sign-act.ts'
import { renderMarkdown } from '../../../src/web/markdown.ts'
import { TestPeer } from '../../replication/exchange/test-peer.ts'
import { TestAuthor } from '../../replication/test-author.ts'
import {
  fakeId,
  forge,
  must,
  peer,
  replica,
  startMs,
  storeOf,
  TestCouncil,
  TestDisk,
} from '../../replication/test-council.ts'

/** The council's logs as the authority has written them: spokes s1 to s4, each of its own operator. */
const founded = new TestCouncil({ zone: 'blogs.example.org' }).admit(1, 2, 3, 4)
const { council } = founded
const maria = await TestAuthor.make('maria')
const { text } = must(
  encodeEntry({
    ...{ council, blog: 'maria', seq: 3, prev: fakeId('9c'), key: maria.fingerprint },
    ...{ date: '2026-11-23T03:40:00Z', kind: 'post', slug: 'hello', title: 'Hello' },
    body: 'These are *my* words.',
  }),
)
const entry = { text, signature: Buffer.from(await maria.sign(text)) }
const altered = forge(text, 'my', 'no')
const accused = peer(2)
const nonce = fakeId('0f')

type Change = Partial<Omit<Report, 'by' | 'served'>> & { readonly n?: number }
const report = ({ n = 1, ...change }: Change & { served?: Report['served'] } = {}) =>
  signReport(peer(n), {
    ...{ council, peer: accused.peer, kind: 'page', log: 'maria', seq: 3, id: idOf(text) },
    ...{ asked: '/log/3.txt', found: 'another text', served: null, atMs: startMs },
    ...change,
  })
const handed = ({
  answer = null,
  receipt = null,
  served = null,
  ...rest
}: Change & Partial<Omit<HandedReport, 'report'>> = {}): HandedReport => {
  const hash = served === null ? null : idOf(served)
  return { report: report({ ...rest, served: hash }), served, answer, receipt }
}
const judge = (given: HandedReport) => judgeReport(must(decodeReport(given.report)), given, entry)

const receipt = (n: number, seq: number) =>
  signReceipt(peer(n), {
    ...{ council, log: 'maria', head: { seq, id: fakeId('ab') }, act: fakeId('cd'), epoch: 1 },
    ...{ replica: replica(n), sinceMs: startMs, atMs: startMs },
  }).signed
const said = (hash: string | null, { n = 2, seq = 3 } = {}) =>
  signAnswer(peer(n), {
    ...{ council, store: storeOf(n), log: 'maria', seq, nonce, hash, atMs: startMs },
  })

describe('judgeAnswer', () => {
  const asked = { peer: accused.peer, log: 'maria', seq: 3, nonce, text }

  it.each([
    ['no answer', null, 'silent'],
    ['an answer that somebody else signed', said(auditHash(nonce, text), { n: 3 }), 'silent'],
    ['an answer about another entry', said(auditHash(nonce, text), { seq: 2 }), 'silent'],
    [
      'an answer changed on its way',
      { ...said(null), text: forge(said(null).text, 'seq 3', 'seq 4') },
      'silent',
    ],
    ['the hash of other bytes', said(auditHash(nonce, altered)), 'wrong'],
    ['the hash without the nonce', said(idOf(text)), 'wrong'],
    ['the hash over another nonce', said(auditHash(fakeId('0e'), text)), 'wrong'],
    ['that it does not have the entry', said(null), 'none'],
    ['the hash over nonce and bytes', said(auditHash(nonce, text)), 'right'],
  ] as const)('takes %s for what it is', (_, answer, verdict) => {
    expect(judgeAnswer(answer, asked)).toBe(verdict)
  })
})

describe('judgeReport', () => {
  const page = (body: string) =>
    Buffer.from(`<article><h1>Hello</h1>\n${renderMarkdown(body)}\n</article>`)
  const audit = { kind: 'audit', asked: nonce } as const

  /** A report about a front page of a minute later that lets the blog end somewhere. */
  const front = (head: Head | null): HandedReport => {
    const manifest = new Manifest()
    manifest.set('maria' as BlogName, head)
    const { root, hashes, texts, blogs } = manifest.snapshot()
    const answer = signFrontPage(accused, {
      ...{ council, run: storeOf(7), round: 3, atMs: startMs + 60_000, of: 5, covered: 5 },
      ...{ without: [], blogs, roster: { seq: 4, id: fakeId('cd') }, manifest: root, posts: [] },
    })
    const bucket = Buffer.from(texts[bucketOf('maria')] as string)
    return handed({ kind: 'front', answer, served: packManifest(hashes, bucket) })
  }

  it.each<[string, HandedReport, Worth | 'REPORT_NOTHING']>([
    ['the right text', handed({ served: text }), 'REPORT_NOTHING'],
    [
      'the right signature',
      handed({ asked: '/log/3.txt.asc', served: entry.signature }),
      'REPORT_NOTHING',
    ],
    [
      'the right page',
      handed({ asked: '/2026/hello', served: page('These are *my* words.') }),
      'REPORT_NOTHING',
    ],
    [
      'a right answer',
      handed({ ...audit, answer: said(auditHash(nonce, text)), receipt: receipt(2, 3) }),
      'REPORT_NOTHING',
    ],
    ['an altered text', handed({ served: altered }), 'checked'],
    ['an empty text', handed({ served: new Uint8Array() }), 'checked'],
    [
      'something that is no signature',
      handed({ asked: '/log/3.txt.asc', served: Buffer.from('x') }),
      'checked',
    ],
    [
      'a page with other words',
      handed({ asked: '/2026/hello', served: page('These are *no* words.') }),
      'checked',
    ],
    [
      'a page that is no page',
      handed({ asked: '/2026/hello', served: Buffer.from('x') }),
      'checked',
    ],
    [
      'the same words in other elements',
      handed({ asked: '/2026/hello', served: page('These are **my** words.') }),
      'word',
    ],
    [
      'a front page whose manifest ends the blog too early',
      front({ seq: 2, id: idOf(text) }),
      'checked',
    ],
    [
      'a front page whose manifest has the entry',
      front({ seq: 3, id: idOf(text) }),
      'REPORT_NOTHING',
    ],
    ['a front page without its manifest', { ...front(null), ...handed({ kind: 'front' }) }, 'word'],
    ['that nothing came', handed(), 'word'],
    ['no answer', handed({ ...audit, receipt: receipt(2, 3) }), 'word'],
    ['a wrong answer without a receipt', handed({ ...audit, answer: said(fakeId('aa')) }), 'word'],
    [
      'a wrong answer with the receipt of another',
      handed({ ...audit, answer: said(fakeId('aa')), receipt: receipt(3, 3) }),
      'word',
    ],
    [
      'a wrong answer with a receipt that ends before it',
      handed({ ...audit, answer: said(fakeId('aa')), receipt: receipt(2, 2) }),
      'word',
    ],
    [
      'an answer that another one signed',
      handed({ ...audit, answer: said(fakeId('aa'), { n: 3 }), receipt: receipt(2, 3) }),
      'word',
    ],
    [
      'a wrong answer under a receipt',
      handed({ ...audit, answer: said(fakeId('aa')), receipt: receipt(2, 9) }),
      'proof',
    ],
    [
      'an answer without the entry under a receipt',
      handed({ ...audit, answer: said(null), receipt: receipt(2, 3) }),
      'proof',
    ],
  ])('says of %s what it is worth', async (_, given, worth) => {
    const judged = await judge(given)
    expect(judged.ok ? judged.value : judged.code).toBe(worth)
  })
})

describe('ReportDesk', () => {
  let authority: TestPeer
  let desk: ReportDesk
  /** Opens the desk on what the authority's disk has, as a start does. */
  const open = async (disk = new TestDisk(), nowMs = startMs + 60_000) => {
    authority = await TestPeer.start(0, founded, disk)
    authority.clock.ms = nowMs
    const read = async (_log: string, seq: number) =>
      seq === 3 ? { ...entry, checked: true, firstMs: 0, receipts: [] } : null
    const { council: logs, clock } = authority
    const log = createLogger('silent').forComponent('test')
    const cutOffs = new CutOffs({
      ...{ council: logs, log, evidenceOf: (about) => desk.evidence(about) },
      tell: async () => undefined,
    })
    desk = new ReportDesk({
      exchange: {
        council: logs,
        reader: {
          open: async (blog: string) => (blog === 'maria' ? { ingest: { read } } : 'unknown'),
        } as never,
        store: disk.store,
      },
      ...{ clock, log, cutOffAfter: 2 },
      cutOff: (about, reason, evidence) =>
        cutOffs.decide(about, { kind: 'cutoff', reason, evidence }, false),
    })
    await desk.load()
  }
  const openAgain = () => open(authority.disk, authority.clock.ms)
  beforeEach(() => open())

  const now = () => authority.clock.ms
  const bad = (n: number, change: Change = {}) =>
    handed({ n, served: altered, atMs: now(), ...change })
  const take = (n: number, change: Change = {}) => desk.take(peer(n).peer, bad(n, change))
  const about = (n: number) => ({ peer: peer(n).peer })
  const rows = async () =>
    (await authority.disk.rows()).filter(([key]) => key.startsWith('report/'))
  const cut = () =>
    [...(authority.council.roster()?.members.values() ?? [])]
      .filter(({ cutOff }) => cutOff)
      .map(({ name }) => name)

  it.each<[string, () => HandedReport, PeerName, string]>([
    [
      'random bytes',
      () => ({ ...bad(1), report: { text: Buffer.from('x'), signature: Buffer.alloc(64) } }),
      peer(1).peer,
      'PEER_TEXT_FIRST_LINE',
    ],
    ['one in the name of another', () => bad(1), peer(3).peer, 'REPORT_OTHER'],
    [
      'one of another council',
      () => bad(1, { council: `a.example/${fakeId('11')}` }),
      peer(1).peer,
      'REPORT_OTHER',
    ],
    ['an old one', () => bad(1, { atMs: now() - 3_600_000 }), peer(1).peer, 'REPORT_DATE'],
    ['one about oneself', () => bad(2), peer(2).peer, 'REPORT_PEER'],
    ['one about a stranger', () => bad(1, about(9)), peer(1).peer, 'REPORT_PEER'],
    [
      'one with other bytes than it names',
      () => ({ ...bad(1), served: text }),
      peer(1).peer,
      'REPORT_BYTES',
    ],
    [
      'one that names another entry as the right one',
      () => bad(1, { id: fakeId('77') }),
      peer(1).peer,
      'REPORT_ENTRY',
    ],
    [
      'one about an entry that is not there',
      () => bad(1, { seq: 4 }),
      peer(1).peer,
      'REPORT_ENTRY',
    ],
    [
      'one about a blog that is not there',
      () => bad(1, { log: 'joe' }),
      peer(1).peer,
      'REPORT_ENTRY',
    ],
    [
      'one about what is right',
      () => handed({ served: text, atMs: now() }),
      peer(1).peer,
      'REPORT_NOTHING',
    ],
  ])('refuses %s and keeps nothing of it', async (_, make, from, code) => {
    expect(await desk.take(from, make())).toMatchObject({ code })
    expect(desk.counts()).toEqual([])
    expect(await rows()).toEqual([])
  })

  it('keeps a report across a start, and shows it as evidence with both byte strings', async () => {
    must(await take(1))
    await openAgain()
    expect(desk.counts()).toMatchObject([{ peer: accused.peer, reports: 1, by: 1, proofs: 0 }])
    const shown = desk.evidence(accused.peer) ?? ''
    for (const bytes of [altered, text]) {
      const lines =
        Buffer.from(bytes)
          .toString('base64')
          .match(/.{1,76}/g) ?? []
      expect(shown).toContain(lines.join('\n'))
    }
    expect(shown).toContain(Buffer.from(bad(1).report.text).toString())
    expect(desk.evidence(peer(3).peer)).toBeNull()
  })

  it('keeps the same report once, also when it comes twice at once, and drops nothing else with it', async () => {
    const same = bad(1)
    const [first, second] = await Promise.all([1, 2].map(() => desk.take(peer(1).peer, same)))
    expect([first, second]).toMatchObject([{ value: 'checked' }, { value: 'checked' }])
    expect(await rows()).toHaveLength(1)
    await openAgain()
    must(await desk.take(peer(1).peer, same))
    expect(desk.counts()).toMatchObject([{ reports: 1 }])
    // Of the newest few that are kept each has its row.
    for (let n = 0; n < 5; n++) must(await take(1, { atMs: now() + n * 1_000 + 1_000 }))
    expect(desk.counts()).toMatchObject([{ reports: 5 }])
    expect(await rows()).toHaveLength(5)
    await openAgain()
    expect(desk.counts()).toMatchObject([{ reports: 5 }])
  })

  it('takes no more than so many of one member in a time, and goes on with the others', async () => {
    const word = (n: number) => desk.take(peer(n).peer, handed({ n, atMs: now(), ...about(3) }))
    for (let n = 0; n < 100; n++) {
      authority.clock.ms += 1
      expect((await word(1)).ok, `report ${n}`).toBe(true)
    }
    const [kept] = desk.counts()
    const rowsBefore = await rows()
    expect(await word(1)).toMatchObject({ code: 'RATE_LIMITED', retryMs: expect.any(Number) })
    expect(await take(1)).toMatchObject({ code: 'RATE_LIMITED' })
    expect(desk.counts()).toEqual([kept])
    expect(await rows()).toEqual(rowsBefore)
    must(await word(4))
    authority.clock.ms += 6_000
    must(await take(1))
    expect(await take(1, { seq: 4 })).toMatchObject({ code: 'RATE_LIMITED' })
  })

  it('cuts off once enough operators report the same, with these reports as evidence', async () => {
    must(await take(1))
    must(await desk.take(peer(3).peer, handed({ n: 3, atMs: now() })))
    must(await take(4, { asked: '/log.json', seq: 3 }))
    expect(cut()).toEqual([])
    must(await take(3, { asked: '/2026/hello' }))
    expect(cut()).toEqual(['s2'])
    const { head } = authority.council.roster() ?? {}
    const proof = await authority.council.proof(rosterLog, head?.seq ?? 0)
    const act = must(decodeAct(proof?.text ?? new Uint8Array())).decision
    if (act.kind !== 'cutoff') throw new Error('another act')
    expect(act.reason).toBe(
      '2 spokes of different operators report the same: it shows readers what the author has not signed',
    )
    for (const n of [1, 3]) expect(act.evidence).toContain(`Reported by s${n}`)
    expect(act.evidence).not.toContain('Reported by s4')
  })

  it('cuts off one peer in an hour at most, also where the authority is started meanwhile', async () => {
    must(await take(1))
    must(await take(3))
    expect(cut()).toEqual(['s2'])
    const again = async () => {
      must(await take(1, about(4)))
      must(await take(3, about(4)))
    }
    await again()
    expect(cut()).toEqual(['s2'])
    await openAgain()
    authority.clock.ms += 3_600_000 - 1_000
    await again()
    expect(cut()).toEqual(['s2'])
    // Other acts of this hour, and what an operator decided, are no policy.
    const write = (decision: Decision) =>
      authority.council.write(rosterLog, founded.council, () => decision)
    must(await write({ kind: 'away', peer: peer(3).peer, reason: 'silent', evidence: 'dialled' }))
    authority.clock.ms += 1_000
    must(await write({ kind: 'cutoff', peer: peer(3).peer, reason: 'by hand', evidence: null }))
    must(await write({ kind: 'reinstate', peer: peer(3).peer, reason: 'no', evidence: null }))
    await openAgain()
    must(await take(1, about(4)))
    expect(cut()).toEqual(['s2', 's4'])
  })

  it('cuts off one of two that are to be cut off at the same moment', async () => {
    must(await take(1))
    must(await take(1, about(4)))
    await Promise.all([take(3), take(3, about(4))])
    expect(cut()).toHaveLength(1)
  })
})

describe('writeEvidence', () => {
  it('fits in an act, however much was reported', () => {
    const big = Buffer.alloc(66_000, 0xff)
    const kept = [1, 3, 4].map((n) => ({
      ...{ report: must(decodeReport(report({ n }))), worth: 'checked' as const },
      ...{ signed: report({ n }), served: big, answer: said(null), receipt: receipt(2, 3), entry },
    }))
    const evidence = writeEvidence(kept, founded.roster)
    const at = { council, log: '@roster', head: { seq: 4, id: fakeId('ab') } }
    const decision = { kind: 'cutoff', peer: accused.peer, reason: 'reported', evidence } as const
    const position = { ...at, roster: at.head, dateMs: startMs }
    must(signAct(peer(0), position, decision))
    expect(evidence).toContain('the first 9000 of 66000 bytes')
    expect(decodeEntry(text).ok).toBe(true)
  })
})
