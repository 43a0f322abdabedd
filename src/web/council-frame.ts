import { html } from 'hono/html'
import type { Html } from './layout.ts'
import { homeUrl, type LinkSource } from './links.ts'

/**
 * The link home on pages of the council itself. It says the zone and leads to the spoke that
 * answered, so that a visitor who came by the zone's name stays on one spoke (DESIGN 6).
 */
export function councilMasthead(spoke: LinkSource): Html {
  return html`<p><a href="${homeUrl(spoke)}">${spoke.zone}</a></p>`
}
