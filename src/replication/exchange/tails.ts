import { type BlogName, decodeEntry } from '../log/entry.ts'
import type { Ingest } from '../log/ingest.ts'
import type { Head } from '../log/log.ts'
import type { LogStore } from '../log/store.ts'
import type { Kept, Replicas } from './replica.ts'
import type { Submit } from './submit.ts'

/** Entries of a log that a replica offers which is none any more. */
const maxOffered = 200

/**
 * Offers what a later epoch moved aside here to the primary of the blog, as its author would: what
 * fits on the log's end is published after all (REPLICATION 10 and 13). What does not fit stays aside.
 */
export class Tails {
  readonly #store: Pick<LogStore, 'entries' | 'tail'>
  readonly #ingest: Pick<Ingest, 'idAt' | 'record'>
  readonly #replicas: Pick<Replicas, 'get'>
  readonly #submit: Pick<Submit, 'submit'>
  /** blogs that may have a tail that still fits */
  readonly #blogs = new Set<BlogName>()
  #isRunning = false

  constructor(parts: {
    readonly store: Pick<LogStore, 'entries' | 'tail'>
    readonly ingest: Pick<Ingest, 'idAt' | 'record'>
    readonly replicas: Pick<Replicas, 'get'>
    readonly submit: Pick<Submit, 'submit'>
  }) {
    this.#store = parts.store
    this.#ingest = parts.ingest
    this.#replicas = parts.replicas
    this.#submit = parts.submit
  }

  /** An act of a later epoch has come: following it may move a tail aside. */
  note(blog: BlogName): void {
    this.#blogs.add(blog)
  }

  /** Offers what fits now; called again and again. */
  async offer(): Promise<void> {
    if (this.#isRunning) return
    this.#isRunning = true
    try {
      for (const blog of this.#blogs) if (!(await this.#waits(blog))) this.#blogs.delete(blog)
    } finally {
      this.#isRunning = false
    }
  }

  /** Whether something is left that may fit later. */
  async #waits(blog: BlogName): Promise<boolean> {
    const kept = this.#replicas.get(blog)
    const record = await this.#ingest.record(blog)
    if (kept === null || record === null) return false
    if (kept.role === 'none') return this.#offerLog(kept, record.head)
    // Until the log follows the act in force, its tail is still in it.
    if (record.follows < kept.assignment.epoch) return true
    let { seq, id } = record.head
    let isLeft = false
    for (const offer of await this.#store.tail(blog, seq + 1)) {
      isLeft = true
      const entry = decodeEntry(offer.text)
      if (!entry.ok || entry.value.seq !== seq + 1 || entry.value.prev !== id) continue
      const done = await this.#submit.submit(entry.value, offer)
      if (!done.ok || done.value.kind !== 'held') return true
      ;({ seq, id } = entry.value)
    }
    return isLeft
  }

  /** A replica that the act leaves out follows it no more: what its log has behind the act's head is offered. */
  async #offerLog({ assignment }: Kept, end: Head): Promise<boolean> {
    const { blog, head } = assignment
    if (end.seq <= head.seq || (await this.#ingest.idAt(blog, head.seq)) !== head.id) return false
    for (const offer of await this.#store.entries(blog, head.seq + 1, maxOffered)) {
      const entry = decodeEntry(offer.text)
      if (!entry.ok) return false
      const done = await this.#submit.submit(entry.value, offer)
      if (!done.ok) return true
      if (done.value.kind !== 'held') return false
    }
    return false
  }
}
