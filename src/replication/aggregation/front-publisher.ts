import { encode } from 'cborg'
import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import type { Clock } from '../clock.ts'
import type { EntryId, Signed } from '../log/text.ts'
import type { Pubsub } from '../network.ts'
import { frontAtLeastMs, frontAtMostMs, frontTopic, maxFrontWithout } from '../protocol.ts'
import { signedRow } from '../registry/proof.ts'
import type { Roster } from '../registry/roster.ts'
import type { Collection } from './collection.ts'
import { buildFrontPage, decodeFrontPage, type FrontPage, signFrontPage } from './front-page.ts'
import type { FrontPosts } from './front-posts.ts'
import type { SourceState } from './gather.ts'
import { Manifest, type ManifestSnapshot } from './manifest.ts'

/** How long the manifest of a page that was replaced can still be asked for, ms. */
const manifestKeptMs = 6_000
/** Manifests of earlier pages that are kept. */
const maxManifests = 32
/** A clock that was set back by more than this begins a new run, ms. */
const maxAheadMs = 5_000

/** Which spokes' offers are in the collection, all of them up to five seconds ago. */
export type FrontCoverage = {
  readonly of: number
  readonly without: readonly PeerName[]
}

/** A member that was heard longer ago is not covered: it sends a frame every 5 s at least, ms. */
export const coveredMs = 6_000

/**
 * Which spokes a collection covers, by what is known of those from whom it is gathered. Pure.
 *
 * @param spokes - all that ought to be covered
 * @param startedMs - when gathering began; before all were heard it takes 6 s to say who is missing
 * @returns null: nothing can be said yet
 */
export function coverageOf(
  sources: readonly SourceState[],
  spokes: readonly PeerName[],
  { nowMs, startedMs }: { readonly nowMs: number; readonly startedMs: number },
): FrontCoverage | null {
  const isCovered = (peer: PeerName) => {
    const source = sources.find((each) => each.peer === peer)
    const heardMs = source?.heardMs ?? null
    if (source === undefined || heardMs === null || source.mistrusted !== null) return false
    return source.isCurrent && source.owed === 0 && nowMs - heardMs <= coveredMs
  }
  const without = spokes.filter((peer) => !isCovered(peer))
  if (without.length > 0 && nowMs - startedMs <= coveredMs) return null
  return { of: spokes.length, without }
}

export type MadeFront = { readonly page: FrontPage; readonly signed: Signed }

/** Makes, signs and gossips the front page of a peer in the inner circle (DESIGN 7). */
export class FrontPublisher {
  readonly #parts: Parts
  readonly #manifest = new Manifest()
  #earlier: { readonly snapshot: ManifestSnapshot; readonly atMs: number }[] = []
  #newest: (MadeFront & { readonly snapshot: ManifestSnapshot }) | null = null
  #run: string
  #round = 0
  #madeMs = Number.NEGATIVE_INFINITY
  #timer: { readonly dueMs: number; readonly cancel: () => void } | null = null
  #cancel: (() => void)[] = []
  #isStopped = true

  constructor(parts: Parts) {
    this.#parts = parts
    this.#run = parts.newRun()
  }

  /** After `FrontPosts` has started. */
  start(): void {
    const { collection, posts } = this.#parts
    this.#isStopped = false
    this.#cancel = [
      posts.onChange(() => this.#hurry()),
      collection.onChange((blog, _from, head) => {
        this.#manifest.set(blog, head)
        this.#hurry()
      }),
    ]
    for (const blog of collection.blogs()) this.#manifest.set(blog, collection.head(blog))
    this.#make()
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
    for (const cancel of this.#cancel) cancel()
  }

  /** The newest page that was made here; null: none yet, or this peer is not in the inner circle. */
  newest(): MadeFront | null {
    return this.#parts.isInner() ? this.#newest : null
  }

  /** Where all blogs end that are collected here now; null at a peer outside the inner circle. */
  manifest(): ManifestSnapshot | null {
    return this.#parts.isInner() ? this.#manifest.snapshot() : null
  }

  /** The manifest under a root that a page of the last seconds has signed; null for any other. */
  manifestOf(root: EntryId): ManifestSnapshot | null {
    if (this.#newest?.snapshot.root === root) return this.#newest.snapshot
    return this.#earlier.find(({ snapshot }) => snapshot.root === root)?.snapshot ?? null
  }

  /** Something has changed: the next page comes as soon as one may follow the last. */
  #hurry(): void {
    const nowMs = this.#parts.clock.now()
    // A last page from behind now is one from before the clock was set back.
    this.#at(this.#madeMs > nowMs ? nowMs : Math.max(nowMs, this.#madeMs + frontAtMostMs))
  }

  #at(dueMs: number): void {
    if (this.#isStopped || (this.#timer !== null && this.#timer.dueMs <= dueMs)) return
    this.#timer?.cancel()
    const waitMs = dueMs - this.#parts.clock.now()
    this.#timer = { dueMs, cancel: this.#parts.clock.after(waitMs, () => this.#make()) }
  }

  #make(): void {
    const { clock, roster, isInner, coverage, report } = this.#parts
    this.#timer?.cancel()
    this.#timer = null
    const nowMs = clock.now()
    this.#madeMs = nowMs
    try {
      const known = roster()
      const covered = coverage()
      if (known !== null && covered !== null && isInner()) this.#publish(known, covered, nowMs)
    } catch (error) {
      // What cannot be made now can the next time; the page before stays.
      report('front_failed', { reason: (error as Error).message })
    }
    this.#at(nowMs + frontAtLeastMs)
  }

  #publish(roster: Roster, { of, without }: FrontCoverage, nowMs: number): void {
    const { signer, posts, pubsub, onPage } = this.#parts
    const lastMs = this.#newest?.page.atMs ?? Number.NEGATIVE_INFINITY
    // Receivers take no page of this run that says to be older than the last one.
    if (lastMs > nowMs + maxAheadMs) {
      this.#run = this.#parts.newRun()
      this.#round = 0
    }
    const atMs = this.#round === 0 ? nowMs : Math.max(nowMs, lastMs + frontAtMostMs)
    const snapshot = this.#manifest.snapshot()
    const signed = signFrontPage(signer, {
      ...{ council: roster.council, run: this.#run, round: ++this.#round, atMs },
      ...{ roster: roster.head, of, covered: of - without.length },
      without: without.toSorted((a, b) => (a < b ? -1 : 1)).slice(0, maxFrontWithout),
      ...{ blogs: snapshot.blogs, manifest: snapshot.root },
      posts: buildFrontPage(
        posts.posts().map((post) => ({ ...post, seenMs: Math.min(post.seenMs, atMs) })),
      ),
    })
    const page = decodeFrontPage(signed)
    if (!page.ok) throw new Error(`${page.code}: ${page.reason}`)
    this.#keep(snapshot, nowMs)
    this.#newest = { page: page.value, signed, snapshot }
    onPage(this.#newest)
    // Who misses it hears the next one, or asks.
    pubsub
      .publish(frontTopic(roster.councilId), encode({ front: signedRow(signed) }))
      .catch(() => undefined)
  }

  /** The manifest of the page before can be asked for a while: it was just announced. */
  #keep({ root }: ManifestSnapshot, nowMs: number): void {
    const before = this.#newest?.snapshot
    if (before === undefined) return
    if (before.root !== root) this.#earlier.push({ snapshot: before, atMs: nowMs })
    this.#earlier = this.#earlier
      .filter(({ atMs }) => nowMs - atMs < manifestKeptMs)
      .slice(-maxManifests)
  }
}

type Parts = {
  readonly collection: Pick<Collection, 'blogs' | 'head' | 'onChange'>
  readonly posts: Pick<FrontPosts, 'posts' | 'onChange'>
  readonly signer: PeerSigner
  readonly pubsub: Pick<Pubsub, 'publish'>
  readonly clock: Clock
  /** 32 random hex digits */
  readonly newRun: () => string
  readonly roster: () => Roster | null
  /** whether this peer is in the inner circle of the roster */
  readonly isInner: () => boolean
  /** null: not caught up since the start, so that nothing can be said yet */
  readonly coverage: () => FrontCoverage | null
  readonly onPage: (made: MadeFront) => void
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}
