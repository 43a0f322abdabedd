import { isIPv4 } from 'node:net'
import type { AddressSet, NsSet, RecordSet, SoaSet, TxtSet, Zone } from './zone.ts'

/** Bytes of the largest UDP answer, and what we say we take: no fragments on any common path. */
export const maxUdpBytes = 1232
/** Bytes of a UDP answer to who does not speak EDNS (RFC 1035). */
const plainUdpBytes = 512
const maxTcpBytes = 65_535
/**
 * Addresses in one answer. Of more, each answer carries another stretch, so that a council of
 * 5,000 spokes has an answer of one packet and all of them get readers.
 */
export const maxAddressesPerAnswer = 64

const headerBytes = 12
const optBytes = 11
const maxLabelBytes = 63
const maxNameBytes = 255
const classIn = 1
const types = { A: 1, NS: 2, SOA: 6, TXT: 16, AAAA: 28 } as const
const typeOpt = 41
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

/** A compression pointer to the question's name, the owner of every record that was asked for. */
const toQuestion = Buffer.from([0xc0, headerBytes])

type Question = {
  /** Lower case, without a dot at the end. */
  readonly name: string
  readonly type: number
  readonly class: number
  /** Where the question ends in the message. */
  readonly end: number
}
type Edns = { readonly udpBytes: number; readonly version: number; readonly flags: number }
type Query = { readonly question: Question; readonly edns: Edns | null }

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

  const found = zone.lookup(question.name, typeNames.get(question.type) ?? '')
  if (found.kind === 'refused') return reply(message, query, 'REFUSED')

  // Every name we write ends with the zone, and so does the question: one pointer shortens them.
  const zoneAt = question.end - 4 - (zone.name.length + 2)
  const names: NameWriter = (name) => shortName(name, zone.name, zoneAt)
  const maxBytes = transport === 'tcp' ? maxTcpBytes : udpLimit(edns)
  if (found.kind !== 'records') {
    // RFC 2308, 5: the SOA's own TTL also bounds how long the "no" is kept.
    const ttlSeconds = Math.min(zone.soa.ttlSeconds, zone.soa.minimumSeconds)
    const soa = soaRecord(names(zone.name), { ...zone.soa, ttlSeconds }, names)
    const rcode = found.kind === 'nxdomain' ? 'NXDOMAIN' : 'NOERROR'
    return reply(message, query, rcode, { answer: [], authority: [soa], additional: [], maxBytes })
  }
  const { set } = found
  return reply(message, query, 'NOERROR', {
    answer: records(set, names, random),
    authority: [],
    additional: set.type === 'NS' ? glue(set, zone, names) : [],
    maxBytes,
  })
}

function udpLimit(edns: Edns | null): number {
  if (edns === null) return plainUdpBytes
  return Math.min(Math.max(edns.udpBytes, plainUdpBytes), maxUdpBytes)
}

/** Null when the message breaks RFC 1035 or does not ask exactly one question (RFC 9619). */
function readQuery(message: Buffer): Query | null {
  if (message.readUInt16BE(4) !== 1) return null
  const question = readQuestion(message)
  if (question === null) return null
  const others = message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10)
  let edns: Edns | null = null
  let at = question.end
  for (let count = 0; count < others; count++) {
    const fields = skipName(message, at)
    if (fields === null || fields + 10 > message.length) return null
    const data = fields + 10
    const end = data + message.readUInt16BE(fields + 8)
    if (end > message.length) return null
    if (message.readUInt16BE(fields) === typeOpt) {
      // One OPT at most, owned by the root (RFC 6891, 6.1.1). Unknown options are stepped over.
      if (edns !== null || fields !== at + 1 || !areOptions(message, data, end)) return null
      edns = {
        udpBytes: message.readUInt16BE(fields + 2),
        version: message.readUInt8(fields + 5),
        flags: message.readUInt16BE(fields + 6),
      }
    }
    at = end
  }
  return { question, edns }
}

/** Refuses compression here: nothing but the header lies before the first name. */
function readQuestion(message: Buffer): Question | null {
  const labels: string[] = []
  let at = headerBytes
  for (;;) {
    const length = message[at]
    if (length === undefined || length > maxLabelBytes) return null
    at += 1
    if (length === 0) break
    // A dot inside a label is no border; a NUL in its place matches no name of the zone.
    labels.push(message.toString('latin1', at, at + length).replaceAll('.', '\0'))
    at += length
  }
  if (at - headerBytes > maxNameBytes || at + 4 > message.length) return null
  return {
    name: labels.join('.').toLowerCase(),
    type: message.readUInt16BE(at),
    class: message.readUInt16BE(at + 2),
    end: at + 4,
  }
}

/** Where the fields after a record's name begin. A pointer is never followed, so none can loop. */
function skipName(message: Buffer, start: number): number | null {
  let at = start
  for (;;) {
    const length = message[at]
    if (length === undefined) return null
    if (length >= 0xc0) {
      if (at + 2 > message.length) return null
      const target = message.readUInt16BE(at) & 0x3f_ff
      return target >= headerBytes && target < start ? at + 2 : null
    }
    if (length > maxLabelBytes) return null
    at += 1 + length
    if (length === 0) return at - start > maxNameBytes ? null : at
  }
}

function areOptions(message: Buffer, start: number, end: number): boolean {
  let at = start
  while (at + 4 <= end) at += 4 + message.readUInt16BE(at + 2)
  return at === end
}

/** Writes a name of the zone as it stands in this message. */
type NameWriter = (name: string) => Buffer
/** Records of one set, back to back: they go into an answer together or not at all. */
type Chunk = { readonly bytes: readonly Buffer[]; readonly count: number }
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
  opt.writeUInt16BE(typeOpt, 1)
  opt.writeUInt16BE(maxUdpBytes, 3)
  opt.writeUInt8(rcode >> 4, 5)
  opt.writeUInt16BE(edns.flags & dnssecOk, 7)
  return opt
}

/** Record bytes that hold for every question, kept as long as the zone keeps the set. */
const kept = new WeakMap<AddressSet | TxtSet, Buffer>()

function records(set: RecordSet, names: NameWriter, random: () => number): Chunk[] {
  switch (set.type) {
    case 'A':
    case 'AAAA':
      return [rotated(set, keptBytes(set), random)]
    case 'TXT':
      return [{ bytes: [keptBytes(set)], count: set.values.length }]
    case 'NS': {
      const bytes = set.values.map((name) => record(toQuestion, 'NS', set.ttlSeconds, names(name)))
      return [{ bytes, count: bytes.length }]
    }
    case 'SOA':
      return [soaRecord(toQuestion, set, names)]
  }
}

/** All records of one family have one length, so a rotation is two cuts. */
function rotated(set: AddressSet, bytes: Buffer, random: () => number): Chunk {
  const all = set.values.length
  const each = bytes.length / all
  const start = set.rotates ? Math.floor(random() * all) % all : 0
  const count = Math.min(all, maxAddressesPerAnswer)
  const beforeEnd = Math.min(count, all - start)
  return {
    bytes: [
      bytes.subarray(start * each, (start + beforeEnd) * each),
      bytes.subarray(0, (count - beforeEnd) * each),
    ],
    count,
  }
}

function keptBytes(set: AddressSet | TxtSet): Buffer {
  let bytes = kept.get(set)
  if (bytes === undefined) {
    bytes = ownedBy(toQuestion, set)
    kept.set(set, bytes)
  }
  return bytes
}

function ownedBy(owner: Buffer, set: AddressSet | TxtSet): Buffer {
  const data =
    set.type === 'TXT' ? set.values.map(textData) : set.values.map((value) => addressData(value))
  return Buffer.concat(data.map((rdata) => record(owner, set.type, set.ttlSeconds, rdata)))
}

function glue(set: NsSet, zone: Zone, names: NameWriter): Chunk[] {
  const chunks: Chunk[] = []
  for (const name of set.values) {
    for (const type of ['A', 'AAAA'] as const) {
      const found = zone.lookup(name, type)
      if (found.kind !== 'records' || found.set.type !== type) continue
      chunks.push({ bytes: [ownedBy(names(name), found.set)], count: found.set.values.length })
    }
  }
  return chunks
}

function soaRecord(owner: Buffer, soa: SoaSet, names: NameWriter): Chunk {
  const numbers = Buffer.alloc(20)
  numbers.writeUInt32BE(soa.serial, 0)
  numbers.writeUInt32BE(soa.refreshSeconds, 4)
  numbers.writeUInt32BE(soa.retrySeconds, 8)
  numbers.writeUInt32BE(soa.expireSeconds, 12)
  numbers.writeUInt32BE(soa.minimumSeconds, 16)
  const data = Buffer.concat([names(soa.mname), names(soa.rname), numbers])
  return { bytes: [record(owner, 'SOA', soa.ttlSeconds, data)], count: 1 }
}

function record(owner: Buffer, type: keyof typeof types, ttlSeconds: number, data: Buffer): Buffer {
  const fields = Buffer.alloc(10)
  fields.writeUInt16BE(types[type], 0)
  fields.writeUInt16BE(classIn, 2)
  fields.writeUInt32BE(ttlSeconds, 4)
  fields.writeUInt16BE(data.length, 8)
  return Buffer.concat([owner, fields, data])
}

/** A name of the zone: its own labels, then a pointer to where the question names the zone. */
function shortName(name: string, zone: string, zoneAt: number): Buffer {
  const labels = name === zone ? [] : name.slice(0, -zone.length - 1).split('.')
  return Buffer.concat([
    ...labels.map((label) => lengthAndText(label)),
    Buffer.from([0xc0 | (zoneAt >> 8), zoneAt & 0xff]),
  ])
}

function textData(strings: readonly string[]): Buffer {
  return Buffer.concat(strings.map((string) => lengthAndText(string)))
}

function lengthAndText(text: string): Buffer {
  return Buffer.from(String.fromCharCode(text.length) + text, 'latin1')
}

function addressData(address: string): Buffer {
  return isIPv4(address) ? v4Data(address) : v6Data(address)
}

function v4Data(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number))
}

/** Eight groups; `::` stands for as many zeros as are missing, the end may be written as IPv4. */
function v6Data(address: string): Buffer {
  const [left = '', right] = address
    .replace(/[^:]+\.[^:]+$/, (v4) => v4Data(v4).toString('hex').replace(/^.{4}/, '$&:'))
    .split('::')
    .map((side) =>
      side
        .split(':')
        .filter(Boolean)
        .map((group) => group.padStart(4, '0')),
    )
    .map((groups) => groups.join(''))
  const zeros = right === undefined ? 0 : 32 - left.length - right.length
  return Buffer.from(left + '0'.repeat(zeros) + (right ?? ''), 'hex')
}
