import { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import { refuse } from '../../auth/verdict.ts'
import { ReplicationError } from '../errors.ts'
import { type BlogName, decodeEntry } from '../log/entry.ts'
import type { Ingest, Outcome } from '../log/ingest.ts'
import { type Head, type LogName, namesLog, rosterLog } from '../log/log.ts'
import { decodeReceipt, type Receipt } from '../log/receipt.ts'
import type { Offer } from '../log/rules.ts'
import type { LogStore, Stored } from '../log/store.ts'
import { parseEntryId } from '../log/text.ts'
import { answer, ask, type Network, proofShape, refusalAnswer, signedShape } from '../network.ts'
import { maxHeadsAsked, maxPageBytes, maxPageEntries, SYNC } from '../protocol.ts'
import { names } from '../registry/assignment.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import {
  fromProofRow,
  fromSignedRow,
  type ProofOfAct,
  type ProofRow,
  proofRow,
  type SignedRow,
  signedRow,
} from '../registry/proof.ts'
import { readActs } from './act-pull.ts'
import type { Kept, Replicas } from './replica.ts'

/** Pages of one pull that are decoded and written at once; the next is on its way meanwhile. */
const maxPagesTaken = 3
/** How often a pull begins anew further back, half the way each time, to find where two logs part. */
const maxBackwards = 60
/** How far back two council logs that differ at their ends are looked through for where they part. */
const maxForkDepth = 200
const logName = z.string().min(1).max(40)
const seq = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const request = z.discriminatedUnion('t', [
  z.object({ t: z.literal('heads'), logs: z.array(logName).max(maxHeadsAsked) }),
  z.object({ t: z.literal('range'), log: logName, from: seq }),
  z.object({ t: z.literal('act'), blog: logName }),
  z.object({ t: z.literal('revocations'), from: seq }),
  z.object({ t: z.literal('losses'), from: seq }),
])
export const headsShape = z.object({
  heads: z
    .array(
      z.object({
        log: logName,
        epoch: z.number().int().min(0),
        /** null: it keeps the blog, but can give no receipt under the act that it knows */
        seq: seq.nullable(),
        id: z.string().length(64).nullable(),
        /** the answerer's own first; for the council's own logs none: each act carries its proof */
        receipts: z.array(signedShape).max(64),
      }),
    )
    .max(maxHeadsAsked),
})
/** Rows are an entry's text and signature; an act's also the receipts that put it in force. */
export type Page = { readonly entries: readonly (SignedRow | ProofRow)[]; readonly more: boolean }
export const pageShape: z.ZodType<Page> = z.object({
  entries: z.array(z.union([signedShape, proofShape])).max(maxPageEntries),
  more: z.boolean(),
})
const actShape = z.object({ proof: proofShape.nullable() })

/** A page of a log from `from` on, as it goes into an answer: at most 1 MiB of entries. */
export async function readPage(store: LogStore, log: LogName, from: number): Promise<Page> {
  const entries: (SignedRow | ProofRow)[] = []
  let size = 0
  for (let at = from; entries.length < maxPageEntries; ) {
    const rows = await store.entries(log, at, 200)
    for (const row of rows) {
      size += rowBytes(row)
      if (entries.length > 0 && size > maxPageBytes) return { entries, more: true }
      entries.push(log.startsWith('@') ? proofRow(row) : signedRow(row))
      if (entries.length === maxPageEntries) return { entries, more: true }
    }
    if (rows.length < 200) break
    at += rows.length
  }
  return { entries, more: false }
}

const rowBytes = (row: Stored) =>
  row.text.length +
  row.signature.length +
  row.receipts.reduce((sum, each) => sum + each.text.length + each.signature.length, 0)

export function toOffer(row: Page['entries'][number]): Offer {
  const [text, signature, receipts] = row
  return receipts === undefined
    ? { text, signature }
    : { text, signature, receipts: receipts.map(fromSignedRow) }
}

/** What a peer says of one blog: the epoch that it knows, and receipts, its own first. */
export type HeadSaid = { readonly epoch: number; readonly receipts: readonly Receipt[] }

/** Pull, both sides: "what heads do you have?" and "log L from seq a" (DESIGN 4). */
export class Sync {
  readonly #network: Network
  readonly #store: LogStore
  readonly #ingest: Ingest
  readonly #replicas: Replicas
  readonly #council: CouncilLogs
  readonly #pulling = new Map<string, Promise<void>>()

  constructor(parts: {
    readonly network: Network
    readonly store: LogStore
    readonly ingest: Ingest
    readonly replicas: Replicas
    readonly council: CouncilLogs
  }) {
    this.#network = parts.network
    this.#store = parts.store
    this.#ingest = parts.ingest
    this.#replicas = parts.replicas
    this.#council = parts.council
  }

  start(): void {
    this.#network.handle(
      SYNC,
      answer(request, async (_from, body) => {
        switch (body.t) {
          case 'heads':
            return {
              heads: (await Promise.all(body.logs.map((log) => this.#headOf(log)))).filter(
                (head) => head !== null,
              ),
            }
          case 'range':
            return readPage(this.#store, body.log, body.from)
          case 'act': {
            const proof = await this.#newestAct(body.blog as BlogName)
            return { proof: proof === null ? null : proofRow(proof) }
          }
          case 'revocations':
          case 'losses': {
            const page = await readActs(this.#council, body.t, body.from)
            return page ?? refusalAnswer(refuse('NOT_HELD', 'This peer does not carry @names.'))
          }
        }
      }),
    )
  }

  /** The newest assignment of a blog that this peer knows, as its replica or from `@names`. */
  async #newestAct(blog: BlogName): Promise<ProofOfAct | null> {
    const kept = this.#replicas.get(blog)?.assignment ?? null
    const named = this.#council.names()?.blogs.get(blog)
    if (named === undefined || (kept !== null && kept.epoch >= named.epoch))
      return kept?.proof ?? null
    return this.#council.proof(namesLog, named.seq)
  }

  async #headOf(log: LogName) {
    if (log === rosterLog || log === namesLog) {
      const head = this.#council.head(log)
      return head === null ? null : { log, epoch: 0, ...head, receipts: [] }
    }
    const kept = this.#replicas.get(log as BlogName)
    const named = this.#council.names()?.blogs.get(log as BlogName)?.epoch ?? 0
    const epoch = Math.max(kept?.assignment.epoch ?? 0, named)
    if (epoch === 0) return null
    const own = kept === null ? null : await this.#replicas.giveYoung(kept)
    // The epoch alone is worth telling: by it a replica that was away learns of a later act.
    if (kept === null || own === null) return { log, epoch, seq: null, id: null, receipts: [] }
    const others = kept.receipts
      .all()
      .filter((receipt) => receipt.replica.peer !== own.replica.peer)
    const receipts = [own, ...others].map((receipt) => signedRow(receipt.signed))
    return { log, epoch, ...own.head, receipts }
  }

  /**
   * Asks a peer for its heads of `logs`, takes the receipts it answers, and pulls what it has more.
   * Throws what `ask` throws; for a log whose pages do not hold, after all others were pulled.
   */
  async pull(peer: PeerName, logs: readonly LogName[]): Promise<void> {
    let bad: ReplicationError | null = null
    for (let at = 0; at < logs.length; at += maxHeadsAsked) {
      const asked = logs.slice(at, at + maxHeadsAsked)
      const { heads } = await ask(
        this.#network,
        peer,
        SYNC,
        { t: 'heads', logs: asked },
        headsShape,
      )
      const left = new Set(asked)
      for (const head of heads) {
        // One answer per log: else one frame could keep this peer busy for hours.
        if (!left.delete(head.log)) continue
        const id = parseEntryId(head.id ?? '')
        const theirs = head.seq === null || id === null ? null : { seq: head.seq, id }
        try {
          if (head.log.startsWith('@')) {
            if (theirs !== null) await this.pullCouncil(peer, head.log, theirs)
          } else
            await this.#pullBlog(
              peer,
              head.log as BlogName,
              head.epoch,
              theirs,
              head.receipts.map(fromSignedRow),
            )
        } catch (error) {
          // One log that does not hold must not keep the others behind.
          if (!(error instanceof ReplicationError) || error.code !== 'PEER_ANSWER_MALFORMED')
            throw error
          bad ??= error
        }
      }
    }
    if (bad !== null) throw bad
  }

  /**
   * What a peer says of blogs, nothing is pulled. Blogs that it does not know are left out, receipts
   * that do not hold too. Throws as `ask` does.
   */
  async heads(peer: PeerName, blogs: readonly BlogName[]): Promise<Map<BlogName, HeadSaid>> {
    const asked = { t: 'heads', logs: blogs }
    const { heads } = await ask(this.#network, peer, SYNC, asked, headsShape)
    return new Map(
      heads.map(({ log, epoch, receipts }) => {
        const good = receipts.flatMap((row) => {
          const receipt = decodeReceipt(fromSignedRow(row))
          return receipt.ok && receipt.value.log === log ? [receipt.value] : []
        })
        return [log as BlogName, { epoch, receipts: good }]
      }),
    )
  }

  /** Pulls acts of `@roster` or `@names` up to a peer's head. */
  pullCouncil(peer: PeerName, log: LogName, theirs: Head): Promise<void> {
    return this.#once(`${log} ${peer}`, async () => {
      for (;;) {
        const have = this.#council.head(log)?.seq ?? -1
        if (theirs.seq <= have) {
          // The same place, and another act there: who wrote both is to be seen by everybody.
          const own = await this.#ingest.idAt(log, theirs.seq)
          if (own !== null && own !== theirs.id) await this.#findFork(peer, log, theirs.seq)
          return
        }
        const page = await ask(
          this.#network,
          peer,
          SYNC,
          { t: 'range', log, from: have + 1 },
          pageShape,
        )
        if (page.entries.length === 0) return
        const proofs = page.entries
          .map(toOffer)
          .map((offer) => ({ ...offer, receipts: offer.receipts ?? [] }))
        const outcome = await this.#council.take(log, proofs, 'pull')
        if (outcome.kind === 'held' && outcome.added.length > 0) continue
        if (outcome.kind === 'refused' && outcome.refusal.code === 'ROSTER_BEHIND') {
          // The head of @roster is not known from here: take what this peer has.
          await this.pull(peer, [rosterLog])
          if (
            outcome.refusal.code === 'ROSTER_BEHIND' &&
            (this.#council.head(log)?.seq ?? -1) === have
          ) {
            const again = await this.#council.take(log, proofs, 'pull')
            if (again.kind === 'held') continue
          }
        }
        if (outcome.kind === 'fork') await this.#findFork(peer, log, outcome.seq)
        throw badPage(peer, log, outcome.kind === 'refused' ? outcome.refusal.reason : outcome.kind)
      }
    })
  }

  /** Takes a peer's acts up to where they contradict those here: the first that does is kept aside. */
  async #findFork(peer: PeerName, log: LogName, seq: number): Promise<void> {
    const range = { t: 'range', log, from: Math.max(0, seq - maxForkDepth) }
    const page = await ask(this.#network, peer, SYNC, range, pageShape)
    for (const { text, signature, receipts = [] } of page.entries.map(toOffer)) {
      const outcome = await this.#council.take(log, [{ text, signature, receipts }], 'pull')
      if (outcome.kind !== 'held') return
    }
  }

  async #pullBlog(
    peer: PeerName,
    blog: BlogName,
    epoch: number,
    theirs: Head | null,
    receipts: readonly { text: Uint8Array; signature: Uint8Array }[],
  ): Promise<void> {
    let kept = this.#replicas.get(blog)
    if (kept === null) return
    if (epoch > kept.assignment.epoch) {
      kept = (await this.#learnFrom(peer, blog)) ?? kept
    }
    const [own] = receipts
    const receipt = own === undefined ? null : decodeReceipt(own)
    // Every head in an answer is a receipt: what lies under it may enter the log (REPLICATION 5, 10).
    if (
      theirs === null ||
      !receipt?.ok ||
      receipt.value.replica.peer !== peer ||
      receipt.value.act !== kept.assignment.id ||
      !names(kept.assignment, receipt.value.replica)
    )
      return
    if (receipt.value.head.seq !== theirs.seq || receipt.value.head.id !== theirs.id) return
    await this.pullRange(peer, kept, theirs)
    for (const signed of receipts) await this.#replicas.receive(signed)
  }

  /** Learns later acts of blogs from a peer that may know them; their entries are not pulled. Throws as `ask` does. */
  async learnLater(peer: PeerName, blogs: readonly BlogName[]): Promise<void> {
    for (let at = 0; at < blogs.length; at += maxHeadsAsked) {
      const said = await this.heads(peer, blogs.slice(at, at + maxHeadsAsked))
      for (const [blog, { epoch }] of said) {
        const known = this.#replicas.get(blog)?.assignment.epoch ?? 0
        if (epoch > known) await this.#learnFrom(peer, blog)
      }
    }
  }

  async #learnFrom(peer: PeerName, blog: BlogName): Promise<Kept | null> {
    const { proof } = await ask(this.#network, peer, SYNC, { t: 'act', blog }, actShape)
    if (proof === null) return null
    const learned = await this.learn(peer, proof)
    return learned
  }

  /** Takes new acts of `@names`, in order, at a peer that carries it, with what is missing before them. */
  async takeNamed(peer: PeerName, rows: readonly ProofRow[]): Promise<boolean> {
    if (this.#council.names() === null) return false
    const proofs = rows.map(fromProofRow)
    const outcome = await this.#council.take(namesLog, proofs, 'push')
    if (outcome.kind === 'held') return true
    if (outcome.kind === 'refused' && outcome.refusal.code !== 'ROSTER_BEHIND') return false
    await this.pull(peer, [rosterLog, namesLog])
    return (await this.#council.take(namesLog, proofs, 'push')).kind === 'held'
  }

  /** Learns an assignment that a peer knows; pulls `@roster` from it first where that is needed. */
  async learn(peer: PeerName, proof: ProofRow): Promise<Kept | null> {
    const learned = await this.#replicas.learn(proof)
    if (learned.ok) return learned.value
    if (learned.code !== 'ROSTER_BEHIND') return null
    // Whoever sends an act need not have what it takes to check it; then it is not obeyed.
    await this.pull(peer, [rosterLog]).catch(() => undefined)
    const again = await this.#replicas.learn(proof)
    return again.ok ? again.value : null
  }

  /** Pulls a blog's entries from a peer until its head is held here. */
  pullRange(peer: PeerName, kept: Kept, theirs: Head): Promise<void> {
    const { blog, epoch } = kept.assignment
    return this.#once(`${blog} ${peer}`, async () => {
      const record = await this.#ingest.record(blog)
      if (record !== null && record.follows === epoch && record.head.seq >= theirs.seq) return
      let from = (record?.head.seq ?? -1) + 1
      for (let backwards = 0; ; ) {
        const { outcome, at } = await this.#takePages(peer, kept, theirs, from)
        if (outcome.kind === 'held') return
        // Mostly further back, to where the logs agree; from there on again, to where they part.
        if (outcome.kind !== 'gap' || outcome.have + 1 === at || backwards === maxBackwards) {
          const why = outcome.kind === 'refused' ? outcome.refusal.reason : outcome.kind
          throw badPage(peer, blog, why)
        }
        if (outcome.have + 1 < at) backwards++
        from = outcome.have + 1
      }
    })
  }

  /**
   * Takes a blog's pages from `from` on. Each is asked for when the one before it has come, and waits
   * in the log's queue while those before it are written.
   *
   * @returns what became of the last page, or of the first that did not fit, and where it began
   */
  async #takePages(
    peer: PeerName,
    kept: Kept,
    theirs: Head,
    from: number,
  ): Promise<{ outcome: Outcome; at: number }> {
    const taking: { readonly outcome: Promise<Outcome>; readonly at: number }[] = []
    let next: Promise<Page> | null = this.#fetchPage(peer, kept, theirs, from)
    try {
      for (let at = from; ; ) {
        if (next !== null && taking.length < maxPagesTaken) {
          const page: Page = await next
          const { length } = page.entries
          next = page.more && length > 0 ? this.#fetchPage(peer, kept, theirs, at + length) : null
          next?.catch(() => undefined)
          const outcome = this.#replicas.take(kept, page.entries.map(toOffer), {
            way: 'pull',
            head: theirs,
            checkAll: length < 3,
          })
          outcome.catch(() => undefined)
          taking.push({ outcome, at })
          at += length
          continue
        }
        const oldest = taking.shift() as (typeof taking)[number]
        const outcome = await oldest.outcome
        const isLast = taking.length === 0 && next === null
        if (outcome.kind !== 'held' || outcome.head.seq >= theirs.seq || isLast)
          return { outcome, at: oldest.at }
      }
    } finally {
      await Promise.allSettled(taking.map(({ outcome }) => outcome))
    }
  }

  async #fetchPage(peer: PeerName, kept: Kept, theirs: Head, from: number): Promise<Page> {
    const { blog } = kept.assignment
    const asked = { t: 'range', log: blog, from }
    const page = await ask(this.#network, peer, SYNC, asked, pageShape)
    // Else a peer could send the same entries for ever, and each time they would be held.
    const first = page.entries[0] === undefined ? null : decodeEntry(page.entries[0][0])
    if (first?.ok && first.value.seq !== from)
      throw badPage(peer, blog, `it begins with entry ${first.value.seq}, not ${from}`)
    // What lies behind the head that a receipt, or the act, names has no place here yet.
    const entries = page.entries.slice(0, Math.max(0, theirs.seq - from + 1))
    return { entries, more: page.more && entries.length === page.entries.length }
  }

  /** One pull of a log from a peer at a time; who asks meanwhile waits for the same one. */
  #once(key: string, job: () => Promise<void>): Promise<void> {
    const running = this.#pulling.get(key)
    if (running !== undefined) return running
    const run = job().finally(() => this.#pulling.delete(key))
    this.#pulling.set(key, run)
    return run
  }
}

const badPage = (peer: PeerName, log: LogName, why: string) =>
  new ReplicationError(
    'PEER_ANSWER_MALFORMED',
    `${peer} sent a page of ${log} that does not hold: ${why}`,
  )
