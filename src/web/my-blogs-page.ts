import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import type { Fingerprint } from '../auth/public-key.ts'
import { parseBlogName } from '../replication/log/entry.ts'
import { reasonWord } from '../replication/registry/revoked-keys.ts'
import type { AccountDesk } from './account.ts'
import { accountPage, formToken, here } from './account-frame.ts'
import { copiesOf } from './copies.ts'
import { needsLogin } from './enter-page.ts'
import { answerError } from './errors.ts'
import { formLimit } from './form.ts'
import type { Html } from './layout.ts'
import { blogUrl } from './links.ts'
import { endLogin } from './login-page.ts'
import { showCount, showDay, showFingerprint } from './plain-words.ts'
import type { AccountEnv } from './session-cookie.ts'
import type { OpenBlog, WebSpoke } from './spoke.ts'

/** `/my` on a spoke's own host: the blogs of who is logged in, and where their copies are. */
export function myBlogPages(spoke: WebSpoke, desk: AccountDesk) {
  return new Hono<AccountEnv>()
    .get('/my', async (c) => needsLogin(c, spoke) ?? c.html(await myBlogs(c, spoke)))
    .post('/logout', formLimit(spoke), (c) => endLogin(c, spoke, desk))
}

async function myBlogs(c: Context<AccountEnv>, spoke: WebSpoke): Promise<Html> {
  const { visitor } = c.var
  const key = visitor.session?.key
  if (key === undefined) throw new Error('nobody is logged in')
  const names = await spoke.blogsOf(key)
  const blogs = await Promise.all(
    names.map(async (name) => ({ name, open: await spoke.openBlog(name) })),
  )
  const main = html`<p>You are logged in with the key <code>${showFingerprint(key)}</code>.</p>
${await keyState(spoke, key)}
${blogs.length === 0 ? html`<p>No blog is written with this key yet, as far as this server knows.</p>` : ''}
${blogs.map(({ name, open }) =>
  typeof open === 'string'
    ? html`<h2>${name}</h2>
<p>None of the servers that keep it answers now. Nothing is lost; try again in a minute.</p>`
    : oneBlog(spoke, open),
)}
<p><a href="/start/blog">Start ${blogs.length === 0 ? 'a' : 'another'} blog</a></p>
<form method="post" action="${here(spoke, visitor, '/logout')}">
${formToken(visitor)}<p><button type="submit">Log out</button></p>
</form>`
  return accountPage(spoke, visitor, { title: 'My blogs', main })
}

/** What the council and the key servers say of a key. */
async function keyState(spoke: WebSpoke, key: Fingerprint): Promise<Html> {
  const revoked = await spoke.revocation(key)
  const word = await spoke.askKeyServers(key, null, 24 * 3_600_000)
  const inCouncil =
    revoked === null
      ? 'Nobody has handed in a revocation of it here.'
      : `It was revoked on ${showDay(revoked.dateMs)} (${reasonWord(revoked)}): nothing new can be published with it.`
  return html`<p>${inCouncil} ${word.kind === 'none-configured' ? '' : 'Key servers: '}${word.detail} <a href="/revoke">Revoke it</a></p>`
}

function oneBlog(spoke: WebSpoke, { blog, copies }: OpenBlog): Html {
  const url = blogUrl(spoke, blog.name)
  const kept = copies()
  return html`<h2>${blog.name}</h2>
<p><a href="${url}">${url}</a>, ${showCount(blog.postCount, 'post')}. <a href="/enter?blog=${blog.name}">Write for it</a></p>
${copiesOf(spoke, blog.name, kept, null)}
<p><a href="/enter?blog=${blog.name}&amp;to=/copies">Move it to another server</a></p>
<p>To keep yourself: <a href="${blogUrl(spoke, blog.name, '/export.tar')}">everything in one file</a>. It can be checked with gpg alone, whatever becomes of these servers.</p>
`
}

/**
 * `/receipts/<blog>/<server>.txt` and `.sig`: a replica's newest receipt under the act in force, as
 * everybody may see it.
 */
export function receiptFiles(spoke: WebSpoke) {
  return new Hono().get('/receipts/:blog/:file{[A-Za-z0-9-]{1,60}\\.(?:txt|sig)}', async (c) => {
    const blog = parseBlogName(c.req.param('blog') ?? '')
    const [server, ending] = (c.req.param('file') ?? '').split('.')
    const open = blog === null ? 'unknown' : await spoke.openBlog(blog)
    if (typeof open === 'string') {
      return answerError(c, spoke, 'PAGE_NOT_FOUND', 'There is no such blog here now.')
    }
    const receipt = open
      .copies()
      .replicas.find((copy) => copy.spoke === server || copy.peer === server)?.receipt
    if (receipt === null || receipt === undefined) {
      const reason = `This server knows no receipt of ${server} for ${blog}.`
      return answerError(c, spoke, 'PAGE_NOT_FOUND', reason)
    }
    const isText = ending === 'txt'
    const bytes = isText ? receipt.signed.text : receipt.signed.signature
    return c.body(Uint8Array.from(bytes), 200, {
      'Content-Type': isText ? 'text/plain; charset=utf-8' : 'application/octet-stream',
    })
  })
}
