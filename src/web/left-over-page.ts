import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import { decodeEntry, type Entry } from '../replication/log/entry.ts'
import { accountPage } from './account-frame.ts'
import type { WriteEnv } from './compose-page.ts'
import { writersOnly } from './edit-host.ts'
import { inLanguage } from './language.ts'
import { showCount } from './plain-words.ts'
import { dayOf } from './post-list.ts'
import type { OpenBlog, WebSpoke } from './spoke.ts'

/**
 * `/left`, for the author alone: what she signed that is in no log, since the server that had it was
 * lost before a second one had it, and something else took its place (REPLICATION 10, 13, 16). Its
 * text is here to be signed again.
 */
export function leftOverPages(spoke: WebSpoke) {
  return new Hono<WriteEnv>().get('/left', writersOnly(spoke), async (c) => showLeftOver(c, spoke))
}

/** Entries of hers that are not in the blog, the oldest first; each text once. */
export async function leftOver(open: OpenBlog): Promise<Entry[]> {
  const entries = (await open.leftOver()).flatMap(({ text }) => {
    const entry = decodeEntry(text)
    return entry.ok ? [entry.value] : []
  })
  const byId = new Map(entries.map((entry) => [entry.id, entry]))
  return [...byId.values()].sort((a, b) => a.seq - b.seq || (a.id < b.id ? -1 : 1))
}

/** A line on the first page of the edit host; nothing when all that she signed is in the blog. */
export function leftOverNotice(entries: readonly Entry[]) {
  if (entries.length === 0) return ''
  return html`<p><strong>Not published: ${showCount(entries.length, 'entry', 'entries')}.</strong> You signed it, and the server that had it was lost before a second one did. <a href="/left">Read it, and sign it again</a></p>
`
}

async function showLeftOver(c: Context<WriteEnv>, spoke: WebSpoke) {
  const { visitor, open } = c.var
  const entries = await leftOver(open)
  const items = entries.map(
    (entry) => html`<section>
<h2 ${inLanguage(languageOf(entry))}>${titleOf(entry)}</h2>
<p>Entry ${entry.seq}, dated ${dayOf(entry.dateMs)}. Another entry has that number now.</p>
<pre tabindex="0"><code>${Buffer.from(entry.text).toString()}</code></pre>
</section>
`,
  )
  const main = html`${
    entries.length === 0
      ? html`<p>Everything that you signed, as far as the servers know that answer now, is in the blog.</p>`
      : html`<p>You signed these, and they are not in the blog: the server that had them was lost before a second one did. Nobody else sees them here. To publish one after all, copy its words from below the empty line into a new post, and sign it again.</p>
${items}`
  }
<p><a href="/write">Write a post</a>, or go <a href="/">back to ${open.blog.name}</a></p>`
  return c.html(accountPage(spoke, visitor, { title: 'Not published: sign again', main }))
}

const languageOf = (entry: Entry) => ('lang' in entry ? entry.lang : null)
const titleOf = (entry: Entry) =>
  'title' in entry && typeof entry.title === 'string'
    ? entry.title
    : `An entry of kind ${entry.kind}`
