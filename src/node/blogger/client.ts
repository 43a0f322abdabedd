import { lookup as systemLookup } from 'node:dns'
import { open } from 'node:fs/promises'
import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { LookupFunction } from 'node:net'
import type { z } from 'zod'
import { errorAnswer, statusAnswer } from './answers.ts'
import { CommandError } from './failure.ts'
import type { CommandIo } from './io.ts'

/** Bytes of a JSON answer. A page of 1,000 entries with the longest titles needs under 2 MiB. */
const maxJsonBytes = 4 * 1024 * 1024
/** `POST /log` may wait for receipts and for a primary behind another spoke, ms. */
const answerTimeoutMs = 30_000

/** How long a command waits in all because a spoke takes no more for the moment, ms. */
const maxPatienceMs = 3_600_000

export type Answer = {
  readonly status: number
  readonly body: Buffer
  /** ms after which the spoke wants to be asked again (Retry-After); null: it did not say */
  readonly retryMs: number | null
}

type Ask = {
  readonly path: string
  /** the Host to ask for, without port; the address from `--at` when left out */
  readonly host?: string
  /** what is sent by POST; a GET when left out */
  readonly post?: Uint8Array
}

/**
 * HTTP to the one spoke that `--at` names. Every request goes to that address, whatever host it
 * asks for; a redirect is never followed, so no spoke can send the command elsewhere.
 */
export class SpokeClient {
  readonly #at: URL
  readonly #timeoutMs: number

  /**
   * @param at - any address that the program prints: only its origin counts
   * @param timeoutMs - for one whole answer; for a download, between two pieces of it
   */
  constructor(at: string, timeoutMs: number = answerTimeoutMs) {
    const url = URL.canParse(at) ? new URL(at) : null
    if (url === null || !['http:', 'https:'].includes(url.protocol) || url.username !== '') {
      throw new CommandError(
        'usage',
        `--at wants the address of a spoke, like http://blogs.example.org or http://127.0.0.1:8380, not "${at}".`,
      )
    }
    this.#at = url
    this.#timeoutMs = timeoutMs
  }

  /** Where the requests go, for sentences. */
  get origin(): string {
    return this.#at.origin
  }

  /** The council that this spoke belongs to, `zone/council id`, and its zone. */
  async council(): Promise<{ readonly council: string; readonly zone: string }> {
    const answer = await this.ask({ path: '/_council/status' })
    const { council } = this.read(answer, statusAnswer)
    if (council === null) {
      throw new CommandError(
        'notReady',
        `The spoke at ${this.origin} has not joined its council yet. Try again in a minute.`,
      )
    }
    return { council, zone: council.slice(0, council.indexOf('/')) }
  }

  /** One request and its whole answer, whatever its status. Throws `unreachable`, `failed`. */
  async ask(ask: Ask): Promise<Answer> {
    const signal = AbortSignal.timeout(this.#timeoutMs)
    try {
      const response = await this.#send(ask, signal)
      const parts: Buffer[] = []
      let bytes = 0
      for await (const part of response) {
        parts.push(part as Buffer)
        bytes += (part as Buffer).length
        if (bytes > maxJsonBytes) throw tooLong(this.origin, maxJsonBytes)
      }
      const seconds = /^[0-9]{1,7}$/.exec(response.headers['retry-after'] ?? '')?.[0]
      const retryMs = seconds === undefined ? null : Number(seconds) * 1_000
      return { status: response.statusCode ?? 0, body: Buffer.concat(parts), retryMs }
    } catch (cause) {
      throw this.#explain(cause)
    }
  }

  /**
   * `POST /log`. Whoever brings a hundred posts is told to wait at some point (429): then it waits,
   * says so, and goes on, for an hour at most.
   *
   * @param io - left out by whoever does the waiting itself
   */
  async handIn(post: Uint8Array, io?: Pick<CommandIo, 'sleep' | 'say'>): Promise<Answer> {
    for (let leftMs = maxPatienceMs; ; ) {
      const answer = await this.ask({ path: '/log', post })
      if (io === undefined || answer.status !== 429 || answer.retryMs === null) return answer
      const waitMs = Math.max(1_000, answer.retryMs)
      if (waitMs > leftMs) return answer
      leftMs -= waitMs
      io.say(`the spoke takes no more for the moment: going on in ${waitMs / 1_000} s`)
      await io.sleep(waitMs)
    }
  }

  /**
   * Writes an answer's body to a file, which is the caller's to remove when this fails. Throws
   * `failed` when the disk takes no more, else as `ask`.
   */
  async download(ask: Ask, path: string, maxBytes: number): Promise<void> {
    const unwritten = (cause: NodeJS.ErrnoException) => {
      throw new CommandError('failed', `Cannot write ${path}: ${cause.code ?? cause.message}.`, {
        cause,
      })
    }
    const stalled = new AbortController()
    const file = await open(path, 'w', 0o600).catch(unwritten)
    try {
      const response = await this.#send(ask, stalled.signal, () =>
        stalled.abort(new DOMException('stalled', 'TimeoutError')),
      )
      if (response.statusCode !== 200) {
        response.destroy()
        throw refusal(this.origin, response.statusCode ?? 0, null)
      }
      let bytes = 0
      for await (const part of response) {
        bytes += (part as Buffer).length
        if (bytes > maxBytes) throw tooLong(this.origin, maxBytes)
        await file.appendFile(part as Buffer).catch(unwritten)
      }
    } catch (cause) {
      throw this.#explain(cause)
    } finally {
      await file.close()
    }
  }

  /** Reads a good answer (200–299) by its schema; any other becomes the error it stands for. */
  read<T>(answer: Answer, schema: z.ZodType<T>): T {
    if (answer.status < 200 || answer.status > 299) {
      throw refusal(this.origin, answer.status, answer.body)
    }
    const parsed = schema.safeParse(readJson(answer.body))
    if (parsed.success) return parsed.data
    const issue = parsed.error.issues[0]
    throw new CommandError(
      'failed',
      `The answer of ${this.origin} is not what a spoke says (${issue?.path.join('.') || 'no JSON'}: ${issue?.message}). Is it a spoke of this version?`,
    )
  }

  #send(ask: Ask, signal: AbortSignal, onStall?: () => void): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const send = this.#at.protocol === 'https:' ? requestHttps : requestHttp
    const port = this.#at.port === '' ? '' : `:${this.#at.port}`
    const request = send(
      {
        hostname: this.#at.hostname.replace(/^\[|\]$/g, ''),
        port: this.#at.port,
        path: ask.path,
        method: ask.post === undefined ? 'GET' : 'POST',
        headers: {
          host: ask.host === undefined ? this.#at.host : `${ask.host}${port}`,
          accept: 'application/json',
          ...(ask.post === undefined
            ? {}
            : {
                'content-type': 'text/plain; charset=utf-8',
                'content-length': ask.post.length,
              }),
        },
        lookup,
        agent: false,
        signal,
      },
      resolve,
    )
    // An aborted request reports once more after its answer was dropped; the first report counts.
    request.on('error', reject)
    if (onStall !== undefined) request.setTimeout(this.#timeoutMs, onStall)
    request.end(ask.post)
    return promise
  }

  #explain(cause: unknown): CommandError {
    if (cause instanceof CommandError) return cause
    const { name, code, message } = cause as NodeJS.ErrnoException
    const isLate = name === 'TimeoutError' || code === 'ABORT_ERR'
    const why = isLate ? `no answer within ${this.#timeoutMs / 1000} s` : (code ?? message)
    return new CommandError(
      'unreachable',
      `Cannot reach a spoke at ${this.origin}: ${why}. Check the address, or give another spoke's with --at.`,
      { cause },
    )
  }
}

/** Names under .localhost are this machine (RFC 6761), which Node's own look-up does not know. */
const lookup: LookupFunction = (hostname, options, callback) => {
  if (hostname === 'localhost' || hostname.endsWith('.localhost')) {
    if (options.all) callback(null, [{ address: '127.0.0.1', family: 4 }])
    else callback(null, '127.0.0.1', 4)
    return
  }
  systemLookup(hostname, options, callback)
}

/** What an answer with another status than 200–299 means for the command. */
function refusal(origin: string, status: number, body: Buffer | null): CommandError {
  const said = body === null ? null : errorAnswer.safeParse(readJson(body))
  const reason = said?.success ? said.data.error.reason : null
  if (status >= 300 && status < 400) {
    return new CommandError(
      'failed',
      `${origin} answers with a redirect, which this command does not follow. Give the address of a spoke itself with --at.`,
    )
  }
  if (status === 404) {
    return new CommandError('failed', reason ?? `${origin} has no such page: is the name right?`)
  }
  if (status === 503 || status === 429) {
    return new CommandError(
      'notReady',
      reason ?? `${origin} cannot answer now (status ${status}). Try again in a minute.`,
    )
  }
  if (status >= 500) {
    return new CommandError('failed', reason ?? `${origin} failed (status ${status}). Try again.`)
  }
  return new CommandError('refused', reason ?? `${origin} refuses (status ${status}).`)
}

function tooLong(origin: string, maxBytes: number): CommandError {
  return new CommandError(
    'failed',
    `The answer of ${origin} is longer than ${maxBytes} bytes, which no spoke sends. Nothing was kept of it.`,
  )
}

function readJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}
