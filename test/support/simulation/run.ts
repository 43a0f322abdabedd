import { decode } from 'cborg'
import type { Verdict } from '../../../src/auth/verdict.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { Ingest } from '../../../src/replication/log/ingest.ts'
import { namesLog, rosterLog } from '../../../src/replication/log/log.ts'
import { decodeReceipt } from '../../../src/replication/log/receipt.ts'
import { blogRules } from '../../../src/replication/log/rules.ts'
import { LogStore } from '../../../src/replication/log/store.ts'
import { type EntryId, idOf, type Signed } from '../../../src/replication/log/text.ts'
import { type AssignFields, decodeAct } from '../../../src/replication/registry/act.ts'
import { liveMembers } from '../../../src/replication/registry/roster.ts'
import { Author, authorNames, type SigningWay } from './author.ts'
import type { Machine, VirtualCouncil } from './council.ts'
import { VirtualDisk } from './disk.ts'
import { Faults } from './faults.ts'
import type { RunPlan, Step } from './plan.ts'
import type { Random } from './random.ts'
import type { Rows } from './rows.ts'
import { Told } from './told.ts'
import { Life } from './virtual-clock.ts'
import { Writer } from './writer.ts'

const minutes = 60_000
/** Virtual time from the end of all faults until everything must be equal. */
const quietMs = 6 * minutes

/** How long an authority may be up and not write before somebody starts it again, ms. */
const idleMs = 30_000

/** One run: a council founded in fair weather, then what its plan wants, then peace, in which every promise must hold. */
export class Run {
  readonly plan: RunPlan
  readonly council: VirtualCouncil
  readonly faults: Faults
  readonly told: Told
  readonly writers: Writer[] = []
  readonly #chance: Random
  readonly #way: SigningWay

  constructor(plan: RunPlan, council: VirtualCouncil, way: SigningWay) {
    this.plan = plan
    this.council = council
    this.told = new Told(council)
    this.faults = new Faults(council, plan.mostOut, () => this.told.lost())
    this.#chance = council.random('run')
    this.#way = way
  }

  /** @param perform - does one step, by its place in the plan; what it returns is waited for */
  async go(
    steps: readonly (readonly [index: number, step: Step])[],
    perform: (step: readonly [number, Step]) => Promise<void> | void,
  ): Promise<void> {
    const { clock, network } = this.council
    await this.#found()
    network.weather = this.plan.weather
    const claims = (await this.#open()).map((each) => each.claim(this.plan.isContested))
    for (const each of steps) {
      await clock.wait(each[1].waitMs)
      await perform(each)
    }
    await this.#heal(claims)
    await this.#check()
  }

  async #found(): Promise<void> {
    const { machines, authority, clock } = this.council
    const founders = machines.slice(0, this.plan.founders)
    await this.council.start(authority)
    this.council.knowId()
    await Promise.all(founders.slice(1).map((each) => this.council.start(each)))
    await this.until('all founders are admitted', 2 * minutes, () => {
      const roster = authority.exchange?.council.roster() ?? null
      const members = roster === null ? [] : liveMembers(roster)
      const alive = members.filter(
        ({ peer, web }) => web.length > 0 && authority.exchange?.alive.isLive(peer),
      )
      return alive.length === founders.length ? [] : [`${alive.length} are alive`]
    })
    this.council.note(`founded in ${clock.events} events`)
  }

  /** The authors, each with her key. */
  async #open(): Promise<Writer[]> {
    const { clock, keys, authority } = this.council
    const council = authority.exchange?.council.roster()?.council as string
    const now = () => clock.now() + this.plan.authorAheadMs
    const parts = { council, now, keys, way: this.#way }
    const wanted = authorNames.slice(0, this.plan.blogs).map((name) => [name, name] as const)
    const [first] = authorNames
    const last = authorNames.at(-1)
    if (this.plan.isContested && first !== undefined && last !== undefined)
      wanted.push([last, first])
    for (const [name, blog] of wanted) {
      const author = await Author.open(name, blog, parts)
      const chance = this.council.random(`author ${name}`)
      this.writers.push(new Writer({ author, council: this.council, told: this.told, chance }))
    }
    return this.writers
  }

  /** Asks again every half second. Breaks the run when it is not so in time; @param missing - what is not yet */
  async until(what: string, ms: number, missing: () => readonly string[]): Promise<void> {
    const { clock } = this.council
    const latestMs = clock.now() + ms
    for (let left = missing(); left.length > 0; left = missing()) {
      if (clock.now() > latestMs) {
        this.council.breach('end', `not so after ${ms / 1000} s: ${what}: ${left.join('; ')}`)
        return
      }
      await clock.wait(500)
    }
  }

  /** Waits for something that may happen or not. */
  async hope(isSo: () => boolean, ms: number): Promise<boolean> {
    const { clock } = this.council
    for (const latestMs = clock.now() + ms; clock.now() < latestMs; await clock.wait(50)) {
      if (isSo()) return true
    }
    return isSo()
  }

  /** A blog's act in force; null while its name is nobody's. */
  named(blog: string) {
    return this.council.witness.ledger.newest(blog)
  }

  machineOf(peer: string): Machine {
    return this.council.machines.find(({ signer }) => signer.peer === peer) as Machine
  }

  /** Machines that the act in force names, the primary first. */
  replicasOf(blog: string): Machine[] {
    const named = this.named(blog)
    if (named === null) return []
    const peers = named.replicas.map(({ peer }) => peer)
    return [named.primary, ...peers.filter((peer) => peer !== named.primary)].map((peer) =>
      this.machineOf(peer),
    )
  }

  /**
   * Orders a blog to be led by another spoke.
   * @param at - the authority's process that is asked; left out: any that runs
   * @returns whether there is one
   */
  move(blog: string, { name }: Machine, at: Machine | null = this.#asked()): boolean {
    const desk = at === null ? null : deskOf(at)
    if (desk === null) return false
    this.council.note(`${blog} is to be led by ${name}`)
    const asked = { blog, spoke: name, reason: 'it is ordered', evidence: null, dryRun: false }
    this.#order(desk.transfer(asked))
    return true
  }

  /** Orders everything away from a spoke for a while. @returns whether there is an authority to be asked */
  drain({ name }: Machine, ms: number): boolean {
    const desk = this.#desk()
    if (desk === null) return false
    this.council.note(`${name} is to be drained`)
    const asked = { spoke: name, reason: 'it is ordered', dryRun: false }
    this.#order(desk.drain({ ...asked, undo: false }))
    this.faults.for(ms, () => {
      this.council.note(`${name} may keep copies again`)
      const now = this.#desk()
      if (now !== null) this.#order(now.drain({ ...asked, undo: true }))
    })
    return true
  }

  #desk() {
    return deskOf(this.#asked())
  }

  /** Who gets an order for the authority: of two processes with its key one of them. */
  #asked(): Machine {
    const { authority, copy } = this.council
    return copy !== null && this.#chance.chance(0.5) ? copy : authority
  }

  /** An order may be refused, or end with the authority's process, or at its full disk. */
  #order(asked: Promise<Verdict<unknown>>): void {
    asked.then(
      (answer) => this.council.note(() => (answer.ok ? 'it is ordered' : answer.reason)),
      (error: Error) => this.council.note(`not ordered: ${error.message}`),
    )
  }

  /** What the authority's disk held last time; set back to it, it is a new store. */
  #backup: Rows | null = null

  /** What its folder says of receipts need not be all: it was set back, or its key was used twice. */
  #isDoubtful = false

  /** How many hold the council's logs, as the authority knows it. */
  get holders(): number {
    const { exchange } = this.council.authority
    return exchange?.council.roster()?.terms.at(-1)?.holders.length ?? 0
  }

  /**
   * A second process with the authority's key runs on a copy of its folder, for a while. Then
   * whoever looks after them ends both, and goes on with one of the two folders.
   *
   * @param isCopyKept - which
   * @returns whether that is possible now. An authority that keeps blogs too is not doubled: of them
   *   a copied folder says what it has forgotten, and REPLICATION promises nothing
   */
  startTwice(ms: number, isCopyKept: boolean): boolean {
    const { council, faults } = this
    const { authority } = council
    if (council.copy !== null || authority.plan.roles.includes('spoke')) return false
    if (faults.isOut(authority) || !this.#isSurvived(authority)) return false
    this.#isDoubtful = true
    this.#lookAfter()
    council.startCopy()
    faults.counts.doubled++
    faults.for(ms, () => {
      faults.goBack(authority)
      const kept = council.endCopy()
      if (isCopyKept && kept !== null) council.restore(authority, kept)
      else council.end(authority, 'kill')
      council.clock.after(500, () => {
        if (authority.life === null) council.launch(authority)
      })
    })
    return true
  }

  #isLookedAfter = false

  /**
   * From now on whoever looks after the authority starts it again where a second process has kept it
   * from writing and is over: what that one has sent may arrive later than it ends.
   */
  #lookAfter(): void {
    const { council, faults } = this
    if (this.#isLookedAfter) return
    this.#isLookedAfter = true
    let idle: { readonly life: Life; readonly sinceMs: number } | null = null
    const look = () => {
      const { authority, copy } = council
      const { life, exchange } = authority
      const isIdle = exchange?.council.mayWrite() === false && copy === null
      if (life === null || !isIdle || faults.isOut(authority)) idle = null
      else if (idle?.life !== life) idle = { life, sinceMs: council.clock.now() }
      else if (council.clock.now() - idle.sinceMs >= idleMs) {
        council.note(`${authority.name}: is kept from writing, and started again`)
        council.end(authority, 'stop')
        council.launch(authority)
        // Once for each second process: an authority that cannot write for another reason is a fault.
        this.#isLookedAfter = false
        return
      }
      council.clock.after(1_000, look)
    }
    look()
  }

  /** Makes a backup of the authority, once others hold the council's logs too: alone it has the only copy. */
  backUp(): boolean {
    if (this.holders < 3) return false
    this.council.note('a backup of the authority is made')
    this.#backup = this.council.authority.disk.backUp()
    return true
  }

  /** The authority comes back from the last backup. @returns whether there is one, and no blog is lost by it */
  setBack(ms: number): boolean {
    const { authority } = this.council
    if (this.#backup === null || !this.#isSurvived(authority)) return false
    if (!this.faults.restore(authority, this.#backup, ms)) return false
    this.#isDoubtful = true
    return true
  }

  /**
   * Whether a machine may lose its disk: no more of the replicas of a blog are gone than it survives
   * (REPLICATION, What it promises), and the authority's only copy of the council's logs stays.
   */
  mayLose(machine: Machine): boolean {
    return machine !== this.council.authority && this.#isSurvived(machine)
  }

  #isSurvived(machine: Machine): boolean {
    // The act that answers a claim may name this store and no other.
    if (this.writers.some(({ isReady, isTooLate }) => !isReady && !isTooLate)) return false
    const { ledger } = this.council.witness
    const { authority, copy } = this.council
    const acts = this.blogs.flatMap((blog) => {
      const known = authority.disk.read(`active/${blog}`)
      return ledger.line(blog, known === undefined ? null : (decode(known) as EntryId))
    })
    if (copy === null && authority.exchange?.council.mayWrite()) this.#isDoubtful = false
    const doubtful = this.#isDoubtful ? authority : null
    return [{ replicas: ledger.holders }, ...acts, ...this.#waitingSets()].every(({ replicas }) => {
      if (!replicas.some(({ peer }) => peer === machine.signer.peer)) return true
      const gone = replicas.filter(({ peer, store }) => {
        const each = this.machineOf(peer)
        return each === machine || each === doubtful || each.storeOnDisk() !== store
      })
      return gone.length <= Math.floor((replicas.length - 1) / 2)
    })
  }

  /** Sets that acts may name which are on their way: some holder has one, or the authority wants it. */
  #waitingSets(): Pick<AssignFields, 'replicas'>[] {
    const { machines, authority, witness } = this.council
    const held = machines.flatMap(({ disk }) => disk.rows(`held/${namesLog}/`))
    const acts = held.flatMap(([, value]) => {
      const act = decodeAct((decode(value) as Signed).text)
      const decision = act.ok ? act.value.decision : null
      if (decision?.kind !== 'assign') return []
      const isWaiting = decision.epoch > (witness.ledger.newest(decision.blog)?.epoch ?? 0)
      return isWaiting ? [decision] : []
    })
    const wanted = authority.disk
      .rows('sealing/')
      .map(([, value]) => decode(value) as Pick<AssignFields, 'replicas'>)
    return [...acts, ...wanted]
  }

  get blogs(): string[] {
    return [...new Set(this.writers.map(({ author }) => author.blog))]
  }

  // What must hold at the end.

  async #heal(claims: readonly Promise<void>[]): Promise<void> {
    const { network, machines } = this.council
    this.council.note('all faults are over')
    this.faults.end()
    network.weather = { ...network.weather, loss: 0 }
    for (const { disk } of machines) disk.failing = 0
    await this.until('every name is somebody’s', quietMs, () =>
      this.writers
        .filter((each) => !each.isReady && !each.isTooLate)
        .map((each) => each.author.blog),
    )
    await Promise.all(claims)
    await this.until('all replicas are equal and everything is published', quietMs, () =>
      this.#unequal(),
    )
  }

  /** What is not the same everywhere yet. */
  #unequal(): string[] {
    const { machines, authority, witness } = this.council
    const missing: string[] = []
    if (this.writers.some(({ isIdle }) => !isIdle)) missing.push('an author waits for an answer')
    for (const machine of machines.filter(({ hasStarted, seat }) => hasStarted && !seat.lies)) {
      const { council, alive } = machine.exchange ?? {}
      if (council === undefined) return [`${machine.name} is down`]
      const logs = alive?.carriesNames() ? [rosterLog, namesLog] : [rosterLog]
      for (const log of logs) {
        if (council.head(log)?.id !== authority.exchange?.council.head(log)?.id)
          missing.push(`${machine.name} is behind in ${log}`)
      }
    }
    for (const blog of this.blogs) {
      const named = this.named(blog)
      const live = this.#liveReplicas(blog)
      const first = live[0]
      if (named === null || first === undefined) {
        missing.push(`${blog} has no live replica`)
        continue
      }
      if (!witness.ledger.isActive(named.id)) missing.push(`the act of ${blog} is not active`)
      const ids = witness.idsOf(first.signer.peer, blog)
      if (ids.length === 0) missing.push(`${blog} has no genesis at ${first.name}`)
      for (const machine of live) {
        const own = witness.idsOf(machine.signer.peer, blog)
        if (own.join() !== ids.join())
          missing.push(`${machine.name} has ${own.length} entries of ${blog}, not ${ids.length}`)
        if (named.replicas.length === 1) continue
        const published = machine.exchange?.replicas.get(blog as BlogName)?.receipts.published()
        if (published !== ids.length - 1)
          missing.push(`${machine.name} sees ${blog} published up to ${published}`)
      }
    }
    return missing
  }

  /** Machines that the act in force names with the store that they have. */
  #liveReplicas(blog: string): Machine[] {
    const replicas = this.named(blog)?.replicas ?? []
    return replicas.flatMap(({ peer, store }) => {
      const machine = this.machineOf(peer)
      return machine.exchange?.storeId() === store && !machine.seat.lies ? [machine] : []
    })
  }

  async #check(): Promise<void> {
    const { machines, witness } = this.council
    for (const blog of this.blogs) {
      for (const machine of this.#liveReplicas(blog)) await this.#verify(machine, blog)
    }
    // A tail that was offered meanwhile may have come into the log.
    await this.until('all replicas are equal again', quietMs, () => this.#unequal())
    for (const blog of this.blogs) {
      for (const machine of this.#liveReplicas(blog)) this.#compare(machine, blog)
    }
    await this.until('who keeps nothing is reported', minutes, () => this.#unreported())
    for (const key of this.told.stored) {
      if (!this.told.isSomewhere(key))
        this.council.breach('end', `${key}, which an author was told is held, is nowhere`)
    }
    for (const machine of machines) {
      const store = machine.exchange?.storeId()
      for (const [key, value] of machine.disk.rows('receipt/')) {
        const [text, signature] = decode(value) as [Uint8Array, Uint8Array]
        const receipt = decodeReceipt({ text, signature })
        if (!receipt.ok) this.council.breach('end', `${machine.name} keeps no receipt as ${key}`)
        else if (
          receipt.value.replica.peer === machine.signer.peer &&
          receipt.value.replica.store === store
        )
          witness.checkKept(receipt.value)
      }
    }
  }

  /** Who gave receipts for what it does not keep, and was not found out by surprise questions (DESIGN 8, Audits). */
  #unreported(): string[] {
    const { machines, reports, witness } = this.council
    const length = (machine: Machine, blog: string) =>
      witness.idsOf(machine.signer.peer, blog).length
    return machines
      .filter(({ name }) => this.council.lieOf(name) === 'keeps nothing')
      .filter(({ signer }) => !reports.has(signer.peer))
      .filter((machine) =>
        this.blogs.some((blog) => {
          const replicas = this.replicasOf(blog)
          // What it took before it was a replica it may have kept.
          const lacks = replicas.some((each) => length(each, blog) > 2 * length(machine, blog))
          return lacks && replicas.includes(machine)
        }),
      )
      .map(({ name }) => name)
  }

  /** One replica's log, from the genesis on, by another door. */
  async #verify(machine: Machine, blog: string): Promise<void> {
    const { clock, keys, authority } = this.council
    const council = authority.exchange?.council.roster()?.council as string
    const rules = blogRules(() => council, keys)
    const empty = new VirtualDisk(clock, this.#chance)
    const store = new LogStore(empty.open(new Life('check')))
    const ingest = new Ingest({ store, rulesOf: () => rules, now: clock.now })
    const offers = machine.disk.rows(`entry/${blog}/`).map(([, value]) => {
      const [text, signature] = decode(value) as [Uint8Array, Uint8Array]
      return { text, signature }
    })
    const outcome = await ingest.offer(blog, offers, {
      way: 'pull',
      following: { epoch: 0, head: { seq: 0, id: idOf(offers[0]?.text as Uint8Array) } },
    })
    if (outcome.kind !== 'held')
      this.council.breach(
        'end',
        `${blog} at ${machine.name} does not verify: ${JSON.stringify(outcome)}`,
      )
  }

  /** All that was promised is in a replica's log. */
  #compare(machine: Machine, blog: string): void {
    if (this.plan.liars !== undefined && this.council.hasMoved) return
    const { witness } = this.council
    const ids = witness.idsOf(machine.signer.peer, blog)
    const lost = (seq: number, id: EntryId | undefined) => id !== undefined && ids[seq] !== id
    for (const [key, id] of this.told.published) {
      const [log, seq] = key.split(' ')
      if (log === blog && lost(Number(seq), id))
        this.council.breach(
          'end',
          `${machine.name} lost ${key}, which an author was told is published`,
        )
    }
    for (const [seq, entry] of witness.ledger.published(blog).entries()) {
      if (lost(seq, entry?.id))
        this.council.breach('end', `${machine.name} lost ${blog} ${seq}, which was published`)
    }
  }
}

/** Where a running process of the authority takes orders of its operator. */
const deskOf = ({ authority, life }: Machine) =>
  life?.isStopped === false ? (authority?.moves ?? null) : null
