import { splitKeyBlock } from '../log/author.ts'
import { type BlogName, decodeEntry } from '../log/entry.ts'
import type { Ingest } from '../log/ingest.ts'
import type { LogStore } from '../log/store.ts'
import type { Replicas } from './replica.ts'

/** A public key that a blog's log holds: one that it is or was written with, or its recovery key. */
export type BlogKey = { readonly fingerprint: string; readonly block: string }

type Log = { readonly ingest: Pick<Ingest, 'record'>; readonly store: LogStore }

/** All keys that a blog's log holds, in the order of their entries; none when it is not held. */
export async function keysOfLog(blog: BlogName, { ingest, store }: Log): Promise<BlogKey[]> {
  const keys: BlogKey[] = []
  for (const seq of (await ingest.record(blog))?.keys ?? []) {
    const stored = await store.entry(blog, seq)
    const entry = stored === null ? null : decodeEntry(stored.text)
    if (!entry?.ok) continue
    const { block, rest } = splitKeyBlock(entry.value.body)
    if (entry.value.kind === 'rekey') keys.push({ fingerprint: entry.value.next, block })
    if (entry.value.kind !== 'genesis') continue
    keys.push({ fingerprint: entry.value.key, block })
    const { recovery } = entry.value
    if (recovery !== null) keys.push({ fingerprint: recovery, block: rest.trim() })
  }
  return keys
}

/** The keys of the blogs that this peer keeps, found by their fingerprint or long key id. */
export class HeldKeys {
  readonly #log: Log
  readonly #replicas: Pick<Replicas, 'all'>
  /** by blog, read again when the log holds more keys */
  readonly #keys = new Map<BlogName, { readonly entries: number; readonly keys: BlogKey[] }>()

  constructor(log: Log, replicas: Pick<Replicas, 'all'>) {
    this.#log = log
    this.#replicas = replicas
  }

  /** @param id - 40 or 16 upper-case hex digits */
  async find(id: string): Promise<(BlogKey & { readonly blog: BlogName }) | null> {
    for (const { assignment, role } of this.#replicas.all()) {
      if (role === 'none') continue
      const { blog } = assignment
      const key = (await this.#of(blog)).find(({ fingerprint }) => fingerprint.endsWith(id))
      if (key !== undefined) return { ...key, blog }
    }
    return null
  }

  async #of(blog: BlogName): Promise<readonly BlogKey[]> {
    const entries = (await this.#log.ingest.record(blog))?.keys.length ?? 0
    const kept = this.#keys.get(blog)
    if (kept?.entries === entries) return kept.keys
    const keys = await keysOfLog(blog, this.#log)
    this.#keys.set(blog, { entries, keys })
    return keys
  }
}
