import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import type { Token } from '../auth/session.ts'
import { parseBlogName } from '../replication/log/entry.ts'
import type { AccountDesk } from './account.ts'
import { accountPage, safePath } from './account-frame.ts'
import type { BlogEnv } from './blog-host.ts'
import { answerError } from './errors.ts'
import { editHost, editUrl, spokeUrl } from './links.ts'
import { notJoined } from './login-page.ts'
import { type AccountEnv, startSession, visitorOf } from './session-cookie.ts'
import type { WebSpoke } from './spoke.ts'

/**
 * `/enter` on a spoke's own host: gives who is logged in there a pass for the edit host of a blog,
 * and leads there. The pass counts for a minute, for that host, once.
 */
export function passPages(spoke: WebSpoke) {
  return new Hono<AccountEnv>().get('/enter', (c) => {
    const blog = parseBlogName(c.req.query('blog') ?? '')
    if (blog === null) {
      return answerError(
        c,
        spoke,
        'BLOG_UNKNOWN',
        'The address names no blog. Choose one of yours.',
      )
    }
    const login = needsLogin(c, spoke)
    const { session } = c.var.visitor
    if (login !== null || session === null) return login ?? c.redirect('/login', 303)
    const { key, id } = session
    const pass = spoke.signToken('enter', { key, id, host: editHost(spoke, blog) })
    if (pass === null) {
      return answerError(c, spoke, notJoined.code, notJoined.reason)
    }
    const to = encodeURIComponent(safePath(c.req.query('to'), '/'))
    return c.redirect(editUrl(spoke, blog, `/enter?t=${pass}&to=${to}`), 303)
  })
}

/** `/enter` on an edit host: takes the pass, and starts a session there. */
export function entryPages(spoke: WebSpoke, desk: AccountDesk) {
  return new Hono<{ Variables: AccountEnv['Variables'] & BlogEnv['Variables'] }>().get(
    '/enter',
    (c) => {
      const { visitor } = c.var
      const pass = spoke.readToken('enter', c.req.query('t') ?? '', visitor.host)
      if (!pass.ok || desk.ended.has(pass.value.id) || !isNew(pass.value, desk, spoke.now())) {
        return c.html(usedPage(c, spoke), 403)
      }
      // Anybody can lead an author here with a pass of his own: it does not end her login.
      const isAuthors = visitor.session?.key === c.var.open.blog.key
      const keeps = isAuthors && pass.value.key !== c.var.open.blog.key
      if (!keeps && !startSession(c, spoke, pass.value.key, pass.value.id)) {
        return answerError(c, spoke, notJoined.code, notJoined.reason)
      }
      return c.redirect(safePath(c.req.query('to'), '/'), 303)
    },
  )
}

/** A login may have many passes, but each counts once. */
function isNew({ id, issuedMs, expiresMs, host }: Token, desk: AccountDesk, nowMs: number) {
  return desk.usedPasses.add({ id: `${id} ${issuedMs} ${host}`, expiresMs }, nowMs)
}

function usedPage(c: Context, spoke: WebSpoke) {
  const blog = c.req.param('blog') ?? ''
  const again = spokeUrl(spoke, `/enter?blog=${encodeURIComponent(blog)}`)
  const main = html`<p>This way in was used already or is older than a minute. Nothing is lost.</p>
<p><a href="${again}">Come in again</a></p>`
  return accountPage(spoke, visitorOf(c), { title: 'Come in again', main })
}

/** Null when somebody is logged in here; else the way to the login, and back to this page. */
export function needsLogin(c: Context, spoke: WebSpoke): Response | null {
  if (visitorOf(c).session !== null) return null
  const { pathname, search } = new URL(c.req.url)
  const here = encodeURIComponent(pathname + search)
  const blog = c.req.param('blog')
  return blog === undefined
    ? c.redirect(`/login?next=${here}`, 303)
    : c.redirect(spokeUrl(spoke, `/enter?blog=${encodeURIComponent(blog)}&to=${here}`), 303)
}
