import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import { accept, type Verdict } from '../../auth/verdict.ts'
import type { Head } from '../log/log.ts'
import {
  checkPeer,
  isHead,
  isPeer,
  isStore,
  type Replica,
  readHead,
  readPeerText,
  type StoreId,
  signPeerText,
  writeHead,
} from '../log/peer-text.ts'
import {
  dateMs,
  type Field,
  formatDate,
  isCouncil,
  isCount,
  isDate,
  type Signed,
} from '../log/text.ts'

/** "I am alive", with what the authority needs for placement and what peers need to catch up. */
export type Heartbeat = {
  readonly council: string
  readonly replica: Replica
  readonly atMs: number
  /** bytes free on the disk that holds the logs */
  readonly freeBytes: number
  /** thousandths of one core that the process used lately */
  readonly load: number
  readonly roster: Head
  /** null for a peer that does not carry `@names` */
  readonly names: Head | null
}

const first = 'council-heartbeat 1'
const fields: readonly Field[] = [
  { name: 'council', times: 'once', wrong: isCouncil },
  { name: 'peer', times: 'once', wrong: isPeer },
  { name: 'store', times: 'once', wrong: isStore },
  { name: 'at', times: 'once', wrong: isDate },
  { name: 'free', times: 'once', wrong: isCount },
  { name: 'load', times: 'once', wrong: isCount },
  { name: 'roster', times: 'once', wrong: isHead },
  { name: 'names', times: 'optional', wrong: isHead },
]

export function signHeartbeat(signer: PeerSigner, beat: Heartbeat): Signed {
  return signPeerText(signer, first, [
    ['council', beat.council],
    ['peer', beat.replica.peer],
    ['store', beat.replica.store],
    ['at', formatDate(beat.atMs)],
    ['free', String(beat.freeBytes)],
    ['load', String(beat.load)],
    ['roster', writeHead(beat.roster)],
    ...(beat.names === null ? [] : [['names', writeHead(beat.names)] as const]),
  ])
}

/** Decodes a heartbeat and checks that the peer it names signed it. */
export function decodeHeartbeat(signed: Signed): Verdict<Heartbeat> {
  const read = readPeerText(signed.text, first, fields)
  if (!read.ok) return read
  const { one, maybe } = read.value
  const peer = one('peer') as PeerName
  const good = checkPeer(peer, signed)
  if (!good.ok) return good
  const names = maybe('names')
  return accept({
    council: one('council'),
    replica: { peer, store: one('store') as StoreId },
    atMs: dateMs(one('at')) as number,
    freeBytes: Number(one('free')),
    load: Number(one('load')),
    roster: readHead(one('roster')),
    names: names === null ? null : readHead(names),
  })
}
