import { createHash } from 'node:crypto'
import type { OrderedMove } from '../replication/exchange/orders.ts'
import type { SubmitAnswer } from './spoke.ts'

/** How long a text waits for its signature from a terminal, ms. */
export const handoverMs = 30 * 60_000
/** Texts that wait, and their bytes in all. Beyond it who has most bytes here makes room. */
const maxWaiting = 1_000
const maxWaitingBytes = 16 * 1024 * 1024

/** What becomes of a signed text: of an entry, or of an order to move the blog. */
export type Arrival = SubmitAnswer | { readonly kind: 'ordered'; readonly move: OrderedMove }

/** A text that waits for its signature. */
export type Handover = {
  readonly token: string
  readonly text: Uint8Array
  readonly host: string
  endMs: number
  /** SHA-256 of the browser's cookie: only it sees what became of the text */
  readonly browser: string
  /** from which network it was asked for */
  readonly client: string
  /** what became of it; null as long as no signature has come */
  arrival: Arrival | null
}

/**
 * Texts that a page hands to the author's terminal: the one-line pipe fetches the text, gpg signs
 * it, and the tab that waits goes on. Pasting needs none of this.
 */
export class Handovers {
  readonly #now: () => number
  readonly #randomBytes: (count: number) => Uint8Array
  readonly #waiting = new Map<string, Handover>()
  #bytes = 0

  constructor(parts: {
    readonly now: () => number
    readonly randomBytes: (count: number) => Uint8Array
  }) {
    this.#now = parts.now
    this.#randomBytes = parts.randomBytes
  }

  /**
   * Lets a text wait. Shown again to the same browser, it is the same one, for half an hour more.
   *
   * @param at - `browser`: the browser cookie's value; `client`: from which network it is asked
   */
  open(
    text: Uint8Array,
    at: { readonly host: string; readonly browser: string; readonly client: string },
  ): Handover {
    for (const oldest of this.#waiting.values()) {
      if (oldest.endMs > this.#now()) break
      this.#drop(oldest)
    }
    const known = this.#same(text, at.host, hashed(at.browser))
    if (known !== null) this.#drop(known)
    const handover = known ?? {
      token: Buffer.from(this.#randomBytes(16)).toString('hex'),
      ...{ text, host: at.host, browser: hashed(at.browser), client: at.client },
      ...{ endMs: 0, arrival: null },
    }
    handover.endMs = this.#now() + handoverMs
    this.#waiting.set(handover.token, handover)
    this.#bytes += text.length
    while (this.#waiting.size > maxWaiting || this.#bytes > maxWaitingBytes) this.#makeRoom()
    return handover
  }

  #same(text: Uint8Array, host: string, browser: string): Handover | null {
    for (const each of this.#waiting.values()) {
      const isOwn = each.browser === browser && each.host === host && each.arrival === null
      if (isOwn && Buffer.compare(each.text, text) === 0) return each
    }
    return null
  }

  /** Anybody may let texts wait: so the oldest of the client with most bytes goes, nobody else's. */
  #makeRoom(): void {
    const bytes = new Map<string, number>()
    for (const { client, text } of this.#waiting.values()) {
      bytes.set(client, (bytes.get(client) ?? 0) + text.length)
    }
    const greatest = Math.max(...bytes.values())
    for (const oldest of this.#waiting.values()) {
      if (bytes.get(oldest.client) !== greatest) continue
      this.#drop(oldest)
      return
    }
  }

  /** For the terminal, which knows the token alone. */
  find(token: string): Handover | null {
    const handover = this.#waiting.get(token)
    if (handover === undefined) return null
    if (handover.endMs > this.#now()) return handover
    this.#drop(handover)
    return null
  }

  /** For the browser that asked. */
  ofBrowser(token: string, host: string, browser: string): Handover | null {
    const handover = this.find(token)
    return handover?.host === host && handover.browser === hashed(browser) ? handover : null
  }

  #drop({ token, text }: Handover): void {
    if (this.#waiting.delete(token)) this.#bytes -= text.length
  }
}

const hashed = (text: string) => createHash('sha256').update(text).digest('hex')
