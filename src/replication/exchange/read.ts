import { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import type { Fingerprint } from '../../auth/public-key.ts'
import { refuse } from '../../auth/verdict.ts'
import { type BlogName, parseBlogName } from '../log/entry.ts'
import type { Ingest } from '../log/ingest.ts'
import type { LogStore } from '../log/store.ts'
import type { EntryId, Signed } from '../log/text.ts'
import { answer, ask, type Network, proofShape, refusalAnswer, signedShape } from '../network.ts'
import { READ } from '../protocol.ts'
import { type Assignment, readAssignment } from '../registry/assignment.ts'
import { type ClaimRecord, claimShape } from '../registry/claim-record.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import { fromProofRow, fromSignedRow, proofRow, signedRow } from '../registry/proof.ts'
import type { Registry } from '../registry/registry.ts'
import { type Audits, auditShape } from './audits.ts'
import { forkShape, forksShape, type Proofs } from './proofs.ts'
import type { Replicas } from './replica.ts'
import { readPage } from './sync.ts'
import type { Visit } from './visits.ts'

const request = z.discriminatedUnion('t', [
  z.object({ t: z.literal('log'), log: z.string().max(40), from: z.number().int().min(0) }),
  z.object({
    t: z.literal('aside'),
    log: z.string().max(40),
    seq: z.number().int().min(0),
    id: z.string().length(64),
  }),
  z.object({ t: z.literal('left'), log: z.string().max(40) }),
  z.object({ t: z.literal('act'), blog: z.string().max(40) }),
  z.object({ t: z.literal('claim'), id: z.string().length(64) }),
  z.object({ t: z.literal('blogs'), key: z.string().length(40) }),
  auditShape,
  forksShape,
  forkShape,
])
const actShape = z.object({ proof: proofShape.nullable(), carriesNames: z.boolean() })
const claimAnswer = z.object({ claim: claimShape.nullable() })
/** Entries that were moved aside, in one answer, and peers that are asked for them. */
const maxLeft = 50
const maxLeftAsked = 20
const leftWaitMs = 700
const leftAnswer = z.object({ entries: z.array(signedShape).max(maxLeft) })
/** Blogs named in one answer; a key has two names, and may have taken over a few more. */
const maxBlogsOfKey = 20
const blogsAnswer = z.object({ blogs: z.array(z.string().max(40)).max(maxBlogsOfKey) })

/**
 * The protocol READ, both sides but for visits: what anybody may ask a peer about logs, acts and
 * claims, and what this peer asks others in that way.
 */
export class Reader {
  readonly #network: Network
  readonly #store: LogStore
  readonly #ingest: Ingest
  readonly #replicas: Replicas
  readonly #registry: Registry
  readonly #council: CouncilLogs
  readonly #claimHere: (id: string) => Promise<ClaimRecord | null>
  readonly #audits: Pick<Audits, 'answer'>
  readonly #proofs: Pick<Proofs, 'answer' | 'list'>

  constructor(parts: {
    readonly network: Network
    readonly store: LogStore
    readonly ingest: Ingest
    readonly replicas: Replicas
    readonly registry: Registry
    readonly council: CouncilLogs
    readonly claimHere: (id: string) => Promise<ClaimRecord | null>
    readonly audits: Pick<Audits, 'answer'>
    readonly proofs: Pick<Proofs, 'answer' | 'list'>
  }) {
    this.#network = parts.network
    this.#store = parts.store
    this.#ingest = parts.ingest
    this.#replicas = parts.replicas
    this.#registry = parts.registry
    this.#council = parts.council
    this.#claimHere = parts.claimHere
    this.#audits = parts.audits
    this.#proofs = parts.proofs
  }

  start(): void {
    this.#network.handle(
      READ,
      answer(request, async (_from, body) => {
        if (body.t === 'claim') return { claim: await this.#claimHere(body.id) }
        if (body.t === 'audit') return this.#audits.answer(body)
        if (body.t === 'forks') return this.#proofs.list()
        if (body.t === 'fork') return this.#proofs.answer(body)
        if (body.t === 'blogs') {
          const blogs = this.#council.names()?.byKey.get(body.key) ?? []
          return { blogs: blogs.slice(0, maxBlogsOfKey) }
        }
        if (body.t === 'aside') {
          const kept = await this.#store.asideById(body.log, body.seq, body.id as EntryId)
          return { entry: kept === null ? null : signedRow(kept) }
        }
        if (body.t === 'left') {
          return { entries: (await this.#leftHere(body.log as BlogName)).map(signedRow) }
        }
        if (body.t === 'act') {
          const own = await this.#registry.own(body.blog as BlogName)
          return {
            proof: own === null ? null : proofRow(own.proof),
            carriesNames: this.#council.names() !== null,
          }
        }
        const kept = this.#replicas.get(body.log as BlogName)
        if (kept === null || (await this.#ingest.record(body.log)) === null) {
          return refusalAnswer(refuse('NOT_HELD', `This spoke does not hold ${body.log}.`))
        }
        const receipts = kept.receipts.all().map((receipt) => signedRow(receipt.signed))
        const page = await readPage(this.#store, body.log, body.from)
        return { ...page, act: proofRow(kept.assignment.proof), receipts }
      }),
    )
  }

  /** Asks peers that carry `@names` where a blog is; for the registry. */
  async askNames(
    blog: BlogName,
    peers: readonly PeerName[],
  ): Promise<Assignment | 'free' | 'unreachable'> {
    const answers = await Promise.all(
      peers.map(async (peer) => {
        try {
          const reply = await ask(this.#network, peer, READ, { t: 'act', blog }, actShape, 3_000)
          if (reply.proof === null) return reply.carriesNames ? 'free' : null
          const read = readAssignment(fromProofRow(reply.proof), this.#council.roster())
          return read.ok ? read.value : null
        } catch {
          return null
        }
      }),
    )
    const found = answers
      .filter((each) => each !== null && each !== 'free')
      .sort((a, b) => b.epoch - a.epoch)
    return found[0] ?? (answers.includes('free') ? 'free' : 'unreachable')
  }

  /** A version of an entry that is aside here, by its id (REPLICATION 10). */
  async aside(blog: BlogName, seq: number, id: EntryId): Promise<Signed | null> {
    return this.#store.asideById(blog, seq, id)
  }

  /**
   * What the blog's author signed and a later epoch moved aside, here or at another spoke, and that is
   * in no log now: who of those that are connected answers soon is believed in what her key signed.
   */
  async leftOver(blog: BlogName, { ingest }: Pick<Visit, 'ingest'>): Promise<Signed[]> {
    const peers = this.#network.connected().slice(0, maxLeftAsked)
    const asked = { t: 'left', log: blog }
    const answers = await Promise.all(
      peers.map((peer) =>
        ask(this.#network, peer, READ, asked, leftAnswer, leftWaitMs).catch(() => null),
      ),
    )
    const own = await this.#leftHere(blog)
    const theirs = answers.flatMap((each) => each?.entries.map(fromSignedRow) ?? [])
    const left: Signed[] = []
    const seen = new Set<string>()
    for (const offer of [...own, ...theirs]) {
      const text = Buffer.from(offer.text).toString('latin1')
      if (seen.has(text)) continue
      seen.add(text)
      const item = await ingest.signatures.checkLeft(blog, offer)
      if (item.ok && (await ingest.idAt(blog, item.value.seq)) !== item.value.id) left.push(offer)
    }
    return left
  }

  /** What was moved aside here, and what a replica that is none any more has behind the act's head. */
  async #leftHere(blog: BlogName): Promise<Signed[]> {
    const kept = this.#replicas.get(blog)
    const from = (kept?.assignment.head.seq ?? 0) + 1
    const log = kept?.role === 'none' ? await this.#store.entries(blog, from, maxLeft) : []
    return [...(await this.#store.tail(blog, 0)), ...log].slice(-maxLeft)
  }

  /**
   * Blogs that were claimed with a key, from this peer's `@names` or else from peers that carry it. A
   * hint: who follows it looks at each blog's own key.
   */
  async blogsOf(key: Fingerprint, peers: readonly PeerName[]): Promise<BlogName[]> {
    const own = this.#council.names()
    if (own !== null) return [...(own.byKey.get(key) ?? [])]
    const answers = await Promise.all(
      peers.map(async (peer) => {
        try {
          return (await ask(this.#network, peer, READ, { t: 'blogs', key }, blogsAnswer, 1_000))
            .blogs
        } catch {
          return []
        }
      }),
    )
    return [...new Set(answers.flat())].flatMap((name) => parseBlogName(name) ?? [])
  }

  /** The record of a claim, from whichever connected peer has it. */
  async claim(id: string): Promise<ClaimRecord | null> {
    const here = await this.#claimHere(id)
    if (here !== null) return here
    const answers = await Promise.all(
      this.#network.connected().map(async (peer) => {
        try {
          return (await ask(this.#network, peer, READ, { t: 'claim', id }, claimAnswer, 1_000))
            .claim
        } catch {
          return null
        }
      }),
    )
    return answers.find((each) => each !== null) ?? null
  }
}
