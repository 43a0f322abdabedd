import { html } from 'hono/html'
import { hidden } from './form.ts'
import { keyHelpPath } from './help-page.ts'
import { type Html, page } from './layout.ts'
import { homeUrl, type LinkSource, spokeUrl } from './links.ts'
import { isSecureOrigin } from './secure-origin.ts'
import type { Visitor } from './session-cookie.ts'

/** The shell of the pages on which somebody logs in, signs and writes. All of it is English. */
export function accountPage(
  spoke: LinkSource,
  visitor: Visitor,
  { title, main }: { readonly title: string; readonly main: Html },
): Html {
  return page({
    title: `${title} · ${spoke.zone}`,
    lang: 'en',
    canonical: null,
    head: html`<meta name="robots" content="noindex">`,
    masthead: html`<p><a href="${homeUrl(spoke)}">${spoke.zone}</a> · <a href="${spokeUrl(spoke, '/my')}">My blogs</a> · <a href="${spokeUrl(spoke, keyHelpPath)}">Help with keys</a></p>${openLine(spoke, visitor)}`,
    main: html`<h1>${title}</h1>
${main}`,
  })
}

/** Said where a browser does not keep cookies and pages apart from the network (DESIGN 6). */
function openLine(spoke: LinkSource, { host }: Visitor): Html {
  return isSecureOrigin(spoke, host)
    ? html``
    : html`
<p><small>This address has no TLS (http): whoever sits between you and it can read along and use your login. They cannot publish: for that your signature is needed. No keys are made or kept in this page.</small></p>`
}

/** The fields that every form of an account page carries. */
export function formToken({ formToken: token }: Visitor): Html {
  return hidden({ token })
}

/** Absolute address on the host that the visitor is at. */
export function here(spoke: LinkSource, { host }: Visitor, path: string): string {
  return `${spoke.origin(host)}${path}`
}

/** A path of this host to go on to; anything else would send people elsewhere after a login. */
export function safePath(path: string | undefined, otherwise: string): string {
  return path !== undefined && /^\/(?![/\\])[!-~]{0,500}$/.test(path) ? path : otherwise
}
