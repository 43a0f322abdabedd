import { beforeEach, describe, expect, it } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import {
  judgeReport,
  planCutOff,
  ReportDesk,
  type Worth,
  writeEvidence,
} from '../../../src/node/authority/reports.ts'
import { createLogger } from '../../../src/node/logger.ts'
import { packManifest } from '../../../src/replication/aggregation/front-evidence.ts'
import { signFrontPage } from '../../../src/replication/aggregation/front-page.ts'
import { bucketOf, Manifest } from '../../../src/replication/aggregation/manifest.ts'
import { judgeAnswer } from '../../../src/replication/exchange/audits.ts'
import type { HandedReport } from '../../../src/replication/exchange/reports.ts'
import { type BlogName, decodeEntry, encodeEntry } from '../../../src/replication/log/entry.ts'
import type { Head } from '../../../src/replication/log/log.ts'
import { signReceipt } from '../../../src/replication/log/receipt.ts'
import { idOf } from '../../../src/replication/log/text.ts'
import { auditHash, signAnswer } from '../../../src/replication/registry/audit-answer.ts'
import { decodeReport, type Report, signReport } from '../../../src/replication/registry/report.ts'
import type { Roster } from '../../../src/replication/registry/roster.ts'
import { signAct } from '../../../src/replication/registry/sign-act.ts'
import { renderMarkdown } from '../../../src/web/markdown.ts'
import { TestAuthor } from '../../replication/test-author.ts'
import {
  fakeId,
  forge,
  member,
  must,
  peer,
  replica,
  startMs,
  storeOf,
  TestClock,
  TestDisk,
} from '../../replication/test-council.ts'

const council = `blogs.example.org/${fakeId('5f')}`
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

const rosterOf = (change: Readonly<Record<number, object>> = {}) =>
  ({
    council,
    members: new Map(
      [0, 1, 2, 3, 4].map((n) => [
        peer(n).peer,
        { ...member(n), away: false, cutOff: false, operator: `Group ${n}`, ...change[n] },
      ]),
    ),
  }) as unknown as Roster

describe('planCutOff', () => {
  const by = (n: number, worth: Worth = 'checked', atMs = startMs) => ({
    report: must(decodeReport(report({ n, atMs }))),
    worth,
  })
  const plan = (kept: ReturnType<typeof by>[], roster = rosterOf(), needed: number | null = 2) =>
    planCutOff(kept, roster, { peer: accused.peer, nowMs: startMs + 1_000, needed })?.length ?? null

  it('wants spokes of so many different operators', () => {
    expect(plan([by(1), by(3)])).toBe(2)
    expect(plan([by(1), by(3, 'proof'), by(4)], rosterOf(), 3)).toBe(3)
    expect(plan([by(1), by(3)], rosterOf(), 3)).toBeNull()
  })

  it.each<[string, ReturnType<typeof by>[], object?]>([
    ['one spoke that reports again and again', [by(1), by(1), by(1)]],
    ['what is only a word', [by(1), by(3, 'word')]],
    ['what is a day old', [by(1), by(3, 'checked', startMs - 24 * 3_600_000)]],
    ['another spoke of the same operator', [by(1), by(3)], { 3: { operator: ' group  1' } }],
    ['a spoke of the accused one’s operator', [by(1), by(3)], { 3: { operator: 'Group 2' } }],
    ['who was cut off', [by(1), by(3)], { 3: { cutOff: true } }],
    ['who is no spoke', [by(1), by(3)], { 3: { roles: ['dns'] } }],
    ['who is no member', [by(1), by(9)]],
  ])('does not count %s', (_, kept, change = {}) => {
    expect(plan(kept, rosterOf(change as never))).toBeNull()
  })

  it('never does it by itself unless the config says so, nor twice', () => {
    expect(plan([by(1), by(3)], rosterOf(), null)).toBeNull()
    expect(plan([by(1), by(3)], rosterOf({ 2: { cutOff: true } }))).toBeNull()
  })
})

describe('ReportDesk', () => {
  const disk = { now: new TestDisk() }
  let cut: [PeerName, string][]
  let desk: ReportDesk
  const open = async (cutOffAfter: number | null = 2) => {
    cut = []
    const read = async (_log: string, seq: number) =>
      seq === 3 ? { ...entry, checked: true, firstMs: 0, receipts: [] } : null
    desk = new ReportDesk({
      exchange: {
        council: { roster: () => rosterOf() } as never,
        reader: {
          open: async (log: string) => (log === 'maria' ? { ingest: { read } } : 'unknown'),
        } as never,
        store: disk.now.store,
      },
      clock: new TestClock(),
      log: createLogger('silent').forComponent('test'),
      cutOffAfter,
      cutOff: async (name, reason) => {
        cut.push([name, reason])
        return { ok: true, value: null }
      },
    })
    await desk.load()
  }
  beforeEach(async () => {
    disk.now = new TestDisk()
    await open()
  })
  const bad = (n: number, change: Change = {}) => handed({ n, served: altered, ...change })

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
    ['an old one', () => bad(1, { atMs: startMs - 3_600_000 }), peer(1).peer, 'REPORT_DATE'],
    ['one about oneself', () => bad(2), peer(2).peer, 'REPORT_PEER'],
    ['one about a stranger', () => bad(1, { peer: peer(9).peer }), peer(1).peer, 'REPORT_PEER'],
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
    ['one about what is right', () => handed({ served: text }), peer(1).peer, 'REPORT_NOTHING'],
  ])('refuses %s and keeps nothing of it', async (_, make, from, code) => {
    expect(await desk.take(from, make())).toMatchObject({ code })
    expect(desk.counts()).toEqual([])
    expect(await disk.now.rows()).toEqual([])
  })

  it('keeps a report across a start, and shows it as evidence with both byte strings', async () => {
    must(await desk.take(peer(1).peer, bad(1)))
    await open()
    expect(desk.counts()).toMatchObject([{ peer: accused.peer, reports: 1, by: 1, proofs: 0 }])
    const shown = desk.evidence(accused.peer) ?? ''
    for (const bytes of [altered, text]) {
      const lines =
        Buffer.from(bytes)
          .toString('base64')
          .match(/.{1,76}/g) ?? []
      expect(shown).toContain(lines.join('\n'))
    }
    expect(shown).toContain(Buffer.from(report({ served: idOf(altered) }).text).toString())
    expect(desk.evidence(peer(3).peer)).toBeNull()
  })

  it('cuts off once enough operators have reported, one peer in an hour at most', async () => {
    must(await desk.take(peer(1).peer, bad(1)))
    expect(cut).toEqual([])
    must(await desk.take(peer(3).peer, bad(3)))
    expect(cut).toEqual([
      [accused.peer, expect.stringContaining('2 spokes of different operators')],
    ])
    for (const n of [1, 2]) must(await desk.take(peer(n).peer, bad(n, { peer: peer(4).peer })))
    expect(cut).toHaveLength(1)
  })

  it('keeps the newest few of each pair', async () => {
    for (let n = 0; n < 12; n++)
      must(await desk.take(peer(1).peer, bad(1, { atMs: startMs + n * 1_000 })))
    expect(desk.counts()).toMatchObject([{ reports: 5 }])
    expect(await disk.now.rows()).toHaveLength(5)
  })
})

describe('writeEvidence', () => {
  it('fits in an act, however much was reported', () => {
    const big = Buffer.alloc(66_000, 0xff)
    const kept = [1, 3, 4].map((n) => ({
      ...{ report: must(decodeReport(report({ n }))), worth: 'checked' as const },
      ...{ signed: report({ n }), served: big, answer: said(null), receipt: receipt(2, 3), entry },
    }))
    const evidence = writeEvidence(kept, rosterOf())
    const at = { council, log: '@roster', head: { seq: 4, id: fakeId('ab') } }
    const decision = { kind: 'cutoff', peer: accused.peer, reason: 'reported', evidence } as const
    const position = { ...at, roster: at.head, dateMs: startMs }
    must(signAct(peer(0), position, decision))
    expect(evidence).toContain('the first 9000 of 66000 bytes')
    expect(decodeEntry(text).ok).toBe(true)
  })
})
