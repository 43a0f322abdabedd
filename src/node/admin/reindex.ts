import { join } from 'node:path'
import { deleteSearchFiles, SearchStoreError } from '../../replication/aggregation/search-file.ts'
import { SearchStore } from '../../replication/aggregation/search-store.ts'
import { showCount } from '../../web/plain-words.ts'
import { CommandError } from '../blogger/failure.ts'
import type { CommandIo } from '../blogger/io.ts'
import { readConfig } from '../config.ts'
import { reindexAnswer } from './admin-answers.ts'
import { AdminClient } from './admin-client.ts'

export type ReindexOptions = { readonly config: string; readonly json?: boolean }

/** The index of words in a peer's data folder. */
export const searchPath = (data: string) => join(data, 'search.db')

/**
 * `reindex`: lets the peer that runs here make its index of words anew. When none runs, the index
 * is deleted, and the next start makes it.
 */
export async function reindex(options: ReindexOptions, io: CommandIo): Promise<void> {
  const peer = await AdminClient.open(options.config, io.env)
  let done: { blogs: number; running: boolean }
  try {
    const { blogs } = await peer.post('/reindex', {}, reindexAnswer)
    done = { blogs, running: true }
  } catch (error) {
    if (!(error instanceof CommandError) || error.exit !== 'unreachable') throw error
    await deleteIndex(options.config, io)
    done = { blogs: 0, running: false }
  }
  if (options.json) return io.data(JSON.stringify(done))
  io.data(
    done.running
      ? `The index is being made anew from ${showCount(done.blogs, 'blog')}. Until it is done, searches here find less.`
      : 'The index is deleted. The peer does not run; its next start makes it anew.',
  )
}

/** Only who could open it alone may delete it: a peer without its socket would go on using it. */
async function deleteIndex(config: string, io: CommandIo): Promise<void> {
  const read = await readConfig(config, io.env)
  if (!read.ok) throw new CommandError('usage', read.reason)
  const path = searchPath(read.value.data)
  try {
    SearchStore.open(path).close()
  } catch (error) {
    if (!(error instanceof SearchStoreError)) throw error
    if (error.kind === 'locked' || error.kind === 'unusable') {
      const cause = { cause: error }
      throw new CommandError('failed', `${path} cannot be deleted: ${error.message}.`, cause)
    }
  }
  deleteSearchFiles(path)
}
