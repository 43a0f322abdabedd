import { access, chmod, mkdir, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join, resolve } from 'node:path'
import { defaultDoorLimits } from '../replication/exchange/rates.ts'
import { CommandError } from './blogger/failure.ts'
import type { CommandIo } from './blogger/io.ts'
import { parseConfig } from './config.ts'
import type { Meant } from './confirm-council.ts'
import { keyPath, openPeerKey } from './peer-key.ts'

export type InitOptions = {
  readonly dir: string
  readonly zone?: string
  /** `council://…`, or the bare multiaddr of a peer; see `confirmCouncil` */
  readonly join?: string
  readonly council?: string
  readonly yes?: boolean
  readonly name?: string
  readonly operator?: string
  readonly host: string
  readonly port: number
  readonly p2pPort: number
  readonly dnsPort: number
  /** left out: yes for a first peer, no for a further spoke */
  readonly dns?: boolean
  readonly force?: boolean
  readonly json?: boolean
}

const configName = 'council.json'

/** `init`: a first peer (spoke, DNS and authority in one), or with `--join` a further spoke. */
export async function init(options: InitOptions, io: CommandIo): Promise<void> {
  const config = join(resolve(options.dir), configName)
  if (!options.force && (await exists(config))) {
    throw new CommandError(
      'refused',
      `There is a ${config} already. Choose another folder with --dir, or write it anew with --force (the peer's key stays).`,
    )
  }
  // What contradicts itself is said before anybody is asked.
  planConfig(options)
  const { join: given, council, yes } = options
  if (given === undefined && (council !== undefined || yes === true))
    throw new CommandError('usage', '--council and --yes go with --join.')
  const joined = given === undefined ? {} : { join: await confirm(given, { council, yes }, io) }
  const { key, isNew } = await writePeer(options.dir, planConfig({ ...options, ...joined }))
  if (!isNew) io.say(`kept   ${key} (it is who this peer is)`)
  else io.say(`wrote  ${key} (who this peer is: back it up, show it to nobody)`)
  io.say(`wrote  ${config}`)
  io.say(`next   ./council start --config ${config}`)
  if (options.json) io.data(JSON.stringify({ config, key }))
}

/** Only who asks loads what that takes: libp2p. */
async function confirm(
  given: string,
  { council, yes }: Pick<Meant, 'council' | 'yes'>,
  io: CommandIo,
): Promise<string> {
  const { confirmCouncil } = await import('./confirm-council.ts')
  return confirmCouncil({ join: given, council, yes }, io)
}

/** What the options stand for, unchecked. Pure. Throws `usage` where they contradict each other. */
export function planConfig(options: InitOptions): object {
  const { host, port, p2pPort, dnsPort, zone, join: bootstrap } = options
  if (bootstrap !== undefined && zone !== undefined) {
    throw new CommandError(
      'usage',
      'Give either --zone, to found a council, or --join, to join one: its bootstrap address names the zone.',
    )
  }
  if (bootstrap !== undefined && options.name === undefined) {
    throw new CommandError(
      'usage',
      'Give this spoke a name that its council does not have yet, with --name.',
    )
  }
  if (isIP(host) === 0 || host === '0.0.0.0' || host === '::') {
    throw new CommandError(
      'usage',
      `--host wants the IP address at which others reach this peer, not "${host}".`,
    )
  }
  const name = options.name ?? 'a'
  const family = isIP(host) === 6 ? 'ip6' : 'ip4'
  const literal = isIP(host) === 6 ? `[${host}]` : host
  return {
    data: './data',
    name,
    operator: options.operator ?? name,
    network: null,
    country: null,
    peer: { listen: [`/${family}/${host}/tcp/${p2pPort}`], announce: [] },
    council: bootstrap === undefined ? { zone: zone ?? 'blogs.localhost' } : { bootstrap },
    web: { origin: port === 80 ? 'http://{host}' : `http://{host}:${port}` },
    spoke: { host, port, addresses: [`http://${literal}:${port}`] },
    ...((options.dns ?? bootstrap === undefined)
      ? { dns: { host, port: dnsPort, addresses: [`${host} ${dnsPort}`] } }
      : {}),
    aggregator: {},
    ...(bootstrap === undefined
      ? { authority: { admission: 'open', replicas: 3, edit: 'dotted', cutoffReports: null } }
      : {}),
    keys: { servers: [], wkd: false, allowPrivate: false },
    failover: { silenceMs: 15_000, replaceAfterMs: 60_000 },
    exchange: { pullMs: 30_000, gossip: true, push: true, pull: true },
    limits: { ...defaultDoorLimits },
    log: { level: 'info' },
  }
}

/**
 * Writes a peer's folder: its config, and its key unless it has one, for another key would be
 * another peer. Throws `usage` when the config is not one.
 */
export async function writePeer(
  folder: string,
  config: object,
): Promise<{ readonly config: string; readonly key: string; readonly isNew: boolean }> {
  const checked = parseConfig(config)
  if (!checked.ok) throw new CommandError('usage', checked.reason)
  const data = resolve(folder, checked.value.data)
  await mkdir(data, { recursive: true, mode: 0o700 })
  const { isNew } = await openPeerKey(data)
  const path = join(resolve(folder), configName)
  // An invitation in it is a secret until it was used.
  const { council } = checked.value
  const isSecret = 'bootstrap' in council && /[?&]invite=/.test(council.bootstrap)
  await writeFile(path, `${JSON.stringify(config, null, 2)}\n`, isSecret ? { mode: 0o600 } : {})
  // One that is written anew keeps the rights it had.
  if (isSecret) await chmod(path, 0o600)
  return { config: path, key: keyPath(data), isNew }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch {
    return false
  }
}
