import { randomBytes } from 'node:crypto'
import type { PeerSigner } from '../auth/peer-signature.ts'
import type { KeyRing } from '../auth/public-key.ts'
import { Aggregation } from '../replication/aggregation/aggregation.ts'
import type { Gathering } from '../replication/aggregation/gathering.ts'
import { SearchIndex } from '../replication/aggregation/search-index.ts'
import type { Exchange } from '../replication/exchange/exchange.ts'
import { searchPath } from './admin/reindex.ts'
import { realClock } from './clock.ts'
import type { Config } from './config.ts'
import type { Logger } from './logger.ts'
import type { Peer } from './peer.ts'

/** The front page and the search of the whole council, with the index of words in the data folder. */
export async function startAggregation(
  config: Config,
  parts: {
    exchange: Exchange
    gathering: Gathering
    peer: Peer
    signer: PeerSigner
    keys: KeyRing
    logger: Logger
    stack: AsyncDisposableStack
  },
): Promise<Aggregation> {
  const { exchange, gathering, peer, signer, keys, logger, stack } = parts
  const log = logger.forComponent('council:aggregation')
  const report = (event: string, fields: Readonly<Record<string, unknown>>) =>
    log.info(event, fields)
  const index = stack.use(
    await SearchIndex.open({ path: searchPath(config.data), clock: realClock, report }),
  )
  const aggregation = await Aggregation.start({
    ...{ exchange, gathering, index, pubsub: peer.pubsub(), clock: realClock, signer, keys },
    ...{ newRun: () => randomBytes(16).toString('hex'), report },
  })
  stack.defer(() => aggregation.stop())
  return aggregation
}
