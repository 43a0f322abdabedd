import { encode } from 'cborg'
import { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import { decodeFrame } from '../frame.ts'
import type { BlogName, Entry } from '../log/entry.ts'
import { type LogName, namesLog, rosterLog } from '../log/log.ts'
import { decodeReceipt } from '../log/receipt.ts'
import type { LogStore } from '../log/store.ts'
import { bytes, type GossipVerdict, type Pubsub, proofShape, signedShape } from '../network.ts'
import { actsTopic, logTopic, maxGossipBytes, maxGossipTextBytes } from '../protocol.ts'
import { decodeAct } from '../registry/act.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import {
  fromProofRow,
  fromSignedRow,
  type ProofOfAct,
  proofRow,
  signedRow,
} from '../registry/proof.ts'
import { authorityOf } from '../registry/roster.ts'
import type { Kept, Replicas } from './replica.ts'
import type { Sync } from './sync.ts'

/** An entry, or only the primary's receipt for its head when the entry is large. */
const entryMessage = z.union([
  z.object({ log: z.string().max(40), text: bytes, signature: bytes }),
  z.object({ log: z.string().max(40), head: signedShape }),
])
const actMessage = z.object({
  log: z.enum([rosterLog as '@roster', namesLog as '@names']),
  act: proofShape,
})

/** Push by gossip: a hint that saves time, never the truth (DESIGN 2 and 4). */
export class Gossip {
  readonly #pubsub: Pubsub
  readonly #councilId: () => string | null
  readonly #store: LogStore
  readonly #replicas: Replicas
  readonly #council: CouncilLogs
  readonly #sync: Sync
  readonly #self: PeerName
  readonly #onAct: (from: PeerName, log: LogName, proof: ProofOfAct) => Promise<GossipVerdict>
  readonly enabled: boolean
  readonly #topics = new Set<string>()

  constructor(parts: {
    readonly pubsub: Pubsub
    readonly self: PeerName
    readonly councilId: () => string | null
    readonly store: LogStore
    readonly replicas: Replicas
    readonly council: CouncilLogs
    readonly sync: Sync
    /** what an act in force means to this peer */
    readonly onAct: (from: PeerName, log: LogName, proof: ProofOfAct) => Promise<GossipVerdict>
    /** false only in tests of the other ways */
    readonly enabled: boolean
  }) {
    this.#pubsub = parts.pubsub
    this.#self = parts.self
    this.#councilId = parts.councilId
    this.#store = parts.store
    this.#replicas = parts.replicas
    this.#council = parts.council
    this.#sync = parts.sync
    this.#onAct = parts.onAct
    this.enabled = parts.enabled
  }

  /** Subscribes to what this peer follows: acts, and the topics of the primaries it is secondary of. */
  follow(): void {
    const id = this.#councilId()
    if (id === null || !this.enabled) return
    const wanted = new Map<string, (from: PeerName, data: Uint8Array) => Promise<GossipVerdict>>()
    wanted.set(actsTopic(id), (from, data) => this.#judgeAct(from, data))
    for (const kept of this.#replicas.all()) {
      if (kept.role === 'none') continue
      const { primary } = kept.assignment
      // A primary joins its own topic's mesh too; its own messages need no judging.
      wanted.set(logTopic(id, primary), (from, data) => this.#judgeEntry(primary, from, data))
    }
    for (const topic of this.#topics) {
      if (wanted.has(topic)) continue
      this.#pubsub.unsubscribe(topic)
      this.#topics.delete(topic)
    }
    for (const [topic, judge] of wanted) {
      if (this.#topics.has(topic)) continue
      this.#topics.add(topic)
      this.#pubsub.subscribe(topic, judge)
    }
  }

  /** Announces new entries of a blog that this peer is primary of. */
  async announce(kept: Kept, items: readonly Entry[]): Promise<void> {
    const id = this.#councilId()
    if (id === null || !this.enabled) return
    const log = kept.assignment.blog
    for (const item of items) {
      const stored = await this.#store.entry(log, item.seq)
      if (stored === null) continue
      if (item.text.length <= maxGossipTextBytes) {
        await this.#publish(logTopic(id, this.#self), {
          log,
          text: stored.text,
          signature: stored.signature,
        })
        continue
      }
      const own = await this.#replicas.give(kept)
      if (own !== null)
        await this.#publish(logTopic(id, this.#self), { log, head: signedRow(own.signed) })
    }
  }

  /** Announces an act in force; the authority only. */
  async announceAct(log: LogName, proof: ProofOfAct): Promise<void> {
    const id = this.#councilId()
    if (id !== null && this.enabled)
      await this.#publish(actsTopic(id), { log, act: proofRow(proof) })
  }

  async #publish(topic: string, message: unknown): Promise<void> {
    try {
      await this.#pubsub.publish(topic, encode(message))
    } catch {
      // Push and pull bring it.
    }
  }

  async #judgeEntry(primary: PeerName, from: PeerName, data: Uint8Array): Promise<GossipVerdict> {
    if (from !== primary) return 'reject'
    const message = readMessage(data, entryMessage)
    if (message === null) return 'reject'
    const kept = this.#replicas.get(message.log as BlogName)
    if (kept === null || kept.role === 'none') return 'ignore'
    if (kept.assignment.primary !== from) {
      // A primary of before: what it took from an author may exist nowhere else (REPLICATION 10).
      if ('text' in message) await this.#replicas.keepAside(kept, message)
      return 'ignore'
    }
    if (kept.role !== 'secondary') return 'ignore'
    if ('head' in message) {
      const receipt = decodeReceipt(fromSignedRow(message.head))
      if (!receipt.ok || receipt.value.replica.peer !== from || receipt.value.log !== message.log)
        return 'reject'
      if (receipt.value.act !== kept.assignment.id) return 'ignore'
      this.#hint(from, kept)
      return 'accept'
    }
    const head = await this.#replicas.followedHead(kept)
    if (head === null) {
      // Where the primary's log ends is not known from one entry: the pull brings that.
      this.#hint(from, kept)
      return 'ignore'
    }
    const outcome = await this.#replicas.take(
      kept,
      [{ text: message.text, signature: message.signature }],
      { way: 'gossip', head },
    )
    if (outcome.kind === 'held') return 'accept'
    if (outcome.kind === 'refused') return 'reject'
    if (outcome.kind === 'gap') this.#hint(from, kept)
    return 'ignore'
  }

  /** Every hint leads to a pull. */
  #hint(from: PeerName, kept: Kept): void {
    this.#sync.pull(from, [kept.assignment.blog]).catch(() => undefined)
  }

  async #judgeAct(from: PeerName, data: Uint8Array): Promise<GossipVerdict> {
    const message = readMessage(data, actMessage)
    if (message === null) return 'reject'
    const roster = this.#council.roster()
    if (roster === null || from !== authorityOf(roster)) return 'ignore'
    const proof = fromProofRow(message.act)
    const act = decodeAct(proof.text)
    if (!act.ok || act.value.log !== message.log) return 'reject'
    return this.#onAct(from, message.log, proof)
  }
}

function readMessage<T>(data: Uint8Array, shape: z.ZodType<T>): T | null {
  if (data.length > maxGossipBytes) return null
  try {
    const read = shape.safeParse(decodeFrame(data))
    return read.success ? read.data : null
  } catch {
    return null
  }
}
