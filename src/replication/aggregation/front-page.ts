import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { type BlogName, blogNameRule, parseBlogName } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import {
  isHead,
  isPeer,
  isStore,
  readHead,
  readSigned,
  signPeerText,
  writeHead,
} from '../log/peer-text.ts'
import {
  dateMs,
  type EntryId,
  type Field,
  isCouncil,
  isCount,
  isId,
  type Signed,
} from '../log/text.ts'
import { maxFrontPerBlog, maxFrontPosts, maxFrontWithout } from '../protocol.ts'

/** A post on a front page: the newest revision, placed by when the first one was first seen. */
export type FrontPost = {
  readonly blog: BlogName
  readonly seq: number
  readonly id: EntryId
  /** when the post's first revision was first seen published, ms */
  readonly seenMs: number
}

/** A signed front page of the whole council, as an inner-circle peer sees it (DESIGN 7). */
export type FrontPage = {
  readonly council: string
  readonly peer: PeerName
  /** random name of one run of the process, 32 hex digits */
  readonly run: string
  /** number of the page in this run, from 1 */
  readonly round: number
  readonly atMs: number
  /** the head of `@roster` that it goes by */
  readonly roster: Head
  /** spokes of the council, and how many of them all offers are in up to a few seconds ago */
  readonly of: number
  readonly covered: number
  /** those that are not covered, or the first 50 of them */
  readonly without: readonly PeerName[]
  /** number of blogs in the manifest, and its root */
  readonly blogs: number
  readonly manifest: EntryId
  /** newest first */
  readonly posts: readonly FrontPost[]
}

/**
 * The posts of a front page: the newest, at most three of a blog. Pure. Order: first seen last
 * first, then the blog's name, then the entry that came last in its log.
 */
export function buildFrontPage(posts: Iterable<FrontPost>): FrontPost[] {
  const page: FrontPost[] = []
  const perBlog = new Map<BlogName, number>()
  for (const post of [...posts].sort(byPlace)) {
    const count = perBlog.get(post.blog) ?? 0
    if (count === maxFrontPerBlog) continue
    perBlog.set(post.blog, count + 1)
    page.push(post)
    if (page.length === maxFrontPosts) break
  }
  return page
}

/** Where a post stands against another one; negative: before it. */
export function byPlace(a: FrontPost, b: FrontPost): number {
  if (a.seenMs !== b.seenMs) return b.seenMs - a.seenMs
  if (a.blog !== b.blog) return a.blog < b.blog ? -1 : 1
  return b.seq - a.seq
}

/** Of two pages of one peer, whether `next` was made later; of another run, by what it says itself. */
export function isLater(next: FrontPage, held: FrontPage): boolean {
  return next.run === held.run ? next.round > held.round : next.atMs > held.atMs
}

const instant = /^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})\.([0-9]{3})Z$/

/** As `dateMs`, with milliseconds: many posts come within a second, and their order is what is signed. */
function instantMs(value: string): number | null {
  const [, whole = '', thousandths = ''] = instant.exec(value) ?? []
  const ms = dateMs(`${whole}Z`)
  return ms === null ? null : ms + Number(thousandths)
}
const formatInstant = (ms: number) => new Date(ms).toISOString()
const isInstant = (value: string) =>
  instantMs(value) === null ? 'want a real instant like 2026-11-23T03:40:00.000Z' : null

const isRound = (value: string) =>
  isCount(value) === null && value !== '0' ? null : 'want a whole number from 1 on'

const isSpokes = (value: string) => {
  const [covered = '', of = '', more] = value.split('/')
  const areCounts = isCount(covered) === null && isCount(of) === null
  return more === undefined && areCounts && Number(covered) <= Number(of)
    ? null
    : 'want how many spokes are covered, a slash and how many there are'
}

/** `<blog> <seq> <id> <instant>` */
const isPost = (value: string) => {
  const [blog = '', seq = '', id = '', seen = '', more] = value.split(' ')
  if (parseBlogName(blog) === null) return `want a blog first; ${blogNameRule}`
  const isGood = isCount(seq) === null && seq !== '0' && isId(id) === null
  return more === undefined && isGood && isInstant(seen) === null
    ? null
    : 'want a blog, the seq and id of a post, and when it was first seen'
}

const readPost = (value: string): FrontPost => {
  const [blog, seq, id, seen = ''] = value.split(' ')
  const seenMs = instantMs(seen) as number
  return { blog: blog as BlogName, seq: Number(seq), id: id as EntryId, seenMs }
}

const first = 'council-front 1'
const fields: readonly Field[] = [
  { name: 'council', times: 'once', wrong: isCouncil },
  { name: 'peer', times: 'once', wrong: isPeer },
  { name: 'run', times: 'once', wrong: isStore },
  { name: 'round', times: 'once', wrong: isRound },
  { name: 'at', times: 'once', wrong: isInstant },
  { name: 'roster', times: 'once', wrong: isHead },
  { name: 'spokes', times: 'once', wrong: isSpokes },
  { name: 'without', times: 'any', wrong: isPeer },
  { name: 'blogs', times: 'once', wrong: isCount },
  { name: 'manifest', times: 'once', wrong: isId },
  { name: 'post', times: 'any', wrong: isPost },
]

export function signFrontPage(signer: PeerSigner, page: Omit<FrontPage, 'peer'>): Signed {
  return signPeerText(signer, first, [
    ['council', page.council],
    ['peer', signer.peer],
    ['run', page.run],
    ['round', String(page.round)],
    ['at', formatInstant(page.atMs)],
    ['roster', writeHead(page.roster)],
    ['spokes', `${page.covered}/${page.of}`],
    ...page.without.map((peer) => ['without', peer] as const),
    ['blogs', String(page.blogs)],
    ['manifest', page.manifest],
    ...page.posts.map(
      ({ blog, seq, id, seenMs }) =>
        ['post', `${blog} ${seq} ${id} ${formatInstant(seenMs)}`] as const,
    ),
  ])
}

/**
 * Decodes a front page and checks that the peer that it names signed it. What it says of posts and
 * blogs is that peer's word.
 *
 * Codes: FRONT_WITHOUT (not as many spokes named as are missing, not sorted, one twice), FRONT_POSTS
 * (over 20, over 3 of a blog, one twice, not in order, first seen behind the page's own time, more
 * blogs on the page than in its manifest), and those of peers' texts.
 */
export function decodeFrontPage(signed: Signed): Verdict<FrontPage> {
  const read = readSigned(signed, first, fields, 'peer')
  if (!read.ok) return read
  const { one, all } = read.value
  const [covered = 0, of = 0] = one('spokes').split('/').map(Number)
  const page: FrontPage = {
    ...{ council: one('council'), peer: one('peer') as PeerName },
    ...{ run: one('run'), round: Number(one('round')) },
    ...{ atMs: instantMs(one('at')) as number, roster: readHead(one('roster')), of, covered },
    ...{ without: all('without') as PeerName[], blogs: Number(one('blogs')) },
    ...{ manifest: one('manifest') as EntryId, posts: all('post').map(readPost) },
  }
  return checkLists(page) ?? accept(page)
}

function checkLists({ of, covered, without, blogs, posts, atMs }: FrontPage) {
  const isRising = without.every((peer, at) => at === 0 || (without[at - 1] as PeerName) < peer)
  if (!isRising || without.length !== Math.min(of - covered, maxFrontWithout)) {
    return refuse(
      'FRONT_WITHOUT',
      'The spokes that are not covered must be named in order, each once.',
    )
  }
  const isSorted = posts.every(
    (post, at) => at === 0 || byPlace(posts[at - 1] as FrontPost, post) < 0,
  )
  const perBlog = [...Map.groupBy(posts, ({ blog }) => blog).values()]
  const isFair = perBlog.every(
    (own) =>
      own.length <= maxFrontPerBlog && new Set(own.map(({ seq }) => seq)).size === own.length,
  )
  const isDue = posts.every(({ seenMs }) => seenMs <= atMs)
  if (posts.length > maxFrontPosts || !isSorted || !isFair || !isDue || perBlog.length > blogs) {
    return refuse(
      'FRONT_POSTS',
      `A front page has at most ${maxFrontPosts} posts, ${maxFrontPerBlog} of a blog, each once, the newest first, none from behind its own time.`,
    )
  }
  return null
}
