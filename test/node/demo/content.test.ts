import { describe, expect, it } from 'vitest'
import { readDeclaration, readDemoBlogs } from '../../../src/node/demo/content.ts'
import { encodeEntry, parseBlogName } from '../../../src/replication/log/entry.ts'
import { renderMarkdown } from '../../../src/web/markdown.ts'

describe('readDemoBlogs', () => {
  it('gives six languages with the same thirty articles', async () => {
    const blogs = await readDemoBlogs()
    expect(blogs.map(({ name, lang, title }) => [name, lang, title])).toEqual([
      ['english', 'en', 'Universal Declaration of Human Rights'],
      ['espanol', 'es', 'Declaración Universal de Derechos Humanos'],
      ['arabic', 'ar', 'الإعلان العالمي لحقوق الإنسان'],
      ['chinese', 'zh-Hans', '世界人权宣言'],
      ['francais', 'fr', 'Déclaration universelle des droits de l’homme'],
      ['hindi', 'hi', 'मानव अधिकारों की सार्वभौम घोषणा'],
    ])
    const items = (body: string) => body.match(/^\d+\. /gm)?.length ?? 0
    const first = blogs[0]?.articles.map(({ slug, body }) => [slug, items(body)])
    expect(first).toHaveLength(30)
    for (const { name, articles } of blogs) {
      expect(parseBlogName(name)).toBe(name)
      expect(articles.map(({ slug, body }) => [slug, items(body)])).toEqual(first)
      expect(new Set(articles.map(({ title }) => title)).size).toBe(30)
    }
  })

  it('gives texts that the format takes as they are', async () => {
    const blogs = await readDemoBlogs()
    const common = {
      council: `blogs.localhost/${'5f'.repeat(32)}`,
      seq: 1,
      prev: 'ab'.repeat(32),
      date: '2026-11-23T03:40:00Z',
      key: '5D'.repeat(20),
    }
    for (const { name: blog, lang, title, about, articles } of blogs) {
      const profile = encodeEntry({ ...common, kind: 'profile', blog, lang, title, body: about })
      expect(profile).toMatchObject({ ok: true })
      for (const article of articles) {
        const post = encodeEntry({ ...common, kind: 'post', blog, lang, ...article })
        expect(post).toMatchObject({ ok: true, value: { body: article.body } })
      }
    }
  })
})

describe('readDeclaration', () => {
  const declare = (content: string) =>
    readDeclaration(
      `<h1>A &amp; B</h1><article data-number="1"><h2>Article 1</h2>${content}</article>`,
    )

  it('turns paragraphs and lists into Markdown', () => {
    const { title, articles } = declare(
      '<ol>\n <li>\n  <p>One\n  line.</p>\n </li>\n <li><p>Two.</p></li></ol>',
    )
    expect(title).toBe('A & B')
    expect(articles).toEqual([
      { slug: 'article-1', title: 'Article 1', body: '1. One line.\n\n2. Two.' },
    ])
  })

  it.each([
    ['1. is no list', '1. is no list'],
    ['# is no heading', '# is no heading'],
    ['- a *b* _c_ [d](e) `f` ~~g~~', '- a *b* _c_ [d](e) `f` ~~g~~'],
    ['&lt;b&gt; &amp;amp; &#8210; &#x2019;', '&lt;b&gt; &amp;amp; ‒ ’'],
  ])('keeps %s as plain text', (source, shown) => {
    const [article] = declare(`<p>${source}</p>`).articles
    expect(renderMarkdown(article?.body ?? '').trim()).toBe(`<p>${shown}</p>`)
  })
})
