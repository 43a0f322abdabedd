import { describe, expect, it } from 'vitest'
import type { Fingerprint } from '../../src/auth/public-key.ts'
import { parseQuery } from '../../src/replication/aggregation/search-query.ts'
import { snippetOf } from '../../src/replication/aggregation/snippet.ts'
import type { BlogName } from '../../src/replication/log/entry.ts'
import { assignFields, fakeId, member, TestCouncil } from '../replication/test-council.ts'
import { get, host, validPage } from './browser.ts'
import {
  actsOf,
  fingerprint,
  firstSeenMs,
  frontOf,
  logOf,
  memorySpoke,
  openLog,
  type Said,
  udhr,
  wholeCouncil,
} from './memory-spoke.ts'

const title = 'Un artículo con un título de longitud bastante normal, digamos'
const posts = Array.from(
  { length: 120 },
  (_, n): Said => ({
    ...{ kind: 'post', slug: `un-articulo-con-un-titulo-de-longitud-${n}`, lang: 'es' },
    ...{ tags: ['plaza'], title: `${title} ${n}`, date: '2026-05-03T15:00:00Z' },
  }),
)
const versions = Array.from(
  { length: 60 },
  (_, n): Said => ({
    ...{ kind: 'post', slug: 'again', lang: 'es', title: `${title} ${n}` },
    ...{ tags: ['plaza'], date: '2026-05-03T16:00:00Z', body: title.repeat(20) },
  }),
)
const council = new TestCouncil().admit(1, 2, 3)
for (let n = 0; n < 120; n++) {
  council.write(
    assignFields({ blog: `a-blog-of-some-length-${n}` as never, genesis: fakeId('1a') }),
  )
  if (n % 15 === 7) council.write({ kind: 'change', member: member(1 + (n % 3)) })
}
const spoke = memorySpoke(
  { maria: openLog(logOf('maria', ...posts, ...versions)) },
  actsOf(council),
)

// The heaviest that is likely: titles and words in Chinese, each letter of them three bytes.
const chinese = Array.from({ length: 20 }, (_, n) => ({
  ...{ blog: 'a-blog-of-some-length' as BlogName, slug: `an-address-of-some-length-${n}` },
  ...{ title: `${udhr['zh-Hans'].title}，${udhr['zh-Hans'].title}`, lang: 'zh-Hans', year: 2026 },
  ...{ tags: [], seenMs: firstSeenMs, dateMs: firstSeenMs, key: fingerprint as Fingerprint },
  ...{ mark: null, body: udhr['zh-Hans'].body.repeat(20) },
}))
const listing = memorySpoke(
  Object.fromEntries(
    Array.from({ length: 100 }, (_, n) => {
      const name = `a-blog-of-some-length-${n}`
      return [name, openLog(logOf(name, { kind: 'profile', title, lang: 'zh-Hans' }))]
    }),
  ),
  {
    front: () => frontOf(chinese),
    search: async ({ query }) => {
      const parsed = parseQuery(typeof query === 'string' ? '人人' : 'lang:zh')
      const hits = chinese.map((post) => ({
        ...post,
        snippet: snippetOf(post.body, parsed.ok ? parsed.value : { terms: [] }),
      }))
      const found = { hits, next: 'x'.repeat(100), coverage: wholeCouncil, terms: [] }
      return { ok: true, value: found }
    },
  },
)

describe('lists of the whole council', () => {
  it.each(['/', '/?lang=zh-Hans', '/search?q=x', '/tag/x', '/blogs'])(
    'weigh at most 30 KB when they are full, without a script: %s',
    async (path) => {
      const text = await validPage(listing, host('') + path)
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(30 * 1024)
      expect(text.match(/<li /g)?.length).toBe(path === '/blogs' ? 100 : 20)
    },
  )
})

describe('pages for readers', () => {
  it.each([
    ['maria', '/'],
    ['maria', '/archive'],
    ['maria', '/tag/plaza'],
    ['maria', '/2026/again'],
    ['maria', '/history/again'],
    ['', '/acts'],
    ['', '/help/keys'],
  ])('weigh at most 30 KB when they are full, without a script: %s%s', async (label, path) => {
    const text = await (await get(spoke, host(label) + path)).text()
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(30 * 1024)
    expect(text).not.toContain('<script')
  })
})
