import type { PeerName } from '../../auth/peer-signature.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import { ReceiptBook } from '../../replication/exchange/receipts.ts'
import type { BlogName } from '../../replication/log/entry.ts'
import { namesLog } from '../../replication/log/log.ts'
import type { Receipt } from '../../replication/log/receipt.ts'
import type { EntryId } from '../../replication/log/text.ts'
import { maxHeadsAsked } from '../../replication/protocol.ts'
import { decodeAct } from '../../replication/registry/act.ts'
import {
  type Assignment,
  readAssignment,
  toAssignment,
} from '../../replication/registry/assignment.ts'
import type { NamedBlog } from '../../replication/registry/names.ts'

const activeKey = (blog: string) => `active/${blog}`

/**
 * What the authority has seen of the acts that it wrote: which are active, by the receipts of the
 * replicas themselves (REPLICATION 9). An act that is not known to be active may be.
 */
export class Survey {
  readonly #exchange: Pick<Exchange, 'council' | 'store' | 'sync' | 'tell'>
  readonly #active = new Map<BlogName, EntryId>()

  constructor(exchange: Pick<Exchange, 'council' | 'store' | 'sync' | 'tell'>) {
    this.#exchange = exchange
  }

  /** Reads what was known before the start. */
  async load(): Promise<void> {
    for (const [key, value] of await this.#exchange.store.values(activeKey('')))
      this.#active.set(key.slice(activeKey('').length) as BlogName, value as EntryId)
  }

  isActive({ blog, id }: Pick<NamedBlog, 'blog' | 'id'>): boolean {
    return this.#active.get(blog) === id
  }

  /** Counts receipts under an act. @returns whether it is known to be active now */
  async note(act: Assignment, receipts: readonly Receipt[]): Promise<boolean> {
    if (this.isActive(act)) return true
    const book = new ReceiptBook(act)
    for (const receipt of receipts) book.add(receipt)
    if (!book.isActive()) return false
    this.#active.set(act.blog, act.id)
    const { store } = this.#exchange
    // Not synced: without it more replicas must answer the next seal, no more.
    await store.write([store.putValue(activeKey(act.blog), act.id)], { sync: false })
    return true
  }

  /**
   * The acts of a blog, the one in force first, back to the last that is known to be active. Null
   * while the newest is being written.
   */
  async line({ acts }: NamedBlog): Promise<readonly [Assignment, ...Assignment[]] | null> {
    const line: Assignment[] = []
    for (const seq of acts.toReversed()) {
      const act = await this.actAt(seq)
      if (act === null) return null
      line.push(act)
      if (this.isActive(act)) break
    }
    return line as [Assignment, ...Assignment[]]
  }

  /** An assignment of `@names`; null while it is being written: its names are known just before. */
  async actAt(seq: number): Promise<Assignment | null> {
    const { council } = this.#exchange
    const proof = await council.proof(namesLog, seq)
    const act = proof === null ? null : decodeAct(proof.text)
    if (proof === null || !act?.ok || act.value.decision.kind !== 'assign') return null
    // The newest act of a blog is known by its id: it was checked when it came into force.
    const named = council.names()?.blogs.get(act.value.decision.blog)
    if (named?.id === act.value.id) return toAssignment(act.value, proof)
    const read = readAssignment(proof, council.roster())
    return read.ok ? read.value : null
  }

  /**
   * Asks the primaries of blogs where their logs end, and counts the receipts that they answer. One
   * that does not know its act is told again.
   *
   * @returns the seq at which a blog's primary ends, by its receipt under the act in force; a blog
   *   whose primary does not answer so is left out
   */
  async look(acts: readonly Assignment[]): Promise<Map<BlogName, number>> {
    const ends = new Map<BlogName, number>()
    const byPrimary = Map.groupBy(acts, ({ primary }) => primary)
    const asked = [...byPrimary].flatMap(([peer, led]) =>
      chunksOf(led, maxHeadsAsked).map((some) => this.#ask(peer, some, ends)),
    )
    await Promise.all(asked)
    return ends
  }

  async #ask(
    peer: PeerName,
    acts: readonly Assignment[],
    ends: Map<BlogName, number>,
  ): Promise<void> {
    const blogs = acts.map(({ blog }) => blog)
    const said = await this.#exchange.sync.heads(peer, blogs).catch(() => null)
    if (said === null) return
    for (const act of acts) {
      const { epoch = 0, receipts = [] } = said.get(act.blog) ?? {}
      // What it was told of the act was lost, and one that never kept the blog would not ask.
      if (epoch < act.epoch)
        void this.#exchange.tell(namesLog, act.proof, [peer]).catch(() => undefined)
      await this.note(act, receipts)
      const own = receipts.find(
        ({ replica, act: under }) => replica.peer === peer && under === act.id,
      )
      if (own !== undefined) ends.set(act.blog, own.head.seq)
    }
  }
}

function chunksOf<T>(all: readonly T[], size: number): T[][] {
  const chunks: T[][] = []
  for (let at = 0; at < all.length; at += size) chunks.push(all.slice(at, at + size))
  return chunks
}
