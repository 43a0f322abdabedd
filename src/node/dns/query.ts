/** Bytes of a DNS header; the question's name follows it. */
export const headerBytes = 12
const maxLabelBytes = 63
const maxNameBytes = 255
export const typeOpt = 41

export type Question = {
  /** As it stands in the message, in lower case: lengths and labels. */
  readonly wire: string
  readonly type: number
  readonly class: number
  /** Where the question ends in the message. */
  readonly end: number
}
export type Edns = { readonly udpBytes: number; readonly version: number; readonly flags: number }
export type Query = { readonly question: Question; readonly edns: Edns | null }

/** Null when the message breaks RFC 1035 or does not ask exactly one question (RFC 9619). */
export function readQuery(message: Buffer): Query | null {
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
  let at = headerBytes
  for (;;) {
    const length = message[at]
    if (length === undefined || length > maxLabelBytes) return null
    at += 1 + length
    if (length === 0) break
  }
  if (at - headerBytes > maxNameBytes || at + 4 > message.length) return null
  return {
    // No length is a letter, so all of it can be turned to lower case.
    wire: message.toString('latin1', headerBytes, at).toLowerCase(),
    type: message.readUInt16BE(at),
    class: message.readUInt16BE(at + 2),
    end: at + 4,
  }
}

/** The question's name in lower case, without a dot at the end. */
export function nameOf({ wire }: Question): string {
  const labels: string[] = []
  for (let at = 0; ; ) {
    const length = wire.charCodeAt(at)
    if (length === 0) return labels.join('.')
    // A dot inside a label is no border; a NUL in its place matches no name of the zone.
    labels.push(wire.slice(at + 1, at + 1 + length).replaceAll('.', '\0'))
    at += 1 + length
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
