import { cutText } from '../../auth/cut-text.ts'
import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { type BlogName, blogNameRule, parseBlogName } from '../log/entry.ts'
import { type Head, type LogName, namesLog, rosterLog } from '../log/log.ts'
import {
  isAddress,
  isDns,
  isHead,
  isPeer,
  isReplica,
  isStore,
  isWeb,
  type Replica,
  readHead,
  readReplica,
  type StoreId,
} from '../log/peer-text.ts'
import {
  dateMs,
  decodeText,
  type EntryId,
  type Field,
  idOf,
  isCouncil,
  isCount,
  isDate,
  isFingerprint,
  isId,
  isPlain,
  isZone,
  readHeaders,
  type Values,
} from '../log/text.ts'
import { maxReplicas } from '../protocol.ts'

export const actFirstLine = 'council-act 1'

export type Role = 'spoke' | 'dns' | 'authority' | 'aggregator'
const roles: readonly Role[] = ['spoke', 'dns', 'authority', 'aggregator']

/** What `@roster` says of a peer. Web addresses stand there only once they were fetched. */
export type MemberRecord = {
  readonly peer: PeerName
  /** one DNS label: `<name>.spoke.<zone>` */
  readonly name: string
  readonly store: StoreId
  readonly roles: readonly Role[]
  readonly addresses: readonly string[]
  readonly web: readonly string[]
  readonly dns: readonly string[]
  readonly operator: string
  readonly network: string | null
  readonly country: string | null
}

export type EditForm = 'dotted' | 'dashed'
export type AdmissionPolicy = 'open' | 'approve' | 'invite'

/** What an act says, by kind. PROTOCOL.md has the same as a table kind → headers. */
export type Decision =
  | {
      readonly kind: 'council'
      readonly edit: EditForm
      readonly authority: PeerName
      readonly wanted: number
      readonly holder: Replica
    }
  | { readonly kind: 'admit'; readonly member: MemberRecord; readonly policy: AdmissionPolicy }
  | { readonly kind: 'change'; readonly member: MemberRecord }
  | {
      readonly kind: 'away' | 'back' | 'cutoff' | 'reinstate'
      readonly peer: PeerName
      readonly reason: string
      readonly evidence: string | null
    }
  | { readonly kind: 'holders'; readonly holders: readonly Replica[] }
  | {
      readonly kind: 'authority'
      readonly authority: PeerName
      readonly standby: PeerName | null
      readonly votes: string | null
    }
  | { readonly kind: 'names' }
  | ({ readonly kind: 'assign' } & AssignFields)
  | { readonly kind: 'revoke'; readonly key: string; readonly certificate: string }
  | {
      readonly kind: 'loss'
      readonly blog: BlogName
      readonly assign: EntryId
      readonly reason: string
      readonly evidence: string
    }

export type AssignFields = {
  readonly blog: BlogName
  readonly genesis: EntryId
  /** fingerprint of the blog's key when the act was written */
  readonly key: string
  readonly epoch: number
  /** id of the assignment before; null for epoch 1 */
  readonly ends: EntryId | null
  readonly replicas: readonly Replica[]
  readonly primary: PeerName
  readonly head: Head
  /** the spoke that handed the claim in; null for later epochs */
  readonly via: PeerName | null
  readonly reason: string
  /** which wishes of placement could not be met */
  readonly unmet: string | null
  readonly evidence: string | null
}

/** One signed item of `@roster` or `@names`. */
export type Act = {
  readonly id: EntryId
  readonly text: Uint8Array
  /** `zone/council id`; of `@roster` entry 0 with its own id */
  readonly council: string
  readonly log: LogName
  readonly seq: number
  readonly prev: EntryId | null
  readonly date: string
  readonly dateMs: number
  /** the `@roster` head under which it was written; null only for `@roster` entry 0 */
  readonly roster: Head | null
  readonly decision: Decision
}

const anyText = () => null
export const isLabel = (value: string) =>
  /^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$/.test(value) ? null : 'want a label of a–z, 0–9 and -'
const isRoles = (value: string) => {
  const list = value.split(', ')
  const ordered = roles.filter((role) => list.includes(role))
  return ordered.join(', ') === value ? null : `want some of ${roles.join(', ')}, in this order`
}
const isBlog = (value: string) => (parseBlogName(value) === null ? blogNameRule : null)
const isReason = isPlain(300)

export const memberFields: readonly Field[] = [
  { name: 'peer', times: 'once', wrong: isPeer },
  { name: 'name', times: 'once', wrong: isLabel },
  { name: 'store', times: 'once', wrong: isStore },
  { name: 'roles', times: 'once', wrong: isRoles },
  { name: 'address', times: 'any', wrong: isAddress },
  { name: 'web', times: 'any', wrong: isWeb },
  { name: 'dns', times: 'any', wrong: isDns },
  { name: 'operator', times: 'once', wrong: isPlain(100) },
  { name: 'network', times: 'optional', wrong: isPlain(100) },
  {
    name: 'country',
    times: 'optional',
    wrong: (value) => (/^[A-Z]{2}$/.test(value) ? null : 'want two upper-case letters'),
  },
]
const aboutPeer: readonly Field[] = [
  { name: 'peer', times: 'once', wrong: isPeer },
  { name: 'reason', times: 'once', wrong: isReason },
]
const oneOf =
  (...allowed: string[]) =>
  (value: string) =>
    allowed.includes(value) ? null : `want ${allowed.join(' or ')}`

type Kind = Decision['kind']
type Table = { log: LogName; fields: readonly Field[]; body: 'none' | 'optional' | 'required' }

/** Kind → its log and the headers behind the common ones, in order. */
const kinds: Readonly<Record<Kind, Table>> = {
  council: {
    log: rosterLog,
    fields: [
      { name: 'edit', times: 'once', wrong: oneOf('dotted', 'dashed') },
      { name: 'authority', times: 'once', wrong: isPeer },
      { name: 'replicas', times: 'once', wrong: isCount },
      { name: 'holder', times: 'once', wrong: isReplica },
    ],
    body: 'none',
  },
  admit: {
    log: rosterLog,
    fields: [
      ...memberFields,
      { name: 'policy', times: 'once', wrong: oneOf('open', 'approve', 'invite') },
    ],
    body: 'none',
  },
  change: { log: rosterLog, fields: memberFields, body: 'none' },
  away: { log: rosterLog, fields: aboutPeer, body: 'optional' },
  back: { log: rosterLog, fields: aboutPeer, body: 'optional' },
  cutoff: { log: rosterLog, fields: aboutPeer, body: 'optional' },
  reinstate: { log: rosterLog, fields: aboutPeer, body: 'optional' },
  holders: {
    log: rosterLog,
    fields: [{ name: 'holder', times: 'any', wrong: isReplica }],
    body: 'none',
  },
  authority: {
    log: rosterLog,
    fields: [
      { name: 'authority', times: 'once', wrong: isPeer },
      { name: 'standby', times: 'optional', wrong: isPeer },
    ],
    body: 'optional',
  },
  names: { log: namesLog, fields: [], body: 'none' },
  assign: {
    log: namesLog,
    fields: [
      { name: 'blog', times: 'once', wrong: isBlog },
      { name: 'genesis', times: 'once', wrong: isId },
      { name: 'key', times: 'once', wrong: isFingerprint },
      { name: 'epoch', times: 'once', wrong: isCount },
      { name: 'ends', times: 'optional', wrong: isId },
      { name: 'replica', times: 'any', wrong: isReplica },
      { name: 'primary', times: 'once', wrong: isPeer },
      { name: 'head', times: 'once', wrong: isHead },
      { name: 'via', times: 'optional', wrong: isPeer },
      { name: 'reason', times: 'once', wrong: isReason },
      { name: 'unmet', times: 'optional', wrong: isReason },
    ],
    body: 'optional',
  },
  revoke: {
    log: namesLog,
    fields: [{ name: 'key', times: 'once', wrong: isFingerprint }],
    body: 'required',
  },
  loss: {
    log: namesLog,
    fields: [
      { name: 'blog', times: 'once', wrong: isBlog },
      { name: 'assign', times: 'once', wrong: isId },
      { name: 'reason', times: 'once', wrong: isReason },
    ],
    body: 'required',
  },
}

const common = (isFirst: boolean): readonly Field[] => [
  { name: 'council', times: 'once', wrong: isFirst ? isZone : isCouncil },
  { name: 'log', times: 'once', wrong: oneOf(rosterLog, namesLog) },
  { name: 'seq', times: 'once', wrong: isCount },
  { name: 'prev', times: 'optional', wrong: isId },
  { name: 'kind', times: 'once', wrong: anyText },
  { name: 'date', times: 'once', wrong: isDate },
  ...(isFirst ? [] : [{ name: 'roster', times: 'once', wrong: isHead } as const]),
]
const tables = new Map(
  Object.entries(kinds).map(
    ([kind, table]) => [kind, [...common(kind === 'council'), ...table.fields]] as const,
  ),
)

/** Decodes an act and checks what its bytes alone can show. `roster.ts` and `names.ts` judge the rest. */
export function decodeAct(bytes: Uint8Array): Verdict<Act> {
  const text = decodeText(bytes)
  if (!text.ok) return text
  if (text.value.first !== actFirstLine) {
    return refuse('ACT_FIRST_LINE', `The first line is not "${actFirstLine}": this is no act.`)
  }
  const kind = text.value.headers.find(([name]) => name === 'kind')?.[1] ?? ''
  const table = tables.get(kind)
  if (table === undefined)
    return refuse('ACT_KIND', `The kind "${cutText(kind, 40)}" is not known in format 1.`)
  const read = readHeaders(text.value, table)
  if (!read.ok) return read
  const { log, body } = kinds[kind as Kind]
  const values = read.value
  const seq = Number(values.one('seq'))
  const prev = values.maybe('prev') as EntryId | null
  if (values.one('log') !== log)
    return refuse('ACT_LOG', `An act of kind "${kind}" belongs in ${log}.`)
  if ((seq === 0) !== (prev === null))
    return refuse('ACT_PREV', 'Every act but number 0 names the one before it in "prev".')
  if ((seq === 0) !== (kind === 'council' || kind === 'names')) {
    return refuse(
      'ACT_SEQ_KIND',
      `Number 0 of ${log}, and no other, is of kind "${log === rosterLog ? 'council' : 'names'}".`,
    )
  }
  if (
    (body === 'none' && text.value.body !== null) ||
    (body === 'required' && text.value.body === null)
  ) {
    return refuse('ACT_BODY', `An act of kind "${kind}" has ${body === 'none' ? 'no' : 'a'} body.`)
  }
  const decision = readDecision(kind as Kind, values, text.value.body)
  if (!decision.ok) return decision
  const id = idOf(bytes)
  return accept({
    id,
    text: bytes,
    council: kind === 'council' ? `${values.one('council')}/${id}` : values.one('council'),
    log,
    seq,
    prev,
    date: values.one('date'),
    dateMs: dateMs(values.one('date')) as number,
    roster: kind === 'council' ? null : readHead(values.one('roster')),
    decision: decision.value,
  })
}

function readDecision(kind: Kind, values: Values, body: string | null): Verdict<Decision> {
  switch (kind) {
    case 'council': {
      const wanted = Number(values.one('replicas'))
      if (wanted < 1 || wanted > maxReplicas) {
        return refuse('ACT_REPLICAS', `"replicas" must be 1 to ${maxReplicas}.`)
      }
      return accept({
        kind,
        edit: values.one('edit') as EditForm,
        authority: values.one('authority') as PeerName,
        wanted,
        holder: readReplica(values.one('holder')),
      })
    }
    case 'admit':
      return accept({
        kind,
        member: readMember(values),
        policy: values.one('policy') as AdmissionPolicy,
      })
    case 'change':
      return accept({ kind, member: readMember(values) })
    case 'away':
    case 'back':
    case 'cutoff':
    case 'reinstate':
      return accept({
        kind,
        peer: values.one('peer') as PeerName,
        reason: values.one('reason'),
        evidence: body,
      })
    case 'holders': {
      const holders = values.all('holder').map(readReplica)
      const peers = new Set(holders.map((holder) => holder.peer))
      return [1, 3, 5].includes(holders.length) && peers.size === holders.length
        ? accept({ kind, holders })
        : refuse('ACT_HOLDERS', 'There are 1, 3 or 5 holders, each peer once.')
    }
    case 'authority':
      return accept({
        kind,
        authority: values.one('authority') as PeerName,
        standby: values.maybe('standby') as PeerName | null,
        votes: body,
      })
    case 'names':
      return accept({ kind })
    case 'assign':
      return readAssign(values, body)
    case 'revoke':
      return accept({ kind, key: values.one('key'), certificate: body as string })
    case 'loss':
      return accept({
        kind,
        blog: values.one('blog') as BlogName,
        assign: values.one('assign') as EntryId,
        reason: values.one('reason'),
        evidence: body as string,
      })
  }
}

export function readMember(values: Values): MemberRecord {
  return {
    peer: values.one('peer') as PeerName,
    name: values.one('name'),
    store: values.one('store') as StoreId,
    roles: values.one('roles').split(', ') as Role[],
    addresses: values.all('address'),
    web: values.all('web'),
    dns: values.all('dns'),
    operator: values.one('operator'),
    network: values.maybe('network'),
    country: values.maybe('country'),
  }
}

function readAssign(values: Values, body: string | null): Verdict<Decision> {
  const replicas = values.all('replica').map(readReplica)
  const primary = values.one('primary') as PeerName
  const epoch = Number(values.one('epoch'))
  const ends = values.maybe('ends') as EntryId | null
  if (
    replicas.length < 1 ||
    replicas.length > maxReplicas ||
    new Set(replicas.map((each) => each.peer)).size !== replicas.length
  ) {
    return refuse(
      'ACT_REPLICAS',
      `An assignment names 1 to ${maxReplicas} replicas, each peer once.`,
    )
  }
  if (!replicas.some((replica) => replica.peer === primary)) {
    return refuse('ACT_PRIMARY', 'The primary is not one of the replicas.')
  }
  if (epoch < 1 || (epoch === 1) !== (ends === null)) {
    return refuse(
      'ACT_EPOCH',
      'Epochs count from 1; every one but the first names in "ends" the assignment before it.',
    )
  }
  const genesis = values.one('genesis') as EntryId
  const head = readHead(values.one('head'))
  if (epoch === 1 && (head.seq !== 0 || head.id !== genesis)) {
    return refuse('ACT_HEAD', 'The head of epoch 1 is the genesis.')
  }
  return accept({
    kind: 'assign',
    blog: values.one('blog') as BlogName,
    genesis,
    key: values.one('key'),
    epoch,
    ends,
    replicas,
    primary,
    head,
    via: values.maybe('via') as PeerName | null,
    reason: values.one('reason'),
    unmet: values.maybe('unmet'),
    evidence: body,
  })
}
