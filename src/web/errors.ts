import type { Context } from 'hono'
import { accepts } from 'hono/accepts'
import { html } from 'hono/html'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { ReplicationError, type ReplicationErrorCode } from '../replication/errors.ts'
import { councilMasthead } from './council-frame.ts'
import { type Html, page } from './layout.ts'
import { type LinkSource, zoneUrl } from './links.ts'

/**
 * Codes whose status is not 400. A refusal of what somebody sent is a 400 unless it stands here,
 * so that the folders below may add rules without knowing HTTP.
 */
const statuses: Readonly<Record<string, ContentfulStatusCode>> = {
  ACCOUNT_UNKNOWN: 403,
  ENTRY_OTHER_KEY: 403,
  FORM_ORIGIN: 403,
  FORM_STALE: 403,
  KEY_EXPIRED: 403,
  KEY_REVOKED: 403,
  LOGIN_EXPIRED: 403,
  LOGIN_NO_KEY: 403,
  LOGIN_TOO_MANY_TRIES: 403,
  LOGIN_WRONG_CODE: 403,
  LOGIN_WRONG_SIGNATURE: 403,
  NAME_RESERVED: 403,
  NOT_A_MEMBER: 403,
  ORDER_OTHER_KEY: 403,
  SIGNATURE_KEY_EXPIRED: 403,
  SIGNATURE_KEY_MAY_NOT_SIGN: 403,
  SIGNATURE_KEY_REVOKED: 403,
  SIGNATURE_OTHER_KEY: 403,
  SIGNATURE_SUBKEY_MAY_NOT_SIGN: 403,
  BLOG_UNKNOWN: 404,
  CLAIM_UNKNOWN: 404,
  ENTRY_NO_GENESIS: 404,
  MEMBER_UNKNOWN: 404,
  PAGE_NOT_FOUND: 404,
  REVOCATION_KEY_UNKNOWN: 404,
  METHOD_NOT_ALLOWED: 405,
  MOVE_TOO_FEW: 409,
  NAME_TAKEN: 409,
  ORDER_ACT: 409,
  ORDER_EARLIER: 409,
  SEQ_TAKEN: 409,
  SPOKE_FULL: 409,
  SPOKE_NOT_LIVE: 409,
  BLOG_FULL: 413,
  BODY_TOO_LONG: 413,
  FORM_TOO_LARGE: 413,
  KEY_TOO_LARGE: 413,
  REVOCATION_TOO_LONG: 413,
  SIGNATURE_TOO_LONG: 413,
  TEXT_TOO_LONG: 413,
  HOST_UNKNOWN: 421,
  RATE_LIMITED: 429,
  SERVER_ERROR: 500,
  ACT_NOT_IN_FORCE: 503,
  AUTHORITY_UNREACHABLE: 503,
  BLOG_UNREACHABLE: 503,
  ENTRY_UNREACHABLE: 503,
  LOG_DAMAGED: 503,
  NOT_ACTIVE: 503,
  NOT_PRIMARY: 503,
  NOT_READY: 503,
  NOT_THE_AUTHORITY: 503,
  NOT_THE_PRIMARY: 503,
  PEER_ANSWER_MALFORMED: 503,
  PEER_REFUSED: 503,
  PEER_UNREACHABLE: 503,
  PRIMARY_UNREACHABLE: 503,
  REGISTRY_UNREACHABLE: 503,
  ROSTER_BEHIND: 503,
  SEARCH_BUSY: 503,
  SEARCH_UNAVAILABLE: 503,
  STORE_DAMAGED: 503,
  STORE_WRITE_FAILED: 503,
  DISK_FULL: 507,
}

/** What a reader or author is told of a failure below; the rest is for the operator's log. */
const failures: Readonly<Record<ReplicationErrorCode, string>> = {
  STORE_WRITE_FAILED: 'This server could not store it. Nothing was taken; try another server.',
  DISK_FULL:
    'The disk of this server is full. Nothing was stored; keep the signed text and send it again later. Reading goes on, and writing does when there is room.',
  STORE_DAMAGED:
    'This server’s own copy is damaged and is being fetched again. Try another server.',
  PEER_UNREACHABLE: 'The server that keeps this did not answer. Try again in a minute.',
  PEER_REFUSED: 'The server that keeps this refused the request. Try again in a minute.',
  PEER_ANSWER_MALFORMED: 'The server that keeps this gave no usable answer. Try again in a minute.',
  NOT_READY:
    'This server does not have what this needs yet. Try again in a minute, or another server.',
}

/** What a person is told of a failure below. */
export function failureSentence(code: ReplicationErrorCode): string {
  return failures[code]
}

/** The HTTP status of an error code, 400 for codes that only say what is wrong with the input. */
export function statusOf(code: string): ContentfulStatusCode {
  return statuses[code] ?? 400
}

/**
 * Answers with an error: a page for browsers, JSON for programs and for everything posted.
 *
 * @param retryMs - after which the same may be tried again; becomes Retry-After
 */
export function answerError(
  c: Context,
  spoke: LinkSource,
  code: string,
  reason: string,
  retryMs?: number,
) {
  if (retryMs !== undefined) c.header('Retry-After', String(Math.ceil(retryMs / 1_000)))
  const status = statusOf(code)
  c.header('Vary', 'Accept')
  return wantsJson(c)
    ? c.json({ error: { code, reason } }, status)
    : c.html(errorPage(mastheadOf(c, spoke), spoke.zone, { status, code, reason }), status)
}

/** The answer to something thrown: a known failure says what to do, anything else is our bug. */
export function answerFailure(c: Context, spoke: LinkSource, error: unknown) {
  return error instanceof ReplicationError
    ? answerError(c, spoke, error.code, failures[error.code])
    : answerError(c, spoke, 'SERVER_ERROR', 'This server made a mistake. Try another server.')
}

/**
 * Whether the answer goes to a program: asked for in JSON, a machine's address, or posted by anything
 * that does not ask for HTML as browsers do.
 */
export function wantsJson(c: Context): boolean {
  const supports = ['text/html', 'application/json']
  const isPosted = !['GET', 'HEAD'].includes(c.req.method)
  return (
    (isPosted && !(c.req.header('accept') ?? '').includes('text/html')) ||
    c.req.path.endsWith('.json') ||
    c.req.path.includes('/_council/') ||
    accepts(c, { header: 'Accept', supports, default: 'text/html' }) === 'application/json'
  )
}

const headings: Readonly<Partial<Record<ContentfulStatusCode, string>>> = {
  403: 'Not allowed',
  404: 'Not here',
  405: 'Not possible here',
  421: 'Another address',
  429: 'Too often',
  500: 'A mistake of this server',
  503: 'Not now',
  507: 'No room',
}

/** `app.ts` puts the kind of host in front of the path: pages of the council stay on this spoke. */
function mastheadOf(c: Context, spoke: LinkSource): Html {
  return c.req.path.startsWith('/spoke')
    ? councilMasthead(spoke)
    : html`<p><a href="${zoneUrl(spoke)}">${spoke.zone}</a></p>`
}

function errorPage(
  masthead: Html,
  zone: string,
  { status, code, reason }: { status: ContentfulStatusCode; code: string; reason: string },
) {
  const heading = headings[status] ?? 'Not understood'
  return page({
    title: `${heading} · ${zone}`,
    lang: 'en',
    canonical: null,
    masthead,
    main: html`<h1>${heading}</h1>
<p>${reason}</p>
<p><small>${status} ${code}</small></p>`,
  })
}
