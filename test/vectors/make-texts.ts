// Makes entries.json, acts.json, peer-texts.json and bootstrap.json again; README.md beside it
// describes their shapes.
//
//   node_modules/.bin/node test/vectors/make-texts.ts
//
// Peers' keys come from fixed seeds and Ed25519 has one signature per text, so acts.json,
// peer-texts.json and bootstrap.json come out the same each time. OpenPGP signatures hold random
// salt: the signed texts of entries.json change with every run.

import { writeFileSync } from 'node:fs'
import { type FrontPage, signFrontPage } from '../../src/replication/aggregation/front-page.ts'
import { type BlogName, type Draft, encodeEntry } from '../../src/replication/log/entry.ts'
import { signReceipt } from '../../src/replication/log/receipt.ts'
import { formatDate, type Signed } from '../../src/replication/log/text.ts'
import type { Decision } from '../../src/replication/registry/act.ts'
import { formatBootstrap } from '../../src/replication/registry/bootstrap.ts'
import { signDial } from '../../src/replication/registry/dial.ts'
import { signHeartbeat } from '../../src/replication/registry/heartbeat.ts'
import { signHello } from '../../src/replication/registry/hello.ts'
import { signJoin } from '../../src/replication/registry/join-request.ts'
import type { ProofOfAct } from '../../src/replication/registry/proof.ts'
import { signAnswer } from '../../src/replication/registry/audit-answer.ts'
import { signReport } from '../../src/replication/registry/report.ts'
import { voteText } from '../../src/replication/registry/roster.ts'
import { signPromise, signSeal } from '../../src/replication/registry/seal.ts'
import { hourMs, TestAuthor, TestLog } from '../replication/test-author.ts'
import {
  assignFields,
  dayMs,
  fakeId,
  forge,
  member,
  must,
  peer,
  replica,
  seedOf,
  startMs,
  storeOf,
  TestCouncil,
} from '../replication/test-council.ts'

const write = (file: string, value: unknown) =>
  writeFileSync(new URL(file, import.meta.url), `${JSON.stringify(value, null, 2)}\n`)
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')

/** As a string where the bytes are UTF-8 without a BOM, else in base64. */
function textOf(bytes: Uint8Array): { text: string } | { textBase64: string } {
  const text = Buffer.from(bytes).toString()
  return Buffer.compare(Buffer.from(text), bytes) === 0 && !text.startsWith('\ufeff')
    ? { text }
    : { textBase64: base64(bytes) }
}
const verdict = (code: string | undefined) =>
  code === undefined ? { valid: true } : { valid: false, code }

// entries.json

const council = `blogs.example.org/${fakeId('5f')}`
const common = {
  ...{ council, blog: 'maria', seq: 3, prev: fakeId('9c'), key: '5D2C'.repeat(10) },
  ...{ date: '2026-11-23T03:40:00Z', body: 'Una *reunión*.\n\n\tcódigo' },
}
const post = must(
  encodeEntry({
    ...{ ...common, kind: 'post', slug: 'what-is-a-council', lang: 'es' },
    ...{ tags: ['plaza', 'asamblea'], title: '¿Qué es un consejo?' },
  }),
).text
const entries: object[] = []
const addEntry = (name: string, bytes: Uint8Array, code?: string) =>
  entries.push({ name, ...textOf(bytes), ...verdict(code) })
const broken = (name: string, part: string | RegExp, by: string, code: string) =>
  addEntry(name, forge(post, part, by), code)
const line = (header: string, value: string, code = 'HEADER_VALUE', name = `${header} ${value}`) =>
  broken(name, new RegExp(`\n${header} .*`), `\n${header} ${value}`, code)
const inBody = (...bytes: number[]) => Buffer.concat([post, Buffer.from(bytes)])

const others: Draft[] = [
  { ...common, kind: 'retract', slug: 'what-is-a-council', body: '' },
  { ...common, kind: 'profile', title: 'María', lang: 'zh-Hans' },
  { ...common, kind: 'rekey', next: '1B2C'.repeat(10), body: 'key and signature, checked in logs' },
  { ...common, kind: 'genesis', seq: 0, prev: null, body: 'key, checked in logs' },
]
addEntry('post', post)
for (const draft of others) addEntry(draft.kind, must(encodeEntry(draft)).text)
addEntry(
  'alias and attach lines',
  forge(post, 'title ', `alias /old\nattach ${fakeId('ab')} image/png 12 a.png A square\ntitle `),
)
addEntry('bidi in the body', forge(post, 'Una', '\u202eUna'))
addEntry('a line of 16,384 bytes', forge(post, 'Una', 'x'.repeat(16_384 - 12)))
addEntry('a line of 16,385 bytes', forge(post, 'Una', 'x'.repeat(16_385 - 12)), 'TEXT_LINE_TOO_LONG')
const fill = 65_536 - post.length
const lines = `\n${'x'.repeat(99)}`.repeat(fill)
addEntry('65,536 bytes', Buffer.concat([post, Buffer.from(lines.slice(0, fill))]))
addEntry('65,537 bytes', Buffer.concat([post, Buffer.from(lines.slice(0, fill + 1))]), 'TEXT_TOO_LONG')
addEntry('BOM', Buffer.concat([Buffer.from('\ufeff'), post]), 'TEXT_BOM')
broken('CRLF', /\n/g, '\r\n', 'TEXT_CARRIAGE_RETURN')
broken('CR', 'Una', 'U\rna', 'TEXT_CARRIAGE_RETURN')
broken('NUL', 'Una', 'U\u0000na', 'TEXT_CONTROL_CHARACTER')
broken('DEL', 'Una', 'U\u007fna', 'TEXT_CONTROL_CHARACTER')
broken('NEL', 'Una', 'U\u0085na', 'TEXT_CONTROL_CHARACTER')
broken('U+2028', 'Una', 'U\u2028na', 'TEXT_LINE_SEPARATOR')
broken('U+2029', 'Una', 'U\u2029na', 'TEXT_LINE_SEPARATOR')
broken('U+FEFF inside', 'Una', 'U\ufeffna', 'TEXT_ZERO_WIDTH_NO_BREAK')
broken('U+FFFE', 'Una', 'U\ufffena', 'TEXT_NONCHARACTER')
broken('U+1FFFF', 'Una', 'U\u{1ffff}na', 'TEXT_NONCHARACTER')
broken('tab in a header', 'es un', 'es\tun', 'TEXT_TAB_IN_HEADER')
broken('bidi in a header', 'es un', 'es\u202eun', 'TEXT_BIDI_IN_HEADER')
broken('trailing blank', 'reunión*.', 'reunión*. ', 'TEXT_TRAILING_BLANK')
broken('trailing tab', 'reunión*.', 'reunión*.\t', 'TEXT_TRAILING_BLANK')
broken('trailing blank in a header', 'consejo?', 'consejo? ', 'TEXT_TRAILING_BLANK')
addEntry('final LF', inBody(10), 'TEXT_ENDS_IN_LINE_FEED')
broken('body that starts empty', '\n\nUna', '\n\n\nUna', 'TEXT_BODY_STARTS_EMPTY')
addEntry('lone continuation byte', inBody(0x80), 'TEXT_NOT_UTF8')
addEntry('overlong slash', inBody(0xc0, 0xaf), 'TEXT_NOT_UTF8')
addEntry('encoded surrogate', inBody(0xed, 0xa0, 0x80), 'TEXT_NOT_UTF8')
addEntry('above U+10FFFF', inBody(0xf4, 0x90, 0x80, 0x80), 'TEXT_NOT_UTF8')
addEntry('empty', Buffer.alloc(0), 'ENTRY_FIRST_LINE')
broken('another format', 'entry 1', 'entry 2', 'ENTRY_FIRST_LINE')
line('kind', 'poem', 'ENTRY_KIND')
broken('no kind', 'kind post\n', '', 'HEADER_MISSING')
broken('no title', /title .*\n/, '', 'HEADER_MISSING')
broken('empty title', /title .*/, 'title', 'TEXT_HEADER_SYNTAX')
broken('two blanks', 'title ', 'title  ', 'TEXT_HEADER_SYNTAX')
broken('upper-case header', 'title', 'Title', 'TEXT_HEADER_SYNTAX')
broken('unknown header', 'slug', 'mood good\nslug', 'HEADER_UNKNOWN')
broken('repeated header', 'slug', 'slug x\nslug', 'HEADER_REPEATED')
broken('headers in another order', /(lang .*\n)(tags .*\n)/, '$2$1', 'HEADER_ORDER')
line('council', 'blogs.example.org')
line('council', `blogs.example.org/${fakeId('5F')}`)
for (const name of ['ab', '123', '-maria', 'ma--ria', 'Maria', '@names']) line('blog', name)
for (const seq of ['03', '-3', '+3', '3.0', '9007199254740992']) line('seq', seq)
line('prev', fakeId('9C'))
broken('no prev', /prev .*\n/, '', 'ENTRY_PREV')
broken('post at seq 0', /seq 3\nprev .*\n/, 'seq 0\n', 'ENTRY_SEQ_KIND')
broken('prev at seq 0', 'seq 3', 'seq 0', 'ENTRY_PREV')
for (const date of ['2026-02-30T00:00:00Z', '2026-11-23T24:00:00Z', '2026-12-31T23:59:60Z'])
  line('date', date)
for (const date of ['2026-11-23T03:40:00', '2026-11-23T03:40:00.5Z', '2026-11-23T03:40:00+00:00'])
  line('date', date)
line('key', '5d2c'.repeat(10))
line('slug', 'What')
line('lang', 'Spanish')
line('tags', 'plaza, asamblea')
line('tags', 'plaza, plaza')
line('title', 'x'.repeat(201), 'HEADER_VALUE', 'a title of 201 characters')

const [maria, later, recovery, mallory] = (await Promise.all(
  ['maria', 'later', 'recovery', 'mallory'].map((name) => TestAuthor.make(name)),
)) as [TestAuthor, TestAuthor, TestAuthor, TestAuthor]
const logs: object[] = []
const addLog = (name: string, log: TestLog, outcome = 'held') => {
  const rows = log.entries.map(({ entry, offer }) => ({
    text: Buffer.from(offer.text).toString(),
    signature: Buffer.from(offer.signature).toString(),
    id: entry.id,
  }))
  logs.push({ name, council, entries: rows, outcome })
}
const begin = async (how = {}) => (await TestLog.begin(council, maria, how)).posts(1)
const withEntry = async (
  name: string,
  outcome: string,
  add: (log: TestLog) => Promise<unknown>,
  log?: TestLog,
) => {
  const to = log ?? (await begin({ recovery }))
  await add(to)
  addLog(name, to, outcome)
}
const at = (ms: number) => formatDate(startMs + ms)
addLog('genesis and a post', await begin())
addLog('genesis with a recovery key', await begin({ recovery }))
await withEntry('an entry by another key', 'ENTRY_OTHER_KEY', (log) =>
  log.add({ kind: 'post' }, { by: mallory }),
)
await withEntry('a signature by another key', 'SIGNATURE_OTHER_KEY', (log) =>
  log.sign({ kind: 'retract', slug: 'post-1', ...log.next() }, mallory),
)
await withEntry('a date that falls', 'DATE_FALLS', (log) =>
  log.add({ kind: 'post' }, { date: at(-1_000) }),
)
await withEntry('a missing entry', 'gap', async (log) => {
  await log.posts(2)
  log.entries.splice(2, 1)
})
await withEntry('two entries for one seq', 'fork', async (log) => {
  const { entry, offer } = await log.branch().add({ kind: 'post' }, { body: 'Another' })
  await log.posts(1)
  log.entries.push({ entry, offer })
})
await withEntry('rekey, then the next key writes', 'held', async (log) => {
  await log.rekey(later)
  await log.add({ kind: 'post' }, { by: later })
})
await withEntry('the old key after a rekey', 'ENTRY_OTHER_KEY', async (log) => {
  await log.rekey(later)
  await log.posts(1)
})
await withEntry('a rekey that the next key did not sign', 'REKEY_POSSESSION', (log) =>
  log.rekey(later, { holder: mallory }),
)
await withEntry('a rekey without the next key signing', 'REKEY_BODY', (log) =>
  log.rekey(later, { body: later.block }),
)
const recovered = (wait: number, by = later) => async (log: TestLog) => {
  await log.rekey(later, { signer: recovery, date: at(dayMs) })
  await log.add({ kind: 'post' }, { by, date: at(dayMs + wait) })
}
await withEntry('recovery, 72 hours later', 'held', recovered(72 * hourMs))
await withEntry('recovery, a second early', 'REKEY_TOO_EARLY', recovered(72 * hourMs - 1_000))
await withEntry('recovery, refused by the old key', 'ENTRY_OTHER_KEY', async (log) => {
  await recovered(1_000, maria)(log)
  await log.add({ kind: 'post' }, { by: later, date: at(9 * dayMs) })
})
write('entries.json', { entries, logs })

// acts.json

const members = [0, 1, 2, 3, 4, 5]
const keys = members.map((n) => ({
  ...{ peer: peer(n).peer, seed: seedOf(n).toString('hex'), store: replica(n).store },
}))
const found = new TestCouncil({ zone: 'blogs.example.org' }).admit(1, 2, 3)
const acts: object[] = []
const rowOf = (signed: Signed) => ({ ...textOf(signed.text), signature: base64(signed.signature) })
const addAct = (name: string, signer: string, signed: Signed, id?: string, code?: string) =>
  acts.push({
    ...{ name, ...rowOf(signed), signer, ...(id === undefined ? {} : { id }), ...verdict(code) },
  })
const about = { peer: peer(2).peer, reason: 'did not answer for an hour' }
const decisions: Decision[] = [
  { kind: 'admit', policy: 'open', member: member(4, { dns: ['192.0.2.4 53'], country: 'ES' }) },
  { kind: 'change', member: member(2, { roles: ['spoke', 'dns'], network: 'AS64496' }) },
  { kind: 'away', ...about, evidence: null },
  { kind: 'back', ...about, evidence: null },
  { kind: 'cutoff', ...about, evidence: 'Two receipts for one seq:\n\n…' },
  { kind: 'reinstate', ...about, evidence: null },
  { kind: 'holders', holders: [replica(0), replica(1), replica(2)] },
  { kind: 'authority', authority: peer(0).peer, standby: peer(1).peer, votes: null },
  assignFields(),
  assignFields({ epoch: 2, ends: fakeId('ee'), via: null, unmet: 'country', evidence: 'seals' }),
  { kind: 'revoke', key: 'A'.repeat(40), certificate: '-----BEGIN PGP PUBLIC KEY BLOCK-----' },
  { kind: 'loss', blog: assignFields().blog, assign: fakeId('ee'), reason: 'fire', evidence: 'seq 3' },
]
const authority = found.authority.peer
for (const proof of [found.rosterProofs[0], found.namesProofs[0]] as ProofOfAct[]) {
  const name = proof === found.rosterProofs[0] ? 'council' : 'names'
  addAct(name, authority, proof, name === 'council' ? found.roster.councilId : found.namesHead()?.id)
}
for (const decision of decisions) {
  const { act, proof } = found.draft(decision)
  const name = decision.kind === 'assign' ? `assign, epoch ${decision.epoch}` : decision.kind
  addAct(name, authority, proof, act.id)
}
const admission = found.draft(decisions[0] as Decision).proof.text
const assigned = found.draft(assignFields()).proof.text
const forged = (name: string, of: Uint8Array, part: string | RegExp, by: string, code: string) => {
  const text = forge(of, part, by)
  addAct(name, authority, { text, signature: found.authority.sign(text) }, undefined, code)
}
forged('an unknown kind', admission, 'kind admit', 'kind expel', 'ACT_KIND')
forged('an unknown header', admission, 'operator', 'mood good\noperator', 'HEADER_UNKNOWN')
forged('an admission in @names', admission, 'log @roster', 'log @names', 'ACT_LOG')
forged('an admission as number 0', admission, /seq .*\nprev .*\n/, 'seq 0\n', 'ACT_SEQ_KIND')
forged('no roster line', admission, /roster .*\n/, '', 'HEADER_MISSING')
forged('a role twice', admission, 'roles spoke', 'roles spoke, spoke', 'HEADER_VALUE')
forged('a web address by name', admission, /web .*/, 'web http://localhost:80', 'HEADER_VALUE')
forged('no replicas', assigned, /\nreplica .*/g, '', 'ACT_REPLICAS')
forged('a primary that is no replica', assigned, /primary .*/, `primary ${peer(5).peer}`, 'ACT_PRIMARY')
forged('epoch 2 that ends none', assigned, 'epoch 1', 'epoch 2', 'ACT_EPOCH')
forged('a first head that is not the genesis', assigned, /head .*/, `head 0 ${fakeId('bb')}`, 'ACT_HEAD')
addAct('a signature by another peer', authority, { text: admission, signature: peer(1).sign(admission) }, undefined, 'ACT_SIGNATURE')

const three: Decision = { kind: 'holders', holders: [0, 1, 2].map(replica) }
found.write(three)
const proofs: object[] = []
const proofOf = (proof: ProofOfAct) => ({ ...rowOf(proof), receipts: proof.receipts.map(rowOf) })
const addProof = (name: string, proof: ProofOfAct, code?: string, roster = found.rosterProofs) =>
  proofs.push({ name, roster: roster.map(proofOf), act: proofOf(proof), ...verdict(code) })
const good = found.draft(assignFields()).proof
addProof('all holders gave receipts', good)
addProof('two of three holders gave receipts', { ...good, receipts: good.receipts.slice(1) })
addProof('one of three holders gave a receipt', { ...good, receipts: good.receipts.slice(2) }, 'ACT_NOT_IN_FORCE')
addProof('one receipt three times', { ...good, receipts: Array(3).fill(good.receipts[0]) }, 'ACT_NOT_IN_FORCE')
addProof('receipts of another act', { ...good, receipts: found.draft(assignFields()).proof.receipts }, 'ACT_NOT_IN_FORCE')
addProof('signed by a member', found.draft(assignFields(), { signer: peer(1) }).proof, 'ACT_SIGNATURE')
addProof('@roster is behind', good, 'ROSTER_BEHIND', found.rosterProofs.slice(0, 2))
addProof(
  'written under one holder, before there were three',
  found.draft(assignFields(), { under: found.rosters.at(-2) as never }).proof,
)
write('acts.json', { peers: keys, acts, proofs })

// peer-texts.json

const texts: object[] = []
const addText = (name: string, form: string, n: number, signed: Signed, code?: string) =>
  texts.push({ name, form, ...rowOf(signed), peer: peer(n).peer, ...verdict(code) })
const resigned = (signed: Signed, n: number, part: string | RegExp, by: string) => {
  const text = forge(signed.text, part, by)
  return { text, signature: peer(n).sign(text) }
}
const receipt = signReceipt(peer(1), {
  ...{ council, log: 'maria', head: { seq: 3, id: fakeId('ab') }, act: fakeId('cd'), epoch: 1 },
  ...{ replica: replica(1), sinceMs: startMs, atMs: startMs + 60_000 },
}).signed
const seal = { council, log: 'maria', act: fakeId('cd'), epoch: 1, round: 7, atMs: startMs }
const signedSeal = signSeal(peer(0), seal)
const promise = { ...seal, replica: replica(1), head: { seq: 3, id: fakeId('ab') }, follows: 1 }
const beat = {
  ...{ council, replica: replica(1), atMs: startMs, freeBytes: 1_000_000_000, load: 250 },
  ...{ roster: { seq: 4, id: fakeId('ab') }, names: { seq: 9, id: fakeId('cd') } },
  ...{ mark: null, busy: [] },
}
const join = { council, member: member(1, { country: 'ES' }), atMs: startMs, invite: 'secret' }
const hello = must(signHello(peer(1), council, 'AbCdEf0123456789'))
const dialled = signDial(peer(1), { council, peer: peer(2).peer, atMs: startMs, result: 'ETIMEDOUT' })
const vote = voteText(council, {
  ...{ seq: 7, prev: fakeId('ab'), authority: peer(2).peer, voter: peer(1).peer },
})
addText('receipt', 'receipt', 1, receipt)
addText('seal', 'seal', 0, signedSeal)
addText('promise', 'promise', 1, signPromise(peer(1), promise).signed)
addText('promise of an empty log', 'promise', 1, signPromise(peer(1), { ...promise, head: null, follows: 0 }).signed)
addText('heartbeat', 'heartbeat', 1, signHeartbeat(peer(1), beat))
addText('heartbeat without @names', 'heartbeat', 1, signHeartbeat(peer(1), { ...beat, names: null }))
const busy = ['maria', 'ana'].map((blog) => ({ blog: blog as BlogName, reads: 900 }))
const full = signHeartbeat(peer(1), { ...beat, mark: 'no-copies', busy })
addText('heartbeat of a spoke with little room and blogs that are read a lot', 'heartbeat', 1, full)
addText('a heartbeat with an unknown mark', 'heartbeat', 1, resigned(full, 1, 'no-copies', 'full'), 'HEADER_VALUE')
addText('a heartbeat that names a blog twice', 'heartbeat', 1, resigned(full, 1, 'busy ana', 'busy maria'), 'HEARTBEAT_BUSY')
addText('hello', 'hello', 1, hello)
addText('join', 'join', 1, signJoin(peer(1), join))
addText('join without an invite', 'join', 1, signJoin(peer(1), { ...join, invite: null }))
addText('dial', 'dial', 1, dialled)
const question = { council, store: replica(1).store, log: 'maria', seq: 3, nonce: fakeId('0f') }
const answered = signAnswer(peer(1), { ...question, hash: fakeId('ab'), atMs: startMs })
const finding = {
  ...{ council, peer: peer(2).peer, log: 'maria', seq: 3, id: fakeId('ab') },
  kind: 'page',
  ...{ asked: '/log/3.txt', found: 'another text', served: fakeId('cd'), atMs: startMs },
} as const
const reported = signReport(peer(1), finding)
addText('answer', 'answer', 1, answered)
addText('answer without the entry', 'answer', 1, signAnswer(peer(1), { ...question, hash: null, atMs: startMs }))
addText('report', 'report', 1, reported)
addText('report of nothing that came', 'report', 1, signReport(peer(1), { ...finding, kind: 'audit', asked: fakeId('0f'), served: null }))
addText('report of a front page', 'report', 1, signReport(peer(1), { ...finding, kind: 'front', asked: `front ${storeOf(7)} 3` }))
const shown = (blog: string, seq: number, seenMs = startMs) => ({ blog: blog as BlogName, seq, id: fakeId('ab'), seenMs })
const without = [2, 3].map((n) => peer(n).peer).sort((a, b) => (a < b ? -1 : 1))
const frontPage = {
  ...{ council, run: storeOf(7), round: 3, atMs: startMs + 123, of: 5, covered: 3, without },
  ...{ roster: { seq: 4, id: fakeId('cd') }, blogs: 2, manifest: fakeId('ef') },
  posts: [shown('maria', 3, startMs + 1), shown('ana', 2), shown('maria', 2)],
}
const front = signFrontPage(peer(1), frontPage)
const frontOf = (change: Partial<FrontPage>) => signFrontPage(peer(1), { ...frontPage, ...change })
addText('front page', 'front', 1, front)
addText('front page of an empty council', 'front', 1, frontOf({ of: 0, covered: 0, without: [], blogs: 0, posts: [] }))
addText('a front page with a post twice', 'front', 1, frontOf({ posts: [shown('ana', 2), shown('ana', 2)] }), 'FRONT_POSTS')
addText('a front page with four posts of a blog', 'front', 1, frontOf({ posts: [4, 3, 2, 1].map((seq) => shown('ana', seq)) }), 'FRONT_POSTS')
addText('a front page with 21 posts', 'front', 1, frontOf({ blogs: 21, posts: Array.from({ length: 21 }, (_, n) => shown(`blog-${n + 10}`, 1)) }), 'FRONT_POSTS')
addText('a front page that is not sorted', 'front', 1, frontOf({ posts: [shown('ana', 2), shown('maria', 3, startMs + 1)] }), 'FRONT_POSTS')
addText('a front page with a post from behind its time', 'front', 1, frontOf({ posts: [shown('ana', 2, startMs + 124)] }), 'FRONT_POSTS')
addText('a front page with more blogs than its manifest', 'front', 1, frontOf({ blogs: 1 }), 'FRONT_POSTS')
addText('a front page that does not name whom it lacks', 'front', 1, frontOf({ without: [] }), 'FRONT_WITHOUT')
addText('a front page that covers more than there are', 'front', 1, resigned(front, 1, 'spokes 3/5', 'spokes 6/5'), 'HEADER_VALUE')
addText('a front page with a genesis as a post', 'front', 1, resigned(front, 1, 'post ana 2', 'post ana 0'), 'HEADER_VALUE')
addText('a front page with its time in seconds', 'front', 1, resigned(front, 1, '.123Z', 'Z'), 'HEADER_VALUE')
addText('a front page of round 0', 'front', 1, resigned(front, 1, 'round 3', 'round 0'), 'HEADER_VALUE')
addText('a front page in the name of another', 'front', 1, resigned(front, 1, peer(1).peer, peer(4).peer), 'PEER_SIGNATURE')
addText('vote', 'vote', 1, { text: vote, signature: peer(1).sign(vote) })
addText('a seal as a receipt', 'receipt', 1, signedSeal, 'PEER_TEXT_FIRST_LINE')
addText('a receipt with a body', 'receipt', 1, resigned(receipt, 1, /$/, '\n\nbody'), 'PEER_TEXT_BODY')
addText('a receipt without its act', 'receipt', 1, resigned(receipt, 1, /act .*\n/, ''), 'HEADER_MISSING')
addText('an unknown header', 'receipt', 1, resigned(receipt, 1, 'epoch 1', 'epoch 1\nmood good'), 'HEADER_UNKNOWN')
addText('an upper-case id', 'receipt', 1, resigned(receipt, 1, fakeId('ab'), fakeId('AB')), 'HEADER_VALUE')
addText('signed by another peer', 'receipt', 1, { ...receipt, signature: peer(2).sign(receipt.text) }, 'PEER_SIGNATURE')
addText('changed after signing', 'receipt', 1, { ...receipt, text: forge(receipt.text, 'seq 3', 'seq 4') }, 'PEER_SIGNATURE')
addText('63 bytes of signature', 'receipt', 1, { ...receipt, signature: receipt.signature.subarray(1) }, 'PEER_SIGNATURE')
addText('a seal by a member', 'seal', 0, signSeal(peer(1), seal), 'PEER_SIGNATURE')
addText('a dial in the name of another', 'dial', 1, resigned(dialled, 1, peer(1).peer, peer(3).peer), 'PEER_SIGNATURE')
addText('a dial without what came of it', 'dial', 1, resigned(dialled, 1, /\nresult .*/, ''), 'HEADER_MISSING')
addText('an answer in the name of another', 'answer', 1, resigned(answered, 1, peer(1).peer, peer(3).peer), 'PEER_SIGNATURE')
addText('an answer changed after signing', 'answer', 1, { ...answered, text: forge(answered.text, 'seq 3', 'seq 4') }, 'PEER_SIGNATURE')
addText('an answer with a short nonce', 'answer', 1, resigned(answered, 1, /nonce .*/, 'nonce 0f'), 'HEADER_VALUE')
addText('an answer without its store', 'answer', 1, resigned(answered, 1, /store .*\n/, ''), 'HEADER_MISSING')
addText('a report as an answer', 'answer', 1, reported, 'PEER_TEXT_FIRST_LINE')
addText('a report in the name of another', 'report', 1, resigned(reported, 1, peer(1).peer, peer(3).peer), 'PEER_SIGNATURE')
addText('a report about another peer than was signed', 'report', 1, { ...reported, text: forge(reported.text, peer(2).peer, peer(3).peer) }, 'PEER_SIGNATURE')
addText('a report of another kind', 'report', 1, resigned(reported, 1, 'kind page', 'kind mood'), 'HEADER_VALUE')
addText('a report without the right id', 'report', 1, resigned(reported, 1, /\nid .*/, ''), 'HEADER_MISSING')
addText('a report with a body', 'report', 1, resigned(reported, 1, /$/, '\n\nbody'), 'PEER_TEXT_BODY')
addText('a hello of another peer', 'hello', 1, must(signHello(peer(2), council, 'AbCdEf0123456789')), 'HELLO_OTHER')
addText('a join with a web address by name', 'join', 1, resigned(signJoin(peer(1), join), 1, /web .*/, 'web http://localhost:80'), 'HEADER_VALUE')
write('peer-texts.json', texts)

// bootstrap.json

const dial = `/ip4/192.0.2.7/tcp/4001/p2p/${peer(1).peer}`
const plain = `council://${council}?peer=${dial}`
const read = (name: string, bootstrap: { peers: readonly string[]; invite: string | null }) => ({
  name,
  address: formatBootstrap({ council, ...bootstrap }),
  valid: true,
  council,
  ...bootstrap,
})
const bad = (name: string, address: string, code: string) => ({ name, address, valid: false, code })
write('bootstrap.json', [
  read('one peer', { peers: [dial], invite: null }),
  read('two peers and an invite', {
    peers: [dial, `/dns4/a.example.org/tcp/443/p2p/${peer(2).peer}`],
    invite: 'a b+c&d=ü',
  }),
  bad('another scheme', plain.replace('council:', 'https:'), 'BOOTSTRAP_SCHEME'),
  bad('a bare multiaddr', dial, 'BOOTSTRAP_SCHEME'),
  bad('no council id', `council://blogs.example.org?peer=${dial}`, 'BOOTSTRAP_COUNCIL'),
  bad('a council id in upper case', plain.replace(fakeId('5f'), fakeId('5F')), 'BOOTSTRAP_COUNCIL'),
  bad('no peer', `council://${council}`, 'BOOTSTRAP_PEER'),
  bad('a peer without its id', `council://${council}?peer=/ip4/192.0.2.7/tcp/1`, 'BOOTSTRAP_PEER'),
  bad('an unknown parameter', `${plain}&key=1`, 'BOOTSTRAP_QUERY'),
  bad('two invites', `${plain}&invite=a&invite=b`, 'BOOTSTRAP_QUERY'),
  bad('a second question mark', `${plain}?peer=${dial}`, 'BOOTSTRAP_PEER'),
])
