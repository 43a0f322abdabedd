import { raw } from 'hono/html'
import type { HtmlEscapedString } from 'hono/utils/html'
import MarkdownIt from 'markdown-it'
import sanitizeHtml from 'sanitize-html'
import { shorten } from './plain-words.ts'

const markdown = new MarkdownIt({ html: false, linkify: true })

// Pictures are not served yet and those of other servers would track readers: their words stay.
markdown.renderer.rules.image = (tokens, index, options, env, self) =>
  markdown.utils.escapeHtml(self.renderInlineAsText(tokens[index]?.children ?? [], options, env))

// A wide table scrolls by itself, and must be reached by keyboard for that.
markdown.renderer.rules.table_open = () => '<div tabindex="0"><table>'
markdown.renderer.rules.table_close = () => '</table></div>'

// The page's h1 is the post's title. Headings of the body begin below it and skip no level, as
// screen readers want it; what was on one level stays on one.
markdown.core.ruler.push('headings_below_title', ({ tokens }) => {
  const open: number[] = []
  for (const token of tokens) {
    if (token.type === 'heading_open') {
      const level = Number(token.tag.slice(1))
      while (open.length > 0 && (open.at(-1) as number) >= level) open.pop()
      open.push(level)
    }
    if (token.type === 'heading_open' || token.type === 'heading_close') {
      token.tag = `h${Math.min(6, open.length + 1)}`
    }
  }
})

const headings = ['h2', 'h3', 'h4', 'h5', 'h6']

/** The second wall: what may be on a page whatever the renderer lets through. */
const allowed: sanitizeHtml.IOptions = {
  allowedTags: [
    ...headings,
    ...['p', 'br', 'hr', 'blockquote', 'pre', 'ul', 'ol', 'li'],
    ...['a', 'em', 'strong', 's', 'code'],
    ...['div', 'table', 'thead', 'tbody', 'tr', 'th', 'td'],
  ],
  // No id and no name: they would let a text shadow names of the page (DOM clobbering).
  allowedAttributes: {
    a: ['href', 'rel'],
    ol: ['start'],
    div: [{ name: 'tabindex', values: ['0'] }],
  },
  allowedSchemes: ['http', 'https', 'mailto'],
  allowedSchemesAppliedToAttributes: ['href'],
  allowProtocolRelative: false,
  transformTags: { a: sanitizeHtml.simpleTransform('a', { rel: 'nofollow noopener' }) },
  // An empty link or heading is a trap for people who cannot see the page.
  exclusiveFilter: ({ tag, text }) => (tag === 'a' || headings.includes(tag)) && text.trim() === '',
}

/**
 * Renders a stranger's Markdown to HTML that is safe on any page of the council: HTML in the text
 * is shown as text, and the result holds only plain formatting and links that say nofollow.
 */
export function renderMarkdown(source: string): HtmlEscapedString {
  const safe = sanitizeHtml(markdown.render(source), allowed)
  // sanitize-html writes XHTML. Its text and attributes never hold a bare "<".
  return raw(safe.replace(/<(br|hr) \/>/g, '<$1>').trim())
}

/** So much of a text is looked at for its beginning, UTF-16 units. */
const maxBeginning = 2_000
/** Links, and what is emphasised, go on without a blank; these end a piece of text. */
const wordsIn = new Set(['text', 'code_inline'])

/**
 * The first words of a stranger's Markdown without its marks, at most `maxCharacters` of them. Plain
 * text, not HTML. Code blocks, and words of pictures, are passed over.
 */
export function excerptOf(source: string, maxCharacters: number): string {
  let words = ''
  for (const { type, children } of markdown.parse(source.slice(0, maxBeginning), {})) {
    if (type !== 'inline') continue
    for (const child of children ?? []) {
      words += wordsIn.has(child.type) ? child.content : child.type.endsWith('break') ? ' ' : ''
    }
    words += ' '
    if (words.length > 2 * maxCharacters) break
  }
  return shorten(words.toWellFormed().replace(/\s+/gu, ' ').trim(), maxCharacters)
}

/**
 * Keeps what was rendered, the most recently read last, so that a crowd on one page, or somebody
 * who asks for the longest text again and again, costs a look-up.
 */
export class RenderCache {
  readonly #kept = new Map<string, HtmlEscapedString>()
  readonly #maxCharacters: number
  #characters = 0

  /** @param maxCharacters - of sources and results kept; 16 million are some hundred long texts */
  constructor(maxCharacters = 16_000_000) {
    this.#maxCharacters = maxCharacters
  }

  /** Renders like `renderMarkdown`. */
  render(source: string): HtmlEscapedString {
    const known = this.#take(source)
    const rendered = known ?? renderMarkdown(source)
    this.#kept.set(source, rendered)
    this.#characters += source.length + rendered.length
    for (const oldest of this.#kept.keys()) {
      if (this.#characters <= this.#maxCharacters) break
      this.#take(oldest)
    }
    return rendered
  }

  #take(source: string): HtmlEscapedString | undefined {
    const rendered = this.#kept.get(source)
    if (rendered === undefined) return undefined
    this.#kept.delete(source)
    this.#characters -= source.length + rendered.length
    return rendered
  }
}
