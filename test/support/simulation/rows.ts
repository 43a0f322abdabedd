/** Rows of a store by key, and in the order of their keys. */
export class Rows {
  readonly #values: Map<string, Uint8Array>
  readonly #keys: string[]

  constructor(rows: Rows | null = null) {
    this.#values = new Map(rows === null ? [] : rows.#values)
    this.#keys = rows === null ? [] : [...rows.#keys]
  }

  get(key: string): Uint8Array | undefined {
    return this.#values.get(key)
  }

  set(key: string, value: Uint8Array): void {
    if (!this.#values.has(key)) this.#keys.splice(this.#placeOf(key), 0, key)
    this.#values.set(key, value)
  }

  delete(key: string): void {
    if (this.#values.delete(key)) this.#keys.splice(this.#placeOf(key), 1)
  }

  /** Rows from `from` on, those before `until`, in order. */
  between(from: string, until: string): [key: string, value: Uint8Array][] {
    return this.#keys
      .slice(this.#placeOf(from), this.#placeOf(until))
      .map((key) => [key, this.#values.get(key) as Uint8Array])
  }

  /** Where the first key stands that is not before `key`. */
  #placeOf(key: string): number {
    let low = 0
    let high = this.#keys.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#keys[middle] as string) < key) low = middle + 1
      else high = middle
    }
    return low
  }
}
