import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import { cutText } from '../auth/cut-text.ts'
import type { Blog, LogLine } from '../replication/log/blog.ts'
import { type Draft, encodeEntry, parseBlogName } from '../replication/log/entry.ts'
import { formatDate } from '../replication/log/text.ts'
import type { AccountDesk } from './account.ts'
import { accountPage, formToken, here } from './account-frame.ts'
import { composePost } from './compose.ts'
import { notLeft, type WriteEnv } from './compose-page.ts'
import { copiesOf } from './copies.ts'
import { whyNoWriter, writersOnly } from './edit-host.ts'
import { answerError, statusOf } from './errors.ts'
import { formLimit, hidden, notice, readForm, textArea, textField } from './form.ts'
import { inLanguage } from './language.ts'
import { findLeftOver, type LeftOver, leftOver } from './left-over.ts'
import { leftOverNotice } from './left-over-page.ts'
import { blogUrl, editUrl, historyPath, postPath } from './links.ts'
import { endLogin, notJoined, staleForm } from './login-page.ts'
import { showCount } from './plain-words.ts'
import { dayOf } from './post-list.ts'
import { isOwnForm } from './session-cookie.ts'
import { askSignature } from './sign-page.ts'
import type { WebSpoke } from './spoke.ts'

type Refused = { readonly code: string; readonly reason: string }
/** How often a page that waits for copies looks again, s. */
const lookAgainSeconds = 2
/** Posts listed on the edit host's first page. */
const postsListed = 100

/** An edit host: what can be written, changed and removed there, and how far it has come. */
export function editPages(spoke: WebSpoke, desk: AccountDesk) {
  return new Hono<WriteEnv>()
    .get('/', writersOnly(spoke), async (c) =>
      c.html(overview(c, spoke, await leftOver(c.var.open))),
    )
    .get('/published', (c) => publishedPage(c, spoke))
    .get('/remove', writersOnly(spoke), async (c) => {
      const left = c.req.query('left')
      if (left === undefined) return askRemove(c, spoke, null)
      const entry = (await findLeftOver(c.var.open, left))?.entry
      return entry?.kind === 'retract'
        ? askRemove(c, spoke, null, entry)
        : answerError(c, spoke, 'PAGE_NOT_FOUND', notLeft)
    })
    .post('/remove', formLimit(spoke), (c) => takeRemove(c, spoke, desk))
    .get('/about', writersOnly(spoke), async (c) => {
      const left = c.req.query('left')
      if (left !== undefined) {
        const entry = (await findLeftOver(c.var.open, left))?.entry
        if (entry?.kind !== 'profile') return answerError(c, spoke, 'PAGE_NOT_FOUND', notLeft)
        const { title, lang, body: about } = entry
        return askAbout(c, spoke, { title, lang: lang ?? '', about }, null)
      }
      const { title, lang, about } = c.var.open.blog
      return askAbout(c, spoke, { title, lang: lang ?? '', about }, null)
    })
    .post('/about', formLimit(spoke), (c) => takeAbout(c, spoke, desk))
    .post('/logout', formLimit(spoke), (c) => endLogin(c, spoke, desk))
}

/** The edit host in the other form: it sends browsers to the canonical one, for ever. */
export function movedEditPages(spoke: WebSpoke) {
  return new Hono().get('*', (c) => {
    const blog = parseBlogName(c.req.param('blog') ?? '')
    const { pathname, search } = new URL(c.req.url)
    // The form is the council's choice; before it is known nobody is sent anywhere for ever.
    if (spoke.council() === null) return answerError(c, spoke, notJoined.code, notJoined.reason)
    return blog === null
      ? answerError(c, spoke, 'BLOG_UNKNOWN', 'There is no such blog.')
      : c.redirect(editUrl(spoke, blog, pathname + search), 308)
  })
}

function overview(c: Context<WriteEnv>, spoke: WebSpoke, left: readonly LeftOver[]) {
  const { visitor, open } = c.var
  const { blog } = open
  const posts = blog.posts().slice(0, postsListed)
  const items = posts.map(
    ({
      slug,
      current,
      year,
      revisions,
    }) => html`<li><a ${inLanguage(current.lang)} href="${blogUrl(spoke, blog.name, postPath({ year, slug }))}">${current.title}</a> <small>${dayOf(current.dateMs)}, ${showCount(revisions.length, 'version')}</small>: <a href="/write?slug=${slug}">change</a>, <a href="${blogUrl(spoke, blog.name, historyPath(slug))}">history</a>, <a href="/remove?slug=${slug}">remove</a></li>
`,
  )
  const main = html`${leftOverNotice(left)}<p><a href="/write">Write a post</a></p>
<h2>Posts</h2>
${
  posts.length === 0
    ? html`<p>No posts yet.</p>`
    : html`<ul>
${items}</ul>`
}
${blog.postCount > posts.length ? html`<p>Older ones: open them in <a href="${blogUrl(spoke, blog.name, '/archive')}">the archive</a>, and change them from their history.</p>` : ''}
<h2>The blog</h2>
<ul>
<li><a href="/about">Its title, language and a few words about it</a></li>
<li><a href="/copies">Where its copies are, and how to move it to another server</a></li>
<li><a href="${blogUrl(spoke, blog.name)}">As readers see it</a></li>
<li><a href="/revoke">Is your key stolen, lost or no longer used? Hand in its revocation</a></li>
</ul>
<p>With the program and gpg, from a terminal:</p>
<pre tabindex="0"><code>./council publish post.md --blog ${blog.name} --at ${editUrl(spoke, blog.name)} --key ${blog.key}</code></pre>
<form method="post" action="${here(spoke, visitor, '/logout')}">
${formToken(visitor)}<p><button type="submit">Log out</button></p>
</form>`
  return accountPage(spoke, visitor, { title: `Write for ${blog.name}`, main })
}

/** `/published?seq=&id=`: counts the copies of what was just handed in. */
async function publishedPage(c: Context<WriteEnv>, spoke: WebSpoke) {
  const { visitor } = c.var
  const seq = Number(c.req.query('seq') ?? '')
  const id = c.req.query('id') ?? ''
  if (!Number.isSafeInteger(seq) || seq < 0) {
    return answerError(c, spoke, 'PAGE_NOT_FOUND', 'The address names no entry.')
  }
  const open =
    seq > c.var.open.blog.head.seq ? ((await c.var.open.newer()) ?? c.var.open) : c.var.open
  const { blog } = open
  const [line] = blog.lines(seq, 1)
  if (line !== undefined && line.id !== id) {
    const reason = `Entry ${seq} of ${blog.name} is another one. Yours was not published; if you signed it lately, sign it again.`
    return answerError(c, spoke, 'SEQ_TAKEN', reason)
  }
  const copies = open.copies()
  const held = copies.replicas.filter(({ receipt }) => (receipt?.seq ?? -1) >= seq)
  const isAll = line !== undefined && held.length === copies.replicas.length
  if (!isAll) c.header('Refresh', String(lookAgainSeconds))
  const isPublished = copies.needed !== null && held.length >= copies.needed && line !== undefined
  const state = isPublished
    ? html`<strong>Published.</strong> ${held.length} of ${copies.replicas.length} servers have it.`
    : line === undefined
      ? html`It is on its way to this server.`
      : html`Stored on ${showCount(held.length, 'server')}, waiting for ${copies.needed === null ? 'a second server to join this council' : `copies: it counts as published when ${copies.needed} have it`}.`
  const post = line?.slug === null || line?.slug === undefined ? null : blog.post(line.slug)
  const url = post === null ? blogUrl(spoke, blog.name) : blogUrl(spoke, blog.name, postPath(post))
  const main = html`<p>${state}</p>
${copiesOf(spoke, blog.name, copies, seq)}
${isAll ? '' : html`<p>This page looks again by itself every ${lookAgainSeconds} seconds. You may close it.</p>`}
<p>Its address: <a href="${url}">${url}</a></p>
<p>${whatNow(line)}</p>
<p><a href="/">Back to ${blog.name}</a></p>`
  return c.html(
    accountPage(spoke, visitor, { title: isPublished ? 'Published' : 'Handed in', main }),
  )
}

/** What an author can still do about an entry that she has signed. */
function whatNow(line: LogLine | undefined): string {
  return line?.kind === 'retract'
    ? 'The post is removed: at its address readers find a note that says so. Its versions stay in the log, and from that address you can bring it back.'
    : 'It can no longer be unsaid. You can publish a newer version, or remove it: then it is hidden, and what you signed stays in the log.'
}

/** The entry of a draft behind the blog's head, in the author's name; dates never fall in a log. */
function entryBehind(
  {
    council,
    name,
    head,
    key,
    lines,
  }: Pick<Blog, 'council' | 'name' | 'head' | 'key'> & {
    readonly lines: ReturnType<Blog['lines']>
  },
  nowMs: number,
  words:
    | Pick<Draft & { kind: 'retract' }, 'kind' | 'slug' | 'body'>
    | Pick<Draft & { kind: 'profile' }, 'kind' | 'lang' | 'title' | 'body'>,
) {
  const last = Date.parse(lines[0]?.date ?? '')
  return encodeEntry({
    ...{ council, blog: name, seq: head.seq + 1, prev: head.id, key },
    ...{ date: formatDate(Math.max(nowMs, last)), ...words },
  } as Draft)
}

// Remove a post.

function askRemove(
  c: Context<WriteEnv>,
  spoke: WebSpoke,
  refusal: Refused | null,
  sent?: { readonly slug: string; readonly body: string },
) {
  const { visitor, open } = c.var
  const slug = sent?.slug ?? c.req.query('slug') ?? ''
  const post = open.blog.post(slug)
  if (post === null || post.retracted !== null) {
    const reason = `${open.blog.name} shows no post “${cutText(slug, 80)}”.`
    return answerError(c, spoke, 'PAGE_NOT_FOUND', reason)
  }
  const main = html`${refusal === null ? '' : notice(refusal.reason)}
<p>Readers will find a note that you removed <strong ${inLanguage(post.current.lang)}>${post.current.title}</strong>. What you signed stays in the log for ever, and who has its address can read it there.</p>
<form method="post" action="${here(spoke, visitor, '/remove')}">
${formToken(visitor)}${hidden({ slug })}${textArea({
  label: 'Why (public; may be empty)',
  name: 'body',
  value: sent?.body ?? '',
  rows: 3,
})}
<p><button type="submit">Go on to sign</button></p>
</form>
<p><a href="/">Keep it</a></p>`
  const shown = accountPage(spoke, visitor, { title: 'Remove a post', main })
  return c.html(shown, refusal === null ? 200 : statusOf(refusal.code))
}

async function takeRemove(c: Context<WriteEnv>, spoke: WebSpoke, desk: AccountDesk) {
  const { visitor, open } = c.var
  const fields = await readForm(c)
  const sent = { slug: fields('slug'), body: fields('body') }
  if (!isOwnForm(visitor, fields('token'))) return askRemove(c, spoke, staleForm, sent)
  const refusal = await whyNoWriter(c, spoke)
  if (refusal !== null) return askRemove(c, spoke, refusal, sent)
  const { blog } = (await open.newer()) ?? open
  const body = cleanBody(sent.body)
  if (!body.ok) return askRemove(c, spoke, body, sent)
  const entry = entryBehind(frame(blog), spoke.now(), {
    ...{ kind: 'retract', slug: sent.slug, body: body.value },
  })
  return entry.ok ? askSignature(c, spoke, desk, entry.value, {}) : askRemove(c, spoke, entry, sent)
}

/** Free text in the form that a signed text allows. */
function cleanBody(body: string) {
  const composed = composePost(Buffer.from(body), 'body')
  return composed.ok ? { ok: true as const, value: composed.value.body } : composed
}

function frame(blog: Blog) {
  const { council, name, head, key } = blog
  return { council, name, head, key, lines: blog.lines(head.seq, 1) }
}

// Title and a few words.

type About = { readonly title: string; readonly lang: string; readonly about: string }

function askAbout(c: Context<WriteEnv>, spoke: WebSpoke, sent: About, refusal: Refused | null) {
  const { visitor } = c.var
  const main = html`${refusal === null ? '' : notice(refusal.reason)}
<form method="post" action="${here(spoke, visitor, '/about')}">
${formToken(visitor)}${textField({ label: 'Title of the blog', name: 'title', value: sent.title, required: true })}${textField(
  {
    label: 'Language',
    name: 'lang',
    value: sent.lang,
    isCode: true,
    hint: html`Like <code>en</code>, <code>es</code>, <code>ar</code> or <code>pt-BR</code>; may be empty.`,
  },
)}${textArea({ label: 'About it, in Markdown', name: 'about', value: sent.about, rows: 6 })}
<p><button type="submit">Go on to sign</button></p>
</form>
<p><a href="/">Back</a></p>`
  const shown = accountPage(spoke, visitor, { title: 'The blog’s title', main })
  return c.html(shown, refusal === null ? 200 : statusOf(refusal.code))
}

async function takeAbout(c: Context<WriteEnv>, spoke: WebSpoke, desk: AccountDesk) {
  const { visitor, open } = c.var
  const fields = await readForm(c)
  const sent = { title: fields('title'), lang: fields('lang').trim(), about: fields('about') }
  if (!isOwnForm(visitor, fields('token'))) return askAbout(c, spoke, sent, staleForm)
  const refusal = await whyNoWriter(c, spoke)
  if (refusal !== null) return askAbout(c, spoke, sent, refusal)
  const { blog } = (await open.newer()) ?? open
  const composed = composePost(Buffer.from(sent.about), sent.title)
  if (!composed.ok) return askAbout(c, spoke, sent, composed)
  const { title, body } = composed.value
  const entry = entryBehind(frame(blog), spoke.now(), {
    ...{ kind: 'profile', title, body, ...(sent.lang === '' ? {} : { lang: sent.lang }) },
  })
  return entry.ok ? askSignature(c, spoke, desk, entry.value, {}) : askAbout(c, spoke, sent, entry)
}
