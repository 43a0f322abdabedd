import type { PeerSigner } from '../../auth/peer-signature.ts'
import { accept, type Verdict } from '../../auth/verdict.ts'
import type { Head, LogName } from '../log/log.ts'
import { writeHead, writeReplica } from '../log/peer-text.ts'
import { encodeText, formatDate, type Signed } from '../log/text.ts'
import { type Act, actFirstLine, type Decision, decodeAct, type MemberRecord } from './act.ts'

/** Where an act is to stand: what the authority knows before it writes one. */
export type Position = {
  /** the zone for `@roster` entry 0, else `zone/council id` */
  readonly council: string
  readonly log: LogName
  readonly head: Head | null
  readonly roster: Head | null
  readonly dateMs: number
}

/** Writes and signs an act; it is decoded again, so that none leaves that a peer would refuse. */
export function signAct(
  signer: PeerSigner,
  at: Position,
  decision: Decision,
): Verdict<{ act: Act; signed: Signed }> {
  const { headers, body } = writeDecision(decision)
  const text = encodeText({
    first: actFirstLine,
    headers: [
      ['council', at.council],
      ['log', at.log],
      ['seq', String(at.head === null ? 0 : at.head.seq + 1)],
      ...optional('prev', at.head?.id ?? null),
      ['kind', decision.kind],
      ['date', formatDate(at.dateMs)],
      ...optional('roster', at.roster === null ? null : writeHead(at.roster)),
      ...headers,
    ],
    body,
  })
  const act = decodeAct(text)
  return act.ok ? accept({ act: act.value, signed: { text, signature: signer.sign(text) } }) : act
}

type Headers = [string, string][]
const optional = (name: string, value: string | null): Headers =>
  value === null ? [] : [[name, value]]
const many = (name: string, values: readonly string[]): Headers =>
  values.map((value) => [name, value])

function writeDecision(decision: Decision): { headers: Headers; body: string | null } {
  switch (decision.kind) {
    case 'council':
      return {
        headers: [
          ['edit', decision.edit],
          ['authority', decision.authority],
          ['replicas', String(decision.wanted)],
          ['holder', writeReplica(decision.holder)],
        ],
        body: null,
      }
    case 'admit':
      return { headers: [...writeMember(decision.member), ['policy', decision.policy]], body: null }
    case 'change':
      return { headers: writeMember(decision.member), body: null }
    case 'away':
    case 'back':
    case 'cutoff':
    case 'reinstate':
      return {
        headers: [
          ['peer', decision.peer],
          ['reason', decision.reason],
        ],
        body: decision.evidence,
      }
    case 'holders':
      return { headers: many('holder', decision.holders.map(writeReplica)), body: null }
    case 'authority':
      return {
        headers: [['authority', decision.authority], ...optional('standby', decision.standby)],
        body: decision.votes,
      }
    case 'names':
      return { headers: [], body: null }
    case 'assign':
      return {
        headers: [
          ['blog', decision.blog],
          ['genesis', decision.genesis],
          ['key', decision.key],
          ['epoch', String(decision.epoch)],
          ...optional('ends', decision.ends),
          ...many('replica', decision.replicas.map(writeReplica)),
          ['primary', decision.primary],
          ['head', writeHead(decision.head)],
          ...optional('via', decision.via),
          ['reason', decision.reason],
          ...optional('unmet', decision.unmet),
        ],
        body: decision.evidence,
      }
    case 'revoke':
      return { headers: [['key', decision.key]], body: decision.certificate }
    case 'loss':
      return {
        headers: [
          ['blog', decision.blog],
          ['assign', decision.assign],
          ['reason', decision.reason],
        ],
        body: decision.evidence,
      }
  }
}

export function writeMember(member: MemberRecord): Headers {
  return [
    ['peer', member.peer],
    ['name', member.name],
    ['store', member.store],
    ['roles', member.roles.join(', ')],
    ...many('address', member.addresses),
    ...many('web', member.web),
    ...many('dns', member.dns),
    ['operator', member.operator],
    ...optional('network', member.network),
    ...optional('country', member.country),
  ]
}
