import type { Collection } from '../../../src/replication/aggregation/collection.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import type { TestLog } from '../test-author.ts'
import { startMs } from '../test-council.ts'

type Listener = Parameters<Collection['onChange']>[0]

/** The published entries of logs that a test writes; what is written later counts after `grow`. */
export class TestCollection implements Collection {
  readonly #logs = new Map<BlogName, { log: TestLog; length: number; seenMs: number[] }>()
  readonly #listeners = new Set<Listener>()
  readonly #read = new Set<string>()
  readonly #broken = new Set<string>()
  /** entries that were handed out in pages */
  entriesRead = 0

  constructor(...logs: readonly TestLog[]) {
    for (const log of logs) this.grow(log)
  }

  /** Takes everything that a log has by now, or its first `length` entries. */
  grow(log: TestLog, seenMs: number = startMs, length = log.entries.length): void {
    const blog = log.blog as BlogName
    const held = this.#logs.get(blog)
    const from = held?.log === log ? held.length : 0
    const seen = [...(from === 0 ? [] : (held?.seenMs ?? []))]
    if (from > 0 && length <= from) return
    for (let seq = from; seq < length; seq++) seen.push(seenMs)
    this.#logs.set(blog, { log, length, seenMs: seen })
    const head = this.head(blog)
    for (const listener of this.#listeners) if (head !== null) listener(blog, from, head)
  }

  /** As an aggregator does that leaves a blog out. */
  forget(blog: string): void {
    this.#logs.delete(blog as BlogName)
  }

  lengthOf(blog: BlogName): number {
    return this.#logs.get(blog)?.length ?? 0
  }

  /** Whether a blog's log was read from its beginning on. */
  wasRead(blog: string): boolean {
    return this.#read.has(blog)
  }

  /** From now on the blog cannot be read. */
  breaks(blog: string): void {
    this.#broken.add(blog)
  }

  readonly blogs = () => this.#logs.keys()

  readonly head = (blog: BlogName) => {
    const held = this.#logs.get(blog)
    const last = held?.log.entries[held.length - 1]?.entry
    return last === undefined ? null : { seq: last.seq, id: last.id }
  }

  readonly entry = async (blog: BlogName, seq: number) => {
    const held = this.#logs.get(blog)
    const found = held !== undefined && seq < held.length ? held.log.entries[seq] : undefined
    return found === undefined
      ? null
      : {
          text: found.offer.text,
          signature: found.offer.signature,
          seenMs: held?.seenMs[seq] as number,
        }
  }

  readonly entries = async (blog: BlogName, from: number, to: number, maxBytes: number) => {
    if (this.#broken.has(blog)) throw new Error('the disk does not answer')
    if (from === 0) this.#read.add(blog)
    const page = []
    let bytes = 0
    for (let seq = from; seq <= to; seq++) {
      const found = await this.entry(blog, seq)
      if (found === null) break
      bytes += found.text.length + found.signature.length
      if (page.length > 0 && bytes > maxBytes) break
      page.push(found)
      this.entriesRead++
    }
    return page
  }

  readonly keySeqs = async (blog: BlogName) => {
    const held = this.#logs.get(blog)
    const entries = held?.log.entries.slice(0, held.length) ?? []
    return entries
      .filter(({ entry }) => entry.kind === 'genesis' || entry.kind === 'rekey')
      .map(({ entry }) => entry.seq)
  }

  readonly onChange = (listener: Listener) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
