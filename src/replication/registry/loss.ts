import type { BlogName } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import {
  isHead,
  isReplica,
  type Replica,
  readHead,
  readReplica,
  writeHead,
  writeReplica,
} from '../log/peer-text.ts'
import type { Act, Decision } from './act.ts'

/** What an operator gave up of a blog, as an act `loss` says (REPLICATION, What it promises). */
export type Loss = {
  readonly blog: BlogName
  /** the operator's words, one line */
  readonly reason: string
  readonly dateMs: number
  /** seq of the act in `@names` */
  readonly seq: number
  /** entries that somebody had given a receipt for and nobody that answered had; null: none is known */
  readonly lost: Lost | null
  /** who did not answer: when none is known to be lost, these may have had more */
  readonly silent: readonly Replica[]
}
/** The first seq that was given up, and the last entry that is known of. */
export type Lost = { readonly from: number; readonly last: Head }

export type LossAct = Act & { readonly decision: Decision & { readonly kind: 'loss' } }

export const isLossAct = (act: Act): act is LossAct => act.decision.kind === 'loss'

/** What one replica of the blog has, when the rest is given up. */
export type Had = {
  readonly replica: Replica
  /** whether it answered; else `head` is from a receipt that others know */
  readonly answers: boolean
  readonly head: Head | null
}

/** The evidence of a loss, a line for each replica and one for the head to go on from. Pure. */
export function writeLoss(replicas: readonly Had[], head: Head | null): string {
  const lines = replicas.map(({ replica, answers, head: its }) => {
    const who = writeReplica(replica)
    if (answers) return `${who} ${holds} ${its === null ? 'nothing' : writeHead(its)}`
    const known = its === null ? 'no receipt of it is known' : `${gave} ${writeHead(its)}`
    return `${who} ${isSilent}; ${known}`
  })
  return [...lines, `${goesOn} ${head === null ? 'the genesis' : writeHead(head)}`].join('\n')
}

const holds = 'holds'
const isSilent = 'does not answer'
const gave = 'gave a receipt for'
const goesOn = 'goes on from'

/**
 * Which entries a loss gave up, as far as its evidence tells; null: none that is known, or the
 * evidence has another form. Pure.
 */
export function lostEntries(evidence: string): Lost | null {
  const lines = evidence.split('\n')
  const after = (words: string) =>
    lines.flatMap((line) => {
      const at = line.indexOf(`${words} `)
      const value = at < 0 ? '' : line.slice(at + words.length + 1)
      return isHead(value) === null ? [readHead(value)] : []
    })
  const end = after(goesOn)[0]?.seq ?? (lines.includes(`${goesOn} the genesis`) ? 0 : null)
  const last = after(gave).sort((a, b) => b.seq - a.seq)[0]
  return end === null || last === undefined || last.seq <= end ? null : { from: end + 1, last }
}

/** Who did not answer when entries were given up, as its evidence says. Pure. */
export function silentReplicas(evidence: string): readonly Replica[] {
  return evidence.split('\n').flatMap((line) => {
    const [who = '', rest] = line.split(` ${isSilent}; `)
    return rest !== undefined && isReplica(who) === null ? [readReplica(who)] : []
  })
}

/** What acts `loss` come down to, in whatever order they come. */
export class KnownLosses {
  readonly #blogs = new Map<BlogName, Loss[]>()
  /** of the acts, as they came */
  readonly seqs: number[] = []

  /** Losses of a blog, the newest first. */
  of(blog: BlogName): readonly Loss[] {
    return this.#blogs.get(blog) ?? []
  }

  apply({ decision, seq, dateMs }: LossAct): void {
    if (this.seqs.includes(seq)) return
    this.seqs.push(seq)
    const { blog, reason, evidence } = decision
    const lost = lostEntries(evidence)
    const loss = { blog, reason, dateMs, seq, lost, silent: silentReplicas(evidence) }
    this.#blogs.set(
      blog,
      [...this.of(blog), loss].sort((a, b) => b.seq - a.seq),
    )
  }
}
