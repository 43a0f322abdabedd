import type { PeerName } from '../../auth/peer-signature.ts'
import type { BlogName } from '../../replication/log/entry.ts'
import type { LogStore } from '../../replication/log/store.ts'
import type { Roster } from '../../replication/registry/roster.ts'
import type { Order } from './next-set.ts'

type OrderRow = {
  readonly peer: PeerName
  readonly reason: string
  readonly evidence: string | null
}
type DrainRow = { readonly reason: string; readonly sinceMs: number }
const orderKey = (blog: string) => `order/${blog}`
const drainKey = (peer: string) => `drain/${peer}`

/** What operators and bloggers asked for and is not done yet; kept over restarts of the authority. */
export class Orders {
  readonly #store: Pick<LogStore, 'values' | 'write' | 'putValue' | 'deleteValue'>
  readonly #orders = new Map<BlogName, OrderRow>()
  readonly #draining = new Map<PeerName, DrainRow>()

  constructor(store: Pick<LogStore, 'values' | 'write' | 'putValue' | 'deleteValue'>) {
    this.#store = store
  }

  /** Reads what was asked for before the start. */
  async load(): Promise<void> {
    for (const [key, value] of await this.#store.values(orderKey('')))
      this.#orders.set(key.slice(orderKey('').length) as BlogName, value as OrderRow)
    for (const [key, value] of await this.#store.values(drainKey('')))
      this.#draining.set(key.slice(drainKey('').length) as PeerName, value as DrainRow)
  }

  /** The order about a blog, with the store that the spoke has now; null when there is none. */
  of(blog: BlogName, { members }: Roster): Order | null {
    const row = this.#orders.get(blog)
    const member = row === undefined ? undefined : members.get(row.peer)
    if (row === undefined || member === undefined || member.cutOff) return null
    const { reason, evidence } = row
    return { primary: { peer: row.peer, store: member.store }, reason, evidence }
  }

  isDraining(peer: PeerName): boolean {
    return this.#draining.has(peer)
  }

  /** Orders that a spoke shall lead a blog; a later order takes the place of an earlier one. */
  async lead(blog: BlogName, row: OrderRow): Promise<void> {
    await this.#store.write([this.#store.putValue(orderKey(blog), row)])
    this.#orders.set(blog, row)
  }

  /** The order is carried out, or given up. */
  async forget(blog: BlogName): Promise<void> {
    if (!this.#orders.delete(blog)) return
    await this.#store.write([this.#store.deleteValue(orderKey(blog))], { sync: false })
  }

  /** Orders that everything moves away from a spoke, until `keep`. */
  async drain(peer: PeerName, row: DrainRow): Promise<void> {
    await this.#store.write([this.#store.putValue(drainKey(peer), row)])
    this.#draining.set(peer, row)
  }

  /** A spoke that was drained may keep copies again. */
  async keep(peer: PeerName): Promise<void> {
    if (!this.#draining.has(peer)) return
    await this.#store.write([this.#store.deleteValue(drainKey(peer))])
    this.#draining.delete(peer)
  }
}
