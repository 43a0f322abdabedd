import type { Submitted } from '../../../src/replication/exchange/submit.ts'
import type { Entry } from '../../../src/replication/log/entry.ts'
import { countReceipts, decodeReceipt, majority } from '../../../src/replication/log/receipt.ts'
import type { EntryId } from '../../../src/replication/log/text.ts'
import type { VirtualCouncil } from './council.ts'

/** What authors were told of their entries. Each answer is a promise, and is held against what there is. */
export class Told {
  readonly #council: VirtualCouncil
  /** `blog seq id` of entries that an author was told a spoke holds */
  readonly stored = new Set<string>()
  /** `blog seq` → id of entries that an author was told are published */
  readonly published = new Map<string, EntryId>()
  answers = 0

  constructor(council: VirtualCouncil) {
    this.#council = council
  }

  /** @param what - the question, for the trace */
  held(entry: Entry, answer: Extract<Submitted, { kind: 'held' }>, what: string): void {
    const { published, copies, wanted, receipts } = answer
    const { ledger } = this.#council.witness
    this.#council.note(() => `${what}: ${published ? 'published' : 'stored'} ${copies}/${wanted}`)
    this.stored.add(`${entry.log} ${entry.seq} ${entry.id}`)
    if (!published) return
    this.isPublished(entry)
    const read = receipts.flatMap((signed) => {
      const receipt = decodeReceipt(signed)
      return receipt.ok && receipt.value.log === entry.log ? [receipt.value] : []
    })
    const act = read[0]?.act as EntryId
    const replicas = ledger.replicasOf(act)
    if (countReceipts(read, act, replicas, entry.seq) < majority(replicas.length))
      this.#council.breach('answer', `${what}: answered as published without enough receipts`)
    if (ledger.published(entry.log)[entry.seq]?.id !== entry.id)
      this.#council.breach('answer', `${what}: answered as published, and is not`)
  }

  /** A disk is lost: what was stored there alone, and not published, is gone, and its author knows that it may be. */
  lost(): void {
    for (const key of this.stored) if (!this.isSomewhere(key)) this.stored.delete(key)
  }

  /** Whether any spoke keeps an entry, in its log or aside. */
  isSomewhere(key: string): boolean {
    const { machines, witness } = this.#council
    const [blog = '', seq, id] = key.split(' ')
    return machines.some(
      ({ disk, signer, seat }) =>
        !seat.lies &&
        (witness.idsOf(signer.peer, blog)[Number(seq)] === id ||
          ['tail', 'aside'].some((kind) =>
            disk.rows(`${kind}/${blog}/`).some(([row]) => row.endsWith(`/${id}`)),
          )),
    )
  }

  isPublished(entry: Entry): void {
    const key = `${entry.log} ${entry.seq}`
    const known = this.published.get(key)
    if (known !== undefined && known !== entry.id)
      this.#council.breach('answer', `${key} was answered as ${known} before`)
    this.published.set(key, entry.id)
  }
}
