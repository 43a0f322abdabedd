import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import { accept, type Verdict } from '../../auth/verdict.ts'
import type { LogName } from '../log/log.ts'
import { isLog, isPeer, readSigned, signPeerText } from '../log/peer-text.ts'
import {
  dateMs,
  type EntryId,
  type Field,
  formatDate,
  isCouncil,
  isCount,
  isDate,
  isId,
  isPlain,
  type Signed,
} from '../log/text.ts'

/**
 * What a report is about: `page`, something that a spoke serves to readers; `audit`, a surprise
 * question that it did not answer rightly.
 */
export type ReportKind = 'page' | 'audit' | 'front'
const kinds: readonly string[] = ['page', 'audit', 'front'] satisfies ReportKind[]

/** A peer's signed word on another one that does not keep, or does not show, what it should. */
export type Report = {
  readonly council: string
  /** who reports */
  readonly by: PeerName
  readonly peer: PeerName
  readonly kind: ReportKind
  readonly log: LogName
  readonly seq: number
  /** id of the entry that belongs there */
  readonly id: EntryId
  /** the path that was fetched, or the nonce of the question */
  readonly asked: string
  /** what came instead, in a few words */
  readonly found: string
  /** SHA-256 of the bytes that came and are handed in beside the report; null: none came */
  readonly served: EntryId | null
  readonly atMs: number
}

const first = 'council-report 1'
const fields: readonly Field[] = [
  { name: 'council', times: 'once', wrong: isCouncil },
  { name: 'by', times: 'once', wrong: isPeer },
  { name: 'peer', times: 'once', wrong: isPeer },
  {
    name: 'kind',
    times: 'once',
    wrong: (value) => (kinds.includes(value) ? null : `want ${kinds.join(' or ')}`),
  },
  { name: 'log', times: 'once', wrong: isLog },
  { name: 'seq', times: 'once', wrong: isCount },
  { name: 'id', times: 'once', wrong: isId },
  { name: 'asked', times: 'once', wrong: isPlain(200) },
  { name: 'found', times: 'once', wrong: isPlain(200) },
  { name: 'served', times: 'optional', wrong: isId },
  { name: 'at', times: 'once', wrong: isDate },
]

export function signReport(signer: PeerSigner, report: Omit<Report, 'by'>): Signed {
  return signPeerText(signer, first, [
    ['council', report.council],
    ['by', signer.peer],
    ['peer', report.peer],
    ['kind', report.kind],
    ['log', report.log],
    ['seq', String(report.seq)],
    ['id', report.id],
    ['asked', report.asked],
    ['found', report.found],
    ...(report.served === null ? [] : [['served', report.served] as const]),
    ['at', formatDate(report.atMs)],
  ])
}

/** Decodes a report and checks that the peer that it names as reporter signed it. */
export function decodeReport(signed: Signed): Verdict<Report> {
  const read = readSigned(signed, first, fields, 'by')
  if (!read.ok) return read
  const { one, maybe } = read.value
  return accept({
    council: one('council'),
    by: one('by') as PeerName,
    peer: one('peer') as PeerName,
    kind: one('kind') as ReportKind,
    log: one('log'),
    seq: Number(one('seq')),
    id: one('id') as EntryId,
    asked: one('asked'),
    found: one('found'),
    served: maybe('served') as EntryId | null,
    atMs: dateMs(one('at')) as number,
  })
}
