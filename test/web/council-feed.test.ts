import { parseAtomFeed, parseJsonFeed, parseRssFeed } from 'feedsmith'
import { describe, expect, it } from 'vitest'
import { renderMarkdown } from '../../src/web/markdown.ts'
import type { CouncilPost, WebSpoke } from '../../src/web/spoke.ts'
import { TestCouncil } from '../replication/test-council.ts'
import { get, host, validPage } from './browser.ts'
import {
  actsOf,
  firstSeenMs,
  frontOf,
  logOf,
  memorySpoke,
  openLog,
  postsOf,
  type Said,
  udhr,
  zone,
} from './memory-spoke.ts'
import { decodeHtml } from './visitor.ts'

const cruelTitle = ']]> <b>bold</b> & &amp; "quoted"'
const said = (lang: keyof typeof udhr, more: object): Said =>
  ({ kind: 'post', slug: 'article-1', lang, ...udhr[lang], ...more }) as Said
const maria = openLog(
  logOf(
    'maria',
    said('es', { tags: ['plaza mayor', 'udhr'] }),
    said('es', { slug: 'cruel', title: cruelTitle, tags: ['"a" <i>', ']]>'] }),
  ),
)
const noor = openLog(logOf('noor', said('ar', { tags: ['udhr'] })))
const lihua = openLog(logOf('lihua', said('zh-Hans', { tags: ['广场'] })))
const opened = [maria, noor, lihua]
const council = new TestCouncil()
const spoke = memorySpoke({ maria, noor, lihua }, actsOf(council))
const year = new Date(council.roster.dateMs).getUTCFullYear()
const titles = [cruelTitle, udhr.es.title, udhr.ar.title, udhr['zh-Hans'].title]
const at = (post: Pick<CouncilPost, 'blog' | 'slug'>) => `${host(post.blog)}/2026/${post.slug}`
const content = (lang: keyof typeof udhr, dir = 'ltr') =>
  `<div lang="${lang}" dir="${dir}">${renderMarkdown(udhr[lang].body)}</div>`

async function read(path: string, type: string, of: WebSpoke = spoke, from = host('')) {
  const answer = await get(of, from + path)
  expect(answer.status, path).toBe(200)
  expect(answer.headers.get('content-type')).toBe(`${type}; charset=utf-8`)
  return answer.text()
}
const atom = async (under = '', of?: WebSpoke) =>
  parseAtomFeed(await read(`${under}/feed.atom`, 'application/atom+xml', of))
const rss = async (under = '') =>
  parseRssFeed(await read(`${under}/feed.rss`, 'application/rss+xml'))
const json = async (under = '', of?: WebSpoke) =>
  parseJsonFeed(JSON.parse(await read(`${under}/feed.json`, 'application/feed+json', of)))

describe('councilFeeds', () => {
  it('gives the newest posts of all blogs as Atom, equal after parsing', async () => {
    const feed = await atom()
    expect([feed.title?.value, feed.id]).toEqual([zone, `tag:${zone},${year}:/`])
    expect(feed.authors).toEqual([{ name: zone, uri: `${host('')}/` }])
    expect(feed.links).toEqual([
      { rel: 'alternate', href: `${host('')}/` },
      { rel: 'self', href: `${host('')}/feed.atom` },
    ])
    const entries = feed.entries ?? []
    expect(entries.map(({ title }) => decodeHtml(title?.value ?? ''))).toEqual(titles)
    const posts = await postsOf(opened)
    expect(entries.map(({ links }) => links?.[0]?.href)).toEqual(posts.map(at))
    expect(entries.map(({ authors }) => authors)).toEqual(
      posts.map(({ blog }) => [{ name: blog, uri: `${host(blog)}/` }]),
    )
    expect(entries.slice(1).map((entry) => entry.content?.value)).toEqual([
      content('es'),
      content('ar', 'rtl'),
      content('zh-Hans'),
    ])
    const seen = new Date(firstSeenMs).toISOString()
    expect(new Set(entries.map(({ published }) => published))).toEqual(new Set([seen]))
    expect(new Set(entries.map(({ updated }) => updated))).toEqual(new Set([seen]))
  })

  it('gives them as RSS, equal after parsing', async () => {
    const feed = await rss()
    expect([feed.title, feed.link]).toEqual([zone, `${host('')}/`])
    const items = feed.items ?? []
    expect(items.map(({ title }) => title)).toEqual(titles)
    expect(items.map(({ dc }) => dc?.creators)).toEqual([['maria'], ['maria'], ['noor'], ['lihua']])
    expect(items.map(({ authors }) => authors)).toEqual(items.map(() => undefined))
    expect(items[2]?.content?.encoded).toBe(content('ar', 'rtl'))
    expect(items[0]?.categories?.map(({ name }) => name)).toEqual(['"a" <i>', ']]>'])
  })

  it('gives them as JSON Feed, equal after parsing', async () => {
    const feed = await json()
    expect([feed.title, feed.home_page_url, feed.feed_url]).toEqual([
      zone,
      `${host('')}/`,
      `${host('')}/feed.json`,
    ])
    const items = feed.items ?? []
    expect(items.map(({ title }) => title)).toEqual(titles)
    expect(items.map(({ language }) => language)).toEqual(['es', 'es', 'ar', 'zh-Hans'])
    expect(items.map(({ authors }) => authors?.[0]?.name)).toEqual([
      ...['maria', 'maria', 'noor', 'lihua'],
    ])
    expect(items[3]?.content_html).toBe(content('zh-Hans'))
  })

  it('gives a post the id that its own blog’s feed gives it', async () => {
    const own = parseAtomFeed(
      await read('/feed.atom', 'application/atom+xml', spoke, host('maria')),
    )
    const all = (await atom()).entries?.map(({ id }) => id) ?? []
    expect(own.entries).toHaveLength(2)
    for (const { id } of own.entries ?? []) expect(all).toContain(id)
  })

  it.each([
    ['/tag/udhr', '/tag/udhr', [udhr.es.title, udhr.ar.title]],
    ['/tag/plaza%20mayor', '/tag/plaza%20mayor', [udhr.es.title]],
    [`/tag/${encodeURIComponent('广场')}`, `/tag/${encodeURIComponent('广场')}`, [titles[3]]],
    [`/tag/${encodeURIComponent('"a" <i>')}`, `/tag/%22a%22%20%3Ci%3E`, [cruelTitle]],
    ['/lang/ar', '/?lang=ar', [udhr.ar.title]],
    ['/lang/fr', '/?lang=fr', []],
    ['/tag/nothing', '/tag/nothing', []],
  ])('gives the posts of %s, and names the page %s', async (under, page, wanted) => {
    const feed = await atom(under)
    const found = feed.entries?.map(({ title }) => decodeHtml(title?.value ?? '')) ?? []
    expect(found).toEqual(wanted)
    expect(feed.id).toBe(`tag:${zone},${year}:${under}`)
    expect(feed.links?.map(({ href }) => href)).toEqual([
      host('') + page,
      `${host('')}${under}/feed.atom`,
    ])
    expect((await rss(under)).items?.length ?? 0).toBe(wanted.length)
    expect((await json(under)).items?.length ?? 0).toBe(wanted.length)
  })

  it.each([
    ...['/tag/%2C/feed.atom', '/tag/a%20/feed.rss', '/tag//feed.json'],
    ...[`/tag/${'a'.repeat(41)}/feed.atom`, '/lang/ES/feed.atom', '/lang/%ff/feed.rss'],
    ...['/lang/feed.atom', '/tag/a/feed.xml', '/lang/es/x', '/lang/ES', '/lang/%ff'],
  ])('has nothing at %s', async (path) => {
    expect((await get(spoke, host('') + path)).status).toBe(404)
  })

  it('leads whoever cuts the address of a language’s feed to its page', async () => {
    for (const from of [host(''), host('b.spoke')]) {
      const answer = await get(spoke, `${from}/lang/zh-Hans`)
      expect([answer.status, answer.headers.get('location')]).toEqual([308, '/?lang=zh-Hans'])
      expect((await get(spoke, `${from}/?lang=zh-Hans`)).status).toBe(200)
    }
  })

  it('names only the zone, whichever spoke is asked', async () => {
    for (const path of ['/feed.atom', '/feed.rss', '/feed.json', '/tag/udhr/feed.atom']) {
      const texts = await Promise.all(
        [host(''), host('b.spoke'), 'http://127.0.0.12:8382'].map(async (from) =>
          (await get(spoke, from + path)).text(),
        ),
      )
      expect(new Set(texts).size).toBe(1)
      expect(texts[0]).not.toContain('.spoke.')
    }
  })

  it('says in the text what readers should know of a post', async () => {
    const mark = 'key revoked 3 May 2026 (compromised)'
    const posts = (await postsOf([noor])).map((post) => ({ ...post, mark }))
    const marked = memorySpoke({ noor }, { ...actsOf(council), front: () => frontOf(posts) })
    expect((await atom('', marked)).entries?.[0]?.content?.value).toBe(
      `<p lang="en" dir="ltr"><strong>${mark}</strong></p>${content('ar', 'rtl')}`,
    )
  })

  it('ends before it gets too long', async () => {
    const [post] = await postsOf([maria])
    const body = `${'<'.repeat(10_000)}\n`.repeat(6).trim()
    const posts = Array.from({ length: 20 }, (_, n) => ({
      ...(post as CouncilPost),
      ...{ slug: `n${n}`, body },
    }))
    const long = memorySpoke({ maria }, { ...actsOf(council), front: () => frontOf(posts) })
    const items = (await json('', long)).items ?? []
    expect(items.length).toBeGreaterThan(2)
    expect(items.length).toBeLessThan(20)
  })

  it('waits for a spoke to join its council', async () => {
    expect((await get(memorySpoke({ maria }), `${host('')}/feed.atom`)).status).toBe(503)
  })

  it('is found from the pages that show the same', async () => {
    for (const [page, under] of [
      ['/', ''],
      ['/?lang=es', '/lang/es'],
      ['/tag/udhr', '/tag/udhr'],
    ]) {
      const text = await validPage(spoke, host('') + page)
      const found = [...text.matchAll(/<link rel="alternate" type="([^"]+)" [^>]*href="([^"]+)">/g)]
      expect(found.map(([, type, href]) => [type, href])).toEqual([
        ['application/atom+xml', `${host('')}${under}/feed.atom`],
        ['application/rss+xml', `${host('')}${under}/feed.rss`],
        ['application/feed+json', `${host('')}${under}/feed.json`],
      ])
    }
  })
})
