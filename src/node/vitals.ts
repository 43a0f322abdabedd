import type { Vitals } from '../replication/exchange/alive.ts'
import { realClock } from './clock.ts'
import type { DiskRoom } from './disk-room.ts'

/** Free bytes of the disk with the logs, its mark, thousandths of a core used since the last time, and what is read a lot. */
export function vitalsOf(
  room: DiskRoom,
  busy: () => NonNullable<Vitals['busy']>,
): () => Promise<Vitals> {
  let last = { cpu: process.cpuUsage(), atMs: realClock.now() }
  return async () => {
    const now = { cpu: process.cpuUsage(), atMs: realClock.now() }
    const usedMs = (now.cpu.user + now.cpu.system - last.cpu.user - last.cpu.system) / 1_000
    const load = Math.round((1_000 * usedMs) / Math.max(1, now.atMs - last.atMs))
    last = now
    return { freeBytes: room.freeBytes, load: Math.max(0, load), mark: room.mark, busy: busy() }
  }
}
