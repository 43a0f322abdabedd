import { Command, CommanderError } from 'commander'
import { adminCommands } from '../../src/node/admin/commands.ts'

/** What a command printed, and its exit code. */
export type Ran = { exit: number; out: string[]; err: string }

/** Runs one of the operator's commands in this process: `operate('admit', 'b', '--config', …)`. */
export async function operate(...args: string[]): Promise<Ran> {
  const ran: Ran = { exit: 0, out: [], err: '' }
  const program = new Command().exitOverride().configureOutput({
    writeErr: (words) => {
      ran.err += words
    },
  })
  adminCommands(program, {
    env: {},
    now: Date.now,
    sleep: async () => undefined,
    readInput: async () => new Uint8Array(),
    data: (line) => ran.out.push(line),
    say: (line) => {
      ran.err += `${line}\n`
    },
    exit: (code) => {
      ran.exit = code
    },
  })
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    ran.exit = 2
  }
  return ran
}
