import { parseOpml } from 'feedsmith'
import { describe, expect, it } from 'vitest'
import { get, host, validPage, wordsOf } from './browser.ts'
import { blogsPerPage, logOf, memorySpoke, openLog, type Said } from './memory-spoke.ts'
import { decodeHtml } from './visitor.ts'

const titled = (name: string, title: string, lang: string, ...said: Said[]) =>
  openLog(logOf(name, { kind: 'profile', title, lang }, ...said))
const cruel = '"><script>x</script> & co'
const maria = titled('maria', cruel, 'es', { kind: 'post', slug: 'x', title: 'X' })
const noor = titled('noor', 'مدونة نور', 'ar')
const spoke = memorySpoke({ noor, maria, lihua: openLog(logOf('lihua')) })
const full = memorySpoke(
  Object.fromEntries(
    Array.from({ length: 2 * blogsPerPage + 1 }, (_, n) => {
      const name = `blog-${1_000 + n}`
      return [name, titled(name, 'Ein Blog mit einem mittellangen Titel', 'de')]
    }),
  ),
)

describe('allBlogsPages', () => {
  it('lists all blogs by name, each in its language, with what the list rests on', async () => {
    const page = await validPage(spoke, `${host('')}/blogs`)
    expect(page).toContain(`<li lang="ar" dir="rtl"><a href="${host('noor')}/">مدونة نور</a>`)
    expect([...page.matchAll(/>(\w+), \d posts?</g)].map(([, name]) => name)).toEqual([
      ...['lihua', 'maria', 'noor'],
    ])
    expect(decodeHtml(wordsOf(page))).toContain(cruel)
    expect(wordsOf(page)).toContain('From all 5 servers of this council')
    expect(page).toContain(`<a href="${host('')}/blogs.opml">`)
    expect(wordsOf(page)).toContain('as carl says them')
  })

  it('gives a page at a time, each blog once, below 30 KB', async () => {
    const names: string[] = []
    let url: string | null = `${host('')}/blogs`
    while (url !== null) {
      const page: string = await validPage(full, url)
      expect(Buffer.byteLength(page)).toBeLessThanOrEqual(30 * 1024)
      names.push(...[...page.matchAll(/>(blog-\d+), 0 posts</g)].map(([, name = '']) => name))
      url = /href="([^"]+)">More blogs/.exec(page)?.[1] ?? null
    }
    expect(names).toHaveLength(2 * blogsPerPage + 1)
    expect(new Set(names).size).toBe(names.length)
  })

  it.each(['', '%ff', '"><i>', '..%2f', 'zzzz', '%00'])('reads ?after=%s', async (after) => {
    await validPage(spoke, `${host('')}/blogs?after=${after}`)
  })

  it('refuses a cursor that no page had', async () => {
    await validPage(spoke, `${host('')}/blogs?after=${'a'.repeat(101)}`, 400)
  })

  it('is empty, and says so', async () => {
    expect(await validPage(memorySpoke({}), `${host('')}/blogs`)).toContain('No blogs yet.')
    expect(await validPage(spoke, `${host('')}/blogs?after=zzz`)).toContain('no more blogs')
  })

  const listing = (next: string | null, checked: number, asked = { count: 0 }) =>
    memorySpoke(
      { maria },
      {
        councilBlogs: async () => {
          asked.count += 1
          const coverage = { kind: 'council', spokes: 5, of: 5, blogs: 1, by: 'carl', atMs: 0 }
          return { ok: true, value: { blogs: [], next, coverage: coverage as never, checked } }
        },
      },
    )

  it('does not say that there are no more beside the way to more', async () => {
    const page = await validPage(listing('noor', 0), `${host('')}/blogs?after=maria`)
    expect(page).toContain('More blogs')
    expect(page).not.toContain('no more blogs')
  })

  it('claims no more rows of its own than it has', async () => {
    const read = async (checked: number) =>
      wordsOf(await validPage(listing(null, checked), `${host('b.spoke')}/blogs`))
    expect(await read(0)).toContain('as carl says them. What')
    expect(await read(2)).toContain('but for 2 blogs of this page that')
  })

  it('ends with a list that does not rise', async () => {
    const asked = { count: 0 }
    const answer = await get(listing('noor', 0, asked), `${host('')}/blogs.opml`)
    expect(answer.status).toBe(200)
    expect(asked.count).toBe(2)
  })

  it('gives all blogs as OPML, each with its feed, equal after parsing', async () => {
    const answer = await get(spoke, `${host('b.spoke')}/blogs.opml`)
    expect(answer.headers.get('content-type')).toBe('text/x-opml; charset=utf-8')
    const text = await answer.text()
    expect(text).not.toContain('.spoke.')
    const opml = parseOpml(text)
    expect(opml.head?.title).toBe('All blogs of blogs.localhost')
    expect(opml.body?.outlines).toEqual(
      [
        ['lihua', 'lihua', undefined],
        ['maria', cruel, 'es'],
        ['noor', 'مدونة نور', 'ar'],
      ].map(([name = '', title, language]) => ({
        ...{ type: 'rss', text: title, title },
        ...(language === undefined ? {} : { language }),
        ...{ xmlUrl: `${host(name)}/feed.atom`, htmlUrl: `${host(name)}/` },
      })),
    )
    const many = parseOpml(await (await get(full, `${host('')}/blogs.opml`)).text())
    expect(many.body?.outlines).toHaveLength(2 * blogsPerPage + 1)
  })
})
