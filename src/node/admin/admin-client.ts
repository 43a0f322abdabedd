import { type IncomingMessage, request as requestHttp } from 'node:http'
import type { z } from 'zod'
import { CommandError } from '../blogger/failure.ts'
import { readConfig } from '../config.ts'
import { errorAnswer } from './admin-answers.ts'
import { adminSocketPath, checkSocketPath } from './admin-server.ts'

/** How long the peer may take for one command, ms: to admit, it fetches four pages from two sides. */
const answerMs = 120_000
/** Bytes of one answer: 400 peers that wait or were refused, each with all the addresses it may have. */
const maxAnswerBytes = 8 * 1024 * 1024

/** Talks to the peer that runs on this machine with a given council.json. */
export class AdminClient {
  readonly #path: string
  readonly #what: { readonly name: string; readonly start: string }

  private constructor(path: string, what: { readonly name: string; readonly start: string }) {
    this.#path = path
    this.#what = what
  }

  /** Talks to what listens at a socket: its name for sentences, and the line that starts it. */
  static at(path: string, what: { readonly name: string; readonly start: string }): AdminClient {
    return new AdminClient(path, what)
  }

  /** Throws `usage` when the config is none, or its folder lies too deep for a socket. */
  static async open(config: string, env: NodeJS.ProcessEnv): Promise<AdminClient> {
    const read = await readConfig(config, env)
    if (!read.ok) throw new CommandError('usage', read.reason)
    const path = checkSocketPath(adminSocketPath(read.value.data))
    if (!path.ok) throw new CommandError('usage', path.reason)
    return new AdminClient(path.value, {
      ...{ name: 'peer', start: `./council start --config ${config}` },
    })
  }

  get<T>(path: string, shape: z.ZodType<T>): Promise<T> {
    return this.#ask('GET', path, null, shape)
  }

  post<T>(path: string, body: object, shape: z.ZodType<T>): Promise<T> {
    return this.#ask('POST', path, JSON.stringify(body), shape)
  }

  /** Throws `unreachable` when no peer runs there, else what its answer stands for. */
  async #ask<T>(
    method: 'GET' | 'POST',
    path: string,
    body: string | null,
    shape: z.ZodType<T>,
  ): Promise<T> {
    const { status, text } = await this.#send(method, path, body).catch((cause) => {
      throw this.#explain(cause)
    })
    const value = readJson(text)
    if (status !== 200) throw refusal(status, value)
    const parsed = shape.safeParse(value)
    if (parsed.success) return parsed.data
    const [issue] = parsed.error.issues
    throw new CommandError(
      'failed',
      `The peer answers in another form (${issue?.path.join('.') || 'no JSON'}: ${issue?.message}). It was started by another version: start it anew.`,
    )
  }

  async #send(
    method: string,
    path: string,
    body: string | null,
  ): Promise<{ status: number; text: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const request = requestHttp(
      {
        ...{ socketPath: this.#path, method, path, agent: false },
        headers: {
          host: 'council',
          ...(body === null
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
        },
        signal: AbortSignal.timeout(answerMs),
      },
      resolve,
    )
    request.on('error', reject)
    request.end(body ?? undefined)
    const response = await promise
    const parts: Buffer[] = []
    let bytes = 0
    for await (const part of response) {
      parts.push(part as Buffer)
      bytes += (part as Buffer).length
      if (bytes > maxAnswerBytes) throw new Error(`its answer has over ${maxAnswerBytes} bytes`)
    }
    return { status: response.statusCode ?? 0, text: Buffer.concat(parts).toString() }
  }

  #explain(cause: NodeJS.ErrnoException): CommandError {
    const path = this.#path
    switch (cause.code) {
      case 'ENOENT':
      case 'ECONNREFUSED':
        return new CommandError(
          'unreachable',
          `No ${this.#what.name} runs on ${path}. Start it with: ${this.#what.start}`,
          { cause },
        )
      case 'EACCES':
      case 'EPERM':
        return new CommandError(
          'failed',
          `You may not open ${path}: only the user who runs the ${this.#what.name} may. Run this command as that user.`,
          { cause },
        )
      case 'ABORT_ERR':
        return new CommandError(
          'unreachable',
          `The ${this.#what.name} at ${path} did not answer within ${answerMs / 1_000} s. What was asked may still be done: look before you repeat it.`,
          { cause },
        )
      default:
        return new CommandError(
          'failed',
          `Cannot ask the ${this.#what.name} at ${path}: ${cause.message}.`,
          {
            cause,
          },
        )
    }
  }
}

const exits = { 400: 'usage', 403: 'refused', 409: 'usage', 503: 'notReady' } as const

function refusal(status: number, value: unknown): CommandError {
  const said = errorAnswer.safeParse(value)
  const exit = Object.hasOwn(exits, status) ? exits[status as keyof typeof exits] : 'failed'
  return new CommandError(
    exit,
    said.success ? said.data.error.reason : `The peer answers with status ${status}.`,
  )
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
