import { z } from 'zod'
import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import { refuse } from '../../auth/verdict.ts'
import type { Clock } from '../clock.ts'
import type { Ingest } from '../log/ingest.ts'
import type { StoreId } from '../log/peer-text.ts'
import type { Receipt } from '../log/receipt.ts'
import type { EntryId, Signed } from '../log/text.ts'
import { idOf } from '../log/text.ts'
import { ask, type Network, refusalAnswer, signedShape } from '../network.ts'
import { READ } from '../protocol.ts'
import { auditHash, decodeAnswer, isNonce, signAnswer } from '../registry/audit-answer.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import { fromSignedRow, signedRow } from '../registry/proof.ts'
import type { Kept, Replicas } from './replica.ts'
import type { Reports } from './reports.ts'

export const auditShape = z.object({
  t: z.literal('audit'),
  log: z.string().max(40),
  seq: z.number().int().min(0),
  nonce: z.string().refine((value) => isNonce(value) === null, 'want 64 hex digits'),
})
const auditAnswer = z.object({ answer: signedShape })

/** How long a replica may take for an answer, ms: it has the entry at hand. */
const answerMs = 3_000
/** Rounds in which one question is answered badly after which that is reported: a disk may be healing, a machine busy. */
const maxMisses = 3
/** Questions asked of one peer in a round. */
const perRound = 3

/**
 * Surprise questions among replicas: "what is the hash over this nonce and that entry?", about random
 * entries under their receipts (DESIGN 8, Audits). Who gave a receipt for what it does not keep cannot
 * answer; its own signature under a wrong answer proves it.
 */
export class Audits {
  readonly #parts: Parts
  /** what a peer did not answer, or said that it does not have: asked again until it has */
  readonly #open = new Map<PeerName, OpenQuestion>()
  readonly counts = { asked: 0, failed: 0 }

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** The answer to a question: what is on the disk, not what is in memory. */
  async answer({ log, seq, nonce }: z.infer<typeof auditShape>): Promise<unknown> {
    const { ingest, council, signer, storeId, clock } = this.#parts
    const roster = council.roster()
    if (roster === null) return refusalAnswer(refuse('NOT_READY', 'This peer has no @roster yet.'))
    const stored = await ingest.read(log, seq).catch(() => null)
    const signed = signAnswer(signer, {
      ...{ council: roster.council, store: storeId(), log, seq, nonce },
      hash: stored === null ? null : auditHash(nonce, stored.text),
      atMs: clock.now(),
    })
    return { answer: signedRow(signed) }
  }

  /** One round: each replica of a blog here is asked about entries of blogs that it shares. */
  async run(): Promise<void> {
    const { network, replicas } = this.#parts
    const shared = new Map<PeerName, { kept: Kept; receipt: Receipt }[]>()
    for (const kept of replicas.all()) {
      if (kept.role === 'none' || replicas.isDamaged(kept.assignment.blog)) continue
      for (const receipt of kept.receipts.all()) {
        const { peer } = receipt.replica
        if (peer === network.self) continue
        shared.set(peer, [...(shared.get(peer) ?? []), { kept, receipt }])
      }
    }
    for (const peer of this.#open.keys()) if (!shared.has(peer)) this.#open.delete(peer)
    const connected = new Set(network.connected())
    await Promise.all(
      [...shared].map(async ([peer, all]) => {
        // Who is not there is a matter of heartbeats.
        if (!connected.has(peer)) return
        const receipts = all.map(({ receipt }) => receipt)
        for (let n = 0; n < perRound; n++) {
          if (!(await this.#question(peer, receipts))) break
        }
      }),
    )
  }

  #below(count: number): number {
    return Math.floor(this.#parts.clock.random() * count)
  }

  /** @returns whether it was answered rightly */
  async #question(peer: PeerName, receipts: readonly Receipt[]): Promise<boolean> {
    const { ingest, network, nonce: newNonce, reports } = this.#parts
    const open = this.#open.get(peer)
    const asked = receipts.find(({ log }) => log === open?.log)
    const receipt = asked ?? (receipts[this.#below(receipts.length)] as Receipt)
    const { log } = receipt
    const head = (await ingest.record(log))?.head.seq ?? -1
    const last = Math.min(head, receipt.head.seq)
    const seq = asked && open && open.seq <= last ? open.seq : this.#below(last + 1)
    const own = await ingest.read(log, seq).catch(() => null)
    if (own === null) return true
    const nonce = newNonce()
    this.counts.asked++
    let answer: Signed | null = null
    try {
      const body = { t: 'audit', log, seq, nonce }
      answer = fromSignedRow((await ask(network, peer, READ, body, auditAnswer, answerMs)).answer)
    } catch {
      // No answer is a bad one: it may be the network's, so it counts only after others.
    }
    const verdict = judgeAnswer(answer, { peer, log, seq, nonce, text: own.text })
    const before = open?.log === log && open.seq === seq ? open.misses : 0
    if (verdict === 'right') {
      if (before > 0) this.#open.delete(peer)
      return true
    }
    this.counts.failed++
    this.#open.set(peer, { log, seq, misses: before + 1 })
    // A wrong answer is signed: there is nothing to wait for.
    if (verdict !== 'wrong' && before + 1 < maxMisses) return false
    this.#open.delete(peer)
    const id: EntryId = idOf(own.text)
    reports.file({
      ...{ peer, kind: 'audit', log, seq, id, asked: nonce, found: found[verdict], served: null },
      ...{ answer: verdict === 'silent' ? null : answer, receipt: receipt.signed },
    })
    this.#parts.report('audit_failed', { peer, log, seq, found: found[verdict] })
    return false
  }
}

type OpenQuestion = { readonly log: string; readonly seq: number; readonly misses: number }

const found = {
  wrong: 'the hash of other bytes',
  none: 'it says that it does not have the entry',
  silent: 'no answer',
} as const

/**
 * What an answer is worth. Pure. `wrong`: signed, and of other bytes; `none`: signed, without the
 * entry; `silent`: nothing that its peer has signed for this question.
 */
export function judgeAnswer(
  answer: Signed | null,
  asked: {
    readonly peer: PeerName
    readonly log: string
    readonly seq: number
    readonly nonce: string
    readonly text: Uint8Array
  },
): 'right' | 'wrong' | 'none' | 'silent' {
  const read = answer === null ? null : decodeAnswer(answer)
  if (!read?.ok) return 'silent'
  const { replica, log, seq, nonce, hash } = read.value
  if (replica.peer !== asked.peer || log !== asked.log) return 'silent'
  if (seq !== asked.seq || nonce !== asked.nonce) return 'silent'
  if (hash === null) return 'none'
  return hash === auditHash(nonce, asked.text) ? 'right' : 'wrong'
}

type Parts = {
  readonly network: Network
  readonly ingest: Ingest
  readonly replicas: Replicas
  readonly council: CouncilLogs
  readonly signer: PeerSigner
  readonly storeId: () => StoreId
  readonly clock: Clock
  /** 64 random hex digits */
  readonly nonce: () => string
  readonly reports: Pick<Reports, 'file'>
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}
