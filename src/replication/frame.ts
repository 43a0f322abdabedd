import { type DecodeOptions, decode, Tokenizer } from 'cborg'
import { maxFrameItems } from './protocol.ts'

/** Only what this program's own encoder makes, too; the rest of CBOR is where two readers disagree. */
const options: DecodeOptions = { allowIndefinite: false, rejectDuplicateMapKeys: true }

/** Counts what a frame is made of: a byte may be an item, and a frame has two million of them. */
class CountingTokenizer extends Tokenizer {
  #left = maxFrameItems

  override next() {
    if (this.#left-- === 0) throw new Error(`more than ${maxFrameItems} items`)
    return super.next()
  }
}

/**
 * Decodes a value that another peer sent: a frame of a stream, a gossip message, a DHT record.
 * Throws when it is no CBOR, has items without a length, a key twice, or over 100,000 items.
 */
export function decodeFrame(bytes: Uint8Array): unknown {
  // A Buffer is one too, but cborg slices plain arrays faster.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return decode(plain, { ...options, tokenizer: new CountingTokenizer(plain, options) })
}
