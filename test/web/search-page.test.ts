import { describe, expect, it } from 'vitest'
import { createApp } from '../../src/web/app.ts'
import { RateLimits } from '../../src/web/rate-limit.ts'
import { readQuestion } from '../../src/web/search-page.ts'
import type { SearchAsked, WebSpoke } from '../../src/web/spoke.ts'
import { TestCouncil } from '../replication/test-council.ts'
import { get, host, validPage, wordsOf } from './browser.ts'
import { actsOf, logOf, memorySpoke, openLog, postsOf, type Said, udhr } from './memory-spoke.ts'
import { decodeHtml } from './visitor.ts'

const article = (lang: keyof typeof udhr, more: Partial<Said> = {}): Said =>
  ({ kind: 'post', slug: 'article-1', lang, tags: ['udhr'], ...udhr[lang], ...more }) as Said
const maria = openLog(logOf('maria', article('es')))
const noor = openLog(logOf('noor', article('ar')))
const lihua = openLog(logOf('lihua', article('zh-Hans', { tags: ['广场'] } as Partial<Said>)))
const blogs = { maria, noor, lihua }
const spoke = memorySpoke(blogs, actsOf(new TestCouncil()))
const search = (q: string, more = '') => `${host('')}/search?q=${encodeURIComponent(q)}${more}`
const asText = (page: string) => decodeHtml(wordsOf(page))

describe('searchPages', () => {
  it.each([
    ['nothing', '?q=', 'QUERY_EMPTY'],
    ['blanks', '?q=%20+%09', 'QUERY_EMPTY'],
    ['no letter', '?q=%2A%2C..%E2%80%94', 'QUERY_EMPTY'],
    ['an empty phrase', '?q=%22%22', 'QUERY_EMPTY'],
    ['zero bytes', '?q=%00%00', 'QUERY_EMPTY'],
    ['10 KB', `?q=${'w'.repeat(10_240)}`, 'QUERY_TOO_LONG'],
    ['10 KB of words', `?q=${'w+'.repeat(5_120)}`, 'QUERY_TOO_LONG'],
    ['bytes that are no UTF-8', '?q=caf%E9', 'QUERY_NOT_TEXT'],
    ['half a pair of surrogates', '?q=a%ED%A0%80', 'QUERY_NOT_TEXT'],
    ['half a character', '?q=%F0%9F%98', 'QUERY_NOT_TEXT'],
    ['two blogs', '?q=blog%3Amaria+blog%3Anoor', 'QUERY_FILTER'],
    ['a language that is none', '?q=lang%3Axx-notalanguage+a', 'QUERY_FILTER'],
    ['an unknown order', '?q=a&order=popular', 'QUERY_MALFORMED'],
    ['an empty order', '?q=a&order=', 'QUERY_MALFORMED'],
    ['an empty cursor', '?q=a&after=', 'SEARCH_CURSOR'],
    ['a cursor that no page had', '?q=a&after=x%27--', 'SEARCH_CURSOR'],
    ['a long cursor', `?q=a&after=${'1'.repeat(501)}`, 'SEARCH_CURSOR'],
  ])('says what is wrong with %s', async (_, query, code) => {
    const url = `${host('')}/search${query}`
    const page = await validPage(spoke, url, 400)
    expect(page).toMatch(
      /<div class="notice" role="alert"><p><strong>[A-Z][^<]{15,200}[.]<\/strong>/,
    )
    expect(page).toContain(`400 ${code}`)
    expect(page).toContain('How to search')
    const program = await get(spoke, url, { accept: 'application/json' })
    expect([program.status, await program.json()]).toMatchObject([400, { error: { code } }])
  })

  it.each([
    `' OR 1=1 --`,
    '"; DROP TABLE posts; --',
    'NEAR(libres iguales, 2)',
    'title:x AND body*',
    '^libres + -iguales',
    `"><script>x</script>`,
    '\\ % _ {} [] () | & ^ $ . ? *a',
    '%2522 a',
    '\u{202E}abc',
    'a\u{0}b\u{1}c',
    '__proto__ constructor',
    '"libres e iguales',
  ])('takes %j for words, and keeps what was typed in the form', async (typed) => {
    for (const query of [typed, typed.repeat(3)]) {
      const page = await validPage(spoke, search(query))
      const [, value = ''] = /name="q"[^>]* value="([^"]*)"/.exec(page) ?? []
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these cannot stand in a page
      expect(decodeHtml(value)).toBe(query.replace(/[\u0000-\u001f]/g, ' '))
      expect(page).not.toContain('<script')
    }
  })

  it('shows the words in what was found, in the language and direction of the post', async () => {
    const spanish = await validPage(spoke, search('IGUALES'))
    expect(spanish).toContain('<li lang="es" dir="ltr">')
    expect(spanish).toMatch(/<p>Todos .*<mark>iguales<\/mark>.* derechos\.<\/p>/)
    expect(asText(spanish)).toContain('Searched for: IGUALES.')
    const arabic = await validPage(spoke, search('متساوين'))
    expect(arabic).toContain('<li lang="ar" dir="rtl">')
    expect(arabic).toContain('<mark>متساوين</mark>')
    expect(await validPage(spoke, search('尊严'))).toContain('<mark>尊严</mark>')
  })

  it('says what it understood, and explains filters', async () => {
    const page = await validPage(spoke, search('"libres e iguales" blog:maria lang:es tag:udhr'))
    expect(asText(page)).toContain(
      'Searched for: “libres e iguales”, in the blog maria, in español, tagged udhr.',
    )
    for (const word of ['blog:maria', 'lang:es', 'tag:plaza']) expect(asText(page)).toContain(word)
  })

  it('says what the answer rests on, or why on no more than this server’s blogs', async () => {
    const ask = async (coverage: Awaited<ReturnType<WebSpoke['front']>>['coverage']) => {
      const some = memorySpoke(blogs, {
        search: async (asked) => {
          const found = await spoke.search(asked)
          return found.ok ? { ok: true, value: { ...found.value, coverage } } : found
        },
      })
      return asText(await validPage(some, search('libres')))
    }
    const atMs = spoke.now() - 1_500
    const gathered = { kind: 'council', of: 5, blogs: 12, by: 'carl', atMs } as const
    expect(await ask({ ...gathered, spokes: 5 })).toContain(
      'From all 5 servers of this council, 12 blogs, gathered by carl 2 seconds ago.',
    )
    expect(await ask({ ...gathered, spokes: 4 })).toContain(
      'From 4 of 5 servers of this council, 12 blogs, gathered by carl 2 seconds ago. Posts that only the others have are missing',
    )
    expect(await ask({ kind: 'own', reason: 'no other server answered' })).toContain(
      'Only the blogs that this server keeps, because no other server answered.',
    )
  })

  it('gives twenty at a time, each once, and leads on and back to the spoke that answered', async () => {
    const many = Array.from(
      { length: 45 },
      (_, n): Said => ({ kind: 'post', slug: `p${n}`, title: `Post ${n}.`, body: 'wanted' }),
    )
    const full = memorySpoke({ maria: openLog(logOf('maria', ...many)) })
    const titles: string[] = []
    const counts: number[] = []
    let url: string | null = search('wanted', '&order=best')
    while (url !== null) {
      const page: string = await validPage(full, url)
      const found = [...page.matchAll(/>(Post \d+\.)</g)].map(([, title = '']) => title)
      titles.push(...found)
      counts.push(found.length)
      const [, next = null] = /href="([^"]+)">More results/.exec(page) ?? []
      if (next !== null) expect(next).toMatch(/^http:\/\/b\.spoke\.blogs\.localhost:8380\/search\?/)
      expect(page.includes('First results')).toBe(counts.length > 1)
      url = next === null ? null : decodeHtml(next)
    }
    expect(counts).toEqual([20, 20, 5])
    expect(new Set(titles).size).toBe(45)
  })

  it('says that nothing was found, as a page that is there', async () => {
    expect(asText(await validPage(spoke, search('nowhere')))).toContain('Nothing was found.')
  })

  it('hands on exactly what was asked', async () => {
    const asked: SearchAsked[] = []
    const some = memorySpoke(blogs, {
      search: (each) => {
        asked.push(each)
        return spoke.search(each)
      },
    })
    await get(some, `${host('')}/search?q=%C3%B1+b&order=best&after=20`)
    await get(some, `${host('')}/?lang=es`)
    await get(some, `${host('')}/tag/plaza%20mayor?after=20`)
    expect(asked).toEqual([
      { query: 'ñ b', order: 'best', cursor: '20', limit: 20 },
      { query: { lang: 'es' }, order: 'newest', cursor: null, limit: 20 },
      { query: { tag: 'plaza mayor' }, order: 'newest', cursor: '20', limit: 20 },
    ])
    for (const path of ['/search', '/?lang=%ff', '/?lang=ES', '/tag/%00', '/lang/es%2F/feed.atom'])
      await get(some, host('') + path)
    expect(asked).toHaveLength(4)
  })

  it('tells when the search itself can be asked again', async () => {
    const busy = memorySpoke(blogs, {
      search: async () => ({
        ...{
          ok: false,
          code: 'SEARCH_BUSY',
          reason: 'Too many searches are under way. Try again in a second.',
        },
        retryMs: 2_500,
      }),
    })
    for (const path of ['/search?q=a', '/?lang=es', '/tag/a', '/tag/a/feed.atom']) {
      const answer = await get(busy, host('') + path)
      expect([answer.status, answer.headers.get('retry-after')], path).toEqual([503, '3'])
    }
  })

  it('is not for crawlers, is asked for again each time and has no address that lasts', async () => {
    const answer = await get(spoke, search('libres'))
    const page = await answer.text()
    expect(page).toContain('<meta name="robots" content="noindex">')
    expect(page).not.toContain('rel="canonical"')
    expect(answer.headers.get('cache-control')).toBe('no-cache')
  })

  it('answers a thousand questions at once of one client with 429, and goes on for others', async () => {
    const app = createApp(spoke, () => {}, { rates: new RateLimits('salt') })
    const ask = (path: string, remoteAddress: string) =>
      app.fetch(new Request(host('') + path), { remoteAddress })
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, n) => ask(`/search?q=w${n}`, '192.0.2.7')),
    )
    const refused = answers.filter(({ status }) => status === 429)
    expect([answers.length - refused.length, refused.length]).toEqual([60, 940])
    expect(refused[0]?.headers.get('retry-after')).toBe('60')
    expect(await refused[0]?.text()).toContain('Wait 60 s and try again')
    for (const path of ['/?lang=es', '/tag/udhr', '/tag/udhr/feed.rss', '/lang/es/feed.json']) {
      expect((await ask(path, '192.0.2.7')).status, path).toBe(429)
      expect((await ask(path, '192.0.2.8')).status, path).toBe(200)
    }
    for (const path of ['/', '/search', '/blogs', '/acts'])
      expect((await ask(path, '192.0.2.7')).status, path).not.toBe(429)
  })

  it('describes itself to browsers, under the name of the zone', async () => {
    const answer = await get(spoke, `${host('b.spoke')}/opensearch.xml`)
    expect(answer.headers.get('content-type')).toMatch(/^application\/opensearchdescription\+xml/)
    expect(await answer.text()).toContain(`template="${host('')}/search?q={searchTerms}"`)
    expect(await validPage(spoke, host(''))).toContain(
      `type="application/opensearchdescription+xml" title="blogs.localhost" href="${host('')}/opensearch.xml">`,
    )
  })
})

describe('readQuestion', () => {
  it('reads what a form sends', () => {
    expect(readQuestion(new URLSearchParams('q=a+b&order=best&after=x&q=c'))).toEqual({
      ok: true,
      value: { text: 'a b', order: 'best', cursor: 'x' },
    })
    expect(readQuestion(new URLSearchParams('q=a'))).toMatchObject({
      value: { order: 'newest', cursor: null },
    })
  })
})

describe('front page', () => {
  it('asks first, and leads to the posts of each language that occurs', async () => {
    const page = await validPage(spoke, host(''))
    expect(page.indexOf('type="search"')).toBeLessThan(page.indexOf('<ol>'))
    expect(page).toContain(
      `<a lang="ar" dir="rtl" hreflang="ar" href="${host('b.spoke')}/?lang=ar">العربية</a>`,
    )
    const spanish = await validPage(spoke, `${host('')}/?lang=es`)
    expect(spanish).toContain('<h2>Newest posts in <bdi lang="es" dir="ltr">español</bdi></h2>')
    expect(spanish).toContain(udhr.es.title)
    expect(spanish).not.toContain(udhr.ar.title)
    expect(spanish).toContain(`href="${host('')}/lang/es/feed.atom"`)
    expect(spanish).toContain(`<link rel="canonical" href="${host('')}/?lang=es">`)
  })

  it.each(['', 'ES', 'es-', '%ff', '"><i>', 'a'.repeat(300)])(
    'says that %j is no language',
    async (lang) => {
      const page = await validPage(spoke, `${host('')}/?lang=${lang}`, 400)
      expect(page).toContain('QUERY_MALFORMED')
    },
  )

  it('says what readers should know of a post', async () => {
    const mark = 'key revoked 3 May 2026 (compromised)'
    const posts = (await postsOf([maria])).map((post) => ({ ...post, mark }))
    const marked = memorySpoke(blogs, {
      front: () => ({ posts, coverage: { kind: 'own', reason: 'x' }, version: '1' }),
    })
    expect(await validPage(marked, host(''))).toContain(`; <strong>${mark}</strong>`)
  })
})

describe('the age of what a page shows', () => {
  const hour = 3_600_000
  let nowMs = 0
  const coverage = { kind: 'council', spokes: 5, of: 5, blogs: 1, by: 'carl' } as const
  const gathered = memorySpoke(blogs, {
    now: () => nowMs,
    front: () => ({ posts: [], coverage: { ...coverage, atMs: 0 }, version: '1' }),
    search: async (asked) => {
      const found = await spoke.search(asked)
      return found.ok
        ? { ok: true, value: { ...found.value, coverage: { ...coverage, atMs: 0 } } }
        : found
    },
    councilBlogs: async (after) => {
      const listed = await spoke.councilBlogs(after)
      return listed.ok
        ? { ok: true, value: { ...listed.value, coverage: { ...coverage, atMs: 0 } } }
        : listed
    },
  })
  const app = createApp(gathered, (error) => {
    throw error
  })
  const read = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await app.request(new Request(`${host('b.spoke')}${path}`, { headers }))
    return { status: answer.status, tag: answer.headers.get('etag'), text: await answer.text() }
  }
  const paths = ['/', '/?lang=es', '/search?q=libres', '/tag/udhr', '/blogs']

  it.each(paths)('is that of the moment at which %s is sent', async (path) => {
    for (const [ms, words] of [
      [0, '1 second ago'],
      [1_001, '2 seconds ago'],
      [59_000, '59 seconds ago'],
      [119_000, '1 minute ago'],
      [2 * hour, '2 hours ago'],
      [49 * hour, '2 days ago'],
    ] as const) {
      nowMs = ms
      const { status, text } = await read(path)
      expect([status, asText(text).includes(`gathered by carl ${words}.`)]).toEqual([200, true])
    }
  })

  it.each(paths)('does not make %s another page while it is current', async (path) => {
    nowMs = 2_000
    const { tag } = await read(path)
    expect(tag).toMatch(/^W\/"[0-9a-f]{40}"$/)
    const condition = { 'if-none-match': tag ?? '' }
    nowMs = 9_500
    expect((await read(path, condition)).status).toBe(304)
    // Nobody gathers any more: whoever asks again is to see it.
    nowMs = 30_000
    const old = await read(path, condition)
    expect([old.status, asText(old.text).includes('30 seconds ago')]).toEqual([200, true])
    expect((await read(path, { 'if-none-match': old.tag ?? '' })).status).toBe(304)
    nowMs = hour
    expect((await read(path, { 'if-none-match': old.tag ?? '' })).status).toBe(200)
  })
})
