import { html } from 'hono/html'
import type { BlogName } from '../replication/log/entry.ts'
import type { Html } from './layout.ts'
import { type LinkSource, spokeUrl } from './links.ts'
import { showInstant } from './plain-words.ts'
import type { Copies, Copy } from './spoke.ts'

/**
 * Who keeps a blog: server, what it is to the blog, since when it has its newest entry, and its
 * signed word for that.
 *
 * @param seq - the entry that is looked for; null for the blog's newest
 */
export function copiesOf(
  spoke: LinkSource,
  blog: BlogName,
  { replicas }: Copies,
  seq: number | null,
): Html {
  return html`<div tabindex="0"><table>
<thead>
<tr><th scope="col">Server</th><th scope="col">Is</th><th scope="col">Has it</th><th scope="col">Receipt</th></tr>
</thead>
<tbody>
${replicas.map((copy) => row(spoke, blog, copy, seq))}</tbody>
</table></div>`
}

function row(spoke: LinkSource, blog: BlogName, copy: Copy, seq: number | null): Html {
  const { receipt, isPrimary } = copy
  const name = copy.spoke ?? `${copy.peer.slice(0, 12)}…`
  const holds =
    receipt === null || receipt.seq < (seq ?? 0)
      ? 'not yet'
      : html`up to entry ${receipt.seq}, since <time datetime="${new Date(receipt.sinceMs).toISOString()}">${showInstant(receipt.sinceMs)}</time>`
  const file = (ending: string) =>
    spokeUrl(spoke, `/receipts/${blog}/${copy.spoke ?? copy.peer}.${ending}`)
  const links =
    receipt === null
      ? '–'
      : html`<a href="${file('txt')}">text</a>, <a href="${file('sig')}">signature</a>`
  return html`<tr><th scope="row">${name}</th><td>${isPrimary ? 'takes what you write' : 'keeps a copy'}</td><td>${holds}</td><td>${links}</td></tr>
`
}
