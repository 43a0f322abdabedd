import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../../replication/clock.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import { Buckets, refuseRate } from '../../replication/exchange/rates.ts'
import type { HandedReport } from '../../replication/exchange/reports.ts'
import type { BlogName } from '../../replication/log/entry.ts'
import { rosterLog } from '../../replication/log/log.ts'
import { idOf, type Signed } from '../../replication/log/text.ts'
import { maxClockSkewMs } from '../../replication/protocol.ts'
import { decodeAct } from '../../replication/registry/act.ts'
import { fromSignedRow, type SignedRow, signedRow } from '../../replication/registry/proof.ts'
import { decodeReport, type Report } from '../../replication/registry/report.ts'
import { isMember } from '../../replication/registry/roster.ts'
import type { ComponentLog } from '../logger.ts'
import { writeEvidence } from './report-evidence.ts'
import { isByPolicy, planCutOff, planRoom, policyReason, weakestFirst } from './report-policy.ts'
import { judgeReport, type KeptReport, type Worth } from './report-worth.ts'

/** Reports that one member may hand in at once; then one in `reportEveryMs`. */
const reportBurst = 100
const reportEveryMs = 6_000
/** At most one peer is cut off by policy within this time, ms: what all report of all is a fault of ours. */
const pauseMs = 3_600_000

type Row = {
  report: SignedRow
  worth: Worth
  served: Uint8Array | null
  answer: SignedRow | null
  receipt: SignedRow | null
  entry: SignedRow
}

/**
 * What the authority makes of reports about peers: checks what can be checked, keeps it as evidence,
 * and by policy cuts off whom enough operators report (DESIGN 8).
 */
export class ReportDesk {
  readonly #parts: Parts
  readonly #rate: Buckets
  #kept: KeptReport[] = []
  /** one after the other: of two peers that are to be cut off at once the second waits its hour */
  #considering: Promise<void> = Promise.resolve()
  /** nobody is cut off before, ms, as far as was looked */
  #pausedUntilMs = Number.NEGATIVE_INFINITY

  constructor(parts: Parts) {
    this.#parts = parts
    const rate = { burst: reportBurst, perSecond: 1_000 / reportEveryMs }
    this.#rate = new Buckets(rate, parts.clock.steady)
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
  }

  /**
   * Takes a report; the same once more is kept once.
   * Codes: RATE_LIMITED, those of `decodeReport`, REPORT_OTHER (of another peer or council),
   * REPORT_DATE, REPORT_PEER (about somebody who is no member, or about oneself), REPORT_BYTES (not
   * those that the report names), REPORT_ENTRY (another entry belongs there, or none is to be had),
   * REPORT_NOTHING (what came is right).
   */
  async take(from: PeerName, handed: HandedReport): Promise<Verdict<Worth>> {
    if (!this.#rate.tryTake(from)) {
      const words = `This peer has handed in ${reportBurst} reports in a short time.`
      return refuseRate(words, this.#rate.waitMs(from))
    }
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
    const id = idOf(handed.report.text)
    const known = this.#kept.find(({ signed }) => idOf(signed.text) === id)
    if (known !== undefined) return accept(known.worth)
    const { served, answer, receipt } = handed
    const parts = { served, answer, receipt, entry }
    await this.#keep({ report, worth: worth.value, signed: handed.report, ...parts })
    const { peer, kind, seq, asked, found, by } = report
    log.warn('report', { peer, by, kind, log: report.log, seq, asked, found, worth: worth.value })
    this.#considering = this.#considering.then(() => this.#consider(peer)).catch(this.#failed)
    await this.#considering
    return worth
  }

  /** The entry that the log has there, its signature checked; from wherever it is held. */
  async #entry({ log, seq, id }: Report): Promise<Signed | null> {
    const visit = await this.#parts.exchange.visits.open(log as BlogName)
    if (typeof visit === 'string') return null
    const stored = await visit.ingest.read(log, seq)
    return stored === null || idOf(stored.text) !== id
      ? null
      : { text: stored.text, signature: stored.signature }
  }

  async #keep(kept: KeptReport): Promise<void> {
    const { store } = this.#parts.exchange
    const over = planRoom(this.#kept, kept)
    // In memory at once, so that two side by side see each other.
    this.#kept = [...this.#kept.filter((each) => !over.includes(each)), kept]
    const row: Row = {
      ...{ report: signedRow(kept.signed), worth: kept.worth, served: kept.served },
      answer: kept.answer === null ? null : signedRow(kept.answer),
      receipt: kept.receipt === null ? null : signedRow(kept.receipt),
      entry: signedRow(kept.entry),
    }
    try {
      await store.write([
        ...over.map((each) => store.deleteValue(keyOf(each))),
        store.putValue(keyOf(kept), row),
      ])
    } catch (error) {
      // Else it would pass for kept when its spoke tries again.
      this.#kept = this.#kept.filter((each) => each !== kept)
      throw error
    }
  }

  async #consider(peer: PeerName): Promise<void> {
    const { exchange, clock, cutOffAfter, cutOff, log } = this.#parts
    const roster = exchange.council.roster()
    const nowMs = clock.now()
    if (roster === null) return
    const plan = planCutOff(this.#kept, roster, { peer, nowMs, needed: cutOffAfter })
    if (plan === null || nowMs < this.#pausedUntilMs) return
    this.#pausedUntilMs = await this.#pauseEndMs(roster.head.seq, nowMs)
    if (nowMs < this.#pausedUntilMs) return
    const reason = policyReason(plan.reports.length, plan.misdeed)
    const done = await cutOff(peer, reason, writeEvidence(plan.reports, roster))
    if (done.ok) this.#pausedUntilMs = nowMs + pauseMs
    else log.error('cutoff_failed', { peer, code: done.code, reason: done.reason })
  }

  readonly #failed = (error: Error) => this.#parts.log.error('consider_failed', { error })

  /**
   * When the next peer may be cut off by policy, by what `@roster` says of the last one, ms: so a
   * start of the authority, or another one in its place, does not shorten the pause.
   */
  async #pauseEndMs(last: number, nowMs: number): Promise<number> {
    const { council } = this.#parts.exchange
    for (let seq = last; seq >= 0; seq--) {
      const proof = await council.proof(rosterLog, seq)
      const act = proof === null ? null : decodeAct(proof.text)
      if (!act?.ok || act.value.dateMs + pauseMs <= nowMs) break
      const { decision, dateMs } = act.value
      if (decision.kind === 'cutoff' && isByPolicy(decision.reason)) return dateMs + pauseMs
    }
    return Number.NEGATIVE_INFINITY
  }

  /** Of each peer the report about one that shows most, as they go into an act; null when there is none. */
  evidence(peer: PeerName): string | null {
    const { exchange, clock } = this.#parts
    const about = this.#kept.filter(({ report }) => report.peer === peer)
    const ordered = weakestFirst(about, clock.now())
    const strongest = [...new Map(ordered.map((each) => [each.report.by, each])).values()]
    return strongest.length === 0 ? null : writeEvidence(strongest, exchange.council.roster())
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

type Parts = {
  readonly exchange: Pick<Exchange, 'council' | 'visits' | 'store'>
  readonly clock: Clock
  readonly log: ComponentLog
  /** reports of so many operators cut a spoke off; null: never by itself */
  readonly cutOffAfter: number | null
  readonly cutOff: (peer: PeerName, reason: string, evidence: string) => Promise<Verdict<unknown>>
}
