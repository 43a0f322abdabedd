import { randomBytes } from 'node:crypto'
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { MemoryLevel } from 'memory-level'
import { type PeerName, peerSigner } from '../auth/peer-signature.ts'
import { KeyRing } from '../auth/public-key.ts'
import { accept, refuse, type Verdict } from '../auth/verdict.ts'
import { Gathering } from '../replication/aggregation/gathering.ts'
import { Exchange } from '../replication/exchange/exchange.ts'
import { rosterLog } from '../replication/log/log.ts'
import { parseStoreId, type StoreId } from '../replication/log/peer-text.ts'
import type { Disk } from '../replication/log/store.ts'
import { maxBusyBlogs } from '../replication/protocol.ts'
import {
  type Bootstrap,
  formatBootstrap,
  parseBootstrap,
} from '../replication/registry/bootstrap.ts'
import { invitationSigner, parseInvitation } from '../replication/registry/invitation.ts'
import { ReadCounts } from '../web/read-counts.ts'
import { serveAdmin } from './admin/admin-app.ts'
import { lookAtCopies } from './admin/look-at-copies.ts'
import { askDns } from './ask-dns.ts'
import { type AuthorityParts, startAuthority } from './authority/start-authority.ts'
import { realClock } from './clock.ts'
import type { Config } from './config.ts'
import { DiskRoom } from './disk-room.ts'
import { serveDns } from './dns/serve-dns.ts'
import { fetchHello } from './fetch-hello.ts'
import { openGatheredDisk } from './gathered-disk.ts'
import { Joining } from './joining.ts'
import type { Logger } from './logger.ts'
import { ownRecord } from './own-record.ts'
import { otherPort } from './page-port.ts'
import { Peer } from './peer.ts'
import { openPeerKey } from './peer-key.ts'
import { serveWeb } from './serve-web.ts'
import { startAggregation } from './start-aggregation.ts'
import { readStatus } from './status.ts'
import { StoreDisk } from './store-disk.ts'
import { vitalsOf } from './vitals.ts'
import { authorityAt, dialAny, wantedPeers } from './wanted-peers.ts'

/** A running peer: all sections of its config, started. Disposing stops them in reverse order. */
export type RunningPeer = {
  readonly peerId: PeerName
  /** `zone/council id`, null until `@roster` is here */
  readonly council: () => string | null
  /** what another peer joins with; null until `@roster` is here */
  readonly bootstrap: () => string | null
  /** multiaddrs, the peer id at the end */
  readonly addresses: () => string[]
  readonly http: { readonly host: string; readonly port: number } | null
  readonly dns: { readonly host: string; readonly port: number } | null
  /** Rejects with the authority's sentence when it refuses this peer. */
  readonly whenAdmitted: Promise<void>
  /** `listener` hears what this peer waits for before it is admitted, now and each time that changes */
  readonly onPending: (listener: (reason: string) => void) => void
  /** where its operator's commands reach it, or why they cannot */
  readonly admin: Verdict<string>
  readonly exchange: Exchange
  readonly gathering: Gathering
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

/** Starts a peer from its config. Throws the system's error when an address or folder is not to be had. */
export async function startPeer(config: Config, logger: Logger): Promise<RunningPeer> {
  await using stack = new AsyncDisposableStack()
  const log = logger.forComponent('council:peer')
  await mkdir(config.data, { recursive: true, mode: 0o700 })
  const { key } = await openPeerKey(config.data)
  const signer = peerSigner(key)
  const bootstrap = readBootstrap(config)

  const diskLog = logger.forComponent('council:disk')
  const room = new DiskRoom({
    folder: config.data,
    marks: config.disk,
    reserveBytes: config.disk.reserveMiB * 1024 * 1024,
    clock: realClock,
    log: diskLog,
  })
  await room.start()
  stack.defer(() => room.stop())
  const disk = await StoreDisk.open(join(config.data, 'store'), {
    ...{ room, clock: realClock, log: diskLog },
    fatal: (error) => {
      diskLog.error('store_lost_writes', { error })
      process.exit(1)
    },
  })
  stack.use(disk)
  const gatheredDisk =
    config.aggregator === undefined
      ? null
      : stack.use(await openGatheredDisk(join(config.data, 'gathered'), { room, log: diskLog }))

  const holder: { exchange: Exchange | null; joining: Joining | null } = {
    exchange: null,
    joining: null,
  }
  const peer = await Peer.start({
    privateKey: key,
    folder: config.data,
    listen: config.peer.listen,
    announce: config.peer.announce,
    dialFrom: config.peer.dialFrom,
    isMember: (name) => holder.exchange?.council.isMember(name) ?? false,
    // At the authority it is a stranger: it may ask to be let in, and is told why it is not.
    letsKnock: config.authority !== undefined,
    isCutOff: (name) => holder.exchange?.council.isCutOff(name) ?? false,
    records: {
      validate: async (record, value) => {
        const verdict = await holder.exchange?.registry.validateRecord(record, value)
        if (verdict?.ok !== true) throw new Error(verdict?.reason ?? 'this peer is starting')
      },
      select: (records) => holder.exchange?.registry.selectRecord(records) ?? 0,
    },
    clock: realClock,
    logger,
  })
  stack.use(peer)

  const reads = new ReadCounts({
    isKept: (blog) => (holder.exchange?.replicas.get(blog)?.role ?? 'none') !== 'none',
    now: realClock.now,
  })
  const keys = new KeyRing()
  let authority: AuthorityParts | null = null
  const exchange = new Exchange(
    {
      network: peer.network(),
      pubsub: peer.pubsub(),
      dht: peer.dht(),
      disk,
      memoryDisk: () => new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' }) as Disk,
      clock: realClock,
      signer,
      keys,
      newStoreId: () => parseStoreId(randomBytes(16).toString('hex')) as StoreId,
      vitals: vitalsOf(room, () => reads.busiest(config.load.quietPerMinute, maxBusyBlogs)),
      fetchHello,
      newNonce: () => randomBytes(32).toString('hex'),
      askDns: (blog) => askDns(exchange.council.roster(), blog),
      report: (event, fields) => log.info(event, fields),
    },
    {
      councilId: bootstrap?.council.slice(bootstrap.council.indexOf('/') + 1) ?? null,
      silenceMs: config.failover.silenceMs,
      ...config.exchange,
      limits: config.limits,
      authority:
        config.authority === undefined
          ? null
          : {
              decideJoin: async (...asked) =>
                authority?.admissions.decideJoin(...asked) ?? starting,
              decideClaim: async (genesis, offer, via) =>
                authority?.authority.decideClaim(genesis, offer, via as PeerName) ?? starting,
              decideRevoke: async (asked) => authority?.revocations.decide(asked) ?? starting,
              decideReport: async (from, handed) =>
                authority?.reports.take(from, handed) ?? starting,
              decideDrain: async (asked) => authority?.moves.drain(asked) ?? starting,
              decideOrder: async (order) => authority?.orders.take(order) ?? starting,
              hearTrouble: (...said) => authority?.hearTrouble(...said),
            },
    },
  )
  holder.exchange = exchange
  await exchange.start()
  stack.defer(() => exchange.stop())
  const gatherLog = logger.forComponent('council:gather')
  const gathering = await Gathering.start(exchange, {
    ...{ gatheredDisk, keys, clock: realClock, run: randomBytes(16).toString('hex') },
    report: (event, fields) => gatherLog.info(event, fields),
  })
  stack.defer(() => gathering.stop())
  // Who neither shows pages nor gathers is never asked for front pages and searches.
  const aggregation =
    config.spoke === undefined && config.aggregator === undefined
      ? null
      : await startAggregation(config, { exchange, gathering, peer, signer, keys, logger, stack })
  let isIn = exchange.council.isMember(signer.peer)
  exchange.council.onChange((name) => {
    if (name !== rosterLog) return
    peer.reconsider()
    peer.dialWanted()
    const wasIn = isIn
    isIn = exchange.council.isMember(signer.peer)
    // Who was connected before could be asked nothing.
    if (isIn && !wasIn) for (const each of peer.network().connected()) exchange.connected(each)
  })

  if (config.authority !== undefined && 'zone' in config.council) {
    const { edit, replicas, admission, cutoffReports } = config.authority
    authority = await startAuthority(
      { zone: config.council.zone, edit, replicas, admission, cutoffReports },
      {
        exchange,
        keys,
        clock: realClock,
        log: logger.forComponent('council:authority'),
        fetchHello,
        folderMark: () => folderMarkOf(config.data),
        signer,
        failover: config.failover,
        load: config.load,
      },
    )
    const { stop } = authority
    stack.defer(stop)
  }

  const status = () =>
    readStatus(config.name, { exchange, peer, pending: holder.joining?.pending ?? null })
  const zone =
    'zone' in config.council
      ? config.council.zone
      : ((bootstrap as Bootstrap).council.split('/')[0] as string)
  const http =
    config.spoke === undefined || aggregation === null
      ? null
      : await serveWeb(config, zone, {
          ...{ exchange, aggregation, signer, logger, status, stack, reads },
        })
  if (http !== null) stack.use(http)
  const dns =
    config.dns === undefined
      ? null
      : await serveDns(config.dns, {
          exchange,
          logger,
          stack,
        })

  peer.supervise(
    () => wantedPeers(signer.peer, { exchange, gathering }, bootstrap),
    (name) => {
      exchange.connected(name)
      // Members dial members: this peer may have been let in, and not know it yet.
      if (!exchange.council.isMember(signer.peer)) holder.joining?.again()
    },
  )
  const seed = parseInvitation(bootstrap?.invite ?? '')
  const joining = new Joining({
    join: exchange.join,
    council: exchange.council,
    signer,
    clock: realClock,
    log: logger.forComponent('council:join'),
    record: () => ownRecord(config, { peer, exchange, http, dns }),
    invitation: seed === null ? null : await invitationSigner(seed),
    dialBootstrap: () => dialAny(peer, [...(bootstrap?.peers ?? []), ...authorityAt(exchange)]),
    hangUp: (name) => peer.hangUp(name),
  })
  holder.joining = joining
  exchange.onNewStore(() => joining.again())
  const adminLog = logger.forComponent('council:admin')
  const admin = await serveAdmin(
    config.data,
    {
      status,
      admissions: authority?.admissions ?? null,
      moves: authority?.moves ?? null,
      self: signer.peer,
      copiesOf: (blog) =>
        lookAtCopies(
          blog,
          exchange,
          { self: signer.peer, now: realClock.now },
          (each) => authority?.stuck(each) ?? null,
        ),
      drainSelf: (asked) => exchange.toAuthority.drain(asked),
      cutOffs: authority?.cutOffs ?? null,
      reports: authority?.reports ?? null,
      indexer: aggregation?.indexer ?? null,
      bootstrap: (invite) => bootstrapOf(exchange, peer, invite),
      nameOf: (name) => exchange.council.roster()?.members.get(name)?.name ?? null,
      otherPort: (web) => {
        const roster = exchange.council.roster()
        return roster === null ? null : otherPort(roster, web)
      },
      now: realClock.now,
    },
    (error) => adminLog.error('command_failed', { error }),
  )
  if (admin.ok) stack.use(admin.value)
  else log.warn('no_admin_socket', { code: admin.code, reason: admin.reason })
  stack.defer(() => joining.stop())
  const pendingListeners: ((reason: string) => void)[] = []
  const whenAdmitted = new Promise<void>((resolve, reject) => {
    joining.start({
      admitted: () => {
        peer.dialWanted()
        void exchange.alive.send().catch(() => undefined)
        resolve()
      },
      refused: (reason) => reject(new Error(reason)),
      pending: (reason) => {
        for (const listener of pendingListeners) listener(reason)
      },
    })
  })
  whenAdmitted.catch(() => undefined)

  const running = stack.move()
  return {
    peerId: signer.peer,
    council: () => exchange.council.roster()?.council ?? null,
    bootstrap: () => bootstrapOf(exchange, peer, null),
    addresses: () => peer.addresses(),
    http: http === null ? null : { host: http.host, port: http.port },
    dns,
    whenAdmitted,
    onPending: (listener) => {
      pendingListeners.push(listener)
      if (joining.pending !== null) listener(joining.pending)
    },
    admin: admin.ok ? accept(admin.value.path) : admin,
    exchange,
    gathering,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

/** Names this very folder: the file of its key is written once, and a copy of it is another file. */
async function folderMarkOf(data: string): Promise<string> {
  const { ino, birthtimeMs } = await stat(join(data, 'peer.key'))
  return `${ino} ${birthtimeMs}`
}

/** Peers ask before the authority has read what it knows. */
const starting = refuse('NOT_READY', 'The authority is starting. Ask again in a moment.')

function readBootstrap(config: Config): Bootstrap | null {
  if (!('bootstrap' in config.council)) return null
  const read = parseBootstrap(config.council.bootstrap)
  if (!read.ok) throw new Error(read.reason)
  return read.value
}

function bootstrapOf(exchange: Exchange, peer: Peer, invite: string | null): string | null {
  const council = exchange.council.roster()?.council
  const peers = peer.addresses()
  return council === undefined || peers.length === 0
    ? null
    : formatBootstrap({ council, peers, invite })
}
