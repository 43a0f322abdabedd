import type { PeerName } from '../../auth/peer-signature.ts'
import { readSignature } from '../../auth/signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { judgeFrontEvidence } from '../../replication/aggregation/front-evidence.ts'
import type { Clock } from '../../replication/clock.ts'
import { judgeAnswer } from '../../replication/exchange/audits.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import type { HandedReport } from '../../replication/exchange/reports.ts'
import { type BlogName, decodeEntry } from '../../replication/log/entry.ts'
import { decodeReceipt } from '../../replication/log/receipt.ts'
import { idOf, type Signed } from '../../replication/log/text.ts'
import { maxClockSkewMs } from '../../replication/protocol.ts'
import { fromSignedRow, type SignedRow, signedRow } from '../../replication/registry/proof.ts'
import { decodeReport, type Report } from '../../replication/registry/report.ts'
import { isMember, type Roster } from '../../replication/registry/roster.ts'
import { compareShown } from '../../web/shown-post.ts'
import type { ComponentLog } from '../logger.ts'
import { readHead } from '../sampler.ts'

/**
 * What a report is worth by itself. `proof`: the reported peer's own signatures contradict each
 * other. `checked`: the bytes handed in are not what belongs there; that they came from that peer is
 * the reporter's word, or where the peer has signed them, that the entry was published by then.
 * `word`: nothing but that.
 */
export type Worth = 'proof' | 'checked' | 'word'

export type KeptReport = {
  readonly report: Report
  readonly worth: Worth
  readonly signed: Signed
  readonly served: Uint8Array | null
  readonly answer: Signed | null
  readonly receipt: Signed | null
  /** the entry that belongs there */
  readonly entry: Signed
}
type Row = {
  report: SignedRow
  worth: Worth
  served: Uint8Array | null
  answer: SignedRow | null
  receipt: SignedRow | null
  entry: SignedRow
}

/** Reports kept about one peer by another one: the newest. */
const maxPerPair = 5
/** … in all. */
const maxReports = 500
/** Reports count together within this time, ms. */
const memoryMs = 24 * 3_600_000
/** At most one peer is cut off by policy within this time, ms: what all report of all is a fault of ours. */
const pauseMs = 3_600_000

/**
 * What the authority makes of reports about peers: checks what can be checked, keeps it as evidence,
 * and by policy cuts off whom enough operators report (DESIGN 8).
 */
export class ReportDesk {
  readonly #parts: Parts
  #kept: KeptReport[] = []
  #cutMs = Number.NEGATIVE_INFINITY

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Reads what was kept before the start. */
  async load(): Promise<void> {
    for (const [, value] of await this.#parts.exchange.store.values('report/')) {
      const row = value as Row | undefined
      const signed = row === undefined ? null : fromSignedRow(row.report)
      const report = signed === null ? null : decodeReport(signed)
      if (row === undefined || signed === null || !report?.ok) continue
      this.#kept.push({
        ...{ report: report.value, worth: row.worth, signed, served: row.served },
        answer: row.answer === null ? null : fromSignedRow(row.answer),
        receipt: row.receipt === null ? null : fromSignedRow(row.receipt),
        entry: fromSignedRow(row.entry),
      })
    }
    this.#kept.sort((a, b) => a.report.atMs - b.report.atMs)
  }

  /**
   * Takes a report. Codes: those of `decodeReport`, REPORT_OTHER (of another peer or council),
   * REPORT_DATE, REPORT_PEER (about somebody who is no member, or about oneself), REPORT_BYTES (not
   * those that the report names), REPORT_ENTRY (another entry belongs there, or none is to be had),
   * REPORT_NOTHING (what came is right).
   */
  async take(from: PeerName, handed: HandedReport): Promise<Verdict<Worth>> {
    const read = decodeReport(handed.report)
    if (!read.ok) return read
    const report = read.value
    const { exchange, clock, log } = this.#parts
    const roster = exchange.council.roster()
    if (roster === null || report.by !== from || report.council !== roster.council)
      return refuse('REPORT_OTHER', 'The report is of another peer or council.')
    if (Math.abs(report.atMs - clock.now()) > maxClockSkewMs)
      return refuse('REPORT_DATE', 'The report is not of now.')
    if (report.peer === from || !isMember(roster, report.peer))
      return refuse('REPORT_PEER', 'A report is about another member of the council.')
    if (report.served !== (handed.served === null ? null : idOf(handed.served)))
      return refuse('REPORT_BYTES', 'The bytes are not those that the report names.')
    const entry = await this.#entry(report)
    if (entry === null) {
      return refuse(
        'REPORT_ENTRY',
        `No such entry ${report.seq} of ${report.log} is to be had here.`,
      )
    }
    const worth = await judgeReport(report, handed, entry)
    if (!worth.ok) return worth
    const { served, answer, receipt } = handed
    const kept = {
      report,
      worth: worth.value,
      signed: handed.report,
      served,
      answer,
      receipt,
      entry,
    }
    await this.#keep(kept)
    const { peer, kind, seq, asked, found, by } = report
    log.warn('report', { peer, by, kind, log: report.log, seq, asked, found, worth: worth.value })
    await this.#consider(roster, peer)
    return worth
  }

  /** The entry that the log has there, its signature checked; from wherever it is held. */
  async #entry({ log, seq, id }: Report): Promise<Signed | null> {
    const visit = await this.#parts.exchange.reader.open(log as BlogName)
    if (typeof visit === 'string') return null
    const stored = await visit.ingest.read(log, seq)
    return stored === null || idOf(stored.text) !== id
      ? null
      : { text: stored.text, signature: stored.signature }
  }

  async #keep(kept: KeptReport): Promise<void> {
    const { store } = this.#parts.exchange
    const isSame = ({ report }: KeptReport) =>
      report.peer === kept.report.peer && report.by === kept.report.by
    const ofPair = this.#kept.filter(isSame)
    const over = [
      ...ofPair.slice(0, Math.max(0, ofPair.length - maxPerPair + 1)),
      ...this.#kept.slice(0, Math.max(0, this.#kept.length - maxReports + 1)),
    ]
    this.#kept = [...this.#kept.filter((each) => !over.includes(each)), kept]
    const row: Row = {
      ...{ report: signedRow(kept.signed), worth: kept.worth, served: kept.served },
      answer: kept.answer === null ? null : signedRow(kept.answer),
      receipt: kept.receipt === null ? null : signedRow(kept.receipt),
      entry: signedRow(kept.entry),
    }
    await store.write([
      ...over.map((each) => store.deleteValue(keyOf(each))),
      store.putValue(keyOf(kept), row),
    ])
  }

  async #consider(roster: Roster, peer: PeerName): Promise<void> {
    const { clock, cutOffAfter, cutOff, log } = this.#parts
    const nowMs = clock.now()
    const reasons = planCutOff(this.#kept, roster, { peer, nowMs, needed: cutOffAfter })
    if (reasons === null || nowMs - this.#cutMs < pauseMs) return
    this.#cutMs = nowMs
    const reason = `${reasons.length} spokes of different operators report that it does not show or keep what it should`
    const done = await cutOff(peer, reason)
    if (!done.ok) {
      this.#cutMs = Number.NEGATIVE_INFINITY
      log.error('cutoff_failed', { peer, code: done.code, reason: done.reason })
    }
  }

  /** The newest report of each peer about one, as they go into an act; null when there is none. */
  evidence(peer: PeerName): string | null {
    const roster = this.#parts.exchange.council.roster()
    const about = this.#kept.filter(({ report }) => report.peer === peer)
    const newest = [...new Map(about.map((each) => [each.report.by, each])).values()]
    return newest.length === 0 ? null : writeEvidence(newest, roster)
  }

  /** For `status`: about whom, how many, and by how many peers. */
  counts(): readonly {
    peer: PeerName
    name: string
    reports: number
    by: number
    proofs: number
    /** … and those in which nothing but a peer's word speaks for it */
    words: number
  }[] {
    const roster = this.#parts.exchange.council.roster()
    return [...Map.groupBy(this.#kept, ({ report }) => report.peer)].map(([peer, about]) => ({
      ...{ peer, name: roster?.members.get(peer)?.name ?? peer, reports: about.length },
      by: new Set(about.map(({ report }) => report.by)).size,
      proofs: about.filter(({ worth }) => worth === 'proof').length,
      words: about.filter(({ worth }) => worth === 'word').length,
    }))
  }
}

const keyOf = ({ report, signed }: KeptReport) =>
  `report/${report.peer}/${report.by}/${idOf(signed.text)}`

/**
 * Judges what a report hands in by itself. Code REPORT_NOTHING: what came is what belongs there.
 *
 * @param entry - what belongs there, checked
 */
export async function judgeReport(
  report: Report,
  { served, answer, receipt }: HandedReport,
  entry: Signed,
): Promise<Verdict<Worth>> {
  const nothing = refuse('REPORT_NOTHING', 'What came is what belongs there.')
  if (report.kind === 'audit') {
    const { peer, log, seq, asked } = report
    const said = judgeAnswer(answer, { peer, log, seq, nonce: asked, text: entry.text })
    if (said === 'right') return nothing
    return accept(said !== 'silent' && isCovered(report, receipt) ? 'proof' : 'word')
  }
  if (report.kind === 'front') {
    const said = judgeFrontEvidence(report, entry, answer, served)
    return said === 'nothing' ? nothing : accept(said === 'shown' ? 'checked' : 'word')
  }
  if (served === null) return accept('word')
  if (report.asked === `/log/${report.seq}.txt`)
    return Buffer.compare(served, entry.text) === 0 ? nothing : accept('checked')
  if (report.asked === `/log/${report.seq}.txt.asc`) {
    const isSame = Buffer.compare(served, entry.signature) === 0
    // Another armor of a signature that holds is not looked for: ours is the only one that is stored.
    return isSame
      ? nothing
      : accept((await readSignature(Buffer.from(served).toString())).ok ? 'word' : 'checked')
  }
  if (report.asked.startsWith('/log.json')) {
    const end = readHead({ status: 200, body: served })
    if (end === null) return accept('word')
    if (end.seq === report.seq) return end.id === report.id ? nothing : accept('checked')
    // A list that ends before what its spoke has signed that it holds.
    return accept(end.seq < report.seq && isCovered(report, receipt) ? 'checked' : 'word')
  }
  const decoded = decodeEntry(entry.text)
  if (!decoded.ok || decoded.value.kind !== 'post') return accept('word')
  const { title, body } = decoded.value
  const differs = await compareShown(Buffer.from(served).toString(), { title, body })
  // Other elements around the same words may be another version of the program.
  return differs === null ? nothing : accept(differs === 'markup' ? 'word' : 'checked')
}

/** Whether the reported peer has signed that it holds the entry. */
function isCovered({ peer, council, log, seq }: Report, receipt: Signed | null): boolean {
  const given = receipt === null ? null : decodeReceipt(receipt)
  if (!given?.ok || given.value.replica.peer !== peer) return false
  return given.value.council === council && given.value.log === log && given.value.head.seq >= seq
}

/**
 * Decides whether a peer is to be cut off by policy: enough spokes, each of another operator and
 * none of the reported one's, handed in what can be checked. Pure. A peer's word alone counts for
 * nothing, and however many one operator runs, they count once.
 *
 * @param needed - null: never by itself
 * @returns the reports that count, one of each operator; null: no
 */
export function planCutOff(
  kept: readonly Pick<KeptReport, 'report' | 'worth'>[],
  roster: Roster,
  { peer, nowMs, needed }: { peer: PeerName; nowMs: number; needed: number | null },
): readonly Pick<KeptReport, 'report' | 'worth'>[] | null {
  const accused = roster.members.get(peer)
  if (needed === null || accused === undefined || accused.cutOff) return null
  const byOperator = new Map<string, Pick<KeptReport, 'report' | 'worth'>>()
  for (const each of kept) {
    const { report, worth } = each
    const member = roster.members.get(report.by)
    if (report.peer !== peer || worth === 'word' || nowMs - report.atMs > memoryMs) continue
    if (member === undefined || member.cutOff || !member.roles.includes('spoke')) continue
    if (operatorOf(member) !== operatorOf(accused)) byOperator.set(operatorOf(member), each)
  }
  return byOperator.size >= needed ? [...byOperator.values()] : null
}

const operatorOf = ({ operator }: { readonly operator: string }) =>
  operator.normalize('NFKC').toLowerCase().replaceAll(/\s+/g, ' ').trim()

/** Bytes that the reports of one act take up in all, and the part of each byte string that is shown. */
const maxEvidence = 40_000
const maxShown = 9_000

/**
 * Reports as a text that a person can read and anybody can check: the signed words, the signature,
 * and in base64 the bytes that came and those that belong there. Pure.
 */
export function writeEvidence(reports: readonly KeptReport[], roster: Roster | null): string {
  const blocks: string[] = []
  let left = maxEvidence
  for (const { report, signed, served, answer, receipt, entry } of reports.toReversed()) {
    const by = roster?.members.get(report.by)
    const lines = [
      `Reported by ${by?.name ?? report.by}${by === undefined ? '' : `, run by ${by.operator}`}:`,
      '',
      Buffer.from(signed.text).toString(),
      ...inBase64('its signature', signed.signature),
      ...(served === null ? [] : inBase64('what came', served)),
      ...(answer === null ? [] : inBase64('what it has signed', answer.text)),
      ...(answer === null ? [] : inBase64('the signature of that', answer.signature)),
      ...(receipt === null ? [] : inBase64('its receipt', receipt.text)),
      ...(receipt === null ? [] : inBase64('the signature of that', receipt.signature)),
      ...inBase64('what belongs there', entry.text),
      ...inBase64('the signature of that', entry.signature),
    ].join('\n')
    left -= Buffer.byteLength(lines) + 2
    if (left < 0) break
    blocks.push(lines)
  }
  const rest = reports.length - blocks.length
  if (rest > 0) blocks.push(`And ${rest} more reports, for which an act has no room.`)
  return blocks.join('\n\n')
}

function inBase64(what: string, bytes: Uint8Array): string[] {
  const shown = bytes.subarray(0, maxShown)
  const cut = shown.length < bytes.length ? `, the first ${maxShown} of ${bytes.length} bytes` : ''
  const rows =
    Buffer.from(shown)
      .toString('base64')
      .match(/.{1,76}/g) ?? []
  return ['', `${what}${cut}, in base64:`, ...rows]
}

type Parts = {
  readonly exchange: Pick<Exchange, 'council' | 'reader' | 'store'>
  readonly clock: Clock
  readonly log: ComponentLog
  /** reports of so many operators cut a spoke off; null: never by itself */
  readonly cutOffAfter: number | null
  readonly cutOff: (peer: PeerName, reason: string) => Promise<Verdict<unknown>>
}
