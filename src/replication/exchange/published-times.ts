import type { BlogName } from '../log/entry.ts'
import type { LogStore, Write } from '../log/store.ts'

const publishedKey = (blog: string, seq: number) =>
  `published/${blog}/${String(seq).padStart(16, '0')}`

/** When this peer saw entries published: a row for each moment, which stands for all before it. */
export class PublishedTimes {
  readonly #store: LogStore

  constructor(store: LogStore) {
    this.#store = store
  }

  /** All up to `seq` are published now. */
  put(blog: BlogName, seq: number, atMs: number): Write {
    return this.#store.putValue(publishedKey(blog, seq), atMs)
  }

  /** When this peer saw the entry at `seq` published first, ms; null while it is not, or not known here. */
  async ms(blog: BlogName, seq: number): Promise<number | null> {
    const at = await this.between(blog, seq, seq)
    return at(seq)
  }

  /** The same for `from` to `to`, read at once. */
  async between(blog: BlogName, from: number, to: number): Promise<(seq: number) => number | null> {
    const prefix = publishedKey(blog, 0).slice(0, -16)
    const rows = await this.#store.valuesFrom(publishedKey(blog, from), prefix, to - from + 1)
    const times = rows.flatMap(([key, ms]) =>
      typeof ms === 'number' ? [{ seq: Number(key.slice(prefix.length)), ms }] : [],
    )
    return (seq) => times.find((time) => time.seq >= seq)?.ms ?? null
  }

  /** Up to which seq this peer has ever seen the blog published; -1: never. */
  async last(blog: BlogName): Promise<number> {
    const prefix = publishedKey(blog, 0).slice(0, -16)
    const last = await this.#store.lastKey(prefix)
    return last === null ? -1 : Number(last.slice(prefix.length))
  }
}
