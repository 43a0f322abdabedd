import { maxClockSkewMs } from '../protocol.ts'

/** A source's clock that is off by more, ms, is not gone by: what it says counts as an age. */
export const sourceSkewMs = 60_000
/** An entry that a source had not told of when it had told all it may have seen so long before, ms. */
export const untoldMs = 10_000

/**
 * When a source saw an entry first, by the clock here. Pure. A clock that is slow or fast is so for
 * all that its peer says: how long ago something was stays right.
 *
 * @param seenMs - what it says, by its own clock
 * @param told - what its clock showed when it said so, null where it does not tell; and when that
 *   came here
 */
export function byClockHere(
  seenMs: number,
  { atMs, receivedMs }: { readonly atMs: number | null; readonly receivedMs: number },
): number {
  const aheadMs = atMs === null ? 0 : atMs - receivedMs
  // Within it all who gather go by the same times, whatever the way took.
  return Math.abs(aheadMs) <= sourceSkewMs ? seenMs : seenMs - aheadMs
}

/**
 * From when on an entry can count as first seen, whoever says so: no one bad clock, and no liar, lets
 * it sink below that. Pure.
 *
 * @param dateMs - its author's date: its primary's clock was at most `maxClockSkewMs` behind it
 * @param beforeMs - when the entry before it in its log was first seen, null where that is not known:
 *   nobody publishes one without the other
 */
export function earliestSeenMs(dateMs: number, beforeMs: number | null): number {
  return Math.max(dateMs - maxClockSkewMs, beforeMs ?? 0)
}

/**
 * The same for what one source adds to a blog that is here already: it had said before that it had
 * told all. Pure.
 *
 * @param allToldMs - when it did so last, by the clock here; null: never
 */
export const afterAllTold = (seenMs: number, allToldMs: number | null): number =>
  allToldMs === null ? seenMs : Math.max(seenMs, allToldMs - untoldMs)
