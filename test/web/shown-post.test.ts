import { describe, expect, it } from 'vitest'
import { compareShown } from '../../src/web/shown-post.ts'
import { workedMs } from '../support/worked.ts'

const signed = {
  title: 'What is <it>?',
  body: 'A *net* & more.\n\n[x](https://example.org/?a=1&b=2)',
}
const article = [
  '<article lang="en" dir="ltr">\n<h1>What is &lt;it&gt;?</h1>',
  '<p>A <em>net</em> &amp; more.</p>',
  '<p><a href="https://example.org/?a=1&amp;b=2" rel="nofollow noopener">x</a></p>\n</article>',
].join('\n')

describe('compareShown', () => {
  it.each([
    ['no article', '', 'title'],
    ['two articles', article + article, 'title'],
    ['an article without end', article.replace('</article>', ''), 'title'],
    ['no heading', article.replaceAll('h1>', 'h2>'), 'title'],
    ['another title', article.replace('What', 'Who'), 'title'],
    ['other words', article.replace('more', 'less'), 'words'],
    ['words more', article.replace('</p>', '</p><p>Vote!</p>'), 'words'],
    ['words less', article.replace('<em>net</em>', ''), 'words'],
    ['words hidden as a tag', article.replace('net', '<net>'), 'words'],
    ['another link', article.replace('example.org', 'evil.example'), 'links'],
    ['a link more', article.replace('net', '<a href=//evil.example>net</a>'), 'links'],
    ['a picture more', article.replace('net', 'net<img src="x">'), 'links'],
    ['hidden words', article.replace('<em>', '<em hidden>'), 'markup'],
    ['a frame around', article.replace('<p>', '<div><p>').replace('</p>', '</p></div>'), 'markup'],
  ])('finds %s', async (_, page, difference) => {
    expect(await compareShown(page, signed)).toBe(difference)
  })

  it('finds nothing where the page shows what was signed', async () => {
    expect(await compareShown(`<main>${article}</main><footer>more</footer>`, signed)).toBe(null)
  })

  it.each(['<', '<article>', '<article', '<article><h1>', '&', '<h1>', ' href=', 'href="'])(
    'takes no longer for 4 MB of %s',
    async (piece) => {
      const page = `<article><h1>x</h1>${piece.repeat(4_000_000 / piece.length)}</article>`
      const began = workedMs()
      expect(await compareShown(page, signed)).toBe('title')
      expect(await compareShown(piece.repeat(4_000_000 / piece.length), signed)).toBe('title')
      expect(workedMs() - began).toBeLessThan(5_000)
    },
  )
})
