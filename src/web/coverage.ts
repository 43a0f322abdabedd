import { createHash } from 'node:crypto'
import { html } from 'hono/html'
import type { Html } from './layout.ts'
import { showCount, showMinute } from './plain-words.ts'
import type { CouncilPost, Coverage } from './spoke.ts'

/** Of an instant only the minute is shown, so that a page does not change while nothing happens. */
const shownMs = 60_000

/**
 * What a list rests on, in a sentence. It names the time of day and not "2 s ago": pages are kept
 * as bytes, here and in browsers, and without a script an age would soon be wrong.
 */
export function coverageNote(coverage: Coverage): Html {
  if (coverage.kind === 'own') {
    return html`<p><small>Only the blogs that this server keeps, because ${coverage.reason}.</small></p>`
  }
  const { spokes, of, blogs, by } = coverage
  const servers =
    spokes >= of ? `all ${showCount(of, 'server')}` : `${spokes} of ${showCount(of, 'server')}`
  const missing =
    spokes >= of ? '' : ' Posts that only the others have are missing until these are heard again.'
  return html`<p><small>From ${servers} of this council, ${showCount(blogs, 'blog')}, gathered by ${by} at ${minuteOf(coverage.atMs)}.${missing}</small></p>`
}

function minuteOf(ms: number): Html {
  const minute = floor(ms)
  return html`<time datetime="${new Date(minute).toISOString()}">${showMinute(minute)}</time>`
}

const floor = (ms: number) => Math.floor(ms / shownMs) * shownMs

/** The same for two fronts exactly if pages and feeds made of them say the same. */
export function frontVersion(posts: readonly CouncilPost[], coverage: Coverage): string {
  const shown = coverage.kind === 'own' ? coverage : { ...coverage, atMs: floor(coverage.atMs) }
  return createHash('sha256')
    .update(JSON.stringify([posts, shown]))
    .digest('base64url')
}
