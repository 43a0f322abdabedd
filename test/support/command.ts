import { setTimeout as wait } from 'node:timers/promises'
import { Command, CommanderError } from 'commander'
import { adminCommands } from '../../src/node/admin/commands.ts'
import type { CommandIo } from '../../src/node/blogger/io.ts'

/** What a command printed, and its exit code. */
export type Ran = { exit: number; out: string[]; err: string }

/** Runs one of the program's commands in this process, as its launcher does. */
export async function runCommand(
  register: (program: Command, io: CommandIo) => unknown,
  args: readonly string[],
  io: Partial<CommandIo> = {},
): Promise<Ran> {
  const ran: Ran = { exit: 0, out: [], err: '' }
  const program = new Command().exitOverride().configureOutput({
    writeErr: (words) => {
      ran.err += words
    },
  })
  register(program, {
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
    confirm: async () => null,
    ...io,
  })
  try {
    await program.parseAsync([...args], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    ran.exit = 2
  }
  return ran
}

/** One of the operator's: `operate('admit', 'b', '--config', …)`. */
export const operate = (...args: string[]) =>
  runCommand(adminCommands, args, { sleep: (ms) => wait(ms) })
