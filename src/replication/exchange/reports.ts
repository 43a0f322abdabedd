import { z } from 'zod'
import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import type { Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../clock.ts'
import { type EntryId, idOf, type Signed } from '../log/text.ts'
import { ask, bytes, type Network, refusalOf, signedShape } from '../network.ts'
import { maxServedBytes, SUBMIT } from '../protocol.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import { fromSignedRow, signedRow } from '../registry/proof.ts'
import { type ReportKind, signReport } from '../registry/report.ts'
import { authorityOf } from '../registry/roster.ts'

export const reportShape = z.object({
  t: z.literal('report'),
  report: signedShape,
  /** the bytes that came, of which the report names the hash */
  served: bytes.refine(({ length }) => length <= maxServedBytes).nullable(),
  /** the signed answer to a surprise question */
  answer: signedShape.nullable(),
  /** the reported peer's own receipt that covers the entry */
  receipt: signedShape.nullable(),
})
const passing = ['RATE_LIMITED', 'NOT_READY', 'NOT_THE_AUTHORITY', 'NOT_A_MEMBER']
const isFinal = (code: string | null) => code !== null && !passing.includes(code)
const done = z.object({ ok: z.literal(true) })

/** A report as it is handed in: signed, with the bytes that it speaks of. */
export type HandedReport = {
  readonly report: Signed
  readonly served: Uint8Array | null
  readonly answer: Signed | null
  readonly receipt: Signed | null
}
export type DecideReport = (from: PeerName, handed: HandedReport) => Promise<Verdict<unknown>>

/** What somebody found about another peer. */
export type Finding = {
  readonly peer: PeerName
  readonly kind: ReportKind
  readonly log: string
  readonly seq: number
  readonly id: EntryId
  readonly asked: string
  readonly found: string
  readonly served: Uint8Array | null
  readonly answer: Signed | null
  readonly receipt: Signed | null
}

/** The same finding is not reported again within this time, ms. */
const againMs = 600_000
/**
 * Findings of one kind about one peer that are reported in that time, with something to show and
 * without: the authority keeps no more.
 */
const maxAgain = 5
/** Reports that wait for the authority; beyond it the oldest is forgotten. */
const maxWaiting = 50

/** Brings what this peer found about others to the authority, signed. */
export class Reports {
  readonly #parts: Parts
  readonly #filedMs = new Map<string, number>()
  #waiting: HandedReport[] = []
  #isSending = false
  /** reports filed since the start */
  count = 0

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * Signs a report and sends it; again with `retry` while the authority does not answer, or takes no
   * more at once. Of many findings about one peer the first are reported, the others would say no more.
   */
  file(finding: Finding): void {
    const { council, clock, signer, report } = this.#parts
    const roster = council.roster()
    // Who shows one reader nothing, and another one lies, is not safe from the second report by the first.
    const isShown = finding.served !== null || finding.answer !== null
    const about = `${finding.peer} ${finding.kind} ${isShown} `
    const key = `${about}${finding.log} ${finding.seq}`
    const nowMs = clock.steady()
    for (const [old, atMs] of this.#filedMs) if (nowMs - atMs >= againMs) this.#filedMs.delete(old)
    const filed = [...this.#filedMs.keys()].filter((each) => each.startsWith(about))
    if (roster === null || this.#filedMs.has(key) || filed.length >= maxAgain) return
    this.#filedMs.set(key, nowMs)
    this.count++
    const { peer, kind, log, seq, id, asked, found } = finding
    const served = finding.served?.subarray(0, maxServedBytes) ?? null
    const signed = signReport(signer, {
      ...{ council: roster.council, peer, kind, log, seq, id, asked, found, atMs: clock.now() },
      served: served === null ? null : idOf(served),
    })
    report('reported', { peer, kind, log, seq, asked, found })
    const { answer, receipt } = finding
    this.#waiting = [...this.#waiting, { report: signed, served, answer, receipt }].slice(
      -maxWaiting,
    )
    this.retry().catch(() => undefined)
  }

  /** Sends what waits; who refuses a report has decided it. */
  async retry(): Promise<void> {
    const roster = this.#parts.council.roster()
    if (this.#isSending || roster === null) return
    this.#isSending = true
    try {
      for (let [first] = this.#waiting; first !== undefined; [first] = this.#waiting) {
        await this.#send(authorityOf(roster), first)
        const sent = first
        this.#waiting = this.#waiting.filter((each) => each !== sent)
      }
    } finally {
      this.#isSending = false
    }
  }

  async #send(authority: PeerName, handed: HandedReport): Promise<void> {
    const { network } = this.#parts
    const body = {
      ...{ t: 'report', report: signedRow(handed.report), served: handed.served },
      answer: handed.answer === null ? null : signedRow(handed.answer),
      receipt: handed.receipt === null ? null : signedRow(handed.receipt),
    }
    try {
      await ask(network, authority, SUBMIT, body, done)
    } catch (error) {
      // Any other refusal is the authority's word on it.
      if (!isFinal(refusalOf(error))) throw error
    }
  }
}

export const toHanded = (body: z.infer<typeof reportShape>): HandedReport => ({
  report: fromSignedRow(body.report),
  served: body.served,
  answer: body.answer === null ? null : fromSignedRow(body.answer),
  receipt: body.receipt === null ? null : fromSignedRow(body.receipt),
})

type Parts = {
  readonly network: Network
  readonly council: CouncilLogs
  readonly signer: PeerSigner
  readonly clock: Clock
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}
