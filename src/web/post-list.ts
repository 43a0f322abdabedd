import { html } from 'hono/html'
import type { BlogPost } from '../replication/log/blog.ts'
import { inLanguage } from './language.ts'
import type { Html } from './layout.ts'
import { postPath } from './links.ts'
import { showDay } from './plain-words.ts'

/** Posts as a list of links, each with the day on which it began. */
export function postList(posts: readonly BlogPost[]): Html {
  if (posts.length === 0) return html`<p ${inLanguage('en')}>No posts yet.</p>`
  const items = posts.map(
    (
      post,
    ) => html`<li><a ${inLanguage(post.current.lang)} href="${postPath(post)}">${post.current.title}</a> <small ${inLanguage('en')}>${dayOf(begunMs(post))}</small></li>
`,
  )
  return html`<ul>
${items}</ul>`
}

/**
 * One stretch of a long list, newest first, and the link to the next one.
 *
 * @param before - `?before=`: only posts whose first revision has a lower seq; anything but a
 *   whole number begins at the newest
 */
export function stretchOf(
  posts: readonly BlogPost[],
  size: number,
  path: string,
  before: string | undefined,
): { readonly shown: readonly BlogPost[]; readonly older: Html } {
  const limit = /^[0-9]{1,15}$/.test(before ?? '') ? Number(before) : Number.POSITIVE_INFINITY
  const from = posts.findIndex((post) => firstSeq(post) < limit)
  const shown = from < 0 ? [] : posts.slice(from, from + size)
  const last = shown.at(-1)
  const older =
    last !== undefined && last !== posts.at(-1)
      ? html`<p ${inLanguage('en')}><a href="${path}?before=${firstSeq(last)}">Older posts</a></p>`
      : html``
  return { shown, older }
}

export function dayOf(ms: number): Html {
  return html`<time datetime="${new Date(ms).toISOString()}">${showDay(ms)}</time>`
}

/** When a post's first revision is dated, ms since the Unix epoch. */
export function begunMs(post: BlogPost): number {
  return (post.revisions[0] ?? post.current).dateMs
}

function firstSeq(post: BlogPost): number {
  return (post.revisions[0] ?? post.current).seq
}
