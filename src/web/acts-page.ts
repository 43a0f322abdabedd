import { Feed } from 'feed'
import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import { peerPem, verifyPeer } from '../auth/peer-signature.ts'
import type { ProvedAct } from '../replication/exchange/acts.ts'
import { type LogName, namesLog, rosterLog } from '../replication/log/log.ts'
import type { Act } from '../replication/registry/act.ts'
import { orderIn } from '../replication/registry/order.ts'
import { authorityAt, authorityOf, type Roster } from '../replication/registry/roster.ts'
import { sentenceOf } from './act-sentence.ts'
import { councilMasthead } from './council-frame.ts'
import { answerError } from './errors.ts'
import { actForkNotice } from './fork-notice.ts'
import { type Html, page } from './layout.ts'
import { type LinkSource, spokeUrl, zonePageUrl } from './links.ts'
import { forksJson, signedJson } from './log-files.ts'
import { showInstant } from './plain-words.ts'
import type { WebSpoke } from './spoke.ts'

/** Acts on one page, of both logs together; keeps it below 30 KB. Also those in the feed. */
const actsPerPage = 50

/** The seqs of both logs before which a page begins. */
type Cursor = { readonly roster: number; readonly names: number }
const newest: Cursor = { roster: 999_999_999_999_999, names: 999_999_999_999_999 }

/** One page of acts; `isWhole` is false when nobody hands out those of `@names`. */
type Shown = {
  readonly acts: readonly ProvedAct[]
  readonly older: Cursor | null
  readonly isWhole: boolean
}

/**
 * What the council decided, for everybody to read and check (DESIGN 6): `/acts`, `/acts.atom`, and
 * the files of each act.
 */
export function actPages(spoke: WebSpoke) {
  return new Hono()
    .get('/acts', (c) => sendPage(c, spoke))
    .get('/acts/forks.json', (c) =>
      c.json(forksJson([...spoke.forks(rosterLog), ...spoke.forks(namesLog)])),
    )
    .get('/acts.atom', (c) => sendFeed(c, spoke))
    .get('/acts/authority.pem', (c) => sendKey(c, spoke))
    .get(
      '/acts/:log{roster|names}/:file{(?:0|[1-9][0-9]{0,14})\\.(?:txt|sig|json|order\\.txt|order\\.txt\\.asc)}',
      (c) => sendAct(c, spoke),
    )
}

async function sendPage(c: Context, spoke: WebSpoke) {
  const before = readCursor(c.req.query('before'))
  if (before === null) {
    const reason = 'Want ?before=roster:<seq>,names:<seq>, as the link to older acts has it.'
    return answerError(c, spoke, 'QUERY_MALFORMED', reason)
  }
  const shown = await readActs(spoke, before)
  return c.html(actsPage(spoke, spoke.roster(), shown, before === newest))
}

function readCursor(value: string | undefined): Cursor | null {
  if (value === undefined) return newest
  const [, roster, names] = /^roster:([0-9]{1,15}),names:([0-9]{1,15})$/.exec(value) ?? []
  return roster === undefined ? null : { roster: Number(roster), names: Number(names) }
}

/** The newest acts of both logs before the cursor. Dates never fall within a log. */
async function readActs(spoke: WebSpoke, before: Cursor): Promise<Shown> {
  const ofRoster = await spoke.acts(rosterLog, before.roster, actsPerPage)
  const ofNames = await spoke.acts(namesLog, before.names, actsPerPage)
  const given = (acts: typeof ofNames) => (acts === 'unreachable' ? [] : acts)
  // Of acts of one second those of @names count as newer: they are written under those of @roster.
  const acts = [...given(ofNames), ...given(ofRoster)]
    .sort((a, b) => b.act.dateMs - a.act.dateMs)
    .slice(0, actsPerPage)
  const next = (log: LogName, answered: typeof ofNames, from: number) =>
    answered !== 'unreachable' && answered.length === 0
      ? 0
      : (acts.findLast(({ act }) => act.log === log)?.act.seq ?? from)
  const older = {
    roster: next(rosterLog, ofRoster, before.roster),
    names: next(namesLog, ofNames, before.names),
  }
  const hasOlder =
    (ofRoster !== 'unreachable' && older.roster > 0) ||
    (ofNames !== 'unreachable' && older.names > 0)
  return { acts, older: hasOlder ? older : null, isWhole: ofNames !== 'unreachable' }
}

function actsPage(
  spoke: WebSpoke,
  roster: Roster | null,
  { acts, older, isWhole }: Shown,
  isNewest: boolean,
): Html {
  const [first] = acts
  const missing = isWhole
    ? ''
    : html`<p><strong>Which blog is kept where is missing below:</strong> none of the servers that keep this list answers now. Try again in a minute.</p>`
  const back = isNewest ? '' : html`<p><a href="${spokeUrl(spoke, '/acts')}">Newest acts</a></p>`
  const more =
    older === null
      ? ''
      : html`<p><a href="${spokeUrl(spoke, `/acts?before=roster:${older.roster},names:${older.names}`)}">Older acts</a></p>`
  return page({
    title: `Public acts · ${spoke.zone}`,
    lang: 'en',
    canonical: isNewest ? zonePageUrl(spoke, '/acts') : null,
    masthead: councilMasthead(spoke),
    head: html`<link rel="alternate" type="application/atom+xml" href="${zonePageUrl(spoke, '/acts.atom')}">`,
    main: html`<h1>Public acts</h1>
<p>Everything that was decided about this council: who runs its servers, and which of them keep which blog. Each act is signed; none can be changed or taken back unseen.</p>${missing}
${actForkNotice([...spoke.forks(rosterLog), ...spoke.forks(namesLog)])}
${back}
${actList(spoke, roster, acts)}
${more}
${first === undefined || roster === null ? '' : checkAct(spoke, roster, first)}
<footer><p><a href="${spokeUrl(spoke, '/acts.atom')}">Feed of the newest acts</a></p>
<p>Served by ${spoke.name}.</p></footer>`,
  })
}

function actList(spoke: WebSpoke, roster: Roster | null, acts: readonly ProvedAct[]): Html {
  if (roster === null) {
    return html`<p>This server has not joined its council yet. Come back in a minute.</p>`
  }
  if (acts.length === 0) return html`<p>There are no older acts.</p>`
  const items = acts.map(({ act }) => {
    const file = (ending: string) => spokeUrl(spoke, actPath(act, ending))
    return html`<li>${sentenceOf(act, roster)}. <small><time datetime="${act.date}">${showInstant(act.dateMs)}</time>, ${act.log} ${act.seq}: <a href="${file('txt')}">text</a>, <a href="${file('sig')}">signature</a>, <a href="${file('json')}">proof</a>${orderLinks(act, file)}</small></li>
`
  })
  return html`<ul>
${items}</ul>`
}

/** The order that an act carries out, as its blogger signed it; nothing when there is none. */
function orderLinks({ decision }: Act, file: (ending: string) => string): Html {
  return decision.kind === 'assign' && orderIn(decision.evidence) !== null
    ? html`; the author’s order: <a href="${file('order.txt')}">text</a>, <a href="${file('order.txt.asc')}">signature</a>`
    : html``
}

function actPath({ log, seq }: Act, ending: string): string {
  return `/acts/${log === rosterLog ? 'roster' : 'names'}/${seq}.${ending}`
}

/**
 * Lines that check an act with openssl 3. They work when pasted into a shell in an empty folder;
 * only numbers, ids and origins go in.
 */
function checkLines(spoke: LinkSource, roster: Roster, { act, proof }: ProvedAct): string {
  const url = (path: string) => zonePageUrl(spoke, path)
  const signer = signerOf(roster, act, proof.signature)
  const key = signer === authorityOf(roster) ? '' : `?peer=${signer}`
  return [
    `curl -O ${url(actPath(act, 'txt'))} -O ${url(actPath(act, 'sig'))} -o authority.pem '${url('/acts/authority.pem')}${key}'`,
    `openssl pkeyutl -verify -rawin -pubin -inkey authority.pem -in ${act.seq}.txt -sigfile ${act.seq}.sig`,
  ].join('\n')
}

/** The authority at the act's line of `@roster`, or a standby that took over by this very act. */
function signerOf(roster: Roster, { roster: line, text, decision }: Act, signature: Uint8Array) {
  const authority = authorityAt(roster, (line?.seq ?? -1) + 1)
  const takesOver = decision.kind === 'authority' && verifyPeer(decision.authority, text, signature)
  return takesOver ? decision.authority : authority
}

function checkAct(spoke: LinkSource, roster: Roster, shown: ProvedAct): Html {
  return html`<details>
<summary>Check an act yourself</summary>
<p>In an empty folder, with curl and openssl 3; here for ${shown.act.log} ${shown.act.seq}. “Signature Verified Successfully” says that the text was signed with the authority’s key. Keep that key and compare it the next time. The proof has the receipts of the servers that put the act in force.</p>
<pre><code>${checkLines(spoke, roster, shown)}</code></pre>
</details>`
}

async function sendAct(c: Context, spoke: WebSpoke) {
  const log = c.req.param('log') === 'roster' ? rosterLog : namesLog
  const [number = '', ...endings] = (c.req.param('file') ?? '').split('.')
  const ending = endings.join('.')
  const seq = Number(number)
  const acts = await spoke.acts(log, seq + 1, 1)
  if (acts === 'unreachable') {
    const reason = `None of the servers that keep ${log} answers now. Try again in a minute.`
    return answerError(c, spoke, 'REGISTRY_UNREACHABLE', reason)
  }
  const [found] = acts
  if (found?.act.seq !== seq) {
    return answerError(c, spoke, 'PAGE_NOT_FOUND', `There is no act ${seq} in ${log}.`)
  }
  if (ending.startsWith('order')) return sendOrder(c, spoke, found.act, ending.endsWith('asc'))
  const { text, signature, receipts } = found.proof
  if (ending === 'json') {
    const { id } = found.act
    return c.json({ log, seq, id, ...signedJson(found.proof), receipts: receipts.map(signedJson) })
  }
  const isText = ending === 'txt'
  return c.body(Uint8Array.from(isText ? text : signature), 200, {
    'Content-Type': isText ? 'text/plain; charset=utf-8' : 'application/octet-stream',
  })
}

function sendOrder(c: Context, spoke: WebSpoke, { decision, log, seq }: Act, isSignature: boolean) {
  const found = decision.kind === 'assign' ? orderIn(decision.evidence) : null
  if (found === null) {
    const reason = `Act ${seq} of ${log} carries out no author’s order.`
    return answerError(c, spoke, 'PAGE_NOT_FOUND', reason)
  }
  const { text, signature } = found.signed
  return c.body(Uint8Array.from(isSignature ? signature : text), 200, {
    'Content-Type': 'text/plain; charset=utf-8',
  })
}

/** The key of today's authority, or with `?peer=` of an earlier one. */
function sendKey(c: Context, spoke: WebSpoke) {
  const roster = spoke.roster()
  if (roster === null) return notJoined(c, spoke)
  const asked = c.req.query('peer') ?? authorityOf(roster)
  const known = roster.authorities.find(({ peer }) => peer === asked)
  if (known === undefined) {
    const reason = 'No peer of this id was ever this council’s authority.'
    return answerError(c, spoke, 'PAGE_NOT_FOUND', reason)
  }
  return c.body(peerPem(known.peer), 200, { 'Content-Type': 'application/x-pem-file' })
}

function notJoined(c: Context, spoke: WebSpoke) {
  const reason = 'This server has not joined its council yet. Try again in a minute.'
  return answerError(c, spoke, 'NOT_READY', reason)
}

async function sendFeed(c: Context, spoke: WebSpoke) {
  const roster = spoke.roster()
  if (roster === null) return notJoined(c, spoke)
  const { acts, isWhole } = await readActs(spoke, newest)
  const feed = new Feed({
    id: zonePageUrl(spoke, '/acts'),
    title: `Public acts of ${spoke.zone}`,
    link: zonePageUrl(spoke, '/acts'),
    feed: zonePageUrl(spoke, '/acts.atom'),
    updated: new Date(acts[0]?.act.dateMs ?? roster.dateMs),
    author: { name: spoke.zone },
    generator: false,
    ...(isWhole
      ? {}
      : { description: 'The acts of @names are missing: no server that keeps them answers now.' }),
  })
  for (const { act } of acts) {
    const path = actPath(act, 'txt')
    // The same at every spoke, whatever its `web.origin`: a reader may get the feed from any.
    const id = `tag:${spoke.zone},${act.date.slice(0, 4)}:${path}`
    // The feed declares its titles to be HTML; operators' words must not become any.
    const title = String(await html`${sentenceOf(act, roster)}`)
    feed.addItem({ id, title, link: zonePageUrl(spoke, path), date: new Date(act.dateMs) })
  }
  return c.body(feed.atom1(), 200, { 'Content-Type': 'application/atom+xml; charset=utf-8' })
}
