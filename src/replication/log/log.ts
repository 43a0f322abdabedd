import type { EntryId } from './text.ts'

/** Where a log ends. `seq` counts from 0, so a log of one entry has head `seq` 0. */
export type Head = { readonly seq: number; readonly id: EntryId }

/** A blog's name, `@roster` or `@names`. */
export type LogName = string

export const rosterLog: LogName = '@roster'
export const namesLog: LogName = '@names'

/** What chain rules need to know of an entry or act, whatever its kind. */
export type Item = {
  readonly log: LogName
  readonly council: string
  readonly seq: number
  readonly prev: EntryId | null
  readonly id: EntryId
  readonly dateMs: number
  readonly text: Uint8Array
}

/**
 * Where an item stands against a log:
 * `next` follows the head; `known` is in the log already; `gap`: items before it are missing;
 * `fork`: the log holds another item for this seq, or the one it follows.
 */
export type Place =
  | { readonly place: 'next' }
  | { readonly place: 'known' }
  | { readonly place: 'gap'; readonly have: number }
  | { readonly place: 'fork'; readonly seq: number }

/**
 * Places an item by seq and prev alone. Pure.
 *
 * @param head - the log's head, null while the log is empty
 * @param idAt - id of the item that the log holds at `item.seq`, null when it holds none
 */
export function placeItem(
  head: Head | null,
  item: Pick<Item, 'seq' | 'prev' | 'id'>,
  idAt: EntryId | null,
): Place {
  const next = head === null ? 0 : head.seq + 1
  if (item.seq > next) return { place: 'gap', have: next - 1 }
  if (item.seq < next)
    return idAt === item.id ? { place: 'known' } : { place: 'fork', seq: item.seq }
  if (head !== null && item.prev !== head.id) return { place: 'fork', seq: head.seq }
  return { place: 'next' }
}
