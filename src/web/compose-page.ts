import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import { cutText } from '../auth/cut-text.ts'
import { accept, refuse, type Verdict } from '../auth/verdict.ts'
import type { Blog } from '../replication/log/blog.ts'
import { decodeEntry, type Entry, encodeEntry, type Post } from '../replication/log/entry.ts'
import { formatDate } from '../replication/log/text.ts'
import type { AccountDesk } from './account.ts'
import { accountPage, formToken, here } from './account-frame.ts'
import type { BlogEnv } from './blog-host.ts'
import { showChanges, type Version } from './changes.ts'
import { composePost, readTags, slugFor } from './compose.ts'
import { whyNoWriter, writersOnly } from './edit-host.ts'
import { answerError, statusOf } from './errors.ts'
import { type Fields, formLimit, hidden, notice, readForm, textArea, textField } from './form.ts'
import { inLanguage } from './language.ts'
import type { Html } from './layout.ts'
import { findLeftOver } from './left-over.ts'
import { blogUrl, postPath } from './links.ts'
import { staleForm } from './login-page.ts'
import type { RenderCache } from './markdown.ts'
import { showDay } from './plain-words.ts'
import { type AccountEnv, isOwnForm, visitorOf } from './session-cookie.ts'
import { askSignature, type ShowTaken } from './sign-page.ts'
import type { OpenBlog, WebSpoke } from './spoke.ts'

export type WriteEnv = { Variables: AccountEnv['Variables'] & BlogEnv['Variables'] }
type Refused = { readonly code: string; readonly reason: string }

/** A post as its form holds it: just as it was typed. */
type Typed = {
  readonly title: string
  readonly body: string
  readonly lang: string
  readonly tags: string
  readonly slug: string
  /** seq of the version that was opened, empty for a new post */
  readonly base: string
}
const empty: Typed = { title: '', body: '', lang: '', tags: '', slug: '', base: '' }

/**
 * `/write` on an edit host: a new post, or with `?slug=` a new version of one, `&from=<seq>` taken
 * from an older version, or with `?left=<id>` what she signed that is in no log. The form holds
 * everything, so nothing typed hangs on a server.
 */
export function composePages(spoke: WebSpoke, desk: AccountDesk, rendered: RenderCache) {
  return new Hono<WriteEnv>()
    .get('/write', writersOnly(spoke), (c) => openForm(c, spoke))
    .post('/write', formLimit(spoke), (c) => takeForm(c, spoke, desk, rendered))
}

async function openForm(c: Context<WriteEnv>, spoke: WebSpoke) {
  const { open } = c.var
  const left = c.req.query('left')
  if (left !== undefined) return openLeft(c, spoke, left)
  const slug = c.req.query('slug') ?? ''
  if (slug === '') return showForm(c, spoke, { ...empty, lang: open.blog.lang ?? '' }, {})
  const post = open.blog.post(slug)
  const from = c.req.query('from')
  const revision = post?.revisions.find(({ seq }) => String(seq) === from) ?? post?.current
  if (post === null || revision === undefined) {
    const reason = `${open.blog.name} has no post “${cutText(slug, 80)}” that could be changed.`
    return answerError(c, spoke, 'PAGE_NOT_FOUND', reason)
  }
  const entry = (await open.entry(revision.seq))?.entry
  if (entry?.kind !== 'post') {
    return answerError(c, spoke, 'ENTRY_UNREACHABLE', unreachable)
  }
  const isOld = revision.seq !== post.current.seq
  const note = isOld
    ? `This is the version of ${showDay(revision.dateMs)}. Publish it to make it the newest one; the others stay in the history.`
    : undefined
  // The base is today's version also when an older one is restored: that is what readers see.
  return showForm(c, spoke, typedOf(entry, post.current.seq), { note })
}

const unreachable = 'None of the servers that keep this post answers now. Try again in a minute.'

/** What she signed that no log has, in the form: a post of its own, or the newest version of one. */
async function openLeft(c: Context<WriteEnv>, spoke: WebSpoke, id: string) {
  const { open } = c.var
  const found = await findLeftOver(open, id)
  if (found?.entry.kind !== 'post') return answerError(c, spoke, 'PAGE_NOT_FOUND', notLeft)
  const { entry, since, again } = found
  const post = open.blog.post(entry.slug)
  const current = post?.current ?? null
  const isChanged = current !== null && current.seq >= since
  const newest = isChanged ? await open.entry(current.seq) : null
  // It would be replaced unseen.
  if (isChanged && newest === null) return answerError(c, spoke, 'ENTRY_UNREACHABLE', unreachable)
  const newer = newest?.entry.kind === 'post' ? newest.entry : undefined
  const note = [
    `You signed this on ${showDay(entry.dateMs)} as entry ${entry.seq}, and it is in no log.`,
    again === null ? '' : `Entry ${again} has the same words: it is published again.`,
    current === null || again !== null
      ? ''
      : `It becomes the newest version of “${current.title}”${newer === undefined ? '' : ', which was changed since'}.`,
    post?.retracted == null ? '' : 'You removed that post: publishing this brings it back.',
    entry.aliases.length + entry.attachments.length === 0
      ? ''
      : 'Its aliases and attachments do not come along: this form has none.',
    'What you sign now comes behind all that is in the blog.',
  ]
  return showForm(c, spoke, typedOf(entry, current?.seq ?? null), {
    note: note.filter((sentence) => sentence !== '').join(' '),
    newer,
  })
}

/** What an address says that names nothing left over. */
export const notLeft =
  'None of the servers that answer now has a text of yours with this number that is in no log. Look again at what is not published.'

function typedOf(post: Post, base: number | null): Typed {
  const { title, body, lang, tags, slug } = post
  return {
    ...{ title, body, lang: lang ?? '', tags: tags.join(', '), slug },
    base: base === null ? '' : String(base),
  }
}

async function takeForm(
  c: Context<WriteEnv>,
  spoke: WebSpoke,
  desk: AccountDesk,
  rendered: RenderCache,
) {
  const { visitor, open } = c.var
  const fields = await readForm(c)
  const action = fields('action')
  const typed = action === 'edit' ? readAgain(fields, open.blog) : readTyped(fields)
  if (!isOwnForm(visitor, fields('token'))) return showForm(c, spoke, typed, { refusal: staleForm })
  if (action === 'edit') return showForm(c, spoke, typed, {})
  // The form is shown again with what was typed, whatever is wrong: also when the login is over.
  const refusal = await whyNoWriter(c, spoke)
  if (refusal !== null) return showForm(c, spoke, typed, { refusal })
  const composed = composePost(Buffer.from(typed.body), typed.title.trim() || undefined)
  if (!composed.ok) return showForm(c, spoke, typed, { refusal: composed })
  const newest = (await open.newer()) ?? open
  const newer = await newerVersion(newest, typed)
  if (newer === 'unreachable') {
    const refusal = { code: 'ENTRY_UNREACHABLE', reason: unreachable }
    return showForm(c, spoke, typed, { refusal })
  }
  if (newer !== null) return showForm(c, spoke, typed, { newer })
  const draft = draftOf(newest.blog, typed, composed.value, spoke.now())
  if (!draft.ok) return showForm(c, spoke, typed, { refusal: draft })
  if (action !== 'sign') return showPreview(c, spoke, rendered, typed, draft.value)
  return askSignature(c, spoke, desk, draft.value, {})
}

function readTyped(fields: Fields): Typed {
  return {
    title: fields('title'),
    body: fields('body'),
    lang: fields('lang').trim(),
    tags: fields('tags'),
    slug: fields('slug').trim().toLowerCase(),
    base: fields('base'),
  }
}

/** Back from the page on which it would have been signed: the signed text holds it all. */
function readAgain(fields: Fields, blog: Blog): Typed {
  const entry = decodeEntry(Buffer.from(fields('text')))
  if (!entry.ok || entry.value.kind !== 'post') return { ...empty, body: fields('text') }
  return typedOf(entry.value, blog.post(entry.value.slug)?.current.seq ?? null)
}

/** The version that somebody published since the form was opened; null when there is none. */
async function newerVersion(
  open: OpenBlog,
  { slug, base }: Typed,
): Promise<Post | 'unreachable' | null> {
  const current = slug === '' ? undefined : open.blog.post(slug)?.current
  if (base === '' || current === undefined || String(current.seq) === base) return null
  const found = await open.entry(current.seq)
  if (found === null) return 'unreachable'
  return found.entry.kind === 'post' ? found.entry : null
}

/**
 * The entry behind the head. Codes: POST_SLUG_TAKEN (another post has the address), and those of
 * `decodeEntry`.
 */
function draftOf(
  blog: Blog,
  typed: Typed,
  { title, body }: { readonly title: string; readonly body: string },
  nowMs: number,
): Verdict<Entry & { readonly kind: 'post' }> {
  const seq = blog.head.seq + 1
  const isNew = typed.base === ''
  const slug = typed.slug === '' ? freeSlug(blog, slugFor(title, seq)) : typed.slug
  if (isNew && typed.slug !== '' && blog.post(slug) !== null) {
    return refuse(
      'POST_SLUG_TAKEN',
      `You have a post at the address “${slug}” already. Choose another address, or edit that post.`,
    )
  }
  const last = Date.parse(blog.lines(blog.head.seq, 1)[0]?.date ?? '')
  const tags = readTags(typed.tags)
  const entry = encodeEntry({
    ...{ kind: 'post', council: blog.council, blog: blog.name, seq, prev: blog.head.id },
    // Dates never fall within a log.
    ...{ date: formatDate(Math.max(nowMs, last)), key: blog.key, slug, title, body },
    ...(typed.lang === '' ? {} : { lang: typed.lang }),
    ...(tags.length === 0 ? {} : { tags }),
  })
  if (!entry.ok) return entry
  if (entry.value.kind !== 'post') throw new Error('a draft of a post is no post')
  return accept(entry.value)
}

function freeSlug(blog: Blog, slug: string): string {
  for (let number = 1; ; number++) {
    const tried = number === 1 ? slug : `${slug.slice(0, 70).replace(/-$/, '')}-${number}`
    if (blog.post(tried) === null) return tried
  }
}

// Pages.

type Shown = {
  readonly refusal?: Refused | undefined
  readonly note?: string | undefined
  /** what somebody published meanwhile */
  readonly newer?: Post | undefined
  readonly preview?: Html | undefined
}

function showForm(c: Context<WriteEnv>, spoke: WebSpoke, typed: Typed, shown: Shown) {
  const { visitor, open } = c.var
  const { refusal, note, newer, preview } = shown
  const isNew = typed.base === ''
  const base = newer === undefined ? typed.base : String(newer.seq)
  // Beside a newer version its own notice says the same, and what to do.
  const reason = newer === undefined ? refusal?.reason : undefined
  const main = html`${reason === undefined ? '' : notice(reason)}${note === undefined || newer !== undefined ? '' : html`<p>${note}</p>`}
${newer === undefined ? '' : newerBeside(typed, newer, note ?? foundNewer)}${preview ?? ''}
<form method="post" action="${here(spoke, visitor, '/write')}">
${formToken(visitor)}${hidden({ base })}${textField({
  label: 'Title',
  name: 'title',
  value: typed.title,
  hint: html`Empty: the first line that begins with <code># </code>.`,
})}${textArea({
  label: 'Text',
  name: 'body',
  value: typed.body,
  rows: 20,
  hint: html`Markdown: <code>**bold**</code>, <code>[words](https://…)</code>, <code>- </code> for a list, an empty line between paragraphs.`,
})}${textField({
  label: 'Language',
  name: 'lang',
  value: typed.lang,
  isCode: true,
  hint: html`Like <code>en</code>, <code>es</code>, <code>ar</code> or <code>pt-BR</code>; may be empty.`,
})}${textField({
  label: 'Tags',
  name: 'tags',
  value: typed.tags,
  hint: html`Separated by commas; may be empty.`,
})}${
  isNew
    ? textField({
        label: 'Address',
        name: 'slug',
        value: typed.slug,
        isCode: true,
        hint: html`Last part of the post’s address; it never changes. Empty: made from the title.`,
      })
    : html`${hidden({ slug: typed.slug })}<p>Address: <code>${typed.slug}</code></p>`
}
<p><button type="submit" name="action" value="preview">Preview</button> <button type="submit" name="action" value="sign">Sign and publish</button></p>
</form>
<p>No draft is stored on a server: keep this tab until you have signed. <a href="/">Back to ${open.blog.name}</a></p>`
  const title = isNew ? 'Write a post' : 'Change a post'
  const isRefused = !['GET', 'HEAD'].includes(c.req.method)
  const status =
    newer !== undefined && isRefused ? 409 : refusal === undefined ? 200 : statusOf(refusal.code)
  return c.html(accountPage(spoke, visitor, { title, main }), status)
}

const foundNewer =
  'There is a newer version than the one that you opened; perhaps you published it in another tab. Your text is still below. What you send now comes after the newer version.'

function newerBeside(typed: Typed, newer: Post, why: string): Html {
  const own: Version = {
    title: typed.title,
    body: typed.body,
    lang: typed.lang === '' ? null : typed.lang,
    tags: readTags(typed.tags),
  }
  return html`${notice(why)}
<h2>The newer version, against yours</h2>
${showChanges(newer, own, ['The newer version', 'Yours'])}
<details>
<summary>The newer version whole</summary>
<div class="compared" ${inLanguage(newer.lang)}>${newer.body}</div>
</details>
<h2>Yours</h2>`
}

/** What readers will see, by the published page's own code, and what changed. */
async function showPreview(
  c: Context<WriteEnv>,
  spoke: WebSpoke,
  rendered: RenderCache,
  typed: Typed,
  draft: Post,
) {
  const { open } = c.var
  const opened = /^[0-9]{1,15}$/.test(typed.base) ? await open.entry(Number(typed.base)) : null
  const before = opened?.entry ?? null
  const year = open.blog.post(draft.slug)?.year ?? new Date(draft.dateMs).getUTCFullYear()
  const url = blogUrl(spoke, open.blog.name, postPath({ year, slug: draft.slug }))
  const changes =
    before?.kind === 'post'
      ? html`<h2>What changed</h2>
${showChanges(before, draft, ['Before', 'Now'])}`
      : ''
  const preview = html`<h2>Preview</h2>
<p><small>As readers will find it at ${url}</small></p>
<article ${inLanguage(draft.lang)}>
<h2>${draft.title}</h2>
${rendered.render(draft.body)}
</article>
${changes}
<h2>Your text</h2>`
  return showForm(c, spoke, typed, { preview })
}

/** Shows the author of an entry whose place is taken her text, to be signed again behind the head. */
export function showTaken(spoke: WebSpoke): ShowTaken {
  return async (c, entry, { reason }) => {
    const visitor = visitorOf(c)
    const open = await spoke.openBlog(entry.log)
    if (typeof open === 'string' || entry.kind !== 'post') {
      const main = html`${notice(`${reason} Nothing was published.`)}
<p><a href="/">Go back, and do it again</a>: it takes its place behind what was published meanwhile.</p>`
      return c.html(accountPage(spoke, visitor, { title: 'Sign once more', main }), 409)
    }
    const newest = (await open.newer()) ?? open
    const current = newest.blog.post(entry.slug)?.current ?? null
    const found = current === null ? null : await newest.entry(current.seq)
    // Of a version that nobody reads now she has seen nothing: it is asked for again when she sends.
    const seen = current !== null && found === null ? 0 : (current?.seq ?? null)
    const typed = typedOf(entry, seen)
    const newer =
      found?.entry.kind === 'post' && found.entry.seq >= entry.seq ? found.entry : undefined
    const said = `${reason} Your text is below: send it once more, and sign what is shown then.`
    c.set('open', newest)
    return showForm(c, spoke, typed, { refusal: { code: 'SEQ_TAKEN', reason: said }, newer })
  }
}
