import { type BlogName, parseBlogName } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import type { ListedBlog } from './search-messages.ts'
import type { IndexedBlog } from './search-store.ts'

type Page = { readonly blogs: readonly ListedBlog[]; readonly next: string | null }

/**
 * Whether a list of blogs goes on behind `after`, each once, by name, and says so of itself: `next`
 * is its last blog, or it ends. So whoever follows it comes to an end. Pure.
 */
export function isBlogList({ blogs, next }: Page, after: string | null): boolean {
  let last = after ?? ''
  for (const { blog } of blogs) {
    if (parseBlogName(blog) === null || blog <= last) return false
    last = blog
  }
  return next === null || next === blogs.at(-1)?.blog
}

/** Blogs kept here, by name: `upTo` this one all of them are there, null: to the end. */
export type OwnRows = { readonly rows: readonly ListedBlog[]; readonly upTo: string | null }

/**
 * Of what is indexed here the blogs whose rows hold: those of which this peer is a replica now, and
 * that are indexed as far as it has them. Pure.
 *
 * @param indexed - by name; `limit` of them where there are more
 * @param heldHead - where the blog ends here; null: this peer is no replica of it
 */
export function ownRows(
  indexed: readonly IndexedBlog[],
  limit: number,
  heldHead: (blog: BlogName) => Head | null,
): OwnRows {
  const rows = indexed
    .filter(({ blog, head }) => heldHead(blog)?.id === head.id)
    .map(({ blog, title, lang, posts }) => ({ blog, title, lang, posts }))
  return { rows, upTo: indexed.length < limit ? null : (indexed.at(-1)?.blog ?? null) }
}

/**
 * A page of another peer's list of blogs, as far as it can be checked here without asking anybody:
 * of blogs that are kept here what is known here counts, those that it left out too, and names that
 * nobody was given are left out. Of all others the list is that peer's word. Pure.
 *
 * @param next - from where its list goes on, null: nowhere
 * @param own - blogs kept here, from the same place on
 * @param isGiven - whether a name was given out, where `@names` is here; null: that is not known
 * @returns `checked`: how many of these are as they are known here. The page may be empty and go on
 */
export function checkBlogList(
  told: Page,
  own: OwnRows,
  { limit, isGiven }: { limit: number; isGiven: ((blog: string) => boolean) | null },
): Page & { readonly checked: number } {
  const byName = new Map(
    told.blogs.filter(({ blog }) => isGiven?.(blog) ?? true).map((each) => [each.blog, each]),
  )
  for (const each of own.rows) byName.set(each.blog, each)
  // Behind where one of the two stops it may have more: the next page begins there.
  const end = earlier(told.next, own.upTo)
  const all = [...byName.values()]
    .filter(({ blog }) => end === null || blog <= end)
    .sort((a, b) => (a.blog < b.blog ? -1 : 1))
  const blogs = all.slice(0, limit)
  const next = blogs.length < all.length ? (blogs.at(-1)?.blog ?? null) : end
  const ownOnes = new Set(own.rows)
  return { blogs, next, checked: blogs.filter((each) => ownOnes.has(each)).length }
}

function earlier(one: string | null, other: string | null): string | null {
  if (one === null || other === null) return one ?? other
  return one < other ? one : other
}
