import { decodeEntry, type Entry } from '../replication/log/entry.ts'
import type { EntryId } from '../replication/log/text.ts'
import type { OpenBlog } from './spoke.ts'

/** Entries of the log that one look reads, to find the words of what is left over in them. */
const maxCompared = 50

/** An entry that the author signed and that is in no log now. */
export type LeftOver = {
  readonly entry: Entry
  /** the first seq of the log that is not also what this entry was signed behind */
  readonly since: number
  /** where the same words stand again: seq of an entry of the log; null when nowhere */
  readonly again: number | null
}

/**
 * What she signed that is in no log, the oldest first, each text once. It counts as said again when
 * the log has the same words from where the two part: an older version that says the same is none.
 */
export async function leftOver(open: OpenBlog): Promise<LeftOver[]> {
  const entries = (await open.leftOver()).flatMap(({ text }) => {
    const entry = decodeEntry(text)
    return entry.ok ? [entry.value] : []
  })
  const byId = new Map(entries.map((entry) => [entry.id, entry]))
  const sorted = [...byId.values()].sort((a, b) => a.seq - b.seq || (a.id < b.id ? -1 : 1))
  const found: LeftOver[] = []
  const reads = { left: maxCompared }
  for (const entry of sorted) {
    const since = partsAt(open, entry, byId)
    found.push({ entry, since, again: await findAgain(open, entry, since, reads) })
  }
  return found
}

/** The one with this id; null when none is left over by it. */
export async function findLeftOver(open: OpenBlog, id: string): Promise<LeftOver | null> {
  return (await leftOver(open)).find(({ entry }) => entry.id === id) ?? null
}

/** Those that no entry of the log says again. */
export const notAgain = (found: readonly LeftOver[]) => found.filter(({ again }) => again === null)

/**
 * The first seq at which the log is another than the one that `entry` was signed behind: back over
 * what is left over before it. Where one of these is missing, the seq of the last that is there: no
 * entry of the log from there on can be one that it follows.
 */
function partsAt({ blog }: OpenBlog, entry: Entry, byId: ReadonlyMap<EntryId, Entry>): number {
  let first = entry
  for (;;) {
    const { seq, prev } = first
    if (prev === null || blog.lines(seq - 1, 1)[0]?.id === prev) return seq
    const before = byId.get(prev)
    if (before === undefined || before.seq >= seq) return seq
    first = before
  }
}

/** Reads the newest first: an author seldom says the same twice. */
async function findAgain(
  open: OpenBlog,
  entry: Entry,
  since: number,
  reads: { left: number },
): Promise<number | null> {
  const { kind } = entry
  const slug = 'slug' in entry ? entry.slug : null
  const title = 'title' in entry ? entry.title : null
  const lines = open.blog
    .lines(since, open.blog.head.seq)
    .filter((line) => line.kind === kind && line.slug === slug && line.title === title)
  for (const { seq } of lines.toReversed()) {
    if (reads.left-- <= 0) return null
    const said = await open.entry(seq)
    if (said !== null && wordsOf(said.entry) === wordsOf(entry)) return seq
  }
  return null
}

/**
 * All that the author said in it, without its place in a log; nor aliases and attachments, which no
 * form has: signed again from there it would never count as said.
 */
function wordsOf(entry: Entry): string {
  const { id, text, seq, prev, date, dateMs, key, ...words } = entry
  return JSON.stringify({ ...words, aliases: null, attachments: null })
}
