import type { Fingerprint } from '../auth/public-key.ts'
import type { LogStore } from '../replication/log/store.ts'
import type { Accounts } from '../web/spoke.ts'

/** Keys kept; beyond it the one that logged in longest ago is forgotten. */
const maxAccounts = 10_000
/** Bytes of them in all; a usual key has two thousand. They are read once after each start. */
const maxAccountBytes = 32 * 1024 * 1024

const accountKey = (key: string) => `account/${key}`
type Row = { readonly armored: string; readonly seenMs: number }

/**
 * Public keys of people who proved at this spoke that they hold them, on disk. Nothing hangs on it:
 * who is forgotten pastes the key again.
 */
export class StoredAccounts implements Accounts {
  readonly #store: LogStore
  readonly #now: () => number
  /** fingerprint → bytes of the key, the one seen longest ago first; null until it is read */
  #seen: Promise<Map<string, number>> | null = null

  constructor(parts: { readonly store: LogStore; readonly now: () => number }) {
    this.#store = parts.store
    this.#now = parts.now
  }

  readonly find = async (key: Fingerprint): Promise<string | null> =>
    ((await this.#store.value(accountKey(key))) as Row | undefined)?.armored ?? null

  readonly keep = async (key: Fingerprint, armored: string): Promise<void> => {
    this.#seen ??= this.#readSeen()
    const seen = await this.#seen
    seen.delete(key)
    seen.set(key, armored.length)
    const row: Row = { armored, seenMs: this.#now() }
    const over = beyond(seen)
    for (const oldest of over) seen.delete(oldest)
    await this.#store.write([
      this.#store.putValue(accountKey(key), row),
      ...over.map((oldest) => ({ type: 'del', key: accountKey(oldest) }) as const),
    ])
  }

  async #readSeen(): Promise<Map<string, number>> {
    const rows = await this.#store.values(accountKey(''))
    return new Map(
      rows
        .map(([key, value]) => ({ key: key.slice(accountKey('').length), row: value as Row }))
        .sort((a, b) => a.row.seenMs - b.row.seenMs)
        .map(({ key, row }) => [key, row.armored.length]),
    )
  }
}

/** The keys that make room for the newest one. */
function beyond(seen: ReadonlyMap<string, number>): string[] {
  let bytes = 0
  for (const each of seen.values()) bytes += each
  const over: string[] = []
  for (const [oldest, size] of seen) {
    if (seen.size - over.length <= maxAccounts && bytes <= maxAccountBytes) break
    over.push(oldest)
    bytes -= size
  }
  return over
}
