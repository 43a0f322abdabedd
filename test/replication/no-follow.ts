import { ReplicationError } from '../../src/replication/errors.ts'
import type { Network } from '../../src/replication/network.ts'

/** For a network of a test in which nobody follows anybody. */
export const noFollow: Pick<Network, 'follow' | 'handleFollow'> = {
  follow: () => {
    throw new ReplicationError('PEER_UNREACHABLE', 'nobody follows anybody here')
  },
  handleFollow: () => undefined,
}
