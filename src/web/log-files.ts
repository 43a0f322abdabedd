import { type Context, Hono } from 'hono'
import type { Fork } from '../replication/exchange/proofs.ts'
import { exportLog } from '../replication/log/archive.ts'
import type { LogLine } from '../replication/log/blog.ts'
import { parseEntryId, type Signed } from '../replication/log/text.ts'
import { type BlogEnv, openWith } from './blog-host.ts'
import { answerError } from './errors.ts'
import type { LogProof, OpenBlog, WebSpoke } from './spoke.ts'

/** Entries in one answer of `/log.json`. */
const maxLines = 1_000

/** The files with which anybody can check or rebuild a blog: texts, signatures, keys, the list. */
export function logFiles(spoke: WebSpoke) {
  return new Hono<BlogEnv>()
    .get('/log/:file{(?:0|[1-9][0-9]{0,14})\\.txt(?:\\.asc)?}', (c) => sendEntry(c, spoke))
    .get('/key.asc', async (c) => {
      const keys = await c.var.open.keys()
      return sendText(c, keys.map((block) => `${block.trimEnd()}\n`).join('\n'))
    })
    .get('/log.json', (c) => sendList(c, spoke))
    .get('/forks.json', (c) => c.json(forksJson(spoke.forks(c.var.open.blog.name))))
    .get('/export.tar', (c) => sendArchive(c))
}

async function sendEntry(c: Context<BlogEnv>, spoke: WebSpoke) {
  const file = c.req.param('file') ?? ''
  const seq = Number.parseInt(file, 10)
  const isSignature = file.endsWith('.asc')
  const id = parseEntryId(c.req.query('id') ?? '')
  const aside = id === null ? null : await c.var.open.aside(seq, id)
  if (aside !== null) {
    return sendText(c, Uint8Array.from(isSignature ? aside.signature : aside.text))
  }
  const open = await openWith(c, (blog) => blog.head.seq >= seq)
  if (seq > open.blog.head.seq) {
    const reason = `${open.blog.name} has no entry ${seq}; its newest one is ${open.blog.head.seq}.`
    return answerError(c, spoke, 'PAGE_NOT_FOUND', reason)
  }
  const found = await open.entry(seq)
  if (found !== null && c.req.query('id') !== undefined && found.entry.id !== id) {
    const reason = `This server has no version of entry ${seq} with that id.`
    return answerError(c, spoke, 'PAGE_NOT_FOUND', reason)
  }
  if (found === null) {
    const reason = 'None of the servers that keep this entry answers now. Try again in a minute.'
    return answerError(c, spoke, 'ENTRY_UNREACHABLE', reason)
  }

  return sendText(c, isSignature ? found.signature : Uint8Array.from(found.entry.text))
}

/** Sends exactly the bytes given, whatever they are; `nosniff` keeps a browser from guessing. */
function sendText(c: Context, text: string | Uint8Array<ArrayBuffer>) {
  return c.body(text, 200, { 'Content-Type': 'text/plain; charset=utf-8' })
}

/**
 * Streams the whole log; its author's archive may be larger than this server's memory. What fails
 * before the first byte gets an answer of its own; later the transfer breaks off, so that nobody
 * takes half an archive for a whole one.
 */
async function sendArchive(c: Context<BlogEnv>) {
  const { open } = c.var
  const parts = exportLog(open)
  const first = await parts.next()
  const all = async function* () {
    if (!first.done) yield first.value
    yield* parts
  }
  return c.body(ReadableStream.from(all()), 200, {
    'Content-Type': 'application/x-tar',
    'Content-Disposition': `attachment; filename="${open.blog.name}.tar"`,
  })
}

async function sendList(c: Context<BlogEnv>, spoke: WebSpoke) {
  const { open } = c.var
  const limit = count(c.req.query('limit'), maxLines)
  const newest = open.blog.head.seq - (limit ?? 0) + 1
  const from = count(c.req.query('from'), Math.max(0, newest))
  if (limit === null || from === null || limit < 1 || limit > maxLines) {
    const reason = `Want "from", the first seq, and "limit", 1 to ${maxLines} entries, as whole numbers.`
    return answerError(c, spoke, 'QUERY_MALFORMED', reason)
  }
  return c.json(listOf(open, open.blog.lines(from, limit), await open.proof()))
}

function count(value: string | undefined, otherwise: number): number | null {
  if (value === undefined) return otherwise
  return /^(0|[1-9][0-9]{0,14})$/.test(value) ? Number(value) : null
}

function listOf({ blog }: OpenBlog, lines: readonly LogLine[], proof: LogProof) {
  const { seq, id } = blog.head
  return {
    council: blog.council,
    blog: blog.name,
    genesis: blog.genesis,
    key: blog.key,
    head: { seq, id },
    published: proof.published,
    entries: lines.map(({ seq, id, kind, date, slug, title }) => ({
      ...{ seq, id, kind, date },
      ...(slug === null ? {} : { slug }),
      ...(title === null ? {} : { title }),
    })),
    receipts: proof.receipts.map(signedJson),
    act:
      proof.act === null
        ? null
        : { ...signedJson(proof.act), receipts: proof.act.receipts.map(signedJson) },
    roster: proof.roster.map(signedJson),
  }
}

/** Places of a log with two signed versions, both of them, so that anybody can check. */
export const forksJson = (forks: readonly Fork[]) => ({
  forks: forks.map(({ log, seq, ids, versions }) => ({
    ...{ log, seq },
    versions: versions.map((version, at) => ({ id: ids[at], ...signedJson(version) })),
  })),
})

/** Texts of peers are UTF-8 by their format, so the string gives the signed bytes back. */
export function signedJson({ text, signature }: Signed) {
  return {
    text: Buffer.from(text).toString('utf8'),
    signature: Buffer.from(signature).toString('base64'),
  }
}
