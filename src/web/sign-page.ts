import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import type { Verdict } from '../auth/verdict.ts'
import { ReplicationError } from '../replication/errors.ts'
import { type BlogName, decodeEntry, type Entry } from '../replication/log/entry.ts'
import { decodeOrder, type MoveOrder, orderFirstLine } from '../replication/registry/order.ts'
import type { AccountDesk } from './account.ts'
import { accountPage, formToken, here } from './account-frame.ts'
import { clientOf } from './client.ts'
import { failureSentence, statusOf } from './errors.ts'
import { formLimit, hidden, notice, readForm, textArea } from './form.ts'
import { type Arrival, handoverMs } from './handover.ts'
import type { Html } from './layout.ts'
import { blogUrl, editUrl, spokeUrl } from './links.ts'
import { staleForm, withoutSecrets } from './login-page.ts'
import { sentenceOfMove } from './move-words.ts'
import { limitRate, type RateLimits } from './rate-limit.ts'
import { type AccountEnv, isOwnForm, visitorOf } from './session-cookie.ts'
import { signatureIn } from './signed-paste.ts'
import type { SubmitAnswer, WebSpoke } from './spoke.ts'
import { signingLine } from './terminal-line.ts'

type Refused = { readonly code: string; readonly reason: string }
/** Another entry has the place of this one: what its author sees, with her text. */
export type ShowTaken = (
  c: Context,
  entry: Entry,
  answer: SubmitAnswer & { readonly kind: 'taken' },
) => Response | Promise<Response>

const lookAgainSeconds = 2

/** What an author signs on a page. */
export type Paper = Entry | MoveOrder

/** Reads a text to be signed, by its first line. Codes: those of `decodeEntry` and `decodeOrder`. */
function readPaper(text: Uint8Array): Verdict<Paper> {
  const isOrder = Buffer.from(text).toString('latin1').startsWith(`${orderFirstLine}\n`)
  return isOrder ? decodeOrder(text) : decodeEntry(text)
}

const blogOf = (paper: Paper): BlogName => (paper.kind === 'order' ? paper.blog : paper.log)

/**
 * `/sign`: shows the exact text to be signed, takes the signature pasted or by the one-line pipe, and
 * hands both in. The page carries the text itself, so any server can take it (DESIGN 6).
 */
export function signPages(spoke: WebSpoke, desk: AccountDesk, showTaken: ShowTaken) {
  const outcome = async (c: Context<AccountEnv>, paper: Paper, answer: Arrival, signed = '') => {
    if (answer.kind === 'refused')
      return askSignature(c, spoke, desk, paper, { refusal: answer, signed })
    if (paper.kind === 'order') return c.redirect(movedUrl(spoke, paper), 303)
    switch (answer.kind) {
      case 'claim':
        return c.redirect(spokeUrl(spoke, `/claim/${paper.id}`), 303)
      case 'taken':
        return showTaken(c, paper, answer)
      case 'published':
      case 'stored':
      case 'ordered':
        return c.redirect(publishedUrl(spoke, paper), 303)
    }
  }
  return new Hono<AccountEnv>()
    .get('/sign', (c) => {
      const { browser, host } = c.var.visitor
      const found = desk.handovers.ofBrowser(c.req.query('t') ?? '', host, browser)
      const paper = found === null ? null : readPaper(found.text)
      return paper?.ok ? askSignature(c, spoke, desk, paper.value, {}) : gonePage(c, spoke)
    })
    .post('/sign', formLimit(spoke), async (c) => {
      const fields = await readForm(c)
      const paper = readPaper(Buffer.from(fields('text')))
      if (!paper.ok)
        return c.html(brokenPage(c, spoke, fields('text'), paper), statusOf(paper.code))
      const signed = fields('signed')
      if (!isOwnForm(c.var.visitor, fields('token'))) {
        return askSignature(c, spoke, desk, paper.value, { refusal: staleForm, signed })
      }
      const signature = await signatureIn(signed, paper.value.text)
      return signature.ok
        ? outcome(c, paper.value, await handIn(spoke, paper.value, signature.value), signed)
        : askSignature(c, spoke, desk, paper.value, { refusal: signature, signed })
    })
    .get('/sign/wait', (c) => {
      const { browser, host } = c.var.visitor
      const found = desk.handovers.ofBrowser(c.req.query('t') ?? '', host, browser)
      const paper = found === null ? null : readPaper(found.text)
      if (found === null || !paper?.ok) return gonePage(c, spoke)
      if (found.arrival !== null) return outcome(c, paper.value, found.arrival)
      c.header('Refresh', String(lookAgainSeconds))
      const main = html`<p>This page looks again by itself every ${lookAgainSeconds} seconds. Run the line in your terminal; it shows the text before gpg signs it.</p>
<pre tabindex="0"><code>${lineOf(spoke, paper.value, found.token)}</code></pre>
<p><a href="/sign?t=${found.token}">Back to the text</a></p>`
      return c.html(
        accountPage(spoke, c.var.visitor, { title: 'Waiting for your signature', main }),
      )
    })
}

/**
 * `/sign/<token>.txt` and `/sign/<token>` on a spoke's own host, which has one address: what the
 * pipe fetches and sends. A terminal has no cookie, so these stand outside `visitors`.
 */
export function signPipe(spoke: WebSpoke, desk: AccountDesk, rates: RateLimits) {
  return new Hono()
    .get('/sign/:file{[0-9a-f]{32}\\.txt}', (c) => {
      c.header('Cache-Control', 'no-store')
      const found = desk.handovers.find((c.req.param('file') ?? '').slice(0, 32))
      return found === null
        ? c.text(`${goneSentence}\n`, 404)
        : c.body(Uint8Array.from(found.text), 200, { 'Content-Type': 'text/plain; charset=utf-8' })
    })
    .post(
      '/sign/:token{[0-9a-f]{32}}',
      limitRate(spoke, rates, 'form'),
      formLimit(spoke),
      async (c) => {
        c.header('Cache-Control', 'no-store')
        const found = desk.handovers.find(c.req.param('token') ?? '')
        const paper = found === null ? null : readPaper(found.text)
        if (found === null || !paper?.ok) return c.text(`${goneSentence}\n`, 404)
        const signature = await signatureIn(await c.req.text(), paper.value.text)
        const answer: Arrival = signature.ok
          ? await handIn(spoke, paper.value, signature.value)
          : { kind: 'refused', code: signature.code, reason: signature.reason }
        found.arrival = answer
        return c.text(`${terminalSentence(spoke, paper.value, answer)}\n`, statusOfAnswer(answer))
      },
    )
}

const goneSentence =
  'This text is not waiting here: half an hour has passed, or it was made at another server. Open it again in the browser.'

function statusOfAnswer(answer: Arrival) {
  switch (answer.kind) {
    case 'published':
      return 201
    case 'stored':
    case 'claim':
    case 'ordered':
      return 202
    case 'taken':
      return 409
    case 'refused':
      return statusOf(answer.code)
  }
}

function terminalSentence(spoke: WebSpoke, paper: Paper, answer: Arrival): string {
  switch (answer.kind) {
    case 'published':
      return `Published on ${answer.copies} of ${answer.wanted} servers: ${blogUrl(spoke, blogOf(paper))}`
    case 'stored':
      return `Not yet published: ${answer.reason ?? `stored on ${answer.copies} of ${answer.wanted} servers`}.`
    case 'claim':
      return `The name is asked for: ${spokeUrl(spoke, `/claim/${paper.id}`)}`
    case 'ordered':
      return sentenceOfMove(answer.move)
    case 'taken':
    case 'refused':
      return answer.reason
  }
}

/** Hands it in. What fails on the way is an answer too, so that the page can keep the text. */
async function handIn(spoke: WebSpoke, paper: Paper, signature: string): Promise<Arrival> {
  try {
    if (paper.kind !== 'order') return await spoke.submit(paper.text, signature)
    const moved = await spoke.order(paper.text, signature)
    if (moved.ok) return { kind: 'ordered', move: moved.value }
    return { kind: 'refused', code: moved.code, reason: moved.reason }
  } catch (error) {
    if (!(error instanceof ReplicationError)) throw error
    return { kind: 'refused', code: error.code, reason: failureSentence(error.code) }
  }
}

const buttons: Readonly<Record<Paper['kind'], string>> = {
  genesis: 'Ask for the name',
  post: 'Publish',
  retract: 'Remove the post',
  profile: 'Change',
  rekey: 'Change the key',
  order: 'Move the blog',
}

/** The page on which an author signs `paper`; after a refusal with what she sent. */
export function askSignature(
  c: Context,
  spoke: WebSpoke,
  desk: AccountDesk,
  paper: Paper,
  { refusal, signed = '' }: { readonly refusal?: Refused; readonly signed?: string },
) {
  const visitor = visitorOf(c)
  const text = Buffer.from(paper.text).toString('utf8')
  const { token } = desk.handovers.open(paper.text, { ...visitor, client: clientOf(c) })
  const back =
    paper.kind === 'post'
      ? html` <button type="submit" formaction="${here(spoke, visitor, '/write')}" name="action" value="edit">Back to writing</button>`
      : ''
  const main = html`${refusal === undefined ? '' : notice(refusal.reason)}
<p>This is exactly what you sign. No server can change a letter of it, and none can ${paper.kind === 'order' ? 'order' : 'publish'} without you.</p>
<pre tabindex="0" dir="auto"><code>${text}</code></pre>
<form method="post" action="${here(spoke, visitor, '/sign')}">
${formToken(visitor)}${hidden({ text })}
<p>Sign with gpg, in a folder of your own:</p>
<pre tabindex="0"><code>${pasteLines(spoke, paper, token)}</code></pre>
<p>Or sign the text above with <code>gpg -u ${paper.key} --clearsign</code> or with Mailvelope.</p>
${textArea({
  label: 'The signature, or the whole clear-signed text',
  name: 'signed',
  value: withoutSecrets(signed),
  rows: 8,
  isCode: true,
})}
<p><button type="submit">${buttons[paper.kind]}</button>${back}</p>
</form>
<h2>Or in one line</h2>
<p>It shows the text, and gpg signs it when you press Enter:</p>
<pre tabindex="0"><code>${lineOf(spoke, paper, token)}</code></pre>
<p>Then <a href="/sign/wait?t=${token}">wait here for the line</a>. It works for ${handoverMs / 60_000} minutes; pasting works for ever.</p>`
  const shown = accountPage(spoke, visitor, { title: 'Sign it yourself', main })
  return c.html(shown, refusal === undefined ? 200 : statusOf(refusal.code))
}

/** Lines whose output is pasted; they work in a shell as they stand. */
function pasteLines(spoke: WebSpoke, paper: Paper, token: string): string {
  const file = fileOf(paper)
  return [
    `curl -fsS '${spokeUrl(spoke, `/sign/${token}.txt`)}' -o ${file}`,
    `gpg -u ${paper.key} --armor --output - --detach-sign ${file}`,
  ].join('\n')
}

const fileOf = (paper: Paper) => (paper.kind === 'order' ? 'order.txt' : `${paper.seq}.txt`)

function lineOf(spoke: WebSpoke, paper: Paper, token: string): string {
  return signingLine({
    file: fileOf(paper),
    textUrl: spokeUrl(spoke, `/sign/${token}.txt`),
    answerUrl: spokeUrl(spoke, `/sign/${token}`),
    key: paper.key,
    how: 'detached',
  })
}

function publishedUrl(spoke: WebSpoke, { log, seq, id }: Entry): string {
  return editUrl(spoke, log, `/published?seq=${seq}&id=${id}`)
}

function movedUrl(spoke: WebSpoke, { blog, epoch, primary }: MoveOrder): string {
  return editUrl(spoke, blog, `/copies?moves=${epoch}&to=${primary}`)
}

function gonePage(c: Context<AccountEnv>, spoke: WebSpoke) {
  const main = html`${notice('This text is not waiting here any more: half an hour has passed, or another server has it. If your terminal said that it was published, it was.')}
<p>Go back in your browser to the page with the text: pasting the signature there works for ever.</p>
<p><a href="/">See what is published</a></p>`
  return c.html(accountPage(spoke, c.var.visitor, { title: 'Not waiting here', main }), 404)
}

/** A text that was changed on its way through the browser: shown, so that it is not lost. */
function brokenPage(c: Context<AccountEnv>, spoke: WebSpoke, text: string, refusal: Refused): Html {
  const main = html`${notice(refusal.reason)}
<p>What came here, for you to keep:</p>
<pre tabindex="0" dir="auto"><code>${text}</code></pre>`
  return accountPage(spoke, c.var.visitor, { title: 'This text cannot be signed', main })
}
