import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import type { Fingerprint, KeyRing } from '../../auth/public-key.ts'
import { type Clock, repeat, within } from '../clock.ts'
import type { BlogName, Entry } from '../log/entry.ts'
import { Ingest } from '../log/ingest.ts'
import { type Head, type LogName, namesLog, rosterLog } from '../log/log.ts'
import { parseStoreId, type StoreId } from '../log/peer-text.ts'
import type { Receipt } from '../log/receipt.ts'
import { blogRules, type LogRules } from '../log/rules.ts'
import { type Disk, LogStore } from '../log/store.ts'
import type { GossipVerdict, Network, Pubsub } from '../network.ts'
import { recordPeriodMs } from '../protocol.ts'
import type { Act } from '../registry/act.ts'
import { CouncilLogs } from '../registry/council-logs.ts'
import { namesRules, rosterRules } from '../registry/council-rules.ts'
import { type ProofOfAct, proofRow } from '../registry/proof.ts'
import { type Dht, Registry } from '../registry/registry.ts'
import { authorityOf } from '../registry/roster.ts'
import { Acts } from './acts.ts'
import { Alive, type FetchHello, type Vitals } from './alive.ts'
import { Audits } from './audits.ts'
import { HeldKeys } from './blog-keys.ts'
import { Checker } from './checker.ts'
import { Claims, type NameInDns } from './claim.ts'
import { Gossip } from './gossip.ts'
import { Holders } from './holders.ts'
import { type Decide, Join } from './join.ts'
import { Learners } from './learners.ts'
import { Losses } from './losses.ts'
import { Neighbours } from './neighbours.ts'
import type { DecideOrder } from './orders.ts'
import { Proofs } from './proofs.ts'
import { Pulls } from './pulls.ts'
import { Push } from './push.ts'
import { type DoorLimits, defaultDoorLimits } from './rates.ts'
import { Reader } from './read.ts'
import { Records } from './records.ts'
import { type Kept, Replicas } from './replica.ts'
import { type DecideReport, Reports } from './reports.ts'
import { Revocations } from './revocations.ts'
import { Revoking } from './revoking.ts'
import { Scrub } from './scrub.ts'
import { Seals } from './seals.ts'
import {
  type DecideClaim,
  type DecideDrain,
  type DecideRevoke,
  type HearTrouble,
  Submit,
} from './submit.ts'
import { Sync } from './sync.ts'
import { Tails } from './tails.ts'

/** What replication needs of the world; src/node makes it real, tests make it lossy. */
export type World = {
  readonly network: Network
  readonly pubsub: Pubsub
  /** null where no DHT runs */
  readonly dht: Dht | null
  readonly disk: Disk
  /** an empty store in memory, for a blog that a reader visits */
  readonly memoryDisk: () => Disk
  readonly clock: Clock
  readonly signer: PeerSigner
  readonly keys: KeyRing
  /** a new random store id */
  readonly newStoreId: () => StoreId
  readonly vitals: () => Promise<Vitals>
  readonly fetchHello: FetchHello
  /** 64 random hex digits, for surprise questions; left out: none are asked */
  readonly newNonce?: () => string
  readonly askDns: (blog: BlogName) => Promise<NameInDns>
  /** event name and fields, for the operator's log */
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

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
  /** the authority's decisions, null at other peers */
  readonly authority: {
    readonly decideJoin: Decide
    readonly decideClaim: DecideClaim
    readonly decideRevoke: DecideRevoke
    readonly decideReport?: DecideReport
    readonly decideDrain: DecideDrain
    readonly decideOrder?: DecideOrder
    readonly hearTrouble: HearTrouble
  } | null
}

/** Peers beside the act's replicas that a new primary asks for the head. */
const maxHeadAsked = 20
/** How long receipts gather before the primary passes them on to its secondaries, ms. */
const spreadMs = 200
const checkLaterMs = 500
/** How long a blog may be sealed without a later act before the authority is told, ms. */
const sealedMs = 10_000
/** How long a primary may lack receipts of w replicas before it says so, ms (REPLICATION, Silence). */
const shortMs = 15_000
/** Pause between two goes of the scrub, ms. */
const scrubMs = 1_000
/** Pause between two rounds of surprise questions, ms. */
const auditMs = 10_000
/** How long the authority waits for those that a new act of `@names` is sent to, ms. */
const tellMs = 1_000

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
  readonly reader: Reader
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
  readonly #spreading = new Set<BlogName>()
  #storeId: StoreId | null = null
  #onNewStore = () => {}
  #cancel: (() => void)[] = []
  #stopped = false

  constructor(world: World, options: ExchangeOptions) {
    this.#world = world
    this.#options = options
    const { network, clock, signer, keys } = world
    const storeId = () => this.storeId()
    const store = new LogStore(world.disk)
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
      onAct: (from, log, proof) => this.#onAct(from, log, proof),
      enabled: options.gossip,
    })
    this.submit = new Submit({
      network,
      ingest,
      replicas,
      registry,
      clock,
      decideClaim: options.authority?.decideClaim ?? null,
      decideRevoke: options.authority?.decideRevoke ?? null,
      decideReport: options.authority?.decideReport ?? null,
      decideDrain: options.authority?.decideDrain ?? null,
      decideOrder: options.authority?.decideOrder ?? null,
      hearTrouble: options.authority?.hearTrouble ?? null,
      authority: () => {
        const known = council.roster()
        return known === null ? null : authorityOf(known)
      },
      takeGenesis: (...given) => this.claims.handedOver(...given),
      revoked: this.revocations.of,
      limits: { ...defaultDoorLimits, ...options.limits },
    })
    this.#tails = new Tails({ store, ingest, replicas, submit: this.submit })
    this.claims = new Claims({
      store,
      ingest,
      council,
      replicas,
      push: this.#push,
      submit: this.submit,
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
      network,
      store,
      ingest,
      replicas,
      registry,
      council,
      keys,
      clock,
      memoryDisk: world.memoryDisk,
      claimHere: (id) => this.claims.record(id),
      pull: (peer, blog) => sync.pull(peer, [blog]),
      audits: this.audits,
      proofs: this.proofs,
    })
    this.heldKeys = new HeldKeys({ ingest, store }, replicas)
    this.revoking = new Revoking({
      store,
      council,
      revocations: this.revocations,
      held: this.heldKeys,
      reader: this.reader,
      submit: this.submit,
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
      healed: (log) => this.#healed(log),
      report: world.report,
    })
    this.#records = new Records({ network, replicas, registry })
  }

  #rules(): (log: LogName) => LogRules<unknown> {
    const ofRoster = rosterRules(() => this.#options.councilId)
    const ofNames = namesRules(() => this.council.roster())
    const ofBlogs = blogRules(() => this.council.roster()?.council ?? null, this.#world.keys)
    return (log) => (log === rosterLog ? ofRoster : log === namesLog ? ofNames : ofBlogs)
  }

  /** Name of this data folder's life: receipts, seals and acts name it (REPLICATION, Words). */
  storeId(): StoreId {
    if (this.#storeId === null) throw new Error('the store is not open yet')
    return this.#storeId
  }

  /** Reads what is on disk, serves the protocols, starts the timers. */
  async start(): Promise<void> {
    await this.#openStore()
    await this.council.start()
    await this.revocations.start()
    await this.losses.start()
    await this.proofs.start()
    await this.replicas.start({
      assigned: (kept) => this.#assigned(kept),
      grown: (kept, items) => this.#background('announce', this.#grown(kept, items)),
      given: (kept, receipt) => this.#given(kept, receipt),
      received: (kept) => this.#received(kept),
      contradicted: ({ assignment }, { head, replica }) =>
        this.#searchFork(assignment.blog, head.seq, [replica.peer]),
    })
    await this.#checkStore()
    this.council.onChange((log, acts) => this.#councilChanged(log, acts))
    for (const part of [this.sync, this.#push, this.submit, this.reader, this.alive, this.join])
      part.start()
    await this.claims.start()
    await this.revoking.start()
    this.#gossip.follow()
    this.proofs.follow()
    for (const kept of this.replicas.all()) this.#assigned(kept)
    this.#background('learn', this.#learnNamed())
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

  async #openStore(): Promise<void> {
    const known = parseStoreId(String(await this.store.value('store')))
    this.#storeId = known ?? (await this.#newStore())
  }

  async #newStore(): Promise<StoreId> {
    const id = this.#world.newStoreId()
    await this.store.write([this.store.putValue('store', id)])
    return id
  }

  /** A disk that lost what a receipt of ours covers is a new store: nobody may count on the old one. */
  async #checkStore(): Promise<void> {
    const lost = await this.replicas.lost()
    if (lost.length === 0) return
    this.#storeId = await this.#newStore()
    this.#world.report('store_lost', { blogs: lost, store: this.#storeId })
    await this.replicas.renewed()
  }

  /** Entry 0 of `@roster` is known by its id alone: it is the council's. */
  #isProved(log: LogName, proof: ProofOfAct): boolean {
    const act = this.council.checkProof(proof)
    return act.ok ? act.value.log === log : act.code === 'ACT_LOG' && log === rosterLog
  }

  /** A damaged replica was silent about the blog: it has something to say again. */
  #healed(log: LogName): void {
    const kept = this.replicas.get(log as BlogName)
    if (kept?.role === 'primary') this.#background('lead', this.#lead(kept))
    else if (kept?.role === 'secondary') this.#background('give', this.replicas.give(kept))
  }

  /** Called when this peer's store has become another one while it runs: the council must hear of it. */
  onNewStore(listener: () => void): void {
    this.#onNewStore = listener
  }

  /**
   * This data folder turned out to be an older state of itself: it is a new store from now on, and
   * nothing that was counted on the old one counts (REPLICATION, Words).
   */
  async renewStore(why: string): Promise<void> {
    this.#storeId = await this.#newStore()
    this.#world.report('store_renewed', { why, store: this.#storeId })
    await this.replicas.reload()
    this.#onNewStore()
  }

  /** Work that nobody waits for: its failure is told, and what failed comes again by itself. */
  #background(what: string, work: Promise<unknown>): void {
    work.catch((error: Error) => {
      if (!this.#stopped) this.#world.report(`${what}_failed`, { reason: error.message })
    })
  }

  // What each event leads to.

  #assigned(kept: Kept): void {
    const { blog, primary, epoch, replicas } = kept.assignment
    this.#world.report('assignment', { blog, epoch, role: kept.role, n: replicas.length })
    this.#gossip.follow()
    if (epoch > 1) this.#tails.note(blog)
    if (kept.role === 'primary') this.#background('lead', this.#lead(kept))
    else if (kept.role === 'secondary') this.#pulls.from(primary, [blog])
  }

  async #lead(kept: Kept): Promise<void> {
    if ((await this.replicas.lead(kept)) === null && !(await this.#fetchHead(kept))) return
    this.#push.toAll(kept)
    this.#records.want(kept)
    await this.#records.putDue()
  }

  /** A new primary takes the head that the act names from whoever has it: it is signed. */
  async #fetchHead(kept: Kept): Promise<boolean> {
    const { head, replicas, epoch } = kept.assignment
    // The genesis comes with the claim.
    if (epoch === 1) return false
    const named = replicas.map(({ peer }) => peer)
    // A replica that the act leaves out may be the one that has it.
    const others = this.#world.network.connected().filter((peer) => !named.includes(peer))
    for (const peer of [...named, ...others.slice(0, maxHeadAsked)]) {
      if (peer === this.#world.signer.peer) continue
      await this.sync.pullRange(peer, kept, head).catch(() => undefined)
      if ((await this.replicas.lead(kept)) !== null) return true
    }
    return false
  }

  async #grown(kept: Kept, items: readonly Entry[]): Promise<void> {
    await this.#gossip.announce(kept, items)
    this.#push.afterGossip(kept, this.#gossip.enabled)
  }

  #given(kept: Kept, receipt: Receipt): void {
    this.#push.sendReceipts(kept.assignment.primary, [receipt])
  }

  #received(kept: Kept): void {
    const { blog } = kept.assignment
    if (kept.role !== 'primary') return
    if (this.#records.want(kept)) this.#background('put', this.#records.putDue())
    if (this.#spreading.has(blog)) return
    this.#spreading.add(blog)
    this.#world.clock.after(spreadMs, () => {
      this.#spreading.delete(blog)
      const now = this.replicas.get(blog)
      if (now?.role !== 'primary') return
      for (const { peer } of now.assignment.replicas)
        this.#push.sendReceipts(peer, now.receipts.all())
    })
  }

  #councilChanged(log: LogName, acts: readonly Act[]): void {
    if (log === rosterLog) {
      this.#gossip.follow()
      this.proofs.follow()
      this.#background('read_late', this.#readLate())
      return
    }
    for (const act of acts) {
      const { decision } = act
      if (decision.kind !== 'assign') continue
      const isOurs = decision.replicas.some(({ peer }) => peer === this.#world.signer.peer)
      if (isOurs || this.replicas.get(decision.blog) !== null)
        this.#background('learn', this.#learnAt(act.seq))
    }
  }

  /**
   * Learns what stands in `@names` here and was not learned when it came: the process ended between
   * the two writes, or the disk took only the first.
   */
  async #learnNamed(): Promise<void> {
    const { peer } = this.#world.signer
    for (const { blog, epoch, replicas, seq } of this.council.names()?.blogs.values() ?? []) {
      const known = this.replicas.get(blog)?.assignment.epoch ?? null
      const isOurs = known !== null || replicas.some((each) => each.peer === peer)
      if (isOurs && (known ?? 0) < epoch) await this.#learnAt(seq)
    }
  }

  async #readLate(): Promise<void> {
    if (await this.replicas.readLate()) await this.#checkStore()
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

  async #learnAt(seq: number): Promise<void> {
    const proof = await this.council.proof(namesLog, seq)
    if (proof !== null) await this.replicas.learn(proofRow(proof))
  }

  /** An act that the authority gossiped, its form checked. */
  async #onAct(from: PeerName, log: LogName, proof: ProofOfAct): Promise<GossipVerdict> {
    if (log === rosterLog || this.alive.carriesNames()) {
      const outcome = await this.council.take(log, [proof], 'gossip')
      if (outcome.kind === 'held') return 'accept'
      if (outcome.kind === 'refused' && outcome.refusal.code !== 'ROSTER_BEHIND') return 'reject'
      this.#pulls.from(from, log === rosterLog ? [rosterLog] : [rosterLog, namesLog])
      return 'ignore'
    }
    const act = this.council.checkProof(proof)
    if (!act.ok) {
      if (act.code !== 'ROSTER_BEHIND') return 'reject'
      this.#pulls.from(from, [rosterLog])
      return 'ignore'
    }
    const { decision } = act.value
    if (decision.kind === 'revoke') {
      if (!(await this.revocations.take(proof)).ok) return 'reject'
    } else if (decision.kind === 'loss') {
      if (!(await this.losses.take(proof)).ok) return 'reject'
    } else if (decision.kind === 'assign') {
      const isOurs = decision.replicas.some(({ peer }) => peer === this.#world.signer.peer)
      if (isOurs || this.replicas.get(decision.blog) !== null)
        await this.replicas.learn(proofRow(proof))
    }
    return 'accept'
  }

  /**
   * Tells the council of a new act in force; for the authority. Resolves when the replicas that it
   * names, and of `@names` the peers that carry it, have it, or after a second: gossip and pull
   * bring it to the rest.
   */
  async tell(log: LogName, proof: ProofOfAct, replicas: readonly PeerName[]): Promise<void> {
    const { clock, network, signer } = this.#world
    this.#background('announce', this.#gossip.announceAct(log, proof))
    if (log !== namesLog) return
    const connected = new Set(network.connected())
    const told = [...new Set([...replicas, ...this.neighbours.namesPeers()])]
      .filter((peer) => peer !== signer.peer && connected.has(peer))
      .map((peer) => this.#push.sendAct(peer, proof))
    await within(clock, tellMs, Promise.allSettled(told), [])
  }

  /** The same for assignments that were written together: each peer gets its own in one message. */
  tellAll(written: readonly { proof: ProofOfAct; replicas: readonly PeerName[] }[]): void {
    const { network, signer } = this.#world
    for (const { proof } of written)
      this.#background('announce', this.#gossip.announceAct(namesLog, proof))
    const carriers = new Set(this.neighbours.namesPeers())
    for (const peer of network.connected()) {
      if (peer === signer.peer) continue
      const its = written.filter(({ replicas }) => carriers.has(peer) || replicas.includes(peer))
      const proofs = its.map(({ proof }) => proof)
      // Who does not take them now has them by gossip or with its next pull.
      if (proofs.length > 0) this.#push.sendActs(peer, proofs).catch(() => undefined)
    }
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
    for (const kept of this.replicas.all()) {
      if (kept.role === 'primary' && kept.assignment.replicas.some((each) => each.peer === peer))
        this.#push.to(peer, kept)
    }
  }

  /** What waits for the authority goes to it; what it has written of keys and losses is asked for. */
  #authorityAnswered(authority: PeerName, names: Head | null): void {
    this.revoking.retry().catch(() => undefined)
    this.#pulls.namedActsUpTo(authority, names)
  }

  async #tick(): Promise<void> {
    this.#pulls.round()
    for (const kept of this.replicas.all()) {
      if (kept.role === 'primary') this.#background('lead', this.#lead(kept))
    }
    this.#background('offer', this.#tails.offer())
    this.#background('learn', this.#learnNamed())
  }

  /** Blogs that will not go on by themselves: the authority can do something about it. */
  async #tellTrouble(): Promise<void> {
    const short = await this.replicas.shortFor(shortMs)
    await this.submit.tellTrouble('sealed', this.replicas.sealedFor(sealedMs))
    await this.submit.tellTrouble('short', short)
  }

  /** Where a log ends here, for `status`. */
  async headOf(log: LogName): Promise<Head | null> {
    return (await this.ingest.record(log))?.head ?? null
  }
}
