import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, vi } from 'vitest'
import { z } from 'zod'
import { AdminClient } from '../../src/node/admin/admin-client.ts'
import { cutOff } from '../../src/node/admin/cutoff.ts'
import { type Answer, SpokeClient } from '../../src/node/blogger/client.ts'
import { readConfig } from '../../src/node/config.ts'
import { createLogger } from '../../src/node/logger.ts'
import { type RunningPeer, startPeer } from '../../src/node/spoke.ts'
import type { Gathering } from '../../src/replication/aggregation/gathering.ts'
import type { Exchange } from '../../src/replication/exchange/exchange.ts'
import type { Head } from '../../src/replication/log/log.ts'
import { genesis, post, type SignedEntry, type Signer } from './author.ts'
import { SmallDisk } from './small-disk.ts'

export const zone = 'blogs.localhost'
/** How long a peer may take to be admitted, on a machine that does much else. */
const startMs = 90_000
/** What peers in processes of their own keep from start to start, as `./council` does. */
const compiled = join(tmpdir(), 'council-test-compiled')
const cli = join(import.meta.dirname, '../../src/node/cli.ts')

/**
 * Nobody counts as silent while a test runs, however busy the machine is: no blog moves by itself,
 * and the authority holds the council's logs alone. Tests of what follows a silence set their own.
 */
const noSilence = { silenceMs: 600_000 }
const noMarks = { newBlogsPercent: 100, copiesPercent: 100, replacePercent: 100, reserveMiB: 0 }

/** Waits until `check` no longer throws: a condition, never a time. The deadline is generous. */
export function soon<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 30_000, interval: 100 })
}

/** Sections of a peer's config that a test may set. */
export type PeerSettings = {
  readonly exchange?: {
    readonly pullMs?: number
    readonly gossip?: boolean
    readonly push?: boolean
    readonly pull?: boolean
  }
  /** by default nobody is ever silent */
  readonly failover?: { readonly silenceMs: number; readonly replaceAfterMs?: number }
  /** marks of the disk; by default none is ever reached, so that a test goes well on a full one */
  readonly disk?: Readonly<Record<string, number>>
  /** when a blog gets more copies for its readers; by default as the config has it */
  readonly load?: Readonly<Record<string, number>>
  /** key servers that each spoke asks; none by default */
  readonly keys?: { readonly servers: readonly string[]; readonly allowPrivate: boolean }
  /** what each spoke takes of one blog; by default as the config has it */
  readonly limits?: { readonly blogBurst?: number; readonly blogHourly?: number }
}

export type CouncilInit = PeerSettings & {
  /** how many: a, b, c … */
  readonly spokes: number
  /** the first spoke, or a peer of its own named `authority` that is no spoke; default `first` */
  readonly authority?: 'first' | 'apart'
  /** spokes that answer DNS; the authority does anyway */
  readonly dns?: readonly string[]
  /** peers that gather for the circles */
  readonly aggregators?: readonly string[]
  /** whom the authority admits; default `open` */
  readonly admission?: 'open' | 'approve' | 'invite'
  /** copies wanted of each blog; default 3 */
  readonly replicas?: number
  /** peers whose data is on a file system of their own, of so many MiB; with `processes` only */
  readonly smallDisks?: Readonly<Record<string, number>>
  /** reports by so many operators cut a spoke off; default null: never */
  readonly cutoffReports?: number | null
  /** each peer is a process of its own, which can be killed; else all live in this one */
  readonly processes?: boolean
  /** each peer has a loopback address of its own, and all the same HTTP port, so that a DNS answer leads to it */
  readonly ownAddresses?: boolean
}

/** `/_council/status`, as far as tests read it. */
export type Status = {
  readonly council: string | null
  readonly member: boolean
  readonly logs: Readonly<Record<string, Head | null>>
  readonly members: readonly {
    readonly name: string
    readonly peer: string
    readonly web: readonly string[]
    readonly connected: boolean
    readonly follows: boolean
    readonly heard?: boolean
    readonly mark?: string | null
    readonly cutOff: boolean
    readonly away: boolean
  }[]
  readonly blogs: readonly {
    readonly blog: string
    readonly role: 'primary' | 'secondary' | 'none'
    readonly head: Head | null
    readonly published: number
    readonly replicas: number
  }[]
  readonly scrub: {
    readonly damaged: number
    readonly healed: number
    readonly now: readonly { readonly log: string; readonly seqs: readonly number[] }[]
  }
  readonly came: Readonly<Record<'submit' | 'gossip' | 'push' | 'pull', number>>
}

/** What `start --json` says of a running peer. */
type PeerLine = {
  readonly peerId: string
  readonly council: string
  readonly bootstrap: string
  readonly addresses: readonly string[]
  readonly http: Address | null
  readonly dns: Address | null
}
type Address = { readonly host: string; readonly port: number }
type Running = {
  readonly line: PeerLine
  /** null: it is another process */
  readonly peer: RunningPeer | null
  readonly pid: number | null
  readonly end: (signal: 'SIGTERM' | 'SIGKILL') => Promise<void>
}

/** A council of real peers on loopback addresses; disposing it ends them all. */
export async function startCouncil(init: CouncilInit): Promise<TestCouncil> {
  const folder = await mkdtemp(join(tmpdir(), 'council-test-'))
  const port = init.ownAddresses === true ? await freePort() : 0
  const council = new TestCouncil(init, folder, port)
  try {
    await council.start()
    return council
  } catch (error) {
    await council[Symbol.asyncDispose]()
    throw error
  }
}

export class TestCouncil {
  /** in the order in which they joined */
  readonly peers: TestPeer[] = []
  readonly #init: CouncilInit
  readonly #folder: string
  readonly #port: number

  constructor(init: CouncilInit, folder: string, port: number) {
    this.#init = init
    this.#folder = folder
    this.#port = port
  }

  async start(): Promise<void> {
    const { spokes, authority = 'first' } = this.#init
    const names = Array.from({ length: spokes }, (_, index) => String.fromCharCode(97 + index))
    if (authority === 'apart') names.unshift('authority')
    const [first, ...rest] = names as [string, ...string[]]
    await this.#add(first, null)
    await Promise.all(rest.map((name) => this.#add(name, this.authority.line.bootstrap)))
    this.peers.sort((a, b) => names.indexOf(a.name) - names.indexOf(b.name))
    await this.ready()
    if (this.#init.failover !== undefined) await this.whenHeld()
  }

  /**
   * Waits until the council's own logs have as many holders as it has peers for: until then an act
   * may need one peer or more than half of three or five, by how quick the machine is.
   */
  async whenHeld(): Promise<void> {
    const count = this.peers.length
    const wanted = count >= 5 ? 5 : count >= 3 ? 3 : 1
    await soon(async () => expect(await this.spokes[0]?.holders()).toHaveLength(wanted))
  }

  /** One more spoke joins. Rejects with the authority's sentence when it is refused. */
  async join(name: string, bootstrap = this.authority.line.bootstrap): Promise<TestPeer> {
    return this.#add(name, bootstrap)
  }

  async #add(name: string, bootstrap: string | null): Promise<TestPeer> {
    const { replicas = 3, admission = 'open', cutoffReports = null } = this.#init
    const { exchange, failover, limits } = this.#init
    const { ownAddresses, authority, dns, keys, disk, load, aggregators } = this.#init
    const host = ownAddresses === true ? `127.0.20.${11 + this.peers.length}` : '127.0.0.1'
    const isSpoke = bootstrap !== null || authority !== 'apart'
    const folder = join(this.#folder, name)
    const mib = this.#init.smallDisks?.[name]
    const small = mib === undefined ? null : await SmallDisk.mount(join(folder, 'data'), mib)
    const peer = new TestPeer(name, folder, this.#init.processes === true ? { small } : null, {
      data: './data',
      name,
      operator: `Group ${name}`,
      peer: { listen: [`/ip4/${host}/tcp/0`] },
      council: bootstrap === null ? { zone } : { bootstrap },
      web: { origin: this.#port === 0 ? 'http://{host}' : `http://{host}:${this.#port}` },
      ...(isSpoke ? { spoke: { host, port: this.#port } } : {}),
      ...(bootstrap === null || dns?.includes(name) ? { dns: { host, port: 0 } } : {}),
      ...(aggregators?.includes(name) ? { aggregator: {} } : {}),
      ...(bootstrap === null ? { authority: { admission, replicas, cutoffReports } } : {}),
      exchange: { pullMs: 1_000, ...exchange },
      failover: failover ?? noSilence,
      disk: disk ?? noMarks,
      ...(load === undefined ? {} : { load }),
      ...(limits === undefined ? {} : { limits }),
      ...(keys === undefined ? {} : { keys }),
      log: { level: 'warn' },
    })
    this.peers.push(peer)
    await peer.start()
    return peer
  }

  get authority(): TestPeer {
    return this.peers[0] as TestPeer
  }

  get spokes(): TestPeer[] {
    return this.peers.filter((peer) => peer.isSpoke)
  }

  peer(name: string): TestPeer {
    const peer = this.peers.find((each) => each.name === name)
    if (peer === undefined) throw new Error(`there is no peer ${name}`)
    return peer
  }

  /** `zone/council id` */
  get id(): string {
    return this.authority.line.council
  }

  /** Cuts a spoke off, as the authority's operator does. */
  async cutOff(name: string, reason: string): Promise<void> {
    const io = { data: () => undefined, say: () => undefined, env: {}, now: Date.now }
    await cutOff('cutoff', name, { config: this.authority.config, reason }, io as never)
  }

  /** Waits until all running peers know each other, are connected, listed and heard. */
  async ready(): Promise<void> {
    const running = this.peers.filter((peer) => peer.isRunning)
    const names = new Set(running.map((peer) => peer.name))
    await soon(async () => {
      for (const spoke of running.filter((peer) => peer.isSpoke)) {
        const { members } = await spoke.status()
        const connected = members.filter((each) => each.connected).map((each) => each.name)
        expect(new Set(connected)).toEqual(names)
        for (const { name, web } of members)
          expect(web.length).toBe(this.peer(name).isSpoke ? 1 : 0)
      }
    })
    if (this.authority.isRunning) await soon(() => this.#allHeard(running))
  }

  async #allHeard(running: readonly TestPeer[]): Promise<void> {
    const { authority } = this
    const heard = authority.isSpoke
      ? (await authority.status()).members.filter((each) => each.heard).map((each) => each.peer)
      : running.map((peer) => peer.line.peerId).filter((id) => authority.hears(id))
    for (const peer of running) expect(heard).toContain(peer.line.peerId)
  }

  /** Claims a blog at a spoke and waits until it takes writes. */
  async claim(name: string, signer: Signer, at: TestPeer = this.spokes[0] as TestPeer) {
    const blog = new TestBlog(this, name, signer, await genesis(signer, this.#of(name)))
    await blog.handIn(at)
    await blog.whenReady(at)
    await this.#whenKept(blog, at)
    return blog
  }

  /** A claim is ready by w of its replicas: the last one may hear of it a moment later. */
  async #whenKept(blog: TestBlog, at: TestPeer): Promise<void> {
    await soon(async () => {
      const { act } = json<{ act: { text: string } }>(await at.ask('/log.json', blog.host))
      const named = [...act.text.matchAll(/^replica (\S+) /gm)].map(([, peer]) => peer as string)
      const running = this.spokes.filter(({ isRunning }) => isRunning)
      const keepers = running.filter(({ line }) => named.includes(line.peerId))
      const { none } = await this.roles(blog.name)
      expect(none.filter((spoke) => keepers.includes(spoke)).map(({ name }) => name)).toEqual([])
    })
  }

  #of(blog: string) {
    return { council: this.id, blog }
  }

  /** The genesis of a blog that nobody has claimed yet. */
  async sign(name: string, signer: Signer): Promise<TestBlog> {
    return new TestBlog(this, name, signer, await genesis(signer, this.#of(name)))
  }

  /** Running spokes by what they are to a blog, each by its own word; `none`: they hold nothing of it. */
  async roles(blog: string): Promise<Record<'primary' | 'secondary' | 'none', TestPeer[]>> {
    const roles: Record<'primary' | 'secondary' | 'none', TestPeer[]> = {
      ...{ primary: [], secondary: [], none: [] },
    }
    for (const spoke of this.spokes.filter(({ isRunning }) => isRunning)) {
      const kept = (await spoke.status()).blogs.find((each) => each.blog === blog)
      roles[kept?.role ?? 'none'].push(spoke)
    }
    return roles
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.peers.map((peer) => peer.end()))
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** One peer of a test: its folder, and the process or the part of this one that runs it. */
export class TestPeer {
  readonly name: string
  readonly folder: string
  readonly isSpoke: boolean
  /** null: it lives in this process */
  readonly #process: { readonly small: SmallDisk | null } | null
  #config: Config
  #running: Running | null = null
  #line: PeerLine | null = null
  #words = ''
  #starting: Promise<void> = Promise.resolve()

  constructor(
    name: string,
    folder: string,
    process: { readonly small: SmallDisk | null } | null,
    config: Config,
  ) {
    this.name = name
    this.folder = folder
    this.isSpoke = config.spoke !== undefined
    this.#process = process
    this.#config = config
  }

  /** Its council.json, for commands. */
  get config(): string {
    return join(this.folder, 'council.json')
  }

  get isRunning(): boolean {
    return this.#running !== null
  }

  /** What it said when it was started last. */
  get line(): PeerLine {
    if (this.#line === null) throw new Error(`${this.name} was never started`)
    return this.#line
  }

  get dns(): Address {
    if (this.line.dns === null) throw new Error(`${this.name} answers no DNS`)
    return this.line.dns
  }

  /** Starts it, again on the addresses that it had the first time. Resolves when it is a member. */
  async start({
    exchange,
    failover,
    disk,
    web,
  }: PeerSettings & { readonly web?: readonly string[] } = {}): Promise<void> {
    const starting = this.#startWith({
      ...this.#config,
      exchange: { ...this.#config.exchange, ...exchange },
      ...(failover === undefined ? {} : { failover }),
      ...(disk === undefined ? {} : { disk }),
      ...(web === undefined || this.#config.spoke === undefined
        ? {}
        : { spoke: { ...this.#config.spoke, addresses: web } }),
    })
    this.#starting = starting.catch(() => undefined)
    await starting
  }

  async #startWith(config: Config): Promise<void> {
    const path = this.config
    await mkdir(this.folder, { recursive: true })
    await writeFile(path, JSON.stringify(config))
    this.#running = await (this.#process !== null
      ? this.#startProcess(path)
      : this.#startHere(path))
    this.#line = this.#running.line
    this.#config = pinned(this.#config, this.#line)
  }

  async #startHere(path: string): Promise<Running> {
    const config = await readConfig(path, {})
    if (!config.ok) throw new Error(config.reason)
    const peer = await startPeer(config.value, createLogger('silent'))
    const end = () => peer[Symbol.asyncDispose]()
    try {
      await Promise.race([peer.whenAdmitted, this.#late()])
    } catch (error) {
      await end()
      throw error
    }
    const line = {
      ...{ peerId: peer.peerId, addresses: peer.addresses(), http: peer.http, dns: peer.dns },
      council: peer.council() as string,
      bootstrap: peer.bootstrap() as string,
    }
    return { line, peer, pid: null, end }
  }

  async #startProcess(path: string): Promise<Running> {
    const args = [cli, 'start', '--config', path, '--json', '--until-input-ends']
    const [command, ...before] = [...(this.#process?.small?.through ?? []), process.execPath]
    const child = spawn(command as string, [...before, ...args], {
      env: { NODE_COMPILE_CACHE: compiled, ...withoutOverrides(process.env) },
    })
    const end = (signal: NodeJS.Signals) => endChild(child, signal)
    this.#words = ''
    child.stderr.on('data', (part) => {
      this.#words = `${this.#words}${part}`.slice(-4_000)
    })
    // A process that ends while its stdin is open has ended: `exit` tells.
    child.stdin.on('error', () => undefined)
    const line = once(createInterface({ input: child.stdout }), 'line')
    const ended = once(child, 'exit').then(() => {
      throw new Error(`${this.name} ended while it was starting:\n${this.#words}`)
    })
    ended.catch(() => undefined)
    try {
      const [said] = await Promise.race([line, ended, this.#late()])
      return { line: JSON.parse(said), peer: null, pid: child.pid as number, end }
    } catch (error) {
      await end('SIGKILL')
      throw new Error(`${(error as Error).message}\n${this.#words}`, { cause: error })
    }
  }

  async #late(): Promise<never> {
    await once(AbortSignal.timeout(startMs), 'abort')
    throw new Error(`${this.name} was not admitted within ${startMs / 1_000} s`)
  }

  /** Stops it in order. */
  async stop(): Promise<void> {
    await this.#take().end('SIGTERM')
  }

  /** kill -9. */
  async kill(): Promise<void> {
    if (this.#process === null) throw new Error('only a process of its own can be killed')
    await this.#take().end('SIGKILL')
  }

  /** Ends it if it runs, in whatever state it is. */
  async end(): Promise<void> {
    await this.#starting
    if (this.isRunning) await this.#take().end('SIGKILL')
    await this.#process?.small?.[Symbol.asyncDispose]()
  }

  /** The file system of its own that its data is on. */
  get disk(): SmallDisk {
    const small = this.#process?.small ?? null
    if (small === null) throw new Error(`${this.name} has no disk of its own`)
    return small
  }

  #take(): Running {
    const running = this.#running
    if (running === null) throw new Error(`${this.name} is not running`)
    this.#running = null
    return running
  }

  /** SIGSTOP or SIGCONT. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    const pid = this.#running?.pid
    if (typeof pid !== 'number') throw new Error(`${this.name} is no running process`)
    process.kill(pid, signal)
  }

  /** Whether it has heard a heartbeat of `peer` lately; only where it lives in this process. */
  hears(peer: string): boolean {
    const members = this.#running?.peer?.exchange.council.roster()?.members
    const name = [...(members?.keys() ?? [])].find((each) => each === peer)
    return name !== undefined && this.#running?.peer?.exchange.alive.isLive(name) === true
  }

  /** Its replication, where it lives in this process. */
  get exchange(): Exchange {
    return this.#here.exchange
  }

  /** What it offers and gathers, where it lives in this process. */
  get gathering(): Gathering {
    return this.#here.gathering
  }

  get #here(): RunningPeer {
    const peer = this.#running?.peer ?? null
    if (peer === null) throw new Error(`${this.name} does not run in this process`)
    return peer
  }

  /** The page of acts as it is here, once it says all of `words`: acts come by gossip or a pull. */
  acts(...words: readonly string[]): Promise<string> {
    return soon(async () => {
      const page = (await this.ask('/acts', zone)).body.toString()
      for (const each of words) expect(page).toContain(each)
      return page
    })
  }

  /** Ids of those that hold the council's own logs, as a spoke knows them. */
  async holders(): Promise<string[]> {
    const { logs } = await this.status()
    for (let seq = logs['@roster']?.seq ?? 0; seq >= 0; seq--) {
      const text = (await this.ask(`/acts/roster/${seq}.txt`, zone)).body.toString()
      const ids = [...text.matchAll(/^holder (\S+) /gm)].map(([, id]) => id as string)
      if (ids.length > 0) return ids
    }
    throw new Error(`${this.name} has no @roster`)
  }

  get url(): string {
    if (this.line.http === null) throw new Error(`${this.name} is no spoke`)
    return `http://${this.line.http.host}:${this.line.http.port}`
  }

  ask(path: string, host?: string): Promise<Answer> {
    return new SpokeClient(this.url).ask(host === undefined ? { path } : { path, host })
  }

  post(submission: Uint8Array): Promise<Answer> {
    return new SpokeClient(this.url).ask({ path: '/log', post: submission })
  }

  /** What was reported about others, at the authority. */
  async reports(): Promise<readonly { peer: string; reports: number; by: number }[]> {
    const report = z.object({ peer: z.string(), reports: z.number(), by: z.number() })
    const shape = z.looseObject({ authority: z.looseObject({ reports: z.array(report) }) })
    const answer = await (await AdminClient.open(this.config, {})).get('/status', shape)
    return answer.authority.reports
  }

  async status(): Promise<Status> {
    return json(await this.ask('/_council/status'))
  }
}

/** One blog as its author writes it. */
export class TestBlog {
  readonly name: string
  readonly host: string
  readonly genesis: SignedEntry
  readonly signer: Signer
  readonly #council: TestCouncil
  /** all entries handed in and taken, in order */
  readonly entries: SignedEntry[]

  constructor(council: TestCouncil, name: string, signer: Signer, first: SignedEntry) {
    this.name = name
    this.host = `${name}.${zone}`
    this.genesis = first
    this.signer = signer
    this.#council = council
    this.entries = [first]
  }

  get head(): Head {
    return (this.entries.at(-1) as SignedEntry).entry
  }

  /** Hands the genesis in: that is the claim. */
  async handIn(at: TestPeer): Promise<void> {
    expect((await at.post(this.genesis.submission)).status).toBe(202)
  }

  /** The claim's record, as a spoke shows it. */
  async claim(at: TestPeer): Promise<ClaimShown> {
    return json(await at.ask(`/claim/${this.genesis.entry.id}`))
  }

  async whenReady(at: TestPeer): Promise<void> {
    await soon(async () => {
      expect(await this.claim(at)).toMatchObject({ state: 'ready' })
    })
  }

  /** Signs the post behind the head, or behind another one. */
  next(slug: string, { head = this.head, body }: { head?: Head; body?: string } = {}) {
    const of = { council: this.#council.id, blog: this.name, head, slug }
    return body === undefined ? post(this.signer, of) : post(this.signer, of, body)
  }

  /** Hands a post in at a spoke, again until it is published, as its author's program does. */
  async publish(slug: string, at: TestPeer): Promise<SignedEntry> {
    const signed = await this.next(slug)
    await soon(async () => {
      const answer = await at.post(signed.submission)
      expect([answer.status, answer.body.toString()]).toEqual([201, expect.anything()])
    })
    this.entries.push(signed)
    return signed
  }

  /** The exact bytes of an entry, as a spoke serves them. */
  async read(seq: number, at: TestPeer): Promise<Buffer> {
    const answer = await at.ask(`/log/${seq}.txt`, this.host)
    const said = answer.status === 200 ? '' : answer.body.toString()
    expect([at.name, seq, answer.status, said]).toEqual([at.name, seq, 200, ''])
    return answer.body
  }

  /** Waits until a spoke serves every entry, byte for byte. */
  async whenWhole(at: TestPeer): Promise<void> {
    await soon(async () => {
      for (const [seq, { entry }] of this.entries.entries()) {
        const read = await this.read(seq, at)
        const wanted = Buffer.from(entry.text).toString()
        expect([at.name, seq, read.toString()]).toEqual([at.name, seq, wanted])
      }
    })
  }
}

export type ClaimShown = {
  readonly id: string
  readonly state: 'pending' | 'ready' | 'refused'
  readonly steps: readonly {
    readonly step: string
    readonly state: string
    readonly detail: string
  }[]
  readonly code?: string
  readonly reason?: string
}

/** The body of an answer, whose form the test knows. */
export function json<T>(answer: Answer): T {
  return JSON.parse(answer.body.toString())
}

type Config = {
  readonly peer: { readonly listen: readonly string[] }
  readonly spoke?: Address & { readonly addresses?: readonly string[] }
  readonly dns?: Address
  readonly exchange: object
  readonly [field: string]: unknown
}

/** The config with the ports that the system gave. */
function pinned(config: Config, line: PeerLine): Config {
  const listen = line.addresses.map((address) => address.slice(0, address.lastIndexOf('/p2p/')))
  return {
    ...config,
    peer: { listen },
    ...(line.http === null ? {} : { spoke: line.http }),
    ...(line.dns === null ? {} : { dns: line.dns }),
  }
}

/** A TCP port of 127.0.0.1 that nobody uses now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function endChild(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill(signal)
  const late = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await ended
  clearTimeout(late)
}

/** An override meant for one peer would reach all of them. */
function withoutOverrides(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('COUNCIL_')))
}
