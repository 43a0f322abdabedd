import { isIPv4 } from 'node:net'
import { headerBytes } from './query.ts'
import type { AddressSet, NsSet, RecordSet, SoaSet, TxtSet, Zone } from './zone.ts'

/**
 * Addresses in one answer. Of more, each answer carries another stretch, so that a council of
 * 5,000 spokes has an answer of one packet and all of them get readers.
 */
export const maxAddressesPerAnswer = 64

export const classIn = 1
export const types = { A: 1, NS: 2, SOA: 6, TXT: 16, AAAA: 28 } as const

/** A compression pointer to the question's name, the owner of every record that was asked for. */
const toQuestion = Buffer.from([0xc0, headerBytes])

/** Writes a name of the zone as it stands in this message. */
export type NameWriter = (name: string) => Buffer
/** Records of one set, back to back: they go into an answer together or not at all. */
export type Chunk = { readonly bytes: readonly Buffer[]; readonly count: number }
/** Record bytes that hold for every question, kept as long as the zone keeps the set. */
const kept = new WeakMap<AddressSet | TxtSet, Buffer>()

export function records(set: RecordSet, names: NameWriter, random: () => number): Chunk[] {
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

export function keptBytes(set: AddressSet | TxtSet): Buffer {
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

export function glue(set: NsSet, zone: Zone, names: NameWriter): Chunk[] {
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

export function soaRecord(owner: Buffer, soa: SoaSet, names: NameWriter): Chunk {
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
export function shortName(name: string, zone: string, zoneAt: number): Buffer {
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
