import { describe, expect, it } from 'vitest'
import { TestCouncil } from '../replication/test-council.ts'
import { get, host, validPage } from './browser.ts'
import { actsOf, logOf, memorySpoke, openLog, type Said, udhr, zone } from './memory-spoke.ts'

const article = (lang: keyof typeof udhr): Said => ({
  ...{ kind: 'post', slug: 'article-1', lang, tags: ['a/b', 'udhr'] },
  ...udhr[lang],
})
const spoke = memorySpoke(
  {
    maria: openLog(
      logOf(
        'maria',
        { kind: 'profile', title: 'El blog de "María" & co', lang: 'es' },
        article('es'),
        { ...article('es'), title: 'Nuevo "título"' } as Said,
        { kind: 'post', slug: 'gone', title: 'Regret', tags: ['gone'] },
        { kind: 'retract', slug: 'gone' },
      ),
    ),
    noor: openLog(logOf('noor', article('ar')), { held: false }),
    lihua: openLog(logOf('lihua', article('zh-Hans'))),
  },
  actsOf(new TestCouncil().admit(1, 2, 3)),
)

describe('pages for readers', () => {
  it('have at most 30 KB and no script with titles of 100 letters, and 10 KB around a post’s text', async () => {
    const title = 'ñ'.repeat(100)
    const many = Array.from({ length: 59 }, (_, index) => ({
      ...{ kind: 'post' as const, slug: `a-post-with-an-address-${index}`, title, lang: 'es' },
      ...{ tags: ['plaza'], body: 'Hola.' },
    }))
    const full = memorySpoke({ maria: openLog(logOf('maria', ...many)) })
    for (const path of ['/', '/tag/plaza', '/archive', '/history/a-post-with-an-address-1']) {
      const text = await validPage(full, host('maria') + path)
      expect(Buffer.byteLength(text), path).toBeLessThanOrEqual(30 * 1024)
    }
    const post = await validPage(full, `${host('maria')}/2026/a-post-with-an-address-1`)
    expect(Buffer.byteLength(post)).toBeLessThan(10 * 1024)
  })

  it('link to nothing that does not exist', async () => {
    const waiting = [`${host('')}/`]
    const seen = new Set(waiting)
    for (const url of waiting) {
      const answer = await get(spoke, url)
      const expected = /\/\/edit\.(?!.*\/revoke)|\/my$/.test(url)
        ? // Where authors write: to the login first.
          [303]
        : [200]
      expect(expected, url).toContain(answer.status)
      if (!answer.headers.get('content-type')?.startsWith('text/html')) continue
      for (const [, href = ''] of (await answer.text()).matchAll(/ href="([^"]+)"/g)) {
        const next = new URL(href.replaceAll('&amp;', '&'), url)
        expect(next.hostname === zone || next.hostname.endsWith(`.${zone}`), href).toBe(true)
        if (!seen.has(next.href)) waiting.push(next.href)
        seen.add(next.href)
      }
    }
    for (const path of ['/blogs', '/blogs.opml', '/feed.rss', '/?lang=ar', '/opensearch.xml']) {
      expect(
        [...seen].some((url) => url.endsWith(path)),
        path,
      ).toBe(true)
    }
    for (const path of ['/archive', '/feed.atom', '/tag/a%2Fb', '/history/article-1']) {
      expect(seen).toContain(host('maria') + path)
    }
    expect([...seen].filter((url) => url.includes('gone'))).toEqual([])
  })

  it.each([
    '/feed.atom',
    '/feed.rss',
    '/feed.json',
    '/tag/udhr',
    '/archive',
    '/history/article-1',
    '/history/article-1?from=2&to=3',
    '/sitemap.xml',
    '/robots.txt',
  ])('are not sent again when nothing changed: %s', async (path) => {
    const tag = (await get(spoke, host('maria') + path)).headers.get('etag') ?? ''
    expect(tag).not.toBe('')
    const again = await get(spoke, host('maria') + path, { 'if-none-match': tag })
    expect([again.status, await again.text()]).toEqual([304, ''])
  })

  it('tell other sites what a link to them shows', async () => {
    const cardOf = (text: string) =>
      [...text.matchAll(/<meta property="([^"]+)" content="([^"]*)">/g)].map(([, ...both]) => both)
    expect(cardOf(await validPage(spoke, host('maria')))).toEqual([
      ['og:type', 'website'],
      ['og:title', 'El blog de &quot;María&quot; &amp; co'],
      ['og:url', `${host('maria')}/`],
      ['og:locale', 'es_ES'],
    ])
    expect(cardOf(await validPage(spoke, `${host('maria')}/2026/article-1`))).toEqual([
      ['og:type', 'article'],
      ['og:title', 'Nuevo &quot;título&quot;'],
      ['og:url', `${host('maria')}/2026/article-1`],
      ['og:locale', 'es_ES'],
      ['og:site_name', 'El blog de &quot;María&quot; &amp; co'],
      ['article:published_time', '2026-05-03T14:02:00.000Z'],
      ['article:modified_time', '2026-05-03T14:03:00.000Z'],
    ])
    const noor = cardOf(await validPage(spoke, `${host('noor')}/2026/article-1`))
    expect(noor).toContainEqual(['og:locale', 'ar_EG'])
  })

  it('print without what only a screen needs', async () => {
    const text = await validPage(spoke, `${host('maria')}/2026/article-1`)
    expect(text).toMatch(/@media print\{.*header, nav, form, details, button\{display: none\}/)
  })
})
