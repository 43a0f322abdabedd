import type { Head, LogName } from './log.ts'
import type { LogRules } from './rules.ts'
import type { LogRecord, Stored } from './store.ts'

/** What a log's first entries come down to, and where reading them ended. */
export type Replayed = {
  readonly record: LogRecord | null
  readonly state: unknown
  /** why no more was taken; null: the end was reached */
  readonly stop: string | null
}

/**
 * Reads a log's entries again from the first on, up to `last` or the first that is missing or does
 * not follow from those before it: the record, and the state of the rules behind it. Signatures are
 * the caller's to check, but for those of entries with keys.
 */
export async function replay(
  log: LogName,
  rules: LogRules<unknown>,
  read: (seq: number) => Promise<Stored | null>,
  { last, follows }: { last: number; follows: number },
): Promise<Replayed> {
  let record = null as LogRecord | null
  let state: unknown = null
  for (let seq = 0; seq <= last; seq++) {
    const stored = await read(seq)
    if (stored === null) return { record, state, stop: `entry ${seq} is missing` }
    const item = rules.decode(stored.text)
    if (!item.ok) return { record, state, stop: `entry ${seq}: ${item.reason}` }
    if (item.value.log !== log || !follow(record?.head ?? null, item.value))
      return { record, state, stop: `entry ${seq} does not follow the one before it` }
    const step = await rules.next(state, item.value, stored, false)
    if (!step.ok) return { record, state, stop: `entry ${seq}: ${step.reason}` }
    state = step.value.state
    record = {
      head: { seq, id: item.value.id },
      dateMs: item.value.dateMs,
      follows,
      keys: rules.holdsKeys(item.value) ? [...(record?.keys ?? []), seq] : (record?.keys ?? []),
      bytes: (record?.bytes ?? 0) + stored.text.length + stored.signature.length,
      uncheckedFrom: record?.uncheckedFrom ?? (stored.checked ? null : seq),
      saved: null,
    }
  }
  return { record, state, stop: null }
}

const follow = (head: Head | null, item: { readonly seq: number; readonly prev: string | null }) =>
  item.seq === (head?.seq ?? -1) + 1 && item.prev === (head?.id ?? null)
