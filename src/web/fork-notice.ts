import { html } from 'hono/html'
import type { Fork } from '../replication/exchange/proofs.ts'
import type { Blog } from '../replication/log/blog.ts'
import { inLanguage } from './language.ts'
import type { Html } from './layout.ts'

/**
 * Says on every page of a blog that its key has signed two versions of one place, until its author
 * goes on: the entry that she signs next says which of them she stands by (REPLICATION 16).
 */
export function forkNotice({ head }: Pick<Blog, 'head'>, forks: readonly Fork[]): Html {
  const open = forks.filter(({ endedAt }) => head.seq <= endedAt)
  if (open.length === 0) return html``
  return html`<section aria-label="Two versions" ${inLanguage('en')}>
${open.map(
  ({ seq }) =>
    html`<p><strong>Two versions were signed as entry ${seq} of this blog.</strong> Servers may show one or the other until its author goes on writing. <a href="/forks.json">Both, with their signatures</a>.</p>
`,
)}</section>
`
}

/** The same of the council's own logs: whoever signed both can give no good reason. */
export function actForkNotice(forks: readonly Fork[]): Html {
  if (forks.length === 0) return html``
  const items = forks.map(
    ({ log, seq }) => html`<li>${log} ${seq}</li>
`,
  )
  return html`<section aria-label="Two acts">
<p><strong>The authority has signed two different acts for one place.</strong> Each server obeys the one that it had in force first. <a href="/acts/forks.json">Both, with their signatures</a>:</p>
<ul>
${items}</ul>
</section>
`
}
