import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { html } from 'hono/html'
import { accept, type Refusal, refuse, type Verdict } from '../auth/verdict.ts'
import type { HandedIn } from '../replication/exchange/revoking.ts'
import { type BlogName, blogNameRule, parseBlogName } from '../replication/log/entry.ts'
import { reasonWord } from '../replication/registry/revoked-keys.ts'
import { councilMasthead } from './council-frame.ts'
import { answerError, statusOf } from './errors.ts'
import { type Html, page } from './layout.ts'
import { editUrl, spokeUrl } from './links.ts'
import { showDay, showFingerprint } from './plain-words.ts'
import { limitRate, type RateLimits } from './rate-limit.ts'
import type { WebSpoke } from './spoke.ts'

/** Bytes of what is handed in: a whole public key, perhaps with certifications. */
const maxRevokeBytes = 256 * 1024

type Sent = { readonly certificate: string; readonly blog: string }
const nothing: Sent = { certificate: '', blog: '' }

/**
 * `POST /revoke` (DESIGN 3.2): takes a revocation from anybody, without login, on every host. The
 * certificate proves itself. The form gets a page, everything else JSON.
 */
export function revokeRoute(spoke: WebSpoke, rates: RateLimits) {
  const limit = bodyLimit({
    maxSize: maxRevokeBytes,
    onError: (c) => {
      const reason = `More than ${maxRevokeBytes / 1024} KiB were sent. Send the revocation alone, or the key without signatures of other people: gpg --armor --export-options export-minimal --export <fingerprint>`
      return isForm(c)
        ? c.html(formPage(spoke, blogOfHost(c), nothing, refuse('BODY_TOO_LONG', reason)), 413)
        : answerError(c, spoke, 'BODY_TOO_LONG', reason)
    },
  })
  return new Hono().post('/revoke', limitRate(spoke, rates, 'revocation'), limit, async (c) => {
    const { sent, byForm } = await readSent(c)
    const named = sent.blog === '' ? accept(blogOfHost(c)) : readBlog(sent.blog)
    const done: Verdict<HandedIn> = named.ok
      ? await spoke.handInRevocation(sent.certificate, named.value)
      : named
    c.header('Cache-Control', 'no-store')
    if (!done.ok) {
      return byForm
        ? c.html(formPage(spoke, blogOfHost(c), sent, done), statusOf(done.code))
        : answerError(c, spoke, done.code, done.reason)
    }
    const status = done.value.kind === 'kept' ? 202 : 200
    return byForm
      ? c.html(donePage(spoke, done.value), status)
      : c.json(doneJson(spoke, done.value), status)
  })
}

/** `/revoke`: the form, on spoke hosts and edit hosts. */
export function revokePages(spoke: WebSpoke) {
  return new Hono().get('/revoke', (c) => c.html(formPage(spoke, blogOfHost(c), nothing, null)))
}

/** A blog's own host has no forms: the edit host has. */
export function movedRevokePage(spoke: WebSpoke) {
  return new Hono().get('/revoke', (c) => {
    const blog = blogOfHost(c)
    return blog === null
      ? answerError(c, spoke, 'BLOG_UNKNOWN', 'There is no such blog.')
      : c.redirect(editUrl(spoke, blog, '/revoke'), 302)
  })
}

const blogOfHost = (c: Context) => parseBlogName(c.req.param('blog') ?? '')

function isForm(c: Context): boolean {
  const type = c.req.header('Content-Type') ?? ''
  return /^(application\/x-www-form-urlencoded|multipart\/form-data)\s*(;|$)/i.test(type)
}

/** What was sent, and whether by the form: curl calls any body a form unless told otherwise. */
async function readSent(c: Context): Promise<{ sent: Sent; byForm: boolean }> {
  const isMultipart = /^multipart\//i.test(c.req.header('Content-Type') ?? '')
  if (isMultipart)
    return { sent: fieldsOf(await c.req.parseBody().catch(() => ({}))), byForm: true }
  const body = await c.req.text()
  return isForm(c) && !/^:?-----BEGIN PGP /m.test(body)
    ? { sent: fieldsOf(Object.fromEntries(new URLSearchParams(body))), byForm: true }
    : { sent: { certificate: body, blog: '' }, byForm: false }
}

function fieldsOf(fields: Readonly<Record<string, unknown>>): Sent {
  const text = (value: unknown) => (typeof value === 'string' ? value.replaceAll('\r\n', '\n') : '')
  return { certificate: text(fields.certificate), blog: text(fields.blog).trim().toLowerCase() }
}

function readBlog(text: string): Verdict<BlogName> {
  const blog = parseBlogName(text)
  return blog === null
    ? refuse(
        'NAME_MALFORMED',
        `That is no name of a blog: ${blogNameRule}. The field may stay empty.`,
      )
    : accept(blog)
}

function formPage(
  spoke: WebSpoke,
  blog: BlogName | null,
  sent: Sent,
  refusal: Refusal | null,
): Html {
  const url = blog === null ? spokeUrl(spoke, '/revoke') : editUrl(spoke, blog, '/revoke')
  // Whoever pasted a secret key by mistake must not get it back on a page.
  const kept = refusal?.code === 'KEY_SECRET' ? '' : sent.certificate
  const blogField =
    blog !== null
      ? ''
      : html`<p><label for="blog">Name of a blog written with the key (only if it is asked for)</label><br>
<input type="text" id="blog" name="blog" value="${sent.blog}" autocomplete="off" spellcheck="false" maxlength="63"></p>
`
  return page({
    title: `Revoke a key · ${spoke.zone}`,
    lang: 'en',
    canonical: url,
    masthead: councilMasthead(spoke),
    main: html`<h1>Revoke a key</h1>
${refusal === null ? '' : html`<p role="alert"><strong>Not accepted.</strong> ${refusal.reason}</p>`}
<p>Is the key of a blog stolen, lost or no longer used? Its revocation, handed in here by anybody and without login, ends writing with that key on every server of ${spoke.zone}. It cannot be taken back. What was published stays.</p>
<form method="post" action="/revoke">
<p><label for="certificate">Revocation certificate, or the public key that carries it</label><br>
<textarea id="certificate" name="certificate" rows="12" cols="66" required spellcheck="false" autocomplete="off">${kept}</textarea></p>
${blogField}<p><button type="submit">Revoke this key</button></p>
</form>
<h2>Where to get it</h2>
<p>When gpg made the key, it put a revocation into <code>~/.gnupg/openpgp-revocs.d/</code>: paste that file. With the secret key at hand, make one that says why:</p>
<pre><code>gpg --armor --output revoke.asc --gen-revoke &lt;fingerprint&gt;</code></pre>
<p>“Superseded” and “no longer used” leave earlier posts as they are. “Compromised” and no reason mark them. The same without a browser:</p>
<pre><code>curl -H 'Content-Type: text/plain' --data-binary @revoke.asc ${url}</code></pre>`,
  })
}

function donePage(spoke: WebSpoke, done: HandedIn): Html {
  const heading = { acted: 'Revoked', known: 'Revoked already', kept: 'Kept, to be handed on' }
  return page({
    title: `${heading[done.kind]} · ${spoke.zone}`,
    lang: 'en',
    canonical: null,
    masthead: councilMasthead(spoke),
    main: html`<h1>${heading[done.kind]}</h1>
<p>${sentenceOfDone(done)}</p>
${done.kind === 'kept' ? '' : html`<p><a href="${actUrl(spoke, done.revoked.seq)}">The act with the certificate</a></p>`}`,
  })
}

function sentenceOfDone(done: HandedIn): string {
  if (done.kind === 'kept') {
    const { revocation } = done
    return `The revocation of the key ${showFingerprint(revocation.key)} (${reasonWord(revocation)}) is good, but the authority of the council cannot act on it now. This server keeps it and hands it on until it can. Until then the key can still be written with.`
  }
  const { key, knownMs, seq } = done.revoked
  const since = `since ${showDay(knownMs)}, by act ${seq} of @names`
  return `The key ${showFingerprint(key)} is revoked (${reasonWord(done.revoked)}) ${since}. Nothing can be published with it any more as soon as each server has heard of it, which takes seconds. What was published stays.`
}

const actUrl = (spoke: WebSpoke, seq: number) => spokeUrl(spoke, `/acts/names/${seq}.txt`)

function doneJson(spoke: WebSpoke, done: HandedIn) {
  const { key, ...more } = done.kind === 'kept' ? done.revocation : done.revoked
  const what = { state: done.kind, key, reason: reasonWord(more), says: sentenceOfDone(done) }
  return done.kind === 'kept'
    ? what
    : { ...what, act: done.revoked.seq, url: actUrl(spoke, done.revoked.seq) }
}
