import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gzip, gzipSync } from 'node:zlib'

/** Bytes of pages kept in memory, both forms of each and what goes around them. */
export const maxKeptPageBytes = 32 * 1024 * 1024
/** A larger page is made anew each time, so that no single one takes the place of all others. */
export const maxKeptPage = 4 * 1024 * 1024
/** What a kept page takes beside its bodies: key, headers, the objects. Generous. */
const overheadBytes = 2_048
/** Bytes under which gzip saves less than its headers cost. */
const leastGzipped = 256

/** A page as it is sent, with its bodies ready. */
export type KeptPage = { readonly plain: Form; readonly gzipped: Form | null }
/** One form of a page: its tag and headers, both for the whole page and for "not modified". */
export type Form = {
  readonly tag: string
  readonly body: Uint8Array<ArrayBuffer>
  readonly headers: Readonly<Record<string, string>>
  readonly unchanged: Readonly<Record<string, string>>
}

type Slot = { readonly version: string; readonly page: KeptPage; readonly bytes: number }

/**
 * Pages as bytes, with their gzip and their tags (DESIGN 6). A page is found only under the version
 * with which it was kept. Bounded in bytes: the page asked for longest ago makes room.
 */
export class PageMemory {
  readonly #kept = new Map<string, Slot>()
  readonly #maxBytes: number
  #bytes = 0

  constructor(maxBytes: number = maxKeptPageBytes) {
    this.#maxBytes = maxBytes
  }

  find(key: string, version: string): KeptPage | null {
    const slot = this.#kept.get(key)
    if (slot === undefined || slot.version !== version) return null
    this.#kept.delete(key)
    this.#kept.set(key, slot)
    return slot.page
  }

  /** The page as it was kept last, under whichever version. */
  last(key: string): KeptPage | null {
    return this.#kept.get(key)?.page ?? null
  }

  keep(key: string, version: string, page: KeptPage): void {
    this.#drop(key)
    const { plain, gzipped } = page
    const bytes = key.length + overheadBytes + plain.body.length + (gzipped?.body.length ?? 0)
    if (bytes > this.#maxBytes) return
    this.#kept.set(key, { version, page, bytes })
    this.#bytes += bytes
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= this.#maxBytes) break
      this.#drop(oldest)
    }
  }

  #drop(key: string): void {
    this.#bytes -= this.#kept.get(key)?.bytes ?? 0
    this.#kept.delete(key)
  }

  /** How many pages and bytes are kept now. */
  get size(): { readonly pages: number; readonly bytes: number } {
    return { pages: this.#kept.size, bytes: this.#bytes }
  }
}

const zip = promisify(gzip)
/** Up to so many bytes gzip takes about a millisecond; in a thread it would wait behind the disk. */
const zippedAtOnce = 64 * 1024

/**
 * Makes a page ready to be sent again and again. The two forms are different bytes, so each has a
 * strong tag of its own (RFC 9110, 8.8.3.3).
 *
 * @param headers - those of the whole page, without length, tag and coding
 */
export async function readyPage(
  body: Uint8Array<ArrayBuffer>,
  headers: Readonly<Record<string, string>>,
): Promise<KeptPage> {
  const hash = createHash('sha256').update(body).digest('hex').slice(0, 40)
  const short =
    body.length < leastGzipped
      ? null
      : new Uint8Array(body.length <= zippedAtOnce ? gzipSync(body) : await zip(body))
  return {
    plain: formOf(`"${hash}"`, body, headers),
    gzipped:
      short === null || short.length >= body.length
        ? null
        : formOf(`"${hash}-gzip"`, short, { ...headers, 'content-encoding': 'gzip' }),
  }
}

function formOf(
  tag: string,
  body: Uint8Array<ArrayBuffer>,
  headers: Readonly<Record<string, string>>,
): Form {
  const shared = { etag: tag, vary: 'Accept-Encoding' }
  return {
    tag,
    body,
    headers: { ...headers, ...shared, 'content-length': String(body.length) },
    unchanged: { ...shared, 'cache-control': headers['cache-control'] ?? 'no-cache' },
  }
}
