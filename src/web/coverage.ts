import { createHash } from 'node:crypto'
import { html } from 'hono/html'
import type { Html } from './layout.ts'
import { ageNote } from './page-age.ts'
import { showCount } from './plain-words.ts'
import type { CouncilPost, Coverage } from './spoke.ts'

/**
 * What a list rests on, in a sentence, with its age: how long ago what is shown was gathered. In a
 * page that is kept the age is put in again when the page is sent.
 */
export function coverageNote(coverage: Coverage, nowMs: number): Html {
  if (coverage.kind === 'own') {
    return html`<p><small>Only the blogs that this server keeps, because ${coverage.reason}.</small></p>`
  }
  const { spokes, of, blogs, by } = coverage
  const servers =
    spokes >= of ? `all ${showCount(of, 'server')}` : `${spokes} of ${showCount(of, 'server')}`
  const missing =
    spokes >= of ? '' : ' Posts that only the others have are missing until these are heard again.'
  return html`<p><small>From ${servers} of this council, ${showCount(blogs, 'blog')}, gathered by ${by} ${ageNote(nowMs - coverage.atMs)}.${missing}</small></p>`
}

/** The same for two fronts exactly if pages and feeds made of them say the same but for their age. */
export function frontVersion(posts: readonly CouncilPost[], coverage: Coverage): string {
  const shown = coverage.kind === 'own' ? coverage : { ...coverage, atMs: 0 }
  return createHash('sha256')
    .update(JSON.stringify([posts, shown]))
    .digest('base64url')
}
