import { parseAtomFeed, parseJsonFeed, parseRssFeed } from 'feedsmith'
import { describe, expect, it } from 'vitest'
import { renderMarkdown } from '../../src/web/markdown.ts'
import type { OpenBlog, WebSpoke } from '../../src/web/spoke.ts'
import { get, host } from './browser.ts'
import { logOf, memorySpoke, nameOf, openLog, type Said, udhr } from './memory-spoke.ts'
import { decodeHtml } from './visitor.ts'

const titles = [
  'Plain',
  ']]> once, ]]> twice <script>x</script>',
  '<b>bold</b> & &amp; &lt; "quoted" it’s \'so\'',
  udhr.ar.title,
  udhr['zh-Hans'].title,
]
const tags = ['"a" <i>', '&amp;', ']]>', 'plaza']
const langs = ['en', 'en', 'es', 'ar', 'zh-Hans']
const body =
  'Text with ]]> and `]]>` and <b>, [near](/2026/p0?a=1&b=2), [far](https://example.org/).'
const said = titles.map(
  (title, index): Said => ({
    ...{ kind: 'post', slug: `p${index}`, title, body, tags },
    ...{ lang: langs[index] ?? 'en' },
  }),
)
const blogTitle = '<María> &amp; ]]> ]]> co'
const maria = openLog(
  logOf(
    'maria',
    { kind: 'profile', title: blogTitle, lang: 'es' },
    ...said,
    { ...said[0], title: 'Plain, again', date: '2026-06-01T00:00:00Z' } as Said,
    { kind: 'post', slug: 'gone', title: 'Regret', body: 'x', date: '2026-06-02T00:00:00Z' },
    { kind: 'retract', slug: 'gone', date: '2026-06-03T00:00:00Z' },
  ),
)
const wanted = [...titles.slice(1).reverse(), 'Plain, again']
const slugs = ['p4', 'p3', 'p2', 'p1', 'p0']
const linkOf = (slug: string) => `${host('maria')}/2026/${slug}`
const idOf = (slug: string) => `tag:maria.blogs.localhost,2026:/2026/${slug}`
const content = (lang: string, dir = 'ltr') =>
  `<div lang="${lang}" dir="${dir}">${renderMarkdown(body)}</div>`.replace(
    'href="/2026/p0?',
    `href="${linkOf('p0')}?`,
  )
const contents = [content('zh-Hans'), content('ar', 'rtl'), content('es'), content('en')]

async function read(path: string, type: string, open: OpenBlog = maria, more?: Partial<WebSpoke>) {
  const answer = await get(memorySpoke({ maria: open }, more), host('maria') + path)
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toBe(`${type}; charset=utf-8`)
  return answer.text()
}
const atom = async (open?: OpenBlog, more?: Partial<WebSpoke>) =>
  parseAtomFeed(await read('/feed.atom', 'application/atom+xml', open, more))
const rss = async (open?: OpenBlog) =>
  parseRssFeed(await read('/feed.rss', 'application/rss+xml', open))
const json = async (open?: OpenBlog) =>
  parseJsonFeed(JSON.parse(await read('/feed.json', 'application/feed+json', open)))

describe('feeds', () => {
  it('gives the posts of a blog as Atom, equal after parsing', async () => {
    const feed = await atom()
    expect(feed.title?.value).toBe(blogTitle)
    expect(feed.id).toBe('tag:maria.blogs.localhost,2026:/')
    expect(feed.updated).toBe('2026-06-01T00:00:00.000Z')
    expect(feed.authors).toEqual([{ name: 'maria', uri: `${host('maria')}/` }])
    expect(feed.links).toEqual([
      { rel: 'alternate', href: `${host('maria')}/` },
      { rel: 'self', href: `${host('maria')}/feed.atom` },
    ])
    const entries = feed.entries ?? []
    expect(entries.map(({ title }) => decodeHtml(title?.value ?? ''))).toEqual(wanted)
    expect(new Set(entries.map(({ title }) => title?.type))).toEqual(new Set(['html']))
    expect(entries.map(({ id }) => id)).toEqual(slugs.map(idOf))
    expect(entries.map(({ links }) => links?.[0]?.href)).toEqual(slugs.map(linkOf))
    expect(entries.slice(0, 4).map((entry) => entry.content?.value)).toEqual(contents)
    expect([entries[4]?.published, entries[4]?.updated]).toEqual([
      '2026-05-03T14:02:00.000Z',
      '2026-06-01T00:00:00.000Z',
    ])
    // The tag with "<" is left out: the library cannot write it.
    expect(entries[0]?.categories?.map(({ term }) => term)).toEqual(['&amp;', ']]>', 'plaza'])
  })

  it('gives the posts of a blog as RSS, equal after parsing', async () => {
    const feed = await rss()
    expect([feed.title, feed.link, feed.language]).toEqual([blogTitle, `${host('maria')}/`, 'es'])
    const items = feed.items ?? []
    expect(items.map(({ title }) => title)).toEqual(wanted)
    expect(items.map(({ guid }) => guid)).toEqual(
      slugs.map((slug) => ({ value: idOf(slug), isPermaLink: false })),
    )
    expect(items.map(({ link }) => link)).toEqual(slugs.map(linkOf))
    expect(items.slice(0, 4).map((item) => item.content?.encoded)).toEqual(contents)
    expect(items[0]?.categories?.map(({ name }) => name)).toEqual(tags)
    expect(items[4]?.pubDate).toBe('Sun, 03 May 2026 14:02:00 GMT')
  })

  it('gives the posts of a blog as JSON Feed, equal after parsing', async () => {
    const feed = await json()
    expect([feed.title, feed.language]).toEqual([blogTitle, 'es'])
    expect([feed.home_page_url, feed.feed_url]).toEqual([
      `${host('maria')}/`,
      `${host('maria')}/feed.json`,
    ])
    const items = feed.items ?? []
    expect(items.map(({ title }) => title)).toEqual(wanted)
    expect(items.map(({ id, url }) => [id, url])).toEqual(slugs.map((s) => [idOf(s), linkOf(s)]))
    expect(items.map(({ language }) => language)).toEqual(['zh-Hans', 'ar', 'es', 'en', 'en'])
    expect(items.slice(0, 4).map((item) => item.content_html)).toEqual(contents)
    expect(items[0]?.tags).toEqual(tags)
    expect(items[4]?.date_modified).toBe('2026-06-01T00:00:00.000Z')
  })

  it.each(['/feed.atom', '/feed.rss', '/feed.json'])('%s has no retracted post', async (path) => {
    const text = await (await get(memorySpoke({ maria }), host('maria') + path)).text()
    expect(text).not.toMatch(/Regret|gone/)
  })

  it('names its language in Atom', async () => {
    expect(await read('/feed.atom', 'application/atom+xml')).toMatch(/<feed xml:lang="es" xmlns=/)
  })

  it('keeps its ids when the council moves to https', async () => {
    const ids = async (more?: Partial<WebSpoke>) =>
      (await atom(maria, more)).entries?.map(({ id }) => id)
    expect(await ids({ origin: (name) => `https://${name}` })).toEqual(await ids())
  })

  it('holds the newest twenty', async () => {
    const many = Array.from(
      { length: 21 },
      (_, index): Said => ({ kind: 'post', slug: `n${index}`, title: `N${index}` }),
    )
    const items = (await json(openLog(logOf('maria', ...many)))).items ?? []
    expect([items.length, items[0]?.title, items.at(-1)?.title]).toEqual([20, 'N20', 'N1'])
  })

  it('asks for no text that it does not show, and ends before it gets too long', async () => {
    const long = `${'<'.repeat(10_000)}\n`.repeat(6).trim()
    const many = Array.from(
      { length: 20 },
      (_, index): Said => ({ kind: 'post', slug: `n${index}`, title: `N${index}`, body: long }),
    )
    const log = openLog(logOf('maria', ...many))
    const asked: number[] = []
    const text = await read('/feed.json', 'application/feed+json', {
      ...log,
      entry: (seq) => {
        asked.push(seq)
        return log.entry(seq)
      },
    })
    expect(text.length).toBeLessThan(2_500_000)
    expect(asked.length).toBeLessThan(21)
    expect(asked.length).toBeGreaterThan(2)
  })

  it('leaves out a text that no server hands out, and shows the others', async () => {
    const entry: OpenBlog['entry'] = async (seq) => (seq === 3 ? null : maria.entry(seq))
    expect((await json({ ...maria, entry })).items).toHaveLength(4)
  })

  it('is empty for a blog without posts', async () => {
    const empty = openLog(logOf('maria'))
    expect((await json(empty)).items ?? []).toEqual([])
    expect((await atom(empty)).updated).toBe('2026-05-03T14:00:00.000Z')
    expect((await rss(empty)).title).toBe(nameOf('maria'))
  })

  it('is found from the list, posts, tags and the archive', async () => {
    for (const path of ['/', '/2026/p1', '/tag/plaza', '/archive']) {
      const text = await (await get(memorySpoke({ maria }), host('maria') + path)).text()
      const found = [...text.matchAll(/<link rel="alternate" type="([^"]+)" [^>]*href="([^"]+)">/g)]
      expect(found.map(([, type, href]) => [type, href])).toEqual([
        ['application/atom+xml', `${host('maria')}/feed.atom`],
        ['application/rss+xml', `${host('maria')}/feed.rss`],
        ['application/feed+json', `${host('maria')}/feed.json`],
      ])
    }
  })
})
