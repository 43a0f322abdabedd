import { html } from 'hono/html'
import { sameReplica } from '../replication/log/peer-text.ts'
import type { Loss, Lost } from '../replication/registry/loss.ts'
import { inLanguage } from './language.ts'
import type { Html } from './layout.ts'
import { type LinkSource, spokeUrl } from './links.ts'
import { showDay } from './plain-words.ts'
import type { OpenBlog } from './spoke.ts'

/**
 * Says on the pages of a blog what an operator gave up of it (`promote --accept-loss`), until it is
 * there again: a server that was thought lost may bring it back. Where nobody knows whether anything
 * is lost, until all that were silent are among its replicas again, with the stores they had.
 */
export function lossNotice(
  spoke: LinkSource,
  { blog, copies }: Pick<OpenBlog, 'blog' | 'copies'>,
  losses: readonly Loss[],
): Html {
  if (losses.length === 0) return html``
  const isThere = ({ last }: Lost) => blog.lines(last.seq, 1)[0]?.id === last.id
  const replicas = copies().replicas
  // With its store a replica brings back what it had, or its author is told what has no place any more.
  const areBack = (silent: Loss['silent']) =>
    silent.length > 0 && silent.every((each) => replicas.some((now) => sameReplica(now, each)))
  const open = losses.filter(({ lost, silent }) =>
    lost === null ? !areBack(silent) : !isThere(lost),
  )
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
