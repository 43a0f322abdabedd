import type { PeerName } from '../../auth/peer-signature.ts'
import type { BlogName } from '../log/entry.ts'
import type { Ingest } from '../log/ingest.ts'
import { type LogName, namesLog, rosterLog } from '../log/log.ts'
import type { Stored } from '../log/store.ts'
import { ask, type Network } from '../network.ts'
import { SYNC } from '../protocol.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import type { Replicas } from './replica.ts'
import { type Page, pageShape, toOffer } from './sync.ts'

/** Entries whose bytes one go hashes: with a go a second 360,000 an hour, at 1 % of a core. */
const rowsPerGo = 100
/** One in so many of them has its signature checked too, another one in each round. */
const signatureEvery = 10
/** Peers that are asked for what is damaged, in one go. */
const maxAsked = 5
/** What nobody can put right is asked for again after so many goes, at most. */
const maxPause = 64

/** What the scrub has done since the start. */
export type ScrubCounts = {
  /** whole rounds over all logs held */
  readonly rounds: number
  readonly entries: number
  readonly damaged: number
  readonly healed: number
}

/**
 * Looks for damage on the disk, steadily and slowly: every entry held is hashed again, and a tenth of
 * the signatures checked, round after round (DESIGN 4, Scrub). What is damaged is fetched again from
 * other replicas, or from whoever has it: it is signed, and the chain names its id.
 */
export class Scrub {
  readonly #parts: Parts
  #logs: LogName[] = []
  #at = 0
  #from = 0
  #rounds = 0
  #entries = 0
  #found = 0
  #healed = 0
  /** goes that pass before others are asked again for what is damaged: each time twice as many */
  readonly #pauses = new Map<LogName, { left: number; readonly next: number }>()

  constructor(parts: Parts) {
    this.#parts = parts
    parts.ingest.damage.onEvent((event) => {
      if (event.kind === 'found') this.#found += event.seqs.length
      if (event.kind === 'healed') this.#healed += event.seqs.length
      const fields = event.kind === 'rebuilt' ? { head: event.head } : { seqs: event.seqs }
      parts.report(`log_${words[event.kind]}`, { log: event.log, ...fields })
    })
  }

  get counts(): ScrubCounts {
    const { length } = this.#parts.ingest.damage.all().flatMap(({ seqs }) => seqs)
    const healed = Math.min(this.#healed, this.#found - length)
    return { rounds: this.#rounds, entries: this.#entries, damaged: this.#found, healed }
  }

  /** One go: what a reader stumbled over, the next stretch of the round, and what waits to be healed. */
  async run(): Promise<void> {
    const { damage } = this.#parts.ingest
    for (;;) {
      const suspect = damage.takeSuspect()
      if (suspect === null) break
      const from = Math.max(0, suspect.seq - 1)
      await damage.examine(suspect.log, from, rowsPerGo, () => true)
      this.#pauses.delete(suspect.log)
    }
    await this.#stretch()
    for (const { log, seqs } of damage.all()) await this.#heal(log, seqs)
  }

  /** The next entries of the round: of as many logs as it takes. */
  async #stretch(): Promise<void> {
    const { damage } = this.#parts.ingest
    for (let left = rowsPerGo; left > 0; ) {
      if (this.#at >= this.#logs.length) {
        if (this.#logs.length > 0) this.#rounds++
        this.#logs = this.#held()
        this.#at = 0
        this.#from = 0
        // A round ends a go: few logs are not looked at again and again within one.
        if (left < rowsPerGo || this.#logs.length === 0) return
      }
      const log = this.#logs[this.#at] as LogName
      const round = this.#rounds
      const isDue = (seq: number, { checked }: Stored) =>
        checked && (seq + round) % signatureEvery === 0
      const { next } = await damage.examine(log, this.#from, left, isDue)
      const looked = next === null ? await this.#rest(log) : next - this.#from
      this.#entries += looked
      left -= Math.max(1, looked)
      this.#from = next ?? 0
      if (next === null) this.#at++
    }
  }

  async #rest(log: LogName): Promise<number> {
    const head = (await this.#parts.ingest.record(log))?.head.seq ?? -1
    return Math.max(0, head - this.#from + 1)
  }

  #held(): LogName[] {
    const { council, replicas } = this.#parts
    return [
      ...(council.roster() === null ? [] : [rosterLog]),
      ...(council.names() === null ? [] : [namesLog]),
      ...replicas.all().map(({ assignment }) => assignment.blog),
    ]
  }

  async #heal(log: LogName, seqs: readonly number[]): Promise<void> {
    const pause = this.#pauses.get(log) ?? { left: 0, next: 1 }
    if (pause.left > 0) {
      pause.left--
      this.#pauses.set(log, pause)
      return
    }
    for (const peer of this.#sources(log)) {
      const left = this.#parts.ingest.damage.of(log)
      if (left.length === 0) break
      const page = await this.#page(peer, log, left[0] as number)
      // Nothing is taken on trust: the chain names what belongs there.
      await this.#parts.ingest.damage.restore(log, page.map(toOffer).filter(this.#mayEnter(log)))
    }
    const left = this.#parts.ingest.damage.of(log)
    const isBetter = left.length < seqs.length
    if (isBetter) this.#pauses.delete(log)
    else this.#pauses.set(log, { left: pause.next, next: Math.min(2 * pause.next, maxPause) })
    if (left.length === 0) this.#parts.healed(log)
  }

  /** An act comes with its proof, so that it can be handed on. */
  #mayEnter(log: LogName) {
    return (offer: ReturnType<typeof toOffer>) =>
      !log.startsWith('@') || this.#parts.isProved(log, offer)
  }

  /** Other replicas first, then whoever is connected. */
  #sources(log: LogName): PeerName[] {
    const { network, replicas, council, random } = this.#parts
    const self = network.self
    const connected = network.connected().filter((peer) => council.isMember(peer))
    const start = Math.floor(random() * connected.length)
    const others = [...connected.slice(start), ...connected.slice(0, start)]
    const kept = replicas.get(log as BlogName)
    const named = kept === null ? [] : kept.assignment.replicas.map(({ peer }) => peer)
    return [...new Set([...named, ...others])].filter((peer) => peer !== self).slice(0, maxAsked)
  }

  async #page(peer: PeerName, log: LogName, from: number): Promise<Page['entries']> {
    try {
      const range = { t: 'range', log, from }
      return (await ask(this.#parts.network, peer, SYNC, range, pageShape)).entries
    } catch {
      return []
    }
  }
}

const words = { found: 'damaged', healed: 'healed', rebuilt: 'rebuilt' } as const

type Parts = {
  readonly network: Network
  readonly ingest: Ingest
  readonly replicas: Replicas
  readonly council: CouncilLogs
  readonly random: () => number
  /** whether an act that somebody sends was in force */
  readonly isProved: (log: LogName, offer: ReturnType<typeof toOffer>) => boolean
  /** nothing of the log is damaged any more */
  readonly healed: (log: LogName) => void
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}
