import { html } from 'hono/html'
import type { RevokedKey } from '../replication/registry/revoked-keys.ts'
import type { Html } from './layout.ts'
import { blogUrl, type LinkSource } from './links.ts'
import { showDay, showKey } from './plain-words.ts'
import { laterRevoked } from './revoked-notice.ts'
import type { OpenEntry } from './spoke.ts'

/**
 * Who signed an entry. It says what this council knows and no more: readers take words like
 * "verified" for "true", and a server cannot vouch for its own honesty (facts/UX 2b).
 *
 * @param revoked - what is known of the key that signed
 */
export function signedBy({ entry, firstSeenMs }: OpenEntry, revoked?: RevokedKey): Html {
  const seen =
    firstSeenMs === null
      ? ''
      : html`, first seen <time datetime="${new Date(firstSeenMs).toISOString()}">${showDay(firstSeenMs)}</time>`
  return html`Signed by ${entry.log}, key ${showKey(entry.key)}${seen}${laterRevoked(revoked, firstSeenMs)}`
}

/**
 * Lines that check an entry with plain gpg. They work when pasted into a shell in an empty folder
 * and leave the reader's own keyring alone. Only checked names, numbers and origins go in, so no
 * author's words ever reach a shell.
 */
export function checkLines(spoke: LinkSource, { entry }: OpenEntry): string {
  const { log: blog, seq } = entry
  const url = (path: string) => blogUrl(spoke, blog, path)
  return [
    `curl -O ${url(`/log/${seq}.txt`)} -O ${url(`/log/${seq}.txt.asc`)} -O ${url('/key.asc')}`,
    `gpg --dearmor < key.asc > ${blog}.gpg`,
    `gpgv --keyring ./${blog}.gpg ${seq}.txt.asc ${seq}.txt`,
    'gpg --show-keys --with-fingerprint key.asc',
  ].join('\n')
}

/** The files behind an entry and how to check them, in English on every page. */
export function checkYourself(spoke: LinkSource, open: OpenEntry): Html {
  const { seq } = open.entry
  return html`<p>The signed <a href="/log/${seq}.txt">text</a>, its <a href="/log/${seq}.txt.asc">signature</a> and the <a href="/key.asc">key</a>.</p>
<details>
<summary>Check this yourself</summary>
<p>In an empty folder, with curl and gpg. “Good signature” says that the text was signed with the key; compare the key’s number with one that ${open.entry.log} gave you elsewhere.</p>
<pre><code>${checkLines(spoke, open)}</code></pre>
</details>`
}
