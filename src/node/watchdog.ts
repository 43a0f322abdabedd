import inspector from 'node:inspector'
import { Worker } from 'node:worker_threads'

/** After so long a spoke whose event loop is stuck ends itself, ms (REPLICATION, Silence). */
export const stuckMs = 10_000
/** Steps in which the watching thread counts that time. */
const steps = 10

/** What the thread is given; see watchdog-thread.ts. */
export type Watched = {
  /** one cell, which the event loop counts up */
  readonly ticks: SharedArrayBuffer
  readonly stepMs: number
  readonly steps: number
}

/**
 * Ends this process when its event loop stands still for `stuckMs`: then a closed port lets readers
 * go to another spoke, a silent one does not, and whoever watches over the process starts it anew.
 *
 * A thread of its own counts its own steps, not the time: a machine that was asleep, or a process
 * that was stopped and goes on, has not been stuck. The thread cannot end the process with a code of
 * its choice, so it kills it: SIGKILL, 137 in a shell. Its last words are a line of the log.
 */
export class Watchdog {
  readonly #afterMs: number
  #thread: Worker | null = null
  #timer: NodeJS.Timeout | null = null

  constructor({ afterMs = stuckMs }: { readonly afterMs?: number } = {}) {
    this.#afterMs = afterMs
  }

  /** Does nothing under a debugger, where whoever sits at it stops the loop. */
  start(): void {
    if (inspector.url() !== undefined) return
    const stepMs = this.#afterMs / steps
    const watched: Watched = { ticks: new SharedArrayBuffer(4), stepMs, steps }
    const ticks = new Int32Array(watched.ticks)
    this.#timer = setInterval(() => Atomics.add(ticks, 0, 1), stepMs / 2)
    this.#timer.unref()
    this.#thread = new Worker(new URL('./watchdog-thread.ts', import.meta.url), {
      name: 'watchdog',
      workerData: watched,
      // It watches the process, it is no reason for it to go on.
      stdin: false,
    })
    this.#thread.unref()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    await this.#thread?.terminate()
  }
}
