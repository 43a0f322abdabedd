import { readSignature } from '../auth/signature.ts'
import type { Refusal, Verdict } from '../auth/verdict.ts'
import type { Claims } from '../replication/exchange/claim.ts'
import type { ToAuthority } from '../replication/exchange/decisions.ts'
import type { OrderedMove } from '../replication/exchange/orders.ts'
import type { Submit } from '../replication/exchange/submit.ts'
import { decodeEntry, type Entry } from '../replication/log/entry.ts'
import { decodeReceipt } from '../replication/log/receipt.ts'
import { formatDate, type Signed } from '../replication/log/text.ts'
import type { CouncilLogs } from '../replication/registry/council-logs.ts'
import { decodeOrder } from '../replication/registry/order.ts'
import type { ShownReceipt, SubmitAnswer } from '../web/spoke.ts'

type Parts = {
  readonly council: CouncilLogs
  readonly claims: Pick<Claims, 'claim'>
  readonly submit: Pick<Submit, 'submit'>
  readonly toAuthority: Pick<ToAuthority, 'order'>
}

/** What an author hands in, signed, and what she is told became of it. */
export class HandIn {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  async submit(text: Uint8Array, signature: string): Promise<SubmitAnswer> {
    const entry = decodeEntry(text)
    if (!entry.ok) return refused(entry)
    const offer = { text, signature: Buffer.from(signature) }
    if (entry.value.kind === 'genesis') {
      const claimed = await this.#parts.claims.claim(entry.value, offer)
      if (!claimed.ok) return refused(claimed)
      return { kind: 'claim', entry: entry.value }
    }
    const council = this.#parts.council.roster()?.council ?? null
    if (council !== null && entry.value.council !== council) {
      return {
        kind: 'refused',
        code: 'ENTRY_COUNCIL',
        reason: `The entry is for the council ${entry.value.council}; this is ${council}. Sign it for this one.`,
      }
    }
    const done = await this.#parts.submit.submit(entry.value, offer)
    if (!done.ok) return refused(done)
    return done.value.kind === 'taken'
      ? taken(entry.value, done.value.head)
      : this.#held(entry.value, done.value)
  }

  async order(text: Uint8Array, armored: string): Promise<Verdict<OrderedMove>> {
    const order = decodeOrder(text)
    if (!order.ok) return order
    const signature = await readSignature(armored)
    if (!signature.ok) return signature
    return this.#parts.toAuthority.order({ text, signature: Buffer.from(signature.value.armored) })
  }

  #held(
    entry: Entry,
    done: { published: boolean; copies: number; wanted: number; receipts: readonly Signed[] },
  ): SubmitAnswer {
    const reason = done.published ? null : whyNotPublished(done.copies, done.wanted)
    return {
      kind: done.published ? 'published' : 'stored',
      entry,
      copies: done.copies,
      wanted: done.wanted,
      receipts: done.receipts.flatMap((signed) => this.#show(signed)),
      reason,
    }
  }

  #show(signed: Signed): ShownReceipt[] {
    const receipt = decodeReceipt(signed)
    if (!receipt.ok) return []
    const { replica, sinceMs, atMs } = receipt.value
    return [
      {
        peer: replica.peer,
        spoke: this.#parts.council.roster()?.members.get(replica.peer)?.name ?? null,
        store: replica.store,
        since: formatDate(sinceMs),
        at: formatDate(atMs),
        text: Buffer.from(signed.text).toString(),
        signature: Buffer.from(signed.signature).toString('base64'),
      },
    ]
  }
}

const refused = ({ ok: _, ...refusal }: Refusal): SubmitAnswer => ({ kind: 'refused', ...refusal })

function whyNotPublished(copies: number, wanted: number): string {
  if (wanted === 1) return 'stored on 1 server: this council has no second one yet'
  return `stored on ${copies} of ${wanted} servers: it counts as published when ${Math.floor(wanted / 2) + 1} have it. Nothing needs to be done; keep your signed text until then`
}

function taken(entry: Entry, head: { seq: number; id: string }): SubmitAnswer {
  const reason =
    entry.seq <= head.seq
      ? `Entry ${entry.seq} of ${entry.log} is taken by another one. Sign your text again as entry ${head.seq + 1}, after the head.`
      : `Your entry does not follow the head, which is entry ${head.seq}. Sign your text again as entry ${head.seq + 1} with "prev" ${head.id}.`
  return { kind: 'taken', reason, head }
}
