import { hash } from 'node:crypto'
import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import { accept, type Verdict } from '../../auth/verdict.ts'
import type { LogName } from '../log/log.ts'
import {
  checkPeer,
  isLog,
  isPeer,
  isStore,
  type Replica,
  readPeerText,
  type StoreId,
  signPeerText,
} from '../log/peer-text.ts'
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

/** Characters of a nonce: 32 bytes in hex. */
const nonceCharacters = 64
export const isNonce = (value: string) =>
  value.length === nonceCharacters ? isId(value) : 'want 64 lower-case hex digits'

/** What a surprise question asks for: only who has the bytes at hand can say it. */
export const auditHash = (nonce: string, text: Uint8Array): string =>
  hash('sha256', Buffer.concat([Buffer.from(nonce), text]), 'hex')

/** A replica's signed answer to a surprise question about one entry (DESIGN 8, Audits). */
export type AuditAnswer = {
  readonly council: string
  readonly replica: Replica
  readonly log: LogName
  readonly seq: number
  readonly nonce: string
  /** `auditHash` of the entry; null: it does not have it */
  readonly hash: string | null
  readonly atMs: number
}

const answerFirst = 'council-answer 1'
const answerFields: readonly Field[] = [
  { name: 'council', times: 'once', wrong: isCouncil },
  { name: 'peer', times: 'once', wrong: isPeer },
  { name: 'store', times: 'once', wrong: isStore },
  { name: 'log', times: 'once', wrong: isLog },
  { name: 'seq', times: 'once', wrong: isCount },
  { name: 'nonce', times: 'once', wrong: isNonce },
  { name: 'hash', times: 'optional', wrong: isId },
  { name: 'at', times: 'once', wrong: isDate },
]

export function signAnswer(
  signer: PeerSigner,
  answer: Omit<AuditAnswer, 'replica'> & { readonly store: StoreId },
): Signed {
  return signPeerText(signer, answerFirst, [
    ['council', answer.council],
    ['peer', signer.peer],
    ['store', answer.store],
    ['log', answer.log],
    ['seq', String(answer.seq)],
    ['nonce', answer.nonce],
    ...(answer.hash === null ? [] : [['hash', answer.hash] as const]),
    ['at', formatDate(answer.atMs)],
  ])
}

/** Decodes an answer and checks that the replica it names signed it. */
export function decodeAnswer(signed: Signed): Verdict<AuditAnswer> {
  const read = readPeerText(signed.text, answerFirst, answerFields)
  if (!read.ok) return read
  const { one, maybe } = read.value
  const peer = one('peer') as PeerName
  const good = checkPeer(peer, signed)
  if (!good.ok) return good
  return accept({
    council: one('council'),
    replica: { peer, store: one('store') as StoreId },
    log: one('log'),
    seq: Number(one('seq')),
    nonce: one('nonce'),
    hash: maybe('hash'),
    atMs: dateMs(one('at')) as number,
  })
}

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

const reportFirst = 'council-report 1'
const reportFields: readonly Field[] = [
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
  return signPeerText(signer, reportFirst, [
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
  const read = readPeerText(signed.text, reportFirst, reportFields)
  if (!read.ok) return read
  const { one, maybe } = read.value
  const by = one('by') as PeerName
  const good = checkPeer(by, signed)
  if (!good.ok) return good
  return accept({
    council: one('council'),
    by,
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
