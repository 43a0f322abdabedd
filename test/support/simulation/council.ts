import { createPrivateKey, createPublicKey } from 'node:crypto'
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import type { Ed25519PrivateKey } from '@libp2p/interface'
import { decode } from 'cborg'
import { MemoryLevel } from 'memory-level'
import { type PeerName, type PeerSigner, peerSigner } from '../../../src/auth/peer-signature.ts'
import { KeyRing } from '../../../src/auth/public-key.ts'
import { refuse, type Verdict } from '../../../src/auth/verdict.ts'
import { type AuthorityParts, startAuthority } from '../../../src/node/authority/start-authority.ts'
import { Joining } from '../../../src/node/joining.ts'
import { createLogger } from '../../../src/node/logger.ts'
import { type Clock, repeat } from '../../../src/replication/clock.ts'
import { Exchange } from '../../../src/replication/exchange/exchange.ts'
import { rosterLog } from '../../../src/replication/log/log.ts'
import { parseStoreId, type StoreId } from '../../../src/replication/log/peer-text.ts'
import type { Disk } from '../../../src/replication/log/store.ts'
import type { Signed } from '../../../src/replication/log/text.ts'
import type { Role } from '../../../src/replication/registry/act.ts'
import { signHello } from '../../../src/replication/registry/hello.ts'
import type { Rule } from './breach.ts'
import { VirtualDht } from './dht.ts'
import { type End, VirtualDisk } from './disk.ts'
import { bendFor, keepNothing, type Lie } from './lies.ts'
import { VirtualNetwork } from './network.ts'
import { OffLoop } from './off-loop.ts'
import { type Random, randomOf } from './random.ts'
import type { Rows } from './rows.ts'
import { Life, type Reading, VirtualClock } from './virtual-clock.ts'
import { type Seat, Witness } from './witness.ts'

/** One for all, in all runs of a process: what it answers follows from a key's bytes alone. */
const ring = new KeyRing()
const zone = 'blogs.example.org'
const startMs = Date.UTC(2026, 10, 23, 3, 40)
const silenceMs = 15_000
const replaceAfterMs = 20_000
const pullMs = 30_000
/** How often a peer dials whom it wants to be connected with, ms. */
const superviseMs = 5_000

export type PeerPlan = { readonly name: string; readonly roles: readonly Role[] }
export type CouncilPlan = {
  readonly seed: number
  /** the authority first: it founds the council */
  readonly peers: readonly PeerPlan[]
  /** wanted number of replicas of a blog */
  readonly replicas: number
  /** breaks a rule at a peer before it starts, to see that this is noticed */
  readonly tamper?: (machine: Machine, exchange: Exchange, machines: readonly Machine[]) => void
  /** replicas that lie, by name; left out: nobody */
  readonly liars?: Readonly<Record<string, Lie>>
  /** what the clocks of machines show, by name; left out: the time */
  readonly clocks?: Readonly<Record<string, Reading>>
  /** what a disk's new life is called; left out: a new random store id, as REPLICATION wants it */
  readonly storeIdOf?: (machine: Machine) => StoreId
  /** kinds of rule that nobody watches, to see that what they lead to is noticed too */
  readonly deafTo?: readonly Rule[]
  /** whether messages travel as copies, not as the bytes of frames; left out: as bytes */
  readonly isCopied?: boolean
}

/** A peer's machine: its key and disk last, its runs come and go. */
export type Machine = {
  readonly name: string
  readonly plan: PeerPlan
  readonly signer: PeerSigner
  readonly disk: VirtualDisk
  /** how the witness knows it */
  readonly seat: Seat
  /** what its clock shows of the time that it is */
  readonly reading: Reading
  readonly web: string
  life: Life | null
  exchange: Exchange | null
  /** what it decides with as the authority, while it runs */
  authority: AuthorityParts | null
  /** whether it was ever started: some join later */
  hasStarted: boolean
  /** the store id that its disk names; null when it is empty */
  readonly storeOnDisk: () => string | null
}

/**
 * Real exchanges and the real authority in one process, put together as src/node/spoke.ts does, on
 * virtual time, disks and network. Everything follows from the seed.
 */
export class VirtualCouncil {
  readonly seed: number
  readonly offLoop = new OffLoop()
  readonly clock: VirtualClock
  readonly network: VirtualNetwork
  readonly dht: VirtualDht
  readonly witness: Witness
  readonly keys = ring
  readonly machines: readonly Machine[]
  /** a second process with the authority's key, on a copy of its folder; null when there is none */
  copy: Machine | null = null
  readonly #lines: { readonly atMs: number; readonly line: () => string }[] = []
  /** rules that were broken, a sentence each */
  readonly broken: { readonly rule: Rule; readonly sentence: string }[] = []
  readonly #plan: CouncilPlan
  #lives = 0

  static async open(plan: CouncilPlan): Promise<VirtualCouncil> {
    const signers = await Promise.all(
      plan.peers.map(async ({ name }) => {
        const draw = randomOf(plan.seed, `key of ${name}`)
        const seed = Uint8Array.from({ length: 32 }, () => draw.between(0, 255))
        return peerSigner(keyFrom(seed))
      }),
    )
    return new VirtualCouncil(plan, signers)
  }

  private constructor(plan: CouncilPlan, signers: readonly PeerSigner[]) {
    this.seed = plan.seed
    this.#plan = plan
    this.clock = new VirtualClock(startMs, this.offLoop)
    this.machines = plan.peers.map((peer, index) =>
      this.#machine(peer, signers[index] as PeerSigner, `http://10.${index + 1}.0.1:80`),
    )
    const seats = this.machines.map(({ seat }) => seat)
    this.witness = new Witness(seats, this.clock.now, (rule, sentence) =>
      this.breach(rule, sentence),
    )
    this.network = new VirtualNetwork({
      clock: this.clock,
      random: this.random('network'),
      trouble: (sentence) => this.breach('conduct', sentence),
      isCopied: plan.isCopied ?? false,
    })
    this.dht = new VirtualDht(this.clock, this.network)
    process.on('unhandledRejection', this.#unhandled)
  }

  [Symbol.dispose](): void {
    process.off('unhandledRejection', this.#unhandled)
    this.offLoop[Symbol.dispose]()
  }

  #machine(plan: PeerPlan, signer: PeerSigner, web: string): Machine {
    const { name } = plan
    const chance = this.random(`disk of ${name}`)
    const disk: VirtualDisk = new VirtualDisk(this.clock, chance, (operations, isWritten) =>
      isWritten ? this.witness.wrote(seat, operations) : this.witness.refused(seat, operations),
    )
    const lies = this.lieOf(name) !== null
    const seat: Seat = { name, peer: signer.peer, disk, lies }
    return {
      ...{ name, plan, signer, disk, seat, web, hasStarted: false },
      reading: { ...(this.#plan.clocks?.[name] ?? { aheadMs: 0, drift: 0 }) },
      ...{ life: null, exchange: null, authority: null },
      storeOnDisk: () => {
        const value = disk.read('store')
        return value === undefined ? null : (decode(value) as string)
      },
    }
  }

  /** How a machine lies; null: it does not. */
  lieOf(name: string): Lie | null {
    return this.#plan.liars?.[name] ?? null
  }

  readonly #unhandled = (reason: unknown) =>
    this.breach(
      'conduct',
      `a promise failed that nobody looks at: ${(reason as Error)?.stack ?? reason}`,
    )

  random(purpose: string): Random {
    return randomOf(this.seed, purpose)
  }

  /** Writes down what happens; put into words only when somebody reads the trace. */
  note(line: string | (() => string)): void {
    this.#lines.push({
      atMs: this.clock.now(),
      line: typeof line === 'string' ? () => line : line,
    })
  }

  /** What happened, a line each, with the virtual time. */
  trace(): string[] {
    return this.#lines.map(({ atMs, line }) => {
      const time = new Date(atMs).toISOString().slice(11, 23)
      return `${time} ${this.#readable(line())}`
    })
  }

  /** A rule was broken: the run ends with this sentence. */
  breach(rule: Rule, sentence: string): void {
    if (this.#plan.deafTo?.includes(rule) || this.#isExcused(rule)) return
    this.broken.push({ rule, sentence: this.#readable(sentence) })
    this.note(`BROKEN ${rule}: ${sentence}`)
  }

  /** Published survives liars as long as its primary is asked before another one leads. */
  #isExcused(rule: Rule): boolean {
    return rule === 'published' && this.#plan.liars !== undefined && this.hasMoved
  }

  /** Whether any blog is led under a later act than its first. */
  get hasMoved(): boolean {
    return this.witness.ledger.changes().failovers > 0
  }

  /** The line with the peers' names for their ids. */
  #readable(line: string): string {
    return this.machines.reduce(
      (text, { signer, name }) => text.replaceAll(signer.peer, name),
      line,
    )
  }

  /** Runs a schedule on virtual time; throws `Broken` at the first rule that is broken. */
  run<T>(schedule: () => Promise<T>, deadlineMs: number): Promise<T> {
    const check = () => {
      const [first] = this.broken
      if (first !== undefined) throw new Broken(first.rule, first.sentence)
    }
    return this.clock.run(schedule, check, deadlineMs)
  }

  get authority(): Machine {
    return this.machines[0] as Machine
  }

  get spokes(): Machine[] {
    return this.machines.filter(({ plan }) => plan.roles.includes('spoke'))
  }

  /** who was reported for an answer that it signed, and that is a lie */
  readonly reports = new Set<PeerName>()
  /** lies that were told */
  lies = 0

  /** An honest peer reports none but a liar; that one did not answer may be the network's fault. */
  #reported({ seat, name }: Machine, { peer, found }: Reported): void {
    if (seat.lies || found === 'no answer') return
    this.reports.add(peer)
    if (!this.machines.some((each) => each.seat.peer === peer && each.seat.lies))
      this.breach('conduct', `${name} reports ${peer}, which is honest: ${found}`)
  }

  /** Starts a peer; nobody waits until it is up, since it may end before. */
  launch(machine: Machine): void {
    this.start(machine).catch((error: Error & { code?: string }) => {
      if (error.code !== 'STORE_WRITE_FAILED') {
        this.breach('conduct', `${machine.name} does not start: ${error.stack}`)
        return
      }
      // A start that a full disk refuses is tried again, as by whoever looks after the process.
      this.note(`${machine.name}: did not start: ${error.message}`)
      this.end(machine, 'kill')
      this.clock.after(1_000, () => {
        if (machine.life === null) this.launch(machine)
      })
    })
  }

  nameOf(peer: PeerName): string {
    return this.machines.find(({ signer }) => signer.peer === peer)?.name ?? peer
  }

  /** The peer's machine comes back with an empty disk: a new store. */
  lose(machine: Machine): void {
    this.end(machine, 'power loss')
    this.note(`${machine.name}: the disk is lost`)
    machine.disk.lose()
    this.witness.lost(machine.seat)
  }

  /** The peer's machine comes back with what its disk held when a backup was made. */
  restore(machine: Machine, backup: Rows): void {
    this.end(machine, 'power loss')
    this.note(`${machine.name}: the disk is set back to an older state`)
    machine.disk.restore(backup)
    this.witness.lost(machine.seat)
  }

  /** A second process starts with the authority's key, on a copy of what its disk holds for sure now. */
  startCopy(): Machine {
    const { plan, signer, web, disk } = this.authority
    const name = `${plan.name}'${this.#lives}`
    const copy = this.#machine({ ...plan, name }, signer, web)
    this.note(`${name}: a copy of the folder of ${plan.name}`)
    copy.disk.restore(disk.backUp())
    // No folder but this one is at this place of a disk.
    copy.disk.folders = disk.folders + 1_000 * this.#lives
    this.copy = copy
    this.launch(copy)
    return copy
  }

  /** The copy's process ends; @returns what its folder holds */
  endCopy(): Rows | null {
    const { copy } = this
    this.copy = null
    if (copy === null) return null
    this.end(copy, 'kill')
    this.witness.doubled(this.authority.seat)
    return copy.disk.backUp()
  }

  /** Ends a peer's run now. */
  end(machine: Machine, how: End): void {
    if (machine.life === null) return
    this.note(`${machine.name}: ${how}`)
    if (how === 'stop') machine.exchange?.stop()
    this.network.leave(machine.signer.peer, machine.life)
    if (this.machines.includes(machine)) this.dht.leave(machine.signer.peer)
    machine.life.isOver = true
    machine.life = null
    machine.exchange = null
    machine.authority = null
    machine.disk.end(how)
  }

  /** Starts a peer on what its disk holds, as src/node/spoke.ts does. */
  async start(machine: Machine): Promise<void> {
    const { name, plan, signer } = machine
    const life = new Life(`${name}${this.#lives++}`)
    const chance = this.random(life.name)
    const clock = this.clock.of(life, chance, machine.reading)
    const isCopy = !this.machines.includes(machine)
    machine.life = life
    machine.hasStarted = true
    this.note(`${name}: start`)
    const lie = this.lieOf(name)
    const holder: { exchange: Exchange | null; parts: AuthorityParts | null } = {
      exchange: null,
      parts: null,
    }
    const { network, pubsub } = this.network.arrive({
      peer: signer.peer,
      life,
      bend: lie === null ? undefined : bendFor(lie, () => this.lies++),
      watch: (message) => this.witness.watch(machine.seat, message),
      isMember: (peer) => holder.exchange?.council.isMember(peer) ?? false,
      onConnected: (peer) => holder.exchange?.connected(peer),
    })
    const parts = () => holder.parts as AuthorityParts
    const logger = createLogger('info', {
      write: (line) => this.note(() => `${name}: ${readLine(line)}`),
    })
    const exchange = new Exchange(
      {
        network,
        pubsub,
        // A table knows a peer by its name: of two with one name it has the first.
        dht: isCopy ? null : this.dht.of(signer.peer),
        disk: machine.disk.open(life),
        memoryDisk: () => new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' }) as Disk,
        clock,
        signer,
        keys: this.keys,
        newStoreId: () => this.#plan.storeIdOf?.(machine) ?? newStoreId(chance),
        // Where nobody lies surprise questions find nothing, and take their time.
        ...(this.#plan.liars === undefined ? {} : { newNonce: () => newNonce(chance) }),
        vitals: async () => ({ freeBytes: 1e9, load: 0 }),
        fetchHello: (url, nonce) => this.#fetchHello(machine, clock, url, nonce),
        askDns: async () => 'no answer',
        report: (event, fields) => {
          this.note(() => `${name}: ${event} ${JSON.stringify(fields)}`)
          if (event === 'reported') this.#reported(machine, fields as Reported)
        },
      },
      {
        councilId: machine === this.authority ? null : this.#councilId(),
        silenceMs,
        pullMs,
        gossip: true,
        push: true,
        pull: true,
        // Disks lose what was not synced here, and alter nothing.
        scrub: false,
        authority: plan.roles.includes('authority')
          ? {
              decideJoin: (...asked) => parts().admissions.decideJoin(...asked),
              decideClaim: (genesis, offer, via) =>
                parts().authority.decideClaim(genesis, offer, via as PeerName),
              decideRevoke: (asked) => parts().revocations.decide(asked),
              decideDrain: (asked) => parts().moves.drain(asked),
              hearTrouble: (...said) => parts().hearTrouble(...said),
            }
          : null,
      },
    )
    holder.exchange = exchange
    if (!isCopy) this.dht.arrive(signer.peer, life, exchange.registry)
    if (lie === 'keeps nothing') keepNothing(machine, exchange, () => this.lies++)
    this.#plan.tamper?.(machine, exchange, this.machines)
    await exchange.start()
    machine.exchange = exchange
    if (plan.roles.includes('authority')) {
      holder.parts = await startAuthority(
        { zone, edit: 'dotted', replicas: this.#plan.replicas, admission: 'open' },
        {
          exchange,
          keys: this.keys,
          clock,
          log: logger.forComponent('council:authority'),
          fetchHello: (url, nonce) => this.#fetchHello(machine, clock, url, nonce),
          folderMark: async () => `folder ${machine.disk.folders}`,
          signer,
          failover: { silenceMs, replaceAfterMs },
        },
      )
      machine.authority = holder.parts
    }
    this.#join(machine, life, clock, logger.forComponent('council:join'))
  }

  #join(
    machine: Machine,
    life: Life,
    clock: Clock,
    log: ReturnType<ReturnType<typeof createLogger>['forComponent']>,
  ): void {
    const { plan, signer, web } = machine
    const exchange = machine.exchange as Exchange
    // Whose folder it is a copy of has that name.
    const name = this.nameOf(signer.peer)
    const dialWanted = () => {
      const connected = exchange.neighbours.partners().filter((peer) => peer !== signer.peer)
      for (const peer of connected) this.network.dial(signer.peer, peer, life)
    }
    exchange.council.onChange((changed) => {
      if (changed === rosterLog) dialWanted()
    })
    repeat(clock, superviseMs, async () => dialWanted())
    dialWanted()
    const host = new URL(web).hostname
    const joining = new Joining({
      join: exchange.join,
      council: exchange.council,
      signer,
      clock,
      log,
      record: () => ({
        peer: signer.peer,
        name,
        store: exchange.storeId(),
        roles: plan.roles,
        addresses: [`/ip4/${host}/tcp/4001`],
        web: [web],
        dns: [],
        operator: name,
        network: null,
        country: null,
      }),
      invitation: null,
      dialBootstrap: async () => this.authority.signer.peer,
      hangUp: async () => undefined,
    })
    joining.start({
      admitted: () => {
        dialWanted()
        exchange.alive.send().catch(() => undefined)
      },
      refused: (reason) => this.breach('conduct', `${name} is refused by its council: ${reason}`),
      pending: (reason) =>
        this.breach('conduct', `${name} is made to wait by its council: ${reason}`),
    })
  }

  #knownId: string | null = null

  /** From now on newcomers are told the trust anchor, whether the authority runs or not. */
  knowId(): void {
    this.#knownId = this.authority.exchange?.council.roster()?.councilId ?? null
  }

  #councilId(): string {
    if (this.#knownId === null) throw new Error('the council is not founded yet')
    return this.#knownId
  }

  async #fetchHello(
    by: Machine,
    clock: Clock,
    url: string,
    nonce: string,
  ): Promise<Verdict<Signed>> {
    const there = this.machines.find(({ web }) => web === url)
    await new Promise<void>((resolve) => {
      clock.after(2 * this.network.delayMs(), resolve)
    })
    const isHere = there === by
    const council = there?.exchange?.council.roster()?.council
    const reached =
      there !== undefined &&
      there.life !== null &&
      (isHere || this.network.reaches(by.signer.peer, there.signer.peer))
    return reached && council !== undefined
      ? signHello(there.signer, council, nonce)
      : refuse('HELLO_UNREACHABLE', `Nobody answers at ${url}.`)
  }
}

/** An Ed25519 key from its seed, as the library makes it, but by OpenSSL. */
function keyFrom(seed: Uint8Array) {
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
  const secret = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  const point = createPublicKey(secret).export({ format: 'der', type: 'spki' }).subarray(-32)
  return privateKeyFromRaw(Buffer.concat([seed, point])) as Ed25519PrivateKey
}

type Reported = { readonly peer: PeerName; readonly found: string }

/** A rule did not hold. */
export class Broken extends Error {
  readonly rule: Rule
  readonly sentence: string

  constructor(rule: Rule, sentence: string) {
    super(`${rule}: ${sentence}`)
    this.rule = rule
    this.sentence = sentence
  }
}

const hexDigits = (random: Random, count: number) =>
  Array.from({ length: count }, () => random.between(0, 15).toString(16)).join('')

export const newStoreId = (random: Random): StoreId =>
  parseStoreId(hexDigits(random, 32)) as StoreId

const newNonce = (random: Random) => hexDigits(random, 64)

/** A log line without the machine's own time. */
function readLine(line: string): string {
  const { level: _, time: __, msg, component, ...fields } = JSON.parse(line)
  return `${component} ${msg} ${JSON.stringify(fields)}`
}
