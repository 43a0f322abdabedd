import { showCount } from '../../web/plain-words.ts'
import type { LogAnswer } from './answers.ts'
import { BlogLog } from './blog-log.ts'
import { SpokeClient } from './client.ts'
import { CommandError } from './failure.ts'
import { type CommandIo, plainLine } from './io.ts'

export type LogOptions = { readonly at: string; readonly json?: boolean }

/** `log <blog>`: all entries of a log, and which of them are published. */
export async function showLog(name: string, options: LogOptions, io: CommandIo): Promise<void> {
  const blog = await BlogLog.open(new SpokeClient(options.at), name, io.env)
  await blog.settle(await blog.read(), io)
  const { log, entries } = await readAll(blog)
  const rows = entries.map((entry) => ({ ...entry, published: entry.seq <= log.published }))
  if (options.json) {
    const { council, genesis, key, head, published } = log
    io.data(JSON.stringify({ council, blog: name, genesis, key, head, published, entries: rows }))
    return
  }
  for (const { seq, date, kind, slug, title, published } of rows) {
    const words = [slug, title].filter((each) => each !== undefined).join('  ')
    const state = published ? 'published' : 'stored'
    const line = `${String(seq).padStart(6)}  ${date}  ${kind.padEnd(7)}  ${state.padEnd(9)}  ${words}`
    io.data(plainLine(line.trimEnd()))
  }
  io.say(`${name}: ${showCount(rows.length, 'entry', 'entries')}, key ${log.key}`)
}

async function readAll(blog: BlogLog): Promise<{ log: LogAnswer; entries: LogAnswer['entries'] }> {
  const entries: LogAnswer['entries'] = []
  for (;;) {
    const log = await blog.read(entries.length)
    for (const entry of log.entries) {
      if (entry.seq === entries.length) entries.push(entry)
    }
    if (entries.length > log.head.seq) return { log, entries }
    if (log.entries.length === 0 || log.entries.at(-1)?.seq !== entries.length - 1) {
      throw new CommandError(
        'failed',
        `The spoke shows no entry ${entries.length}, though its log ends at ${log.head.seq}. Give another spoke with --at.`,
      )
    }
  }
}
