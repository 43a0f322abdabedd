import { Challenges } from '../auth/challenge.ts'
import { KeyRing } from '../auth/public-key.ts'
import { UsedIds } from '../auth/session.ts'
import { Handovers } from './handover.ts'
import type { WebSpoke } from './spoke.ts'

/**
 * What a spoke keeps in memory about people who are logging in or signing. All of it may be lost:
 * then somebody logs in again, or signs with the pasted text.
 */
export type AccountDesk = {
  readonly challenges: Challenges
  readonly handovers: Handovers
  /** passes that were redeemed here */
  readonly usedPasses: UsedIds
  /** sessions that were logged out here */
  readonly ended: UsedIds
  readonly keys: KeyRing
}

export function openDesk(spoke: Pick<WebSpoke, 'now' | 'randomBytes'>): AccountDesk {
  return {
    challenges: new Challenges(spoke),
    handovers: new Handovers(spoke),
    usedPasses: new UsedIds(),
    ended: new UsedIds(),
    keys: new KeyRing(),
  }
}
