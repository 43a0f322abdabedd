import type { PeerName } from '../../auth/peer-signature.ts'
import type { BlogName } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import { ask, type Network, refusalOf } from '../network.ts'
import { SEARCH } from '../protocol.ts'
import type { FrontPage } from './front-page.ts'
import { readBucket, rootOf } from './manifest.ts'
import { manifestAnswer } from './search-messages.ts'

/** How long one question of a look may take, ms. */
export const askMs = 2_500
/** Questions in a row to which a peer does not hand out the manifest that it has signed. */
const maxWithheld = 3

type Parts = {
  readonly network: Network
  /** a peer that keeps back what stands under its signature */
  readonly doubt: (peer: PeerName) => void
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}
type Bucket = {
  readonly hash: string
  readonly heads: ReadonlyMap<BlogName, Head>
  readonly text: Uint8Array
}

/** The hash of one bucket among those of all, in hex. */
export const hashOf = (hashes: Uint8Array, at: number) =>
  Buffer.from(hashes.subarray(at * 32, at * 32 + 32)).toString('hex')

/** The manifests behind the front pages of others, as far as they were fetched and have not changed. */
export class PeerManifests {
  readonly #parts: Parts
  readonly #buckets = new Map<PeerName, Map<number, Bucket>>()
  readonly #hashes = new Map<PeerName, { readonly root: string; readonly hashes: Uint8Array }>()
  readonly #withheld = new Map<PeerName, number>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  forget(peer: PeerName): void {
    this.#buckets.delete(peer)
    this.#hashes.delete(peer)
    this.#withheld.delete(peer)
  }

  /** The hashes of the buckets under the root that a page names; null: its peer does not say them. */
  async hashes(page: FrontPage): Promise<Uint8Array | null> {
    const kept = this.#hashes.get(page.peer)
    if (kept?.root === page.manifest) return kept.hashes
    const answered = await this.#askManifest(page, [])
    if (answered === null) return null
    const { hashes } = answered
    if (rootOf(hashes) !== page.manifest) return this.#holdsBack(page.peer)
    this.#hashes.set(page.peer, { root: page.manifest, hashes })
    return hashes
  }

  /** These buckets, by their numbers; null: its peer does not hand them out. */
  async buckets(
    page: FrontPage,
    hashes: Uint8Array,
    wanted: readonly number[],
  ): Promise<ReadonlyMap<number, Bucket> | null> {
    const known = this.#buckets.get(page.peer)
    const buckets = new Map<number, Bucket>()
    for (const at of wanted) {
      const kept = known?.get(at)
      if (kept?.hash === hashOf(hashes, at)) buckets.set(at, kept)
    }
    for (let left = wanted.filter((at) => !buckets.has(at)); left.length > 0; ) {
      const answered = await this.#askManifest(page, left)
      if (answered === null) return null
      for (const [index, text] of answered.buckets.entries()) {
        const at = left[index]
        const read = at === undefined ? null : readBucket(page.manifest, hashes, at, text)
        if (at === undefined || !read?.ok) return this.#holdsBack(page.peer)
        buckets.set(at, { hash: hashOf(hashes, at), heads: read.value, text })
      }
      if (answered.buckets.length === 0) return this.#holdsBack(page.peer)
      left = left.slice(answered.buckets.length)
    }
    this.#buckets.set(page.peer, buckets)
    this.#withheld.delete(page.peer)
    return buckets
  }

  async #askManifest({ peer, manifest }: FrontPage, buckets: readonly number[]) {
    const body = { t: 'manifest', root: manifest, buckets }
    try {
      return await ask(this.#parts.network, peer, SEARCH, body, manifestAnswer, askMs)
    } catch (error) {
      // Silence is no answer of its own; to be busy is honest.
      const isRefused = refusalOf(error) === 'MANIFEST_UNKNOWN'
      const isMalformed = (error as { code?: string }).code === 'PEER_ANSWER_MALFORMED'
      return isRefused || isMalformed ? this.#holdsBack(peer) : null
    }
  }

  /** A peer that signs a root and does not show what stands under it leaves room for a lie. */
  #holdsBack(peer: PeerName): null {
    const times = (this.#withheld.get(peer) ?? 0) + 1
    this.#withheld.set(peer, times)
    if (times < maxWithheld) return null
    this.#parts.report('front_unproved', { peer, times })
    this.#parts.doubt(peer)
    return null
  }
}
