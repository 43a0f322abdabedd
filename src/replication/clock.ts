/**
 * Time and chance, handed in so that the same classes run on a virtual clock (STYLE 1.4).
 * Real ones are made in src/node only.
 */
export type Clock = {
  /** ms since the Unix epoch, for dates; whoever sets the machine's clock moves it, forward or back */
  readonly now: () => number
  /** ms since some moment, for how long something takes: nobody sets it */
  readonly steady: () => number
  /** runs `job` once after `ms`; the answer cancels it */
  readonly after: (ms: number, job: () => void) => () => void
  /** 0 ≤ random < 1 */
  readonly random: () => number
}

export function wait(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve)
  })
}

/** The same, cut short when `signal` is aborted. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = () => {
      cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const cancel = clock.after(ms, done)
    signal.addEventListener('abort', done)
  })
}

/** Resolves with `late` when `work` takes longer than `ms`; a later failure of `work` is not lost on anybody. */
export async function within<T, L>(
  clock: Clock,
  ms: number,
  work: Promise<T>,
  late: L,
): Promise<T | L> {
  let cancel = () => {}
  const deadline = new Promise<L>((resolve) => {
    cancel = clock.after(ms, () => resolve(late))
  })
  try {
    return await Promise.race([work, deadline])
  } finally {
    cancel()
    work.catch(() => undefined)
  }
}

/** Calls `job` again and again, `everyMs` apart with up to 20 % jitter, until cancelled. */
export function repeat(clock: Clock, everyMs: number, job: () => Promise<void>): () => void {
  let stopped = false
  let cancel = () => {}
  const next = () => {
    cancel = clock.after(everyMs * (0.9 + 0.2 * clock.random()), () => {
      void job().finally(() => {
        if (!stopped) next()
      })
    })
  }
  next()
  return () => {
    stopped = true
    cancel()
  }
}

/**
 * Watches, until the answer is called, for how long this process stood still: stopped, asleep with its
 * machine, or busy with one thing. What came meanwhile is read only afterwards, behind the timers
 * that ran out: a deadline that passed in such a time says nothing about anybody else.
 *
 * @returns ends it, and says the longest such time, ms, to about `stepMs`
 */
export function watchStandstill(clock: Clock, stepMs: number): () => number {
  let lastMs = clock.steady()
  let longestMs = 0
  let cancel = () => {}
  const look = () => {
    const nowMs = clock.steady()
    longestMs = Math.max(longestMs, nowMs - lastMs - stepMs)
    lastMs = nowMs
  }
  const next = () => {
    cancel = clock.after(stepMs, () => {
      look()
      next()
    })
  }
  next()
  return () => {
    cancel()
    look()
    return longestMs
  }
}
