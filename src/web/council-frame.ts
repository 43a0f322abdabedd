import { html } from 'hono/html'
import type { Html } from './layout.ts'
import { homeUrl, type LinkSource, spokeUrl } from './links.ts'

/**
 * The link home on pages of the council itself. It says the zone and leads to the spoke that
 * answered, so that a visitor who came by the zone's name stays on one spoke (DESIGN 6).
 */
export function councilMasthead(spoke: LinkSource): Html {
  return html`<p><a href="${homeUrl(spoke)}">${spoke.zone}</a></p>`
}

/** Where people who write begin, on the spoke that answered. */
export function accountLinks(spoke: LinkSource): Html {
  return html`<p><a href="${spokeUrl(spoke, '/start')}">Start a blog</a> · <a href="${spokeUrl(spoke, '/my')}">My blogs</a> · <a href="${spokeUrl(spoke, '/blogs')}">All blogs</a></p>`
}
