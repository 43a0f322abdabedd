import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import { cutText } from '../auth/cut-text.ts'
import type { Fingerprint, PublicKey } from '../auth/public-key.ts'
import { accept, refuse, type Verdict } from '../auth/verdict.ts'
import { blogNameRule, encodeEntry, parseBlogName } from '../replication/log/entry.ts'
import { formatDate } from '../replication/log/text.ts'
import type { AccountDesk } from './account.ts'
import { accountPage, formToken, here } from './account-frame.ts'
import { needsLogin } from './enter-page.ts'
import { statusOf } from './errors.ts'
import { formLimit, notice, readForm, textArea, textField } from './form.ts'
import { keyHelpPath } from './help-page.ts'
import { blogUrl, spokeUrl } from './links.ts'
import {
  isUsable,
  notJoined,
  openChallenge,
  readOwnKey,
  sessionKey,
  staleForm,
  withoutSecrets,
} from './login-page.ts'
import { showDay, showFingerprint } from './plain-words.ts'
import { type AccountEnv, isOwnForm } from './session-cookie.ts'
import { askSignature } from './sign-page.ts'
import type { WebSpoke } from './spoke.ts'

type Refused = { readonly code: string; readonly reason: string }

/** `/start` on a spoke's own host: an account is a public key; then a name for the blog. */
export function startPages(spoke: WebSpoke, desk: AccountDesk) {
  return new Hono<AccountEnv>()
    .get('/start', (c) =>
      c.var.visitor.session === null
        ? askKey(c, spoke, { key: '', gpgId: '' }, null)
        : c.redirect('/start/blog', 303),
    )
    .post('/start', formLimit(spoke), (c) => takeKey(c, spoke, desk))
    .get('/start/blog', (c) => needsLogin(c, spoke) ?? askName(c, spoke, '', null))
    .post('/start/blog', formLimit(spoke), (c) => takeName(c, spoke, desk))
}

// The account.

type Sent = { readonly key: string; readonly gpgId: string }

function askKey(c: Context<AccountEnv>, spoke: WebSpoke, sent: Sent, refusal: Refused | null) {
  const { visitor } = c.var
  const main = html`${refusal === null ? '' : notice(refusal.reason)}
<p>Your account is your OpenPGP key: there is no password, and no server keeps anything secret of yours. Every post is signed with the key, on your own computer.</p>
<form method="post" action="${here(spoke, visitor, '/start')}">
${formToken(visitor)}${textArea({
  label: 'Your public key',
  name: 'key',
  value: withoutSecrets(sent.key),
  rows: 8,
  required: true,
  isCode: true,
  hint: html`What <code>gpg --armor --export you@example.org</code> prints. It will be public for ever, with the name and mail address in it. No key yet? <a href="${spokeUrl(spoke, keyHelpPath)}">How to make one</a>.`,
})}${textField({
  label: 'Your gpg id',
  name: 'gpgId',
  value: sent.gpgId,
  required: true,
  isCode: true,
  hint: html`The mail address, name or fingerprint by which gpg knows the key. It shows that you pasted the key that you meant, and where a server asks others whether a key was revoked, it asks by that.`,
})}
<p><button type="submit">Go on</button></p>
</form>
<p>You have an account? <a href="${spokeUrl(spoke, '/login')}">Log in</a>.</p>`
  const shown = accountPage(spoke, visitor, { title: 'Start a blog: your key', main })
  return c.html(shown, refusal === null ? 200 : statusOf(refusal.code))
}

async function takeKey(c: Context<AccountEnv>, spoke: WebSpoke, desk: AccountDesk) {
  const fields = await readForm(c)
  const sent = { key: fields('key'), gpgId: fields('gpgId').trim() }
  if (!isOwnForm(c.var.visitor, fields('token'))) return askKey(c, spoke, sent, staleForm)
  const key = await judgeKey(spoke, desk, sent)
  return key.ok
    ? openChallenge(c, spoke, desk, key.value, '/start/blog')
    : askKey(c, spoke, sent, key)
}

async function judgeKey(
  spoke: WebSpoke,
  desk: AccountDesk,
  sent: Sent,
): Promise<Verdict<PublicKey>> {
  const key = await readOwnKey(desk, sent.key)
  if (!key.ok) return key
  return isGpgId(key.value, sent.gpgId)
    ? isUsable(spoke, key.value, sent.gpgId, 0)
    : refuse(
        'ACCOUNT_GPG_ID',
        `The key ${showFingerprint(key.value.fingerprint)} is not the one of “${cutText(sent.gpgId, 100)}”: its user ids are ${cutText(userIdsOf(key.value).join(', '), 300)}. Give one of these, or the key that you meant.`,
      )
}

/** A part of a user id, a fingerprint or a long key id, as gpg takes them. */
function isGpgId({ fingerprint, key }: PublicKey, gpgId: string): boolean {
  const hex = gpgId.replace(/\s|^0x/gi, '').toUpperCase()
  if (/^[0-9A-F]{16,40}$/.test(hex)) {
    return [fingerprint, ...key.getKeys().map((each) => each.getFingerprint().toUpperCase())].some(
      (each) => each.endsWith(hex),
    )
  }
  const wanted = gpgId.replace(/^<|>$/g, '').toLowerCase()
  return wanted !== '' && userIdsOf({ key }).some((id) => id.toLowerCase().includes(wanted))
}

function userIdsOf({ key }: Pick<PublicKey, 'key'>): string[] {
  return key.getUserIDs()
}

// The name.

function askName(c: Context<AccountEnv>, spoke: WebSpoke, name: string, refusal: Refused | null) {
  const { visitor } = c.var
  const main = html`${refusal === null ? '' : notice(refusal.reason)}
<p>Your blog gets an address of its own, <code>name.${spoke.zone}</code>. Once you have it, nobody else ever does.</p>
<form method="post" action="${here(spoke, visitor, '/start/blog')}">
${formToken(visitor)}${textField({
  label: 'Name of the blog',
  name: 'name',
  value: name,
  required: true,
  isCode: true,
  maxLength: 30,
  hint: html`3 to 30 small letters a–z, digits and single hyphens.`,
})}
<p><button type="submit">Ask for this name</button></p>
</form>`
  const shown = accountPage(spoke, visitor, { title: 'Start a blog: its name', main })
  return c.html(shown, refusal === null ? 200 : statusOf(refusal.code))
}

async function takeName(c: Context<AccountEnv>, spoke: WebSpoke, desk: AccountDesk) {
  const { visitor } = c.var
  const fields = await readForm(c)
  const name = fields('name').trim().toLowerCase()
  if (visitor.session === null || !isOwnForm(visitor, fields('token'))) {
    return askName(c, spoke, name, staleForm)
  }
  const council = spoke.council()
  if (council === null) return askName(c, spoke, name, notJoined)
  const key = await sessionKey(spoke, desk, visitor.session.key)
  if (!key.ok) return askName(c, spoke, name, key)
  const free = await isFree(spoke, name, visitor.session.key)
  if (!free.ok) return askName(c, spoke, name, free)
  const genesis = encodeEntry({
    ...{ kind: 'genesis', council, blog: name, seq: 0, prev: null },
    ...{ date: formatDate(spoke.now()), key: key.value.fingerprint, body: key.value.armored },
  })
  return genesis.ok
    ? askSignature(c, spoke, desk, genesis.value, {})
    : askName(c, spoke, name, genesis)
}

/** What can be said at once; the authority decides. Codes: NAME_MALFORMED, NAME_TAKEN. */
async function isFree(spoke: WebSpoke, name: string, key: Fingerprint): Promise<Verdict<void>> {
  const blog = parseBlogName(name)
  if (blog === null) {
    return refuse(
      'NAME_MALFORMED',
      `“${cutText(name, 40)}” cannot be a blog’s name: ${blogNameRule}.`,
    )
  }
  const open = await spoke.openBlog(blog)
  if (open === 'unknown') return accept(undefined)
  if (open === 'unreachable') {
    return refuse(
      'NAME_TAKEN',
      `${blog} is taken, by ${blogUrl(spoke, blog)}. Choose another name.`,
    )
  }
  if (open.blog.key === key) {
    return refuse('NAME_TAKEN', `${blog} is yours already: write for it from “My blogs”.`)
  }
  const since = Date.parse(open.blog.lines(0, 1)[0]?.date ?? '')
  return refuse(
    'NAME_TAKEN',
    `${blog} is taken since ${showDay(since)}, by ${blogUrl(spoke, blog)} with the key ${showFingerprint(open.blog.key)}. Choose another name.`,
  )
}
