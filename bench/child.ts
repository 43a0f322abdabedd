import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

type Call = { readonly id: number; readonly name: string; readonly given: unknown }
type Reply = { readonly id: number; readonly answer?: unknown; readonly error?: string }

const spokeFile = './spoke-process.ts'

/** What `./council` gives to Node, with a place of its own for what is kept from start to start. */
function asLaunched() {
  const launcher = readFileSync(new URL('../council', import.meta.url), 'utf8')
  const flag = /NODE_OPTIONS="(--\S+?)\$\{/.exec(launcher)?.[1]
  if (flag === undefined) throw new Error('./council gives Node other options than it did')
  const cache = join(tmpdir(), 'council-bench-compiled')
  return { execArgv: [flag], env: { ...process.env, NODE_COMPILE_CACHE: cache } }
}

/** A child process that does what it is asked, one message per question and answer. */
export class Child {
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #lastId = 0

  /**
   * @param file - beside this one; it calls `serveParent`. A spoke runs as `./council` starts it.
   */
  constructor(file: string) {
    this.#process = fork(fileURLToPath(new URL(file, import.meta.url)), {
      serialization: 'advanced',
      ...(file === spokeFile ? asLaunched() : {}),
    })
    this.#process.on('message', ({ id, answer, error }: Reply) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(answer)
      else waiting?.reject(new Error(error))
    })
    this.#process.on('exit', (code) => {
      for (const { reject } of this.#waiting.values())
        reject(new Error(`${file} ended with exit code ${code}`))
      this.#waiting.clear()
    })
  }

  /** The caller knows what the child answers to that name. */
  ask<T>(name: string, given?: unknown): Promise<T> {
    const waiting = Promise.withResolvers<unknown>()
    const call: Call = { id: ++this.#lastId, name, given }
    this.#waiting.set(call.id, waiting)
    this.#process.send(call)
    return waiting.promise as Promise<T>
  }

  /** kill -9 */
  async kill(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.kill('SIGKILL')
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const ended = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.disconnect()
    await ended
  }
}

/** The child's side: answers until the parent lets go, then runs `stop`. */
export function serveParent(
  jobs: Readonly<Record<string, (given: never) => Promise<unknown>>>,
  stop: () => Promise<void>,
): void {
  process.on('message', ({ id, name, given }: Call) => {
    const job = jobs[name] as (given: unknown) => Promise<unknown>
    job(given).then(
      (answer) => process.send?.({ id, answer }),
      (error: Error) => process.send?.({ id, error: error.stack ?? error.message }),
    )
  })
  process.once('disconnect', () => void stop().finally(() => process.exit()))
}
