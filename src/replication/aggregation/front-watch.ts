import type { PeerName } from '../../auth/peer-signature.ts'
import { type Clock, repeat } from '../clock.ts'
import type { Finding } from '../exchange/reports.ts'
import { type BlogName, decodeEntry } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import { idOf } from '../log/text.ts'
import { ask, type Network } from '../network.ts'
import { maxServedBytes, SEARCH } from '../protocol.ts'
import type { Roster } from '../registry/roster.ts'
import { BucketTurns } from './bucket-turns.ts'
import type { Collection } from './collection.ts'
import { frontCycleMs, packManifest } from './front-evidence.ts'
import { type FrontPage, type FrontPost, isLater } from './front-page.ts'
import type { FrontPosts } from './front-posts.ts'
import type { MadeFront } from './front-publisher.ts'
import { findOmissions, findUnlisted } from './front-rules.ts'
import type { Fronts, InnerCircle } from './fronts.ts'
import { bucketOf, headIn, type ManifestSnapshot, manifestBuckets, readBucket } from './manifest.ts'
import { askMs, hashOf, PeerManifests } from './peer-manifests.ts'
import { postsAnswer } from './search-messages.ts'

/**
 * Pauses between two notes and between two looks, ms. A page comes every 2 s: two looks that each see
 * a later one are over 7 s after a lie began, with all jitter, and so within one cycle.
 */
export const frontNoteMs = 1_000
export const frontLookMs = 1_500
/** Findings about one peer that are filed in one look. */
const maxFiled = 3

type Heads = ReadonlyMap<BlogName, Head>
/** What this peer could vouch for at one moment. */
type Note = {
  readonly atMs: number
  readonly rosterSeq: number
  /** of blogs that it offers itself */
  readonly held: Heads
  /** of all that it collects, at a peer of the inner circle */
  readonly all: ManifestSnapshot | null
  readonly posts: readonly FrontPost[]
}
/** Pages later than this one were made after the note was a cycle old. */
type Expected = { readonly page: FrontPage; readonly note: Note }
/** Something that a page has wrong, under a name by which the next look finds it again. */
type Fault = {
  readonly key: string
  readonly blog: BlogName
  readonly seq: number
  readonly id: Head['id']
  readonly found: string
  readonly served: Uint8Array | null
}
/**
 * Looks whether the front pages of the inner circle leave out what this peer knows to be published:
 * of the blogs that it keeps and offers itself, and in the inner circle of all that it collects
 * (ANCHORS M7).
 *
 * Nothing here compares clocks. A look remembers what was published a cycle ago and asks for the
 * newest page; a page with a later number was then made after that, whatever its maker's clock says,
 * and a later look holds it against what was remembered. Only what two looks in a row find is
 * filed: an honest peer that is slow is not named. Nor is one that says that it does not cover this
 * spoke.
 */
export class FrontWatch {
  readonly #parts: Parts
  #notes: Note[] = []
  readonly #expected = new Map<PeerName, Expected>()
  readonly #suspected = new Map<PeerName, ReadonlySet<string>>()
  readonly #manifests: PeerManifests
  readonly #busy = new Set<PeerName>()
  readonly #turns = new BucketTurns()
  #cancel: (() => void)[] = []

  constructor(parts: Parts) {
    this.#parts = parts
    const { network, fronts, report } = parts
    this.#manifests = new PeerManifests({ network, report, doubt: (peer) => fronts.doubt(peer) })
  }

  start(): void {
    const { clock } = this.#parts
    this.#cancel = [
      repeat(clock, frontNoteMs, async () => this.#note()),
      // Nobody waits: one peer that answers slowly must not hold up the look at another.
      repeat(clock, frontLookMs, async () => this.look()),
    ]
  }

  stop(): void {
    for (const cancel of this.#cancel) cancel()
  }

  /** One look at every peer of the inner circle. */
  look(): void {
    const { circle, network, clock } = this.#parts
    const nowMs = clock.now()
    const old = this.#notes.findLast(({ atMs }) => nowMs - atMs >= frontCycleMs) ?? null
    const others = circle().inner.filter((peer) => peer !== network.self)
    for (const peer of this.#expected.keys()) if (!others.includes(peer)) this.#forget(peer)
    for (const peer of others) {
      this.#lookAt(peer, old).catch((error) => {
        // The next look tries again.
        this.#parts.report('front_failed', { peer, reason: (error as Error).message })
      })
    }
  }

  #note(): void {
    const { clock, held, manifest, posts, roster } = this.#parts
    const known = roster()
    if (known === null) return
    const nowMs = clock.now()
    const heads = new Map<BlogName, Head>()
    for (const blog of held.blogs()) {
      const head = held.head(blog)
      if (head !== null) heads.set(blog, head)
    }
    const rosterSeq = known.head.seq
    const note = { atMs: nowMs, rosterSeq, held: heads, all: manifest(), posts: posts.posts() }
    const at = this.#notes.findLastIndex(({ atMs }) => nowMs - atMs >= frontCycleMs)
    this.#notes = [...this.#notes.slice(Math.max(0, at)), note]
  }

  #forget(peer: PeerName): void {
    for (const each of [this.#expected, this.#suspected]) each.delete(peer)
    this.#manifests.forget(peer)
    this.#turns.forget(peer)
  }

  async #lookAt(peer: PeerName, old: Note | null): Promise<void> {
    if (this.#busy.has(peer)) return
    this.#busy.add(peer)
    try {
      const { fronts } = this.#parts
      const expected = this.#expected.get(peer) ?? null
      const heard = fronts.heard(peer)
      const asked = await fronts.ask(peer, askMs).catch(() => null)
      // What others hear counts before what only the asker was told.
      const front = [heard, asked].find(
        (made) => made !== null && expected !== null && isLater(made.page, expected.page),
      )
      // Until a later page comes, what is expected of it stays.
      if ((front || expected === null) && asked !== null && old !== null)
        this.#expected.set(peer, { page: asked.page, note: old })
      if (front && expected !== null) await this.#check(front, expected.note)
    } finally {
      this.#busy.delete(peer)
    }
  }

  async #check(front: MadeFront, note: Note): Promise<void> {
    const { page } = front
    // A page from before this spoke was admitted cannot cover it.
    if (page.roster.seq < note.rosterSeq) return
    const { self } = this.#parts.network
    const areAllNamed = page.without.length === page.of - page.covered
    const isCovered = areAllNamed && !page.without.includes(self)
    const held: Heads = isCovered ? this.#stillHeld(note.held) : new Map()
    const all = page.covered === page.of ? note.all : null
    const faults = await this.#holdAgainst(front, held, all)
    if (faults === null) return
    const vouched = (blog: BlogName) => held.get(blog) ?? (all === null ? null : headIn(all, blog))
    faults.push(...(await this.#wrongPosts(page, vouched)))
    faults.push(...(await this.#unlisted(page, note, vouched)))
    const before = this.#suspected.get(page.peer) ?? new Set()
    this.#suspected.set(page.peer, new Set(faults.map(({ key }) => key)))
    const again = faults.filter(({ key }) => before.has(key))
    let filed = 0
    for (const fault of again) {
      if (filed === maxFiled || !(await this.#isStillSo(fault))) continue
      filed++
      this.#file(front, fault)
    }
    if (filed > 0) this.#parts.fronts.doubt(page.peer)
  }

  /** What was noted of blogs that are here now as well. */
  #stillHeld(heads: Heads): Heads {
    const { held } = this.#parts
    return new Map([...heads].filter(([blog, { seq }]) => (held.head(blog)?.seq ?? -1) >= seq))
  }

  /** @returns null: the peer did not hand out the manifest */
  async #holdAgainst(
    { page }: MadeFront,
    held: Heads,
    all: ManifestSnapshot | null,
  ): Promise<Fault[] | null> {
    const hashes = await this.#manifests.hashes(page)
    if (hashes === null) return null
    const ofHeld = new Set([...held.keys()].map(bucketOf))
    const now = this.#parts.manifest()
    const differs = (own: ManifestSnapshot | null, at: number) =>
      own !== null && hashOf(own.hashes, at) !== hashOf(hashes, at)
    const others = Array.from({ length: manifestBuckets }, (_, at) => at).filter(
      (at) => all !== null && !ofHeld.has(at) && differs(all, at) && differs(now, at),
    )
    const chosen = this.#turns.take(page.peer, others)
    const buckets = await this.#manifests.buckets(page, hashes, [...ofHeld, ...chosen])
    if (buckets === null) return null
    const shown = (blog: BlogName) => buckets.get(bucketOf(blog))?.heads.get(blog) ?? null
    const wanted = new Map(held)
    for (const at of all === null ? [] : chosen) {
      const text = Buffer.from((all as ManifestSnapshot).texts[at] as string)
      const own = readBucket(
        (all as ManifestSnapshot).root,
        (all as ManifestSnapshot).hashes,
        at,
        text,
      )
      if (own.ok) for (const [blog, head] of own.value) wanted.set(blog, head)
    }
    return findOmissions(wanted, shown).map(({ blog, wanted: { seq, id }, shown: end }) => {
      const what =
        end === null
          ? 'its manifest has no such blog'
          : end.seq < seq
            ? `its manifest ends the blog at entry ${end.seq}`
            : `its manifest has another entry ${seq}`
      const text = buckets.get(bucketOf(blog))?.text ?? new Uint8Array()
      return { key: `head ${blog}`, blog, seq, id, found: what, served: packManifest(hashes, text) }
    })
  }

  /** Posts on the page that are other ones, or were replaced or taken back. */
  async #wrongPosts(page: FrontPage, vouched: (blog: BlogName) => Head | null): Promise<Fault[]> {
    const { collection, posts } = this.#parts
    const faults: Fault[] = []
    for (const { blog, seq, id } of page.posts) {
      const head = vouched(blog)
      const entry = head === null ? null : await collection.entry(blog, seq)
      if (head === null || entry === null) continue
      const own = idOf(entry.text)
      const key = `post ${blog} ${seq}`
      if (own !== id) {
        const found = `entry ${seq} stands on its front page with another id`
        faults.push({ key, blog, seq, id: own, found, served: null })
        continue
      }
      const read = decodeEntry(entry.text)
      if (!read.ok || read.value.kind !== 'post') continue
      const last = (await posts.slug(blog, read.value.slug))?.last
      if (last === undefined || last.seq <= seq || last.seq > head.seq) continue
      const found = `entry ${seq} stands on its front page, which entry ${last.seq} replaced`
      faults.push({ key, blog, ...last, found, served: entry.text })
    }
    return faults
  }

  /** Posts that belong on the page and are not there. */
  async #unlisted(
    page: FrontPage,
    note: Note,
    vouched: (blog: BlogName) => Head | null,
  ): Promise<Fault[]> {
    const { posts } = this.#parts
    const now = new Set(posts.posts().map(({ id }) => id))
    const still = note.posts.filter(({ blog, id }) => vouched(blog) !== null && now.has(id))
    const missing = findUnlisted(page, still, ({ seenMs }) => seenMs)
    if (missing.length === 0) return []
    const seen = await this.#askSeen(page.peer, missing.slice(0, maxFiled))
    return findUnlisted(page, missing, ({ id }) => seen.get(id) ?? null).map(
      ({ blog, seq, id }) => ({
        ...{ key: `unlisted ${blog} ${seq}`, blog, seq, id, served: null },
        found: `entry ${seq} is newer than what stands on its front page`,
      }),
    )
  }

  /** When the page's maker says itself that it saw these first. */
  async #askSeen(peer: PeerName, posts: readonly FrontPost[]): Promise<Map<string, number>> {
    const body = { t: 'posts', posts: posts.map(({ blog, seq }) => [blog, seq]) }
    const { network } = this.#parts
    const answered = await ask(network, peer, SEARCH, body, postsAnswer, askMs).catch(() => null)
    return new Map(answered?.posts.map(({ entry: [text], seen }) => [idOf(text), seen]))
  }

  /** Whether what a fault rests on stands here as it did. */
  async #isStillSo({ blog, seq, id }: Fault): Promise<boolean> {
    const entry = await this.#parts.collection.entry(blog, seq)
    return entry !== null && idOf(entry.text) === id
  }

  #file({ page, signed }: MadeFront, { blog, seq, id, found, served }: Fault): void {
    const { peer, run, round } = page
    this.#parts.report('front_lie', { peer, what: found, blog, seq })
    this.#parts.file({
      ...{ peer, kind: 'front', log: blog, seq, id, found, answer: signed },
      asked: `front ${run} ${round}`,
      served: served !== null && served.length > maxServedBytes ? null : served,
      // To hold an entry is not to know that it is published: a receipt would prove nothing.
      receipt: null,
    })
  }
}

type Parts = {
  readonly network: Network
  readonly clock: Clock
  readonly fronts: Pick<Fronts, 'heard' | 'ask' | 'doubt'>
  readonly roster: () => Roster | null
  readonly circle: () => InnerCircle
  /** what this peer has at hand itself, and the posts of it */
  readonly collection: Pick<Collection, 'head' | 'entry'>
  readonly posts: Pick<FrontPosts, 'posts' | 'slug'>
  /** what this peer keeps and offers to others; at a spoke the same */
  readonly held: Pick<Collection, 'blogs' | 'head'>
  /** of all that it collects, at a peer of the inner circle; null elsewhere */
  readonly manifest: () => ManifestSnapshot | null
  readonly file: (finding: Finding) => void
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}
