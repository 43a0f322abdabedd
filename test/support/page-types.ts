import { authorPages } from './author-pages.ts'
import type { Visitor } from './browser.ts'
import type { Site } from './site.ts'

/** One kind of page, for the tests that look at all of them and for `npm run screenshots`. */
export type PageType = {
  /** also the name of its picture */
  readonly name: string
  readonly status: number
  /** Goes there; may click and fill in what leads to it. */
  readonly open: (visitor: Visitor, site: Site) => ReturnType<Visitor['open']>
}

const year = new Date().getUTCFullYear()

function at(name: string, status: number, url: (site: Site) => string): PageType {
  return { name, status, open: (visitor, site) => visitor.open(url(site)) }
}

/** Every kind of page. A new one belongs here: then it is checked and seen with the others. */
export const pageTypes: readonly PageType[] = [
  at('front', 200, ({ door }) => door.url('')),
  at('front-language', 200, ({ door }) => door.url('', '/?lang=ar')),
  at('search', 200, ({ door }) => door.url('', '/search')),
  at('search-found', 200, ({ door }) => door.url('', `/search?q=${encodeURIComponent('الكرامة')}`)),
  at('search-many', 200, ({ door }) => door.url('', '/search?q=a+lang:en&order=best')),
  at('search-refused', 400, ({ door }) => door.url('', '/search?q=%22')),
  at('tag-council', 200, ({ door }) => door.url('', '/tag/udhr')),
  at('blogs', 200, ({ door }) => door.url('', '/blogs')),
  at('front-empty', 200, ({ odd }) => odd('')),
  at('list', 200, ({ door }) => door.url('maria')),
  at('list-arabic', 200, ({ door }) => door.url('noor')),
  at('post', 200, ({ door }) => door.url('maria', `/${year}/article-1`)),
  at('post-markdown', 200, ({ door }) => door.url('maria', `/${year}/everything`)),
  at('post-arabic', 200, ({ door }) => door.url('noor', `/${year}/article-1`)),
  at('post-chinese', 200, ({ door }) => door.url('lihua', `/${year}/article-1`)),
  at('post-removed', 410, ({ door }) => door.url('maria', `/${year}/regret`)),
  at('history', 200, ({ door }) => door.url('maria', '/history/everything')),
  at('history-changes', 200, ({ door }) => door.url('maria', '/history/everything?from=3&to=4')),
  at('tag', 200, ({ door }) => door.url('maria', '/tag/udhr')),
  at('archive', 200, ({ door }) => door.url('maria', '/archive')),
  at('acts', 200, ({ door }) => door.url('', '/acts')),
  at('acts-older', 200, ({ odd }) => odd('', '/acts?before=roster:3,names:1')),
  at('claim-pending', 200, ({ odd }) => odd('', `/claim/${'c'.repeat(64)}`)),
  at('claim-ready', 200, ({ door, ready }) => door.url('a.spoke', `/claim/${ready}`)),
  at('claim-refused', 200, ({ door, refused }) => door.url('a.spoke', `/claim/${refused}`)),
  at('help-keys', 200, ({ door }) => door.url('', '/help/keys')),
  at('error-missing', 404, ({ door }) => door.url('', '/nothing')),
  at('error-missing-post', 404, ({ door }) => door.url('noor', `/${year}/nothing`)),
  at('error-query', 400, ({ door }) => door.url('', '/acts?before=x')),
  at('error-unreachable', 503, ({ odd }) => odd('gone')),
  at('error-host', 421, ({ odd }) => odd('c.spoke')),
  ...authorPages,
]
