import { html } from 'hono/html'
import { renderMarkdown } from './markdown.ts'

/** How a page and a signed text differ; `markup`: the same words and links in other HTML. */
export type Difference = 'title' | 'words' | 'links' | 'markup'

/**
 * Whether a post's page shows what its author signed, null when it does. What a lying server puts
 * around the article cannot be seen here, nor what it hides when it says `markup`: the signed text
 * is proof, a page never.
 */
export async function compareShown(
  page: string,
  signed: { readonly title: string; readonly body: string },
): Promise<Difference | null> {
  const shown = readArticle(page)
  const wanted = readArticle(
    String(
      await html`<article><h1>${signed.title}</h1>
${renderMarkdown(signed.body)}
</article>`,
    ),
  )
  const parts = ['title', 'words', 'links', 'markup'] as const
  return parts.find((part) => shown?.[part] !== wanted?.[part]) ?? null
}

/**
 * Heading, words in their order and link targets of the one article of a page; null when it has
 * none, or several. No parser is needed: pages of spokes are made of few plain elements, and what
 * cannot be read as such differs from what was signed, which is the answer.
 */
function readArticle(page: string): Record<Difference, string> | null {
  const [, start, ...more] = page.split(/<article\b[^<>]*>/)
  const end = start?.indexOf('</article>') ?? -1
  if (start === undefined || end < 0 || more.length > 0) return null
  const article = start.slice(0, end)
  const [whole, title = ''] = /^\s*<h1\b[^<>]*>(.*?)<\/h1>/s.exec(article) ?? []
  if (whole === undefined) return null
  const rest = article.slice(whole.length)
  return {
    title: wordsOf(title),
    words: wordsOf(rest),
    links: [...rest.matchAll(/\b(?:href|src)\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)/g)]
      .map(([, value = '']) => decodeEntities(value.replace(/^["']|["']$/g, '')))
      .join('\n'),
    markup: article.trim(),
  }
}

/** Tags stand between words; white space is one blank. Takes linear time, whatever is sent. */
function wordsOf(html: string): string {
  const [first = '', ...parts] = html.split('<')
  const texts = parts.map((part) => part.slice(part.indexOf('>') + 1))
  return decodeEntities([first, ...texts].join(' '))
    .replace(/\s+/g, ' ')
    .trim()
}

const named: Readonly<Record<string, string>> = {
  ...{ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' },
}

function decodeEntities(text: string): string {
  return text.replace(
    /&(?:#x([0-9a-f]{1,6})|#([0-9]{1,7})|([a-z]+));/gi,
    (whole, hex, number, name) => {
      if (name !== undefined) return named[name] ?? whole
      const point = hex === undefined ? Number(number) : Number.parseInt(hex, 16)
      return point <= 0x10ffff ? String.fromCodePoint(point) : whole
    },
  )
}
