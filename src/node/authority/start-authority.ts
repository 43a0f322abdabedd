import type { PeerSigner } from '../../auth/peer-signature.ts'
import type { KeyRing } from '../../auth/public-key.ts'
import type { Clock } from '../../replication/clock.ts'
import type { FetchHello } from '../../replication/exchange/alive.ts'
import type { HearTrouble } from '../../replication/exchange/decisions.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import type { BlogName } from '../../replication/log/entry.ts'
import type { AdmissionPolicy, EditForm } from '../../replication/registry/act.ts'
import type { Config } from '../config.ts'
import type { ComponentLog } from '../logger.ts'
import { Admissions } from './admissions.ts'
import { Authority } from './authority.ts'
import { CutOffs } from './cutoffs.ts'
import { Demand, defaultLoad } from './demand.ts'
import { KeepHolders } from './keep-holders.ts'
import { MoveDesk } from './move-desk.ts'
import { Moves } from './moves.ts'
import { Opening } from './opening.ts'
import { OrderDesk } from './order-desk.ts'
import { Orders } from './orders.ts'
import { Reach } from './reach.ts'
import { ReportDesk } from './reports.ts'
import { RevocationDesk } from './revoking.ts'
import { Sealing, type Stuck } from './seal.ts'
import { Survey } from './survey.ts'
import { Watch } from './watch.ts'

/** The parts of a running authority. */
export type AuthorityParts = {
  readonly authority: Authority
  readonly admissions: Admissions
  readonly revocations: RevocationDesk
  readonly moves: MoveDesk
  /** what bloggers order, signed */
  readonly orders: OrderDesk
  /** why a blog waits for its next act */
  readonly stuck: (blog: string) => Stuck | null
  readonly cutOffs: CutOffs
  readonly reports: ReportDesk
  /** who is silent while the authority suspects itself, and moves nothing */
  readonly suspected: () => readonly string[]
  /** a replica says that blogs do not go on by themselves */
  readonly hearTrouble: HearTrouble
  /** ends what runs by itself */
  readonly stop: () => void
}

/** Puts an authority together on a started exchange, and founds the council if there is none yet. */
export async function startAuthority(
  settings: {
    readonly zone: string
    readonly edit: EditForm
    readonly replicas: number
    readonly admission: AdmissionPolicy
    /** null or left out: nobody is cut off by reports alone */
    readonly cutoffReports?: number | null
  },
  world: {
    readonly exchange: Exchange
    readonly keys: KeyRing
    readonly clock: Clock
    readonly log: ComponentLog
    readonly fetchHello: FetchHello
    readonly signer: PeerSigner
    /** see `Opening` */
    readonly folderMark: () => Promise<string>
    readonly failover: Config['failover']
    /** left out: `defaultLoad` */
    readonly load?: Config['load']
  },
): Promise<AuthorityParts> {
  const {
    exchange,
    keys,
    clock,
    log,
    fetchHello,
    folderMark,
    signer,
    failover,
    load = defaultLoad,
  } = world
  const self = signer.peer
  const { council, alive, store } = exchange
  const tell: Exchange['tell'] = (name, proof, replicas) => exchange.tell(name, proof, replicas)
  const authority = new Authority({ council, alive, keys, clock, log, self, tell })
  const { zone, edit, replicas, admission: policy } = settings
  const holder = { peer: self, store: exchange.storeId() }
  const opening = new Opening({
    ...{ exchange, signer, clock, log, folderMark, silenceMs: failover.silenceMs },
  })
  const isNew = council.roster() === null || council.names() === null
  if (isNew) await opening.found()
  await authority.found({ zone, edit, replicas, holder })
  if (!isNew) void opening.open()
  council.onContradicted(() => void opening.open())
  const reach = new Reach({ alive, clock, log, fetchHello, self })
  const admissions = new Admissions({ council, store, clock, log, reach, self, policy, tell })
  await admissions.load()
  const revocations = new RevocationDesk(exchange, log)
  const survey = new Survey(exchange)
  await survey.load()
  const orders = new Orders(store)
  await orders.load()
  const sealing = new Sealing({ exchange, survey, signer, clock, log })
  const demand = new Demand({ store, marks: load, log })
  await demand.load()
  const parts = { exchange, survey, sealing, orders, demand, clock, log }
  const moves = new Moves({ ...parts, replaceAfterMs: failover.replaceAfterMs })
  const holders = new KeepHolders({ ...parts, replaceAfterMs: failover.replaceAfterMs })
  const { silenceMs } = failover
  const watch = new Watch({ exchange, moves, holders, clock, silenceMs, log })
  watch.start()
  const cutOffs: CutOffs = new CutOffs({
    ...{ council, log, tell },
    evidenceOf: (peer) => reports.evidence(peer),
  })
  const reports = new ReportDesk({
    ...{ exchange, clock, log, cutOffAfter: settings.cutoffReports ?? null },
    cutOff: (peer, reason, evidence) =>
      cutOffs.decide(peer, { kind: 'cutoff', reason, evidence }, false),
  })
  await reports.load()
  const stuck = (blog: string) => sealing.stuck(blog as BlogName)
  const desk = new MoveDesk({ exchange, orders, moves, sealing, survey, clock, log })
  const orderDesk = new OrderDesk({ exchange, orders, moves: desk, clock, log })
  const stop = () => {
    opening.stop()
    watch.stop()
  }
  const hearTrouble: HearTrouble = (from, what, blogs) =>
    moves.hearTrouble(from, what, blogs as BlogName[])
  const desks = { cutOffs, reports, moves: desk, orders: orderDesk }
  const suspected = () => watch.suspected
  return { authority, admissions, revocations, ...desks, suspected, hearTrouble, stuck, stop }
}
