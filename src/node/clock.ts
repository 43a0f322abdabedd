import type { Clock } from '../replication/clock.ts'

/** The machine's clock, timers and randomness: the only real ones in the program. */
export const realClock: Clock = {
  now: () => Date.now(),
  steady: () => performance.now(),
  after: (ms, job) => {
    // What is due already comes at once; Node warns of times below zero.
    const timer = setTimeout(job, Math.max(0, ms))
    return () => clearTimeout(timer)
  },
  random: () => Math.random(),
}
