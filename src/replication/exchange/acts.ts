import type { PeerName } from '../../auth/peer-signature.ts'
import { type Clock, within } from '../clock.ts'
import { ReplicationError } from '../errors.ts'
import { type LogName, namesLog } from '../log/log.ts'
import type { Signed } from '../log/text.ts'
import { ask, type Network } from '../network.ts'
import { SYNC } from '../protocol.ts'
import { type Act, decodeAct } from '../registry/act.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import type { ProofOfAct } from '../registry/proof.ts'
import { headsShape, type Page, pageShape, toOffer } from './sync.ts'

/** An act in force, and what shows a stranger that it is. */
export type ProvedAct = { readonly act: Act; readonly proof: ProofOfAct }

/** A peer that carries `@names`, and where the log ends by its word. */
type Source = { readonly peer: PeerName; readonly seq: number }

/** Fetched acts are kept in stretches of this many, so that no choice of pages makes more requests. */
const stretchActs = 50
/** Bytes of fetched acts kept in memory; the stretch used longest ago makes room. */
const maxKeptBytes = 8 * 1024 * 1024
/** How old the word on where `@names` ends may be before its peers are asked again, ms. */
const maxHeadAgeMs = 3_000
/** How long a visitor waits for each of two things: where the log ends, and a stretch of it, ms. */
const headWaitMs = 1_000
const stretchWaitMs = 3_000

/**
 * The council's acts for whoever wants to read them: from this peer's own logs, `@names` at other
 * peers from one that carries it (DESIGN 3). What comes from there is shown only with its proof: a
 * peer may keep the newest acts to itself, it can neither invent nor alter one, nor leave one out.
 */
export class Acts {
  readonly #network: Network
  readonly #council: Pick<CouncilLogs, 'head' | 'proofs' | 'checkProof'>
  readonly #clock: Clock
  readonly #carriesNames: () => boolean
  readonly #namesPeers: () => readonly PeerName[]
  readonly #pullRoster: (peer: PeerName) => Promise<void>
  /** by seq of the first act; immutable, since an act in force stays in force */
  readonly #kept = new Map<number, readonly ProvedAct[]>()
  #keptBytes = 0
  readonly #fetching = new Map<string, Promise<readonly ProvedAct[] | null>>()
  #sources: { readonly askedMs: number; readonly found: Promise<Source[]> } | null = null

  constructor(parts: {
    readonly network: Network
    readonly council: Pick<CouncilLogs, 'head' | 'proofs' | 'checkProof'>
    readonly clock: Clock
    /** whether this peer keeps up with `@names` */
    readonly carriesNames: () => boolean
    /** others that do */
    readonly namesPeers: () => readonly PeerName[]
    readonly pullRoster: (peer: PeerName) => Promise<void>
  }) {
    this.#network = parts.network
    this.#council = parts.council
    this.#clock = parts.clock
    this.#carriesNames = parts.carriesNames
    this.#namesPeers = parts.namesPeers
    this.#pullRoster = parts.pullRoster
  }

  /**
   * The acts before seq `before`, the newest first, at most `limit`.
   * `unreachable`: this peer does not carry the log, and none that does answers.
   */
  async before(
    log: LogName,
    before: number,
    limit: number,
  ): Promise<readonly ProvedAct[] | 'unreachable'> {
    const head = this.#council.head(log)
    if (log === namesLog && (head === null || !this.#carriesNames()))
      return this.#fetched(before, limit)
    if (head === null) return []
    const { from, until } = stretch(head.seq, before, limit)
    if (from === until) return []
    const proofs = await this.#council.proofs(log, from, until - from)
    return proofs.map(ownAct).reverse()
  }

  async #fetched(before: number, limit: number): Promise<readonly ProvedAct[] | 'unreachable'> {
    const sources = await this.#ask()
    while (sources[0] !== undefined) {
      const [source] = sources
      const acts = await this.#from(source, stretch(source.seq, before, limit))
      if (acts !== null) return acts.toReversed()
      // What it said of its head is no longer believed; until it is asked again, others are.
      if (sources[0] === source) sources.shift()
    }
    return 'unreachable'
  }

  /** Peers that carry `@names`, the one that says it has most first. */
  #ask(): Promise<Source[]> {
    const nowMs = this.#clock.steady()
    if (this.#sources === null || nowMs - this.#sources.askedMs > maxHeadAgeMs)
      this.#sources = { askedMs: nowMs, found: this.#askHeads() }
    return this.#sources.found
  }

  async #askHeads(): Promise<Source[]> {
    const connected = new Set(this.#network.connected())
    const peers = this.#namesPeers().filter((peer) => connected.has(peer))
    const asked = { t: 'heads', logs: [namesLog] }
    const answers = await Promise.all(
      peers.map(async (peer) => {
        const answer = await orNull(ask(this.#network, peer, SYNC, asked, headsShape, headWaitMs))
        const seq = answer?.heads.find((head) => head.log === namesLog)?.seq ?? null
        return seq === null ? [] : [{ peer, seq }]
      }),
    )
    return answers.flat().sort((a, b) => b.seq - a.seq)
  }

  /** Null when the peer does not hand them out, or not as they are. */
  async #from(
    source: Source,
    { from, until }: { from: number; until: number },
  ): Promise<ProvedAct[] | null> {
    const acts: ProvedAct[] = []
    for (let start = from - (from % stretchActs); start < until; start += stretchActs) {
      const end = Math.min(until, start + stretchActs)
      const found = await this.#stretch(source, start, end)
      if (found === null) return null
      acts.push(...found.slice(Math.max(0, from - start), end - start))
    }
    return acts
  }

  /** The acts from `start` on, up to `end` at least; who asks meanwhile waits for the same answer. */
  async #stretch(source: Source, start: number, end: number) {
    const kept = this.#kept.get(start) ?? []
    if (kept.length >= end - start) {
      this.#keep(start, kept)
      return kept
    }
    const key = `${source.peer} ${start} ${end}`
    const running =
      this.#fetching.get(key) ??
      this.#fetch(source, start, end, kept).finally(() => this.#fetching.delete(key))
    this.#fetching.set(key, running)
    return within(this.#clock, stretchWaitMs, running, null)
  }

  async #fetch(
    { peer, seq }: Source,
    start: number,
    end: number,
    kept: readonly ProvedAct[],
  ): Promise<readonly ProvedAct[] | null> {
    const acts = [...kept]
    while (acts.length < end - start) {
      const from = start + acts.length
      const asked = { t: 'range', log: namesLog, from }
      const page = await orNull(ask(this.#network, peer, SYNC, asked, pageShape, stretchWaitMs))
      const room = Math.min(seq + 1, start + stretchActs) - from
      const rows = page?.entries.slice(0, room) ?? []
      if (rows.length === 0) return null
      for (const row of rows) {
        const act = await this.#check(peer, row, start + acts.length)
        if (act === null) return null
        acts.push(act)
      }
    }
    this.#keep(start, acts)
    return acts
  }

  async #check(
    peer: PeerName,
    row: Page['entries'][number],
    seq: number,
  ): Promise<ProvedAct | null> {
    const offer = toOffer(row)
    const proof = { ...copyOf(offer), receipts: (offer.receipts ?? []).map(copyOf) }
    let act = this.#council.checkProof(proof)
    if (!act.ok && act.code === 'ROSTER_BEHIND') {
      await orNull(this.#pullRoster(peer))
      act = this.#council.checkProof(proof)
    }
    // An act of @roster, or an older one of @names, proves itself as well.
    const isAsked = act.ok && act.value.log === namesLog && act.value.seq === seq
    return act.ok && isAsked ? { act: act.value, proof } : null
  }

  #keep(start: number, acts: readonly ProvedAct[]): void {
    this.#keptBytes += bytesOf(acts) - bytesOf(this.#kept.get(start) ?? [])
    this.#kept.delete(start)
    this.#kept.set(start, acts)
    for (const [oldest, each] of this.#kept) {
      if (this.#keptBytes <= maxKeptBytes) return
      this.#kept.delete(oldest)
      this.#keptBytes -= bytesOf(each)
    }
  }
}

/** The decoder may give views, and one kept act would keep its whole page in memory. */
const copyOf = ({ text, signature }: Signed): Signed => ({
  text: Uint8Array.from(text),
  signature: Uint8Array.from(signature),
})

function stretch(headSeq: number, before: number, limit: number) {
  const until = Math.min(before, headSeq + 1)
  return { from: Math.max(0, until - limit), until }
}

function ownAct(proof: ProofOfAct): ProvedAct {
  const act = decodeAct(proof.text)
  if (!act.ok)
    throw new ReplicationError('STORE_DAMAGED', `an act on disk does not decode: ${act.reason}`)
  return { act: act.value, proof }
}

/** One peer that does not answer, or not as the protocol has it, must not hide the others. */
async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof ReplicationError) return null
    throw error
  }
}

const bytesOf = (acts: readonly ProvedAct[]) =>
  acts.reduce(
    (sum, { proof }) =>
      [proof, ...proof.receipts].reduce(
        (total, { text, signature }) => total + text.length + signature.length,
        sum,
      ),
    0,
  )
