import type { Fingerprint } from '../auth/public-key.ts'
import { type Clock, repeat } from '../replication/clock.ts'
import type { Exchange } from '../replication/exchange/exchange.ts'
import type { Author } from '../replication/log/author.ts'
import type { KeyServers } from './key-servers.ts'

/** How often a key of a blog is asked about, ms; up to a tenth sooner, so that not all come at once. */
const checkEveryMs = 24 * 3_600_000
/** The same when the servers could not be asked the last time. */
const retryEveryMs = 3_600_000
/** Rounds in which the keys that are due are asked about, one after the other. */
const roundMs = 600_000
/** Keys asked about in one round. */
const maxKeysPerRound = 50

/** A key that a blog here is written with, and what its owner calls it. */
export type WatchedKey = { readonly key: Fingerprint; readonly gpgId: string | null }

/** The keys of the blogs whose primary this peer is, but those that a hard revocation ended. */
export async function watchedKeys(
  exchange: Pick<Exchange, 'replicas' | 'ingest' | 'revocations'>,
): Promise<readonly WatchedKey[]> {
  const watched = new Map<Fingerprint, WatchedKey>()
  for (const { assignment, role } of exchange.replicas.all()) {
    if (role !== 'primary') continue
    const author = (await exchange.ingest.state(assignment.blog)) as Author | null
    for (const key of [author?.current, author?.recovery]) {
      if (key === null || key === undefined) continue
      if (exchange.revocations.of(key.fingerprint)?.isHard === true) continue
      const gpgId = key.key.getUserIDs().join(' ')
      watched.set(key.fingerprint, { key: key.fingerprint, gpgId })
    }
  }
  return [...watched.values()]
}

/**
 * Asks the key servers daily about the keys of the blogs whose primary this spoke is (DESIGN 3.2).
 * What is found revoked is handed in by itself.
 */
export class KeyChecks {
  readonly #keyServers: Pick<KeyServers, 'ask' | 'last' | 'isOn'>
  readonly #watched: () => Promise<readonly WatchedKey[]>
  readonly #handIn: (certificate: string) => Promise<unknown>
  readonly #clock: Clock
  readonly #dueMs = new Map<Fingerprint, number>()
  #stop = () => {}

  constructor(parts: {
    readonly keyServers: Pick<KeyServers, 'ask' | 'last' | 'isOn'>
    readonly watched: () => Promise<readonly WatchedKey[]>
    readonly handIn: (certificate: string) => Promise<unknown>
    readonly clock: Clock
  }) {
    this.#keyServers = parts.keyServers
    this.#watched = parts.watched
    this.#handIn = parts.handIn
    this.#clock = parts.clock
  }

  start(): void {
    if (!this.#keyServers.isOn) return
    this.#stop = repeat(this.#clock, roundMs, () => this.round().catch(() => undefined))
  }

  stop(): void {
    this.#stop()
  }

  /** Asks about the keys that are due. A failure leaves the rest for the next round. */
  async round(): Promise<void> {
    const watched = await this.#watched()
    const keys = new Set(watched.map(({ key }) => key))
    for (const key of this.#dueMs.keys()) if (!keys.has(key)) this.#dueMs.delete(key)
    let asked = 0
    for (const { key, gpgId } of watched) {
      if ((await this.#due(key)) > this.#clock.now()) continue
      if (asked++ === maxKeysPerRound) return
      const { word, revocation } = await this.#keyServers.ask(key, gpgId, 0)
      this.#plan(key, this.#clock.now(), word.kind === 'unreachable')
      if (revocation !== null) await this.#handIn(revocation.certificate)
    }
  }

  async #due(key: Fingerprint): Promise<number> {
    const known = this.#dueMs.get(key)
    if (known !== undefined) return known
    const last = await this.#keyServers.last(key)
    return last === null ? 0 : this.#plan(key, last.atMs, last.kind === 'unreachable')
  }

  #plan(key: Fingerprint, fromMs: number, isFailure: boolean): number {
    const periodMs = isFailure ? retryEveryMs : checkEveryMs
    const dueMs = fromMs + periodMs * (0.9 + 0.1 * this.#clock.random())
    this.#dueMs.set(key, dueMs)
    return dueMs
  }
}
