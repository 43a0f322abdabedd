import { Hono } from 'hono'
import { html } from 'hono/html'
import { councilMasthead } from './council-frame.ts'
import { type Html, page } from './layout.ts'
import { homeUrl, type LinkSource, spokeUrl, zonePageUrl } from './links.ts'
import type { WebSpoke } from './spoke.ts'

/** Path of the page about keys, on the zone's and the spokes' hosts. */
export const keyHelpPath = '/help/keys'

/**
 * `/help/keys`: an author's OpenPGP key in plain words. Each `pre` holds what is typed into a
 * terminal; a test takes them from the page, section by section, and runs them with gpg.
 */
export function helpPages(spoke: WebSpoke) {
  return new Hono().get(keyHelpPath, (c) => c.html(keyHelpPage(spoke)))
}

function keyHelpPage(spoke: WebSpoke): Html {
  return page({
    title: `Help with keys · ${spoke.zone}`,
    lang: 'en',
    canonical: zonePageUrl(spoke, keyHelpPath),
    masthead: councilMasthead(spoke),
    main: html`<h1>Your key, and how to look after it</h1>
<p>Every post is signed with its author’s key. The key has two halves. The secret half signs and stays with you. The public half lets everybody check what you signed; it is what you give to the council. The servers here never have your secret half, so none of them can write in your name, and none can give it back to you.</p>
<p>The commands below are for gpg (GnuPG), in a terminal. Put your own name and address in place of Maria’s.</p>
${sections(spoke)}
<footer><p><a href="${homeUrl(spoke)}">Front page</a></p>
<p>Served by ${spoke.name}.</p></footer>`,
  })
}

const command = (line: string) => html`<pre><code>${line}</code></pre>`

const sections = (spoke: LinkSource) => html`
<h2 id="make">Make a key</h2>
${command(`gpg --quick-generate-key 'Maria <maria@example.org>' future-default default 2y`)}
<p>gpg asks for a passphrase: choose five or more words that nobody would guess together. The name may be a pen name. It is public for ever, and so is the mail address; you can leave the address out.</p>
<p><code>2y</code> lets the key end in two years. What you signed before stays good; with a key that has ended nothing new is accepted. Write <code>never</code> if you do not want an end.</p>
<p>This shows the fingerprint, the number by which others know your key. Print it on your leaflet or say it on the telephone, so that readers can compare:</p>
${command('gpg --fingerprint maria@example.org')}

<h2 id="export">Give out the public half</h2>
${command('gpg --armor --export maria@example.org > maria.asc')}
<p>The file begins with <code>BEGIN PGP PUBLIC KEY BLOCK</code>. This is what you paste when a page here asks for your key. If it is refused as too large, leave out what other people signed on it:</p>
${command('gpg --armor --export-options export-minimal --export maria@example.org > maria.asc')}

<h2 id="backup">Back it up, today</h2>
<p>Two files. The first is your key, still locked with your passphrase:</p>
${command('gpg --armor --export-secret-keys maria@example.org > maria-secret.asc')}
<p>The second takes the key out of use when it is stolen, also when you no longer have it. gpg asks for a reason; for the drawer take 1, “Key has been compromised”:</p>
${command('gpg --output maria-revocation.asc --gen-revoke maria@example.org')}
<p>Copy both to a memory stick or print them, keep them where your passport is, and remove them from this computer. Whoever finds the first one still needs your passphrase. Whoever finds the second one can end your key, but not write in your name.</p>

<h2 id="restore">On a new computer</h2>
${command('gpg --import maria-secret.asc')}
<p>See that it works, with a text that is not for the council:</p>
${command('echo This is a test. | gpg --local-user maria@example.org --clearsign')}
<p>Do this once while all is well: then you know that the backup is good and that you remember the passphrase.</p>

<h2 id="revoke">Take a key out of use</h2>
<p>Do this at once if somebody else may have your secret half and your passphrase. The file from the drawer is enough:</p>
${command('gpg --import maria-revocation.asc')}
<p>If there is none but you still have the key, make one first, with the command under “Back it up”. The reason counts: with “compromised”, or with none, readers see a mark at everything the key ever signed; with “superseded” or “no longer used” what was signed before stays as it is. With any of them the key can sign nothing new here. A revocation cannot be taken back.</p>
<p>Then the public half carries the mark, and others must learn of it. Send this file to those who know your key, the key servers among them, and <a href="${spokeUrl(spoke, '/revoke')}">hand it in here</a>: that takes no login and ends writing with it on every server.</p>
${command('gpg --armor --export maria@example.org > maria-revoked.asc')}

<h2 id="lost">When the key is lost</h2>
<ul>
<li>You have the backup and the passphrase: see “On a new computer”. Nothing else changes.</li>
<li>The first entry of your blog names a second key, a recovery key (no page or command here writes one yet, see PROTOCOL): that one can put a new key in place. It counts when the new key signs the next entry, 72 hours later or more; until then the old key can still object.</li>
<li>You have neither: the blog stays at its address, readable and unaltered, but nobody can write in it again. The council cannot hand it to you, since then it could hand it to anybody. Begin a new blog under another name.</li>
<li>Somebody else has it: take it out of use, see above.</li>
</ul>

<h2 id="kinds">Which keys are accepted, and why</h2>
<p>Your posts are to be checked by everybody, with common programs, for many years. So the council takes only kinds of keys that all of these programs agree on:</p>
<ul>
<li>Ed25519, which the command above makes,</li>
<li>RSA with 2048 bits or more,</li>
<li>NIST P-256, P-384 and P-521.</li>
</ul>
<p>Not accepted are DSA, ElGamal, RSA with fewer bits, and SHA-1, which are or will soon be too weak; brainpool, secp256k1, Ed448 and keys of version 6, which some programs cannot check. If your key is one of these, the page says so, with the command that makes a good one. To see what you have:</p>
${command('gpg --list-keys maria@example.org')}
<p>A key that can only sign will do for writing. To log in, others read a secret line that was encrypted to their key; with yours you sign a line instead.</p>

<h2 id="mailvelope">Mailvelope</h2>
<p>Mailvelope is an extension for browsers that keeps your key and asks before it signs. Make or import your key in its settings, export the public half there, and when a page here shows a text to be signed, sign it in Mailvelope’s own editor and paste the result back.</p>
`
