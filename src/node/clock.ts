import type { Clock } from '../replication/clock.ts'

/** The machine's clock, timers and randomness: the only real ones in the program. */
export const realClock: Clock = {
  now: () => Date.now(),
  steady: () => performance.now(),
  after: (ms, job) => {
    const timer = setTimeout(job, ms)
    return () => clearTimeout(timer)
  },
  random: () => Math.random(),
}
