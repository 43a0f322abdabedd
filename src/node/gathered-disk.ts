import { rm } from 'node:fs/promises'
import { realClock } from './clock.ts'
import type { DiskRoom } from './disk-room.ts'
import type { ComponentLog } from './logger.ts'
import { StoreDisk } from './store-disk.ts'

/**
 * Opens the database of what an aggregator gathers. All in it can be gathered again, so one that does
 * not open is thrown away. Throws ENOSPC on a full disk.
 */
export async function openGatheredDisk(
  path: string,
  { room, log }: { room: DiskRoom; log: ComponentLog },
): Promise<StoreDisk> {
  const open = () =>
    StoreDisk.open(path, {
      ...{ room, clock: realClock, log },
      // Nobody was promised anything of it; until the next start it is not to be had.
      fatal: (error) => log.error('gathered_lost_writes', { error }),
    })
  try {
    return await open()
  } catch (error) {
    const { code, message, cause } = error as Error & { code?: string }
    const reason = cause instanceof Error ? `${message}: ${cause.message}` : message
    // Another process has it open: what it writes must not be deleted under it.
    if (code === 'ENOSPC' || /lock/i.test(reason)) throw error
    log.warn('gathered_anew', { reason })
    await rm(path, { recursive: true, force: true })
    return open()
  }
}
