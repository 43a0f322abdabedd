import type { Exchange } from '../../replication/exchange/exchange.ts'
import { realClock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { Logger } from '../logger.ts'
import { DnsServer } from './dns-server.ts'
import { ZoneKeeper } from './zone-keeper.ts'

/** The council's zone at the address of the config, from the acts that this peer has. */
export async function serveDns(
  at: NonNullable<Config['dns']>,
  parts: { exchange: Exchange; logger: Logger; stack: AsyncDisposableStack },
): Promise<{ host: string; port: number }> {
  const { exchange, logger, stack } = parts
  const keeper = new ZoneKeeper(exchange.council)
  const server = new DnsServer(
    {
      zone: () => keeper.zone(),
      random: realClock.random,
      logger,
    },
    { host: at.host, port: at.port },
  )
  const { udpPort } = await server.start()
  stack.use(server)
  return { host: at.host, port: udpPort }
}
