import { randomBytes } from 'node:crypto'
import type { PeerSigner } from '../auth/peer-signature.ts'
import type { Aggregation } from '../replication/aggregation/aggregation.ts'
import { wait } from '../replication/clock.ts'
import type { Exchange } from '../replication/exchange/exchange.ts'
import { createApp } from '../web/app.ts'
import { trustedProxies } from '../web/client.ts'
import { KeptPages } from '../web/kept-pages.ts'
import { placeReader } from '../web/places.ts'
import { RateLimits } from '../web/rate-limit.ts'
import type { ReadCounts } from '../web/read-counts.ts'
import { StoredAccounts } from './accounts.ts'
import { realClock } from './clock.ts'
import type { Config } from './config.ts'
import { HttpServer } from './http-server.ts'
import { KeyChecks, watchedKeys } from './key-checks.ts'
import { KeyServers } from './key-servers.ts'
import type { Logger } from './logger.ts'
import { Sampler } from './sampler.ts'
import { visitSpoke } from './visit-spoke.ts'
import { SpokeForWeb } from './web-spoke.ts'

type Parts = {
  exchange: Exchange
  aggregation: Aggregation
  signer: PeerSigner
  logger: Logger
  stack: AsyncDisposableStack
  status: () => Promise<object>
  reads: ReadCounts
}

/** The spoke's pages at the address of the config, its samples of other spokes, its key checks. */
export function serveWeb(
  config: Config,
  zone: string,
  { exchange, aggregation, signer, logger, status, stack, reads }: Parts,
): Promise<HttpServer> {
  const { host, port, addresses } = config.spoke as NonNullable<Config['spoke']>
  const log = logger.forComponent('council:web')
  const own = [host, ...addresses.map((url) => new URL(url).hostname.replace(/^\[|\]$/g, ''))]
  const spoke = new SpokeForWeb({
    zone,
    name: config.name,
    origin: config.web.origin,
    addresses: () => own,
    signer,
    aggregation,
    registry: exchange.registry,
    council: exchange.council,
    replicas: exchange.replicas,
    ingest: exchange.ingest,
    store: exchange.store,
    reader: exchange.reader,
    submit: exchange.submit,
    toAuthority: exchange.toAuthority,
    claims: exchange.claims,
    acts: exchange.acts,
    accounts: new StoredAccounts({ store: exchange.store, now: realClock.now }),
    blogsOf: (key) => exchange.blogsOf(key),
    revocations: exchange.revocations,
    revoking: exchange.revoking,
    proofs: exchange.proofs,
    losses: exchange.losses,
    keyServers: watchKeys(config.keys, { exchange, logger, stack }),
    now: realClock.now,
    wait: (ms) => wait(realClock, ms),
    status,
  })
  const sampler = new Sampler({
    ...{ exchange, spoke, self: signer.peer, visit: visitSpoke, clock: realClock },
    newNonce: () => randomBytes(32).toString('hex'),
  })
  sampler.start()
  stack.defer(() => sampler.stop())
  const kept = new KeptPages(spoke)
  const placeOf = placeReader(spoke)
  const rates = new RateLimits(randomBytes(16).toString('hex'))
  const isTrustedProxy = trustedProxies(config.web.trustedProxies)
  const report = (error: unknown) => log.error('request_failed', { error })
  const app = createApp(spoke, report, { kept, rates, isTrustedProxy })
  return HttpServer.listen((request, connection) => app.fetch(request, connection), {
    host,
    port,
    isTrustedProxy,
    findKept: (request) => {
      reads.count(placeOf(request.host))
      return kept.find(request)
    },
  })
}

/** The key servers of the config, which are also asked daily about the keys of the blogs here. */
function watchKeys(
  config: Config['keys'],
  { exchange, logger, stack }: Pick<Parts, 'exchange' | 'logger' | 'stack'>,
): KeyServers {
  const log = logger.forComponent('council:keys')
  const keyServers = new KeyServers({
    ...config,
    store: exchange.store,
    isOurs: async (key) => (await exchange.heldKeys.find(key)) !== null,
    now: realClock.now,
  })
  const checks = new KeyChecks({
    keyServers,
    watched: () => watchedKeys(exchange),
    handIn: async (certificate) => {
      const done = await exchange.revoking.handIn(certificate, null)
      log.info('revocation_found', { state: done.ok ? done.value.kind : done.code })
    },
    clock: realClock,
  })
  checks.start()
  stack.defer(() => checks.stop())
  return keyServers
}
