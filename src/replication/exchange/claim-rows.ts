import type { LogStore } from '../log/store.ts'
import { type ClaimRecord, type ClaimStep, setStep } from '../registry/claim-record.ts'

/** A claim as it is written down: its record, and the genesis while nothing else holds that. */
export type ClaimRow = {
  readonly text: Uint8Array
  readonly signature: Uint8Array
  readonly record: ClaimRecord
}

/** Records of decided claims that one spoke remembers, the newest; after that `@names` tells. */
export const maxDecidedClaims = 1_000

const claimKey = (id: string) => `claim/${id}`
const nothing = new Uint8Array()

/** The claims that came in at this spoke, on disk and at hand. */
export class ClaimRows {
  readonly #store: LogStore
  readonly #rows = new Map<string, ClaimRow>()

  constructor(store: LogStore) {
    this.#store = store
  }

  /** Reads what the process before this one wrote down. */
  async load(): Promise<void> {
    for (const [key, value] of await this.#store.values('claim/'))
      this.#rows.set(key.slice('claim/'.length), value as ClaimRow)
  }

  pending(): ClaimRow[] {
    return [...this.#rows.values()].filter(({ record }) => record.state === 'pending')
  }

  get(id: string): ClaimRow | undefined {
    return this.#rows.get(id)
  }

  /** A row that the disk has not taken, and that counts no longer. */
  drop(id: string): void {
    this.#rows.delete(id)
  }

  async save(given: ClaimRow): Promise<ClaimRow> {
    // Once it is decided, its bytes are in the log, or with whoever hands it in again.
    const row =
      given.record.state === 'pending' ? given : { ...given, text: nothing, signature: nothing }
    this.#rows.set(row.record.id, row)
    await this.#store.write([this.#store.putValue(claimKey(row.record.id), row)])
    return row
  }

  async setStep(
    row: ClaimRow,
    step: ClaimStep,
    change: Partial<ClaimRecord> = {},
  ): Promise<ClaimRow> {
    return this.save({ ...row, record: { ...setStep(row.record, step), ...change } })
  }

  /** Of decided claims the newest are remembered; their blogs stand in `@names`. */
  async forget(): Promise<void> {
    const decided = [...this.#rows.values()].filter(({ record }) => record.state !== 'pending')
    if (decided.length <= maxDecidedClaims) return
    const over = decided
      .toSorted((a, b) => decidedMs(b.record) - decidedMs(a.record))
      .slice(maxDecidedClaims)
    for (const { record } of over) this.#rows.delete(record.id)
    await this.#store.write(
      over.map(({ record }) => this.#store.deleteValue(claimKey(record.id))),
      { sync: false },
    )
  }
}

const decidedMs = ({ steps }: ClaimRecord) => Math.max(...steps.map(({ atMs }) => atMs ?? 0))
