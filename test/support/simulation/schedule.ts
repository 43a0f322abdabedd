import { decode } from 'cborg'
import { within } from '../../../src/replication/clock.ts'
import type { Submitted } from '../../../src/replication/exchange/submit.ts'
import { type BlogName, decodeEntry, type Entry } from '../../../src/replication/log/entry.ts'
import { Ingest } from '../../../src/replication/log/ingest.ts'
import { type Head, namesLog, rosterLog } from '../../../src/replication/log/log.ts'
import { countReceipts, decodeReceipt, majority } from '../../../src/replication/log/receipt.ts'
import { blogRules } from '../../../src/replication/log/rules.ts'
import { LogStore } from '../../../src/replication/log/store.ts'
import { type EntryId, idOf } from '../../../src/replication/log/text.ts'
import { liveMembers } from '../../../src/replication/registry/roster.ts'
import { Author, authorNames, type SignedEntry } from './author.ts'
import { type CouncilPlan, type Machine, VirtualCouncil } from './council.ts'
import { VirtualDisk } from './disk.ts'
import type { Random } from './random.ts'
import type { Life } from './virtual-clock.ts'

const postsPerBlog = 13
const minutes = 60_000
/** Virtual time for all of a run; most take 5 to 10 minutes. */
const runMs = 60 * minutes
/** Virtual time from the end of all faults until everything must be equal. */
const quietMs = 5 * minutes
/** How long an author waits for an answer before she sends the same again, ms. */
const patienceMs = 25_000

/** What a run came to; two runs of one seed give the same. */
export type Outcome = {
  readonly events: number
  readonly published: number
  readonly crashes: number
  /** answers that authors got to what they submitted */
  readonly answers: number
  /** receipts for entries that were held against the disk of who gave them */
  readonly receipts: number
  /** acts of a later epoch that were in force at the end */
  readonly failovers: number
  readonly trace: readonly string[]
}

/** The shapes of a council in turns: the authority on a spoke, apart, and a spoke beside the replicas. */
function planOf(seed: number): CouncilPlan {
  const spokes = ['b', 'c', 'd'].map((name) => ({ name, roles: ['spoke'] as const }))
  const shape = seed % 3
  if (shape === 0) {
    const first = { name: 'a', roles: ['spoke', 'dns', 'authority'] as const }
    return { seed, replicas: 3, peers: [first, ...spokes.slice(0, 2)] }
  }
  const first = {
    name: 'a',
    roles: shape === 1 ? (['dns', 'authority'] as const) : (['spoke', 'authority'] as const),
  }
  return { seed, replicas: 3, peers: [first, ...spokes] }
}

/**
 * Runs one seed: a council founded and joined in fair weather, then blogs claimed and written at any
 * spoke in foul weather, with crashes and cuts; then everything heals, and every promise must hold.
 * Throws with the broken rule, how to replay the run, and its last lines.
 *
 * @param without - a rule of REPLICATION that nobody keeps, to see that this is noticed; `sync`: the
 *   spokes' disks say "synced" and are not
 */
export async function simulate(seed: number, without: 'sync' | null = null): Promise<Outcome> {
  using council = await VirtualCouncil.open(planOf(seed))
  const run = new Run(council, without)
  try {
    await council.run(() => run.schedule(), runMs)
  } catch (error) {
    const replay = `COUNCIL_SEED=${seed} npx vitest run test/replication/exchange/simulation.test.ts`
    const lines = process.env.COUNCIL_TRACE === undefined ? council.trace.slice(-40) : council.trace
    throw new Error(
      `seed ${seed}: ${(error as Error).message}\nreplay: ${replay} (COUNCIL_TRACE=1: all lines)\n${lines.join('\n')}`,
    )
  }
  return run.outcome()
}

class Run {
  readonly #council: VirtualCouncil
  readonly #without: 'sync' | null
  readonly #chance: Random
  /** `blog seq id` of entries that an author was told a spoke holds */
  readonly #stored = new Set<string>()
  /** `blog seq` → id of entries that an author was told are published */
  readonly #published = new Map<string, EntryId>()
  #writing = 0
  #crashes = 0
  #answers = 0

  constructor(council: VirtualCouncil, without: 'sync' | null) {
    this.#council = council
    this.#without = without
    this.#chance = council.random('schedule')
  }

  outcome(): Outcome {
    const { clock, trace, witness } = this.#council
    return {
      events: clock.events,
      published: this.#published.size,
      crashes: this.#crashes,
      answers: this.#answers,
      receipts: witness.receipts,
      failovers: this.#failovers(),
      trace,
    }
  }

  async schedule(): Promise<void> {
    await this.#found()
    this.#council.network.weather = {
      loss: 0.1 + 0.1 * this.#chance.next(),
      duplicates: 0.05,
      minMs: 1,
      maxMs: 800,
    }
    for (const machine of this.#council.machines) {
      machine.disk.failing = this.#chance.pick([0, 0, 0.01])
      machine.disk.syncs = this.#without !== 'sync' || machine === this.#council.authority
    }
    const authors = authorNames.map((name) => this.#write(name))
    const faults = this.#faults()
    await Promise.all([...authors, faults])
    await this.#heal()
    await this.#check()
  }

  async #found(): Promise<void> {
    const { machines, authority, clock } = this.#council
    await this.#council.start(authority)
    await Promise.all(
      machines.filter((each) => each !== authority).map((each) => this.#council.start(each)),
    )
    await this.#until('all peers are admitted', 2 * minutes, () => {
      const roster = authority.exchange?.council.roster() ?? null
      const members = roster === null ? [] : liveMembers(roster)
      const alive = members.filter(
        ({ peer, web }) => web.length > 0 && authority.exchange?.alive.isLive(peer),
      )
      return alive.length === machines.length ? [] : [`${alive.length} are alive`]
    })
    this.#council.note(`founded in ${clock.events} events`)
  }

  /** Asks again each second; @param missing - what is not so yet */
  async #until(what: string, ms: number, missing: () => readonly string[]): Promise<void> {
    const { clock } = this.#council
    const latestMs = clock.now() + ms
    for (let left = missing(); left.length > 0; left = missing()) {
      if (clock.now() > latestMs)
        throw new Error(`not so after ${ms / 1000} s: ${what}\n${left.join('\n')}`)
      await clock.wait(1_000)
    }
  }

  // Authors.

  get #spokes(): Machine[] {
    return this.#council.machines.filter(({ plan }) => plan.roles.includes('spoke'))
  }

  /** Asks any spoke that is up; null when no answer came: its process may be over. */
  async #ask<T>(ask: (machine: Machine) => Promise<T> | undefined): Promise<T | null> {
    const up = this.#spokes.filter(({ exchange }) => exchange !== null)
    const asked = up.length === 0 ? undefined : ask(this.#chance.pick(up))
    if (asked === undefined) return null
    const { clock } = this.#council
    const time = { now: clock.now, after: clock.after, random: this.#chance.next }
    return within(
      time,
      patienceMs,
      asked.catch((error: Error) => {
        // A full disk ends a request, as it ends it for a reader over HTTP.
        if ((error as { code?: string }).code !== 'STORE_WRITE_FAILED') throw error
        return null
      }),
      null,
    )
  }

  async #write(name: (typeof authorNames)[number]): Promise<void> {
    const { clock, keys, authority } = this.#council
    this.#writing++
    const council = authority.exchange?.council.roster()?.council as string
    const author = await Author.open(name, { council, now: clock.now, keys })
    await clock.wait(this.#chance.between(0, 20_000))
    const outbox: Outbox = { signed: new Map(), head: await this.#claim(author) }
    for (let posts = 0; posts < postsPerBlog; posts++) {
      await clock.wait(this.#chance.between(0, 12_000))
      outbox.head = await this.#publish(author, outbox)
    }
    this.#writing--
  }

  async #claim(author: Author): Promise<Entry> {
    const { entry, offer } = await author.genesis()
    if (entry.kind !== 'genesis') throw new Error('no genesis')
    for (;;) {
      const claim = await this.#ask(async ({ exchange }) => {
        const claimed = await exchange?.claims.claim(entry, offer)
        if (claimed?.ok === false) throw new Error(`the claim of ${entry.log}: ${claimed.reason}`)
        const record = await exchange?.claims.record(entry.id)
        return { record, kept: exchange?.replicas.get(entry.log) }
      })
      const { record, kept } = claim ?? {}
      if (record?.state === 'refused') throw new Error(`${entry.log} is refused: ${record.reason}`)
      if (record?.state === 'ready') {
        if (kept?.role !== 'none' && kept?.receipts.isActive() !== true)
          this.#council.breach(`${entry.log} is called ready before its act is active`)
        break
      }
      await this.#council.clock.wait(2_000)
    }
    this.#council.note(`${entry.log} is claimed`)
    this.#published.set(`${entry.log} 0`, entry.id)
    return entry
  }

  /** Sends one entry until it is held; sometimes, from a second machine of hers, another for the same seq. */
  async #publish(author: Author, outbox: Outbox): Promise<Entry> {
    for (;;) {
      const drafts = await this.#drafts(author, outbox)
      for (;;) {
        const answers = await Promise.all(drafts.map((each) => this.#submit(each)))
        const held = answers.flatMap((answer, at) =>
          answer?.kind === 'held' ? [{ answer, draft: drafts[at] as SignedEntry }] : [],
        )
        const published = held.filter(({ answer }) => answer.published)
        if (published.length > 1)
          this.#council.breach(`${author.blog} ${outbox.head.seq + 1} is published with two ids`)
        const chosen = (published[0] ?? held[0])?.draft.entry
        if (chosen !== undefined) return chosen
        const taken = answers.find((answer) => answer?.kind === 'taken')
        if (taken?.kind === 'taken' && (await this.#settle(outbox, taken.head))) break
        await this.#council.clock.wait(this.#chance.between(500, 4_000))
      }
    }
  }

  async #drafts(author: Author, outbox: Outbox): Promise<SignedEntry[]> {
    const draft = async (variant: string) => {
      const long = this.#chance.chance(0.08) ? 'asamblea '.repeat(5_000).trim() : 'plaza'
      const lines = long.match(/.{1,900}(?= |$)/g) ?? [long]
      const title = `Post ${outbox.head.seq + 1} ${variant} ${outbox.signed.size}`
      const signed = await author.post(outbox.head, title, lines.join('\n').trim())
      outbox.signed.set(signed.entry.id, signed)
      return signed
    }
    const drafts = [await draft('here')]
    if (this.#chance.chance(0.15)) drafts.push(await draft('there'))
    return drafts
  }

  /**
   * The blog ends elsewhere than she thought: what was stored on one spoke only is not in it any
   * more. She offers it again, as her command does; where another entry of hers has its place, she
   * goes on from that. True when what she is writing must be signed anew.
   */
  async #settle(outbox: Outbox, head: Head): Promise<boolean> {
    const chain: SignedEntry[] = []
    let id: EntryId | null = outbox.head.id
    while (id !== null && id !== head.id && !this.#published.has(keyOf(outbox.signed.get(id)))) {
      const signed: SignedEntry | undefined = outbox.signed.get(id)
      if (signed === undefined) break
      chain.unshift(signed)
      id = signed.entry.prev
    }
    for (const signed of chain.filter(({ entry }) => entry.seq > head.seq)) {
      if ((await this.#submit(signed))?.kind !== 'held') break
    }
    const there = outbox.signed.get(head.id)?.entry
    if (there === undefined || head.seq < outbox.head.seq || there.id === outbox.head.id)
      return false
    // Her other machine's entry took the place.
    outbox.head = there
    return true
  }

  async #submit({ entry, offer }: SignedEntry): Promise<Submitted | null> {
    let at = ''
    const answer = await this.#ask((machine) => {
      at = machine.name
      return machine.exchange?.submit.submit(entry, offer)
    })
    const what = `${entry.log} ${entry.seq} ${entry.id.slice(0, 8)} at ${at}`
    if (answer === null) {
      this.#council.note(`${what}: no answer`)
      return null
    }
    this.#answers++
    if (!answer.ok) {
      this.#council.note(`${what}: ${answer.code}`)
      const isLater = [
        'BLOG_UNKNOWN',
        'REGISTRY_UNREACHABLE',
        'PRIMARY_UNREACHABLE',
        'NOT_ACTIVE',
        'NOT_PRIMARY',
        'NOT_A_MEMBER',
      ]
      if (!isLater.includes(answer.code)) this.#council.breach(`${what}: ${answer.reason}`)
      return null
    }
    const { value } = answer
    if (value.kind === 'taken') this.#council.note(`${what}: taken, head ${value.head.seq}`)
    else this.#answered(entry, value, what)
    return value
  }

  /** An answer is a promise: it is written down, and its receipts must be what it says. */
  #answered(entry: Entry, answer: Extract<Submitted, { kind: 'held' }>, what: string): void {
    const { published, copies, wanted, receipts } = answer
    this.#council.note(`${what}: ${published ? 'published' : 'stored'} ${copies}/${wanted}`)
    const key = `${entry.log} ${entry.seq}`
    this.#stored.add(`${key} ${entry.id}`)
    if (!published) return
    const known = this.#published.get(key)
    if (known !== undefined && known !== entry.id)
      this.#council.breach(`${key} was answered as ${known} before`)
    this.#published.set(key, entry.id)
    const read = receipts.flatMap((signed) => {
      const receipt = decodeReceipt(signed)
      return receipt.ok && receipt.value.log === entry.log ? [receipt.value] : []
    })
    const act = read[0]?.act as EntryId
    const replicas = this.#council.witness.replicasOf(act)
    if (countReceipts(read, act, replicas, entry.seq) < majority(replicas.length))
      this.#council.breach(`${what}: answered as published without enough receipts`)
    for (const receipt of read) this.#council.witness.durableChain(receipt)
  }

  // Faults: one peer down at a time, links cut for a while.

  async #faults(): Promise<void> {
    const { clock, network, machines } = this.#council
    while (this.#writing > 0) {
      await clock.wait(this.#chance.between(2_000, 20_000))
      const machine = this.#chance.pick(machines)
      if (this.#chance.chance(0.6)) {
        const how = this.#chance.pick(['stop', 'kill', 'power loss', 'power loss'] as const)
        this.#crashes++
        this.#council.end(machine, how)
        await clock.wait(this.#chance.between(100, 30_000))
        await this.#restart(machine)
      } else {
        const [there, back] = this.#chance.pick([
          [true, true],
          [true, false],
          [false, true],
        ])
        this.#council.note(`${machine.name}: cut off ${there ? 'out' : ''} ${back ? 'in' : ''}`)
        for (const other of machines) {
          if (other === machine) continue
          if (there) network.cut(machine.signer.peer, other.signer.peer)
          if (back) network.cut(other.signer.peer, machine.signer.peer)
        }
        await clock.wait(this.#chance.between(1_000, 20_000))
        this.#council.note('links are whole again')
        network.mend()
      }
    }
  }

  async #restart(machine: Machine): Promise<void> {
    const { failing } = machine.disk
    machine.disk.failing = 0
    await this.#council.start(machine)
    machine.disk.failing = failing
  }

  async #heal(): Promise<void> {
    const { network, machines } = this.#council
    this.#council.note('all faults are over')
    network.mend()
    network.weather = { ...network.weather, loss: 0 }
    for (const { disk } of machines) disk.failing = 0
    await this.#until('all replicas are equal and everything is published', quietMs, () =>
      this.#unequal(),
    )
  }

  /** What is not the same everywhere yet. */
  #unequal(): string[] {
    const { machines, authority } = this.#council
    const missing: string[] = []
    for (const machine of machines) {
      const { council, replicas, alive } = machine.exchange ?? {}
      if (council === undefined || replicas === undefined) return [`${machine.name} is down`]
      const logs = alive?.carriesNames() ? [rosterLog, namesLog] : [rosterLog]
      for (const log of logs) {
        if (council.head(log)?.id !== authority.exchange?.council.head(log)?.id)
          missing.push(`${machine.name} is behind in ${log}`)
      }
      for (const blog of authorNames) {
        const kept = replicas.get(blog as BlogName)
        const isNamed = this.#replicaNames(blog).includes(machine.name)
        if (!isNamed) continue
        const ids = idsOn(machine, blog)
        const first = this.#spokes.find(({ name }) => this.#replicaNames(blog)[0] === name)
        if (first === undefined || idsOn(first, blog).join() !== ids.join())
          missing.push(`${machine.name} has ${ids.length} entries of ${blog}`)
        const isAlone = this.#replicaNames(blog).length === 1
        if (!isAlone && kept?.receipts.published() !== ids.length - 1)
          missing.push(`${machine.name} sees ${blog} published up to ${kept?.receipts.published()}`)
      }
    }
    return missing
  }

  #failovers(): number {
    const blogs = this.#council.authority.exchange?.council.names()?.blogs.values() ?? []
    return [...blogs].reduce((sum, { epoch }) => sum + epoch - 1, 0)
  }

  #replicaNames(blog: string): string[] {
    const names = this.#council.authority.exchange?.council.names()
    const replicas = names?.blogs.get(blog as BlogName)?.replicas ?? []
    return replicas.map(({ peer }) => this.#council.nameOf(peer))
  }

  // What must hold at the end.

  async #check(): Promise<void> {
    const { machines, witness } = this.#council
    for (const machine of machines) {
      for (const blog of authorNames) {
        if (this.#replicaNames(blog).includes(machine.name)) await this.#checkLog(machine, blog)
      }
      for (const [key, value] of machine.disk.rows('receipt/')) {
        const [text, signature] = decode(value) as [Uint8Array, Uint8Array]
        const receipt = decodeReceipt({ text, signature })
        if (!receipt.ok) this.#council.breach(`${machine.name} keeps no receipt as ${key}`)
        else witness.durableChain(receipt.value)
      }
    }
  }

  /** Whether any spoke keeps an entry that is not in the log. */
  #isAside(blog: string, seq: number, id: string): boolean {
    return this.#council.machines.some(({ disk }) =>
      ['tail', 'aside'].some((kind) =>
        disk.rows(`${kind}/${blog}/`).some(([key]) => key.endsWith(`${seq}/${id}`)),
      ),
    )
  }

  /** One replica's log, from the genesis on, by another door; and all that was promised is in it. */
  async #checkLog(machine: Machine, blog: (typeof authorNames)[number]): Promise<void> {
    const { clock, keys, authority, witness } = this.#council
    const council = authority.exchange?.council.roster()?.council as string
    const rules = blogRules(() => council, keys)
    const empty = new VirtualDisk(clock, this.#chance)
    const life: Life = { name: 'check', isOver: false }
    const store = new LogStore(empty.open(life))
    const ingest = new Ingest({ store, rulesOf: () => rules, now: clock.now })
    const offers = entriesOn(machine, blog)
    const outcome = await ingest.offer(blog, offers, {
      way: 'pull',
      following: { epoch: 0, head: { seq: 0, id: idOf(offers[0]?.text as Uint8Array) } },
    })
    if (outcome.kind !== 'held')
      this.#council.breach(`${blog} at ${machine.name} does not verify: ${JSON.stringify(outcome)}`)
    const ids = idsOn(machine, blog)
    for (const [key, id] of this.#published) {
      const [log, seq] = key.split(' ')
      if (log === blog && ids[Number(seq)] !== id)
        this.#council.breach(`${machine.name} lost ${key}, which an author was told is published`)
    }
    for (const key of this.#stored) {
      const [log, seq, id] = key.split(' ')
      if (
        log === blog &&
        ids[Number(seq)] !== id &&
        !this.#isAside(blog, Number(seq), id as string)
      )
        this.#council.breach(`${key}, which an author was told is held, is nowhere`)
    }
    for (const [seq, id] of witness.published(blog).entries()) {
      if (ids[seq] !== id)
        this.#council.breach(`${machine.name} lost ${blog} ${seq}, which was published`)
    }
  }
}

/** What an author has signed, and the entry behind which she writes. */
type Outbox = { readonly signed: Map<EntryId, SignedEntry>; head: Entry }

const keyOf = (signed: SignedEntry | undefined) =>
  signed === undefined ? '' : `${signed.entry.log} ${signed.entry.seq}`

/** The entries of a log as they lie on a disk. */
function entriesOn(machine: Machine, log: string): { text: Uint8Array; signature: Uint8Array }[] {
  return machine.disk.rows(`entry/${log}/`).map(([, value]) => {
    const [text, signature] = decode(value) as [Uint8Array, Uint8Array]
    return { text, signature }
  })
}

function idsOn(machine: Machine, log: string): EntryId[] {
  return entriesOn(machine, log).map(({ text }) => {
    const entry = decodeEntry(text)
    if (!entry.ok) throw new Error(entry.reason)
    return entry.value.id
  })
}
