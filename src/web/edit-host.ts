import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import { html } from 'hono/html'
import { accountPage } from './account-frame.ts'
import type { BlogEnv } from './blog-host.ts'
import { needsLogin } from './enter-page.ts'
import { hidden } from './form.ts'
import { spokeUrl } from './links.ts'
import { showFingerprint } from './plain-words.ts'
import type { AccountEnv } from './session-cookie.ts'
import type { WebSpoke } from './spoke.ts'

/** Pages that only the blog's own author needs: others are led to the login, or told whose it is. */
export function writersOnly(spoke: WebSpoke) {
  return createMiddleware<{ Variables: AccountEnv['Variables'] & BlogEnv['Variables'] }>(
    async (c, next) => {
      const login = needsLogin(c, spoke)
      if (login !== null) return login
      const { open, visitor } = c.var
      if (visitor.session?.key !== open.blog.key) return c.html(otherKeyPage(c, spoke), 403)
      return next()
    },
  )
}

function otherKeyPage(
  c: Context<{ Variables: AccountEnv['Variables'] & BlogEnv['Variables'] }>,
  spoke: WebSpoke,
) {
  const { open, visitor } = c.var
  const own = visitor.session?.key ?? ''
  const main = html`<p>${open.blog.name} is written with the key <code>${showFingerprint(open.blog.key)}</code>. You are logged in with <code>${showFingerprint(own)}</code>.</p>
<form method="post" action="/logout">
${hidden({ token: visitor.formToken })}<p><button type="submit">Log out here</button></p>
</form>
<p><a href="${spokeUrl(spoke, '/my')}">Your own blogs</a></p>`
  return accountPage(spoke, visitor, { title: 'Another author’s blog', main })
}
