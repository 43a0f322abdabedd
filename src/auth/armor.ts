import { accept, refuse, type Verdict } from './verdict.ts'

/** The two kinds of armored block that the council takes from outside. */
export type ArmorKind = 'PUBLIC KEY BLOCK' | 'SIGNATURE'

const words: Record<ArmorKind, string> = {
  'PUBLIC KEY BLOCK': 'public key',
  SIGNATURE: 'signature',
}

const beginLine = /^-----BEGIN PGP ([A-Z ,0-9/]+)-----$/
const headerLine = /^[A-Za-z][A-Za-z0-9-]*: ?.*$/
const dataLine = /^[A-Za-z0-9+/]+={0,2}$/
const checksumLine = /^=[A-Za-z0-9+/]{4}$/

/**
 * Takes the bytes out of exactly one armored block. Armor headers, CRLF and blank lines around the
 * block are let through; the checksum may be missing (RFC 9580, 6.1) but must fit when it is there.
 * openpgp.js reads more than it should (it skips text before the block and never compares the
 * checksum), so this reader decides. Codes: ARMOR_MISSING, ARMOR_OTHER_KIND, ARMOR_TWO_BLOCKS,
 * ARMOR_TEXT_OUTSIDE, ARMOR_MALFORMED, ARMOR_CHECKSUM.
 */
export function readArmor(text: string, kind: ArmorKind): Verdict<Uint8Array> {
  const what = words[kind]
  const lines = text.split('\n').map(withoutTrailingBlanks)
  const begin = lines.findIndex((line) => beginLine.test(line))
  if (begin < 0) {
    return refuse(
      'ARMOR_MISSING',
      `There is no armored ${what} here. Paste the whole block, from -----BEGIN PGP ${kind}----- to the END line (gpg makes it with --armor).`,
    )
  }
  const found = beginLine.exec(lines[begin] as string)?.[1]
  if (found !== kind) {
    return refuse(
      'ARMOR_OTHER_KIND',
      `This is a PGP ${found}, but a PGP ${kind} is wanted here. Send the ${what} instead.`,
    )
  }
  const end = lines.indexOf(`-----END PGP ${kind}-----`)
  if (end < begin) return malformed(what, 'its END line is missing')
  const outside = [...lines.slice(0, begin), ...lines.slice(end + 1)]
  if (outside.some((line) => beginLine.test(line))) {
    return refuse('ARMOR_TWO_BLOCKS', `There is more than one armored block. Send one ${what}.`)
  }
  if (outside.some((line) => line !== '')) {
    return refuse(
      'ARMOR_TEXT_OUTSIDE',
      `There is text before or after the armored ${what}. Send the block alone.`,
    )
  }
  return decodeBlock(lines.slice(begin + 1, end), what)
}

function decodeBlock(lines: readonly string[], what: string): Verdict<Uint8Array> {
  const gap = lines.indexOf('')
  if (gap < 0) return malformed(what, 'the empty line before its data is missing')
  if (!lines.slice(0, gap).every((line) => headerLine.test(line))) {
    return malformed(what, 'a line before its data is not an armor header')
  }
  const data = lines.slice(gap + 1)
  const checksum = checksumLine.test(data.at(-1) ?? '') ? data.pop()?.slice(1) : undefined
  const base64 = data.join('')
  if (base64.length % 4 !== 0 || !dataLine.test(base64)) {
    return malformed(what, 'its data is not base64')
  }
  const bytes = Buffer.from(base64, 'base64')
  if (checksum !== undefined && checksum !== encodeChecksum(bytes)) {
    return refuse(
      'ARMOR_CHECKSUM',
      `The checksum of the ${what} does not fit its data, so it was damaged on the way. Copy it again.`,
    )
  }
  return accept(bytes)
}

function malformed(what: string, why: string) {
  return refuse('ARMOR_MALFORMED', `The armored ${what} is damaged: ${why}. Copy it again.`)
}

/** Blank, tab and CR, as OpenPGP cuts them. Not a regular expression: that is quadratic here. */
export function withoutTrailingBlanks(line: string): string {
  let end = line.length
  while (end > 0 && ' \t\r'.includes(line[end - 1] as string)) end--
  return line.slice(0, end)
}

/**
 * The one armor that the council stores: no headers, lines of 64 characters, LF, the checksum (gpg
 * 2.2 fails on some blocks without it: dev.gnupg.org/T7071), no final line end.
 */
export function writeArmor(kind: ArmorKind, bytes: Uint8Array): string {
  const base64 = Buffer.from(bytes).toString('base64')
  const lines = [`-----BEGIN PGP ${kind}-----`, '']
  for (let at = 0; at < base64.length; at += 64) lines.push(base64.slice(at, at + 64))
  lines.push(`=${encodeChecksum(bytes)}`, `-----END PGP ${kind}-----`)
  return lines.join('\n')
}

const crcTable = Int32Array.from({ length: 256 }, (_, high) => {
  let crc = high << 16
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x800000 ? (crc << 1) ^ 0x1864cfb : crc << 1
  return crc & 0xffffff
})

/** CRC-24 of RFC 9580, 6.1.1, in base64. */
function encodeChecksum(bytes: Uint8Array): string {
  let crc = 0xb704ce
  for (const byte of bytes) {
    crc = ((crc << 8) & 0xffffff) ^ (crcTable[((crc >> 16) ^ byte) & 0xff] as number)
  }
  return Buffer.from([crc >> 16, crc >> 8, crc]).toString('base64')
}
