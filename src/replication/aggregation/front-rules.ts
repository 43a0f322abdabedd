import type { PeerName } from '../../auth/peer-signature.ts'
import type { BlogName } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import type { GossipVerdict } from '../network.ts'
import { frontAtMostMs, maxClockSkewMs, maxFrontPerBlog, maxFrontPosts } from '../protocol.ts'
import { isMember, type Roster } from '../registry/roster.ts'
import { type FrontPage, type FrontPost, isLater } from './front-page.ts'

/** A front page that is younger counts as one of now, ms. */
export const freshFrontMs = 5_000
/** Leeway for the rounding of timers in how fast pages may follow each other, ms. */
const paceLeewayMs = 50

export type FrontVerdict = {
  readonly verdict: GossipVerdict
  /** why, for the log; `ok` when it is taken */
  readonly why:
    | 'ok'
    | 'other_peer'
    | 'other_council'
    | 'from_the_future'
    | 'too_old'
    | 'no_volunteer'
    | 'not_inner'
    | 'old_round'
    | 'two_of_a_round'
    | 'too_often'
}
const say = (verdict: GossipVerdict, why: FrontVerdict['why']): FrontVerdict => ({ verdict, why })

/**
 * Judges a well-formed front page that came by gossip. Pure. Only what is wrong by itself is
 * rejected: who passed it on has seen the same. Who belongs to the inner circle follows from
 * `@roster`, and peers may know it up to different entries.
 *
 * @param held - the newest page of that peer here, null when there is none
 * @param from - who published the message
 */
export function judgeFront(
  page: FrontPage,
  known: {
    readonly from: PeerName
    readonly roster: Roster | null
    readonly inner: readonly PeerName[]
    readonly held: FrontPage | null
    /** whether the page is of a run that another one has followed */
    readonly isPastRun: boolean
    readonly nowMs: number
  },
): FrontVerdict {
  const { from, roster, inner, held, isPastRun, nowMs } = known
  if (page.peer !== from) return say('reject', 'other_peer')
  if (roster === null) return say('ignore', 'not_inner')
  if (page.council !== roster.council) return say('reject', 'other_council')
  if (page.atMs > nowMs + maxClockSkewMs) return say('reject', 'from_the_future')
  const isSameRoster = page.roster.seq === roster.head.seq && page.roster.id === roster.head.id
  const isVolunteer =
    isMember(roster, from) && roster.members.get(from)?.roles.includes('aggregator') === true
  if (!isVolunteer) return say(isSameRoster ? 'reject' : 'ignore', 'no_volunteer')
  if (!inner.includes(from)) return say('ignore', 'not_inner')
  if (page.atMs < nowMs - maxClockSkewMs) return say('ignore', 'too_old')
  if (isPastRun) return say('ignore', 'old_round')
  if (held === null) return say('accept', 'ok')
  if (page.run === held.run && page.round === held.round && !isSamePage(page, held))
    return say('ignore', 'two_of_a_round')
  if (!isLater(page, held)) return say('ignore', 'old_round')
  const rounds = page.round - held.round
  const tooSoon = page.atMs - held.atMs < rounds * (frontAtMostMs - paceLeewayMs)
  if (page.run === held.run && tooSoon) return say('reject', 'too_often')
  return say('accept', 'ok')
}

const isSamePage = (a: FrontPage, b: FrontPage) => JSON.stringify(a) === JSON.stringify(b)

/**
 * Decides whose front page is shown: of those of now the one that covers the most spokes, of equal
 * ones the aggregator's, then the standby's; else the newest that there is. So who says that it
 * covers little, of which nobody can find out anything, hides nothing. Who was found lying comes
 * last. Pure.
 *
 * @param fronts - at most one of each peer
 * @returns null: there is none
 */
export function pickFront<
  F extends {
    readonly peer: PeerName
    readonly receivedMs: number
    readonly page: Pick<FrontPage, 'covered'>
  },
>(
  fronts: readonly F[],
  known: {
    readonly aggregator: PeerName | null
    readonly standby: PeerName | null
    readonly nowMs: number
    readonly isDoubted: (peer: PeerName) => boolean
  },
): F | null {
  const trusted = fronts.filter(({ peer }) => !known.isDoubted(peer))
  const left = trusted.length > 0 ? trusted : fronts
  const order = [known.aggregator, known.standby]
  const fresh = order
    .flatMap((peer) => left.find((each) => each.peer === peer) ?? [])
    .filter(({ receivedMs }) => known.nowMs - receivedMs < freshFrontMs)
    .toSorted((a, b) => b.page.covered - a.page.covered)
  const newest = left.toSorted((a, b) => b.receivedMs - a.receivedMs)
  return fresh[0] ?? newest[0] ?? null
}

/** A blog that a manifest does not show as far as somebody knows that it goes. */
export type Omission = {
  readonly blog: BlogName
  readonly wanted: Head
  /** where the manifest lets it end; null: it has no such blog */
  readonly shown: Head | null
}

/**
 * Compares heads that were published long enough before with those of a manifest. Pure.
 *
 * @param shown - of the manifest's buckets that hold these blogs
 */
export function findOmissions(
  wanted: ReadonlyMap<BlogName, Head>,
  shown: (blog: BlogName) => Head | null,
): Omission[] {
  const found: Omission[] = []
  for (const [blog, head] of wanted) {
    const at = shown(blog)
    const isThere = at !== null && (at.seq > head.seq || (at.seq === head.seq && at.id === head.id))
    if (!isThere) found.push({ blog, wanted: head, shown: at })
  }
  return found
}

/**
 * Posts that belong on a page and are not there. Pure. Two peers may have seen a post first at
 * different times: where another one has its place, only what the page's maker itself says is newer
 * counts.
 *
 * @param posts - that have stood among the newest of their blogs for long enough
 * @param seenBy - when the page's maker says that it saw a post first, null when it does not say
 */
export function findUnlisted(
  { posts: listed }: Pick<FrontPage, 'posts'>,
  posts: readonly FrontPost[],
  seenBy: (post: FrontPost) => number | null,
): FrontPost[] {
  return posts.filter((post) => {
    const own = listed.filter(({ blog }) => blog === post.blog)
    if (own.some(({ seq }) => seq === post.seq)) return false
    const last = own[maxFrontPerBlog - 1] ?? listed[maxFrontPosts - 1]
    if (last === undefined) return true
    const seenMs = seenBy(post)
    return seenMs !== null && seenMs > last.seenMs
  })
}
