import { createHash, timingSafeEqual } from 'node:crypto'
import type { Context } from 'hono'
import { getCookie, setCookie } from 'hono/cookie'
import { createMiddleware } from 'hono/factory'
import type { Fingerprint } from '../auth/public-key.ts'
import { maxSessionMs, type Token } from '../auth/session.ts'
import type { AccountDesk } from './account.ts'
import { answerError } from './errors.ts'
import { editHost, type LinkSource, spokeHost } from './links.ts'
import { isSecureOrigin } from './secure-origin.ts'
import type { WebSpoke } from './spoke.ts'

/** Who is at the other end of a request to an account page. */
export type Visitor = {
  /** the host that the page belongs to, without port: from the config, never from the request */
  readonly host: string
  /** a random value that this browser alone sends; pages of other hosts cannot read it */
  readonly browser: string
  /** what each form carries, so that no other page can send it in the visitor's name */
  readonly formToken: string
  /** who logged in, null for nobody */
  readonly session: Token | null
}
export type AccountEnv = { Variables: { readonly visitor: Visitor } }

/** The visitor of a request that `visitors` let through. */
export function visitorOf(c: Context): Visitor {
  return c.get('visitor')
}

/**
 * Names of the two cookies. `__Host-` keeps sibling blogs from planting them: it is refused with a
 * `Domain`. On plain http under a real name no such wall exists.
 */
function cookieNames(spoke: LinkSource, host: string) {
  return isSecureOrigin(spoke, host)
    ? { session: '__Host-council', browser: '__Host-council-browser' }
    : { session: 'council', browser: 'council-browser' }
}

function cookieOptions(spoke: LinkSource, host: string) {
  return {
    path: '/',
    httpOnly: true,
    sameSite: 'Lax',
    secure: isSecureOrigin(spoke, host),
  } as const
}

/**
 * Stands before every account page: finds the visitor, and refuses forms that another page sent.
 * On council hosts that are not the spoke's own it leads there, since no cookie is set at the zone.
 * Codes: FORM_ORIGIN.
 */
export function visitors(spoke: WebSpoke, desk: AccountDesk) {
  return createMiddleware<AccountEnv>(async (c, next) => {
    const blog = c.req.param('blog')
    const host = blog === undefined ? spokeHost(spoke) : editHost(spoke, blog)
    // Kept by this browser alone: so its back button brings back what was typed.
    c.header('Cache-Control', 'private, no-cache')
    if (askedHost(c) !== host) {
      const { pathname, search } = new URL(c.req.url)
      // The form itself names the right host; who posts here wrote the address by hand.
      return c.redirect(spoke.origin(host) + pathname + search, 303)
    }
    const names = cookieNames(spoke, host)
    const sent = getCookie(c, names.browser) ?? ''
    const isKnown = /^[0-9a-f]{32}$/.test(sent)
    const browser = isKnown ? sent : Buffer.from(spoke.randomBytes(16)).toString('hex')
    if (!isKnown) setCookie(c, names.browser, browser, cookieOptions(spoke, host))
    const value = getCookie(c, names.session)
    const session = value === undefined ? null : readSession(spoke, desk, value, host)
    c.set('visitor', { host, browser, formToken: tokenOf(browser), session })
    if (c.req.method === 'POST' && !isOwnPage(c, spoke.origin(host))) {
      const reason =
        'This was sent by a page of another address, so nothing was done. Open the page here and send it from there.'
      return answerError(c, spoke, 'FORM_ORIGIN', reason)
    }
    return next()
  })
}

function readSession(spoke: WebSpoke, desk: AccountDesk, value: string, host: string) {
  const token = spoke.readToken('session', value, host)
  return token.ok && !desk.ended.has(token.value.id) ? token.value : null
}

/**
 * The Host header without port. A final dot stays: for browsers it makes another host, with cookies
 * and forms of its own. It chooses nothing but whether the request is at the right host.
 */
export function askedHost(c: Context): string {
  return (c.req.header('host') ?? new URL(c.req.url).host).toLowerCase().replace(/:\d+$/, '')
}

/** Browsers send Origin with every form; without it, Sec-Fetch-Site says the same. */
function isOwnPage(c: Context, origin: string): boolean {
  const sent = c.req.header('origin')
  return sent === undefined ? c.req.header('sec-fetch-site') === 'same-origin' : sent === origin
}

/** Whether the form was made for this browser. Where it was not, what was typed is shown again. */
export function isOwnForm({ formToken }: Visitor, token: string): boolean {
  const [sent, own] = [Buffer.from(token), Buffer.from(formToken)]
  return sent.length === own.length && timingSafeEqual(sent, own)
}

function tokenOf(browser: string): string {
  return createHash('sha256').update(`council-form\n${browser}`).digest('base64url')
}

/**
 * Starts a session after a login. The browser gets a new value too, so that one which somebody
 * planted before the login is worth nothing after it (session fixation).
 *
 * @param id - of the login that a pass brought here: logging out ends both; null after a login
 */
export function startSession(
  c: Context,
  spoke: WebSpoke,
  key: Fingerprint,
  id: string | null,
): boolean {
  const { host } = visitorOf(c)
  const value = spoke.signToken('session', { key, host, id })
  if (value === null) return false
  const names = cookieNames(spoke, host)
  const options = cookieOptions(spoke, host)
  setCookie(c, names.session, value, { ...options, maxAge: maxSessionMs / 1_000 })
  const browser = Buffer.from(spoke.randomBytes(16)).toString('hex')
  setCookie(c, names.browser, browser, options)
  return true
}

/** Ends the session in this browser, and here for whoever copied its cookie. */
export function endSession(c: Context, spoke: WebSpoke, desk: AccountDesk): void {
  const { host, session } = visitorOf(c)
  if (session !== null) {
    const nowMs = spoke.now()
    // A pass may have brought the login to other hosts since: there it lasts longer than here.
    desk.ended.add({ id: session.id, expiresMs: nowMs + maxSessionMs }, nowMs)
  }
  const names = cookieNames(spoke, host)
  const options = { ...cookieOptions(spoke, host), maxAge: 0 }
  setCookie(c, names.session, '', options)
  setCookie(c, names.browser, '', options)
}
