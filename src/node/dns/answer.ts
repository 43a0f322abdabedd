import {
  type Edns,
  headerBytes,
  nameOf,
  type Query,
  type Question,
  readQuery,
  typeOpt,
} from './query.ts'
import {
  type Chunk,
  classIn,
  glue,
  keptBytes,
  maxAddressesPerAnswer,
  type NameWriter,
  records,
  shortName,
  soaRecord,
  types,
} from './records.ts'
import type { RecordSet, Zone } from './zone.ts'

/** Bytes of the largest UDP answer, and what we say we take: no fragments on any common path. */
export const maxUdpBytes = 1232
/** Bytes of a UDP answer to who does not speak EDNS (RFC 1035). */
const plainUdpBytes = 512
const maxTcpBytes = 65_535

const optBytes = 11
const typeNames = new Map<number, string>([
  ...Object.entries(types).map(([name, code]): [number, string] => [code, name]),
  [255, 'ANY'],
])
const transfers: ReadonlySet<number> = new Set([251, 252])

const rcodes = { NOERROR: 0, FORMERR: 1, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5, BADVERS: 16 } as const
type Rcode = keyof typeof rcodes

const isAnswer = 0x80_00
const opcodeBits = 0x78_00
const authoritative = 0x04_00
const truncated = 0x02_00
/** Recursion desired and checking disabled go back as they came (RFC 1035, RFC 4035). */
const echoedBits = 0x01_10
const dnssecOk = 0x80_00

/**
 * The answer to one DNS message, or null where silence is right: fewer bytes than a header, or
 * itself an answer (two servers must not keep each other busy). Never throws, whatever the bytes.
 *
 * Codes as in RFC 1035, 2308, 6891, 8482 and 9619. The question goes back with the letter case in
 * which it came: resolvers use it against forgery.
 *
 * @param random - 0 to 1; where the rotation of addresses starts
 */
export function answerQuery(
  message: Buffer,
  zone: Zone,
  transport: 'udp' | 'tcp',
  random: () => number,
): Buffer | null {
  if (message.length < headerBytes) return null
  if ((message.readUInt16BE(2) & isAnswer) !== 0) return null
  const query = readQuery(message)
  if ((message.readUInt16BE(2) & opcodeBits) !== 0) return reply(message, query, 'NOTIMP')
  if (query === null) return reply(message, null, 'FORMERR')
  const { question, edns } = query
  if (edns !== null && edns.version !== 0) return reply(message, query, 'BADVERS')
  if (question.class !== classIn || transfers.has(question.type)) {
    return reply(message, query, 'REFUSED')
  }

  const maxBytes = transport === 'tcp' ? maxTcpBytes : udpLimit(edns)
  const known = keptAnswers(zone).get(keyOf(question))
  if (known !== undefined) {
    const answer = sendKept(message, query, known, maxBytes, random)
    if (answer !== null) return answer
  }

  const found = zone.lookup(nameOf(question), typeNames.get(question.type) ?? '')
  if (found.kind === 'refused') return reply(message, query, 'REFUSED')

  // Every name we write ends with the zone, and so does the question: one pointer shortens them.
  const zoneAt = question.end - 4 - (zone.name.length + 2)
  const names: NameWriter = (name) => shortName(name, zone.name, zoneAt)
  if (found.kind !== 'records') {
    // RFC 2308, 5: the SOA's own TTL also bounds how long the "no" is kept.
    const ttlSeconds = Math.min(zone.soa.ttlSeconds, zone.soa.minimumSeconds)
    const soa = soaRecord(names(zone.name), { ...zone.soa, ttlSeconds }, names)
    const rcode = found.kind === 'nxdomain' ? 'NXDOMAIN' : 'NOERROR'
    return reply(message, query, rcode, { answer: [], authority: [soa], additional: [], maxBytes })
  }
  const { set } = found
  const additional = set.type === 'NS' ? glue(set, zone, names) : []
  if (known === undefined) keepAnswer(zone, question, set, names, additional)
  return reply(message, query, 'NOERROR', {
    answer: records(set, names, random),
    authority: [],
    additional,
    maxBytes,
  })
}

function udpLimit(edns: Edns | null): number {
  if (edns === null) return plainUdpBytes
  return Math.min(Math.max(edns.udpBytes, plainUdpBytes), maxUdpBytes)
}

type Sections = {
  readonly answer: readonly Chunk[]
  readonly authority: readonly Chunk[]
  readonly additional: readonly Chunk[]
  readonly maxBytes: number
}

/** Without sections: header, question and OPT only. Without a query: the header only. */
function reply(message: Buffer, query: Query | null, rcode: Rcode, sections?: Sections): Buffer {
  const header = Buffer.alloc(headerBytes)
  const parts: Buffer[] = [header]
  let bytes = headerBytes
  if (query !== null) {
    parts.push(message.subarray(headerBytes, query.question.end))
    bytes = query.question.end
  }
  const opt = query === null || query.edns === null ? null : optRecord(query.edns, rcodes[rcode])
  if (opt !== null) bytes += optBytes

  let bits = isAnswer | (message.readUInt16BE(2) & (opcodeBits | echoedBits))
  const counts = [0, 0, 0]
  if (sections !== undefined) {
    bits |= authoritative
    for (const [place, chunks] of [
      sections.answer,
      sections.authority,
      sections.additional,
    ].entries()) {
      for (const chunk of chunks) {
        const size = chunk.bytes.reduce((sum, part) => sum + part.length, 0)
        if (bytes + size > sections.maxBytes) {
          // Addresses of name servers are a courtesy and may go missing in silence (RFC 2181, 9).
          if (place !== 2) bits |= truncated
          continue
        }
        parts.push(...chunk.bytes)
        bytes += size
        counts[place] = (counts[place] ?? 0) + chunk.count
      }
    }
  }
  if (opt !== null) parts.push(opt)
  message.copy(header, 0, 0, 2)
  header.writeUInt16BE(bits | (rcodes[rcode] & 0x0f), 2)
  header.writeUInt16BE(query === null ? 0 : 1, 4)
  header.writeUInt16BE(counts[0] ?? 0, 6)
  header.writeUInt16BE(counts[1] ?? 0, 8)
  header.writeUInt16BE((counts[2] ?? 0) + (opt === null ? 0 : 1), 10)
  return Buffer.concat(parts, bytes)
}

function optRecord(edns: Edns, rcode: number): Buffer {
  const opt = Buffer.alloc(optBytes)
  writeOpt(opt, 0, edns, rcode)
  return opt
}

function writeOpt(into: Buffer, at: number, edns: Edns, rcode: number): void {
  into.fill(0, at, at + optBytes)
  into.writeUInt16BE(typeOpt, at + 1)
  into.writeUInt16BE(maxUdpBytes, at + 3)
  into.writeUInt8(rcode >> 4, at + 5)
  into.writeUInt16BE(edns.flags & dnssecOk, at + 7)
}

/** All records that answer one question, encoded: only header, question and OPT are missing. */
type KeptAnswer = {
  readonly records: Buffer
  /** Bytes of one record, of addresses; 0 where all records are sent as they are. */
  readonly stride: number
  /** Whether another address comes first in each answer. */
  readonly rotates: boolean
  /** Records in an answer. */
  readonly count: number
  readonly additional: Buffer
  readonly additionalCount: number
}

/** Of a zone with more names than that, what was asked for lately is kept. */
const maxKeptAnswers = 50_000
/** Answers go with the zone for which they were made. */
const keptByZone = new WeakMap<Zone, Map<string, KeptAnswer>>()

function keptAnswers(zone: Zone): Map<string, KeptAnswer> {
  const known = keptByZone.get(zone)
  if (known !== undefined) return known
  const none = new Map<string, KeptAnswer>()
  keptByZone.set(zone, none)
  return none
}

const keyOf = ({ wire, type }: Question) => wire + String.fromCharCode(type)

/** Keeps names that exist only: there are endlessly many others to ask for. */
function keepAnswer(
  zone: Zone,
  question: Question,
  set: RecordSet,
  names: NameWriter,
  additional: readonly Chunk[],
): void {
  const kept = keptAnswers(zone)
  if (kept.size >= maxKeptAnswers) kept.clear()
  const isAddress = set.type === 'A' || set.type === 'AAAA'
  const chunks = isAddress ? [] : records(set, names, () => 0)
  const whole = isAddress ? keptBytes(set) : Buffer.concat(chunks.flatMap(({ bytes }) => bytes))
  kept.set(keyOf(question), {
    records: whole,
    stride: isAddress ? whole.length / set.values.length : 0,
    rotates: isAddress && set.rotates,
    count: isAddress ? Math.min(set.values.length, maxAddressesPerAnswer) : countOf(chunks),
    additional: Buffer.concat(additional.flatMap(({ bytes }) => bytes)),
    additionalCount: countOf(additional),
  })
}

const countOf = (chunks: readonly Chunk[]) => chunks.reduce((sum, { count }) => sum + count, 0)

/** The answer in one buffer; null when something has to be left out to make it fit. */
function sendKept(
  message: Buffer,
  { question, edns }: Query,
  kept: KeptAnswer,
  maxBytes: number,
  random: () => number,
): Buffer | null {
  const { records, stride, rotates, count, additional, additionalCount } = kept
  const size = stride === 0 ? records.length : stride * count
  const bytes = question.end + size + additional.length + (edns === null ? 0 : optBytes)
  if (bytes > maxBytes) return null
  const answer = Buffer.allocUnsafe(bytes)
  message.copy(answer, 0, 0, question.end)
  const bits = isAnswer | authoritative | (message.readUInt16BE(2) & (opcodeBits | echoedBits))
  answer.writeUInt16BE(bits, 2)
  answer.writeUInt16BE(count, 6)
  answer.writeUInt16BE(0, 8)
  answer.writeUInt16BE(additionalCount + (edns === null ? 0 : 1), 10)
  let at = question.end
  if (stride === 0) at += records.copy(answer, at)
  else {
    const all = records.length / stride
    const start = rotates ? Math.floor(random() * all) % all : 0
    const beforeEnd = Math.min(count, all - start)
    at += records.copy(answer, at, start * stride, (start + beforeEnd) * stride)
    at += records.copy(answer, at, 0, (count - beforeEnd) * stride)
  }
  at += additional.copy(answer, at)
  if (edns !== null) writeOpt(answer, at, edns, 0)
  return answer
}
