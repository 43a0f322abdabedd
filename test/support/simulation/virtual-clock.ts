import type { Clock } from '../../../src/replication/clock.ts'
import type { OffLoop } from './off-loop.ts'
import type { Random } from './random.ts'

/**
 * One run of a peer's process. When it ends its timers do not fire, its requests get no answer and
 * its disk takes nothing more: whatever code of it still waits, waits for ever, as after kill -9.
 */
export class Life {
  readonly name: string
  isOver = false
  /** what would have happened to a stopped process meanwhile, in order; null while it runs */
  #missed: (() => void)[] | null = null

  constructor(name: string) {
    this.name = name
  }

  get isStopped(): boolean {
    return this.#missed !== null
  }

  /** Lets something happen to the process: now, never, or when it goes on. */
  reach(job: () => void): void {
    if (this.isOver) return
    if (this.#missed === null) job()
    else this.#missed.push(job)
  }

  /** As SIGSTOP does: nothing of it runs until `goOn`. */
  stop(): void {
    this.#missed ??= []
  }

  /** As SIGCONT does; @param later - runs what was missed, one after the other */
  goOn(later: (job: () => void) => void): void {
    const missed = this.#missed ?? []
    this.#missed = null
    for (const job of missed) later(() => this.reach(job))
  }
}

/** Callbacks that are set at once, each for one timer. */
const turnsAtOnce = 64

/** What a machine's clock shows, against the time that it is. */
export type Reading = {
  /** how far it is ahead, ms; less than 0: behind */
  aheadMs: number
  /** by how much it is too fast: 0.001 gains 1 ms in a second */
  drift: number
}

type Timer = {
  readonly atMs: number
  readonly order: number
  readonly job: () => void
  isCancelled: boolean
}

/**
 * Time that passes only when nothing is left to do at the present instant.
 *
 * Everything that waits in a simulation waits for one of three things: a promise that is settled by
 * now (a microtask), WebCrypto on a thread (`OffLoop`), or a timer of this clock: network and disk
 * wait by this clock alone. Between two callbacks of `setImmediate` Node runs all ticks and microtasks
 * to the end, so when after that no call of WebCrypto is under way either, nothing can happen any more
 * before the next timer, and the clock jumps there. Timers run one at a time, by their time and then
 * by the order in which they were set, each followed by all that it leads to. Hence the order of
 * events is a function of the seed. What would break that: real timers, sockets, files or threads
 * inside a simulated part; a test runs a seed twice and compares.
 */
export class VirtualClock {
  #nowMs: number
  readonly #startMs: number
  /** a binary heap, the next timer first */
  readonly #timers: Timer[] = []
  readonly #offLoop: OffLoop
  #set = 0
  /** timers that ran: the length of a run */
  events = 0

  constructor(startMs: number, offLoop: OffLoop) {
    this.#nowMs = startMs
    this.#startMs = startMs
    this.#offLoop = offLoop
  }

  readonly now = (): number => this.#nowMs

  readonly steady = (): number => this.#nowMs - this.#startMs

  readonly after = (ms: number, job: () => void): (() => void) => {
    const atMs = this.#nowMs + Math.max(0, Math.ceil(ms))
    const timer: Timer = { atMs, order: this.#set++, job, isCancelled: false }
    this.#push(timer)
    return () => {
      timer.isCancelled = true
    }
  }

  readonly wait = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      this.after(ms, resolve)
    })

  /** What a machine's clock shows now, ms. */
  read({ aheadMs, drift }: Reading): number {
    return this.#nowMs + aheadMs + Math.floor((this.#nowMs - this.#startMs) * drift)
  }

  /** The clock as one run of a process sees it: its machine's. */
  of(life: Life, random: Random, reading: Reading): Clock {
    const after = (ms: number, job: () => void) => {
      let isCancelled = false
      const cancel = this.after(ms / (1 + reading.drift), () =>
        life.reach(() => {
          if (!isCancelled) job()
        }),
      )
      return () => {
        isCancelled = true
        cancel()
      }
    }
    const steady = () => (this.#nowMs - this.#startMs) * (1 + reading.drift)
    return { now: () => this.read(reading), steady, after, random: random.next }
  }

  /**
   * Runs `job`, and time with it, until it is done.
   *
   * @param check - called after every event; throws when a rule was broken
   * @param deadlineMs - virtual time that the run may take
   */
  run<T>(job: () => Promise<T>, check: () => void, deadlineMs: number): Promise<T> {
    const latestMs = this.#nowMs + deadlineMs
    return new Promise((resolve, reject) => {
      let isOver = false
      let isWaiting = false
      let queued = 0
      let result: { readonly value: T } | null = null
      const fail = (error: unknown) => {
        isOver = true
        reject(error)
      }
      job().then((value) => {
        result = { value }
      }, fail)
      const goOn = () => {
        if (isOver || isWaiting || queued > 0) return
        for (; queued < turnsAtOnce; queued++) setImmediate(turn)
      }
      const waitForThread = async () => {
        isWaiting = true
        await this.#offLoop.deliverOne()
        isWaiting = false
        // Behind all that the answer leads to.
        setImmediate(goOn)
      }
      const turn = () => {
        queued--
        try {
          if (isOver || isWaiting) return
          if (this.#offLoop.isWorking) {
            waitForThread().catch(fail)
            return
          }
          check()
          if (result !== null) {
            isOver = true
            resolve(result.value)
          } else this.#runNext(latestMs, deadlineMs)
        } catch (error) {
          fail(error)
        } finally {
          goOn()
        }
      }
      goOn()
    })
  }

  /** The next timer, at its time. */
  #runNext(latestMs: number, deadlineMs: number): void {
    let timer = this.#pop()
    while (timer?.isCancelled) timer = this.#pop()
    if (timer === undefined) throw new Error('nothing is left to happen and the run is not over')
    if (timer.atMs > latestMs) throw new Error(`the run is not over after ${deadlineMs} ms`)
    this.#nowMs = timer.atMs
    this.events++
    timer.job()
  }

  #push(timer: Timer): void {
    const timers = this.#timers
    let at = timers.length
    timers.push(timer)
    while (at > 0) {
      const above = (at - 1) >> 1
      if (isBefore(timers[above] as Timer, timer)) break
      timers[at] = timers[above] as Timer
      at = above
    }
    timers[at] = timer
  }

  #pop(): Timer | undefined {
    const timers = this.#timers
    const first = timers[0]
    const last = timers.pop()
    if (last === undefined || last === first) return first
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= timers.length) break
      if (below + 1 < timers.length && isBefore(timers[below + 1] as Timer, timers[below] as Timer))
        below++
      if (isBefore(last, timers[below] as Timer)) break
      timers[at] = timers[below] as Timer
      at = below
    }
    timers[at] = last
    return first
  }
}

const isBefore = (a: Timer, b: Timer) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
