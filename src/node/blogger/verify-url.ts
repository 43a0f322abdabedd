import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ArchiveFiles, entryFile, maxArchiveBytes } from '../../replication/log/archive.ts'
import { Blog, type BlogPost } from '../../replication/log/blog.ts'
import {
  type BlogName,
  decodeEntry,
  type Entry,
  type Genesis,
  parseBlogName,
} from '../../replication/log/entry.ts'
import { decodeReceipt } from '../../replication/log/receipt.ts'
import { postPath } from '../../web/links.ts'
import { compareShown } from '../../web/shown-post.ts'
import { type LogAnswer, logAnswer } from './answers.ts'
import { check, describe, plain, type VerifyOptions } from './archive-commands.ts'
import { SpokeClient } from './client.ts'
import { CommandError } from './failure.ts'
import type { CommandIo } from './io.ts'
import type { CheckedArchive } from './verify-archive.ts'

/**
 * `verify <URL>`: the whole log behind a blog's address, as `verify` checks an archive, and of a
 * post's address that the page shows what its author signed. What the server says is taken only
 * with its signature; of a page only whether its words are those of the signed text.
 */
export async function verifyUrl(
  address: string,
  options: VerifyOptions,
  io: CommandIo,
): Promise<void> {
  const asked = readAddress(address)
  const client = new SpokeClient(options.at ?? asked.url.origin)
  // First the list, then the archive: the log may grow in between, never shrink.
  const list = await client.ask({ path: '/log.json?limit=1', host: asked.host })
  const said = client.read(list, logAnswer)
  const checked = await download(client, asked)
  expectSame(said, checked, asked)
  const blog = foldBlog(checked.files, checked.log.head.seq)
  const post = asked.post === null ? null : await checkPost(client, asked, blog, checked, io)
  if (options.json) {
    io.data(JSON.stringify({ ...plain(checked), ...(post === null ? {} : { post }) }))
    return
  }
  for (const line of describe(checked)) io.data(line)
  if (post !== null) for (const line of describePost(post, asked.blog)) io.data(line)
}

type Asked = {
  readonly url: URL
  readonly host: string
  readonly blog: BlogName
  readonly zone: string
  /** null for the blog itself */
  readonly post: { readonly year: string; readonly slug: string } | null
}

/** Throws `usage` for anything but the address of a blog, or of a post in it. */
function readAddress(address: string): Asked {
  const url = URL.parse(address)
  const [label = '', ...rest] = url?.hostname.split('.') ?? []
  const blog = parseBlogName(label)
  const [, year, slug] =
    /^\/(?:([0-9]{4})\/([a-z0-9]+(?:-[a-z0-9]+)*))?$/.exec(url?.pathname ?? '') ?? []
  const isPost = year !== undefined && slug !== undefined
  // Hosts that are no blogs: `<spoke>.spoke.<zone>`, `<peer>.ns.<zone>`, `edit.<blog>.<zone>`.
  const fits =
    blog !== null && label !== 'edit' && rest.length > 0 && !['spoke', 'ns'].includes(rest[0] ?? '')
  if (url === null || !fits || (!isPost && url.pathname !== '/') || url.username !== '') {
    throw new CommandError(
      'usage',
      `"${address}" is not the address of a blog or of a post, like https://maria.blogs.example.org/ or https://maria.blogs.example.org/2026/what-is-a-council.`,
    )
  }
  const post = isPost ? { year, slug } : null
  return { url, host: url.hostname, blog, zone: rest.join('.'), post }
}

async function download(client: SpokeClient, { host }: Asked) {
  const folder = await mkdtemp(join(tmpdir(), 'council-verify-'))
  try {
    const file = join(folder, 'export.tar')
    await client.download({ path: '/export.tar', host }, file, maxArchiveBytes)
    return await check(file)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** That the archive is the log that was asked for, in the state that the list promised. */
function expectSame(said: LogAnswer, { log, copies }: CheckedArchive, asked: Asked): void {
  const fail = (reason: string) => {
    throw new CommandError('failed', `${reason} Ask another spoke with --at.`)
  }
  const zone = log.council.slice(0, log.council.indexOf('/'))
  if (log.blog !== asked.blog || zone !== asked.zone) {
    fail(`The server answered for ${asked.host} with the log of ${log.blog}.${zone}.`)
  }
  if (copies === null) {
    fail(
      `The server has no act by which the authority gave the name ${log.blog} to this log: it may be anybody's.`,
    )
  }
  if (said.council !== log.council || said.genesis !== log.genesis) {
    fail(`The server lists another log under ${asked.host} than its archive holds.`)
  }
  const promised = [
    said.head,
    ...said.receipts.flatMap((signed) => {
      const receipt = decodeReceipt(signed)
      const isOurs = receipt.ok && receipt.value.log === log.blog
      return isOurs && receipt.value.council === log.council ? [receipt.value.head] : []
    }),
  ]
  const missing = promised.find(({ seq }) => seq > log.head.seq)
  if (missing !== undefined) {
    fail(
      `The server's archive is older than what it or a replica has signed for: it ends at entry ${log.head.seq}, the log at ${missing.seq} or later.`,
    )
  }
  const forked = promised.find(({ seq, id }) => log.ids[seq] !== id)
  if (forked !== undefined) {
    fail(`The server lists another entry ${forked.seq} than its archive holds.`)
  }
}

function foldBlog(files: ArchiveFiles, last: number): Blog {
  const blog = new Blog(entryAt(files, 0) as Genesis)
  for (let seq = 1; seq <= last; seq++) blog.fold(entryAt(files, seq))
  return blog
}

/** An entry of an archive that was checked. */
function entryAt(files: ArchiveFiles, seq: number): Entry {
  const entry = decodeEntry(files.get(entryFile(seq)) as Uint8Array)
  if (!entry.ok) throw new Error(`entry ${seq} was checked and is ${entry.code}`)
  return entry.value
}

/** What a post's address stands for, by the log. */
type CheckedPost = {
  readonly state: 'shown' | 'removed'
  /** the entry that decides what readers see: the newest version, or the one that took it back */
  readonly seq: number
  readonly id: string
  readonly date: string
  readonly key: string
  readonly slug: string
  readonly title: string
  readonly version: number
  /** replicas with a receipt that covers the entry, and since when they have held their newest one */
  readonly held: readonly { readonly spoke: string | null; readonly since: string | null }[]
  readonly replicas: number
  readonly published: boolean
}

async function checkPost(
  client: SpokeClient,
  asked: Asked,
  blog: Blog,
  checked: CheckedArchive & { readonly files: ArchiveFiles },
  io: CommandIo,
): Promise<CheckedPost> {
  const post = blog.post(asked.post?.slug ?? '')
  if (post === null || postPath(post) !== asked.url.pathname) {
    throw new CommandError(
      'failed',
      `${asked.blog} has signed no post for ${asked.url.pathname}. If the page shows one, it is not hers.`,
    )
  }
  const { current, retracted } = post
  const entry = entryAt(checked.files, retracted?.seq ?? current.seq)
  await expectShown(client, asked, { post, entry }, io)
  const { published, replicas } = checked.copies ?? { published: -1, replicas: [] }
  return {
    state: retracted === null ? 'shown' : 'removed',
    ...{ seq: entry.seq, id: entry.id, date: entry.date, key: entry.key, slug: post.slug },
    ...{ title: current.title, version: post.revisions.length },
    held: replicas
      .filter(({ seq }) => seq !== null && seq >= entry.seq)
      .map(({ spoke, since }) => ({ spoke, since })),
    replicas: replicas.length,
    published: entry.seq <= published,
  }
}

/** Holds the page against the entry. The log may have grown since: then it says to try again. */
async function expectShown(
  client: SpokeClient,
  asked: Asked,
  { post, entry }: { readonly post: BlogPost; readonly entry: Entry },
  io: CommandIo,
): Promise<void> {
  const answer = await client.ask({ path: asked.url.pathname, host: asked.host })
  if (post.retracted !== null) {
    if (answer.status === 410) return
    throw new CommandError(
      'failed',
      `${asked.blog} took this post back with entry ${entry.seq}, but the server answers with status ${answer.status} and does not say so.`,
    )
  }
  if (answer.status !== 200) {
    throw new CommandError(
      answer.status === 503 ? 'notReady' : 'failed',
      `The log is good and has the post as entry ${entry.seq}, but the server does not show it (status ${answer.status}).`,
    )
  }
  const { title } = post.current
  const wrong = await compareShown(answer.body.toString('utf8'), { title, body: entry.body })
  if (wrong === 'markup') {
    io.say(
      'The page has the words of the entry in other HTML than this version writes: parts may be hidden or look different.',
    )
  }
  if (wrong === null || wrong === 'markup') return
  throw new CommandError(
    'failed',
    `The page does not show entry ${entry.seq} as ${asked.blog} signed it: its ${wrong} differ${wrong === 'title' ? 's' : ''}. If it was changed just now, try again; else believe the signed text, ${asked.url.origin}/log/${entry.seq}.txt, and not the page.`,
  )
}

function describePost(post: CheckedPost, blog: BlogName): string[] {
  const isShown = post.state === 'shown'
  const since = post.held.map(({ spoke, since }) => `${spoke ?? 'an unknown spoke'} since ${since}`)
  return [
    isShown
      ? `post      entry ${post.seq}, version ${post.version} of ${post.slug}: ${post.title}`
      : `post      taken back by its author with entry ${post.seq}; its versions are in the log`,
    `entry id  ${post.id}`,
    `signed    by ${blog} with the key ${post.key}, dated ${post.date}`,
    `held      by ${post.held.length} of ${post.replicas} replicas${since.length === 0 ? '' : `: ${since.join(', ')} at the latest`}; ${post.published ? 'published' : 'not published yet'}`,
    isShown ? 'page      shows the title, words and links of this entry' : 'page      says so',
  ]
}
