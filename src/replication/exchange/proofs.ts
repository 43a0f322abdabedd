import { encode } from 'cborg'
import { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { decodeFrame } from '../frame.ts'
import { checkBroughtKeys, maxBroughtKeys } from '../log/brought-keys.ts'
import type { BlogName } from '../log/entry.ts'
import type { Ingest } from '../log/ingest.ts'
import type { Item, LogName } from '../log/log.ts'
import type { LogRules } from '../log/rules.ts'
import type { LogStore } from '../log/store.ts'
import type { EntryId, Signed } from '../log/text.ts'
import { ask, type GossipVerdict, type Network, type Pubsub, signedShape } from '../network.ts'
import { maxGossipBytes, proofsTopic, READ, SYNC } from '../protocol.ts'
import { fromSignedRow, type SignedRow, signedRow } from '../registry/proof.ts'
import { pageShape, toOffer } from './sync.ts'

/** Two entries, or acts, for one seq of a log, both validly signed (REPLICATION 16). */
export type Fork = {
  readonly log: LogName
  readonly seq: number
  /** by id */
  readonly versions: readonly [Signed, Signed]
  readonly ids: readonly [EntryId, EntryId]
  /** where the log ended here when this became known: an entry behind it, by the author, settles it */
  readonly endedAt: number
}

/** Forks of one log that are kept; its author, or the authority, can make them without end. */
const maxPerLog = 20
/** … of all logs. */
const maxForks = 5_000
/** Peers that are asked for the other version. */
const maxAsked = 5

type ProofMessage = {
  readonly log: LogName
  readonly versions: readonly [SignedRow, SignedRow]
  /** of a blog: the entries with its keys, genesis first, up to that seq */
  readonly keys: readonly SignedRow[]
}
const proofShape: z.ZodType<ProofMessage> = z.object({
  log: z.string().max(40),
  versions: z.tuple([signedShape, signedShape]),
  keys: z.array(signedShape).max(maxBroughtKeys),
})
type Row = ProofMessage & { endedAt: number }
const listAnswer = z.object({
  forks: z.array(z.object({ log: z.string().max(40), seq: z.number().int().min(0) })).max(maxForks),
})
const forkAnswer = z.object({ proof: proofShape.nullable() })
export const forksShape = z.object({ t: z.literal('forks') })
export const forkShape = z.object({
  t: z.literal('fork'),
  log: z.string().max(40),
  seq: z.number().int().min(0),
})

/**
 * Proofs that a log has two histories: found where two replicas, or an act in force and a second one,
 * contradict each other; gossiped, pulled, kept, and shown by everybody. Obeyed by nobody: what a log
 * says stays what it is.
 */
export class Proofs {
  readonly #parts: Parts
  readonly #forks = new Map<string, Fork>()
  readonly #searching = new Set<string>()
  #topic: string | null = null
  /** rises with each proof that becomes known */
  count = 0

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Reads what was kept before the start. */
  async start(): Promise<void> {
    for (const [, value] of await this.#parts.store.values('fork/')) {
      const row = proofShape.safeParse(value)
      const items = row.success ? this.#decode(row.data) : row
      if (row.success && 'ok' in items && items.ok)
        this.#put(row.data, items.value, (value as Row).endedAt)
    }
  }

  /** Hears what others have found. */
  follow(): void {
    const id = this.#parts.councilId()
    if (id === null || this.#topic !== null) return
    this.#topic = proofsTopic(id)
    this.#parts.pubsub.subscribe(this.#topic, (_from, data) => this.#judge(data))
  }

  all(): readonly Fork[] {
    return [...this.#forks.values()]
  }

  of(log: LogName): readonly Fork[] {
    return this.all().filter((fork) => fork.log === log)
  }

  /** What a pull gets: all that is known here, or one proof. */
  list() {
    return { forks: this.all().map(({ log, seq }) => ({ log, seq })) }
  }
  async answer({ log, seq }: z.infer<typeof forkShape>): Promise<unknown> {
    const value = await this.#parts.store.value(forkKey(log, seq))
    const row = proofShape.safeParse(value)
    return { proof: row.success ? row.data : null }
  }

  /** Asks a peer for proofs that are not known here. Throws as `ask` does. */
  async pull(peer: PeerName): Promise<void> {
    const { network } = this.#parts
    const { forks } = await ask(network, peer, READ, { t: 'forks' }, listAnswer)
    for (const { log, seq } of forks) {
      if (this.#forks.has(forkKey(log, seq)) || this.#isFull(log)) continue
      const { proof } = await ask(network, peer, READ, { t: 'fork', log, seq }, forkAnswer)
      if (proof !== null) await this.#take(proof)
    }
  }

  /**
   * Somebody's word contradicts the log here at `seq`: looks for the other version, aside or at
   * peers, and tells everybody of both.
   */
  async search(log: LogName, seq: number, peers: readonly PeerName[]): Promise<void> {
    const key = forkKey(log, seq)
    if (this.#forks.has(key) || this.#searching.has(key) || this.#isFull(log)) return
    this.#searching.add(key)
    try {
      const other =
        (await this.#aside(log, seq)) ?? (await this.#fetch(log, seq, peers.slice(0, maxAsked)))
      if (other !== null) await this.found(log, other)
    } finally {
      this.#searching.delete(key)
    }
  }

  /** Another version of an entry that is in the log here. @returns whether it makes a proof */
  async found(log: LogName, other: Signed): Promise<boolean> {
    const { ingest, store } = this.#parts
    const item = await ingest.keepAside(log, { ...other, receipts: [] })
    if (!item.ok) return false
    const own = await store.entry(log, item.value.seq)
    if (own === null || Buffer.compare(own.text, other.text) === 0) return false
    const keys: SignedRow[] = []
    for (const seq of (await ingest.record(log))?.keys ?? []) {
      const stored = seq <= item.value.seq ? await store.entry(log, seq) : null
      if (stored !== null) keys.push(signedRow(stored))
    }
    const message: ProofMessage = { log, versions: [signedRow(own), signedRow(other)], keys }
    if (!(await this.#take(message)).ok) return false
    const bytes = encode(message)
    // What is too long for gossip is pulled.
    if (this.#topic !== null && bytes.length <= maxGossipBytes)
      await this.#parts.pubsub.publish(this.#topic, bytes).catch(() => undefined)
    return true
  }

  async #aside(log: LogName, seq: number): Promise<Signed | null> {
    const own = await this.#parts.ingest.idAt(log, seq)
    for (const stored of await this.#parts.store.asideAt(log, seq)) {
      const item = this.#parts.rulesOf(log).decode(stored.text)
      if (item.ok && item.value.id !== own) return stored
    }
    return null
  }

  async #fetch(log: LogName, seq: number, peers: readonly PeerName[]): Promise<Signed | null> {
    const { network, ingest, rulesOf } = this.#parts
    const own = await ingest.idAt(log, seq)
    for (const peer of peers) {
      if (peer === network.self) continue
      const range = { t: 'range', log, from: seq }
      const page = await ask(network, peer, SYNC, range, pageShape).catch(() => null)
      const [row] = page?.entries ?? []
      const offer = row === undefined ? null : toOffer(row)
      const item = offer === null ? null : rulesOf(log).decode(offer.text)
      if (offer !== null && item?.ok && item.value.seq === seq && item.value.id !== own)
        return offer
    }
    return null
  }

  async #judge(data: Uint8Array): Promise<GossipVerdict> {
    if (data.length > maxGossipBytes) return 'reject'
    let message: ProofMessage
    try {
      message = proofShape.parse(decodeFrame(data))
    } catch {
      return 'reject'
    }
    const taken = await this.#take(message)
    if (taken.ok) return 'accept'
    return passing.has(taken.code) ? 'ignore' : 'reject'
  }

  /**
   * Keeps a proof that holds. Codes: PROOF_KNOWN, PROOF_FULL, PROOF_UNKNOWN_LOG (nobody here can say
   * whose log it is), PROOF_FORM (not two versions of one place), PROOF_KEYS, and those of signatures.
   */
  async #take(message: ProofMessage): Promise<Verdict<void>> {
    const items = this.#decode(message)
    if (!items.ok) return items
    const [{ seq }] = items.value
    const { log } = message
    const key = forkKey(log, seq)
    if (this.#forks.has(key)) return refuse('PROOF_KNOWN', 'This proof is known here.')
    if (this.#isFull(log)) return refuse('PROOF_FULL', 'Enough forks of this log are known here.')
    const signed = await this.#check(message, items.value)
    if (!signed.ok) return signed
    if (this.#forks.has(key)) return refuse('PROOF_KNOWN', 'This proof is known here.')
    const { ingest, store, report } = this.#parts
    const endedAt = Math.max(seq, (await ingest.record(log))?.head.seq ?? seq)
    await store.write([store.putValue(key, { ...message, endedAt } satisfies Row)])
    this.#put(message, items.value, endedAt)
    report('fork', { log, seq, ids: items.value.map(({ id }) => id) })
    return accept(undefined)
  }

  #put({ log, versions }: ProofMessage, [a, b]: readonly [Item, Item], endedAt: number): void {
    const [first, second] = versions.map(fromSignedRow) as [Signed, Signed]
    const isOrdered = a.id < b.id
    this.#forks.set(forkKey(log, a.seq), {
      ...{ log, seq: a.seq, endedAt },
      versions: isOrdered ? [first, second] : [second, first],
      ids: isOrdered ? [a.id, b.id] : [b.id, a.id],
    })
    this.count++
  }

  #isFull(log: LogName): boolean {
    return this.#forks.size >= maxForks || this.of(log).length >= maxPerLog
  }

  #decode({ log, versions }: ProofMessage): Verdict<readonly [Item, Item]> {
    const rules = this.#parts.rulesOf(log)
    const [a, b] = versions.map(([text]) => rules.decode(text)) as [Verdict<Item>, Verdict<Item>]
    if (!a.ok) return a
    if (!b.ok) return b
    const isFork =
      a.value.log === log &&
      b.value.log === log &&
      a.value.seq === b.value.seq &&
      a.value.id !== b.value.id
    return isFork
      ? accept([a.value, b.value])
      : refuse('PROOF_FORM', 'These are not two versions of one place in a log.')
  }

  async #check(message: ProofMessage, items: readonly [Item, Item]): Promise<Verdict<void>> {
    const { log, keys, versions } = message
    const rules = this.#parts.rulesOf(log)
    let brought: ReadonlyMap<number, Uint8Array> = new Map()
    const isBlog = !log.startsWith('@')
    const read = async (seq: number) =>
      isBlog
        ? (brought.get(seq) ?? null)
        : ((await this.#parts.store.entry(log, seq))?.text ?? null)
    if (isBlog) {
      const blog = log as BlogName
      const genesis = await this.#parts.genesisOf(blog)
      if (genesis === null)
        return refuse('PROOF_UNKNOWN_LOG', `Whose ${log} is cannot be found out.`)
      const known = { blog, genesis, last: items[0].seq }
      const held = await checkBroughtKeys(rules, known, keys.map(fromSignedRow))
      if (!held.ok) return held
      brought = held.value
    }
    for (const [at, item] of items.entries()) {
      const offer = fromSignedRow(versions[at] as SignedRow)
      const signed = await rules.checkAlone(item, offer, keysBefore(brought, item.seq), read)
      if (!signed.ok) return signed
    }
    return accept(undefined)
  }
}

const keysBefore = (keys: ReadonlyMap<number, unknown>, seq: number) =>
  [...keys.keys()].filter((each) => each < seq)
const forkKey = (log: LogName, seq: number) => `fork/${log}/${String(seq).padStart(16, '0')}`
/** What says nothing against who sent it. */
const passing = new Set(['PROOF_KNOWN', 'PROOF_FULL', 'PROOF_UNKNOWN_LOG', 'ENTRY_COUNCIL'])

type Parts = {
  readonly network: Network
  readonly pubsub: Pubsub
  readonly councilId: () => string | null
  readonly store: LogStore
  readonly ingest: Ingest
  readonly rulesOf: (log: LogName) => LogRules<unknown>
  /** id of a blog's genesis by an act in force, null when none is known here */
  readonly genesisOf: (blog: BlogName) => Promise<EntryId | null>
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}
