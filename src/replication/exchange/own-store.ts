import { parseStoreId, type StoreId } from '../log/peer-text.ts'
import type { LogStore } from '../log/store.ts'
import type { Replicas } from './replica.ts'
import type { Report } from './world.ts'

type Parts = {
  readonly store: LogStore
  readonly replicas: () => Pick<Replicas, 'lost' | 'renewed' | 'reload'>
  readonly newStoreId: () => StoreId
  readonly report: Report
}

/** Name of this data folder's life: receipts, seals and acts name it (REPLICATION, Words). */
export class OwnStore {
  readonly #parts: Parts
  #id: StoreId | null = null
  #listener = () => {}

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Throws before `open`. */
  id(): StoreId {
    if (this.#id === null) throw new Error('the store is not open yet')
    return this.#id
  }

  async open(): Promise<void> {
    const known = parseStoreId(String(await this.#parts.store.value('store')))
    this.#id = known ?? (await this.#newId())
  }

  /** A disk that lost what a receipt of ours covers is a new store: nobody may count on the old one. */
  async check(): Promise<void> {
    const replicas = this.#parts.replicas()
    const lost = await replicas.lost()
    if (lost.length === 0) return
    this.#id = await this.#newId()
    this.#parts.report('store_lost', { blogs: lost, store: this.#id })
    await replicas.renewed()
  }

  /**
   * This data folder turned out to be an older state of itself: it is a new store from now on, and
   * nothing that was counted on the old one counts (REPLICATION, Words).
   */
  async renew(why: string): Promise<void> {
    this.#id = await this.#newId()
    this.#parts.report('store_renewed', { why, store: this.#id })
    await this.#parts.replicas().reload()
    this.#listener()
  }

  /** Called when this has become another store while the peer runs: the council must hear of it. */
  onRenewed(listener: () => void): void {
    this.#listener = listener
  }

  async #newId(): Promise<StoreId> {
    const { store, newStoreId } = this.#parts
    const id = newStoreId()
    await store.write([store.putValue('store', id)])
    return id
  }
}
