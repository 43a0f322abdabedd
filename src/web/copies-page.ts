import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import type { PeerName } from '../auth/peer-signature.ts'
import { type Refusal, refuse } from '../auth/verdict.ts'
import type { MemberRecord } from '../replication/registry/act.ts'
import { encodeOrder } from '../replication/registry/order.ts'
import type { AccountDesk } from './account.ts'
import { accountPage, formToken, here } from './account-frame.ts'
import type { WriteEnv } from './compose-page.ts'
import { copiesOf } from './copies.ts'
import { whyNoWriter, writersOnly } from './edit-host.ts'
import { statusOf } from './errors.ts'
import { formLimit, notice, readForm, selectField } from './form.ts'
import type { Html } from './layout.ts'
import { staleForm } from './login-page.ts'
import { isOwnForm } from './session-cookie.ts'
import { askSignature } from './sign-page.ts'
import type { Copies, WebSpoke } from './spoke.ts'

/** How often a page that waits for a move looks again, s. */
const lookAgainSeconds = 2

/**
 * `/copies` on an edit host: who keeps the blog, and the order that another spoke takes its writes,
 * which its author signs like a post. With `?moves=<epoch>&to=<peer>` it follows one that was taken.
 */
export function copiesPages(spoke: WebSpoke, desk: AccountDesk) {
  return new Hono<WriteEnv>()
    .get('/copies', writersOnly(spoke), (c) => showCopies(c, spoke, null))
    .post('/copies', formLimit(spoke), (c) => takeOrder(c, spoke, desk))
}

/** How far a move has come that was ordered while `epoch` was in force. Pure. */
export function moveState(
  { epoch, needed, replicas }: Copies,
  ordered: { readonly epoch: number; readonly to: string },
): 'waits' | 'led' | 'done' | 'kept' {
  const primary = replicas.find(({ isPrimary }) => isPrimary)
  if (primary?.peer !== ordered.to || epoch < ordered.epoch) return 'waits'
  // It led when the order was made: that takes back what was ordered before.
  if (epoch === ordered.epoch) return 'kept'
  // Receipts count under the act in force alone: with enough of them it takes writes.
  const given = replicas.filter(({ receipt }) => receipt !== null).length
  return given >= (needed ?? 1) ? 'done' : 'led'
}

function showCopies(
  c: Context<WriteEnv>,
  spoke: WebSpoke,
  refusal: Refusal | null,
  chosen = '',
): Response | Promise<Response> {
  const { visitor, open } = c.var
  const copies = open.copies()
  const followed = followedMove(c, spoke, copies)
  const main = html`${refusal === null ? '' : notice(refusal.reason)}${progress(c, copies, followed)}
${copiesOf(spoke, open.blog.name, copies, null)}
<h2>Move it to another server</h2>
${moveForm(spoke, c, copies, { chosen, isWaiting: followed?.state === 'waits' })}
<p>With the program and gpg, from a terminal:</p>
<pre tabindex="0"><code>./council transfer ${open.blog.name} &lt;server&gt; --signed --at ${here(spoke, visitor, '/')} --key ${open.blog.key}</code></pre>
<p><a href="/">Back to ${open.blog.name}</a></p>`
  const title = `Copies of ${open.blog.name}`
  const shown = accountPage(spoke, visitor, { title, main })
  return c.html(shown, refusal === null ? 200 : statusOf(refusal.code))
}

type Followed = { readonly name: string; readonly state: ReturnType<typeof moveState> }

/** The order that the address names, and how far it has come; null: it names none. */
function followedMove(c: Context<WriteEnv>, spoke: WebSpoke, copies: Copies): Followed | null {
  const moves = c.req.query('moves') ?? ''
  const to = c.req.query('to') ?? ''
  const name = spoke.roster()?.members.get(to as PeerName)?.name
  if (!/^[0-9]{1,15}$/.test(moves) || name === undefined) return null
  return { name, state: moveState(copies, { epoch: Number(moves), to }) }
}

function progress(c: Context<WriteEnv>, copies: Copies, followed: Followed | null): Html {
  if (followed === null) return html``
  const { name, state } = followed
  if (state === 'kept')
    return html`<p role="status"><strong>Nothing is moved.</strong> ${name} goes on taking what you write.</p>`
  if (state === 'done') {
    return html`<p role="status"><strong>Moved.</strong> ${name} takes what you write, since epoch ${copies.epoch}.</p>`
  }
  c.header('Refresh', String(lookAgainSeconds))
  const words =
    state === 'led'
      ? html`<strong>${name} leads,</strong> and takes what you write as soon as enough of the others follow it.`
      : html`<strong>The order is taken.</strong> ${name} copies what it lacks; until then all stays as it is, and you can go on publishing.`
  return html`<p role="status">${words} This page looks again by itself every ${lookAgainSeconds} seconds. You may close it.</p>`
}

function moveForm(
  spoke: WebSpoke,
  c: Context<WriteEnv>,
  copies: Copies,
  { chosen, isWaiting }: { readonly chosen: string; readonly isWaiting: boolean },
): Html {
  const leader = leaderOf(copies)
  // Whoever waits may think again.
  const members = choices(spoke).filter(({ peer }) => isWaiting || peer !== leader)
  if (members.length === 0) {
    return html`<p>There is no other server in this council now that could take what you write.</p>`
  }
  const keeps = new Set(copies.replicas.map(({ peer }) => peer))
  const options = members.map(({ peer, name, operator, country }) => ({
    value: name,
    words: `${name}, run by ${operator}${country === null ? '' : `, ${country}`}${peer === leader ? ', leads now: takes the order back' : keeps.has(peer) ? ', keeps a copy' : ''}`,
  }))
  return html`<p>Another server then takes what you write. It copies the blog first, if it has no copy; its address stays the same, and you can go on publishing meanwhile. You sign the order, and it stays public with your signature.</p>
<form method="post" action="${here(spoke, c.var.visitor, '/copies')}">
${formToken(c.var.visitor)}${selectField({ label: 'Server', name: 'spoke', value: chosen, options })}
<p><button type="submit">Go on to sign</button></p>
</form>`
}

const leaderOf = ({ replicas }: Copies) => replicas.find(({ isPrimary }) => isPrimary)?.peer

/** The spokes that may be chosen: those in DNS. */
function choices(spoke: WebSpoke): MemberRecord[] {
  return [...(spoke.roster()?.members.values() ?? [])]
    .filter(({ roles, cutOff, away }) => roles.includes('spoke') && !cutOff && !away)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function takeOrder(c: Context<WriteEnv>, spoke: WebSpoke, desk: AccountDesk) {
  const { visitor, open } = c.var
  const fields = await readForm(c)
  const chosen = fields('spoke')
  if (!isOwnForm(visitor, fields('token'))) return showCopies(c, spoke, staleForm, chosen)
  const refusal = await whyNoWriter(c, spoke)
  if (refusal !== null) return showCopies(c, spoke, refusal, chosen)
  const copies = open.copies()
  const member = choices(spoke).find(({ name }) => name === chosen)
  if (member === undefined) {
    const unknown = refuse(
      'MEMBER_UNKNOWN',
      'That server cannot take this blog now. Choose another one.',
    )
    return showCopies(c, spoke, unknown)
  }
  const { blog } = open
  const order = encodeOrder({
    ...{ council: blog.council, blog: blog.name, act: copies.act, epoch: copies.epoch },
    ...{ primary: member.peer, spoke: member.name, dateMs: spoke.now(), key: blog.key },
  })
  return order.ok
    ? askSignature(c, spoke, desk, order.value, {})
    : showCopies(c, spoke, order, chosen)
}
