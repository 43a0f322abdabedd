import { z } from 'zod'
import type { KeyRing } from '../../auth/public-key.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { checkBroughtKeys, maxBroughtKeys } from '../log/brought-keys.ts'
import {
  type BlogName,
  decodeEntry,
  type Genesis,
  type Post,
  parseBlogName,
  type Rekey,
} from '../log/entry.ts'
import { blogRules } from '../log/rules.ts'
import type { EntryId, Signed } from '../log/text.ts'
import { signedShape } from '../network.ts'
import { maxPageBytes, recoveryDelayMs } from '../protocol.ts'
import { fromSignedRow, type SignedRow, signedRow } from '../registry/proof.ts'
import type { Collection } from './collection.ts'

/**
 * A post with what proves it to anybody who knows the id of the blog's genesis: so an aggregator
 * can leave a post out, but can invent none (DESIGN 7).
 */
export type ProvedPost = {
  readonly blog: BlogName
  readonly seq: number
  /** when its source first saw it published, ms; the source's word, which the proof does not cover */
  readonly seenMs: number
  /** UTC year of its first revision, which stands in its address; the source's word as well */
  readonly year: number
  readonly entry: Signed
  /** genesis and rekeys below `seq`, rising */
  readonly keys: readonly Signed[]
}

/** The form of a proved post on the wire. */
export type ProvedPostRow = {
  readonly blog: string
  readonly seq: number
  readonly seen: number
  readonly year: number
  readonly entry: SignedRow
  readonly keys: readonly SignedRow[]
}
const time = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
export const provedPostShape: z.ZodType<ProvedPostRow> = z.object({
  blog: z.string().max(30),
  seq: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  seen: time,
  year: z.number().int().min(0).max(9999),
  entry: signedShape,
  keys: z.array(signedShape).min(1).max(maxBroughtKeys),
})

export const provedPostRow = (post: ProvedPost): ProvedPostRow => ({
  ...{ blog: post.blog, seq: post.seq, seen: post.seenMs, year: post.year },
  ...{ entry: signedRow(post.entry), keys: post.keys.map(signedRow) },
})

export const fromProvedPostRow = (row: ProvedPostRow): ProvedPost => ({
  // Until `checkProvedPost` it is a name only by what the other peer says.
  ...{ blog: row.blog as BlogName, seq: row.seq, seenMs: row.seen, year: row.year },
  ...{ entry: fromSignedRow(row.entry), keys: row.keys.map(fromSignedRow) },
})

/** Bytes that a proved post takes up in an answer, but for the few of its envelope. */
export const provedBytes = ({ entry, keys }: Pick<ProvedPost, 'entry' | 'keys'>): number =>
  [entry, ...keys].reduce((sum, { text, signature }) => sum + text.length + signature.length, 0)

/**
 * A post of a collection with what proves it.
 *
 * @param year - of its first revision; null: not known, the year of this one stands for it
 * @returns null: nothing to be proved there, or its keys' entries are not all at hand or more than
 * fit in one answer (over 50, or over 1 MiB)
 */
export async function provePost(
  collection: Pick<Collection, 'entry' | 'keySeqs'>,
  blog: BlogName,
  seq: number,
  year: number | null = null,
): Promise<ProvedPost | null> {
  const collected = await collection.entry(blog, seq)
  if (collected === null) return null
  const keySeqs = (await collection.keySeqs(blog)).filter((each) => each < seq)
  if (keySeqs[0] !== 0 || keySeqs.length > maxBroughtKeys) return null
  const keys: Signed[] = []
  for (const at of keySeqs) {
    const held = await collection.entry(blog, at)
    if (held === null) return null
    keys.push({ text: held.text, signature: held.signature })
  }
  const { text, signature, seenMs } = collected
  const proved = {
    ...{ blog, seq, seenMs, year: year ?? yearOf(text), entry: { text, signature }, keys },
  }
  return provedBytes(proved) > maxPageBytes ? null : proved
}

/** The UTC year of an entry's date; 0 for what is none. */
function yearOf(text: Uint8Array): number {
  const entry = decodeEntry(text)
  return entry.ok ? new Date(entry.value.dateMs).getUTCFullYear() : 0
}

/** A post that holds. */
export type CheckedPost = {
  readonly entry: Post
  /** of its first revision, as far as anybody said */
  readonly year: number
  /** the entry as it is to be shown or kept: its signature armored anew */
  readonly signed: Signed
}

/**
 * Decides whether a post is of the blog that it names: of this council, signed by a key that the
 * log with that genesis holds below it. Whether a later entry replaced or retracted it, and whether
 * the key was revoked since, it cannot show.
 *
 * Codes: PROVED_BLOG (of another blog, or another place in it, than it says), PROVED_KIND (no post),
 * PROOF_KEYS (see `checkBroughtKeys`), REKEY_TOO_EARLY (by a key that waits for its 72 hours),
 * ENTRY_COUNCIL, ENTRY_OTHER_KEY, and those of texts, entries and signatures.
 *
 * @param known - `council`: `zone/council id`; `genesis`: as an act in force names it
 */
export async function checkProvedPost(
  post: ProvedPost,
  known: { readonly council: string; readonly genesis: EntryId; readonly keys: KeyRing },
): Promise<Verdict<CheckedPost>> {
  const rules = blogRules(() => known.council, known.keys)
  const item = rules.decode(post.entry.text)
  if (!item.ok) return item
  const entry = decodeEntry(post.entry.text)
  if (!entry.ok) return entry
  const { log: blog, seq, kind } = entry.value
  if (blog !== post.blog || seq !== post.seq || parseBlogName(post.blog) === null) {
    return refuse('PROVED_BLOG', `The entry is entry ${seq} of ${blog}, not what it is given as.`)
  }
  if (kind !== 'post') return refuse('PROVED_KIND', `Entry ${seq} of ${blog} is no post.`)
  const place = { blog, genesis: known.genesis, last: seq - 1 }
  const brought = await checkBroughtKeys(rules, place, post.keys)
  if (!brought.ok) return brought
  const read = async (at: number) => brought.value.get(at) ?? null
  const signature = await rules.checkAlone(item.value, post.entry, [...brought.value.keys()], read)
  if (!signature.ok) return signature
  const early = isTooEarly(entry.value, [...brought.value.values()])
  if (early) {
    return refuse('REKEY_TOO_EARLY', 'A key that the recovery key named writes after 72 hours.')
  }
  const { text } = post.entry
  const signed = { text, signature: signature.value }
  return accept({ entry: entry.value, year: post.year, signed })
}

/** Whether an entry is by a key that a rekey of the recovery key named, before its time. */
function isTooEarly(entry: Post, texts: readonly Uint8Array[]): boolean {
  const [first, ...rekeys] = texts.map((text) => {
    const read = decodeEntry(text)
    return read.ok ? read.value : null
  }) as [Genesis, ...Rekey[]]
  // A recovery key that came into force itself hands over at once.
  if (first.recovery === null || rekeys.some(({ next }) => next === first.recovery)) return false
  const named = rekeys.findLast(({ next }) => next === entry.key)
  return named?.key === first.recovery && entry.dateMs < named.dateMs + recoveryDelayMs
}
