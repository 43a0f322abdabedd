import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import type { Blog } from '../replication/log/blog.ts'
import type { Entry } from '../replication/log/entry.ts'
import { accountPage } from './account-frame.ts'
import type { WriteEnv } from './compose-page.ts'
import { writersOnly } from './edit-host.ts'
import { inLanguage } from './language.ts'
import type { Html } from './layout.ts'
import { type LeftOver, leftOver, notAgain } from './left-over.ts'
import { showCount } from './plain-words.ts'
import { dayOf } from './post-list.ts'
import type { WebSpoke } from './spoke.ts'

/**
 * `/left`, for the author alone: what she signed that is in no log, since the server that had it was
 * lost before a second one had it, and something else took its place (REPLICATION 10, 13, 16). A
 * click opens each in its form, to be signed again.
 */
export function leftOverPages(spoke: WebSpoke) {
  return new Hono<WriteEnv>().get('/left', writersOnly(spoke), async (c) => showLeftOver(c, spoke))
}

/** A line on the first page of the edit host; nothing when all that she signed is in the blog. */
export function leftOverNotice(found: readonly LeftOver[]) {
  const { length } = notAgain(found)
  if (length === 0) return ''
  return html`<p><strong>Not published: ${showCount(length, 'entry', 'entries')}.</strong> You signed ${length === 1 ? 'it, and the server that had it was' : 'them, and the server that had them was'} lost before a second one did. <a href="/left">Read ${length === 1 ? 'it' : 'them'}, and sign again</a></p>
`
}

async function showLeftOver(c: Context<WriteEnv>, spoke: WebSpoke) {
  const { visitor, open } = c.var
  const { blog } = open
  const found = await leftOver(open)
  const missing = notAgain(found)
  const said = found.filter(({ again }) => again !== null)
  const main = html`${
    missing.length === 0
      ? html`<p>Everything that you signed, as far as the servers know that answer now, is in the blog.</p>`
      : html`<p>You signed these, and they are not in the blog: the server that had them was lost before a second one did. Nobody else sees them here. Each can be published after all, with a new signature.</p>
${missing.map((each) => section(blog, each.entry))}`
  }
${
  said.length === 0
    ? ''
    : html`<h2>Published again</h2>
<ul>
${said.map(
  ({
    entry,
    again,
  }) => html`<li><span ${inLanguage(languageOf(entry))}>${titleOf(entry)}</span>: what was entry ${entry.seq} is entry ${again} of the blog, with the same words</li>
`,
)}</ul>
`
}<p><a href="/write">Write a post</a>, or go <a href="/">back to ${blog.name}</a></p>`
  return c.html(accountPage(spoke, visitor, { title: 'Not published: sign again', main }))
}

function section(blog: Blog, entry: Entry): Html {
  return html`<section>
<h2 ${inLanguage(languageOf(entry))}>${titleOf(entry)}</h2>
<p>Entry ${entry.seq}, dated ${dayOf(entry.dateMs)}.${entry.seq <= blog.head.seq ? ' Another entry has that number now.' : ''}</p>
${wayBack(blog, entry)}
<details>
<summary>The text that you signed</summary>
<pre tabindex="0" dir="auto"><code>${Buffer.from(entry.text).toString()}</code></pre>
</details>
</section>
`
}

/** Where its words stand in a form. The text is not in the address: that form fetches it again. */
function wayBack(blog: Blog, entry: Entry): Html {
  const link = (path: string, words: string) =>
    html`<p><a href="${path}?left=${entry.id}">${words}</a></p>`
  switch (entry.kind) {
    case 'post':
      return blog.post(entry.slug) === null
        ? link('/write', 'Sign it again')
        : link('/write', 'Sign it again, as the newest version of its post')
    case 'profile':
      return link('/about', 'Sign it again')
    case 'retract': {
      const post = blog.post(entry.slug)
      if (post !== null && post.retracted === null) return link('/remove', 'Sign it again')
      return html`<p>The blog shows no post “${entry.slug}”: there is nothing to remove.</p>`
    }
    default:
      return html`<p>No page makes an entry of this kind: sign it with the program that made it.</p>`
  }
}

const languageOf = (entry: Entry) => ('lang' in entry ? entry.lang : null)
function titleOf(entry: Entry): string {
  if (entry.kind === 'retract') return `Removing “${entry.slug}”`
  return 'title' in entry ? entry.title : `An entry of kind ${entry.kind}`
}
