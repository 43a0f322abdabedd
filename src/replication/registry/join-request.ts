import type { PeerSigner } from '../../auth/peer-signature.ts'
import { accept, type Verdict } from '../../auth/verdict.ts'
import { readSigned, signPeerText } from '../log/peer-text.ts'
import {
  dateMs,
  type Field,
  formatDate,
  isCouncil,
  isDate,
  isPlain,
  type Signed,
} from '../log/text.ts'
import { type MemberRecord, memberFields, readMember } from './act.ts'
import { writeMember } from './sign-act.ts'

/** A newcomer's signed request, or a member's whose record has changed (DESIGN 5, Joining). */
export type JoinRequest = {
  readonly council: string
  readonly member: MemberRecord
  readonly atMs: number
  readonly invite: string | null
}

const first = 'council-join 1'
const fields: readonly Field[] = [
  { name: 'council', times: 'once', wrong: isCouncil },
  ...memberFields,
  { name: 'at', times: 'once', wrong: isDate },
  { name: 'invite', times: 'optional', wrong: isPlain(100) },
]

export function signJoin(signer: PeerSigner, request: JoinRequest): Signed {
  return signPeerText(signer, first, [
    ['council', request.council],
    ...writeMember(request.member),
    ['at', formatDate(request.atMs)],
    ...(request.invite === null ? [] : [['invite', request.invite] as const]),
  ])
}

/** Decodes a request and checks that the peer it names signed it. */
export function decodeJoin(signed: Signed): Verdict<JoinRequest> {
  const read = readSigned(signed, first, fields, 'peer')
  if (!read.ok) return read
  return accept({
    council: read.value.one('council'),
    member: readMember(read.value),
    atMs: dateMs(read.value.one('at')) as number,
    invite: read.value.maybe('invite'),
  })
}
