import { randomBytes } from 'node:crypto'
import { mkdtemp, open, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
// biome-ignore lint/correctness/noUnresolvedImports: Node 24 has it
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { realClock } from '../../../src/node/clock.ts'
import { readDemoBlogs } from '../../../src/node/demo/content.ts'
import {
  type Change,
  maxSearches,
  maxSearchesPerAsker,
  SearchIndex,
} from '../../../src/replication/aggregation/search-index.ts'
import { type ParsedQuery, parseQuery } from '../../../src/replication/aggregation/search-query.ts'
import type { Order } from '../../../src/replication/aggregation/search-store.ts'
import type { IndexedPost } from '../../../src/replication/aggregation/search-writer.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import type { EntryId } from '../../../src/replication/log/text.ts'
import { codeOf, must } from '../test-council.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'council-search-'))
})
afterAll(() => rm(folder, { recursive: true }))
let files = 0
const newPath = () => join(folder, `${++files}.db`)

const idAt = (blog: string, seq: number) =>
  Buffer.from(`${blog} ${seq}`).toString('hex').padEnd(64, '0').slice(0, 64) as EntryId
const maria = 'maria' as BlogName
const anna = 'anna' as BlogName
const startMs = Date.parse('2026-11-23T00:00:00Z')

function post(blog: BlogName, seq: number, body: string, more: Partial<IndexedPost> = {}) {
  return {
    ...{ blog, seq, body, id: idAt(blog, seq), slug: `post-${seq}`, year: 2026 },
    ...{ title: `Post ${seq}`, lang: null, tags: [], seenMs: startMs + seq * 1_000 },
    ...more,
  } satisfies IndexedPost
}

async function openIndex(path = '', said: object[] = []) {
  return SearchIndex.open({
    path,
    clock: realClock,
    report: (event, fields) => said.push({ event, ...fields }),
  })
}

/** Gives the index the next stretch of a blog. */
function give(index: SearchIndex, blog: BlogName, to: number, change: Partial<Change>): boolean {
  const from = change.from ?? (index.head(blog)?.seq ?? -1) + 1
  return index.apply(
    blog,
    { seq: to, id: idAt(blog, to) },
    { put: [], remove: [], ...change, from },
  )
}

async function find(index: SearchIndex, text: string, order: Order = 'newest'): Promise<string[]> {
  await index.flush()
  const page = must(await index.search(must(parseQuery(text)), { order, cursor: null, limit: 50 }))
  return page.hits.map(({ blog, seq }) => `${blog} ${seq}`)
}

describe('SearchIndex', () => {
  it('finds posts by words, phrases and filters in every script, the newest first', async () => {
    await using index = await openIndex()
    give(index, maria, 3, {
      put: [
        post(maria, 1, 'Nace **libre** e igual', { lang: 'es', tags: ['plaza'] }),
        post(maria, 2, '人人生而自由，在尊严', { lang: 'zh-Hans' }),
        post(maria, 3, 'يولد جميع الناس أحراراً', { lang: 'ar', title: 'Libre' }),
      ],
    })
    give(index, anna, 1, {
      put: [
        post(anna, 1, 'igual libre', { tags: ['Zwei Wörter', 'plaza'], seenMs: startMs + 1_500 }),
      ],
    })
    expect(await find(index, 'LIBRE')).toEqual(['maria 3', 'anna 1', 'maria 1'])
    expect(await find(index, '"libre e"')).toEqual(['maria 1'])
    expect(await find(index, '人人')).toEqual(['maria 2'])
    expect(await find(index, '由')).toEqual(['maria 2'])
    expect(await find(index, 'احرارا')).toEqual(['maria 3'])
    expect(await find(index, 'lang:zh')).toEqual(['maria 2'])
    expect(await find(index, 'libre blog:maria')).toEqual(['maria 3', 'maria 1'])
    expect(await find(index, 'tag:PLAZA')).toEqual(['anna 1', 'maria 1'])
    expect(await find(index, 'tag:"zwei wörter"')).toEqual(['anna 1'])
    expect(await find(index, 'tag:wörter')).toEqual([])
    expect(await find(index, 'blog maria')).toEqual([])
  })

  it('finds the declaration of each language of the demo, and no other, by words of it', async () => {
    await using index = await openIndex()
    for (const { name, lang, articles } of await readDemoBlogs()) {
      const blog = name as BlogName
      const put = articles.map(({ title, body }, seq) => post(blog, seq, body, { title, lang }))
      give(index, blog, articles.length - 1, { put })
    }
    for (const [text, blog] of [
      ['human', 'english'],
      ['derechos', 'espanol'],
      ['أحرارا', 'arabic'],
      ['حريه', 'arabic'],
      ['人人', 'chinese'],
      ['"人人生而自由"', 'chinese'],
      ['egalite', 'francais'],
      ['अधिकार', 'hindi'],
    ] as const) {
      const found = await find(index, text)
      expect(new Set(found.map((each) => each.split(' ')[0])), text).toEqual(new Set([blog]))
    }
    expect(await find(index, '人人')).toHaveLength(22)
  })

  it('ranks titles before bodies when the best come first', async () => {
    await using index = await openIndex()
    give(index, maria, 3, {
      put: [
        post(maria, 1, 'x y z', { title: 'The assembly' }),
        post(maria, 2, 'One assembly among many other words of a post that is long'),
        post(maria, 3, 'Nothing'),
      ],
    })
    expect(await find(index, 'assembly', 'best')).toEqual(['maria 1', 'maria 2'])
    expect(await find(index, 'blog:maria', 'best')).toEqual(['maria 3', 'maria 2', 'maria 1'])
  })

  it('lets a revision replace a post at its place, and a retraction remove it', async () => {
    await using index = await openIndex()
    const first = post(maria, 1, 'old words', { slug: 'a', year: 2025 })
    give(index, maria, 2, { put: [first, post(maria, 2, 'old')] })
    const second = post(maria, 3, 'new words', { slug: 'a', seenMs: startMs + 99_000 })
    give(index, maria, 3, { put: [second] })
    expect(await find(index, 'old')).toEqual(['maria 2'])
    expect(await find(index, 'blog:maria')).toEqual(['maria 2', 'maria 3'])
    const [, hit] = must(
      await index.search(must(parseQuery('blog:maria')), {
        order: 'newest',
        cursor: null,
        limit: 9,
      }),
    ).hits
    expect(hit).toMatchObject({ year: 2025, seenMs: first.seenMs, id: second.id })
    give(index, maria, 4, { remove: ['a', 'never-was'] })
    expect(await find(index, 'words')).toEqual([])
    expect(must(await index.blogs(null, 9))[0]).toMatchObject({ blog: maria, posts: 1 })
    // Published again: its place is that of its first revision.
    give(index, maria, 5, { put: [post(maria, 5, 'words again', { slug: 'a' })] })
    expect(await find(index, 'blog:maria')).toEqual(['maria 2', 'maria 5'])
  })

  it('ends at the same, in whatever stretches and groups a log comes', async () => {
    const put = (seq: number, slug: string) => post(maria, seq, `word${seq} all`, { slug })
    const steps: { to: number; change: Partial<Change> }[] = [
      { to: 1, change: { put: [put(0, 'a'), put(1, 'b')] } },
      { to: 2, change: { put: [put(2, 'a')] } },
      { to: 3, change: { remove: ['b'] } },
      { to: 4, change: { put: [put(4, 'b')], remove: ['a'] } },
      { to: 5, change: { put: [put(5, 'a')] } },
      { to: 6, change: { put: [put(6, 'c')], remove: ['c'] } },
    ]
    await using index = await openIndex()
    for (let groups = 0; groups < 2 ** steps.length; groups += 1) {
      index.forget(maria)
      for (const [number, { to, change }] of steps.entries()) {
        give(index, maria, to, change)
        if ((groups >> number) % 2 === 1) await index.flush()
      }
      expect(await find(index, 'all')).toEqual(['maria 4', 'maria 5'])
      expect(await find(index, 'word2')).toEqual([])
      expect(must(await index.blogs(null, 9))).toMatchObject([{ posts: 2, head: { seq: 6 } }])
    }
  })

  it('takes a blog that was fetched anew in its place, and takes no stretch with a gap before it', async () => {
    await using index = await openIndex()
    give(index, maria, 1, { put: [post(maria, 1, 'one')] })
    give(index, anna, 1, { put: [post(anna, 1, 'one')] })
    expect(give(index, maria, 9, { from: 3, put: [post(maria, 3, 'gap')] })).toBe(false)
    give(index, maria, 0, { from: 0, put: [post(maria, 0, 'two')] })
    expect(await find(index, 'one')).toEqual(['anna 1'])
    expect(await find(index, 'two')).toEqual(['maria 0'])
    index.forget(maria)
    expect(await find(index, 'two')).toEqual([])
    expect(index.head(maria)).toBeNull()
  })

  it('goes on after a restart where it ended', async () => {
    const path = newPath()
    {
      await using index = await openIndex(path)
      give(index, maria, 4, {
        put: [post(maria, 4, 'lasting')],
        profile: { title: 'Maria writes', lang: 'es' },
      })
    }
    await using index = await openIndex(path)
    expect(index.head(maria)).toEqual({ seq: 4, id: idAt(maria, 4) })
    expect(index.langOf(maria)).toBe('es')
    expect(await find(index, 'lasting')).toEqual(['maria 4'])
    expect(must(await index.blogs(null, 9))).toMatchObject([{ title: 'Maria writes', posts: 1 }])
  })

  it('writes what was given without being asked, within its time', async () => {
    await using index = await openIndex()
    give(index, maria, 1, { put: [post(maria, 1, 'soon')] })
    await expect.poll(() => index.written).toBe(1)
  })
})

describe('SearchIndex, pages', () => {
  async function pagesOf(
    index: SearchIndex,
    text: string,
    order: Order,
    between: (page: number) => void,
  ) {
    const query = must(parseQuery(text))
    const seen: number[] = []
    let cursor: string | null = null
    for (let page = 0; page === 0 || cursor !== null; page += 1) {
      await index.flush()
      const found: { hits: readonly { seq: number }[]; next: string | null } = must(
        await index.search(query, { order, cursor, limit: 7 }),
      )
      seen.push(...found.hits.map(({ seq }) => seq))
      cursor = found.next
      between(page)
    }
    return seen
  }

  it.each<Order>(['newest', 'best'])(
    'show each post once while others come in and go (%s first)',
    async (order) => {
      await using index = await openIndex()
      const all = Array.from({ length: 50 }, (_, seq) =>
        // Ten of each ms: their order must hold too.
        post(maria, seq, `word ${'other '.repeat(seq % 5)}`, {
          seenMs: startMs + Math.floor(seq / 10),
        }),
      )
      give(index, maria, 49, { put: all })
      let seq = 50
      const seen = await pagesOf(index, 'word', order, () => {
        const more = [seq, seq + 1, seq + 2].map((each) => post(anna, each, 'word'))
        give(index, anna, seq + 2, { put: more })
        seq += 3
      })
      expect(seen.toSorted((a, b) => a - b)).toEqual(all.map((each) => each.seq))
    },
  )

  it('go on behind a post that was retracted meanwhile', async () => {
    await using index = await openIndex()
    give(index, maria, 19, {
      put: Array.from({ length: 20 }, (_, seq) => post(maria, seq, 'word')),
    })
    for (const order of ['newest', 'best'] as const) {
      const left = await pagesOf(index, 'word', order, (page) => {
        const last = order === 'newest' ? 13 : 6
        if (page === 0)
          give(index, maria, (index.head(maria)?.seq ?? 0) + 1, { remove: [`post-${last}`] })
      })
      expect(new Set(left).size).toBe(left.length)
      expect(left.length).toBeGreaterThanOrEqual(18)
    }
  })

  it.each([
    ['nothing', ''],
    ['words', 'not a cursor'],
    ['a long one', 'x'.repeat(10_000)],
    ['numbers beyond all places', 'zzzzzzzzzzz.0.0.aaaaaaaaaaaa'],
    ['SQL', "0' OR 1=1 --"],
  ])('refuse a cursor that is %s', async (_, cursor) => {
    await using index = await openIndex()
    const answer = await index.search(must(parseQuery('word')), {
      order: 'newest',
      cursor,
      limit: 7,
    })
    expect(codeOf(answer)).toBe('SEARCH_CURSOR')
  })

  it('refuse the cursor of another search, of another order, and one that was changed', async () => {
    await using index = await openIndex()
    give(index, maria, 19, {
      put: Array.from({ length: 20 }, (_, seq) => post(maria, seq, 'word two')),
    })
    await index.flush()
    const [word, two] = [must(parseQuery('word')), must(parseQuery('two'))]
    const { next } = must(await index.search(word, { order: 'newest', cursor: null, limit: 7 }))
    const cursor = next as string
    const changed = `${cursor[0] === '1' ? '2' : '1'}${cursor.slice(1)}`
    for (const [query, order, asked] of [
      [two, 'newest', cursor],
      [word, 'best', cursor],
      [word, 'newest', changed],
    ] as const) {
      const answer = await index.search(query, { order, cursor: asked, limit: 7 })
      expect(codeOf(answer)).toBe('SEARCH_CURSOR')
    }
  })
})

describe('SearchIndex, under load', () => {
  it('answers so many searches at once and tells the others to come back', async () => {
    await using index = await openIndex()
    const word = must(parseQuery('word'))
    const ask = (asker: string) =>
      index.search(word, { order: 'newest', cursor: null, limit: 7 }, asker)
    const ofOne = await Promise.all(Array.from({ length: 1_000 }, () => ask('a')))
    expect(ofOne.filter(({ ok }) => ok)).toHaveLength(maxSearchesPerAsker)
    expect(ofOne.at(-1)).toMatchObject({ code: 'SEARCH_BUSY', retryMs: 1_000 })
    const ofMany = await Promise.all(Array.from({ length: 1_000 }, (_, each) => ask(`${each}`)))
    expect(ofMany.filter(({ ok }) => ok)).toHaveLength(maxSearches)
    expect((await ask('a')).ok).toBe(true)
  })

  it('lets whoever gives it much wait until that is written', async () => {
    await using index = await openIndex()
    const body = 'word '.repeat(10_000)
    for (let seq = 0; seq < 200; seq += 1)
      give(index, maria, seq, { put: [post(maria, seq, body)] })
    await index.room()
    expect(index.written).toBeGreaterThan(100)
  })
})

describe('SearchIndex, whose thread ends', () => {
  it('answers so, starts another one, and asks for what was not written', async () => {
    const path = newPath()
    const said: { event?: string }[] = []
    await using index = await openIndex(path, said)
    give(index, maria, 0, { put: [post(maria, 0, 'written')] })
    await index.flush()
    give(index, maria, 1, { put: [post(maria, 1, 'not written')] })
    let isTold = false
    index.onRebuilt(() => {
      isTold = true
    })
    const page = { order: 'newest', cursor: null, limit: 7 } as const
    // No query that `parseQuery` makes does this.
    const answer = await index.search({} as ParsedQuery, page)
    expect(codeOf(answer)).toBe('SEARCH_UNAVAILABLE')
    await expect.poll(() => isTold).toBe(true)
    expect(said.map(({ event }) => event)).toEqual(['search_failed'])
    expect(index.head(maria)?.seq).toBe(0)
    expect(await find(index, 'written')).toEqual(['maria 0'])
  })
})

describe('SearchIndex, a file that is not its own', () => {
  async function filled(): Promise<string> {
    const path = newPath()
    await using index = await openIndex(path)
    const put = Array.from({ length: 800 }, (_, seq) =>
      post(
        maria,
        seq,
        Array.from({ length: 60 }, (_, n) => `w${(seq * 7 + n * n) % 4_000}`).join(' '),
      ),
    )
    give(index, maria, 799, { put })
    return path
  }
  const alterSql = (sql: string) => async (path: string) => {
    using database = new DatabaseSync(path)
    database.exec(sql)
  }
  it.each<[string, string, (path: string) => Promise<unknown>]>([
    [
      'of no database',
      'damaged',
      (path) => writeFile(path, 'this is no database at all. '.repeat(200)),
    ],
    ['of random bytes', 'damaged', (path) => writeFile(path, randomBytes(100_000))],
    ['cut off', 'damaged', async (path) => truncate(path, Math.floor((await stat(path)).size / 2))],
    [
      'with a page of zeros',
      'damaged',
      async (path) => {
        await using file = await open(path, 'r+')
        const { size } = await file.stat()
        for (let at = 4_096; at < size; at += 4_096 * 3)
          await file.write(Buffer.alloc(4_096), 0, 4_096, at)
      },
    ],
    ['from a newer version', 'other-version', alterSql('PRAGMA user_version = 99')],
    ['of another program', 'other-version', alterSql('PRAGMA application_id = 7')],
  ])('makes one %s anew, and says so', async (_, kind, alter) => {
    const path = await filled()
    await alter(path)
    const said: object[] = []
    await using index = await openIndex(path, said)
    expect(said).toMatchObject([{ event: 'search_rebuilt', kind, path }])
    expect(index.head(maria)).toBeNull()
    give(index, maria, 0, { put: [post(maria, 0, 'again')] })
    expect(await find(index, 'again')).toEqual(['maria 0'])
  })

  it('starts with an empty file, or none', async () => {
    const path = newPath()
    await writeFile(path, '')
    const said: object[] = []
    await using index = await openIndex(path, said)
    expect(await find(index, 'x')).toEqual([])
    expect(said).toEqual([])
  })

  const inside = (sql: string) => async (path: string) => {
    using database = new DatabaseSync(path)
    database.enableDefensive(false)
    database.exec(sql)
  }
  // Pages in which SQLite's own check sees no more than bytes.
  it.each([
    ['the list of words is gone', 'UPDATE words_data SET block = zeroblob(40) WHERE id = 10'],
    ['lists of words are no lists', "UPDATE words_data SET block = x'ffffffffff' WHERE id > 100"],
  ])('finds that %s, and asks to be filled anew', async (_, sql) => {
    const path = await filled()
    await inside(sql)(path)
    const said: object[] = []
    await using index = await openIndex(path, said)
    expect(await find(index, 'w1')).toEqual([])
    expect(said).toMatchObject([{ event: 'search_rebuilt', kind: 'damaged' }])
    expect(index.head(maria)).toBeNull()
    give(index, maria, 0, { from: 0, put: [post(maria, 0, 'again')] })
    expect(await find(index, 'again')).toEqual(['maria 0'])
  })

  it('leaves one alone that another process uses, and goes on without it', async () => {
    const path = await filled()
    await using first = await openIndex(path)
    const said: object[] = []
    {
      await using second = await openIndex(path, said)
      expect(said).toMatchObject([{ event: 'search_elsewhere', kind: 'locked' }])
      give(second, anna, 0, { put: [post(anna, 0, 'here')] })
      expect(await find(second, 'here')).toEqual(['anna 0'])
    }
    expect((await find(first, 'w1')).length).toBeGreaterThan(0)
  })

  it('goes on without a file where none can be', async () => {
    const said: object[] = []
    await using index = await openIndex(join(folder, 'no', 'such', 'folder.db'), said)
    expect(said).toMatchObject([{ event: 'search_elsewhere', kind: 'unusable' }])
    give(index, anna, 0, { put: [post(anna, 0, 'here')] })
    expect(await find(index, 'here')).toEqual(['anna 0'])
  })
})
