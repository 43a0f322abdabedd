import { Hono } from 'hono'
import { html } from 'hono/html'
import { parseEntryId } from '../replication/log/text.ts'
import { councilMasthead } from './council-frame.ts'
import { answerError, wantsJson } from './errors.ts'
import { type Html, page } from './layout.ts'
import { blogUrl, spokeUrl, zonePageUrl } from './links.ts'
import { showInstant } from './plain-words.ts'
import type { ClaimRecord, ClaimStep, WebSpoke } from './spoke.ts'

const refreshSeconds = 2

/** `/claim/<id>`: how far a claim has come, with each step and its time (DESIGN 5). */
export function claimPages(spoke: WebSpoke) {
  return new Hono().get('/claim/:id', async (c) => {
    const id = parseEntryId(c.req.param('id'))
    const claim = id === null ? null : await spoke.claim(id)
    if (claim === null) {
      const reason = 'Nobody here knows this claim. Look at the address, or claim the name again.'
      return answerError(c, spoke, 'CLAIM_UNKNOWN', reason)
    }
    c.header('Vary', 'Accept')
    c.header('Cache-Control', 'no-store')
    if (wantsJson(c)) return c.json(claimJson(spoke, claim))
    // The header does what a meta element would, and lets the page be valid for everybody.
    if (claim.state === 'pending') c.header('Refresh', String(refreshSeconds))
    return c.html(claimPage(spoke, claim))
  })
}

function claimJson(spoke: WebSpoke, { id, blog, state, steps, code, reason }: ClaimRecord) {
  return {
    id,
    blog,
    state,
    steps: steps.map(({ step, state, atMs, detail }) => ({
      step,
      state,
      at: atMs === null ? null : new Date(atMs).toISOString(),
      detail,
    })),
    ...(code === null ? {} : { code }),
    ...(reason === null ? {} : { reason }),
    url: blogUrl(spoke, blog),
  }
}

const headings: Readonly<Record<ClaimRecord['state'], string>> = {
  pending: 'is on its way',
  ready: 'is ready',
  refused: 'was refused',
}
const steps: Readonly<Record<ClaimStep['step'], string>> = {
  checked: 'Look at the request and its signature',
  'asked-dns': 'Ask the name servers whether the name is free',
  'asked-authority': 'Ask the authority for the name',
  assigned: 'Write down the name and the servers that keep the blog',
  copied: 'Copy the blog to a second server',
}
const states: Readonly<Record<ClaimStep['state'], string>> = {
  done: 'done',
  failed: 'failed',
  waiting: 'waiting',
}

function claimPage(spoke: WebSpoke, claim: ClaimRecord): Html {
  const heading = `The blog ${claim.blog} ${headings[claim.state]}`
  return page({
    title: heading,
    lang: 'en',
    canonical: null,
    masthead: councilMasthead(spoke),
    main: html`<h1>${heading}</h1>
<ol class="steps">
${claim.steps.map(stepItem)}</ol>
${outcome(spoke, claim)}`,
  })
}

function stepItem({ step, state, atMs, detail }: ClaimStep): Html {
  const at =
    atMs === null
      ? ''
      : html`, <time datetime="${new Date(atMs).toISOString()}">${showInstant(atMs)}</time>`
  const more = detail === '' ? '' : html`: ${detail}`
  return html`<li data-state="${state}">${steps[step]}: <strong>${states[state]}</strong>${at}${more}</li>
`
}

function outcome(spoke: WebSpoke, { id, state, blog, reason, code }: ClaimRecord): Html {
  const url = blogUrl(spoke, blog)
  switch (state) {
    case 'ready':
      return html`<p>Its address: <a href="${url}">${url}</a></p>
<p><a href="${spokeUrl(spoke, `/enter?blog=${blog}&to=/write`)}">Write your first post</a></p>`
    case 'pending':
      return html`<p>This page looks again by itself every ${refreshSeconds} seconds. You may close it: the claim goes on. Come back in a few minutes to <code>${zonePageUrl(spoke, `/claim/${id}`)}</code>, whichever server answers there.</p>`
    case 'refused':
      return html`<p>${reason ?? 'No reason was given.'}</p>
<p><small>${code}</small></p>
<p><a href="${spokeUrl(spoke, '/start/blog')}">Choose another name</a></p>`
  }
}
