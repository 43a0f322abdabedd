import type { CommandIo } from '../blogger/io.ts'

export type Step = {
  /** s since the command began */
  readonly at: number
  readonly step: string
  readonly words: string
  readonly details?: readonly string[]
}

/** What a command of the demo sees, each with its time: said as it comes, kept for `--json`. */
export class Timeline {
  readonly steps: Step[] = []
  readonly #io: CommandIo
  readonly #beginMs: number

  constructor(io: CommandIo) {
    this.#io = io
    this.#beginMs = io.now()
  }

  get seconds(): number {
    return Math.round((this.#io.now() - this.#beginMs) / 100) / 10
  }

  add(step: string, words: string, details: readonly string[] = []): void {
    const at = this.seconds
    this.steps.push({ at, step, words, ...(details.length === 0 ? {} : { details }) })
    this.#io.say(`${at.toFixed(1).padStart(7)} s  ${step.padEnd(10)} ${words}`)
    for (const detail of details) this.#io.say(`${' '.repeat(21)}${detail}`)
  }

  has(step: string): boolean {
    return this.steps.some((each) => each.step === step)
  }
}
