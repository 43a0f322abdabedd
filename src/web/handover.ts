import { createHash } from 'node:crypto'
import type { SubmitAnswer } from './spoke.ts'

/** How long a text waits for its signature from a terminal, ms. */
export const handoverMs = 30 * 60_000
/** Texts that wait, and their bytes in all. Beyond it the oldest make room. */
const maxWaiting = 1_000
const maxWaitingBytes = 16 * 1024 * 1024

/** A text that waits for its signature. */
export type Handover = {
  readonly token: string
  readonly text: Uint8Array
  readonly host: string
  readonly endMs: number
  /** SHA-256 of the browser's cookie: only it sees what became of the text */
  readonly browser: string
  /** what became of it; null as long as no signature has come */
  arrival: SubmitAnswer | null
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

  /** @param browser - the browser cookie's value */
  open(text: Uint8Array, at: { readonly host: string; readonly browser: string }): Handover {
    const handover: Handover = {
      token: Buffer.from(this.#randomBytes(16)).toString('hex'),
      text,
      host: at.host,
      endMs: this.#now() + handoverMs,
      browser: hashed(at.browser),
      arrival: null,
    }
    this.#waiting.set(handover.token, handover)
    this.#bytes += text.length
    for (const oldest of this.#waiting.values()) {
      const isFull = this.#waiting.size > maxWaiting || this.#bytes > maxWaitingBytes
      if (!isFull && oldest.endMs > this.#now()) break
      this.#drop(oldest)
    }
    return handover
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
