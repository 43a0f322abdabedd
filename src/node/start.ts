import { flushCompileCache } from 'node:module'
import type { AdmissionPolicy } from '../replication/registry/act.ts'
import { authorityOf, liveMembers } from '../replication/registry/roster.ts'
import { CommandError } from './blogger/failure.ts'
import { type CommandIo, plainLine } from './blogger/io.ts'
import { type Config, readConfig } from './config.ts'
import { createLogger } from './logger.ts'
import { otherPort, sentenceOfPort } from './page-port.ts'
import { startPeer } from './spoke.ts'
import { Watchdog } from './watchdog.ts'

export type StartOptions = { readonly config: string; readonly json?: boolean }

/** `start`: runs one peer until `stop` resolves. */
export async function start(
  options: StartOptions,
  io: CommandIo,
  stop: Promise<void>,
): Promise<void> {
  const config = await readConfig(options.config, io.env)
  if (!config.ok) throw new CommandError('usage', config.reason)
  await using peer = await startPeer(config.value, createLogger(config.value.log.level)).catch(
    explain,
  )
  await using watchdog = new Watchdog()
  watchdog.start()
  // Else only who ends in order leaves it to the next start. Does nothing where none is kept.
  flushCompileCache()
  if (!options.json) for (const line of describePeer(peer, config.value)) io.say(line)
  peer.onPending((reason) => {
    for (const line of describeWait(peer, plainLine(reason))) io.say(line)
  })
  const admitted = peer.whenAdmitted.then(() => true).catch(refused)
  if (!(await Promise.race([admitted, stop.then(() => false)]))) return
  if (options.json) io.data(JSON.stringify(peerLine(peer)))
  else io.say(`  member of ${peer.council()}`)
  for (const line of portWarnings(peer)) io.say(line)
  await stop
}

type Peer = Awaited<ReturnType<typeof startPeer>>

function describePeer(peer: Peer, { data, authority }: Config): string[] {
  const { http, dns, admin } = peer
  const bootstrap = peer.bootstrap()
  return [
    `council peer ${peer.peerId} · Ctrl-C stops it`,
    ...peer.addresses().map((address) => `  peers   ${address}`),
    ...(http === null ? [] : [`  pages   http://${hostPort(http)}`]),
    ...(dns === null ? [] : [`  dns     ${hostPort(dns)}, UDP and TCP`]),
    `  data    ${data}`,
    ...(admin.ok ? [] : [`  no commands for this peer: ${admin.reason}`]),
    ...(bootstrap === null
      ? ['  waiting to be admitted by the authority']
      : [`  join    ./council init --join '${bootstrap}' --name <label>`]),
    ...(authority === undefined ? [] : howToJoin[authority.admission]),
  ]
}

const howToJoin: Readonly<Record<AdmissionPolicy, string[]>> = {
  open: [],
  approve: ['          newcomers wait until you admit them: ./council admit'],
  invite: ['          newcomers need an invitation: ./council invite'],
}

/** What a newcomer's operator has to know to be let in. */
function describeWait(peer: Peer, reason: string): string[] {
  return [
    `  waiting for approval by the authority's operator. ${reason}`,
    `          Tell that operator this peer's id, and to run: ./council admit ${peer.peerId}`,
    '          This peer goes on asking by itself; leave it running.',
  ]
}

/** What this peer's operator has to know of ports: its own, and at the authority those of all others. */
function portWarnings({ peerId, exchange }: Peer): string[] {
  const roster = exchange.council.roster()
  if (roster === null) return []
  const isAuthority = authorityOf(roster) === peerId
  return liveMembers(roster)
    .filter(({ peer }) => isAuthority || peer === peerId)
    .flatMap(({ name, web }) => {
      const other = otherPort(roster, web)
      return other === null ? [] : [`  WARNING ${plainLine(sentenceOfPort(name, other))}`]
    })
}

/** What `--json` prints; `bootstrap` is what another peer joins with. */
function peerLine(peer: Peer) {
  return {
    peerId: peer.peerId,
    council: peer.council(),
    bootstrap: peer.bootstrap(),
    addresses: peer.addresses(),
    http: peer.http,
    dns: peer.dns,
  }
}

const hostPort = ({ host, port }: { readonly host: string; readonly port: number }) =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`

const causes: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there. End it, or choose another port',
  EADDRNOTAVAIL: 'this machine has no such address. Choose one that it has',
  ENOSPC: 'its disk is full. Make room on it',
  EACCES: 'this user may not. Ports below 1024 need a privilege; folders must be writable',
}

/** What an operator can put right gets a sentence; everything else is a bug. */
function explain(cause: unknown): never {
  const { code, syscall, message } = cause as NodeJS.ErrnoException
  const why = causes[code ?? '']
  const sentence =
    why !== undefined && syscall !== undefined ? `${message}: ${why}.` : sentenceOf(cause as Error)
  if (sentence === null) throw cause
  throw new CommandError('failed', sentence, { cause })
}

/** The same of errors that libraries make of the system's. */
function sentenceOf({ name, message, cause }: Error): string | null {
  if ((cause as NodeJS.ErrnoException | undefined)?.code === 'LEVEL_LOCKED')
    return 'This peer runs already: its data folder is in use. End it first, or give this one a folder of its own (data in council.json).'
  if (name !== 'UnsupportedListenAddressesError') return null
  const [, address = 'its address', code = ''] =
    /^ *(\/\S+): Error: listen ([A-Z]+)/m.exec(message) ?? []
  return `Other peers cannot reach this one at ${address} (peer.listen in council.json): ${causes[code] ?? 'the system does not let it listen there'}.`
}

function refused(cause: unknown): never {
  throw new CommandError('refused', (cause as Error).message, { cause })
}
