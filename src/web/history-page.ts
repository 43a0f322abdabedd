import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import type { BlogPost, Revision } from '../replication/log/blog.ts'
import type { BlogName } from '../replication/log/entry.ts'
import type { RevokedKey } from '../replication/registry/revoked-keys.ts'
import { blogMasthead, servedBy } from './blog-frame.ts'
import { type BlogEnv, openWith } from './blog-host.ts'
import { removedPage } from './blog-page.ts'
import { showChanges } from './changes.ts'
import { answerError } from './errors.ts'
import { inLanguage } from './language.ts'
import { type Html, page } from './layout.ts'
import { blogUrl, editUrl, historyPath, postPath } from './links.ts'
import { showDay, showKey } from './plain-words.ts'
import { dayOf } from './post-list.ts'
import { laterRevoked, revokedKeys, revokedNotice } from './revoked-notice.ts'
import type { OpenBlog, WebSpoke } from './spoke.ts'

/** Versions on one page of a history; keeps it below 30 KB. */
const versionsPerPage = 40

/** `/history/<slug>`: all versions of a post; with `?from=<seq>&to=<seq>` what changed. */
export function historyPages(spoke: WebSpoke) {
  return new Hono<BlogEnv>().get('/history/:slug', (c) => showHistory(c, spoke))
}

async function showHistory(c: Context<BlogEnv>, spoke: WebSpoke) {
  const slug = c.req.param('slug') ?? ''
  const open = await openWith(c, (blog) => blog.post(slug) !== null)
  const post = open.blog.post(slug)
  if (post === null) {
    const reason = `${open.blog.name} has no post at this address.`
    return answerError(c, spoke, 'PAGE_NOT_FOUND', reason)
  }
  if (post.retracted !== null) return c.html(removedPage(spoke, open, post), 410)
  const revoked = await revokedKeys(spoke, open.blog)
  const versions = post.revisions.map((revision, index) => ({ ...revision, number: index + 1 }))
  const { from, to, before } = c.req.query()
  if (from === undefined && to === undefined) {
    return c.html(historyPage(spoke, open, post, revoked, shownVersions(versions, before), null))
  }
  const old = versionAt(versions, from)
  const young = versionAt(versions, to)
  if (old === null || young === null) {
    const reason =
      'Want "from" and "to", the numbers of two entries that are versions of this post. Choose them on the page of its versions.'
    return answerError(c, spoke, 'QUERY_MALFORMED', reason)
  }
  const [one, other] = [await open.entry(old.seq), await open.entry(young.seq)]
  if (one?.entry.kind !== 'post' || other?.entry.kind !== 'post') {
    const reason =
      'None of the servers that keep these versions answers now. Try again in a minute.'
    return answerError(c, spoke, 'ENTRY_UNREACHABLE', reason)
  }
  const compared = {
    from: old,
    to: young,
    changes: showChanges(one.entry, other.entry, [
      `Version ${old.number}`,
      `Version ${young.number}`,
    ]),
  }
  return c.html(historyPage(spoke, open, post, revoked, shownVersions(versions, before), compared))
}

/** A revision and its place among them, from 1 on. */
type Version = Revision & { readonly number: number }
type Compared = { readonly from: Version; readonly to: Version; readonly changes: Html }

function versionAt(versions: readonly Version[], seq: string | undefined): Version | null {
  return versions.find((version) => String(version.seq) === seq) ?? null
}

/** The newest first. */
function shownVersions(versions: readonly Version[], before: string | undefined) {
  const limit = /^[0-9]{1,15}$/.test(before ?? '') ? Number(before) : Number.POSITIVE_INFINITY
  return versions
    .filter(({ seq }) => seq < limit)
    .slice(-versionsPerPage)
    .reverse()
}

function historyPage(
  spoke: WebSpoke,
  { blog, held }: OpenBlog,
  post: BlogPost,
  revoked: readonly RevokedKey[],
  shown: readonly Version[],
  compared: Compared | null,
): Html {
  const path = historyPath(post.slug)
  const query = compared === null ? '' : `?from=${compared.from.seq}&to=${compared.to.seq}`
  const { title, lang } = post.current
  return page({
    title: `Versions of ${title}`,
    lang: 'en',
    canonical: blogUrl(spoke, blog.name, path + query),
    masthead: blogMasthead(spoke, blog),
    main: html`<h1>Versions of <a ${inLanguage(lang)} href="${postPath(post)}">${title}</a></h1>
${compared === null ? '' : comparison(compared)}
<h2>All versions</h2>
${shown.length < 2 ? '' : chooser(path, shown, compared)}
<ul>
${shown.map((version) => versionItem(spoke, blog.name, post, version, revoked))}</ul>
${olderVersions(path, shown.at(-1))}
<footer>${revokedNotice(spoke, blog, revoked)}${servedBy(spoke, held)}</footer>`,
  })
}

function versionItem(
  spoke: WebSpoke,
  author: BlogName,
  post: BlogPost,
  version: Version,
  revoked: readonly RevokedKey[],
): Html {
  const { number, seq, dateMs, key, title, lang } = version
  const path = historyPath(post.slug)
  const before = post.revisions[number - 2]
  const changed =
    before === undefined
      ? ''
      : html`, <a href="${path}?from=${before.seq}&amp;to=${seq}">what changed</a>`
  const write = editUrl(spoke, author, `/write?slug=${post.slug}&from=${seq}`)
  const restore =
    version.seq === post.current.seq
      ? html`, <a href="${write}">change</a>`
      : html`, <a href="${write}">restore</a>`
  return html`<li>Version ${number}: <span ${inLanguage(lang)}>${title}</span>. Dated ${dayOf(dateMs)}, signed by ${author}, key ${showKey(key)}${laterRevoked(revoked.find((each) => each.key === key))}: <a href="/log/${seq}.txt">text</a>, <a href="/log/${seq}.txt.asc">signature</a>${changed}${restore}</li>
`
}

function olderVersions(path: string, last: Version | undefined): Html {
  return last === undefined || last.number === 1
    ? html``
    : html`<p><a href="${path}?before=${last.seq}">Older versions</a></p>`
}

function chooser(path: string, shown: readonly Version[], compared: Compared | null): Html {
  const [newest, second] = shown
  return html`<form method="get" action="${path}">
<p><label>From ${choice('from', shown, compared?.from ?? second)}</label>
<label>to ${choice('to', shown, compared?.to ?? newest)}</label>
<button type="submit">Show what changed</button></p>
</form>`
}

function choice(name: string, shown: readonly Version[], chosen: Version | undefined): Html {
  // A chosen version may stand on another page of the list.
  const all =
    chosen === undefined || shown.some(({ seq }) => seq === chosen.seq) ? shown : [...shown, chosen]
  const options = all.map(
    ({ number, seq, dateMs }) =>
      html`<option value="${seq}"${seq === chosen?.seq ? ' selected' : ''}>version ${number}, ${showDay(dateMs)}</option>
`,
  )
  return html`<select name="${name}">
${options}</select>`
}

function comparison({ from, to, changes }: Compared): Html {
  return html`<h2>What changed from version ${from.number} to version ${to.number}</h2>
${changes}`
}
