import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import { html } from 'hono/html'
import { type Refusal, refuse } from '../auth/verdict.ts'
import { reasonWord } from '../replication/registry/revoked-keys.ts'
import { accountPage } from './account-frame.ts'
import type { BlogEnv } from './blog-host.ts'
import { needsLogin } from './enter-page.ts'
import { answerError } from './errors.ts'
import { hidden } from './form.ts'
import { spokeUrl } from './links.ts'
import { revokedKey } from './login-page.ts'
import { showFingerprint } from './plain-words.ts'
import type { AccountEnv } from './session-cookie.ts'
import type { WebSpoke } from './spoke.ts'

type WriterEnv = { Variables: AccountEnv['Variables'] & BlogEnv['Variables'] }

/** Pages that only the blog's own author needs: others are led to the login, or told whose it is. */
export function writersOnly(spoke: WebSpoke) {
  return createMiddleware<WriterEnv>(async (c, next) => {
    const login = needsLogin(c, spoke)
    if (login !== null) return login
    const { open, visitor } = c.var
    if (visitor.session?.key !== open.blog.key) return c.html(otherKeyPage(c, spoke), 403)
    const refusal = await whyNoWriter(c, spoke)
    if (refusal !== null) return answerError(c, spoke, refusal.code, refusal.reason)
    return next()
  })
}

/**
 * Why the visitor cannot write for the blog now; null when she can. Asked again whenever a form is
 * sent: a login may end, and a key be revoked, while somebody writes. Codes: LOGIN_EXPIRED,
 * KEY_REVOKED.
 */
export async function whyNoWriter(c: Context<WriterEnv>, spoke: WebSpoke): Promise<Refusal | null> {
  const { open, visitor } = c.var
  if (visitor.session?.key !== open.blog.key) return loginOver
  const revoked = await spoke.revocation(open.blog.key)
  return revoked === null ? null : revokedKey(open.blog.key, revoked.dateMs, reasonWord(revoked))
}

const loginOver = refuse(
  'LOGIN_EXPIRED',
  'You are not logged in here with this blog’s key any more. Your text is still in the form: open “My blogs” in another tab, come in from there, and send this form once more.',
)

function otherKeyPage(c: Context<WriterEnv>, spoke: WebSpoke) {
  const { open, visitor } = c.var
  const own = visitor.session?.key ?? ''
  const main = html`<p>${open.blog.name} is written with the key <code>${showFingerprint(open.blog.key)}</code>. You are logged in with <code>${showFingerprint(own)}</code>.</p>
<form method="post" action="/logout">
${hidden({ token: visitor.formToken })}<p><button type="submit">Log out here</button></p>
</form>
<p><a href="${spokeUrl(spoke, '/my')}">Your own blogs</a></p>`
  return accountPage(spoke, visitor, { title: 'Another author’s blog', main })
}
