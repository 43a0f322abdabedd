import { decode, encode } from 'cborg'

/** A message under way. */
export type Frame = {
  /** its length in bytes; of copies never less than that */
  readonly length: number
  /** what it says, a new one each time */
  readonly open: () => unknown
}

/** The bytes that a real stream carries, or copies that say the same in a third of the time. */
export const pack = (message: unknown, isCopied: boolean): Frame => {
  if (!isCopied) {
    const bytes = encode(message)
    return { length: bytes.length, open: () => decode(bytes) }
  }
  const packed = copy(message, true)
  return { length: lengthOf(packed), open: () => copy(packed, false) }
}

/**
 * A message as it comes out of its bytes: names in the order of the encoder, of bytes nothing but them.
 * Throws for what has no place in one.
 *
 * @param areBytesCopied - false where nobody has the bytes but the network
 */
function copy(value: unknown, areBytesCopied: boolean): unknown {
  if (typeof value !== 'object' || value === null) {
    if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint')
      throw new Error(`a ${typeof value} has no place in a message`)
    return value
  }
  if (value instanceof Uint8Array) return areBytesCopied ? new Uint8Array(value) : value
  if (Array.isArray(value)) return value.map((each) => copy(each, areBytesCopied))
  const parts = value as Record<string, unknown>
  const names = areBytesCopied ? inOrder(Object.keys(parts)) : Object.keys(parts)
  const copied: Record<string, unknown> = {}
  for (const name of names) copied[name] = copy(parts[name], areBytesCopied)
  return copied
}

const orders = new Map<string, readonly string[]>()

/** Shorter names first, then by their bytes: RFC 7049, 3.9, as the encoder has it. */
function inOrder(names: string[]): readonly string[] {
  const key = names.join()
  const known = orders.get(key)
  if (known !== undefined) return known
  const sorted = names.sort((a, b) => a.length - b.length || (a < b ? -1 : 1))
  if (orders.size < 1_000) orders.set(key, sorted)
  return sorted
}

function lengthOf(value: unknown): number {
  if (typeof value === 'string') return text(value)
  if (typeof value === 'number')
    return Number.isSafeInteger(value) ? head(value < 0 ? -1 - value : value) : 9
  if (typeof value !== 'object' || value === null) return 1
  if (value instanceof Uint8Array) return head(value.length) + value.length
  if (Array.isArray(value)) {
    let length = head(value.length)
    for (const each of value) length += lengthOf(each)
    return length
  }
  let count = 0
  let length = 0
  for (const name in value) {
    count++
    length += text(name) + lengthOf((value as Record<string, unknown>)[name])
  }
  return head(count) + length
}

function text(value: string): number {
  const length = Buffer.byteLength(value)
  return head(length) + length
}

/** What says of which kind an item is, and how long. */
const head = (count: number) =>
  count < 24 ? 1 : count < 256 ? 2 : count < 65_536 ? 3 : count < 2 ** 32 ? 5 : 9
