import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import type { Blog } from '../replication/log/blog.ts'
import { parseBlogName } from '../replication/log/entry.ts'
import { answerError } from './errors.ts'
import { postPath } from './links.ts'
import type { OpenBlog, WebSpoke } from './spoke.ts'

/** Handlers of a blog host find the blog that the host names. */
export type BlogEnv = { Variables: { readonly open: OpenBlog } }

/** Opens the blog named in the path (`app.ts` puts it there from the host), or answers why not. */
export function openRequested(spoke: WebSpoke) {
  return createMiddleware<BlogEnv>(async (c, next) => {
    const name = parseBlogName(c.req.param('blog') ?? '')
    const open = name === null ? 'unknown' : await spoke.openBlog(name)
    if (open === 'unknown') {
      const reason = `There is no blog called ${name} in ${spoke.zone}. Look at the spelling of the address.`
      return answerError(c, spoke, 'BLOG_UNKNOWN', reason)
    }
    if (open === 'unreachable') {
      const reason = `The blog ${name} exists, but none of the servers that keep it answers now. Nothing is lost; try again in a minute.`
      return answerError(c, spoke, 'BLOG_UNREACHABLE', reason)
    }
    c.set('open', open)
    return next()
  })
}

/** The requested blog; when it lacks what `has` looks for, as another spoke may have it by now. */
export async function openWith(
  c: Context<BlogEnv>,
  has: (blog: Blog) => boolean,
): Promise<OpenBlog> {
  const { open } = c.var
  if (has(open.blog)) return open
  return (await open.newer()) ?? open
}

/** Old addresses that a post names as its own lead to it, where nothing of today stands. */
export const followAlias = createMiddleware<BlogEnv>(async (c, next) => {
  await next()
  if (c.res.status !== 404 || !['GET', 'HEAD'].includes(c.req.method)) return
  const { pathname, search } = new URL(c.req.url)
  const { blog } = c.var.open
  const post = blog.postOfAlias(pathname + search) ?? blog.postOfAlias(pathname)
  if (post !== null) c.res = c.redirect(postPath(post), 308)
})
