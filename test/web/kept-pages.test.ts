import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { refuse } from '../../src/auth/verdict.ts'
import { createApp } from '../../src/web/app.ts'
import { KeptPages } from '../../src/web/kept-pages.ts'
import { PageMemory, readyPage } from '../../src/web/page-memory.ts'
import type { Coverage, OpenBlog, WebSpoke } from '../../src/web/spoke.ts'
import { TestCouncil } from '../replication/test-council.ts'
import {
  actsOf,
  frontOf,
  logOf,
  memorySpoke,
  openLog,
  postsOf,
  wholeCouncil,
  zone,
} from './memory-spoke.ts'

const blog = `http://maria.${zone}`
const post = (slug: string, body = 'Some words.\n'.repeat(40).trim()) => ({
  ...{ kind: 'post' as const, slug, title: slug.toUpperCase(), tags: ['plaza'], body },
})
const maria = openLog(logOf('maria', post('x'), post('y')))
const written = new TestCouncil()

/** A spoke with one memory for all requests, which counts how often a blog was opened. */
function served(open: OpenBlog | (() => OpenBlog) = maria, more: Partial<WebSpoke> = {}) {
  const opened = { times: 0 }
  const now = () => (typeof open === 'function' ? open() : open)
  const spoke = memorySpoke(
    {},
    {
      openBlog: async () => {
        opened.times += 1
        return now()
      },
      blogVersion: async () => now().blog.head.id,
      ...more,
    },
  )
  const memory = new PageMemory()
  const kept = new KeptPages(spoke, memory)
  const app = createApp(spoke, fail, { kept })
  const ask = async (url: string, headers: Record<string, string> = {}, method = 'GET') =>
    app.request(new Request(url, { headers, method }))
  return { ask, opened, memory, kept }
}

function fail(error: unknown) {
  throw error
}

describe('KeptPages', () => {
  it('answers for no other spoke’s host, also when its own front page is in memory', async () => {
    const { ask } = served()
    expect((await ask(`http://b.spoke.${zone}/`)).status).toBe(200)
    expect((await ask(`http://a.spoke.${zone}/`)).status).toBe(421)
  })

  it.each([
    '/',
    '/2026/x',
    '/history/x',
    '/tag/plaza',
    '/archive',
    '/feed.atom',
    '/feed.rss',
    '/feed.json',
    '/sitemap.xml',
    '/robots.txt',
  ])('makes %s once and answers it from memory from then on', async (path) => {
    const { ask, opened } = served()
    const first = await ask(blog + path)
    const again = await ask(`${blog}${path}?utm=1`)
    expect([first.status, again.status, opened.times]).toEqual([200, 200, 1])
    expect(await again.text()).toBe(await first.text())
    expect([...again.headers]).toEqual([...first.headers])
    expect(again.headers.get('content-security-policy')).toContain("default-src 'none'")
  })

  it.each(['/log.json', '/log/1.txt', '/key.asc', '/export.tar', '/2026/never', '/2025/x'])(
    'does not keep %s',
    async (path) => {
      const { ask, opened, memory } = served()
      for (let time = 0; time < 2; time++) await (await ask(blog + path)).arrayBuffer()
      expect([opened.times, memory.size.pages]).toEqual([2, 0])
    },
  )

  it('makes a page anew as soon as the blog has changed', async () => {
    let now = maria
    const { ask } = served(() => now)
    expect(await (await ask(`${blog}/`)).text()).not.toContain('Z</a>')
    now = openLog(logOf('maria', post('x'), post('y'), post('z')))
    expect(await (await ask(`${blog}/`)).text()).toContain('Z</a>')
  })

  it('keeps nothing of a blog without a version', async () => {
    const { ask, opened } = served(maria, { blogVersion: async () => null })
    for (let time = 0; time < 2; time++) await ask(`${blog}/`)
    expect(opened.times).toBe(2)
  })

  it('makes a page once for a crowd that comes at the same time', async () => {
    const { ask, opened } = served()
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask(`${blog}/2026/x`)))
    expect(opened.times).toBe(1)
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  })

  it('lets nobody wait for a page that could not be made', async () => {
    const { ask } = served(maria, { openBlog: async () => 'unreachable' })
    const answers = await Promise.all([1, 2, 3].map(() => ask(`${blog}/`)))
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 503])
  })

  it('does not keep a feed that lacks a text', async () => {
    const { ask, opened } = served({
      ...maria,
      entry: async (seq) => (seq === 1 ? maria.entry(1) : null),
    })
    for (let time = 0; time < 2; time++) {
      const answer = await ask(`${blog}/feed.json`)
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(await answer.json()).toMatchObject({ items: [{ title: 'X' }] })
    }
    expect(opened.times).toBe(2)
  })

  it('sends gzip to who takes it, the same page, with a tag of its own', async () => {
    const { ask } = served()
    const plain = await ask(`${blog}/2026/x`)
    const zipped = await ask(`${blog}/2026/x`, { 'accept-encoding': 'gzip, br' })
    expect(zipped.headers.get('content-encoding')).toBe('gzip')
    const bytes = Buffer.from(await zipped.arrayBuffer())
    expect(zipped.headers.get('content-length')).toBe(String(bytes.length))
    expect(gunzipSync(bytes).toString()).toBe(await plain.text())
    expect(plain.headers.get('content-encoding')).toBeNull()
    expect(zipped.headers.get('etag')).not.toBe(plain.headers.get('etag'))
    for (const answer of [plain, zipped]) {
      expect(answer.headers.get('vary')).toBe('Accept-Encoding')
      expect(answer.headers.get('etag')).toMatch(/^"[0-9a-f]{40}(-gzip)?"$/)
    }
  })

  it('sends plain bytes where gzip saves nothing', async () => {
    const tiny = await readyPage(new Uint8Array(10), {})
    expect(tiny.gzipped).toBeNull()
    const { ask } = served()
    const answer = await ask(`${blog}/robots.txt`, { 'accept-encoding': 'gzip' })
    expect(answer.headers.get('content-encoding')).toBeNull()
  })

  it.each([
    ['gzip', (tag: string) => tag],
    ['gzip', (tag: string) => `"x", W/${tag}`],
    ['identity', () => '*'],
  ])('answers 304 to who has the page, accepting %s', async (coding, condition) => {
    const { ask } = served()
    const accept = { 'accept-encoding': coding }
    const first = await ask(`${blog}/`, accept)
    const tag = first.headers.get('etag') ?? ''
    for (const method of ['GET', 'HEAD']) {
      const answer = await ask(`${blog}/`, { ...accept, 'if-none-match': condition(tag) }, method)
      expect([answer.status, await answer.text()]).toEqual([304, ''])
      expect(answer.headers.get('etag')).toBe(tag)
      expect(answer.headers.get('vary')).toBe('Accept-Encoding')
      expect(answer.headers.get('cache-control')).toBe('no-cache')
    }
  })

  it('answers 304 at once, also where the page has to be made first', async () => {
    const tag = (await served().ask(`${blog}/`)).headers.get('etag') ?? ''
    const { ask, opened } = served()
    expect((await ask(`${blog}/`, { 'if-none-match': tag })).status).toBe(304)
    expect((await ask(`${blog}/`)).status).toBe(200)
    expect(opened.times).toBe(1)
  })

  it('does not take the tag of the other form for the page', async () => {
    const { ask } = served()
    const plain = (await ask(`${blog}/`)).headers.get('etag') ?? ''
    const headers = { 'accept-encoding': 'gzip', 'if-none-match': plain }
    expect((await ask(`${blog}/`, headers)).status).toBe(200)
  })

  it('answers HEAD with the headers of GET, whichever comes first', async () => {
    const { ask, opened } = served()
    const head = await ask(`${blog}/2026/x`, {}, 'HEAD')
    const get = await ask(`${blog}/2026/x`)
    expect(opened.times).toBe(1)
    expect([head.status, await head.text()]).toEqual([200, ''])
    expect([...head.headers]).toEqual([...get.headers])
    expect(get.headers.get('content-length')).toBe(String((await get.arrayBuffer()).byteLength))
  })

  it('keeps the front page and its feeds until something changes, but not for who sends a cookie', async () => {
    let made = 0
    const posts = await postsOf([maria])
    let front = frontOf(posts.slice(1))
    const { ask } = served(maria, {
      ...actsOf(written),
      front: () => ({
        ...front,
        get posts() {
          made += 1
          return front.posts
        },
      }),
    })
    for (const path of ['/', '/feed.atom', '/feed.rss', '/feed.json']) {
      made = 0
      const texts: string[] = []
      const read = async (headers?: Record<string, string>) =>
        texts.push(await (await ask(`http://${zone}${path}`, headers)).text())
      await read()
      const once = made
      expect(once).toBeGreaterThan(0)
      await read()
      expect(made).toBe(once)
      for (let time = 0; time < 2; time++) await read({ cookie: 'a=b' })
      expect(made).toBe(3 * once)
      front = frontOf(posts)
      await read()
      expect(made).toBe(4 * once)
      const withY = texts.map((text) => text.includes('/2026/y'))
      expect(withY).toEqual([false, false, false, false, true])
      front = frontOf(posts.slice(1))
    }
  })

  it('puts its age of now into the front page that it keeps, in both forms', async () => {
    let [nowMs, atMs] = [100_000, 99_500]
    let made = 0
    const front = frontOf(await postsOf([maria]))
    const { ask, memory } = served(maria, {
      now: () => nowMs,
      front: () => ({
        ...front,
        coverage: { ...wholeCouncil, atMs } as Coverage,
        get posts() {
          made += 1
          return front.posts
        },
      }),
    })
    const read = async () => {
      const plain = await ask(`http://${zone}/`)
      const zipped = await ask(`http://${zone}/`, { 'accept-encoding': 'gzip' })
      const text = await plain.text()
      const bytes = Buffer.from(await zipped.arrayBuffer())
      expect(gunzipSync(bytes).toString()).toBe(text)
      for (const [answer, length] of [
        [plain, Buffer.byteLength(text)],
        [zipped, bytes.length],
      ] as const)
        expect(answer.headers.get('content-length')).toBe(String(length))
      return [
        /gathered by .* ago/.exec(text.replace(/<[^>]*>/g, ''))?.[0],
        plain.headers.get('etag'),
      ]
    }
    const [first, tag] = await read()
    expect(first).toBe('gathered by carl 1 second ago')
    const once = made
    nowMs += 3_000
    expect(await read()).toEqual(['gathered by carl 4 seconds ago', tag])
    atMs = nowMs - 1_200
    expect(await read()).toEqual(['gathered by carl 2 seconds ago', tag])
    nowMs += 600_000
    const [old, other] = await read()
    expect([old, other === tag]).toEqual(['gathered by carl 10 minutes ago', false])
    expect([made, memory.size.pages]).toEqual([once, 1])
  })

  it('lets who comes after a quiet hour wait for the new front page', async () => {
    const posts = await postsOf([maria])
    let nowMs = 100_000
    let front = frontOf(posts.slice(1))
    const { ask } = served(maria, { ...actsOf(written), now: () => nowMs, front: () => front })
    const url = `http://${zone}/feed.json`
    await ask(url)
    front = frontOf(posts)
    nowMs += 3_600_000
    const texts = await Promise.all([1, 2, 3].map(async () => (await ask(url)).text()))
    for (const text of texts) expect(text).toContain('/2026/y')
  })

  it('gives a crowd the front page from before while one of it waits for the new one', async () => {
    const posts = await postsOf([maria])
    let front = frontOf(posts.slice(1))
    let isSlow = false
    const { promise, resolve } = Promise.withResolvers<void>()
    const { ask } = served(maria, {
      // Only who makes the page asks for the acts: those of the feed.
      ...actsOf(written),
      acts: async (...asked) => {
        if (isSlow) await promise
        return actsOf(written).acts(...asked)
      },
      front: () => front,
    })
    const url = `http://${zone}/feed.json`
    await ask(url)
    front = frontOf(posts)
    isSlow = true
    const first = ask(url)
    const texts = await Promise.all([1, 2, 3].map(async () => (await ask(url)).text()))
    for (const text of texts) expect(text).not.toContain('/2026/y')
    resolve()
    expect(await (await first).text()).toContain('/2026/y')
    expect(await (await ask(url)).text()).toContain('/2026/y')
  })

  it('makes the posts of a language anew each time: they are a search', async () => {
    let made = 0
    const { ask } = served(maria, {
      search: async () => {
        made += 1
        return refuse('QUERY_EMPTY', 'no')
      },
    })
    for (const path of ['/?lang=es', '/?a=b&%6Cang=es']) {
      made = 0
      for (let time = 0; time < 2; time++) await ask(`http://${zone}${path}`)
      expect(made).toBe(2)
    }
  })

  it('finds for the server in front what it kept, and nothing that has to be made', async () => {
    const { ask, kept } = served()
    const request = { method: 'GET', host: `maria.${zone}`, target: '/', header: () => undefined }
    expect(await kept.find(request)).toBeNull()
    const page = await ask(`${blog}/`)
    const found = await kept.find(request)
    expect(Buffer.from(found?.body ?? []).toString()).toBe(await page.text())
    expect(found?.headers).toEqual(Object.fromEntries(page.headers))
    expect(await kept.find({ ...request, method: 'POST' })).toBeNull()
    expect(await kept.find({ ...request, host: 'evil.example' })).toBeNull()
  })
})

describe('PageMemory', () => {
  const page = (bytes: number) => readyPage(new Uint8Array(bytes), {})

  it('is bounded in bytes, and drops the page asked for longest ago', async () => {
    const memory = new PageMemory(100_000)
    for (const key of ['a', 'b', 'c']) memory.keep(key, '1', await page(25_000))
    expect(memory.find('a', '1')).not.toBeNull()
    memory.keep('d', '1', await page(25_000))
    expect(memory.find('b', '1')).toBeNull()
    expect(memory.find('a', '1')).not.toBeNull()
    for (let seq = 0; seq < 500; seq++) memory.keep(`/?before=${seq}`, '1', await page(5_000))
    expect(memory.size.bytes).toBeLessThanOrEqual(100_000)
    expect(memory.size.pages).toBeGreaterThan(5)
  })

  it('keeps one version of a page', async () => {
    const memory = new PageMemory()
    for (const version of ['1', '2', '3']) memory.keep('a', version, await page(1_000))
    expect(memory.size.pages).toBe(1)
    expect(memory.find('a', '2')).toBeNull()
    expect(memory.find('a', '3')).not.toBeNull()
  })

  it('is not emptied by a page that is larger than all of it', async () => {
    const memory = new PageMemory(10_000)
    memory.keep('a', '1', await page(100))
    memory.keep('b', '1', await page(20_000))
    expect(memory.size.pages).toBe(1)
  })
})
