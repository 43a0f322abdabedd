import type { PeerName } from '../../auth/peer-signature.ts'
import { decodeEntry } from '../log/entry.ts'
import { type EntryId, idOf, type Signed } from '../log/text.ts'
import { decodeFrontPage } from './front-page.ts'
import { bucketOf, manifestHashBytes, readBucket } from './manifest.ts'

/** How long an entry may be on its way from its primary to every front page, ms: one cycle. */
export const frontCycleMs = 10_000

/** What shows that a signed root leaves a blog out: the hashes of all buckets, and the blog's own. */
export function packManifest(hashes: Uint8Array, bucket: Uint8Array): Uint8Array {
  return Buffer.concat([hashes, bucket])
}

/**
 * Judges by itself what a report about a front page hands in. Pure.
 *
 * - `nothing`: the page shows what belongs there, or says itself that it does not cover the reporter
 * - `shown`: the page, as the reported peer has signed it, leaves out or misstates the entry
 * - `word`: what is handed in does not show it
 *
 * When the entry was published the evidence does not show: an entry that its author dates later than
 * a cycle before the page is `word`.
 *
 * @param entry - the entry that belongs there, checked
 * @param page - the signed front page
 * @param served - `packManifest`, or the text of an entry that was replaced, or null
 */
export function judgeFrontEvidence(
  report: {
    readonly by: PeerName
    readonly peer: PeerName
    readonly council: string
    readonly log: string
    readonly seq: number
    readonly id: EntryId
  },
  entry: Signed,
  page: Signed | null,
  served: Uint8Array | null,
): 'nothing' | 'shown' | 'word' {
  const front = page === null ? null : decodeFrontPage(page)
  const right = decodeEntry(entry.text)
  if (!front?.ok || !right.ok) return 'word'
  const { peer, council, without, posts, manifest, atMs } = front.value
  if (peer !== report.peer || council !== report.council) return 'word'
  const { log, seq, id } = report
  const listed = posts.filter(({ blog }) => blog === log)
  if (served === null) {
    const same = listed.find((post) => post.seq === seq)
    if (same === undefined) return 'word'
    return same.id === id ? 'nothing' : 'shown'
  }
  const isInTime = right.value.dateMs <= atMs - frontCycleMs
  const old = decodeEntry(served)
  if (old.ok) {
    const isListed = listed.some((post) => post.id === idOf(served) && post.seq < seq)
    const isReplaced =
      old.value.kind === 'post' &&
      (right.value.kind === 'post' || right.value.kind === 'retract') &&
      right.value.slug === old.value.slug
    return isListed && isReplaced && isInTime ? 'shown' : 'word'
  }
  const hashes = served.subarray(0, manifestHashBytes)
  const bucket = served.subarray(manifestHashBytes)
  const heads = readBucket(manifest, hashes, bucketOf(log), bucket)
  if (!heads.ok) return 'word'
  const shown = heads.value.get(right.value.log)
  const isThere = shown !== undefined && shown.seq >= seq
  if (isThere && (shown.seq > seq || shown.id === id)) return 'nothing'
  if (without.includes(report.by)) return 'nothing'
  return isInTime ? 'shown' : 'word'
}
