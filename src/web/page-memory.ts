import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gzip, gzipSync } from 'node:zlib'
import { type Aging, ageMark, giveAge, hashOf } from './page-age.ts'

/** Bytes of pages kept in memory, both forms of each and what goes around them. */
export const maxKeptPageBytes = 32 * 1024 * 1024
/** A larger page is made anew each time, so that no single one takes the place of all others. */
export const maxKeptPage = 4 * 1024 * 1024
/** What a kept page takes beside its bodies: key, headers, the objects. Generous. */
const overheadBytes = 2_048
/** Bytes under which gzip saves less than its headers cost. */
const leastGzipped = 256

/** A page as it is sent, with its bodies ready. */
export type KeptPage = {
  readonly plain: Form
  readonly gzipped: Form | null
  /** what it takes to say another age on it; null: it says none */
  readonly aging: (Aging & Pick<Made, 'hash' | 'headers'>) | null
}
type Made = {
  readonly hash: string
  /** those of the whole page, without length, tag and coding */
  readonly headers: Readonly<Record<string, string>>
}
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
    const { plain, gzipped, aging } = page
    // A page with an age is there in its parts, too, as text of two bytes a letter.
    const taken = (aging === null ? 1 : 3) * plain.body.length + (gzipped?.body.length ?? 0)
    const bytes = key.length + overheadBytes + taken
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
  const isShort = body.length <= zippedAtOnce
  const zipped =
    body.length < leastGzipped ? null : new Uint8Array(isShort ? gzipSync(body) : await zip(body))
  return { ...formsOf(`"${hash}`, { body, zipped, headers }), aging: null }
}

/**
 * The same for a page that says its age. Its tags are weak and do not depend on the age as long as
 * the page is current: its bytes change with every second, what they say does not (8.8.1).
 */
export function readyAged(aging: Aging, headers: Made['headers']): KeptPage {
  return agedPage({ ...aging, hash: hashOf(aging), headers })
}

/** The page with another age, as `shownAge` has it; itself as long as that has the same words. */
export function pageAtAge(page: KeptPage, seconds: number): KeptPage {
  const { aging } = page
  return aging === null || aging.seconds === seconds ? page : agedPage({ ...aging, seconds })
}

function agedPage(aging: NonNullable<KeptPage['aging']>): KeptPage {
  const { seconds, hash, headers } = aging
  const body = new Uint8Array(Buffer.from(giveAge(aging, seconds)))
  const zipped = new Uint8Array(gzipSync(body))
  return { ...formsOf(`W/"${hash}${ageMark(seconds)}`, { body, zipped, headers }), aging }
}

type Bodies = {
  readonly body: Uint8Array<ArrayBuffer>
  readonly zipped: Uint8Array<ArrayBuffer> | null
  readonly headers: Made['headers']
}

/** @param tag - up to where a form has its own end */
function formsOf(tag: string, { body, zipped, headers }: Bodies): Omit<KeptPage, 'aging'> {
  return {
    plain: formOf(`${tag}"`, body, headers),
    gzipped:
      zipped === null || zipped.length >= body.length
        ? null
        : formOf(`${tag}-gzip"`, zipped, { ...headers, 'content-encoding': 'gzip' }),
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
