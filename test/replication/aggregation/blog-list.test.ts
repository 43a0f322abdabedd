import { describe, expect, it } from 'vitest'
import {
  checkBlogList,
  isBlogList,
  ownRows,
} from '../../../src/replication/aggregation/blog-list.ts'
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
    expect(isBlogList({ blogs: rows(...names), next: null }, after)).toBe(false)
  })

  it.each([
    ['its first blog', ['eva', 'noor'], 'eva'],
    ['where it began', ['eva'], 'ana'],
    ['a blog behind its last', ['eva'], 'zoe'],
    ['anything where it is empty', [], 'zoe'],
  ])('refuses one that goes on from %s', (_, names, next) => {
    expect(isBlogList({ blogs: rows(...names), next }, 'ana')).toBe(false)
  })

  it('takes names that rise behind the last one', () => {
    expect(isBlogList({ blogs: rows('eva', 'noor'), next: 'noor' }, 'ana')).toBe(true)
    expect(isBlogList({ blogs: rows('eva', 'noor'), next: null }, 'ana')).toBe(true)
    expect(isBlogList({ blogs: [], next: null }, null)).toBe(true)
  })
})

describe('ownRows', () => {
  const indexed = (blog: string, id: string) => ({ ...row(blog), head: { seq: 3, id } }) as never
  const held = (blog: string) =>
    ({ ana: { seq: 3, id: 'a3' }, eva: { seq: 4, id: 'e4' } })[blog] as never

  it('has only those that are kept here now and indexed to their end', () => {
    const found = [indexed('ana', 'a3'), indexed('eva', 'e3'), indexed('noor', 'n3')]
    const own = ownRows(found, 4, (blog) => held(blog) ?? null)
    expect(own).toEqual({ rows: rows('ana'), upTo: null })
    expect(ownRows(found, 3, () => null)).toEqual({ rows: [], upTo: 'noor' })
  })
})

describe('checkBlogList', () => {
  const all = { limit: 10, isGiven: null }
  const kept = (...each: ListedBlog[]) => ({ rows: each, upTo: null })

  it('shows of a blog that is kept here what is known here', () => {
    const told = { blogs: [row('ana', 'Insults', 999), row('eva', 'Said')], next: null }
    expect(checkBlogList(told, kept(row('ana', 'Ana', 3)), all).blogs).toEqual([
      row('ana', 'Ana', 3),
      row('eva', 'Said'),
    ])
  })

  it('adds what is kept here and was left out, where it belongs', () => {
    const told = { blogs: rows('ana', 'noor'), next: 'noor' }
    const checked = checkBlogList(told, kept(...rows('eva', 'zoe')), all)
    expect(checked.checked).toBe(1)
    expect(named(checked)).toEqual(['ana', 'eva', 'noor'])
    expect(checked.next).toBe('noor')
    expect(named(checkBlogList({ ...told, next: null }, kept(...rows('eva', 'zoe')), all))).toEqual(
      [...['ana', 'eva', 'noor', 'zoe']],
    )
  })

  it('leaves out names that nobody was given, where that is known', () => {
    const told = { blogs: rows('ana', 'nobody'), next: null }
    const isGiven = (blog: string) => blog === 'ana'
    expect(named(checkBlogList(told, kept(), { limit: 10, isGiven }))).toEqual(['ana'])
    expect(named(checkBlogList(told, kept(), all))).toEqual(['ana', 'nobody'])
  })

  it('goes on where what is kept here goes on, though the other list has ended', () => {
    const own = { rows: rows('eva', 'noor'), upTo: 'noor' }
    const page = checkBlogList({ blogs: rows('ana', 'zoe'), next: null }, own, all)
    expect(named(page)).toEqual(['ana', 'eva', 'noor'])
    expect(page.next).toBe('noor')
    // None of the rows there may hold.
    const none = checkBlogList({ blogs: [], next: null }, { rows: [], upTo: 'noor' }, all)
    expect(none).toEqual({ blogs: [], next: 'noor', checked: 0 })
  })

  it('gives each blog once over all pages, and no page is longer than was asked', () => {
    const others = Array.from({ length: 25 }, (_, n) => `o-${String(n).padStart(2, '0')}`)
    const own = Array.from({ length: 9 }, (_, n) => `o-${String(n * 3).padStart(2, '0')}x`)
    const behind = (names: readonly string[], after: string | null) =>
      rows(...names.filter((name) => name > (after ?? '')).slice(0, 4))
    const found: string[] = []
    for (let after: string | null = null; ; ) {
      const blogs = behind(others, after)
      const next = blogs.length < 4 ? null : (blogs.at(-1)?.blog ?? null)
      const mine = behind(own, after)
      const upTo = mine.length < 4 ? null : (mine.at(-1)?.blog ?? null)
      const page = checkBlogList({ blogs, next }, { rows: mine, upTo }, { ...all, limit: 4 })
      expect(page.blogs.length).toBeLessThanOrEqual(4)
      found.push(...named(page))
      if (page.next === null) break
      after = page.next
    }
    expect(found).toEqual([...others, ...own].sort((a, b) => (a < b ? -1 : 1)))
  })
})
