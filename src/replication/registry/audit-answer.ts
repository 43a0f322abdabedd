import { hash } from 'node:crypto'
import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import { accept, type Verdict } from '../../auth/verdict.ts'
import type { LogName } from '../log/log.ts'
import {
  isLog,
  isPeer,
  isStore,
  type Replica,
  readSigned,
  type StoreId,
  signPeerText,
} from '../log/peer-text.ts'
import {
  dateMs,
  type Field,
  formatDate,
  isCouncil,
  isCount,
  isDate,
  isId,
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

const first = 'council-answer 1'
const fields: readonly Field[] = [
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
  return signPeerText(signer, first, [
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
  const read = readSigned(signed, first, fields, 'peer')
  if (!read.ok) return read
  const { one, maybe } = read.value
  return accept({
    council: one('council'),
    replica: { peer: one('peer') as PeerName, store: one('store') as StoreId },
    log: one('log'),
    seq: Number(one('seq')),
    nonce: one('nonce'),
    hash: maybe('hash'),
    atMs: dateMs(one('at')) as number,
  })
}
