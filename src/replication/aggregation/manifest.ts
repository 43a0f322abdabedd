import { hash } from 'node:crypto'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { type BlogName, parseBlogName } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import { type EntryId, isCount, isId } from '../log/text.ts'

/** Parts into which a manifest is cut, so that whoever looks for some blogs need not fetch all. */
export const manifestBuckets = 256
const hashBytes = 32
/** Bytes of the hashes of all buckets, in order. */
export const manifestHashBytes = manifestBuckets * hashBytes

/** The bucket in which a blog stands: first byte of the SHA-256 of its name. */
export function bucketOf(blog: string): number {
  return hash('sha256', blog, 'buffer')[0] as number
}

const hashOf = (text: string): Buffer => hash('sha256', text, 'buffer')
/** The root that a front page signs. */
export const rootOf = (hashes: Uint8Array): EntryId => hash('sha256', hashes, 'hex') as EntryId

/** What a manifest was at one moment. Texts are shared with the moments before and after. */
export type ManifestSnapshot = {
  readonly root: EntryId
  readonly blogs: number
  /** SHA-256 of each bucket's text, 256 × 32 bytes */
  readonly hashes: Uint8Array
  readonly texts: readonly string[]
}

/**
 * Where every blog ends that a peer has, as a front page signs it: so a blog that was left out shows
 * to whoever looks for it. Only what changed is hashed anew.
 */
export class Manifest {
  readonly #buckets = Array.from({ length: manifestBuckets }, () => new Map<BlogName, Head>())
  readonly #texts = Array.from({ length: manifestBuckets }, () => '')
  readonly #hashes = Buffer.concat(Array.from({ length: manifestBuckets }, () => hashOf('')))
  readonly #dirty = new Set<number>()
  #blogs = 0
  #snapshot: ManifestSnapshot | null = null

  /** @param head - null: the blog is not here any more */
  set(blog: BlogName, head: Head | null): void {
    const at = bucketOf(blog)
    const bucket = this.#buckets[at] as Map<BlogName, Head>
    const before = bucket.get(blog)
    if (before?.seq === head?.seq && before?.id === head?.id) return
    if (head === null) bucket.delete(blog)
    else bucket.set(blog, head)
    this.#blogs += (head === null ? 0 : 1) - (before === undefined ? 0 : 1)
    this.#dirty.add(at)
    this.#snapshot = null
  }

  snapshot(): ManifestSnapshot {
    if (this.#snapshot !== null) return this.#snapshot
    for (const at of this.#dirty) {
      const text = writeBucket(this.#buckets[at] as Map<BlogName, Head>)
      this.#texts[at] = text
      this.#hashes.set(hashOf(text), at * hashBytes)
    }
    this.#dirty.clear()
    const hashes = Uint8Array.from(this.#hashes)
    const texts = [...this.#texts]
    this.#snapshot = { root: rootOf(hashes), blogs: this.#blogs, hashes, texts }
    return this.#snapshot
  }
}

/** `<blog> <seq> <id>`, a line each, sorted by name; nothing for an empty bucket. */
export function writeBucket(heads: ReadonlyMap<BlogName, Head>): string {
  return [...heads]
    .map(([blog, { seq, id }]) => `${blog} ${seq} ${id}`)
    .sort((a, b) => (a < b ? -1 : 1))
    .join('\n')
}

/** Where a blog ended at the moment of a snapshot of one's own; null: it was not there. */
export function headIn({ texts }: ManifestSnapshot, blog: BlogName): Head | null {
  const line = texts[bucketOf(blog)]?.split('\n').find((each) => each.startsWith(`${blog} `))
  const [, seq, id] = line?.split(' ') ?? []
  return seq === undefined ? null : { seq: Number(seq), id: id as EntryId }
}

/**
 * Checks a bucket against the hashes of all, and these against a signed root.
 *
 * Codes: MANIFEST_ROOT (the hashes are of another manifest), MANIFEST_BUCKET (its bytes are not those
 * of the hash), MANIFEST_FORM (a line that is none, of another bucket, not sorted, a blog twice).
 */
export function readBucket(
  root: EntryId,
  hashes: Uint8Array,
  at: number,
  text: Uint8Array,
): Verdict<ReadonlyMap<BlogName, Head>> {
  if (hashes.length !== manifestHashBytes || rootOf(hashes) !== root)
    return refuse('MANIFEST_ROOT', 'The hashes are not those of the manifest that was signed.')
  const own = Buffer.from(hashes.buffer, hashes.byteOffset, hashes.length)
  const wanted = own.subarray(at * hashBytes, (at + 1) * hashBytes)
  if (Buffer.compare(hash('sha256', text, 'buffer'), wanted) !== 0)
    return refuse('MANIFEST_BUCKET', `Bucket ${at} is not the one that was signed.`)
  const heads = new Map<BlogName, Head>()
  let before = ''
  for (const line of text.length === 0 ? [] : Buffer.from(text).toString('latin1').split('\n')) {
    const [name = '', seq = '', id = '', more] = line.split(' ')
    const blog = parseBlogName(name)
    const isLine = more === undefined && isCount(seq) === null && isId(id) === null
    if (blog === null || !isLine || bucketOf(name) !== at || !(before < line) || heads.has(blog))
      return refuse('MANIFEST_FORM', `Bucket ${at} has a line that cannot stand there.`)
    heads.set(blog, { seq: Number(seq), id: id as EntryId })
    before = line
  }
  return accept(heads)
}
