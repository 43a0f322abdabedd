import type { Losses } from '../replication/exchange/losses.ts'
import type { Proofs } from '../replication/exchange/proofs.ts'
import type { Reader, Visit } from '../replication/exchange/read.ts'
import type { Replicas } from '../replication/exchange/replica.ts'
import type { Revocations } from '../replication/exchange/revocations.ts'
import { splitKeyBlock } from '../replication/log/author.ts'
import type { Blog } from '../replication/log/blog.ts'
import { type BlogName, decodeEntry } from '../replication/log/entry.ts'
import { type Head, rosterLog } from '../replication/log/log.ts'
import type { Signed } from '../replication/log/text.ts'
import { publishedFrom } from '../replication/registry/assignment.ts'
import type { CouncilLogs } from '../replication/registry/council-logs.ts'
import type { Copies, OpenBlog } from '../web/spoke.ts'
import type { BlogFolds } from './blog-folds.ts'

type Parts = {
  readonly reader: Reader
  readonly replicas: Replicas
  readonly ingest: Visit['ingest']
  readonly council: CouncilLogs
  readonly revocations: Pick<Revocations, 'count'>
  readonly proofs: Pick<Proofs, 'count'>
  readonly losses: Pick<Losses, 'count'>
  readonly folds: BlogFolds
}

/** Blogs as pages see them: those kept here, and those of others, which are fetched and checked. */
export class OpenBlogs {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** The blog with all that its pages tell of it, as this spoke or one of its replicas has it. */
  async open(name: BlogName): Promise<OpenBlog | 'unknown' | 'unreachable'> {
    const { reader, folds } = this.#parts
    let visit = await reader.open(name)
    let blog = typeof visit === 'string' ? null : await folds.foldOf(name, visit)
    // What is held here does not hang together: readers see it as another spoke has it.
    if (blog === null && typeof visit !== 'string' && visit.held) {
      visit = await reader.open(name, { elsewhere: true })
      blog = typeof visit === 'string' ? null : await folds.foldOf(name, visit)
    }
    if (typeof visit === 'string') return visit
    return blog === null ? 'unreachable' : this.#open(blog, visit)
  }

  /**
   * Another one when pages of the blog may look otherwise: the head stands for all entries before it,
   * receipts say when each was published first. null: there is nothing to show of it now.
   */
  version(name: BlogName): string | Promise<string | null> {
    const head = this.keeps(name) ? this.#parts.ingest.recordInMemory(name)?.head : undefined
    return head === undefined ? this.#askVersion(name) : this.#heldVersion(name, head)
  }

  async #askVersion(name: BlogName): Promise<string | null> {
    const visit = await this.#parts.reader.open(name)
    const record = typeof visit === 'string' ? null : await visit.ingest.record(name)
    if (typeof visit === 'string' || record === null) return null
    if (visit.held) return this.#heldVersion(name, record.head)
    return `${record.head.id} visited ${visit.assignment.epoch} ${this.#saidOf()}`
  }

  #heldVersion(name: BlogName, head: Head): string {
    return `${head.id} held ${this.#parts.replicas.changes(name)} ${this.#saidOf()}`
  }

  /** A page tells of revoked keys, forks and losses; one more is rare enough to make all anew. */
  #saidOf(): string {
    const { revocations, proofs, losses } = this.#parts
    return `${revocations.count} ${proofs.count} ${losses.count}`
  }

  /** Whether this spoke is one of the blog's replicas. */
  keeps(name: BlogName): boolean {
    const kept = this.#parts.replicas.get(name)
    return kept !== null && kept.role !== 'none'
  }

  #open(blog: Blog, visit: Visit): OpenBlog {
    const { name } = blog
    const { replicas } = this.#parts
    return {
      blog,
      held: visit.held,
      newer: async () => {
        if (!(await this.#parts.reader.renew(name))) return null
        const open = await this.open(name)
        return typeof open === 'string' ? null : open
      },
      entry: async (seq) => {
        const own = await visit.ingest.read(name, seq)
        // Damaged here: readers see it as another spoke has it.
        const stored = own ?? (visit.held ? await this.#readElsewhere(name, seq) : null)
        const entry = stored === null ? null : decodeEntry(stored.text)
        if (stored === null || !entry?.ok) return null
        const firstSeenMs =
          (visit.held ? await replicas.publishedMs(name, seq) : null) ?? stored.firstMs
        return {
          entry: entry.value,
          signature: Buffer.from(stored.signature).toString(),
          firstSeenMs,
        }
      },
      aside: (seq, id) => this.#parts.reader.aside(name, seq, id),
      leftOver: () => this.#parts.reader.leftOver(name, visit),
      keys: () => this.#keys(blog, visit),
      copies: () => this.#copies(visit),
      proof: async () => ({
        published: visit.receipts.published(),
        receipts: visit.receipts.all().map((receipt) => receipt.signed),
        act: visit.assignment.proof,
        roster: await this.#rosterLines(),
      }),
    }
  }

  async #readElsewhere(name: BlogName, seq: number) {
    const visit = await this.#parts.reader.open(name, { elsewhere: true })
    return typeof visit === 'string' ? null : visit.ingest.read(name, seq)
  }

  #copies({ assignment, receipts }: Visit): Copies {
    const members = this.#parts.council.roster()?.members
    return {
      act: assignment.id,
      epoch: assignment.epoch,
      needed: publishedFrom(assignment),
      replicas: assignment.replicas.map(({ peer, store }) => {
        const receipt = receipts.of(peer)
        return {
          ...{ peer, store },
          spoke: members?.get(peer)?.name ?? null,
          isPrimary: peer === assignment.primary,
          receipt:
            receipt === null
              ? null
              : {
                  seq: receipt.head.seq,
                  ...{ sinceMs: receipt.sinceMs, atMs: receipt.atMs, signed: receipt.signed },
                },
        }
      }),
    }
  }

  async #keys(blog: Blog, visit: Visit): Promise<string[]> {
    const record = await visit.ingest.record(blog.name)
    const blocks: { fingerprint: string; block: string }[] = []
    for (const seq of record?.keys ?? []) {
      const stored = await visit.store.entry(blog.name, seq)
      const entry = stored === null ? null : decodeEntry(stored.text)
      if (!entry?.ok) continue
      const { kind } = entry.value
      const fingerprint = kind === 'rekey' ? entry.value.next : entry.value.key
      blocks.unshift({ fingerprint, block: splitKeyBlock(entry.value.body).block })
    }
    const inForce = blocks.findIndex(({ fingerprint }) => fingerprint === blog.key)
    const [first] = inForce < 0 ? [] : blocks.splice(inForce, 1)
    return [...(first === undefined ? [] : [first.block]), ...blocks.map(({ block }) => block)]
  }

  /** All of `@roster`: what the receipts and the act of a log are checked against offline. */
  async #rosterLines(): Promise<Signed[]> {
    const head = this.#parts.council.head(rosterLog)
    return head === null ? [] : this.#parts.council.proofs(rosterLog, 0, head.seq + 1)
  }
}
