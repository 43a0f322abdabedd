import { describe, expect, it } from 'vitest'
import {
  buildFrontPage,
  decodeFrontPage,
  type FrontPage,
  type FrontPost,
  isLater,
  signFrontPage,
} from '../../../src/replication/aggregation/front-page.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { codeOf, fakeId, forge, must, peer, startMs, storeOf } from '../test-council.ts'

const council = `blogs.example.org/${fakeId('5f')}`
const post = (blog: string, seq: number, seenMs = startMs, id = fakeId('ab')): FrontPost => ({
  ...{ blog: blog as BlogName, seq, id, seenMs },
})
const page: Omit<FrontPage, 'peer'> = {
  ...{ council, run: storeOf(7), round: 3, atMs: startMs + 123, of: 5, covered: 5, without: [] },
  ...{ roster: { seq: 4, id: fakeId('cd') }, blogs: 2, manifest: fakeId('ef') },
  posts: [post('maria', 3, startMs + 1), post('ana', 2), post('maria', 2)],
}
const sign = (change: Partial<FrontPage> = {}) => signFrontPage(peer(1), { ...page, ...change })
const many = (count: number) =>
  Array.from({ length: count }, (_, at) => post(`blog-${String(at).padStart(3, '0')}`, 1))
const [first, second, third] = [1, 2, 3]
  .map((n) => peer(n).peer)
  .toSorted((a, b) => (a < b ? -1 : 1))

describe('decodeFrontPage', () => {
  const resigned = (part: string | RegExp, by: string) => {
    const text = forge(sign().text, part, by)
    return { text, signature: peer(1).sign(text) }
  }

  it.each([
    [
      'signed by another peer',
      { ...sign(), signature: peer(2).sign(sign().text) },
      'PEER_SIGNATURE',
    ],
    ['in the name of another peer', resigned(peer(1).peer, peer(2).peer), 'PEER_SIGNATURE'],
    [
      'changed after signing',
      { ...sign(), text: forge(sign().text, 'maria 3', 'maria 4') },
      'PEER_SIGNATURE',
    ],
    ['of another kind', resigned('council-front 1', 'council-front 2'), 'PEER_TEXT_FIRST_LINE'],
    ['with a body', resigned(/$/, '\n\nbody'), 'PEER_TEXT_BODY'],
    ['with an unknown header', resigned('round 3', 'round 3\nmood good'), 'HEADER_UNKNOWN'],
    [
      'with its headers in another order',
      resigned(/(run .*\n)(round .*\n)/, '$2$1'),
      'HEADER_ORDER',
    ],
    ['without a manifest', resigned(/manifest .*\n/, ''), 'HEADER_MISSING'],
    ['with round 0', resigned('round 3', 'round 0'), 'HEADER_VALUE'],
    ['with round 03', resigned('round 3', 'round 03'), 'HEADER_VALUE'],
    ['with a run that is none', resigned(/run .*/, 'run 7'), 'HEADER_VALUE'],
    ['with a time in seconds', resigned(/at (.*)\.123Z/, 'at $1Z'), 'HEADER_VALUE'],
    ['with a time that is none', resigned(/at 2026-11-23/, 'at 2026-02-30'), 'HEADER_VALUE'],
    ['that covers more spokes than there are', resigned('5/5', '6/5'), 'HEADER_VALUE'],
    ['with a post that is a genesis', resigned('maria 3', 'maria 0'), 'HEADER_VALUE'],
    ['with a post of a name that is none', resigned('post ana', 'post -ana'), 'HEADER_VALUE'],
    ['with a post of the council’s log', resigned('post ana', 'post @names'), 'HEADER_VALUE'],
    ['with a post without an id', resigned(`ana 2 ${fakeId('ab')}`, 'ana 2'), 'HEADER_VALUE'],
    ['with a post and more behind it', resigned('post ana 2', 'post ana 2 2'), 'HEADER_VALUE'],
    ['that repeats a post', sign({ posts: [post('ana', 2), post('ana', 2)] }), 'FRONT_POSTS'],
    [
      'that repeats a post with another time',
      sign({ posts: [post('ana', 2), post('ana', 2, startMs - 1)] }),
      'FRONT_POSTS',
    ],
    [
      'with four posts of a blog',
      sign({ posts: [4, 3, 2, 1].map((seq) => post('ana', seq)) }),
      'FRONT_POSTS',
    ],
    ['with 21 posts', sign({ posts: many(21), blogs: 21 }), 'FRONT_POSTS'],
    [
      'that is not sorted by time',
      sign({ posts: [post('ana', 2), post('maria', 2, startMs + 1)] }),
      'FRONT_POSTS',
    ],
    [
      'that is not sorted by name',
      sign({ posts: [post('maria', 2), post('ana', 2)] }),
      'FRONT_POSTS',
    ],
    ['that is not sorted by seq', sign({ posts: [post('ana', 2), post('ana', 3)] }), 'FRONT_POSTS'],
    [
      'with a post from behind its own time',
      sign({ posts: [post('ana', 2, startMs + 124)] }),
      'FRONT_POSTS',
    ],
    ['with posts of more blogs than it has', sign({ blogs: 1 }), 'FRONT_POSTS'],
    ['that names fewer spokes than it lacks', sign({ covered: 4 }), 'FRONT_WITHOUT'],
    ['that lacks more spokes than it counts', sign({ without: [first as never] }), 'FRONT_WITHOUT'],
    [
      'that names spokes out of order',
      sign({ covered: 3, without: [second, first] as never }),
      'FRONT_WITHOUT',
    ],
    [
      'that names a spoke twice',
      sign({ covered: 3, without: [first, first] as never }),
      'FRONT_WITHOUT',
    ],
    [
      'that names somebody who is no peer',
      resigned('blogs 2', 'without maria\nblogs 2'),
      'HEADER_VALUE',
    ],
  ])('refuses one %s', (_what, signed, code) => {
    expect(codeOf(decodeFrontPage(signed))).toBe(code)
  })

  it('reads what was signed', () => {
    expect(must(decodeFrontPage(sign()))).toEqual({ ...page, peer: peer(1).peer })
    const without = [first, second, third] as FrontPage['without']
    const lacking = sign({ covered: 2, without, posts: many(20), blogs: 20 })
    expect(must(decodeFrontPage(lacking))).toMatchObject({ covered: 2, without, blogs: 20 })
    expect(must(decodeFrontPage(sign({ posts: [], blogs: 0 }))).posts).toEqual([])
  })

  it('fits with its longest lines into what is gossiped', () => {
    const names = Array.from({ length: 20 }, (_, at) => `${'x'.repeat(28)}${at + 10}`)
    const posts = names.map((name) => post(name, 999_999_999_999_999))
    const without = Array.from({ length: 50 }, () => first) as never
    const { text } = sign({ posts, blogs: 999_999_999_999_999, of: 5_000, covered: 10, without })
    expect(text.length).toBeLessThan(8_000)
  })
})

describe('buildFrontPage', () => {
  it('shows the newest first, at most three of a blog and 20 in all', () => {
    const ana = Array.from({ length: 9 }, (_, at) => post('ana', at + 1, startMs + at))
    const built = buildFrontPage([...many(30), ...ana])
    expect(built).toHaveLength(20)
    expect(built.slice(0, 4).map(({ blog, seq }) => `${blog} ${seq}`)).toEqual([
      'ana 9',
      'ana 8',
      'ana 7',
      'blog-000 1',
    ])
  })

  it('orders posts of one moment by the blog’s name', () => {
    const built = buildFrontPage([post('maria', 1), post('ana', 5), post('eva', 2)])
    expect(built.map(({ blog }) => blog)).toEqual(['ana', 'eva', 'maria'])
  })

  it('makes of the same posts in any order the same page, which others accept', () => {
    const posts = [...many(25), post('ana', 1), post('ana', 2, startMs - 5), post('ana', 3)]
    const built = buildFrontPage(posts)
    expect(buildFrontPage(posts.toReversed())).toEqual(built)
    must(decodeFrontPage(sign({ posts: built, blogs: 26 })))
  })
})

describe('isLater', () => {
  const held: FrontPage = { ...page, peer: peer(1).peer }
  it.each([
    ['a higher round', { round: 4 }, true],
    ['the same round', { round: 3, atMs: held.atMs + 1 }, false],
    ['a lower round that says it is later', { round: 2, atMs: held.atMs + 1 }, false],
    ['another run that is later', { run: storeOf(8), round: 1, atMs: held.atMs + 1 }, true],
    ['another run that is older', { run: storeOf(8), round: 9, atMs: held.atMs - 1 }, false],
  ])('takes %s for what it is', (_what, change, later) => {
    expect(isLater({ ...held, ...change }, held)).toBe(later)
  })
})
