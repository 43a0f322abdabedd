import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { MemoryLevel } from 'memory-level'
import { type PeerName, type PeerSigner, peerSigner } from '../../../src/auth/peer-signature.ts'
import { KeyRing } from '../../../src/auth/public-key.ts'
import { refuse, type Verdict } from '../../../src/auth/verdict.ts'
import { type AuthorityParts, startAuthority } from '../../../src/node/authority/start-authority.ts'
import { Joining } from '../../../src/node/joining.ts'
import { createLogger } from '../../../src/node/logger.ts'
import { type Clock, repeat } from '../../../src/replication/clock.ts'
import { Exchange } from '../../../src/replication/exchange/exchange.ts'
import { namesLog, rosterLog } from '../../../src/replication/log/log.ts'
import { parseStoreId, type StoreId } from '../../../src/replication/log/peer-text.ts'
import type { Disk } from '../../../src/replication/log/store.ts'
import type { Signed } from '../../../src/replication/log/text.ts'
import type { Role } from '../../../src/replication/registry/act.ts'
import { signHello } from '../../../src/replication/registry/hello.ts'
import { VirtualDht } from './dht.ts'
import { type End, VirtualDisk } from './disk.ts'
import { VirtualNetwork } from './network.ts'
import { OffLoop } from './off-loop.ts'
import { type Random, randomOf } from './random.ts'
import { type Life, VirtualClock } from './virtual-clock.ts'
import { Witness } from './witness.ts'

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
}

/** A peer's machine: its key and disk last, its runs come and go. */
export type Machine = {
  readonly name: string
  readonly plan: PeerPlan
  readonly signer: PeerSigner
  readonly disk: VirtualDisk
  readonly web: string
  life: Life | null
  exchange: Exchange | null
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
  /** one for all: what it answers follows from a key's bytes alone */
  readonly keys = new KeyRing()
  readonly machines: readonly Machine[]
  /** what happened, a line each, with the virtual time */
  readonly trace: string[] = []
  /** rules that were broken, a sentence each */
  readonly broken: string[] = []
  readonly #wanted: number
  #lives = 0

  static async open(plan: CouncilPlan): Promise<VirtualCouncil> {
    const signers = await Promise.all(
      plan.peers.map(async ({ name }) => {
        const draw = randomOf(plan.seed, `key of ${name}`)
        const seed = Uint8Array.from({ length: 32 }, () => draw.between(0, 255))
        return peerSigner(await generateKeyPairFromSeed('Ed25519', seed))
      }),
    )
    return new VirtualCouncil(plan, signers)
  }

  private constructor(plan: CouncilPlan, signers: readonly PeerSigner[]) {
    this.seed = plan.seed
    this.#wanted = plan.replicas
    this.clock = new VirtualClock(startMs, this.offLoop)
    this.machines = plan.peers.map((peer, index) => ({
      name: peer.name,
      plan: peer,
      signer: signers[index] as PeerSigner,
      disk: new VirtualDisk(this.clock, this.random(`disk of ${peer.name}`)),
      web: `http://10.${index + 1}.0.1:80`,
      life: null,
      exchange: null,
    }))
    const disks = new Map(this.machines.map(({ signer, disk }) => [signer.peer, disk]))
    this.witness = new Witness(disks, (rule) => this.breach(rule))
    this.network = new VirtualNetwork({
      clock: this.clock,
      random: this.random('network'),
      watch: (from, message) => this.witness.watch(from, message),
      trouble: (sentence) => this.breach(sentence),
    })
    this.dht = new VirtualDht(this.clock, this.network)
    process.on('unhandledRejection', this.#unhandled)
  }

  [Symbol.dispose](): void {
    process.off('unhandledRejection', this.#unhandled)
    this.offLoop[Symbol.dispose]()
  }

  readonly #unhandled = (reason: unknown) =>
    this.breach(`a promise failed that nobody looks at: ${(reason as Error)?.stack ?? reason}`)

  random(purpose: string): Random {
    return randomOf(this.seed, purpose)
  }

  note(line: string): void {
    const time = new Date(this.clock.now()).toISOString().slice(11, 23)
    this.trace.push(`${time} ${this.#readable(line)}`)
  }

  /** A rule was broken: the run ends with this sentence. */
  breach(rule: string): void {
    this.broken.push(this.#readable(rule))
    this.note(`BROKEN ${rule}`)
  }

  /** The line with the peers' names for their ids. */
  #readable(line: string): string {
    return this.machines.reduce(
      (text, { signer, name }) => text.replaceAll(signer.peer, name),
      line,
    )
  }

  /** Runs a schedule on virtual time; stops at the first broken rule. */
  run<T>(schedule: () => Promise<T>, deadlineMs: number): Promise<T> {
    const check = () => {
      if (this.broken.length > 0) throw new Error(this.broken.join('\n'))
    }
    return this.clock.run(schedule, check, deadlineMs)
  }

  get authority(): Machine {
    return this.machines[0] as Machine
  }

  nameOf(peer: PeerName): string {
    return this.machines.find(({ signer }) => signer.peer === peer)?.name ?? peer
  }

  /** Ends a peer's run now. */
  end(machine: Machine, how: End): void {
    if (machine.life === null) return
    this.note(`${machine.name}: ${how}`)
    if (how === 'stop') machine.exchange?.stop()
    machine.life.isOver = true
    machine.life = null
    machine.exchange = null
    this.network.leave(machine.signer.peer)
    this.dht.leave(machine.signer.peer)
    machine.disk.end(how)
  }

  /** Starts a peer on what its disk holds, as src/node/spoke.ts does. */
  async start(machine: Machine): Promise<void> {
    const { name, plan, signer } = machine
    const life: Life = { name: `${name}${this.#lives++}`, isOver: false }
    const chance = this.random(life.name)
    const clock = this.clock.of(life, chance)
    machine.life = life
    this.note(`${name}: start`)
    const holder: { exchange: Exchange | null; parts: AuthorityParts | null } = {
      exchange: null,
      parts: null,
    }
    const { network, pubsub } = this.network.arrive({
      peer: signer.peer,
      life,
      isMember: (peer) => holder.exchange?.council.isMember(peer) ?? false,
      onConnected: (peer) => holder.exchange?.connected(peer),
    })
    const parts = () => holder.parts as AuthorityParts
    const logger = createLogger('info', {
      write: (line) => this.note(`${name}: ${readLine(line)}`),
    })
    const exchange = new Exchange(
      {
        network,
        pubsub,
        dht: this.dht.of(signer.peer),
        disk: machine.disk.open(life),
        memoryDisk: () => new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' }) as Disk,
        clock,
        signer,
        keys: this.keys,
        newStoreId: () => newStoreId(chance),
        vitals: async () => ({ freeBytes: 1e9, load: 0 }),
        fetchHello: (url, nonce) => this.#fetchHello(machine, clock, url, nonce),
        askDns: async () => 'no answer',
        report: (event, fields) => this.note(`${name}: ${event} ${JSON.stringify(fields)}`),
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
            }
          : null,
      },
    )
    holder.exchange = exchange
    if (plan.roles.includes('authority')) {
      exchange.council.onChange((log, acts) => {
        for (const { id, decision } of log === namesLog ? acts : []) {
          if (decision.kind === 'assign') this.witness.assigned(id, decision.replicas)
        }
      })
    }
    await exchange.start()
    machine.exchange = exchange
    if (plan.roles.includes('authority')) {
      holder.parts = await startAuthority(
        { zone, edit: 'dotted', replicas: this.#wanted, admission: 'open' },
        {
          exchange,
          keys: this.keys,
          clock,
          log: logger.forComponent('council:authority'),
          fetchHello: (url, nonce) => this.#fetchHello(machine, clock, url, nonce),
          signer,
          failover: { silenceMs, replaceAfterMs },
        },
      )
    }
    this.#join(machine, exchange, clock, logger.forComponent('council:join'))
  }

  #join(
    machine: Machine,
    exchange: Exchange,
    clock: Clock,
    log: ReturnType<ReturnType<typeof createLogger>['forComponent']>,
  ): void {
    const { name, plan, signer, web } = machine
    const dialWanted = () => {
      const connected = exchange.partners().filter((peer) => peer !== signer.peer)
      for (const peer of connected) this.network.dial(signer.peer, peer)
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
      refused: (reason) => this.breach(`${name} is refused by its council: ${reason}`),
      pending: (reason) => this.breach(`${name} is made to wait by its council: ${reason}`),
    })
  }

  #knownId: string | null = null

  /** What newcomers are told: the trust anchor, known once the council is founded. */
  #councilId(): string {
    const roster = this.authority.exchange?.council.roster() ?? null
    if (roster !== null) this.#knownId = roster.councilId
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

const newStoreId = (random: Random): StoreId =>
  parseStoreId(
    Array.from({ length: 32 }, () => random.between(0, 15).toString(16)).join(''),
  ) as StoreId

/** A log line without the machine's own time. */
function readLine(line: string): string {
  const { level: _, time: __, msg, component, ...fields } = JSON.parse(line)
  return `${component} ${msg} ${JSON.stringify(fields)}`
}
