import { describe, expect, it } from 'vitest'
import { checkBlogList, isBlogList } from '../../../src/replication/aggregation/blog-list.ts'
import type { ListedBlog } from '../../../src/replication/aggregation/search-messages.ts'

const row = (blog: string, title = blog, posts = 1): ListedBlog => ({
  ...{ blog, title, lang: null, posts },
})
const rows = (...names: string[]) => names.map((name) => row(name))
const named = ({ blogs }: { blogs: readonly ListedBlog[] }) => blogs.map(({ blog }) => blog)

describe('isBlogList', () => {
  it.each([
    ['a name twice', ['ana', 'ana'], null],
    ['names in disorder', ['eva', 'ana'], null],
    ['a name that is none', ['ana', 'x y'], null],
    ['a name that was there before', ['ana', 'eva'], 'ana'],
    ['@names', ['@names'], null],
  ])('refuses %s', (_, names, after) => {
    expect(isBlogList(rows(...names), after)).toBe(false)
  })

  it('takes names that rise behind the last one', () => {
    expect(isBlogList(rows('eva', 'noor'), 'ana')).toBe(true)
    expect(isBlogList([], null)).toBe(true)
  })
})

describe('checkBlogList', () => {
  const all = { limit: 10, isGiven: null }

  it('shows of a blog that is kept here what is known here', () => {
    const told = { blogs: [row('ana', 'Insults', 999), row('eva', 'Said')], next: null }
    expect(checkBlogList(told, [row('ana', 'Ana', 3)], all).blogs).toEqual([
      row('ana', 'Ana', 3),
      row('eva', 'Said'),
    ])
  })

  it('adds what is kept here and was left out, where it belongs', () => {
    const told = { blogs: rows('ana', 'noor'), next: 'noor' }
    const checked = checkBlogList(told, rows('eva', 'zoe'), all)
    expect(named(checked)).toEqual(['ana', 'eva', 'noor'])
    expect(checked.next).toBe('noor')
    expect(named(checkBlogList({ ...told, next: null }, rows('eva', 'zoe'), all))).toEqual([
      ...['ana', 'eva', 'noor', 'zoe'],
    ])
  })

  it('leaves out names that nobody was given, where that is known', () => {
    const told = { blogs: rows('ana', 'nobody'), next: null }
    const isGiven = (blog: string) => blog === 'ana'
    expect(named(checkBlogList(told, [], { limit: 10, isGiven }))).toEqual(['ana'])
    expect(named(checkBlogList(told, [], all))).toEqual(['ana', 'nobody'])
  })

  it('gives each blog once over all pages, and no page is longer than was asked', () => {
    const others = Array.from({ length: 25 }, (_, n) => `o-${String(n).padStart(2, '0')}`)
    const kept = Array.from({ length: 9 }, (_, n) => `o-${String(n * 3).padStart(2, '0')}x`)
    const behind = (names: readonly string[], after: string | null) =>
      rows(...names.filter((name) => name > (after ?? '')).slice(0, 4))
    const found: string[] = []
    for (let after: string | null = null; ; ) {
      const blogs = behind(others, after)
      const next = blogs.length < 4 ? null : (blogs.at(-1)?.blog ?? null)
      const page = checkBlogList({ blogs, next }, behind(kept, after), { ...all, limit: 4 })
      expect(page.blogs.length).toBeLessThanOrEqual(4)
      found.push(...named(page))
      if (page.next === null) break
      after = page.next
    }
    expect(found).toEqual([...others, ...kept].sort((a, b) => (a < b ? -1 : 1)))
  })
})
