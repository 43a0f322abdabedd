import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import { accept, type Verdict } from '../../auth/verdict.ts'
import { isPeer, readSigned, signPeerText } from '../log/peer-text.ts'
import {
  dateMs,
  type Field,
  formatDate,
  isCouncil,
  isDate,
  isPlain,
  type Signed,
} from '../log/text.ts'

/** One peer's word on whether another one answers: evidence for an act (REPLICATION, Silence). */
export type Dial = {
  readonly council: string
  /** who dialled */
  readonly by: PeerName
  readonly peer: PeerName
  readonly atMs: number
  /** `answered`, or why there was no answer */
  readonly result: string
}

const first = 'council-dial 1'
export const answered = 'answered'
const fields: readonly Field[] = [
  { name: 'council', times: 'once', wrong: isCouncil },
  { name: 'by', times: 'once', wrong: isPeer },
  { name: 'peer', times: 'once', wrong: isPeer },
  { name: 'at', times: 'once', wrong: isDate },
  { name: 'result', times: 'once', wrong: isPlain(100) },
]

export function signDial(signer: PeerSigner, dial: Omit<Dial, 'by'>): Signed {
  return signPeerText(signer, first, [
    ['council', dial.council],
    ['by', signer.peer],
    ['peer', dial.peer],
    ['at', formatDate(dial.atMs)],
    ['result', dial.result],
  ])
}

/** Decodes a dial and checks that the peer it names as dialler signed it. */
export function decodeDial(signed: Signed): Verdict<Dial> {
  const read = readSigned(signed, first, fields, 'by')
  if (!read.ok) return read
  const { one } = read.value
  return accept({
    council: one('council'),
    by: one('by') as PeerName,
    peer: one('peer') as PeerName,
    atMs: dateMs(one('at')) as number,
    result: one('result'),
  })
}
