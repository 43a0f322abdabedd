import type { PeerName } from '../../auth/peer-signature.ts'
import type { Fingerprint } from '../../auth/public-key.ts'
import { repeat } from '../clock.ts'
import type { BlogName } from '../log/entry.ts'
import { Ingest } from '../log/ingest.ts'
import { type Head, type LogName, namesLog, rosterLog } from '../log/log.ts'
import type { StoreId } from '../log/peer-text.ts'
import { blogRules, type LogRules } from '../log/rules.ts'
import { LogStore } from '../log/store.ts'
import type { Network } from '../network.ts'
import { recordPeriodMs } from '../protocol.ts'
import type { Act } from '../registry/act.ts'
import { CouncilLogs } from '../registry/council-logs.ts'
import { namesRules, rosterRules } from '../registry/council-rules.ts'
import type { ProofOfAct } from '../registry/proof.ts'
import { Registry } from '../registry/registry.ts'
import { authorityOf } from '../registry/roster.ts'
import { ActNews } from './act-news.ts'
import { Acts } from './acts.ts'
import { Alive } from './alive.ts'
import { Audits } from './audits.ts'
import { HeldKeys } from './blog-keys.ts'
import { Checker } from './checker.ts'
import { Claims } from './claim.ts'
import { type Decisions, ToAuthority } from './decisions.ts'
import { Gossip } from './gossip.ts'
import { Holders } from './holders.ts'
import { type Decide, Join } from './join.ts'
import { Leading } from './leading.ts'
import { Learners } from './learners.ts'
import { Losses } from './losses.ts'
import { Neighbours } from './neighbours.ts'
import { OwnStore } from './own-store.ts'
import { PrimaryDoor } from './primary-door.ts'
import { Proofs } from './proofs.ts'
import { Pulls } from './pulls.ts'
import { Push } from './push.ts'
import { type DoorLimits, defaultDoorLimits } from './rates.ts'
import { Reader } from './read.ts'
import { Records } from './records.ts'
import { Replicas } from './replica.ts'
import { Reports } from './reports.ts'
import { Revocations } from './revocations.ts'
import { Revoking } from './revoking.ts'
import { Scrub } from './scrub.ts'
import { Seals } from './seals.ts'
import { StuckBlogs } from './stuck-blogs.ts'
import { Submit } from './submit.ts'
import { Sync } from './sync.ts'
import { Tails } from './tails.ts'
import { Visits } from './visits.ts'
import type { Background, World } from './world.ts'

export type ExchangeOptions = {
  /** id of the council to join, the trust anchor; null for the peer that founds one */
  readonly councilId: string | null
  readonly silenceMs: number
  readonly pullMs: number
  /** the three ways of entries; each can be switched off to test the others */
  readonly gossip: boolean
  readonly push: boolean
  readonly pull: boolean
  /** whether the disk is looked through for damage; left out: it is */
  readonly scrub?: boolean
  /** what this spoke takes of one blog as its primary; those left out: as by default */
  readonly limits?: Partial<DoorLimits>
  /** null at peers that are not the authority */
  readonly authority: (Decisions & { readonly decideJoin: Decide }) | null
}

const checkLaterMs = 500
/** How long a blog may be without an act to go on under before the authority is told, ms. */
const sealedMs = 10_000
/** How long a primary may lack receipts of w replicas before it says so, ms (REPLICATION, Silence). */
const shortMs = 15_000
/** Pause between two goes of the scrub, ms. */
const scrubMs = 1_000
/** Pause between two rounds of surprise questions, ms. */
const auditMs = 10_000

/** One peer's replication, put together: the parts, and what each event leads to. */
export class Exchange {
  readonly #world: World
  readonly #options: ExchangeOptions
  readonly network: Network
  readonly store: LogStore
  readonly ingest: Ingest
  readonly council: CouncilLogs
  readonly replicas: Replicas
  readonly registry: Registry
  readonly sync: Sync
  readonly submit: Submit
  readonly toAuthority: ToAuthority
  readonly reader: Reader
  readonly visits: Visits
  readonly claims: Claims
  readonly alive: Alive
  readonly seals: Seals
  readonly learners: Learners
  readonly holders: Holders
  readonly acts: Acts
  readonly heldKeys: HeldKeys
  readonly revocations: Revocations
  readonly losses: Losses
  readonly revoking: Revoking
  readonly join: Join
  readonly #push: Push
  readonly #gossip: Gossip
  readonly scrub: Scrub
  readonly audits: Audits
  readonly reports: Reports
  readonly proofs: Proofs
  readonly #checker: Checker
  readonly #records: Records
  readonly neighbours: Neighbours
  readonly #pulls: Pulls
  readonly #tails: Tails
  readonly #stuck: StuckBlogs
  readonly #ownStore: OwnStore
  readonly #leading: Leading
  readonly #actNews: ActNews
  #cancel: (() => void)[] = []
  #stopped = false

  constructor(world: World, options: ExchangeOptions) {
    this.#world = world
    this.#options = options
    const { network, clock, signer, keys } = world
    const store = new LogStore(world.disk)
    this.#ownStore = new OwnStore({
      ...{ store, newStoreId: world.newStoreId, report: world.report },
      replicas: () => this.replicas,
    })
    const storeId = () => this.#ownStore.id()
    const rules = this.#rules()
    const ingest = new Ingest({ store, rulesOf: rules, now: clock.now })
    const roster = () => this.council.roster()
    this.network = network
    this.store = store
    this.ingest = ingest
    this.council = new CouncilLogs({
      store,
      ingest,
      signer,
      storeId,
      clock,
      askHolder: (...asked) => this.holders.askHold(...asked),
    })
    this.replicas = new Replicas({ signer, storeId, store, ingest, roster, clock })
    this.#stuck = new StuckBlogs({ replicas: this.replicas, ingest, clock })
    this.neighbours = new Neighbours(this.council, this.replicas)
    const { council, replicas, neighbours } = this
    this.registry = new Registry({
      council,
      store,
      clock,
      dht: world.dht,
      held: (blog) => {
        const kept = replicas.get(blog)
        return kept === null || kept.role === 'none' ? null : kept.assignment
      },
      askNames: (blog) => this.reader.askNames(blog, this.neighbours.namesPeers()),
      isAuthority: options.authority !== null,
    })
    const { registry } = this
    this.sync = new Sync({ network, store, ingest, replicas, council })
    const { sync } = this
    this.seals = new Seals({ network, council, replicas })
    this.holders = new Holders({ network, council, sync })
    this.learners = new Learners({ network, council, ingest, sync, clock })
    const pullRoster = (peer: PeerName) => sync.pull(peer, [rosterLog])
    this.revocations = new Revocations({ network, store, council, pullRoster })
    this.losses = new Losses({ network, store, council, pullRoster })
    this.#push = new Push({
      network,
      store,
      replicas,
      council,
      sync,
      revocations: this.revocations,
      seals: this.seals,
      learners: this.learners,
      holders: this.holders,
      clock,
      enabled: options.push,
    })
    this.#gossip = new Gossip({
      pubsub: world.pubsub,
      self: signer.peer,
      councilId: () => council.roster()?.councilId ?? null,
      store,
      replicas,
      council,
      sync,
      onAct: (...heard) => this.#actNews.heard(...heard),
      enabled: options.gossip,
    })
    const door = new PrimaryDoor({
      ...{ ingest, replicas, clock, revoked: this.revocations.of },
      limits: { ...defaultDoorLimits, ...options.limits },
    })
    this.submit = new Submit({
      ...{ network, replicas, registry, clock, door, decisions: options.authority },
      takeGenesis: (...given) => this.claims.handedOver(...given),
    })
    this.toAuthority = new ToAuthority({
      network,
      authority: () => {
        const known = council.roster()
        return known === null ? null : authorityOf(known)
      },
    })
    this.#tails = new Tails({ store, ingest, replicas, submit: this.submit })
    this.claims = new Claims({
      store,
      ingest,
      council,
      replicas,
      push: this.#push,
      submit: this.submit,
      toAuthority: this.toAuthority,
      keys,
      clock,
      askDns: world.askDns,
      revoked: this.revocations.of,
    })
    this.proofs = new Proofs({
      ...{ network, pubsub: world.pubsub, store, ingest, rulesOf: rules, report: world.report },
      councilId: () => (options.gossip ? (council.roster()?.councilId ?? null) : null),
      genesisOf: async (blog) => {
        const found = replicas.get(blog)?.assignment ?? (await registry.lookUp(blog))
        return typeof found === 'string' ? null : found.genesis
      },
    })
    ingest.onFork(({ log, seq, way }) => {
      // Who hands two in at the primary's door is told so; nobody has seen two histories.
      if (way !== 'submit') this.#searchFork(log, seq, [])
    })
    this.reports = new Reports({ network, council, signer, clock, report: world.report })
    this.audits = new Audits({
      ...{ network, ingest, replicas, council, signer, storeId, clock, reports: this.reports },
      nonce: () => world.newNonce?.() ?? '',
      report: world.report,
    })
    this.reader = new Reader({
      ...{ network, store, ingest, replicas, registry, council },
      ...{ audits: this.audits, proofs: this.proofs },
      claimHere: (id) => this.claims.record(id),
    })
    this.visits = new Visits({
      ...{ network, store, ingest, replicas, registry, council, keys, clock },
      memoryDisk: world.memoryDisk,
      pull: (peer, blog) => sync.pull(peer, [blog]),
    })
    this.heldKeys = new HeldKeys({ ingest, store }, replicas)
    this.revoking = new Revoking({
      store,
      council,
      revocations: this.revocations,
      held: this.heldKeys,
      visits: this.visits,
      toAuthority: this.toAuthority,
      clock,
    })
    this.alive = new Alive({
      network,
      signer,
      storeId,
      council,
      sync,
      clock,
      silenceMs: options.silenceMs,
      answered: (authority, names) => this.#authorityAnswered(authority, names),
      vitals: world.vitals,
      fetchHello: world.fetchHello,
    })
    this.acts = new Acts({
      network,
      council,
      clock,
      carriesNames: () => this.alive.carriesNames(),
      namesPeers: () => this.neighbours.namesPeers(),
      pullRoster: (peer) => sync.pull(peer, [rosterLog]),
    })
    this.join = new Join({ network, store, council, decide: options.authority?.decideJoin ?? null })
    this.#pulls = new Pulls({
      ...{ network, council, replicas, neighbours, sync, clock },
      ...{ revocations: this.revocations, losses: this.losses },
      ...{ alive: this.alive, join: this.join, blogs: options.pull },
    })
    this.#checker = new Checker({ network, ingest, replicas })
    this.scrub = new Scrub({
      network,
      ingest,
      replicas,
      council,
      random: clock.random,
      isProved: (log, { text, signature, receipts = [] }) =>
        this.#isProved(log, { text, signature, receipts }),
      healed: (log) => this.#leading.healed(log),
      report: world.report,
    })
    this.#records = new Records({ network, replicas, registry })
    const background: Background = (what, work) => this.#background(what, work)
    const self = signer.peer
    this.#leading = new Leading({
      ...{ network, clock, self, replicas, sync, background, report: world.report },
      ...{ push: this.#push, gossip: this.#gossip, pulls: this.#pulls },
      ...{ records: this.#records, tails: this.#tails },
    })
    this.#actNews = new ActNews({
      ...{ network, clock, self, council, replicas, neighbours, background },
      ...{ push: this.#push, gossip: this.#gossip, pulls: this.#pulls, alive: this.alive },
      ...{ revocations: this.revocations, losses: this.losses },
    })
  }

  #rules(): (log: LogName) => LogRules<unknown> {
    const ofRoster = rosterRules(() => this.#options.councilId)
    const ofNames = namesRules(() => this.council.roster())
    const ofBlogs = blogRules(() => this.council.roster()?.council ?? null, this.#world.keys)
    return (log) => (log === rosterLog ? ofRoster : log === namesLog ? ofNames : ofBlogs)
  }

  /** Name of this data folder's life; throws before `start`. */
  storeId(): StoreId {
    return this.#ownStore.id()
  }

  /** Reads what is on disk, serves the protocols, starts the timers. */
  async start(): Promise<void> {
    await this.#ownStore.open()
    await this.council.start()
    await this.revocations.start()
    await this.losses.start()
    await this.proofs.start()
    await this.replicas.start({
      assigned: (kept) => this.#leading.assigned(kept),
      grown: (kept, items) => this.#background('announce', this.#leading.grown(kept, items)),
      given: (kept, receipt) => this.#leading.given(kept, receipt),
      received: (kept) => this.#leading.received(kept),
      contradicted: ({ assignment }, { head, replica }) =>
        this.#searchFork(assignment.blog, head.seq, [replica.peer]),
    })
    await this.#ownStore.check()
    this.council.onChange((log, acts) => this.#councilChanged(log, acts))
    for (const part of [this.sync, this.#push, this.submit, this.reader, this.alive, this.join])
      part.start()
    await this.claims.start()
    await this.revoking.start()
    this.#gossip.follow()
    this.proofs.follow()
    for (const kept of this.replicas.all()) this.#leading.assigned(kept)
    this.#background('learn', this.#actNews.learnNamed())
    const { clock } = this.#world
    this.#cancel = [
      repeat(clock, this.#options.pullMs, () => this.#tick()),
      repeat(clock, checkLaterMs, async () => this.#background('check', this.#checker.run())),
      ...(this.#options.scrub === false
        ? []
        : [repeat(clock, scrubMs, () => this.scrub.run().catch(() => undefined))]),
      repeat(clock, sealedMs / 2, () => this.#tellTrouble().catch(() => undefined)),
      ...(this.#world.newNonce === undefined ? [] : [repeat(clock, auditMs, () => this.#audit())]),
      repeat(clock, recordPeriodMs, async () => {
        this.#records.startPeriod()
        await this.#tick()
      }),
    ]
  }

  stop(): void {
    this.#stopped = true
    for (const cancel of this.#cancel) cancel()
    this.#push.stop()
    this.claims.stop()
    this.revoking.stop()
    this.alive.stop()
  }

  /** Entry 0 of `@roster` is known by its id alone: it is the council's. */
  #isProved(log: LogName, proof: ProofOfAct): boolean {
    const act = this.council.checkProof(proof)
    return act.ok ? act.value.log === log : act.code === 'ACT_LOG' && log === rosterLog
  }

  /** Called when this has become another store while it runs: the council must hear of it. */
  onNewStore(listener: () => void): void {
    this.#ownStore.onRenewed(listener)
  }

  /** This data folder turned out to be an older state of itself. */
  renewStore(why: string): Promise<void> {
    return this.#ownStore.renew(why)
  }

  /** Work that nobody waits for: its failure is told, and what failed comes again by itself. */
  #background(what: string, work: Promise<unknown>): void {
    work.catch((error: Error) => {
      if (!this.#stopped) this.#world.report(`${what}_failed`, { reason: error.message })
    })
  }

  // What each event leads to.

  #councilChanged(log: LogName, acts: readonly Act[]): void {
    if (log !== rosterLog) {
      this.#actNews.named(acts)
      return
    }
    this.#gossip.follow()
    this.proofs.follow()
    this.#background('read_late', this.#readLate())
  }

  async #readLate(): Promise<void> {
    if (await this.replicas.readLate()) await this.#ownStore.check()
  }

  /** Asks who may have the other version of an entry: first who was named, then replicas, then others. */
  #searchFork(log: LogName, seq: number, first: readonly PeerName[]): void {
    const replicas = this.replicas.get(log as BlogName)?.assignment.replicas ?? []
    const others = log.startsWith('@') ? this.#world.network.connected() : []
    const peers = [...new Set([...first, ...replicas.map(({ peer }) => peer), ...others])]
    this.#background('search_fork', this.proofs.search(log, seq, peers))
  }

  async #audit(): Promise<void> {
    const connected = this.#world.network.connected()
    const peer = connected[Math.floor(this.#world.clock.random() * connected.length)]
    if (peer !== undefined) {
      this.proofs.pull(peer).catch(() => undefined)
      // Not of the authority only: who writes two acts for one seq tells each of one of them.
      this.#pulls.councilLogsFrom(peer)
    }
    await this.audits.run().catch(() => undefined)
    await this.reports.retry().catch(() => undefined)
  }

  /** Tells the council of a new act in force; for the authority. */
  tell(log: LogName, proof: ProofOfAct, replicas: readonly PeerName[]): Promise<void> {
    return this.#actNews.tell(log, proof, replicas)
  }

  /** The same for assignments that were written together. */
  tellAll(written: readonly { proof: ProofOfAct; replicas: readonly PeerName[] }[]): void {
    this.#actNews.tellAll(written)
  }

  /** Blogs that were claimed with a key, as far as anybody says now. */
  blogsOf(key: Fingerprint): Promise<BlogName[]> {
    return this.reader.blogsOf(key, this.neighbours.namesPeers())
  }

  // What happens by itself.

  /** A member has connected: exchange what each lacks. */
  connected(peer: PeerName): void {
    this.#pulls.connected(peer)
    // An authority that has just started counts as alive only whom it has heard.
    const roster = this.council.roster()
    if (roster !== null && authorityOf(roster) === peer) void this.alive.greet()
    this.#leading.connected(peer)
  }

  /** What waits for the authority goes to it; what it has written of keys and losses is asked for. */
  #authorityAnswered(authority: PeerName, names: Head | null): void {
    this.revoking.retry().catch(() => undefined)
    this.#pulls.namedActsUpTo(authority, names)
  }

  async #tick(): Promise<void> {
    this.#pulls.round()
    this.#leading.round()
    this.#background('offer', this.#tails.offer())
    this.#background('learn', this.#actNews.learnNamed())
  }

  /** Blogs that will not go on by themselves: the authority can do something about it. */
  async #tellTrouble(): Promise<void> {
    const short = await this.#stuck.short(shortMs)
    await this.toAuthority.tellTrouble('sealed', await this.#stuck.sealed(sealedMs))
    await this.toAuthority.tellTrouble('short', short)
  }

  /** Where a log ends here, for `status`. */
  async headOf(log: LogName): Promise<Head | null> {
    return (await this.ingest.record(log))?.head ?? null
  }
}
