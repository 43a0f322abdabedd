import { html } from 'hono/html'
import type { Html } from './layout.ts'
import { type LinkSource, spokeUrl, zonePageUrl } from './links.ts'
import type { SearchOrder } from './spoke.ts'

/** Where all blogs are searched, on the zone's and the spokes' hosts. */
export const searchPath = '/search'
export const searchDescriptionPath = '/opensearch.xml'

/**
 * The form that asks the search of the spoke that answered.
 *
 * @param asked - what it holds already; left out, it is empty and asks for the newest
 */
export function searchBox(
  spoke: LinkSource,
  asked?: { readonly text: string; readonly order: SearchOrder },
): Html {
  const choice = (order: SearchOrder, words: string) =>
    html`<option value="${order}"${asked?.order === order ? html` selected` : ''}>${words}</option>`
  const button = html`<button type="submit">Search</button>`
  const rest =
    asked === undefined
      ? button
      : html`</p>
<p><label for="order">First</label> <select id="order" name="order">${choice('newest', 'newest')}${choice('best', 'best match')}</select> ${button}`
  return html`<search><form method="get" action="${spokeUrl(spoke, searchPath)}">
<p><label for="q">Search all blogs</label> <input id="q" name="q" type="search" dir="auto" value="${asked?.text ?? ''}"> ${rest}</p>
</form></search>`
}

/** By this a browser offers the search in its address bar. */
export function searchDescriptionLink(spoke: LinkSource): Html {
  return html`
<link rel="search" type="application/opensearchdescription+xml" title="${spoke.zone}" href="${zonePageUrl(spoke, searchDescriptionPath)}">`
}
