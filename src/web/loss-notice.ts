import { html } from 'hono/html'
import type { Blog } from '../replication/log/blog.ts'
import type { Loss, Lost } from '../replication/registry/loss.ts'
import { inLanguage } from './language.ts'
import type { Html } from './layout.ts'
import { type LinkSource, spokeUrl } from './links.ts'
import { showDay } from './plain-words.ts'

/**
 * Says on the pages of a blog what an operator gave up of it (`promote --accept-loss`), until it is
 * there again: a server that was thought lost may bring it back.
 */
export function lossNotice(
  spoke: LinkSource,
  blog: Pick<Blog, 'lines'>,
  losses: readonly Loss[],
): Html {
  const isBack = ({ last }: Lost) => blog.lines(last.seq, 1)[0]?.id === last.id
  const open = losses.filter(({ lost }) => lost === null || !isBack(lost))
  if (open.length === 0) return html``
  return html`<section aria-label="What was lost" ${inLanguage('en')}>
${open.map(
  ({ lost, dateMs, reason, seq }) =>
    html`<p><strong>${headline(lost)}</strong> Too few of the servers that kept it answered, and on <time datetime="${new Date(dateMs).toISOString()}">${showDay(dateMs)}</time> the operator of the council went on without them. In the operator’s words: <q dir="auto">${reason}</q>. <a href="${spokeUrl(spoke, `/acts/names/${seq}.txt`)}">The act, with who had what</a>.</p>
`,
)}</section>
`
}

function headline(lost: Lost | null): string {
  if (lost === null) return 'Entries of this blog may be lost.'
  const { from, last } = lost
  return from === last.seq
    ? `Entry ${from} of this blog is lost.`
    : `Entries ${from} to ${last.seq} of this blog are lost.`
}
