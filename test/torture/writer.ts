import { setTimeout as wait } from 'node:timers/promises'
import { KeyRing } from '../../src/auth/public-key.ts'
import { claimAnswer, submitAnswer, takenAnswer } from '../../src/node/blogger/answers.ts'
import {
  type AuthorKey,
  openKey,
  signDraft,
  submission,
} from '../../src/node/blogger/author-key.ts'
import { SpokeClient } from '../../src/node/blogger/client.ts'
import { CommandError } from '../../src/node/blogger/failure.ts'
import { Gpg } from '../../src/node/blogger/gpg.ts'
import type { Kept } from '../../src/node/blogger/outbox.ts'
import { type BlogName, type Draft, parseBlogName } from '../../src/replication/log/entry.ts'
import type { Head } from '../../src/replication/log/log.ts'
import { decodeReceipt } from '../../src/replication/log/receipt.ts'
import { type EntryId, formatDate } from '../../src/replication/log/text.ts'
import type { GpgHome } from '../support/gpg.ts'
import type { Random } from '../support/simulation/random.ts'

/** What a spoke called published: the entry, and when. */
export type Published = {
  readonly seq: number
  readonly id: EntryId
  readonly signedMs: number
  readonly publishedMs: number
}

export type WriterInit = {
  readonly name: string
  readonly council: string
  readonly gpg: GpgHome
  /** pages of all spokes; she hands in at any of them */
  readonly spokes: readonly string[]
  readonly random: Random
  /** between two posts, ms */
  readonly pauseMs: number
}

/** How long one request may take before another spoke is asked, ms. */
const answerMs = 4_000
/** Between two tries, ms. */
const againMs = 100
/** An entry that waits so long is at times given up for another text with the same number, ms. */
const impatientMs = 4_000
const impatience = 0.05

/**
 * An author who publishes all the time: each text is signed by her own gpg and handed in at one
 * spoke after the other until one says that it is published. At times she loses patience and signs
 * another text for the same number, so that there are two for the council to choose from. She keeps
 * what she was told; the checker compares.
 */
export class Writer {
  readonly name: BlogName
  /** every text she has signed, by its id */
  readonly signed = new Map<EntryId, Kept>()
  readonly published: Published[] = []
  /** what no spoke may ever say: published without receipts of two replicas under one act, … */
  readonly lies: string[] = []
  /** since when the entry under way waits; null between two entries, ms */
  waitsSinceMs: number | null = null
  readonly #init: WriterInit
  readonly #clients: readonly SpokeClient[]
  readonly #gpg: Gpg
  readonly #key: AuthorKey
  #head: (Head & { readonly dateMs: number }) | null = null

  private constructor(init: WriterInit, name: BlogName, gpg: Gpg, key: AuthorKey) {
    this.name = name
    this.#init = init
    this.#gpg = gpg
    this.#key = key
    this.#clients = init.spokes.map((spoke) => new SpokeClient(spoke, answerMs))
  }

  static async open(init: WriterInit): Promise<Writer> {
    const gpg = new Gpg({ ...process.env, GNUPGHOME: init.gpg.dir })
    const fingerprint = init.gpg.makeKey(`${init.name} <${init.name}@example.org>`)
    const key = await openKey(gpg, new KeyRing(), fingerprint, Date.now())
    return new Writer(init, parseBlogName(init.name) as BlogName, gpg, key)
  }

  /** Claims her blog's name at a spoke, and waits until it takes writes. */
  async claim(at: number, signal: AbortSignal): Promise<void> {
    const { publicKey } = this.#key
    const genesis = await this.#sign({
      ...this.#common(),
      ...{ kind: 'genesis', seq: 0, prev: null, date: formatDate(Date.now()) },
      body: publicKey.armored,
    })
    const client = this.#clients[at % this.#clients.length] as SpokeClient
    const handed = await client.ask({ path: '/log', post: submission(genesis) })
    if (handed.status !== 202) throw new Error(`the claim of ${this.name}: ${handed.body}`)
    for (;;) {
      const answer = await client.ask({ path: `/claim/${genesis.entry.id}` })
      if (client.read(answer, claimAnswer).state === 'ready') break
      await wait(againMs, undefined, { signal })
    }
    this.#head = genesis.entry
  }

  /** Publishes one entry after the other until the signal; the one under way is left as it is. */
  async write(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted) {
        await this.publishOne(signal)
        await wait(this.#init.pauseMs, undefined, { signal })
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  /** Publishes one entry, whatever it takes. */
  async publishOne(signal: AbortSignal): Promise<Published> {
    const startMs = Date.now()
    this.waitsSinceMs = startMs
    let kept = await this.#sign(this.#next())
    let signedMs = Date.now()
    for (;;) {
      signal.throwIfAborted()
      const said = await this.#handIn(kept)
      if (said === 'published') break
      if (said !== 'waiting') {
        // Another text of hers stands there: she goes on with that one.
        const other = this.signed.get(said)
        if (other === undefined) this.lies.push(`an entry that she never signed: ${said}`)
        else kept = other
      } else if (Date.now() - signedMs > impatientMs && this.#init.random.chance(impatience)) {
        kept = await this.#sign(this.#next())
        signedMs = Date.now()
      }
      await wait(againMs, undefined, { signal })
    }
    const { seq, id, dateMs } = kept.entry
    this.#head = { seq, id, dateMs }
    const published = { seq, id, signedMs: startMs, publishedMs: Date.now() }
    this.published.push(published)
    this.waitsSinceMs = null
    return published
  }

  /** One try at one spoke. An id: that entry of hers stands at its number. */
  async #handIn(kept: Kept): Promise<'published' | 'waiting' | EntryId> {
    const client = this.#init.random.pick(this.#clients)
    try {
      const answer = await client.ask({ path: '/log', post: submission(kept) })
      if (answer.status === 409) {
        const { head } = takenAnswer.parse(JSON.parse(answer.body.toString()))
        return head.seq === kept.entry.seq ? head.id : 'waiting'
      }
      if (answer.status !== 201 && answer.status !== 202) return 'waiting'
      const said = client.read(answer, submitAnswer)
      if (said.seq !== kept.entry.seq || said.id !== kept.entry.id)
        this.lies.push(`${client.origin} spoke of another entry: ${said.seq} ${said.id}`)
      if (answer.status === 202) return 'waiting'
      this.#checkReceipts(client.origin, kept, said.receipts)
      return 'published'
    } catch (error) {
      if (error instanceof CommandError) return 'waiting'
      throw error
    }
  }

  /** Published means receipts of at least two replicas, under one and the same act. */
  #checkReceipts(
    origin: string,
    { entry }: Kept,
    given: readonly { readonly text: string; readonly signature: string }[],
  ): void {
    const peersByAct = new Map<string, Set<string>>()
    for (const { text, signature } of given) {
      const bytes = { text: Buffer.from(text), signature: Buffer.from(signature, 'base64') }
      const receipt = decodeReceipt(bytes)
      if (!receipt.ok) this.lies.push(`${origin} gave a receipt that is none: ${receipt.reason}`)
      else if (receipt.value.log === this.name && receipt.value.head.seq >= entry.seq) {
        const { act, head, replica } = receipt.value
        if (head.seq === entry.seq && head.id !== entry.id)
          this.lies.push(`${origin} gave a receipt for another entry ${head.seq}`)
        peersByAct.set(act, (peersByAct.get(act) ?? new Set()).add(replica.peer))
      }
    }
    if (![...peersByAct.values()].some((peers) => peers.size >= 2))
      this.lies.push(`${origin} called ${entry.seq} published without two receipts under one act`)
  }

  #next(): Draft {
    const head = this.#head
    if (head === null) throw new Error('not claimed')
    const seq = head.seq + 1
    const take = this.signed.size
    return {
      ...this.#common(),
      ...{ kind: 'post', seq, prev: head.id, slug: `post-${seq}`, title: `Post ${seq}` },
      date: formatDate(Math.max(Date.now(), head.dateMs)),
      body: `Text ${take} of ${this.name}, for number ${seq}.`,
    }
  }

  #common() {
    const { council } = this.#init
    return { council, blog: this.name, key: this.#key.own.fingerprint }
  }

  async #sign(draft: Draft): Promise<Kept> {
    const kept = await signDraft(this.#gpg, this.#key, draft)
    this.signed.set(kept.entry.id, kept)
    return kept
  }
}
