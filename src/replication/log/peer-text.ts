import { isIP } from 'node:net'
import {
  type PeerName,
  type PeerSigner,
  parsePeerName,
  verifyPeer,
} from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { parseBlogName } from './entry.ts'
import { type Head, namesLog, rosterLog } from './log.ts'
import {
  decodeText,
  type EntryId,
  encodeText,
  type Field,
  isCount,
  isId,
  parseEntryId,
  readHeaders,
  type Signed,
  type Values,
} from './text.ts'

/** Random name of one data folder's life, 32 lower-case hex digits (REPLICATION, Words). */
export type StoreId = string & { readonly brand: 'StoreId' }

export function parseStoreId(value: string): StoreId | null {
  return /^[0-9a-f]{32}$/.test(value) ? (value as StoreId) : null
}

/** A replica, or a holder of the council's logs: a peer with one store. */
export type Replica = { readonly peer: PeerName; readonly store: StoreId }

export const sameReplica = (a: Replica, b: Replica) => a.peer === b.peer && a.store === b.store

// Header values that peers' texts share. Each answers null or the second half of a sentence.

export const isPeer = (value: string) =>
  parsePeerName(value) === null ? 'want the id of an Ed25519 peer, 12D3Koo…' : null

export const isStore = (value: string) =>
  parseStoreId(value) === null ? 'want 32 lower-case hex digits' : null

export const isReplica = (value: string) => {
  const [peer = '', store = '', more] = value.split(' ')
  return more === undefined && isPeer(peer) === null && isStore(store) === null
    ? null
    : 'want a peer id, a blank and its store id'
}

export const isLog = (value: string) =>
  value === rosterLog || value === namesLog || parseBlogName(value) !== null
    ? null
    : 'want a blog name, @roster or @names'

/** `<seq> <id>` */
export const isHead = (value: string) => {
  const [seq = '', id = '', more] = value.split(' ')
  return more === undefined && isCount(seq) === null && isId(id) === null
    ? null
    : 'want a seq, a blank and an id'
}

/** What a peer dials: an address with a TCP port and without a peer id. */
export const isAddress = (value: string) => {
  const match = /^\/(ip4|ip6|dns4|dns6|dns)\/([0-9A-Za-z.:-]+)\/tcp\/(0|[1-9][0-9]{0,4})$/.exec(
    value,
  )
  const [, kind = '', host = '', port = ''] = match ?? []
  const isHost = kind.startsWith('dns') || isIP(host) === Number(kind.slice(2))
  return match !== null && value.length <= 200 && isHost && Number(port) < 65_536
    ? null
    : 'want an address like /ip4/192.0.2.7/tcp/4001 or /dns4/a.example.org/tcp/4001'
}

/** Where a spoke's pages are fetched: scheme, IP literal and port. */
export const isWeb = (value: string) => {
  const match = /^https?:\/\/(?:([0-9.]+)|\[([0-9a-f:.]+)\]):([1-9][0-9]{0,4})$/.exec(value)
  const ip = match?.[1] ?? match?.[2]
  return ip !== undefined && isIP(ip) !== 0 && Number(match?.[3]) < 65_536
    ? null
    : 'want a scheme, an IP address and a port, like http://192.0.2.7:80'
}

/** Where a peer answers DNS: IP address, blank, port. */
export const isDns = (value: string) => {
  const [ip = '', port = '', more] = value.split(' ')
  return more === undefined &&
    isIP(ip) !== 0 &&
    isCount(port) === null &&
    Number(port) > 0 &&
    Number(port) < 65_536
    ? null
    : 'want an IP address, a blank and a port'
}

export const readReplica = (value: string): Replica => {
  const [peer, store] = value.split(' ')
  return { peer: peer as PeerName, store: store as StoreId }
}

export const readHead = (value: string): Head => {
  const [seq, id] = value.split(' ')
  return { seq: Number(seq), id: parseEntryId(id as string) as EntryId }
}

export const writeHead = (head: Head) => `${head.seq} ${head.id}`
export const writeReplica = (replica: Replica) => `${replica.peer} ${replica.store}`

/**
 * Reads a text that a peer signs: its first line, its headers by the table, no body.
 * Codes: those of `decodeText` and `readHeaders`, PEER_TEXT_FIRST_LINE, PEER_TEXT_BODY.
 */
export function readPeerText(
  bytes: Uint8Array,
  first: string,
  fields: readonly Field[],
): Verdict<Values> {
  const text = decodeText(bytes)
  if (!text.ok) return text
  if (text.value.first !== first) {
    return refuse('PEER_TEXT_FIRST_LINE', `The first line is not "${first}".`)
  }
  if (text.value.body !== null) return refuse('PEER_TEXT_BODY', `A text "${first}" has no body.`)
  return readHeaders(text.value, fields)
}

/**
 * The same of a text that a peer hands on with its signature: the peer that the header `by` names
 * has signed it. Codes: those of `readPeerText` and `checkPeer`.
 */
export function readSigned(
  signed: Signed,
  first: string,
  fields: readonly Field[],
  by: 'peer' | 'by',
): Verdict<Values> {
  const read = readPeerText(signed.text, first, fields)
  if (!read.ok) return read
  const good = checkPeer(read.value.one(by) as PeerName, signed)
  return good.ok ? read : good
}

/** Signs headers as one text. The caller gives them in the table's order. */
export function signPeerText(
  signer: PeerSigner,
  first: string,
  headers: readonly (readonly [string, string])[],
): Signed {
  const text = encodeText({ first, headers, body: null })
  return { text, signature: signer.sign(text) }
}

/** Checks that `peer` signed the text. Code PEER_SIGNATURE. */
export function checkPeer(peer: PeerName, signed: Signed): Verdict<void> {
  return verifyPeer(peer, signed.text, signed.signature)
    ? accept(undefined)
    : refuse('PEER_SIGNATURE', `The signature is not by ${peer} over these bytes.`)
}
