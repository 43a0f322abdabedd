import { createHash, randomBytes } from 'node:crypto'
import { accept, refuse } from '../../src/auth/verdict.ts'
import { termsOf, textOf } from '../../src/node/council-view.ts'
import { matchesQuery, parseQuery } from '../../src/replication/aggregation/search-query.ts'
import { snippetOf } from '../../src/replication/aggregation/snippet.ts'
import { Blog } from '../../src/replication/log/blog.ts'
import type { BlogName, Draft, Entry, Genesis } from '../../src/replication/log/entry.ts'
import { encodeEntry } from '../../src/replication/log/entry.ts'
import { rosterLog } from '../../src/replication/log/log.ts'
import type { EntryId } from '../../src/replication/log/text.ts'
import { frontVersion } from '../../src/web/coverage.ts'
import type {
  CouncilPost,
  Coverage,
  Front,
  OpenBlog,
  SubmitAnswer,
  WebSpoke,
} from '../../src/web/spoke.ts'
import { actOf, type TestCouncil } from '../replication/test-council.ts'

export const zone = 'blogs.localhost'
export const council = `${zone}/${'5f'.repeat(32)}`
export const fingerprint = 'AB12CD34EF56AB12CD34EF56AB12CD34EF5666A8'
export const firstSeenMs = Date.UTC(2026, 4, 3, 14, 5, 9)

const armored = (kind: string) => `-----BEGIN PGP ${kind}-----\n\nAAAA\n-----END PGP ${kind}-----\n`
/** Web does not check signatures, so any armored block stands for one. */
export const signature = armored('SIGNATURE')
export const keyBlock = armored('PUBLIC KEY BLOCK')

type Words = {
  readonly [K in Draft['kind']]: Omit<Extract<Draft, { kind: K }>, keyof Shared>
}[Draft['kind']]
type Shared = Pick<Draft, 'council' | 'blog' | 'seq' | 'prev' | 'date' | 'key' | 'body'>
/** A draft's own fields; the chain, the date and the key follow. */
export type Said = Words & { readonly body?: string; readonly date?: string; readonly key?: string }

/** Real entries, each linked to the one before it. */
export function logOf(blog: string, ...said: readonly Said[]): [Genesis, ...Entry[]] {
  const entries: Entry[] = []
  for (const words of [{ kind: 'genesis' as const, body: keyBlock.trimEnd() }, ...said]) {
    const seq = entries.length
    const verdict = encodeEntry({
      ...{ council, blog, seq, prev: entries.at(-1)?.id ?? null, key: fingerprint, body: '' },
      date: `2026-05-03T14:${String(seq).padStart(2, '0')}:00Z`,
      ...words,
    } as Draft)
    if (!verdict.ok) throw new Error(verdict.reason)
    entries.push(verdict.value)
  }
  return entries as [Genesis, ...Entry[]]
}

export function fold([genesis, ...rest]: readonly [Genesis, ...Entry[]]): Blog {
  const blog = new Blog(genesis)
  for (const entry of rest) blog.fold(entry)
  return blog
}

export function openLog(
  entries: readonly [Genesis, ...Entry[]],
  more: Partial<OpenBlog> = {},
): OpenBlog {
  return {
    blog: fold(entries),
    held: true,
    newer: async () => null,
    aside: async () => null,
    leftOver: async () => [],
    entry: async (seq) => {
      const entry = entries[seq]
      return entry === undefined ? null : { entry, signature, firstSeenMs }
    },
    keys: async () => [keyBlock],
    copies: () => ({ act: 'ac'.repeat(32) as EntryId, epoch: 1, needed: 2, replicas: [] }),
    proof: async () => ({ published: entries.length - 1, receipts: [], act: null, roster: [] }),
    ...more,
  }
}

/** A spoke `b` in memory that keeps the given blogs and remembers what was submitted. */
export function memorySpoke(
  blogs: Readonly<Record<string, OpenBlog | 'unreachable'>>,
  more: Partial<WebSpoke> = {},
): WebSpoke {
  const opened = Object.values(blogs).filter((open) => open !== 'unreachable')
  return {
    zone,
    council: () => council,
    name: 'b',
    editForm: () => 'dotted',
    origin: (host) => `http://${host}:8380`,
    addresses: () => ['127.0.0.12', '::1'],
    openBlog: async (name) => blogs[name] ?? 'unknown',
    blogVersion: async (name) => {
      const open = blogs[name]
      return open === undefined || open === 'unreachable' ? null : open.blog.head.id
    },
    keeps: (name) => (blogs[name] ?? 'unreachable') !== 'unreachable',
    front: async () => frontOf(await postsOf(opened)),
    search: async ({ query, cursor, limit }) => {
      const parsed = parseQuery(textOf(query))
      if (!parsed.ok) return parsed
      const from = Number(cursor ?? 0)
      if (Number.isNaN(from)) return refuse('SEARCH_CURSOR', 'There is no such page of results.')
      const found = (await postsOf(opened)).filter((post) => matchesQuery(parsed.value, post))
      return accept({
        hits: found.slice(from, from + limit).map((post) => ({
          ...post,
          snippet: snippetOf(post.body, parsed.value),
        })),
        next: found.length > from + limit ? String(from + limit) : null,
        ...{ coverage: wholeCouncil, terms: termsOf(parsed.value) },
      })
    },
    councilBlogs: async (after) => {
      const all = opened
        .map(({ blog: { name, title, lang, postCount } }) => ({
          ...{ blog: name, title, lang, posts: postCount },
        }))
        .filter(({ blog }) => after === null || blog > after)
        .sort((a, b) => (a.blog < b.blog ? -1 : 1))
      const shown = all.slice(0, blogsPerPage)
      const next = all.length > shown.length ? (shown.at(-1)?.blog ?? null) : null
      return accept({ blogs: shown, next, coverage: wholeCouncil, checked: 0 })
    },
    submit: async () => ({ kind: 'refused', code: 'TEXT_NOT_UTF8', reason: 'Not UTF-8.' }),
    order: async () => refuse('ORDER_BODY', 'An order has no body.'),
    claim: async () => null,
    revocation: async () => null,
    askKeyServers: async () => ({ kind: 'none-configured', atMs: firstSeenMs, detail: 'None.' }),
    handInRevocation: async () => ({ ok: false, code: 'REVOCATION_MISSING', reason: 'None.' }),
    forks: () => [],
    losses: () => [],
    roster: () => null,
    acts: async () => [],
    now: () => Date.UTC(2026, 4, 3, 15),
    randomBytes,
    wait: async () => undefined,
    signToken: () => null,
    readToken: () => refuse('SESSION_MALFORMED', 'Nobody is logged in.'),
    accounts: { find: async () => null, keep: async () => undefined },
    blogsOf: async () => [],
    hello: () => null,
    status: async () => ({ ready: true }),
    ...more,
  }
}

/** Blogs on one page of the list that this spoke gives. */
export const blogsPerPage = 100

export const wholeCouncil: Coverage = {
  ...{ kind: 'council', spokes: 5, of: 5, blogs: 12, by: 'carl' },
  atMs: firstSeenMs,
}

/** A front page of these posts, as far as there is room for them. */
export function frontOf(posts: readonly CouncilPost[], coverage: Coverage = wholeCouncil): Front {
  const shown = posts.slice(0, 20)
  return { posts: shown, coverage, version: frontVersion(shown, coverage) }
}

/** The posts of the blogs with their texts, as this spoke gathers them. */
export async function postsOf(opened: readonly OpenBlog[]): Promise<CouncilPost[]> {
  const posts: CouncilPost[] = []
  for (const { blog, entry } of opened) {
    for (const { slug, year, current } of blog.posts()) {
      const read = (await entry(current.seq))?.entry
      if (read === undefined) continue
      const { title, lang, tags, dateMs, key } = current
      posts.push({
        ...{ blog: blog.name, title, slug, year, lang, tags, dateMs, key },
        ...{ seenMs: firstSeenMs, body: read.body, mark: null },
      })
    }
  }
  return posts
}

/** The acts that a council wrote, as a spoke that carries both logs hands them out. */
export function actsOf(written: TestCouncil): Pick<WebSpoke, 'roster' | 'acts'> {
  return {
    roster: () => written.roster,
    acts: async (log, before, limit) => {
      const proofs = log === rosterLog ? written.rosterProofs : written.namesProofs
      const newest = proofs.slice(0, before).slice(-limit).reverse()
      return newest.map((proof) => ({ act: actOf(proof), proof }))
    },
  }
}

/** A spoke that gives one answer to everything submitted, and keeps what came. */
export function submitSpoke(answer: SubmitAnswer) {
  const taken: { text: Uint8Array; signature: string }[] = []
  const submit: WebSpoke['submit'] = async (text, armored) => {
    taken.push({ text, signature: armored })
    return answer
  }
  return { spoke: memorySpoke({}, { submit }), taken }
}

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
export const nameOf = (text: string) => text as BlogName

// Article 1 of the Universal Declaration of Human Rights.
export const udhr = {
  es: {
    title: 'Artículo 1: Todos los seres humanos nacen libres',
    body: 'Todos los seres humanos nacen **libres e iguales** en dignidad y derechos.',
  },
  ar: {
    title: 'المادة ١: يولد جميع الناس أحرارا',
    body: 'يولد جميع الناس **أحرارا متساوين** في الكرامة والحقوق.',
  },
  'zh-Hans': {
    title: '第一条：人人生而自由',
    body: '人人生而自由，在尊严和权利上**一律平等**。',
  },
} as const
