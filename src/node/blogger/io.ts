import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import { setTimeout as wait } from 'node:timers/promises'

/** What a command needs of the process it runs in. */
export type CommandIo = {
  readonly env: NodeJS.ProcessEnv
  readonly now: () => number
  readonly sleep: (ms: number) => Promise<unknown>
  /** all bytes of stdin */
  readonly readInput: () => Promise<Uint8Array>
  /** data, on stdout; the line end is added */
  readonly data: (line: string) => void
  /** words, on stderr; the line end is added */
  readonly say: (line: string) => void
  readonly exit: (code: number) => void
  /** asks a person on the terminal, y or N; null: there is no terminal */
  readonly confirm: (question: string) => Promise<boolean | null>
}

export const processIo: CommandIo = {
  env: process.env,
  now: Date.now,
  sleep: (ms) => wait(ms),
  readInput: async () => {
    const parts: Buffer[] = []
    for await (const part of process.stdin) parts.push(part as Buffer)
    return Buffer.concat(parts)
  },
  data: (line) => {
    process.stdout.write(`${line}\n`)
  },
  say: (line) => {
    process.stderr.write(`${line}\n`)
  },
  exit: (code) => {
    process.exitCode = code
  },
  confirm: async (question) => {
    // The question goes to stderr: where nobody sees it, nobody is asked.
    if (!process.stdin.isTTY || !process.stderr.isTTY) return null
    const lines = createInterface({ input: process.stdin, output: process.stderr })
    // Ctrl-D closes it without an answer; that, and Ctrl-C, may also end the question by an error.
    const closed = once(lines, 'close').then(() => '')
    const said = await Promise.race([lines.question(question).catch(() => ''), closed])
    lines.close()
    return /^y(es)?$/i.test(said.trim())
  },
}

/**
 * A line for a terminal. Titles and reasons come from a spoke that may lie: an escape sequence could
 * rewrite what stands on the screen.
 */
export function plainLine(line: string): string {
  return line.replace(/(?!\n)\p{Cc}|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '\ufffd')
}
