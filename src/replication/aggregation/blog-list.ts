import { parseBlogName } from '../log/entry.ts'
import type { ListedBlog } from './search-messages.ts'

/** Whether a list of blogs goes on behind `after`, each once, by name. Pure. */
export function isBlogList(blogs: readonly ListedBlog[], after: string | null): boolean {
  let last = after ?? ''
  for (const { blog } of blogs) {
    if (parseBlogName(blog) === null || blog <= last) return false
    last = blog
  }
  return true
}

/**
 * A page of another peer's list of blogs, as far as it can be checked here without asking anybody:
 * of blogs that are kept here what is known here counts, those that it left out too, and names that
 * nobody was given are left out. Of all others the list is that peer's word. Pure.
 *
 * @param next - from where its list goes on, null: nowhere
 * @param own - blogs kept here, by name, from the same place on
 * @param isGiven - whether a name was given out, where `@names` is here; null: that is not known
 */
export function checkBlogList(
  told: { readonly blogs: readonly ListedBlog[]; readonly next: string | null },
  own: readonly ListedBlog[],
  { limit, isGiven }: { limit: number; isGiven: ((blog: string) => boolean) | null },
): { readonly blogs: readonly ListedBlog[]; readonly next: string | null } {
  const byName = new Map(
    told.blogs.filter(({ blog }) => isGiven?.(blog) ?? true).map((each) => [each.blog, each]),
  )
  for (const each of own) {
    if (told.next === null || each.blog <= told.next) byName.set(each.blog, each)
  }
  const all = [...byName.values()].sort((a, b) => (a.blog < b.blog ? -1 : 1))
  const blogs = all.slice(0, limit)
  const next = blogs.length < all.length ? (blogs.at(-1)?.blog ?? null) : told.next
  return { blogs, next }
}
