import type { PeerName } from '../../auth/peer-signature.ts'
import type { Head } from '../log/log.ts'
import { sameReplica } from '../log/peer-text.ts'
import { countReceipts, decodeReceipt, type Receipt } from '../log/receipt.ts'
import type { LogStore } from '../log/store.ts'
import { type Assignment, publishedFrom } from '../registry/assignment.ts'

/**
 * The newest receipt of each replica of one blog under the assignment in force: how many copies
 * there are of which entry. Receipts of other acts never enter it (REPLICATION 3).
 */
export class ReceiptBook {
  readonly assignment: Assignment
  readonly #newest = new Map<PeerName, Receipt>()

  constructor(assignment: Assignment) {
    this.assignment = assignment
  }

  static async load(assignment: Assignment, store: LogStore): Promise<ReceiptBook> {
    const book = new ReceiptBook(assignment)
    for (const signed of await store.receipts(assignment.blog, assignment.id)) {
      const receipt = decodeReceipt(signed)
      if (receipt.ok) book.add(receipt.value)
    }
    return book
  }

  /** @returns whether it is newer than the one known: covers more, or was given later */
  add(receipt: Receipt): boolean {
    const { assignment } = this
    if (receipt.log !== assignment.blog || receipt.act !== assignment.id) return false
    if (receipt.council !== assignment.council || receipt.epoch !== assignment.epoch) return false
    if (!assignment.replicas.some((replica) => sameReplica(replica, receipt.replica))) return false
    const known = this.#newest.get(receipt.replica.peer)
    if (
      known !== undefined &&
      (known.head.seq > receipt.head.seq ||
        (known.head.seq === receipt.head.seq && known.atMs >= receipt.atMs))
    ) {
      return false
    }
    this.#newest.set(receipt.replica.peer, receipt)
    return true
  }

  of(peer: PeerName): Receipt | null {
    return this.#newest.get(peer) ?? null
  }

  all(): Receipt[] {
    return [...this.#newest.values()]
  }

  /** Replicas that hold the entry at `seq`. */
  copies(seq: number): number {
    return countReceipts(this.all(), this.assignment.id, this.assignment.replicas, seq)
  }

  /** Highest published seq; -1 while none is, and for ever with n = 1 (REPLICATION 4). */
  published(): number {
    const needed = publishedFrom(this.assignment)
    if (needed === null) return -1
    const seqs = this.all()
      .map((receipt) => receipt.head.seq)
      .sort((a, b) => b - a)
    return seqs[needed - 1] ?? -1
  }

  /** Whether the act is active: w replicas hold the head that it names (REPLICATION 9, and 4 for n = 1). */
  isActive(): boolean {
    const { head } = this.assignment
    return this.copies(head.seq) >= (publishedFrom(this.assignment) ?? 1)
  }

  /** Replicas that have given no receipt for `head` yet. */
  behind(head: Head): PeerName[] {
    return this.assignment.replicas
      .map((replica) => replica.peer)
      .filter((peer) => (this.#newest.get(peer)?.head.seq ?? -1) < head.seq)
  }
}
