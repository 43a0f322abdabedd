import type { Exchange } from '../../../src/replication/exchange/exchange.ts'
import type { Kept } from '../../../src/replication/exchange/replica.ts'
import type { Head } from '../../../src/replication/log/log.ts'
import { signReceipt } from '../../../src/replication/log/receipt.ts'
import { SYNC } from '../../../src/replication/protocol.ts'
import type { Machine } from './council.ts'

/**
 * How a replica lies. `keeps nothing`: it gives receipts for what it is pushed and stores none of it.
 * `altered`: it stores, and alters one octet of the pages that it serves. `old`: of each log it shows
 * the end, and the receipts, that it showed first.
 */
export const lies = ['keeps nothing', 'altered', 'old'] as const
export type Lie = (typeof lies)[number]

/** Puts what a liar answers in the place of what the product would. */
export type Bend = (protocol: string, asked: unknown, answer: unknown) => unknown

/** Lets a peer give receipts for what it does not keep; @param tell - called for each */
export function keepNothing({ signer }: Machine, { replicas }: Exchange, tell: () => void): void {
  const heads = new Map<Kept, Head>()
  const take = replicas.take.bind(replicas)
  const give = replicas.give.bind(replicas)
  replicas.take = async (kept, offers, how) => {
    if (kept.role !== 'secondary' || how.way === 'submit') return take(kept, offers, how)
    if ((heads.get(kept)?.seq ?? -1) < how.head.seq) heads.set(kept, how.head)
    return { kind: 'held', head: how.head, added: [] }
  }
  replicas.give = async (kept) => {
    const head = heads.get(kept)
    if (head === undefined) return give(kept)
    tell()
    const { council, blog, id, epoch } = kept.assignment
    return signReceipt(signer, {
      ...{ council, log: blog, head, act: id, epoch, replica: replicas.self() },
      ...{ sinceMs: 0, atMs: 0 },
    })
  }
}

/** What a peer answers that lies in this way; @param tell - called for each answer that it bends */
export function bendFor(lie: Lie, tell: () => void): Bend {
  const first = new Map<string, unknown>()
  return (protocol, asked, answer) => {
    const { t } = asked as { t?: string }
    if (protocol !== SYNC || typeof answer !== 'object' || answer === null) return answer
    if (lie === 'altered' && t === 'range' && 'entries' in answer) {
      const rows = answer.entries as Row[]
      if (rows.length > 0) tell()
      return { ...answer, entries: rows.map((row, at) => (at % 3 === 0 ? alter(row) : row)) }
    }
    if (lie !== 'old' || t !== 'heads' || !('heads' in answer)) return answer
    const heads = (answer.heads as { readonly log: string; readonly seq: number | null }[]).map(
      (head) => {
        // That it knows of nothing is no end of a log.
        if (head.seq !== null && !first.has(head.log)) first.set(head.log, head)
        const shown = (first.get(head.log) ?? head) as typeof head
        if (shown.seq !== head.seq) tell()
        return shown
      },
    )
    return { heads }
  }
}

type Row = readonly [text: Uint8Array, ...rest: unknown[]]

/** With one octet of its last line changed into another letter. */
function alter([text, ...rest]: Row): Row {
  const altered = Uint8Array.from(text)
  const last = altered.length - 1
  altered[last] = altered[last] === 0x61 ? 0x62 : 0x61
  return [altered, ...rest]
}
