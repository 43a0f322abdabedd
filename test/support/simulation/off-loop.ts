const methods = [
  'decrypt',
  'deriveBits',
  'deriveKey',
  'digest',
  'encrypt',
  'exportKey',
  'generateKey',
  'importKey',
  'sign',
  'unwrapKey',
  'verify',
  'wrapKey',
] as const

type Held = { readonly done: Promise<unknown>; readonly deliver: () => void }

/**
 * WebCrypto is the one thing that runs on threads in a simulation (openpgp.js uses it), so its
 * answers come when the machine pleases. Here they are held back and handed over one at a time, in
 * the order of the calls, each only when nothing else is left to run: so the order of events does
 * not hang on threads, and virtual time does not pass while one of them works.
 *
 * Replaces the methods of `crypto.subtle` for the whole process until disposed: one simulation at a
 * time.
 */
export class OffLoop {
  readonly #held: Held[] = []
  readonly #restore: (() => void)[] = []

  constructor() {
    const { subtle } = crypto
    const prototype = Object.getPrototypeOf(subtle)
    for (const name of methods) {
      const real: (...values: unknown[]) => Promise<unknown> = prototype[name]
      prototype[name] = (...values: unknown[]) => this.#hold(real.apply(subtle, values))
      this.#restore.push(() => {
        prototype[name] = real
      })
    }
  }

  #hold(work: Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const done = work.catch(() => undefined)
      this.#held.push({ done, deliver: () => work.then(resolve, reject) })
    })
  }

  /** Whether a call is under way. */
  get isWorking(): boolean {
    return this.#held.length > 0
  }

  /** Hands over the answer of the oldest call, once it is there. @returns false when none is under way */
  async deliverOne(): Promise<boolean> {
    const first = this.#held.shift()
    if (first === undefined) return false
    await first.done
    first.deliver()
    return true
  }

  [Symbol.dispose](): void {
    for (const restore of this.#restore) restore()
  }
}
