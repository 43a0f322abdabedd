import { rename, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { KeyRing } from '../../auth/public-key.ts'
import {
  type ArchiveFiles,
  type BadArchive,
  maxArchiveBytes,
} from '../../replication/log/archive.ts'
import { BlogLog } from './blog-log.ts'
import { SpokeClient } from './client.ts'
import { CommandError } from './failure.ts'
import type { CommandIo } from './io.ts'
import { type CheckedArchive, openArchive, verifyArchive } from './verify-archive.ts'

export type ExportOptions = {
  readonly at: string
  readonly output: string
  readonly json?: boolean
}
export type VerifyOptions = { readonly at?: string; readonly json?: boolean }

/** `export <blog>`: downloads the archive and puts it in place only once it is checked. */
export async function exportBlog(
  name: string,
  options: ExportOptions,
  io: CommandIo,
): Promise<void> {
  const blog = await BlogLog.open(new SpokeClient(options.at), name, io.env)
  const target = resolve(options.output)
  // In the same folder, so that the rename at the end is one step.
  const partial = join(dirname(target), `.council-export-${process.pid}`)
  try {
    await blog.download(partial, maxArchiveBytes)
    const checked = await check(partial)
    if (checked.log.blog !== name || checked.log.council !== blog.council) {
      throw new CommandError(
        'failed',
        `The spoke sent the archive of ${checked.log.blog} of ${checked.log.council} instead. Nothing was written; give another spoke with --at.`,
      )
    }
    await rename(partial, target).catch((cause: NodeJS.ErrnoException) => {
      throw new CommandError('failed', `Cannot write ${options.output}: ${cause.code}.`, { cause })
    })
    if (options.json) io.data(asJson(checked))
    else for (const line of describe(checked)) io.say(line)
    sayWarnings(checked, io)
    io.say(`wrote ${options.output}`)
  } finally {
    await rm(partial, { force: true })
  }
}

/** `verify <tar|folder>`: the whole archive, offline; ends at the first bad entry. */
export async function verify(path: string, options: VerifyOptions, io: CommandIo): Promise<void> {
  if (options.at !== undefined) {
    throw new CommandError('usage', `--at goes with the address of a blog; "${path}" is a file.`)
  }
  const checked = await check(path)
  if (options.json) io.data(asJson(checked))
  else for (const line of describe(checked)) io.data(line)
  sayWarnings(checked, io)
}

/** Reads an archive and checks it. Throws `failed` with the first bad entry, `usage` for no file. */
export async function check(path: string): Promise<Checked> {
  const files = await openArchive(path)
  if (!files.ok) {
    throw new CommandError(files.code === 'ARCHIVE_NOT_FOUND' ? 'usage' : 'failed', files.reason)
  }
  const checked = await verifyArchive(files.value, new KeyRing())
  if (!checked.ok) throw new CommandError('failed', describeBad(checked))
  return { ...checked.value, files: files.value }
}

type Checked = CheckedArchive & { readonly files: ArchiveFiles }

const describeBad = ({ seq, reason }: BadArchive) =>
  `${seq === null ? 'The archive is bad' : `Entry ${seq} is bad`}: ${reason}`

const count = (many: number, one: string, more: string) => `${many} ${many === 1 ? one : more}`

/** What a good archive says, line by line. */
export function describe({ log, copies }: CheckedArchive): string[] {
  const [inForce, ...before] = log.keys.toReversed()
  const lines = [
    `blog      ${log.blog}, ${count(log.head.seq + 1, 'entry', 'entries')}, ${count(log.posts, 'post', 'posts')}, ${log.firstDate} to ${log.lastDate}`,
    `council   ${log.council}`,
    `blog id   ${log.genesis}`,
    `key       ${inForce}`,
    ...before.map((key) => `earlier   ${key}`),
    `chain     each entry follows the one before it and is signed by its author`,
  ]
  if (copies === null) return [...lines, 'copies    no receipts in this archive']
  const published =
    copies.published < 0 ? 'nothing is published' : `published up to entry ${copies.published}`
  return [
    ...lines,
    `copies    ${published}, epoch ${copies.epoch}, by the authority ${copies.authority}`,
    ...copies.replicas.map(({ peer, spoke, seq }) => {
      const held = seq === null ? 'no receipt' : `receipt up to entry ${seq}`
      return `replica   ${spoke ?? 'unknown spoke'} ${peer}: ${held}`
    }),
  ]
}

function asJson(checked: CheckedArchive): string {
  return JSON.stringify(plain(checked))
}

/** The same for programs. */
export function plain({ log, copies }: CheckedArchive): object {
  const { ids: _, ...shown } = log
  return { ...shown, copies }
}

function sayWarnings({ log }: CheckedArchive, io: CommandIo): void {
  if (log.hasOwnScript) return
  io.say(
    'verify.sh in this archive is not the one that this version writes: read it before you run it',
  )
}
