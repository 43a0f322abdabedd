import { randomBytes } from 'node:crypto'
import type { PeerSigner } from '../auth/peer-signature.ts'
import type { Fingerprint } from '../auth/public-key.ts'
import type { TokenKind } from '../auth/session.ts'
import type { Aggregation } from '../replication/aggregation/aggregation.ts'
import type { Acts } from '../replication/exchange/acts.ts'
import type { Claims } from '../replication/exchange/claim.ts'
import type { ToAuthority } from '../replication/exchange/decisions.ts'
import type { Losses } from '../replication/exchange/losses.ts'
import type { Proofs } from '../replication/exchange/proofs.ts'
import type { Reader, Visit } from '../replication/exchange/read.ts'
import type { Replicas } from '../replication/exchange/replica.ts'
import type { Revocations } from '../replication/exchange/revocations.ts'
import type { Revoking } from '../replication/exchange/revoking.ts'
import type { Submit } from '../replication/exchange/submit.ts'
import type { BlogName } from '../replication/log/entry.ts'
import type { LogName } from '../replication/log/log.ts'
import type { LogStore } from '../replication/log/store.ts'
import type { Signed } from '../replication/log/text.ts'
import type { CouncilLogs } from '../replication/registry/council-logs.ts'
import { signHello } from '../replication/registry/hello.ts'
import type { Registry } from '../replication/registry/registry.ts'
import { reasonWord } from '../replication/registry/revoked-keys.ts'
import type { Accounts, KeyServerWord, SearchAsked, WebSpoke } from '../web/spoke.ts'
import { BlogFolds } from './blog-folds.ts'
import { CouncilView } from './council-view.ts'
import { HandIn } from './hand-in.ts'
import type { KeyServers } from './key-servers.ts'
import { OpenBlogs } from './open-blogs.ts'
import { OwnBlogs } from './own-blogs.ts'
import { WebTokens } from './web-tokens.ts'

/** What the pages see of a running spoke: replication on one side, plain data on the other. */
export class SpokeForWeb implements WebSpoke {
  readonly zone: string
  readonly name: string
  readonly #parts: Parts
  readonly #view: CouncilView
  readonly #folds = new BlogFolds()
  readonly #blogs: OpenBlogs
  readonly #handIn: HandIn
  readonly #tokens: WebTokens

  constructor(parts: Parts) {
    this.zone = parts.zone
    this.name = parts.name
    this.#parts = parts
    const { replicas, ingest, store, revocations, now } = parts
    const fold = (name: BlogName) => this.#folds.fold(name, { ingest, store })
    const own = new OwnBlogs({ replicas, ingest, store, revocations, fold })
    const { council, registry, aggregation } = parts
    const exchange = { council, registry, revocations }
    this.#view = new CouncilView({ aggregation, exchange, own, now })
    this.#blogs = new OpenBlogs({ ...parts, folds: this.#folds })
    this.#handIn = new HandIn(parts)
    this.#tokens = new WebTokens(parts)
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

  readonly openBlog = (name: BlogName) => this.#blogs.open(name)
  readonly blogVersion = (name: BlogName) => this.#blogs.version(name)
  readonly keeps = (name: BlogName) => this.#blogs.keeps(name)
  readonly submit = (text: Uint8Array, signature: string) => this.#handIn.submit(text, signature)
  readonly order = (text: Uint8Array, signature: string) => this.#handIn.order(text, signature)
  readonly signToken = (
    kind: TokenKind,
    of: { readonly key: Fingerprint; readonly host: string; readonly id: string | null },
  ) => this.#tokens.sign(kind, of)
  readonly readToken = (kind: TokenKind, value: string, host: string) =>
    this.#tokens.read(kind, value, host)

  get accounts() {
    return this.#parts.accounts
  }

  /** Those claimed with the key, and those here that it took over by a rekey. */
  readonly blogsOf = async (key: Fingerprint): Promise<BlogName[]> => {
    const { replicas, ingest, store } = this.#parts
    const blogs = new Set(await this.#parts.blogsOf(key))
    for (const { assignment, role } of replicas.all()) {
      const blog =
        role === 'none' ? null : await this.#folds.fold(assignment.blog, { ingest, store })
      if (blog?.key === key) blogs.add(blog.name)
    }
    return [...blogs].sort((a, b) => (a < b ? -1 : 1))
  }

  readonly hello = (nonce: string): Signed | null => {
    const council = this.council()
    const hello = council === null ? null : signHello(this.#parts.signer, council, nonce)
    return hello?.ok ? hello.value : null
  }
}

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
