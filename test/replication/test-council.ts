import { createHash } from 'node:crypto'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { MemoryLevel } from 'memory-level'
import { type PeerName, type PeerSigner, peerSigner } from '../../src/auth/peer-signature.ts'
import type { Verdict } from '../../src/auth/verdict.ts'
import type { Clock } from '../../src/replication/clock.ts'
import { Ingest } from '../../src/replication/log/ingest.ts'
import { type Head, type LogName, namesLog, rosterLog } from '../../src/replication/log/log.ts'
import type { Replica, StoreId } from '../../src/replication/log/peer-text.ts'
import { type Receipt, signReceipt } from '../../src/replication/log/receipt.ts'
import type { LogRules } from '../../src/replication/log/rules.ts'
import { type Disk, LogStore, type Write } from '../../src/replication/log/store.ts'
import type { EntryId, Signed } from '../../src/replication/log/text.ts'
import {
  type Act,
  type AssignFields,
  type Decision,
  decodeAct,
  type MemberRecord,
} from '../../src/replication/registry/act.ts'
import { namesRules, rosterRules } from '../../src/replication/registry/council-rules.ts'
import type { ProofOfAct } from '../../src/replication/registry/proof.ts'
import { foldRoster, holdersFor, type Roster } from '../../src/replication/registry/roster.ts'
import { signAct } from '../../src/replication/registry/sign-act.ts'

export const startMs = Date.parse('2026-11-23T03:40:00Z')
export const dayMs = 24 * 3_600_000

export function must<T>(verdict: Verdict<T>): T {
  if (verdict.ok) return verdict.value
  throw new Error(`${verdict.code}: ${verdict.reason}`)
}

export const codeOf = (verdict: Verdict<unknown>): string =>
  verdict.ok ? 'accepted' : verdict.code

/** Peers with fixed keys: the seed of number n is SHA-256 of `council peer n`. */
export const seedOf = (n: number) => createHash('sha256').update(`council peer ${n}`).digest()
export const peers: readonly PeerSigner[] = await Promise.all(
  Array.from({ length: 10 }, async (_, n) =>
    peerSigner(await generateKeyPairFromSeed('Ed25519', seedOf(n))),
  ),
)
export const peer = (n: number) => peers[n] as PeerSigner
export const storeOf = (n: number) => String(n).repeat(32) as StoreId
export const replica = (n: number): Replica => ({ peer: peer(n).peer, store: storeOf(n) })
export const fakeId = (hex: string) => hex.repeat(64 / hex.length) as EntryId

export const member = (n: number, change: Partial<MemberRecord> = {}): MemberRecord => ({
  peer: peer(n).peer,
  name: `s${n}`,
  store: storeOf(n),
  roles: ['spoke'],
  addresses: [`/ip4/127.0.0.1${n}/tcp/4001`],
  web: [`http://127.0.0.1${n}:8380`],
  dns: [],
  operator: `operator ${n}`,
  network: null,
  country: null,
  ...change,
})

export const assignFields = (
  change: Partial<AssignFields> = {},
): Decision & { kind: 'assign' } => ({
  kind: 'assign',
  blog: 'maria' as AssignFields['blog'],
  genesis: fakeId('1a'),
  key: 'A'.repeat(40),
  epoch: 1,
  ends: null,
  replicas: [replica(1), replica(2), replica(3)],
  primary: peer(1).peer,
  head: { seq: 0, id: change.genesis ?? fakeId('1a') },
  via: peer(1).peer,
  reason: 'claimed',
  unmet: null,
  evidence: null,
  ...change,
})

const logOf = (kind: Decision['kind']): LogName =>
  ['names', 'assign', 'revoke', 'loss'].includes(kind) ? namesLog : rosterLog

type Drafting = {
  readonly signer?: PeerSigner
  /** the @roster by which it is written; the newest when left out */
  readonly under?: Roster
  /** who of the holders gives a receipt; all when left out */
  readonly givers?: readonly PeerName[]
  readonly receipt?: Partial<Receipt>
  readonly head?: Head
  readonly council?: string
}
export type Written = { readonly act: Act; readonly proof: ProofOfAct }

/** The two logs of a council as its authority writes them, every act in force. */
export class TestCouncil {
  readonly authority: PeerSigner
  readonly rosterProofs: ProofOfAct[] = []
  readonly namesProofs: ProofOfAct[] = []
  /** the roster after each entry */
  readonly rosters: Roster[] = []
  #names: Head | null = null
  #dateMs = startMs

  constructor({ authority = peer(0), zone = 'blogs.localhost', wanted = 3 } = {}) {
    this.authority = authority
    const holder = { peer: authority.peer, store: storeOf(0) }
    this.write(
      { kind: 'council', edit: 'dotted', authority: authority.peer, wanted, holder },
      { council: zone },
    )
    this.write({ kind: 'names' })
  }

  get roster(): Roster {
    return this.rosters.at(-1) as Roster
  }

  get council(): string {
    return this.roster.council
  }

  namesHead(): Head | null {
    return this.#names
  }

  /** An act with its receipts that is not written into the log. */
  draft(decision: Decision, options: Drafting = {}): Written {
    const log = logOf(decision.kind)
    const under = options.under ?? this.rosters.at(-1) ?? null
    this.#dateMs += 1_000
    const { act, signed } = must(
      signAct(
        options.signer ?? this.authority,
        {
          council: options.council ?? under?.council ?? '',
          log,
          head: options.head ?? (log === rosterLog ? (under?.head ?? null) : this.#names),
          roster: under?.head ?? null,
          dateMs: this.#dateMs,
        },
        decision,
      ),
    )
    return { act, proof: { ...signed, receipts: this.receiptsFor(act, under, options) } }
  }

  receiptsFor(act: Act, under: Roster | null, options: Drafting = {}): Signed[] {
    const roster = under ?? must(foldRoster(null, act))
    return holdersFor(roster, act).flatMap((set) =>
      set.holders
        .filter(({ peer }) => options.givers?.includes(peer) ?? true)
        .map((holder) => {
          const signer = peers.find((each) => each.peer === holder.peer) as PeerSigner
          return signReceipt(signer, {
            council: roster.council,
            log: act.log,
            head: { seq: act.seq, id: act.id },
            act: set.act,
            epoch: set.epoch,
            replica: holder,
            sinceMs: startMs,
            atMs: startMs,
            ...options.receipt,
          }).signed
        }),
    )
  }

  write(decision: Decision, options: Drafting = {}): Written {
    const written = this.draft(decision, options)
    const { act, proof } = written
    if (act.log === rosterLog) {
      this.rosters.push(must(foldRoster(this.rosters.at(-1) ?? null, act)))
      this.rosterProofs.push(proof)
    } else {
      this.#names = { seq: act.seq, id: act.id }
      this.namesProofs.push(proof)
    }
    return written
  }

  admit(...numbers: number[]): this {
    for (const n of numbers) this.write({ kind: 'admit', policy: 'open', member: member(n) })
    return this
  }

  /** Receipts of replicas for a blog's head under an assignment. */
  receipt(n: number, act: Act, change: Partial<Receipt> = {}): Receipt {
    const { blog, head, epoch } = act.decision as AssignFields
    return signReceipt(peer(n), {
      council: this.council,
      log: blog,
      head,
      act: act.id,
      epoch,
      replica: replica(n),
      sinceMs: startMs,
      atMs: startMs,
      ...change,
    })
  }
}

/** The same text with a part replaced, signed anew or not. */
export const forge = (text: Uint8Array, part: string | RegExp, by: string) =>
  Buffer.from(Buffer.from(text).toString().replace(part, by))

export const actOf = (proof: Signed) => must(decodeAct(proof.text))

/** Level in memory, as it lies on disk elsewhere; `fail` lets the next writes fail. */
export class TestDisk {
  readonly level = new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' })
  fails = false
  readonly disk: Disk = {
    get: (key) => this.level.get(key),
    batch: (operations: Write[]) =>
      this.fails ? Promise.reject(new Error('ENOSPC')) : this.level.batch(operations),
    iterator: (range) => this.level.iterator(range),
  }
  readonly store = new LogStore(this.disk)

  async rows(): Promise<[string, Uint8Array][]> {
    return this.level.iterator().all()
  }
}

/** Real time stands still; what waits runs when the test says so. */
export class TestClock implements Clock {
  ms: number
  #jobs: { at: number; job: () => void }[] = []

  constructor(ms = startMs) {
    this.ms = ms
  }

  /** how many jobs wait */
  get waiting(): number {
    return this.#jobs.length
  }

  readonly now = () => this.ms
  readonly steady = () => this.ms - startMs
  readonly random = () => 0.5
  readonly after = (ms: number, job: () => void) => {
    const entry = { at: this.ms + ms, job }
    this.#jobs.push(entry)
    return () => {
      this.#jobs = this.#jobs.filter((each) => each !== entry)
    }
  }

  /** Goes on by `ms`; jobs run in order, each with time for what it starts. */
  async pass(ms: number): Promise<void> {
    const until = this.ms + ms
    for (;;) {
      const next = this.#jobs.toSorted((a, b) => a.at - b.at)[0]
      if (next === undefined || next.at > until) break
      this.#jobs = this.#jobs.filter((each) => each !== next)
      this.ms = Math.max(this.ms, next.at)
      next.job()
      await settle()
    }
    this.ms = until
    await settle()
  }
}

/** Lets everything run to its end that waits for no clock, network or signature of an author. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** An ingest for the council's logs, and for blogs by `blogRules`. */
export function councilIngest(
  store: LogStore,
  roster: () => Roster | null,
  councilId: () => string | null,
  blogs: LogRules<unknown> | null = null,
  now: () => number = () => startMs,
): Ingest {
  const rules = new Map<LogName, LogRules<unknown>>([
    [rosterLog, rosterRules(councilId) as LogRules<unknown>],
    [namesLog, namesRules(roster) as LogRules<unknown>],
  ])
  return new Ingest({
    store,
    rulesOf: (log) => rules.get(log) ?? (blogs as LogRules<unknown>),
    now,
  })
}
