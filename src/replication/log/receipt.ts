import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import { accept, type Verdict } from '../../auth/verdict.ts'
import type { Head, LogName } from './log.ts'
import {
  isLog,
  isPeer,
  isStore,
  type Replica,
  readSigned,
  type StoreId,
  sameReplica,
  signPeerText,
} from './peer-text.ts'
import {
  dateMs,
  type EntryId,
  type Field,
  formatDate,
  isCouncil,
  isCount,
  isDate,
  isId,
  type Signed,
} from './text.ts'

/**
 * A replica's signed word: "I hold entry `id` as `seq` of this log and everything before it,
 * synced, under act `act`, in this store, since `since`" (REPLICATION 1). Lives beside the log's
 * texts since proofs of acts are made of receipts too.
 */
export type Receipt = {
  readonly council: string
  readonly log: LogName
  readonly head: Head
  /** id of the assignment under which it counts; for the council's own logs of the entry that set the holders */
  readonly act: EntryId
  readonly epoch: number
  readonly replica: Replica
  /** since when the head is held, ms; written in seconds */
  readonly sinceMs: number
  /** when this receipt was given, ms; written in seconds */
  readonly atMs: number
  readonly signed: Signed
}

const first = 'council-receipt 1'
const fields: readonly Field[] = [
  { name: 'council', times: 'once', wrong: isCouncil },
  { name: 'log', times: 'once', wrong: isLog },
  { name: 'seq', times: 'once', wrong: isCount },
  { name: 'id', times: 'once', wrong: isId },
  { name: 'act', times: 'once', wrong: isId },
  { name: 'epoch', times: 'once', wrong: isCount },
  { name: 'peer', times: 'once', wrong: isPeer },
  { name: 'store', times: 'once', wrong: isStore },
  { name: 'since', times: 'once', wrong: isDate },
  { name: 'at', times: 'once', wrong: isDate },
]

export function signReceipt(signer: PeerSigner, receipt: Omit<Receipt, 'signed'>): Receipt {
  const signed = signPeerText(signer, first, [
    ['council', receipt.council],
    ['log', receipt.log],
    ['seq', String(receipt.head.seq)],
    ['id', receipt.head.id],
    ['act', receipt.act],
    ['epoch', String(receipt.epoch)],
    ['peer', receipt.replica.peer],
    ['store', receipt.replica.store],
    ['since', formatDate(receipt.sinceMs)],
    ['at', formatDate(receipt.atMs)],
  ])
  return { ...receipt, signed }
}

/** Decodes a receipt and checks that the peer it names signed it. */
export function decodeReceipt(signed: Signed): Verdict<Receipt> {
  const read = readSigned(signed, first, fields, 'peer')
  if (!read.ok) return read
  const { one } = read.value
  return accept({
    council: one('council'),
    log: one('log'),
    head: { seq: Number(one('seq')), id: one('id') as EntryId },
    act: one('act') as EntryId,
    epoch: Number(one('epoch')),
    replica: { peer: one('peer') as PeerName, store: one('store') as StoreId },
    sinceMs: dateMs(one('since')) as number,
    atMs: dateMs(one('at')) as number,
    signed,
  })
}

/** w: how many of n replicas make an entry published (REPLICATION, Words). */
export const majority = (n: number) => Math.floor(n / 2) + 1

/**
 * How many different replicas of a set gave receipts that cover `seq` under one and the same act.
 * Receipts of other acts, stores or peers are not counted (REPLICATION 3).
 */
export function countReceipts(
  receipts: Iterable<Receipt>,
  act: EntryId,
  replicas: readonly Replica[],
  seq: number,
): number {
  const seen = new Set<PeerName>()
  for (const receipt of receipts) {
    if (receipt.act !== act || receipt.head.seq < seq) continue
    if (replicas.some((replica) => sameReplica(replica, receipt.replica)))
      seen.add(receipt.replica.peer)
  }
  return seen.size
}
