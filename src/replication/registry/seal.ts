import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import { accept, type Verdict } from '../../auth/verdict.ts'
import type { Head, LogName } from '../log/log.ts'
import {
  checkPeer,
  isHead,
  isLog,
  isPeer,
  isStore,
  type Replica,
  readHead,
  readPeerText,
  readSigned,
  type StoreId,
  signPeerText,
  writeHead,
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
  type Signed,
} from '../log/text.ts'

/** The authority's question that ends an act (REPLICATION 7). Answers count for its round only. */
export type Seal = {
  readonly council: string
  readonly log: LogName
  /** the act that it ends */
  readonly act: EntryId
  readonly epoch: number
  readonly round: number
  readonly atMs: number
}

/** A replica's answer: never again a receipt for epochs up to `epoch`, and where its log ends. */
export type Promised = Seal & {
  readonly replica: Replica
  /** null: this replica holds nothing of the log */
  readonly head: Head | null
  /** epoch of the log: the last one whose primary it followed */
  readonly follows: number
  readonly signed: Signed
}

const sealFirst = 'council-seal 1'
const promiseFirst = 'council-promise 1'
const sealFields: readonly Field[] = [
  { name: 'council', times: 'once', wrong: isCouncil },
  { name: 'log', times: 'once', wrong: isLog },
  { name: 'act', times: 'once', wrong: isId },
  { name: 'epoch', times: 'once', wrong: isCount },
  { name: 'round', times: 'once', wrong: isCount },
  { name: 'at', times: 'once', wrong: isDate },
]
const promiseFields: readonly Field[] = [
  ...sealFields,
  { name: 'peer', times: 'once', wrong: isPeer },
  { name: 'store', times: 'once', wrong: isStore },
  { name: 'head', times: 'optional', wrong: isHead },
  { name: 'follows', times: 'once', wrong: isCount },
]

const sealHeaders = (seal: Seal): [string, string][] => [
  ['council', seal.council],
  ['log', seal.log],
  ['act', seal.act],
  ['epoch', String(seal.epoch)],
  ['round', String(seal.round)],
  ['at', formatDate(seal.atMs)],
]

const readSeal = (one: (name: string) => string): Seal => ({
  council: one('council'),
  log: one('log'),
  act: one('act') as EntryId,
  epoch: Number(one('epoch')),
  round: Number(one('round')),
  atMs: dateMs(one('at')) as number,
})

export function signSeal(signer: PeerSigner, seal: Seal): Signed {
  return signPeerText(signer, sealFirst, sealHeaders(seal))
}

/** Decodes a seal and checks that `authority` signed it. */
export function decodeSeal(signed: Signed, authority: PeerName): Verdict<Seal> {
  const read = readPeerText(signed.text, sealFirst, sealFields)
  if (!read.ok) return read
  const good = checkPeer(authority, signed)
  return good.ok ? accept(readSeal(read.value.one)) : good
}

export function signPromise(signer: PeerSigner, promise: Omit<Promised, 'signed'>): Promised {
  const signed = signPeerText(signer, promiseFirst, [
    ...sealHeaders(promise),
    ['peer', promise.replica.peer],
    ['store', promise.replica.store],
    ...(promise.head === null ? [] : [['head', writeHead(promise.head)] as const]),
    ['follows', String(promise.follows)],
  ])
  return { ...promise, signed }
}

/** Decodes a promise and checks that the peer it names signed it. */
export function decodePromise(signed: Signed): Verdict<Promised> {
  const read = readSigned(signed, promiseFirst, promiseFields, 'peer')
  if (!read.ok) return read
  const { one, maybe } = read.value
  const head = maybe('head')
  return accept({
    ...readSeal(one),
    replica: { peer: one('peer') as PeerName, store: one('store') as StoreId },
    head: head === null ? null : readHead(head),
    follows: Number(one('follows')),
    signed,
  })
}
