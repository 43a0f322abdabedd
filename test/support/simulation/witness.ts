import { decode } from 'cborg'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import { type Replica, sameReplica } from '../../../src/replication/log/peer-text.ts'
import { decodeReceipt, majority, type Receipt } from '../../../src/replication/log/receipt.ts'
import { type EntryId, idOf } from '../../../src/replication/log/text.ts'
import type { VirtualDisk } from './disk.ts'

const receiptLine = Buffer.from('council-receipt 1\n')

/**
 * Sees every message that a peer lets out, and every disk, and holds both against the rules of
 * REPLICATION. It knows what was published before any peer does: at the moment at which the last
 * receipt that was needed leaves its replica.
 */
export class Witness {
  readonly #disks: ReadonlyMap<PeerName, VirtualDisk>
  readonly #broken: (rule: string) => void
  /** the replicas that an assignment names, by its id */
  readonly #replicas = new Map<EntryId, readonly Replica[]>()
  /** `act log seq id` → who gave receipts that cover it */
  readonly #given = new Map<string, Set<PeerName>>()
  readonly #published = new Map<string, EntryId[]>()
  readonly #seen = new Set<string>()
  /** `holder log seq` → id of the act it gave a receipt for */
  readonly #held = new Map<string, EntryId>()
  /** receipts for blogs that were held against a disk */
  receipts = 0

  constructor(disks: ReadonlyMap<PeerName, VirtualDisk>, broken: (rule: string) => void) {
    this.#disks = disks
    this.#broken = broken
  }

  /** An assignment was given; its receipts count from now on. */
  assigned(act: EntryId, replicas: readonly Replica[]): void {
    this.#replicas.set(act, replicas)
  }

  replicasOf(act: EntryId): readonly Replica[] {
    return this.#replicas.get(act) ?? []
  }

  /** A message that `from` lets out, in whatever form. */
  watch(from: PeerName, message: unknown): void {
    for (const receipt of receiptsIn(message)) {
      if (receipt.replica.peer !== from) continue
      if (receipt.log.startsWith('@')) this.#holds(receipt)
      else this.#leaves(receipt)
    }
  }

  /** A holder's receipt for an act: one act per seq, ever, and synced (REPLICATION 14). */
  #holds({ log, head, replica }: Receipt): void {
    const key = `${replica.peer} ${log} ${head.seq}`
    const known = this.#held.get(key)
    if (known !== undefined && known !== head.id)
      this.#broken(`${replica.peer} gave receipts for two acts as ${log} ${head.seq}`)
    this.#held.set(key, head.id)
    if (known !== undefined) return
    const row = this.#disks.get(replica.peer)?.durable(`held/${log}/${head.seq}`)
    if (row === undefined || (decode(row) as { id: string }).id !== head.id)
      this.#broken(`a receipt of ${replica.peer} for ${log} ${head.seq}, which is not synced`)
  }

  /** Ids of the published entries of a blog that the witness knows of, by seq. */
  published(log: string): readonly EntryId[] {
    return this.#published.get(log) ?? []
  }

  #leaves(receipt: Receipt): void {
    const { log, act, head, replica } = receipt
    const key = `${act} ${log} ${head.seq} ${head.id} ${replica.peer}`
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    this.receipts++
    const replicas = this.replicasOf(act)
    if (!replicas.some((each) => sameReplica(each, replica))) {
      this.#broken(`a receipt of ${replica.peer} for ${log} under an act that does not name it`)
      return
    }
    const chain = this.durableChain(receipt)
    if (chain === null) return
    const n = replicas.length
    chain.forEach((id, seq) => {
      const given = this.#givers(`${act} ${log} ${seq} ${id}`)
      given.add(replica.peer)
      if (n > 1 && given.size >= majority(n)) this.#publish(log, seq, id)
    })
  }

  /**
   * Ids of the entries that a receipt covers, as they lie on its giver's disk and would after a power
   * loss. Null, and a broken rule, when that is not what the receipt says (REPLICATION 1 and 2).
   */
  durableChain({ log, head, replica }: Receipt): EntryId[] | null {
    const disk = this.#disks.get(replica.peer)
    const ids: EntryId[] = []
    for (let seq = 0; seq <= head.seq; seq++) {
      const row = disk?.durable(`entry/${log}/${String(seq).padStart(16, '0')}`)
      if (row === undefined) {
        this.#broken(`a receipt of ${replica.peer} for ${log} ${head.seq} without ${seq} synced`)
        return null
      }
      ids.push(idOf((decode(row) as [Uint8Array])[0]))
    }
    if (ids.at(-1) === head.id) return ids
    this.#broken(`a receipt of ${replica.peer} for another ${log} ${head.seq} than it holds`)
    return null
  }

  #givers(key: string): Set<PeerName> {
    const known = this.#given.get(key)
    if (known !== undefined) return known
    const givers = new Set<PeerName>()
    this.#given.set(key, givers)
    return givers
  }

  #publish(log: string, seq: number, id: EntryId): void {
    const ids = this.#published.get(log) ?? []
    this.#published.set(log, ids)
    const before = ids[seq]
    if (before !== undefined && before !== id) {
      this.#broken(`${log} ${seq} is published twice, with ids ${before} and ${id}`)
    }
    ids[seq] = id
  }
}

/** All receipts of a message, wherever in it they stand. */
function receiptsIn(message: unknown): Receipt[] {
  if (!Array.isArray(message)) {
    if (typeof message !== 'object' || message === null || message instanceof Uint8Array) return []
    return Object.values(message).flatMap(receiptsIn)
  }
  const [text, signature] = message
  if (text instanceof Uint8Array && signature instanceof Uint8Array && isReceipt(text)) {
    const receipt = decodeReceipt({ text, signature })
    return receipt.ok ? [receipt.value] : []
  }
  return message.flatMap(receiptsIn)
}

const isReceipt = (text: Uint8Array) =>
  Buffer.compare(text.subarray(0, receiptLine.length), receiptLine) === 0
