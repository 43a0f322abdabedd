import { CommandError, exitCodes } from './failure.ts'
import { type CommandIo, plainLine } from './io.ts'

/**
 * Runs one command: what it says is one plain line each, and a `CommandError` becomes one sentence
 * on stderr and the exit code of DESIGN 9. What is a bug is thrown.
 */
export async function runCommand(
  name: string,
  io: CommandIo,
  command: (io: CommandIo) => Promise<void>,
): Promise<void> {
  const plain: CommandIo = { ...io, say: (line) => io.say(plainLine(line)) }
  try {
    await command(plain)
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    plain.say(`council ${name}: ${error.message}`)
    io.exit(exitCodes[error.exit])
  }
}
