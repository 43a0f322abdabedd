import { randomBytes } from 'node:crypto'
import type { PeerSigner } from '../auth/peer-signature.ts'
import type { Fingerprint } from '../auth/public-key.ts'
import { maxSessionMs, passMs, readToken, signToken, type TokenKind } from '../auth/session.ts'
import { readSignature } from '../auth/signature.ts'
import { type Refusal, refuse, type Verdict } from '../auth/verdict.ts'
import type { Aggregation } from '../replication/aggregation/aggregation.ts'
import type { Acts } from '../replication/exchange/acts.ts'
import type { Claims } from '../replication/exchange/claim.ts'
import type { ToAuthority } from '../replication/exchange/decisions.ts'
import type { Losses } from '../replication/exchange/losses.ts'
import type { OrderedMove } from '../replication/exchange/orders.ts'
import type { Proofs } from '../replication/exchange/proofs.ts'
import type { Reader, Visit } from '../replication/exchange/read.ts'
import type { Replicas } from '../replication/exchange/replica.ts'
import type { Revocations } from '../replication/exchange/revocations.ts'
import type { Revoking } from '../replication/exchange/revoking.ts'
import type { Submit } from '../replication/exchange/submit.ts'
import { splitKeyBlock } from '../replication/log/author.ts'
import { Blog } from '../replication/log/blog.ts'
import { type BlogName, decodeEntry, type Entry, type Genesis } from '../replication/log/entry.ts'
import { type Head, type LogName, rosterLog } from '../replication/log/log.ts'
import { decodeReceipt } from '../replication/log/receipt.ts'
import type { LogStore } from '../replication/log/store.ts'
import { formatDate, type Signed } from '../replication/log/text.ts'
import { publishedFrom } from '../replication/registry/assignment.ts'
import type { CouncilLogs } from '../replication/registry/council-logs.ts'
import { signHello } from '../replication/registry/hello.ts'
import { decodeOrder } from '../replication/registry/order.ts'
import type { Registry } from '../replication/registry/registry.ts'
import { reasonWord } from '../replication/registry/revoked-keys.ts'
import type {
  Accounts,
  Copies,
  KeyServerWord,
  OpenBlog,
  SearchAsked,
  ShownReceipt,
  SubmitAnswer,
  WebSpoke,
} from '../web/spoke.ts'
import { CouncilView } from './council-view.ts'
import type { KeyServers } from './key-servers.ts'
import { OwnBlogs } from './own-blogs.ts'

/** What the pages see of a running spoke: replication on one side, plain data on the other. */
export class SpokeForWeb implements WebSpoke {
  readonly zone: string
  readonly name: string
  readonly #parts: Parts
  readonly #view: CouncilView
  /** folds by the store they were read from, so that a visited blog's goes with it */
  readonly #folded = new WeakMap<LogStore, Map<BlogName, Blog>>()

  constructor(parts: Parts) {
    this.zone = parts.zone
    this.name = parts.name
    this.#parts = parts
    const { replicas, ingest, store, revocations, now } = parts
    const fold = (name: BlogName) => this.#fold(name, { ingest, store })
    const own = new OwnBlogs({ replicas, ingest, store, revocations, fold })
    const { council, registry, aggregation } = parts
    const exchange = { council, registry, revocations }
    this.#view = new CouncilView({ aggregation, exchange, own, now })
  }

  readonly front = () => this.#view.front()
  readonly search = (asked: SearchAsked) => this.#view.search(asked)
  readonly councilBlogs = (after: string | null) => this.#view.councilBlogs(after)

  readonly council = () => this.#parts.council.roster()?.council ?? null
  readonly editForm = () => this.#parts.council.roster()?.edit ?? 'dotted'
  readonly origin = (host: string) => this.#parts.origin.replace('{host}', host)
  readonly addresses = () => this.#parts.addresses()
  readonly claim = async (id: string) => {
    const record = await this.#parts.reader.claim(id)
    return record === null ? null : { ...record, blog: record.blog as BlogName }
  }
  readonly revocation = async (key: Fingerprint) => this.#parts.revocations.of(key)
  readonly handInRevocation = (armored: string, blog: BlogName | null = null) =>
    this.#parts.revoking.handIn(armored, blog)

  readonly askKeyServers = async (
    key: Fingerprint,
    gpgId: string | null,
    maxAgeMs: number,
  ): Promise<KeyServerWord> => {
    const known = this.#parts.revocations.of(key)
    if (known !== null) {
      const { reason, isHard, dateMs } = known
      const detail = `Revoked (${reasonWord(known)}): act ${known.seq} of @names.`
      return { kind: 'revoked', atMs: this.#parts.now(), detail, reason, isHard, dateMs }
    }
    const { word, revocation } = await this.#parts.keyServers.ask(key, gpgId, maxAgeMs)
    // Nobody waits for the act: of a key that no blog is written with there will be none.
    if (revocation !== null)
      this.#parts.revoking.handIn(revocation.certificate, null).catch(() => undefined)
    return word
  }

  readonly losses = (blog: BlogName) => this.#parts.losses.of(blog)
  readonly forks = (log: LogName) => this.#parts.proofs.of(log)
  readonly roster = () => this.#parts.council.roster()
  readonly acts = (log: LogName, before: number, limit: number) =>
    this.#parts.acts.before(log, before, limit)
  /** What machines may know of this peer, and what its front page rests on. */
  readonly status = async () => ({
    ...(await this.#parts.status()),
    covers: (await this.front()).coverage,
  })

  readonly now = () => this.#parts.now()
  readonly wait = (ms: number) => this.#parts.wait(ms)
  readonly randomBytes = (count: number): Uint8Array => randomBytes(count)

  readonly signToken = (
    kind: TokenKind,
    of: { readonly key: Fingerprint; readonly host: string; readonly id: string | null },
  ): string | null => {
    const council = this.council()
    const { signer } = this.#parts
    if (council === null || !this.#parts.council.isMember(signer.peer)) return null
    const issuedMs = this.now()
    const expiresMs = issuedMs + (kind === 'session' ? maxSessionMs : passMs)
    const id = of.id ?? randomBytes(16).toString('hex')
    return signToken(signer, kind, { council, ...of, id, issuedMs, expiresMs })
  }

  readonly readToken = (kind: TokenKind, value: string, host: string) => {
    const council = this.council()
    if (council === null) return refuse('NOT_READY', 'This server has not joined its council yet.')
    return readToken(kind, value, {
      ...{ council, host, nowMs: this.now() },
      isMember: (peer) => this.#parts.council.isMember(peer),
    })
  }

  get accounts() {
    return this.#parts.accounts
  }

  /** Those claimed with the key, and those here that it took over by a rekey. */
  readonly blogsOf = async (key: Fingerprint): Promise<BlogName[]> => {
    const { replicas, ingest, store } = this.#parts
    const blogs = new Set(await this.#parts.blogsOf(key))
    for (const { assignment, role } of replicas.all()) {
      const blog = role === 'none' ? null : await this.#fold(assignment.blog, { ingest, store })
      if (blog?.key === key) blogs.add(blog.name)
    }
    return [...blogs].sort((a, b) => (a < b ? -1 : 1))
  }

  readonly hello = (nonce: string): Signed | null => {
    const council = this.council()
    const hello = council === null ? null : signHello(this.#parts.signer, council, nonce)
    return hello?.ok ? hello.value : null
  }

  readonly openBlog = async (name: BlogName): Promise<OpenBlog | 'unknown' | 'unreachable'> => {
    const { reader } = this.#parts
    let visit = await reader.open(name)
    let blog = typeof visit === 'string' ? null : await this.#foldOf(name, visit)
    // What is held here does not hang together: readers see it as another spoke has it.
    if (blog === null && typeof visit !== 'string' && visit.held) {
      visit = await reader.open(name, { elsewhere: true })
      blog = typeof visit === 'string' ? null : await this.#foldOf(name, visit)
    }
    if (typeof visit === 'string') return visit
    return blog === null ? 'unreachable' : this.#open(blog, visit)
  }

  /** The head stands for all entries before it; receipts say when each was published first. */
  readonly blogVersion = (name: BlogName): string | Promise<string | null> => {
    const head = this.keeps(name) ? this.#parts.ingest.recordInMemory(name)?.head : undefined
    return head === undefined ? this.#askVersion(name) : this.#heldVersion(name, head)
  }

  async #askVersion(name: BlogName): Promise<string | null> {
    const visit = await this.#parts.reader.open(name)
    const record = typeof visit === 'string' ? null : await visit.ingest.record(name)
    if (typeof visit === 'string' || record === null) return null
    if (visit.held) return this.#heldVersion(name, record.head)
    return `${record.head.id} visited ${visit.assignment.epoch} ${this.#saidOf()}`
  }

  #heldVersion(name: BlogName, head: Head): string {
    return `${head.id} held ${this.#parts.replicas.changes(name)} ${this.#saidOf()}`
  }

  /** A page tells of revoked keys, forks and losses; one more is rare enough to make all anew. */
  #saidOf(): string {
    const { revocations, proofs, losses } = this.#parts
    return `${revocations.count} ${proofs.count} ${losses.count}`
  }

  readonly keeps = (name: BlogName): boolean => {
    const kept = this.#parts.replicas.get(name)
    return kept !== null && kept.role !== 'none'
  }

  /** The same, if it is the blog that the act names: a genesis put in its place makes another one. */
  async #foldOf(name: BlogName, visit: Visit): Promise<Blog | null> {
    const blog = await this.#fold(name, visit)
    return blog?.genesis === visit.assignment.genesis ? blog : null
  }

  /** The blog folded up to the log's head; only what is new since the last time is read. */
  async #fold(
    name: BlogName,
    { ingest, store }: Pick<Visit, 'ingest' | 'store'>,
  ): Promise<Blog | null> {
    const head = (await ingest.record(name))?.head
    if (head === undefined) return null
    const folds = this.#folded.get(store) ?? new Map<BlogName, Blog>()
    this.#folded.set(store, folds)
    let blog = folds.get(name) ?? null
    // A log that was cut has no way on from what was folded.
    if (blog !== null && (blog.head.seq > head.seq || isOther(blog.head, head))) blog = null
    for (let isAnew = blog === null; blog === null || blog.head.seq < head.seq; ) {
      const from: number = blog === null ? 0 : blog.head.seq + 1
      const rows = await store.entries(name, from, 200)
      if (rows.length === 0) return null
      for (const { text } of rows) {
        const entry = decodeEntry(text)
        if (!entry.ok) return null
        const { value } = entry
        if (blog === null) blog = new Blog(value as Genesis)
        // Two readers may fold the same log side by side.
        else if (value.seq !== blog.head.seq + 1) continue
        else if (value.prev === blog.head.id) blog.fold(value)
        // The log was cut behind what was folded; read anew, it hangs together or is damaged.
        else if (isAnew) return null
        else {
          isAnew = true
          blog = null
          break
        }
      }
    }
    folds.set(name, blog)
    return blog
  }

  #open(blog: Blog, visit: Visit): OpenBlog {
    const { name } = blog
    const { replicas } = this.#parts
    return {
      blog,
      held: visit.held,
      newer: async () => {
        if (!(await this.#parts.reader.renew(name))) return null
        const open = await this.openBlog(name)
        return typeof open === 'string' ? null : open
      },
      entry: async (seq) => {
        const own = await visit.ingest.read(name, seq)
        // Damaged here: readers see it as another spoke has it.
        const stored = own ?? (visit.held ? await this.#readElsewhere(name, seq) : null)
        const entry = stored === null ? null : decodeEntry(stored.text)
        if (stored === null || !entry?.ok) return null
        const firstSeenMs =
          (visit.held ? await replicas.publishedMs(name, seq) : null) ?? stored.firstMs
        return {
          entry: entry.value,
          signature: Buffer.from(stored.signature).toString(),
          firstSeenMs,
        }
      },
      aside: (seq, id) => this.#parts.reader.aside(name, seq, id),
      leftOver: () => this.#parts.reader.leftOver(name, visit),
      keys: () => this.#keys(blog, visit),
      copies: () => this.#copies(visit),
      proof: async () => ({
        published: visit.receipts.published(),
        receipts: visit.receipts.all().map((receipt) => receipt.signed),
        act: visit.assignment.proof,
        roster: await this.#rosterLines(),
      }),
    }
  }

  async #readElsewhere(name: BlogName, seq: number) {
    const visit = await this.#parts.reader.open(name, { elsewhere: true })
    return typeof visit === 'string' ? null : visit.ingest.read(name, seq)
  }

  #copies({ assignment, receipts }: Visit): Copies {
    const members = this.#parts.council.roster()?.members
    return {
      act: assignment.id,
      epoch: assignment.epoch,
      needed: publishedFrom(assignment),
      replicas: assignment.replicas.map(({ peer, store }) => {
        const receipt = receipts.of(peer)
        return {
          ...{ peer, store },
          spoke: members?.get(peer)?.name ?? null,
          isPrimary: peer === assignment.primary,
          receipt:
            receipt === null
              ? null
              : {
                  seq: receipt.head.seq,
                  ...{ sinceMs: receipt.sinceMs, atMs: receipt.atMs, signed: receipt.signed },
                },
        }
      }),
    }
  }

  async #keys(blog: Blog, visit: Visit): Promise<string[]> {
    const record = await visit.ingest.record(blog.name)
    const blocks: { fingerprint: string; block: string }[] = []
    for (const seq of record?.keys ?? []) {
      const stored = await visit.store.entry(blog.name, seq)
      const entry = stored === null ? null : decodeEntry(stored.text)
      if (!entry?.ok) continue
      const { kind } = entry.value
      const fingerprint = kind === 'rekey' ? entry.value.next : entry.value.key
      blocks.unshift({ fingerprint, block: splitKeyBlock(entry.value.body).block })
    }
    const inForce = blocks.findIndex(({ fingerprint }) => fingerprint === blog.key)
    const [first] = inForce < 0 ? [] : blocks.splice(inForce, 1)
    return [...(first === undefined ? [] : [first.block]), ...blocks.map(({ block }) => block)]
  }

  /** All of `@roster`: what the receipts and the act of a log are checked against offline. */
  async #rosterLines(): Promise<Signed[]> {
    const head = this.#parts.council.head(rosterLog)
    return head === null ? [] : this.#parts.council.proofs(rosterLog, 0, head.seq + 1)
  }

  readonly submit = async (text: Uint8Array, signature: string): Promise<SubmitAnswer> => {
    const entry = decodeEntry(text)
    if (!entry.ok) return refused(entry)
    const offer = { text, signature: Buffer.from(signature) }
    if (entry.value.kind === 'genesis') {
      const claimed = await this.#parts.claims.claim(entry.value, offer)
      if (!claimed.ok) return refused(claimed)
      return { kind: 'claim', entry: entry.value }
    }
    const council = this.council()
    if (council !== null && entry.value.council !== council) {
      return {
        kind: 'refused',
        code: 'ENTRY_COUNCIL',
        reason: `The entry is for the council ${entry.value.council}; this is ${council}. Sign it for this one.`,
      }
    }
    const done = await this.#parts.submit.submit(entry.value, offer)
    if (!done.ok) return refused(done)
    return done.value.kind === 'taken'
      ? taken(entry.value, done.value.head)
      : this.#held(entry.value, done.value)
  }

  readonly order = async (text: Uint8Array, armored: string): Promise<Verdict<OrderedMove>> => {
    const order = decodeOrder(text)
    if (!order.ok) return order
    const signature = await readSignature(armored)
    if (!signature.ok) return signature
    return this.#parts.toAuthority.order({ text, signature: Buffer.from(signature.value.armored) })
  }

  #held(
    entry: Entry,
    done: { published: boolean; copies: number; wanted: number; receipts: readonly Signed[] },
  ): SubmitAnswer {
    const reason = done.published ? null : whyNotPublished(done.copies, done.wanted)
    return {
      kind: done.published ? 'published' : 'stored',
      entry,
      copies: done.copies,
      wanted: done.wanted,
      receipts: done.receipts.flatMap((signed) => this.#show(signed)),
      reason,
    }
  }

  #show(signed: Signed): ShownReceipt[] {
    const receipt = decodeReceipt(signed)
    if (!receipt.ok) return []
    const { replica, sinceMs, atMs } = receipt.value
    return [
      {
        peer: replica.peer,
        spoke: this.#parts.council.roster()?.members.get(replica.peer)?.name ?? null,
        store: replica.store,
        since: formatDate(sinceMs),
        at: formatDate(atMs),
        text: Buffer.from(signed.text).toString(),
        signature: Buffer.from(signed.signature).toString('base64'),
      },
    ]
  }
}

/** Whether two heads at the same seq end different logs. */
const isOther = (one: Head, other: Head) => one.seq === other.seq && one.id !== other.id

type Parts = {
  readonly aggregation: Aggregation
  readonly registry: Registry
  readonly zone: string
  readonly name: string
  /** `web.origin` of the config, with `{host}` */
  readonly origin: string
  readonly addresses: () => readonly string[]
  readonly signer: PeerSigner
  readonly council: CouncilLogs
  readonly replicas: Replicas
  readonly ingest: Visit['ingest']
  readonly store: LogStore
  readonly reader: Reader
  readonly submit: Pick<Submit, 'submit'>
  readonly toAuthority: Pick<ToAuthority, 'order'>
  readonly claims: Claims
  readonly acts: Acts
  readonly accounts: Accounts
  readonly blogsOf: (key: Fingerprint) => Promise<readonly BlogName[]>
  readonly revocations: Revocations
  readonly revoking: Revoking
  readonly proofs: Pick<Proofs, 'of' | 'count'>
  readonly losses: Pick<Losses, 'of' | 'count'>
  readonly keyServers: KeyServers
  readonly now: () => number
  readonly wait: (ms: number) => Promise<void>
  readonly status: () => Promise<object>
}

const refused = ({ ok: _, ...refusal }: Refusal): SubmitAnswer => ({ kind: 'refused', ...refusal })

function whyNotPublished(copies: number, wanted: number): string {
  if (wanted === 1) return 'stored on 1 server: this council has no second one yet'
  return `stored on ${copies} of ${wanted} servers: it counts as published when ${Math.floor(wanted / 2) + 1} have it. Nothing needs to be done; keep your signed text until then`
}

function taken(entry: Entry, head: { seq: number; id: string }): SubmitAnswer {
  const reason =
    entry.seq <= head.seq
      ? `Entry ${entry.seq} of ${entry.log} is taken by another one. Sign your text again as entry ${head.seq + 1}, after the head.`
      : `Your entry does not follow the head, which is entry ${head.seq}. Sign your text again as entry ${head.seq + 1} with "prev" ${head.id}.`
  return { kind: 'taken', reason, head }
}
