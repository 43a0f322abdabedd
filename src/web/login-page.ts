import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import { makeNew } from '../auth/accept-list.ts'
import type { Challenge } from '../auth/challenge.ts'
import {
  type Fingerprint,
  keyStateAt,
  minimalKey,
  type PublicKey,
  parseFingerprint,
} from '../auth/public-key.ts'
import { accept, refuse, type Verdict } from '../auth/verdict.ts'
import { parseBlogName } from '../replication/log/entry.ts'
import { reasonWord } from '../replication/registry/revoked-keys.ts'
import type { AccountDesk } from './account.ts'
import { accountPage, formToken, here, safePath } from './account-frame.ts'
import { clientOf } from './client.ts'
import { statusOf } from './errors.ts'
import { formLimit, hidden, notice, readForm, textArea, textField } from './form.ts'
import { keyHelpPath } from './help-page.ts'
import type { Html } from './layout.ts'
import { spokeUrl } from './links.ts'
import { showDay, showFingerprint, showInstant } from './plain-words.ts'
import { limitRate, type RateLimits } from './rate-limit.ts'
import {
  type AccountEnv,
  endSession,
  isOwnForm,
  startSession,
  visitorOf,
} from './session-cookie.ts'
import type { WebSpoke } from './spoke.ts'
import { decryptingLine, signingLine } from './terminal-line.ts'

/** What looking a key up takes at least, ms. */
const lookUpMs = 300
/** How often a page that waits looks again, s. */
const lookAgainSeconds = 2

/**
 * `/login` on a spoke's own host: proves that a browser's user holds a key, by decrypting a text or
 * by signing a line (DESIGN 6). Edit hosts have two addresses, so logins are not kept there: they
 * send people here, and `/enter` brings them back.
 */
export function loginPages(spoke: WebSpoke, desk: AccountDesk) {
  return new Hono<AccountEnv>()
    .get('/login', (c) => askWho(c, spoke, {}))
    .post('/login', formLimit(spoke), (c) => takeWho(c, spoke, desk))
    .get('/login/answer', (c) => askAnswer(c, spoke, desk, null))
    .post('/login/answer', formLimit(spoke), (c) => takeAnswer(c, spoke, desk))
    .get('/login/wait', (c) => waitForPipe(c, spoke, desk))
}

/**
 * `/login/c` and `/login/a`: what the one-line pipe fetches and sends. A terminal has no cookie, so
 * these stand outside `visitors`; the token in the address is what the waiting browser was given.
 */
export function loginPipe(spoke: WebSpoke, desk: AccountDesk, rates: RateLimits) {
  return new Hono()
    .get('/login/c', (c) => {
      c.header('Cache-Control', 'no-store')
      const challenge = desk.challenges.byPipe(c.req.query('t') ?? '')
      if (challenge === null) return c.text(`${pipeOver}\n`, 404)
      return c.text(challenge.kind === 'decrypt' ? challenge.message : challenge.text)
    })
    .post('/login/a', limitRate(spoke, rates, 'login'), formLimit(spoke), async (c) => {
      c.header('Cache-Control', 'no-store')
      const answered = await desk.challenges.answerPipe(c.req.query('t') ?? '', await c.req.text())
      if (!answered.ok) return c.text(`${answered.reason}\n`, statusOf(answered.code))
      return c.text(
        `The browser tab that shows ${answered.value.number} at ${answered.value.host} is logged in now. If no tab of yours shows it, somebody has tricked you: log in there yourself and log out.\n`,
      )
    })
}

const pipeOver = 'This login is over. Begin again in the browser.'

// Who?

type Ask = { readonly who?: string; readonly refusal?: { code: string; reason: string } }

function askWho(c: Context<AccountEnv>, spoke: WebSpoke, { who, refusal }: Ask) {
  const { visitor } = c.var
  const next = safePath(c.req.query('next'), '/my')
  const field = textArea({
    label: 'Your blog’s name, your key’s fingerprint, or your public key',
    name: 'who',
    value: withoutSecrets(who ?? ''),
    rows: 4,
    required: true,
    isCode: true,
    hint: html`Never your secret key. Where are these? See <a href="${spokeUrl(spoke, keyHelpPath)}">help with keys</a>.`,
  })
  const main = html`${refusal === undefined ? '' : notice(refusal.reason)}
<p>You show that a key is yours by decrypting a short text with it, or by signing a line. Nothing secret leaves your computer.</p>
<form method="post" action="${here(spoke, visitor, '/login')}">
${formToken(visitor)}${hidden({ next })}${field}
<p><button type="submit">Go on</button></p>
</form>
<p>No account yet? <a href="${spokeUrl(spoke, '/start')}">Start a blog</a>.</p>`
  const shown = accountPage(spoke, visitor, { title: 'Log in', main })
  return c.html(shown, refusal === undefined ? 200 : statusOf(refusal.code))
}

async function takeWho(c: Context<AccountEnv>, spoke: WebSpoke, desk: AccountDesk) {
  const { visitor } = c.var
  const fields = await readForm(c)
  const who = fields('who').trim()
  if (!isOwnForm(visitor, fields('token'))) return askWho(c, spoke, { who, refusal: staleForm })
  // A key that is unknown, cannot be used or is good: how long it took must not tell which.
  const [key] = await Promise.all([findKey(spoke, desk, who), spoke.wait(lookUpMs)])
  if (!key.ok) return askWho(c, spoke, { who, refusal: key })
  return openChallenge(c, spoke, desk, key.value, fields('next'))
}

/** What is said when a form was made before the browser got its present cookie. */
export const staleForm = refuse(
  'FORM_STALE',
  'This page was open since before your last login here, or your browser keeps no cookies for this address. Nothing was done and nothing is lost: send it once more.',
)

/** The same words whatever is wrong: the form is no place to find out about other people's keys. */
const noKey = refuse(
  'LOGIN_NO_KEY',
  'No key that can be used now was found for that. Look at the spelling, or paste your public key: then this page says what is wrong with it.',
)

async function findKey(
  spoke: WebSpoke,
  desk: AccountDesk,
  who: string,
): Promise<Verdict<PublicKey>> {
  if (who.includes('-----BEGIN PGP')) {
    const key = await readOwnKey(desk, who)
    return key.ok ? isUsable(spoke, key.value, null, dayMs) : key
  }
  const armored = await armoredOf(spoke, who)
  const key = armored === null ? noKey : await desk.keys.read(armored)
  const usable = key.ok ? await isUsable(spoke, key.value, null, dayMs) : key
  return usable.ok ? usable : noKey
}

const dayMs = 24 * 3_600_000

/**
 * Whether a key may be used now: neither expired nor revoked, as far as the key itself, the council
 * and the key servers of the config say. Who cannot be asked changes nothing (DESIGN 3.2).
 * Codes: those of `keyStateAt`.
 *
 * @param maxAgeMs - an older word of the key servers does not count any more
 */
export async function isUsable(
  spoke: WebSpoke,
  key: PublicKey,
  gpgId: string | null,
  maxAgeMs: number,
): Promise<Verdict<PublicKey>> {
  const alive = await keyStateAt(key, new Date(spoke.now()))
  if (!alive.ok) return alive
  const known = await spoke.revocation(key.fingerprint)
  if (known !== null) return revokedKey(key.fingerprint, known.dateMs, reasonWord(known))
  const word = await spoke.askKeyServers(key.fingerprint, gpgId, maxAgeMs)
  return word.kind === 'revoked'
    ? revokedKey(key.fingerprint, word.dateMs, reasonWord(word))
    : accept(key)
}

/** Refuses a key that is revoked. Code KEY_REVOKED. */
export function revokedKey(key: Fingerprint, dateMs: number, why: string) {
  return refuse(
    'KEY_REVOKED',
    `The key ${showFingerprint(key)} was revoked on ${showDay(dateMs)} (${why}), so nothing can be written with it any more. ${makeNew}`,
  )
}

/** What is shown again of a paste: never a secret key, which would then stand in one more place. */
export function withoutSecrets(pasted: string): string {
  return /-----BEGIN PGP PRIVATE/.test(pasted) ? '' : pasted
}

/** Characters of a key with which a blog can begin: its first entry holds it, and little else. */
const maxOwnKey = 63 * 1024

/**
 * A key as it was pasted, without what others signed. Codes: those of `minimalKey`, and KEY_TOO_LARGE
 * for one that fits in no entry.
 */
export async function readOwnKey(desk: AccountDesk, armored: string): Promise<Verdict<PublicKey>> {
  const minimal = await minimalKey(armored)
  if (!minimal.ok) return minimal
  return minimal.value.length <= maxOwnKey
    ? desk.keys.read(minimal.value)
    : refuse(
        'KEY_TOO_LARGE',
        `The key is larger than ${maxOwnKey} bytes, also without the signatures of other people, and fits in no entry. Export it with fewer user ids: gpg --armor --export-options export-minimal --export-filter keep-uid='uid =~ you@example.org' --export`,
      )
}

async function armoredOf(spoke: WebSpoke, who: string): Promise<string | null> {
  const fingerprint = parseFingerprint(who.replace(/\s/g, '').toUpperCase())
  if (fingerprint !== null) return keyOf(spoke, fingerprint)
  const blog = parseBlogName(who.toLowerCase().replace(`.${spoke.zone}`, ''))
  const open = blog === null ? 'unknown' : await spoke.openBlog(blog)
  return typeof open === 'string' ? null : ((await open.keys())[0] ?? null)
}

/** The armored public key of a fingerprint, from its account here or from a blog that it writes. */
export async function keyOf(spoke: WebSpoke, key: Fingerprint): Promise<string | null> {
  const known = await spoke.accounts.find(key)
  if (known !== null) return known
  for (const blog of await spoke.blogsOf(key)) {
    const open = await spoke.openBlog(blog)
    if (typeof open !== 'string' && open.blog.key === key) return (await open.keys())[0] ?? null
  }
  return null
}

// Prove it.

/** Opens a challenge for a key that is good now, and leads to its page. */
export async function openChallenge(
  c: Context<AccountEnv>,
  spoke: WebSpoke,
  desk: AccountDesk,
  key: PublicKey,
  next: string,
) {
  const { visitor } = c.var
  const council = spoke.council()
  if (council === null) return askWho(c, spoke, { refusal: notJoined })
  const { host, browser } = visitor
  const challenge = await desk.challenges.open(key, {
    ...{ council, host, browser },
    client: clientOf(c),
  })
  const goOn = encodeURIComponent(safePath(next, '/my'))
  return c.redirect(`/login/answer?id=${challenge.id}&next=${goOn}`, 303)
}

export const notJoined = refuse(
  'NOT_READY',
  'This server has not joined its council yet. Try again in a minute.',
)

type Refused = { readonly code: string; readonly reason: string }

function askAnswer(
  c: Context<AccountEnv>,
  spoke: WebSpoke,
  desk: AccountDesk,
  refusal: Refused | null,
  sent: { id?: string; next?: string } = {},
) {
  const { visitor } = c.var
  const id = sent.id ?? c.req.query('id') ?? ''
  const next = safePath(sent.next ?? c.req.query('next'), '/my')
  const challenge = desk.challenges.find(id, visitor.browser)
  if (challenge === null) {
    const over =
      refusal ??
      refuse(
        'LOGIN_EXPIRED',
        'This login is over, or it was begun in another browser. Begin again.',
      )
    return askWho(c, spoke, { refusal: over })
  }
  const main = html`${refusal === null ? '' : notice(refusal.reason)}
<p>Key <code>${showFingerprint(challenge.key)}</code>. This page counts until ${showInstant(challenge.expiresMs)}, once, and for <strong>${visitor.host}</strong> only.</p>
${challenge.kind === 'decrypt' ? decryptSteps(challenge) : signSteps(challenge)}
<form method="post" action="${here(spoke, visitor, '/login/answer')}">
${formToken(visitor)}${hidden({ id, next })}${answerField(challenge)}
<p><button type="submit">Log in</button></p>
</form>
${pipeSteps(spoke, challenge, next)}`
  const shown = accountPage(spoke, visitor, { title: 'Show that the key is yours', main })
  return c.html(shown, refusal === null ? 200 : statusOf(refusal.code))
}

function decryptSteps({ message, host }: Challenge & { readonly kind: 'decrypt' }): Html {
  return html`<p>Run <code>gpg -d</code>, paste this text, and press Ctrl-D:</p>
<pre tabindex="0"><code>${message}</code></pre>
<p>Go on only if the first line of what comes out reads <code>council-login/1</code> and its host is <code>${host}</code>. Then copy what stands behind <code>code:</code>, and nothing else.</p>`
}

function signSteps({ text, why, key }: Challenge & { readonly kind: 'sign' }): Html {
  const because =
    why === null
      ? ''
      : html`<p>A text cannot be encrypted to this key, since ${why}. So sign instead.</p>
`
  return html`${because}<p>Run <code>gpg -u ${key} --clearsign</code>, paste this text, and press Ctrl-D:</p>
<pre tabindex="0"><code>${text}</code></pre>`
}

function answerField({ kind }: Challenge): Html {
  return kind === 'decrypt'
    ? textField({
        label: 'The code',
        name: 'answer',
        required: true,
        isCode: true,
        complete: 'one-time-code',
      })
    : textArea({
        label: 'What gpg printed',
        name: 'answer',
        rows: 8,
        required: true,
        isCode: true,
      })
}

function pipeSteps(spoke: WebSpoke, challenge: Challenge, next: string): Html {
  const { id, kind, pipe, key, host, number } = challenge
  const url = (path: string) => `${spoke.origin(host)}${path}?t=${pipe}`
  const [textUrl, answerUrl] = [url('/login/c'), url('/login/a')]
  const line =
    kind === 'decrypt'
      ? decryptingLine({ textUrl, answerUrl, host })
      : signingLine({ file: 'login.txt', textUrl, answerUrl, key, how: 'clear' })
  const sent =
    kind === 'decrypt'
      ? 'It sends the code alone, and only if the text is a login at this host:'
      : 'It shows the text, and gpg signs it when you press Enter:'
  return html`<h2>Or in one line</h2>
<p>In a terminal with curl and gpg. ${sent}</p>
<pre tabindex="0"><code>${line}</code></pre>
<p>Then <a href="/login/wait?id=${id}&amp;next=${encodeURIComponent(next)}">wait here for the line</a>. The terminal names a number when it is done; yours is <strong>${number}</strong>.</p>`
}

async function takeAnswer(c: Context<AccountEnv>, spoke: WebSpoke, desk: AccountDesk) {
  const { visitor } = c.var
  const fields = await readForm(c)
  const sent = { id: fields('id'), next: fields('next') }
  if (!isOwnForm(visitor, fields('token'))) return askAnswer(c, spoke, desk, staleForm, sent)
  const proved = await desk.challenges.answer(sent.id, fields('answer'), visitor.browser)
  if (!proved.ok) return askAnswer(c, spoke, desk, proved, sent)
  return letIn(c, spoke, proved.value.key, sent.next)
}

/** Looks at every refresh whether the line in the terminal has been run. */
async function waitForPipe(c: Context<AccountEnv>, spoke: WebSpoke, desk: AccountDesk) {
  const { visitor } = c.var
  const id = c.req.query('id') ?? ''
  const proved = desk.challenges.collect(id, visitor.browser)
  if (proved !== null) return letIn(c, spoke, proved.key, c.req.query('next'))
  const challenge = desk.challenges.find(id, visitor.browser)
  if (challenge === null) return askAnswer(c, spoke, desk, null)
  c.header('Refresh', String(lookAgainSeconds))
  const back = `/login/answer?id=${id}&next=${encodeURIComponent(safePath(c.req.query('next'), '/my'))}`
  const main = html`<p>This page looks again by itself every ${lookAgainSeconds} seconds, until ${showInstant(challenge.expiresMs)}. Number of this tab: <strong>${challenge.number}</strong>.</p>
<p><a href="${back}">Back to the text and the line</a></p>`
  return c.html(accountPage(spoke, visitor, { title: 'Waiting for your terminal', main }))
}

async function letIn(
  c: Context<AccountEnv>,
  spoke: WebSpoke,
  key: PublicKey,
  next: string | undefined,
) {
  await spoke.accounts.keep(key.fingerprint, key.armored)
  if (!startSession(c, spoke, key.fingerprint, null))
    return askWho(c, spoke, { refusal: notJoined })
  return c.redirect(safePath(next, '/my'), 303)
}

/** `POST /logout`, on a spoke's own host and on edit hosts. */
export async function endLogin(c: Context, spoke: WebSpoke, desk: AccountDesk) {
  const visitor = visitorOf(c)
  const fields = await readForm(c)
  if (!isOwnForm(visitor, fields('token'))) {
    const main = html`${notice(staleForm.reason)}
<form method="post" action="${here(spoke, visitor, '/logout')}">
${formToken(visitor)}<p><button type="submit">Log out</button></p>
</form>`
    return c.html(accountPage(spoke, visitor, { title: 'Log out', main }), 403)
  }
  endSession(c, spoke, desk)
  const main = html`<p>You are logged out at this server. Close the tabs in which you wrote.</p>
<p><a href="${spokeUrl(spoke, '/login')}">Log in again</a></p>`
  return c.html(accountPage(spoke, visitor, { title: 'Logged out', main }))
}

/** A key that may be used, as `findKey` says it: for pages that need the key of the session. */
export async function sessionKey(
  spoke: WebSpoke,
  desk: AccountDesk,
  key: Fingerprint,
): Promise<Verdict<PublicKey>> {
  const armored = await keyOf(spoke, key)
  if (armored === null) {
    return refuse(
      'ACCOUNT_UNKNOWN',
      'This server does not know your public key any more. Log in once more and paste it there.',
    )
  }
  const read = await desk.keys.read(armored)
  return read.ok ? isUsable(spoke, read.value, null, dayMs) : read
}
