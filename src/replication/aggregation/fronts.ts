import { hash } from 'node:crypto'
import type { PeerName } from '../../auth/peer-signature.ts'
import type { Clock } from '../clock.ts'
import { Buckets } from '../exchange/rates.ts'
import type { Finding } from '../exchange/reports.ts'
import { decodeFrame } from '../frame.ts'
import type { Signed } from '../log/text.ts'
import { ask, type GossipVerdict, type Pubsub } from '../network.ts'
import { frontTopic, maxFrontBytes, requestTimeoutMs, SEARCH } from '../protocol.ts'
import { fromSignedRow } from '../registry/proof.ts'
import { decodeFrontPage, type FrontPage, type FrontPost, isLater } from './front-page.ts'
import type { MadeFront } from './front-publisher.ts'
import { judgeFront, pickFront } from './front-rules.ts'
import { type FrontLie, NamedPosts, type NamedPostsParts } from './named-posts.ts'
import type { CheckedPost } from './proved-post.ts'
import { frontAnswer, frontMessage } from './search-messages.ts'

/** How long the front page of a peer that was found lying stands behind all others, ms. */
export const doubtedMs = 600_000
/** Front pages of one peer that are looked at at once, and per second. */
export const frontsBurst = 40
export const frontsPerSecond = 8
/** How long a page waits for posts that nobody can say anything about, ms; then it goes without them. */
const undecidedMs = 3_000
const retryMs = 1_000
/** Silence after which another run of a peer counts whatever its clock says, ms. */
const silentMs = 30_000
const maxRuns = 10

/** A front page that came, with when. */
export type HeardFront = MadeFront & { readonly receivedMs: number }

/** A front page whose posts are at hand and hold. */
export type ShownFront = {
  readonly peer: PeerName
  readonly page: FrontPage
  /** when it came, ms by this peer's clock */
  readonly receivedMs: number
  readonly posts: readonly (FrontPost & CheckedPost)[]
  /** the same for the same posts and coverage */
  readonly version: string
}

/** Where an inner circle of the roster stands. */
export type InnerCircle = {
  readonly inner: readonly PeerName[]
  readonly aggregator: PeerName | null
  readonly standby: PeerName | null
}

/**
 * The front pages of the inner circle as a spoke has them: judged, completed with the posts that
 * they name, each checked by its author's signature, and one of them shown. An aggregator can leave
 * out, and is found by `FrontWatch`; it can invent nothing.
 */
export class Fronts {
  readonly #parts: Parts
  readonly #named: NamedPosts
  readonly #newest = new Map<PeerName, HeardFront>()
  readonly #heard = new Map<PeerName, HeardFront>()
  readonly #runs = new Map<PeerName, string[]>()
  readonly #complete = new Map<PeerName, ShownFront>()
  readonly #doubted = new Map<PeerName, number>()
  readonly #filling = new Set<PeerName>()
  /** since when a peer's page waits for posts */
  readonly #waitingMs = new Map<PeerName, number>()
  /** pages that wait to be completed again: what cancels that */
  readonly #again = new Map<PeerName, () => void>()
  readonly #listeners = new Set<() => void>()
  readonly #buckets: Buckets
  #topic: string | null = null

  constructor(parts: Parts) {
    this.#parts = parts
    this.#named = new NamedPosts({
      ...parts,
      onLie: (peer, what, finding) => this.#found(peer, what, finding),
    })
    const rate = { burst: frontsBurst, perSecond: frontsPerSecond }
    this.#buckets = new Buckets(rate, parts.clock.now)
  }

  /** Hears front pages from then on; again after the council became known. */
  follow(): void {
    const roster = this.#parts.roster()
    if (roster === null || this.#topic !== null) return
    this.#topic = frontTopic(roster.councilId)
    this.#parts.pubsub.subscribe(this.#topic, async (from, data) => this.#judge(from, data))
  }

  stop(): void {
    if (this.#topic !== null) this.#parts.pubsub.unsubscribe(this.#topic)
    this.#topic = null
    for (const cancel of this.#again.values()) cancel()
    this.#again.clear()
  }

  /** Called after what `shown` answers may have changed. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The front page that is shown; null: none has come yet, or nobody makes one. */
  shown(): ShownFront | null {
    const { aggregator, standby } = this.#parts.circle()
    const { isDoubted } = this
    return pickFront(this.complete(), {
      ...{ aggregator, standby, isDoubted, nowMs: this.#parts.clock.now() },
    })
  }

  /** Of each peer of the inner circle the newest page whose posts are at hand. */
  complete(): ShownFront[] {
    return this.#parts.circle().inner.flatMap((peer) => this.#complete.get(peer) ?? [])
  }

  /** The newest page of a peer that came by gossip, as all others hear it too. */
  heard(peer: PeerName): HeardFront | null {
    return this.#heard.get(peer) ?? null
  }

  /** This peer's own page, when it is one of the inner circle. */
  own(made: MadeFront): void {
    this.#take(made)
  }

  /** Who was found lying in the last ten minutes. */
  readonly isDoubted = (peer: PeerName): boolean =>
    (this.#doubted.get(peer) ?? Number.NEGATIVE_INFINITY) > this.#parts.clock.now()

  /** A peer was found lying: its page is shown only when there is no other. */
  doubt(peer: PeerName): void {
    this.#doubted.set(peer, this.#parts.clock.now() + doubtedMs)
    this.#tell()
  }

  /**
   * Asks a peer of the inner circle for its newest page: a spoke that has just come shows it without
   * waiting for gossip. Throws as `ask` does.
   *
   * @returns null: it has none, or none that is of this council and its own
   */
  async ask(peer: PeerName, timeoutMs = requestTimeoutMs): Promise<MadeFront | null> {
    const { network } = this.#parts
    const { front } = await ask(network, peer, SEARCH, { t: 'front' }, frontAnswer, timeoutMs)
    if (front === null) return null
    const signed = fromSignedRow(front)
    const page = decodeFrontPage(signed)
    if (!page.ok) return null
    const { verdict, why } = judgeFront(page.value, this.#known(peer, page.value))
    const made = { page: page.value, signed }
    if (verdict === 'accept') this.#take(made)
    return verdict === 'accept' || why === 'old_round' ? made : null
  }

  #known(from: PeerName, page: FrontPage) {
    const { roster, circle, clock } = this.#parts
    const nowMs = clock.now()
    const held = this.#newest.get(from)
    const isPastRun =
      held !== undefined &&
      held.page.run !== page.run &&
      this.#runs.get(from)?.includes(page.run) === true
    // A peer whose clock was set back would else not be heard until time has caught up.
    const isGone = held !== undefined && nowMs - held.receivedMs > silentMs
    return {
      ...{ from, roster: roster(), inner: circle().inner, isPastRun, nowMs },
      held: held === undefined || (isGone && held.page.run !== page.run) ? null : held.page,
    }
  }

  #judge(from: PeerName, data: Uint8Array): GossipVerdict {
    if (data.length > maxFrontBytes) return 'reject'
    if (!this.#buckets.tryTake(from)) return 'ignore'
    let signed: Signed
    try {
      signed = fromSignedRow(frontMessage.parse(decodeFrame(data)).front)
    } catch {
      return 'reject'
    }
    const page = decodeFrontPage(signed)
    if (!page.ok) return 'reject'
    const heard = this.#heard.get(from)
    const { verdict, why } = judgeFront(page.value, this.#known(from, page.value))
    const made = { page: page.value, signed }
    const isFirstHeard = heard === undefined || isLater(page.value, heard.page)
    if (verdict === 'accept' || (why === 'old_round' && isFirstHeard)) {
      // It may have been asked for before it came by gossip.
      this.#heard.set(from, { ...made, receivedMs: this.#parts.clock.now() })
    }
    if (verdict === 'accept') this.#take(made)
    if (why === 'two_of_a_round') this.#found(from, 'two pages of one round')
    return verdict
  }

  #take(made: MadeFront): void {
    const { peer, run } = made.page
    const receivedMs = this.#parts.clock.now()
    this.#newest.set(peer, { ...made, receivedMs })
    const runs = this.#runs.get(peer) ?? []
    if (!runs.includes(run)) this.#runs.set(peer, [...runs, run].slice(-maxRuns))
    void this.#fill(peer)
  }

  /** Gets the posts of a peer's newest page, and again while newer pages come. */
  async #fill(peer: PeerName): Promise<void> {
    if (this.#filling.has(peer)) return
    this.#filling.add(peer)
    try {
      for (let last: HeardFront | null = null; ; ) {
        const front = this.#newest.get(peer)
        if (front === undefined || front === last) return
        last = front
        await this.#finish(front)
      }
    } catch (error) {
      // The page before stays; the next one tries again.
      this.#parts.report('front_failed', { peer, reason: (error as Error).message })
    } finally {
      this.#filling.delete(peer)
    }
  }

  async #finish({ page, receivedMs }: HeardFront): Promise<void> {
    const { peer } = page
    const { clock } = this.#parts
    const outcomes = await this.#named.of(page)
    if (outcomes.includes('undecided')) {
      const sinceMs = this.#waitingMs.get(peer) ?? clock.now()
      this.#waitingMs.set(peer, sinceMs)
      if (clock.now() - sinceMs < undecidedMs) {
        this.#again.get(peer)?.()
        this.#again.set(
          peer,
          clock.after(retryMs, () => void this.#fill(peer)),
        )
        return
      }
    } else this.#waitingMs.delete(peer)
    const posts = page.posts.flatMap((post, at) => {
      const checked = outcomes[at]
      if (checked === undefined || typeof checked === 'string') return []
      return [{ ...post, ...checked, seenMs: Math.min(post.seenMs, receivedMs) }]
    })
    const { covered, of, blogs } = page
    const version = hash('sha256', [...posts.map(({ id }) => id), covered, of, blogs].join(' '))
    this.#complete.set(peer, { peer, page, receivedMs, posts, version })
    this.#tell()
  }

  #found(peer: PeerName, what: string, finding: FrontLie | null = null): void {
    const answer = this.#newest.get(peer)?.signed ?? null
    this.#parts.report('front_lie', { peer, what })
    if (finding !== null)
      this.#parts.file({ ...finding, kind: 'front', served: null, answer, receipt: null })
    this.doubt(peer)
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

type Parts = Omit<NamedPostsParts, 'onLie'> & {
  readonly pubsub: Pick<Pubsub, 'subscribe' | 'unsubscribe'>
  readonly clock: Clock
  readonly circle: () => InnerCircle
  readonly file: (finding: Finding) => void
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}
