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
/** The last order about a blog that its blogger signed, and that was taken. */
export type SignedOrder = {
  /** its own date: no earlier one counts any more */
  readonly dateMs: number
  /** when one was taken last that is to move the blog, by the authority's clock; left out: none was */
  readonly takenMs?: number
}
type DrainRow = { readonly reason: string; readonly sinceMs: number }
const orderKey = (blog: string) => `order/${blog}`
const signedKey = (blog: string) => `ordered/${blog}`
const drainKey = (peer: string) => `drain/${peer}`

/** What operators and bloggers asked for and is not done yet; kept over restarts of the authority. */
export class Orders {
  readonly #store: Pick<LogStore, 'values' | 'write' | 'putValue' | 'deleteValue'>
  readonly #orders = new Map<BlogName, OrderRow>()
  readonly #signed = new Map<BlogName, SignedOrder>()
  readonly #draining = new Map<PeerName, DrainRow>()

  constructor(store: Pick<LogStore, 'values' | 'write' | 'putValue' | 'deleteValue'>) {
    this.#store = store
  }

  /** Reads what was asked for before the start. */
  async load(): Promise<void> {
    for (const [key, value] of await this.#store.values(orderKey('')))
      this.#orders.set(key.slice(orderKey('').length) as BlogName, value as OrderRow)
    for (const [key, value] of await this.#store.values(signedKey('')))
      this.#signed.set(key.slice(signedKey('').length) as BlogName, value as SignedOrder)
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

  /** What stands behind the order about a blog that is not done yet; null also when there is none. */
  evidenceOf(blog: BlogName): string | null {
    return this.#orders.get(blog)?.evidence ?? null
  }

  /** The newest order about a blog that was signed and taken; null: none was. */
  lastSigned(blog: BlogName): SignedOrder | null {
    return this.#signed.get(blog) ?? null
  }

  isDraining(peer: PeerName): boolean {
    return this.#draining.has(peer)
  }

  /**
   * Orders that a spoke shall lead a blog; a later order takes the place of an earlier one.
   *
   * @param signed - where its blogger signed it; else null
   */
  async lead(blog: BlogName, row: OrderRow, signed: Required<SignedOrder> | null): Promise<void> {
    await this.#store.write([
      this.#store.putValue(orderKey(blog), row),
      ...this.#signedRow(blog, signed),
    ])
    this.#orders.set(blog, row)
    if (signed !== null) this.#signed.set(blog, signed)
  }

  /**
   * Takes back an order that is not done yet: the blog stays where it is.
   *
   * @param signedMs - the date of the order that does so, where its blogger signed it; else null
   */
  async withdraw(blog: BlogName, signedMs: number | null): Promise<void> {
    const signed = signedMs === null ? null : { ...this.#signed.get(blog), dateMs: signedMs }
    await this.#store.write([
      this.#store.deleteValue(orderKey(blog)),
      ...this.#signedRow(blog, signed),
    ])
    this.#orders.delete(blog)
    if (signed !== null) this.#signed.set(blog, signed)
  }

  #signedRow(blog: BlogName, signed: SignedOrder | null) {
    return signed === null ? [] : [this.#store.putValue(signedKey(blog), signed)]
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
