import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fstatSync, mkdirSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { CommandError } from '../blogger/failure.ts'

const shownLogLines = 12

export type ChildInit = {
  /** for sentences */
  readonly name: string
  /** arguments of `./council` */
  readonly args: readonly string[]
  /** file to which its stderr is appended */
  readonly log: string
  /** what it may take to end after SIGTERM before it is killed, ms */
  readonly stopMs?: number
}

/**
 * One process of the demo: `./council …` with its own memory, ended by its id and never restarted.
 * It is in a process group of its own, so that Ctrl-C reaches the demo alone, which stops it in
 * order; and it ends with its stdin, so that it never outlives the demo, however that dies.
 */
export class Child {
  readonly name: string
  readonly pid: number
  readonly #log: string
  /** bytes that an earlier process has written there */
  readonly #logStart: number
  readonly #stopMs: number
  readonly #process: ChildProcess
  readonly #firstLine: Promise<string | null>
  #isStopping = false

  constructor({ name, args, log, stopMs = 5_000 }: ChildInit, env: NodeJS.ProcessEnv) {
    this.name = name
    this.#log = log
    this.#stopMs = stopMs
    mkdirSync(dirname(log), { recursive: true })
    const file = openSync(log, 'a')
    this.#logStart = fstatSync(file).size
    try {
      this.#process = spawn(
        process.execPath,
        [fileURLToPath(new URL('../cli.ts', import.meta.url)), ...args],
        { stdio: ['pipe', 'pipe', file], env: withoutOverrides(env), detached: true },
      )
    } finally {
      closeSync(file)
    }
    if (this.#process.pid === undefined) throw new Error(`cannot start ${process.execPath}`)
    this.pid = this.#process.pid
    this.#process.stdin?.on('error', () => {
      // A process that ends while its stdin is open has ended: `exit` tells.
    })
    const lines = createInterface({ input: this.#process.stdout as NodeJS.ReadableStream })
    const { promise, resolve } = Promise.withResolvers<string | null>()
    lines.once('line', resolve)
    this.#process.once('exit', () => resolve(null))
    this.#firstLine = promise
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null
  }

  /** Calls back when it ends without having been asked to. */
  onLost(lost: () => void): void {
    this.#process.once('exit', () => {
      if (!this.#isStopping) lost()
    })
  }

  /** The line of JSON that it prints when it is ready. Throws `failed`, with its last log lines. */
  async ready(deadlineMs: number): Promise<unknown> {
    const late = wait(deadlineMs, undefined, { ref: false })
    const line = await Promise.race([this.#firstLine, late])
    if (typeof line === 'string') return JSON.parse(line)
    const what =
      line === null ? 'ended while it was starting' : `was not ready within ${deadlineMs / 1000} s`
    const said = (await readFile(this.#log)).subarray(this.#logStart).toString('utf8')
    const log = said.trimEnd().split('\n').slice(-shownLogLines)
    throw new CommandError(
      'failed',
      [`The ${this.name} ${what}. It said last:`, ...log.map((each) => `  ${each}`)].join('\n'),
    )
  }

  /** SIGSTOP: it stands still, its sockets stay open and nobody hears from it. SIGCONT: it goes on. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process.kill(signal)
  }

  /** kill -9. Resolves when it is gone. */
  async kill(): Promise<void> {
    this.#isStopping = true
    if (!this.isRunning) return
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await ended
  }

  /** Ends it and waits until it is gone. One that was stopped by SIGSTOP is killed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    if (!this.isRunning) return
    const ended = once(this.#process, 'exit')
    const late = setTimeout(() => this.#process.kill('SIGKILL'), this.#stopMs)
    this.#process.kill('SIGTERM')
    await ended
    clearTimeout(late)
  }
}

/** An override meant for one peer would reach all of them. */
function withoutOverrides(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('COUNCIL_')))
}
