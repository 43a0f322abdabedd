import { type DiskMark, diskMarks } from '../replication/registry/heartbeat.ts'

/** Per cent of the disk that are used, from which each mark holds; see `disk` in `Config`. */
export type DiskMarks = {
  readonly newBlogsPercent: number
  readonly copiesPercent: number
  readonly replacePercent: number
}

/** A mark is left again so many points below it: a disk that stands at a mark moves nothing to and fro. */
const leewayPoints = 2

/**
 * Decides which mark a spoke's disk is over, null for none. Pure.
 *
 * @param usedPercent - as `df` has it: what only root may use counts for nobody
 * @param before - the mark until now
 */
export function markOf(
  usedPercent: number,
  marks: DiskMarks,
  before: DiskMark | null,
): DiskMark | null {
  const from: Readonly<Record<DiskMark, number>> = {
    'no-new-blogs': marks.newBlogsPercent,
    'no-copies': marks.copiesPercent,
    replace: marks.replacePercent,
  }
  const reached = (mark: DiskMark) => {
    const held = before !== null && diskMarks.indexOf(before) >= diskMarks.indexOf(mark)
    return usedPercent >= from[mark] - (held ? leewayPoints : 0)
  }
  return diskMarks.findLast(reached) ?? null
}

/** Per cent of a file system that are used, from what `statfs` says of it. */
export function usedPercentOf(disk: {
  readonly blocks: number
  readonly bfree: number
  readonly bavail: number
}): number {
  const used = disk.blocks - disk.bfree
  return used + disk.bavail === 0 ? 100 : (100 * used) / (used + disk.bavail)
}
