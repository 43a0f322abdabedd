import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { type BlogName, parseBlogName } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import {
  isHead,
  isPeer,
  isStore,
  type Replica,
  readHead,
  readSigned,
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
import { maxBusyBlogs } from '../protocol.ts'

/**
 * How full the disk of a spoke is, by the marks of its operator, each with what the ones before it
 * mean: it takes no new blogs; no further copies either; it asks to be replaced, and gives receipts
 * until it is (REPLICATION, Silence).
 */
export const diskMarks = ['no-new-blogs', 'no-copies', 'replace'] as const
export type DiskMark = (typeof diskMarks)[number]

/** A blog that is read a lot at one of its replicas. */
export type BusyBlog = {
  readonly blog: BlogName
  /** pages of it that were asked for here, per minute */
  readonly reads: number
}

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
  /** null: it has room */
  readonly mark: DiskMark | null
  /** at most `maxBusyBlogs`, those read most; what is not here is read less than the spoke's mark */
  readonly busy: readonly BusyBlog[]
}

const isMark = (value: string) =>
  diskMarks.some((mark) => mark === value) ? null : `want one of ${diskMarks.join(', ')}`
const isBusy = (value: string) => {
  const [blog = '', reads = '', more] = value.split(' ')
  return more === undefined && parseBlogName(blog) !== null && isCount(reads) === null
    ? null
    : 'want a blog, a blank and reads per minute'
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
  { name: 'mark', times: 'optional', wrong: isMark },
  { name: 'busy', times: 'any', wrong: isBusy },
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
    ...(beat.mark === null ? [] : [['mark', beat.mark] as const]),
    ...beat.busy.map(({ blog, reads }) => ['busy', `${blog} ${reads}`] as const),
  ])
}

/**
 * Decodes a heartbeat and checks that the peer it names signed it.
 * Codes: those of `readSigned`, HEARTBEAT_BUSY (a blog twice, or too many).
 */
export function decodeHeartbeat(signed: Signed): Verdict<Heartbeat> {
  const read = readSigned(signed, first, fields, 'peer')
  if (!read.ok) return read
  const { one, maybe, all } = read.value
  const names = maybe('names')
  const busy = all('busy').map((value) => {
    const [blog, reads] = value.split(' ')
    return { blog: blog as BlogName, reads: Number(reads) }
  })
  if (busy.length > maxBusyBlogs || new Set(busy.map(({ blog }) => blog)).size < busy.length)
    return refuse('HEARTBEAT_BUSY', `A heartbeat names at most ${maxBusyBlogs} blogs, each once.`)
  return accept({
    council: one('council'),
    replica: { peer: one('peer') as PeerName, store: one('store') as StoreId },
    atMs: dateMs(one('at')) as number,
    freeBytes: Number(one('free')),
    load: Number(one('load')),
    roster: readHead(one('roster')),
    names: names === null ? null : readHead(names),
    mark: maybe('mark') as DiskMark | null,
    busy,
  })
}
