import { readFile } from 'node:fs/promises'
import { KeyRing } from '../../auth/public-key.ts'
import { type Draft, encodeEntry } from '../../replication/log/entry.ts'
import type { Head } from '../../replication/log/log.ts'
import { dateMs, formatDate } from '../../replication/log/text.ts'
import { composePost, readTags, slugFor } from '../../web/compose.ts'
import type { LogAnswer, SubmitAnswer } from './answers.ts'
import { openKey, orRefused, signDraft } from './author-key.ts'
import { BlogLog } from './blog-log.ts'
import { SpokeClient } from './client.ts'
import { CommandError } from './failure.ts'
import { Gpg } from './gpg.ts'
import type { CommandIo } from './io.ts'
import type { Kept } from './outbox.ts'

export type PublishOptions = {
  readonly blog: string
  readonly at: string
  readonly key: string
  readonly title?: string
  readonly slug?: string
  readonly lang?: string
  readonly tags?: string
  readonly date?: string
}

/** How often a post is signed anew because another entry took its seq. */
const maxSignings = 3

/** `publish <file>`: brings the file into form, signs it as the next entry, hands it in. */
export async function publish(file: string, options: PublishOptions, io: CommandIo): Promise<void> {
  if (options.date !== undefined && dateMs(options.date) === null) {
    throw new CommandError('usage', `--date wants an instant like 2026-11-23T03:40:00Z.`)
  }
  const client = new SpokeClient(options.at)
  const post = composePost(await readSource(file, io), options.title)
  if (!post.ok) throw new CommandError('usage', post.reason)
  const gpg = new Gpg(io.env)
  const key = await openKey(gpg, new KeyRing(), options.key, io.now())
  const blog = await BlogLog.open(client, options.blog, io.env)

  /** The post as the entry behind `head`. */
  const draftAt = (head: Head, date: string): Draft => ({
    kind: 'post',
    council: blog.council,
    blog: options.blog,
    seq: head.seq + 1,
    prev: head.id,
    date,
    key: key.publicKey.fingerprint,
    slug: options.slug ?? slugFor(post.value.title, head.seq + 1),
    title: post.value.title,
    body: post.value.body,
    ...(options.lang === undefined ? {} : { lang: options.lang }),
    ...(options.tags === undefined ? {} : { tags: readTags(options.tags) }),
  })

  let log = await blog.read()
  const earlier = await findSame(blog, draftAt)
  if (earlier !== null) {
    io.say(`this post is signed already, as entry ${earlier.entry.seq}: handing it in again`)
    const { answer } = await blog.submit(earlier, io)
    if (answer !== null) return report(earlier, answer, io)
    await blog.outbox.drop(earlier.entry)
  }
  if (await blog.settle(log, io)) log = await blog.read()
  if (log.key !== key.publicKey.fingerprint) {
    throw new CommandError(
      'refused',
      `${options.blog} is written with the key ${log.key}, not with ${key.publicKey.fingerprint}. Give that key with --key.`,
    )
  }
  let head: Head = log.head
  for (let signing = 1; signing <= maxSignings; signing++) {
    const draft = draftAt(head, dateFor(log, options.date, io.now()))
    const kept = await signDraft(gpg, key, draft)
    sayRevision(log, kept, io)
    const { answer, headSeq, headId } = await submitOnce(blog, kept, io)
    if (answer !== null) return report(kept, answer, io)
    await blog.outbox.drop(kept.entry)
    io.say(`entry ${kept.entry.seq} is taken by another one: signing again behind entry ${headSeq}`)
    log = await blog.read()
    // The spoke that shows the log may be behind the primary, which gave this head.
    head = log.head.seq >= headSeq ? log.head : { seq: headSeq, id: headId }
  }
  throw new CommandError(
    'failed',
    `Other entries took the place of this one ${maxSignings} times. Is another program writing with your key? Try again.`,
  )
}

/** What is refused is forgotten: the author changes her file, and signs again. */
async function submitOnce(blog: BlogLog, kept: Kept, io: CommandIo) {
  try {
    return await blog.submit(kept, io)
  } catch (error) {
    if (error instanceof CommandError && error.exit === 'refused') {
      await blog.outbox.drop(kept.entry)
    }
    throw error
  }
}

async function readSource(file: string, io: CommandIo): Promise<Uint8Array> {
  if (file === '-') return io.readInput()
  try {
    return await readFile(file)
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    throw new CommandError('usage', `Cannot read "${file}": ${code ?? message}.`, { cause })
  }
}

/** The same post, signed by an earlier run that could not learn what became of it. */
async function findSame(
  blog: BlogLog,
  draftAt: (head: Head, date: string) => Draft,
): Promise<Kept | null> {
  for (const kept of await blog.outbox.list()) {
    const { seq, prev, date, id } = kept.entry
    if (prev === null) continue
    const again = orRefused(encodeEntry(draftAt({ seq: seq - 1, id: prev }, date)))
    if (again.id === id) return kept
  }
  return null
}

/** Now, or the last entry's date when that is later: dates never fall within a log. */
function dateFor(log: LogAnswer, given: string | undefined, nowMs: number): string {
  const last = log.entries.at(-1)?.date ?? ''
  const lastMs = dateMs(last) ?? 0
  if (given === undefined) return formatDate(Math.max(nowMs, lastMs))
  if ((dateMs(given) as number) >= lastMs) return given
  throw new CommandError(
    'usage',
    `--date ${given} lies before the blog's last entry (${last}). Dates never fall within a log.`,
  )
}

function sayRevision(log: LogAnswer, { entry }: Kept, io: CommandIo): void {
  const slug = entry.kind === 'post' ? entry.slug : null
  if (log.entries.some((each) => each.kind === 'post' && each.slug === slug)) {
    io.say(`the blog has a post "${slug}": this is a new revision of it`)
  }
}

function report({ entry }: Kept, answer: SubmitAnswer, io: CommandIo): void {
  const { url, published, copies, wanted, receipts, reason } = answer
  const slug = entry.kind === 'post' ? entry.slug : null
  if (!published) io.say(reason ?? `stored on ${copies} of ${wanted} servers, not yet published`)
  const { seq, id } = entry
  io.data(JSON.stringify({ seq, id, slug, url, published, copies, wanted, receipts }))
}
