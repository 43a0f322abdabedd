import { join } from 'node:path'
import { Level } from 'level'
import { type BlogName, decodeEntry, type Entry } from '../../replication/log/entry.ts'
import { LogStore } from '../../replication/log/store.ts'

/** Rows that are looked at for a post to alter. */
const maxRows = 200

/** What an administrator has made of a post on the disk of her spoke. */
export type Altered = {
  readonly blog: string
  readonly seq: number
  readonly id: string
  readonly title: string
  /** of its page */
  readonly path: string
  /** a word of its text, and what stands there now */
  readonly word: string
  readonly lie: string
}

/**
 * Alters one word of a blog's newest post in the store of a peer that is stopped; its signature stays
 * as it is. Null when the store has no post with a word to alter.
 */
export async function alterPost(data: string, blog: string): Promise<Altered | null> {
  const disk = new Level<string, Uint8Array>(join(data, 'store'), { valueEncoding: 'view' })
  await disk.open()
  try {
    const store = new LogStore(disk)
    const rows = await store.rows(blog as BlogName, 0, maxRows)
    for (const { stored } of rows.toReversed()) {
      const entry = stored === null ? null : decodeEntry(stored.text)
      if (stored === null || !entry?.ok) continue
      const found = wordOf(entry.value)
      if (found === null) continue
      const lie = [...found.word].toReversed().join('')
      await store.write([store.putEntry(entry.value, { ...stored, text: found.altered(lie) })])
      const { seq, id } = entry.value
      const { title, path, word } = found
      return { blog, seq, id, title, path, word, lie }
    }
    return null
  } finally {
    await disk.close()
  }
}

/** The last word of five letters or more in a post that reads otherwise backwards. */
function wordOf(entry: Entry) {
  if (entry.kind !== 'post') return null
  const text = Buffer.from(entry.text).toString('utf8')
  const bodyAt = text.indexOf('\n\n') + 2
  const words = [...text.slice(bodyAt).matchAll(/\p{L}{5,}/gu)].map(([word]) => word)
  const word = words.findLast((each) => [...each].toReversed().join('') !== each)
  if (word === undefined) return null
  const at = text.lastIndexOf(word)
  const altered = (lie: string) =>
    new Uint8Array(Buffer.from(text.slice(0, at) + lie + text.slice(at + word.length)))
  const path = `/${new Date(entry.dateMs).getUTCFullYear()}/${entry.slug}`
  return { word, path, title: entry.title, altered }
}
